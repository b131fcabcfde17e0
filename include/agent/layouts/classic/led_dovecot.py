"""The host's Dovecot, led to our file of log-ins: it is asked first, and knows only who came here, is held, or left.

One file beside the host's own says so; the host's users, files and SQL stay as they are.
"""

from __future__ import annotations

import re
from pathlib import Path

from ...account.accounts import Account
from ...account.mail_names import Mailbox
from ...host.system import CONFIG, Refused, refuse, run, write_durably
from .. import mail_tables

MAIN = Path("/etc/dovecot/dovecot.conf")
OURS = MAIN.parent / "conf.d/00-transhumance.conf"
"""Read before the host's own, whose users are therefore asked after ours."""
_MAIL = CONFIG / "mail"
USERS = ("users-2.3", "users-2.4")
"""Of mailboxes that do not lie as usual, or have a quota, in the words of either release: asked before the others."""
_FILES = {
    # Whoever sends mail (service smtp) is asked for a password always: elsewhere the server that has the account asks.
    "2.3": f"""\
passdb {{
  driver = passwd-file
  args = username_format=%u {_MAIL}/%{{if;%s;eq;smtp;senders;passwd}}
}}
userdb {{
  driver = passwd-file
  args = username_format=%u {_MAIL}/users-2.3
}}
userdb {{
  driver = passwd-file
  args = username_format=%u {_MAIL}/passwd
  override_fields = mail=maildir:~/Maildir
}}
""",
    "2.4": f"""\
passdb transhumance {{
  driver = passwd-file
  passwd_file_path = {_MAIL}/%{{protocol | if('eq', 'smtp', 'senders', 'passwd')}}
}}
userdb transhumance_users {{
  driver = passwd-file
  passwd_file_path = {_MAIL}/users-2.4
}}
userdb transhumance {{
  driver = passwd-file
  passwd_file_path = {_MAIL}/passwd
  fields {{
    mail_driver = maildir
    mail_path = ~/Maildir
    mail_inbox_path = ~/Maildir
  }}
}}
""",
}
_FOR_ALL = f"""\
# Dovecot's own and what else an account's mailbox, or a forwarder's, may be named.
auth_username_chars = abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_@+/'&=~^#*?`{{|}}$
# A held or moved account's entry says so here too, so a delivery that began early ends in "try again".
lmtp_proxy = yes
service lmtp {{
  unix_listener /var/spool/postfix/private/transhumance-lmtp {{
    mode = 0600
    user = postfix
    group = postfix
  }}
}}
!include_try {_MAIL}/certificates.conf
"""


def is_here() -> bool:
    return MAIN.exists()


def version() -> str:
    """Its first two numbers."""
    return ".".join(run(["dovecot", "--version"]).stdout.decode().split(".")[:2])


def content(release: str) -> str:
    """Our file, in the words of that release."""
    if release not in _FILES:
        refuse("unknown_dovecot", f"Dovecot {release!r:.20} is not known: use one of {', '.join(_FILES)}.")
    return _FILES[release] + _FOR_ALL


def user_line(account: Account, mailbox: Mailbox, address: str, owner: tuple[int, int], release: str) -> str:
    """What one of USERS has of a mailbox."""
    place, quota = mailbox.place, mailbox.quota
    maildir, layout = (place.maildir, place.layout) if place else ("~/Maildir", "")
    if release == "users-2.3":
        fields = [f"userdb_mail=maildir:{maildir}{f':LAYOUT={layout}' if layout else ''}"]
        if quota:
            rule = {"bytes": quota.bytes, "messages": quota.messages}
            rules = ":".join(f"{name}={value}" for name, value in rule.items() if value is not None)
            fields.append(f"userdb_quota_rule=*:{rules}")
    else:
        fields = ["userdb_mail_driver=maildir", f"userdb_mail_path={maildir}", f"userdb_mail_inbox_path={maildir}"]
        fields += [f"userdb_mailbox_list_layout={layout}"] if layout else []
        if quota:
            sizes = {"quota_storage_size": quota.bytes, "quota_message_count": quota.messages}
            fields += [f"userdb_{name}={_limit(value)}" for name, value in sizes.items() if value is not None]
    home = mail_tables.mailbox_home(account, mailbox)
    return f"{mail_tables.in_passwd(address)}::{owner[0]}:{owner[1]}::{home}::{' '.join(fields)}"


def _limit(value: int) -> str:
    return str(value) if value else "unlimited"


def require_users() -> None:
    """Refuse mailboxes that Dovecot would not be told of."""
    if not OURS.exists() or USERS[0] not in (text := OURS.read_text()) and USERS[1] not in text:
        refuse(
            "not_prepared",
            "Dovecot here is not told yet where messages outside of homes lie: prepare this server again.",
        )


def lead_here() -> None:
    """Make Dovecot ask our file first; it has to be there. Can be repeated."""
    text = content(version())
    if OURS.exists() and OURS.read_text() == text:
        return
    before = OURS.read_text() if OURS.exists() else None
    OURS.parent.mkdir(exist_ok=True)
    write_durably(OURS, text, 0o644)
    try:
        _require_led(_doveconf("-n"), _doveconf("protocols"))
    except Refused:
        if before is None:
            OURS.unlink()
        else:
            write_durably(OURS, before, 0o644)
        raise
    _reload()


def let_go() -> None:
    if OURS.exists():
        OURS.unlink()
        _reload()


def _doveconf(word: str) -> str:
    return run(["doveconf", "-c", str(MAIN), word]).stdout.decode(errors="replace")


def _require_led(settings: str, protocols: str) -> None:
    """Refuse what keeps ours from being asked first, by what doveconf prints."""
    lines = [line.strip() for line in settings.splitlines()]
    first = next((number for number, line in enumerate(lines) if line.startswith("passdb")), len(lines))
    if not any(str(_MAIL) in line for line in lines[first : first + 4]):
        refuse(
            "dovecot_not_led",
            f"Dovecot does not ask {OURS} first: write !include conf.d/*.conf into {MAIN}, before any passdb, and "
            "prepare again.",
        )
    if not re.search(r"\blmtp\b(?! = no)", protocols):
        refuse("no_lmtp", "Dovecot here takes no mail by LMTP: type apt-get install dovecot-lmtpd, and prepare again.")
    for setting in ("auth_username_chars", "lmtp_proxy"):
        ours = next(line for line in _FOR_ALL.splitlines() if line.startswith(setting)).partition("= ")[2]
        for line in lines:
            name, _, value = line.partition(" = ")
            if name == setting and value.strip('"').replace("\\'", "'") not in ("", ours):
                refuse(
                    "dovecot_not_led",
                    f"A file of Dovecot's sets {setting} after {OURS}: take that line out, and prepare again.",
                )


def _reload() -> None:
    """Whoever is connected stays so."""
    run(["systemctl", "reload-or-restart", "dovecot.service"])
