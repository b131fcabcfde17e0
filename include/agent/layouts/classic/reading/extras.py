"""Files of the host's that speak of one account: certificates that renew, logs, keys of mail, users of FTP and SSH."""

from __future__ import annotations

import re
import stat
from collections import defaultdict
from collections.abc import Iterator

from ....verbs.discovered import Extra
from .postfix import logical_lines
from .tree import Place, Tree
from .users import User, is_below, owner_of, second_logins

_LIVE = re.compile(r"(/etc/letsencrypt)/live/([^/]+)/[^/]+")
_PARTS = ("cert", "chain", "fullchain", "privkey")
_WWW = "/var/www"
_RENEWAL = "/etc/letsencrypt/renewal"
_LOGROTATE = "/etc/logrotate.d"
_OPENDKIM = "/etc/opendkim.conf"
_RSPAMD = ("/etc/rspamd/local.d/dkim_signing.conf", "/etc/rspamd/override.d/dkim_signing.conf")
_RSPAMD_KEYS = "/var/lib/rspamd/dkim"
_FTP_PASSWORDS = ("/etc/pure-ftpd/pureftpd.passwd", "/etc/proftpd/ftpd.passwd", "/etc/proftpd.passwd")
_PROFTPD = ("/etc/proftpd/proftpd.conf", "/etc/proftpd/conf.d/*.conf")
_VSFTPD = "/etc/vsftpd.conf"
_SSHD = ("/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d/*.conf")


def of_certificates(certificates: list[str], tree: Tree) -> list[Extra]:
    """What Let's Encrypt's client keeps of certificates that lie in its folder."""
    names = dict.fromkeys(match[2] for path in certificates if (match := _LIVE.fullmatch(path)))
    described = {
        **{f"/etc/letsencrypt/live/{name}/{part}.pem": "a certificate or its key" for name in names for part in _PARTS},
        **{f"{_RENEWAL}/{name}.conf": "what renews a certificate of Let's Encrypt" for name in names},
    }
    return [Extra(path=path, description=text) for path, text in described.items() if tree.is_there(path)]


def links_to_home(names: list[str], home: str, tree: Tree) -> list[Extra]:
    """What panels have in /var/www, called after a site."""
    return [
        Extra(path=path, description="a link to the home")
        for path in (f"{_WWW}/{name}" for name in names)
        if (status := tree.status(path)) and stat.S_ISLNK(status.st_mode) and is_below(tree.settled(path), home)
    ]


def by_user(users: dict[str, User], tree: Tree) -> dict[str, list[Extra]]:
    """What names each user, or its home, in passwd, logrotate, FTP and SSH."""
    extras: dict[str, list[Extra]] = defaultdict(list)
    by_number = {str(user.uid): user.name for user in users.values()}
    for second, name, place in second_logins(tree, users):
        extras[second.name].append(Extra(path=str(place), description=f"the second login {name}"))
    for name in tree.names(_LOGROTATE):
        path = f"{_LOGROTATE}/{name}"
        for user in _whose_logs(tree.text(path) or "", users):
            extras[user].append(Extra(path=path, description="how the account's logs are rotated"))
    for path in dict.fromkeys((*_FTP_PASSWORDS, *_named_by_proftpd(tree))):
        for number, line in enumerate(tree.lines(path), 1):
            fields = line.split(":")
            if len(fields) >= 6 and fields[2] in by_number:
                description = f"the FTP user {fields[0]}"
                extras[by_number[fields[2]]].append(Extra(path=str(Place(path, number)), description=description))
    folder = _settings(tree, _VSFTPD, "=").get("user_config_dir", "")
    for name in tree.names(folder) if folder else ():
        extras[name].append(Extra(path=f"{folder}/{name}", description="FTP settings of the account"))
    for path in (path for pattern in _SSHD for path in tree.matching(pattern)):
        for number, line in enumerate(tree.lines(path), 1):
            match = re.match(r"\s*match\s+user\s+(\S+)", line, re.IGNORECASE)
            for name in match[1].split(",") if match else ():
                extras[name].append(Extra(path=str(Place(path, number)), description="SSH settings of the account"))
    return extras


def _whose_logs(text: str, users: dict[str, User]) -> list[str]:
    """Whose logs a file of logrotate's speaks of: those in a home, or that are a user's."""
    homes = (owner_of(path, users) for path in re.findall(r"(?:^|\s|\")(/[^\s\"{}]+)", text))
    named = re.findall(r"^\s*(?:su|create\s+\d+)\s+(\S+)", text, re.MULTILINE)
    return [*dict.fromkeys([*(user.name for user in homes if user), *(name for name in named if name in users)])]


def _named_by_proftpd(tree: Tree) -> Iterator[str]:
    for pattern in _PROFTPD:
        for path in tree.matching(pattern):
            for number, line in enumerate(tree.lines(path), 1):
                words = line.split()
                if len(words) > 1 and words[0].lower() == "authuserfile":
                    yield words[1].strip("\"'")
                elif words and words[0].lower() == "sqlconnectinfo":
                    tree.notes.add(
                        f"{Place(path, number)}: FTP users from SQL are not understood; keep them in a file."
                    )


def dkim(domains: list[str], tree: Tree) -> list[Extra]:
    """The keys that sign mail of these domains."""
    keys = []
    for domain, path in _opendkim_keys(tree):
        if domain in domains:
            keys.append(Extra(path=path, description=f"the key that signs mail of {domain}"))
    for domain in domains:
        for folder in dict.fromkeys((_RSPAMD_KEYS, *_rspamd_folders(tree))):
            keys += [
                Extra(path=f"{folder}/{name}", description=f"the key that signs mail of {domain}")
                for name in tree.names(folder)
                if name.endswith(".key") and re.fullmatch(rf"{re.escape(domain)}\.[\w-]+\.key", name)
            ]
    return keys


def _opendkim_keys(tree: Tree) -> Iterator[tuple[str, str]]:
    settings = _settings(tree, _OPENDKIM, None)
    if "domain" in settings and "keyfile" in settings:
        yield settings["domain"].lower(), settings["keyfile"]
    table = re.sub(r"^\w+:", "", settings.get("keytable", ""))
    if table.startswith("/"):
        for _, line in logical_lines(tree.lines(table)):
            parts = line.split(None, 1)[-1].split(":", 2)
            if len(parts) == 3:
                yield parts[0].strip().lower(), parts[2].strip()


def _rspamd_folders(tree: Tree) -> Iterator[str]:
    for path in _RSPAMD:
        for match in re.finditer(
            r"^\s*path\s*=\s*\"?([^\";\n$]+)/\$domain\.\$selector\.key", tree.text(path) or "", re.MULTILINE
        ):
            yield match[1]


def _settings(tree: Tree, path: str, sign: str | None) -> dict[str, str]:
    """A file of names and values, split at a sign or a space; the names in lower case."""
    pairs = (line.split(sign, 1) for line in tree.lines(path) if line.strip()[:1] not in ("", "#"))
    return {pair[0].strip().lower(): pair[1].strip() for pair in pairs if len(pair) == 2}
