"""Where an account's own files of the host's configuration may lie, and what each kind of them is."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .judges import apache, cron, logrotate, mail, nginx, pem, pool, renewal, tables
from .judges.whose import SHARED_CERTIFICATES, Judge, Whose

POOLS = "/etc/php/{version}/fpm/pool.d"
PHP_VERSION = re.compile(r"/etc/php/(\d\.\d{1,2})/fpm/pool\.d/")
LIVE = "/etc/letsencrypt/live/"


@dataclass(frozen=True)
class Kind:
    """`user`: whose the file is, root's where there is no such user; "" the account. `read_by`: the service that reads
    it when it starts. `for_tests`: whether a copy for a test needs it too."""

    description: str
    judge: Judge
    mode: int = 0o644
    user: str = "root"
    group: str = "root"
    read_by: str = ""
    for_tests: bool = False


APACHE = Kind("a site of Apache's", apache.judge, read_by="apache2", for_tests=True)
NGINX = Kind("a site of nginx's", nginx.judge, read_by="nginx", for_tests=True)
POOL = Kind("a pool of php-fpm", pool.judge, read_by="php", for_tests=True)
KEY = Kind("the key of a certificate", pem.key, mode=0o600, for_tests=True)
CHAIN = Kind("a certificate", pem.chain, for_tests=True)
PAIR = Kind("a certificate or its key", pem.pair, mode=0o600, for_tests=True)
RENEWAL = Kind("what renews a certificate of Let's Encrypt", renewal.judge)
PASSWORDS = Kind("passwords of a site", tables.passwords, mode=0o640, group="www-data", for_tests=True)
LOGROTATE = Kind("how the account's logs are rotated", logrotate.judge)
CRON = Kind("when programs of the account's are run", cron.judge)
OPENDKIM = Kind("a key that signs mail", pem.key, mode=0o600, user="opendkim", group="opendkim", read_by="opendkim")
RSPAMD = Kind("a key that signs mail", pem.key, mode=0o600, user="_rspamd", group="_rspamd")
SIEVE = Kind("a Sieve script", mail.judge, mode=0o600, user="", group="")
VSFTPD = Kind("FTP settings of the account", tables.vsftpd)

HOME_LINK = Kind("a link to the home, called after a domain", tables.nothing, for_tests=True)
"""Panels have it in /var/www, and their sites speak of folders by it."""

_FILE = r"[A-Za-z0-9][A-Za-z0-9._@+-]*"
_SITES = re.compile(rf"/etc/(apache2|nginx)/sites-(?:available|enabled)/{_FILE}|/etc/(nginx)/conf\.d/{_FILE}\.conf")
_POOL = re.compile(rf"/etc/php/\d\.\d{{1,2}}/fpm/pool\.d/{_FILE}\.conf")
_LINEAGE = re.compile(
    r"/etc/letsencrypt/(?:live/([^/]+)/(cert|chain|fullchain|privkey)\.pem"
    r"|archive/([^/]+)/(cert|chain|fullchain|privkey)\d{1,6}\.pem)"
)
_RENEWAL = re.compile(r"/etc/letsencrypt/renewal/([^/]+)\.conf")
_PAIR = re.compile(rf"/etc/(?:(?:apache2|nginx)/(?:ssl|certs|certificates)(?:/{_FILE}){{0,2}}|ssl/private)/({_FILE})")
_PASSWORDS = re.compile(rf"/etc/(?:apache2|nginx)/(?:\.?ht[a-z]*|passw[a-z]*|auth)[A-Za-z.-]*(?:/{_FILE})?/({_FILE})")
_CRON = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,100}")
_OPENDKIM = re.compile(rf"/etc/(?:opendkim(?:/keys)?|dkimkeys)/(?:({_FILE})/)?({_FILE})\.(?:private|key|pem)")
_RSPAMD = re.compile(r"/var/lib/rspamd/dkim/([a-z0-9.-]+)\.[A-Za-z0-9_-]+\.key")
_SIEVE = re.compile(r"/(?:var/(?:vmail|mail|lib/dovecot/sieve|lib/dovecot)|srv/vmail)/(.+)/(?:\.dovecot|[^/]+)\.sieve")


SHARED = apache.INCLUDED | nginx.INCLUDED | SHARED_CERTIFICATES
"""What an account's files may name, and each server has for itself."""


def kind_of(path: str, whose: Whose) -> Kind | None:
    """What kind of an account's own file lies there; None where that is no place for one of this account's."""
    if sites := _SITES.fullmatch(path):
        return NGINX if "nginx" in sites.groups() else APACHE
    if _POOL.fullmatch(path):
        return POOL
    if lineage := _LINEAGE.fullmatch(path):
        name, part = lineage[1] or lineage[3], lineage[2] or lineage[4]
        return (KEY if part == "privkey" else CHAIN) if _is_own_lineage(name, whose) else None
    if renews := _RENEWAL.fullmatch(path):
        return RENEWAL if _is_own_lineage(renews[1], whose) else None
    for pattern, kind in ((_PAIR, PAIR), (_PASSWORDS, PASSWORDS)):
        if (match := pattern.fullmatch(path)) and any(map(whose.is_named_by, path.split("/")[4:] or [match[1]])):
            return kind
    return _kind_of_others(path, whose)


def _kind_of_others(path: str, whose: Whose) -> Kind | None:
    folder, _, name = path.rpartition("/")
    if folder == "/var/www" and name in whose.domains:
        return HOME_LINK
    if folder == "/etc/logrotate.d" and whose.is_named_by(name):
        return LOGROTATE
    if folder == "/etc/cron.d" and _CRON.fullmatch(name):
        return CRON
    if match := _OPENDKIM.fullmatch(path):
        return OPENDKIM if {match[1], match[2]} & whose.domains else None
    if match := _RSPAMD.fullmatch(path):
        return RSPAMD if match[1] in whose.domains else None
    if match := _SIEVE.fullmatch(path):
        parts = {part.rpartition("@")[2] for part in match[1].split("/")}
        return SIEVE if parts & whose.domains else None
    if re.fullmatch(r"/etc/vsftpd[A-Za-z._-]*(?:/[A-Za-z._-]+)?", folder) and name == whose.name:
        return VSFTPD
    return None


def _is_own_lineage(name: str, whose: Whose) -> bool:
    """Let's Encrypt's client calls what belongs together after the first domain, and a further one by a number."""
    return re.sub(r"-\d{4}\Z", "", name) in whose.domains
