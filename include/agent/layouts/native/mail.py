"""The mail of a server: Postfix's and Dovecot's tables, the queue, and the messages of an account's mailboxes."""

import grp
import ipaddress

from ...account.accounts import Account, State, all_accounts, standing
from ...account.mail_names import Mailbox
from ...host.system import CONFIG, RUNTIME, locked, refuse, run, write_if_changed
from .. import mail_tables
from ..certificates import CERTIFICATES
from ..mail_queue import drain, flush, queue, reload_postfix
from ..mail_tables import NOBODY, Transports, route
from ..messages import SCOPE, count, differences, main, messages

__all__ = [
    "SCOPE",
    "count",
    "differences",
    "drain",
    "flush",
    "follow",
    "main",
    "make_folders",
    "messages",
    "queue",
    "render",
    "route",
    "send_from",
    "tables",
]

_MAIL = CONFIG / "mail"
_SENT_FROM = {4: "sent_from_address", 6: "sent_from_address6"}
"""Settings of main.cf, by the IP version."""


def _login(mailbox: Mailbox, where: str) -> tuple[str, str]:
    if where in ("here", "later"):
        return mailbox.password_hash, "" if where == "here" else NOBODY
    # The new server checks the password, since it may have been changed there.
    return "", f"nopassword=y proxy=y host={where} port=143 starttls=any-cert"


BY = Transports(onward="smtp", into="lmtp:unix:private/dovecot-lmtp", login=_login)


def tables(accounts: list[tuple[Account, State]]) -> dict[str, str]:
    """The content of Postfix's five tables and Dovecot's passwd-file, by file name."""
    return mail_tables.joined(mail_tables.lines(account, state, BY) for account, state in accounts)


def render(*, certificates: bool = False) -> None:
    """Make the mail servers follow the accounts and their states; nothing happens where nothing changed."""
    with locked(RUNTIME / "mail.lock"):
        accounts = all_accounts()
        changed = False
        for name, content in tables([(a, standing(a.name)) for a in accounts]).items():
            if name == "passwd":
                # Dovecot reads this one again by itself when its time or size has changed.
                write_if_changed(_MAIL / name, content, 0o640, (0, grp.getgrnam("dovecot").gr_gid))
            else:
                changed |= write_if_changed(_MAIL / name, content)
        if changed:
            reload_postfix()
        if certificates:
            version = ".".join(run(["dovecot", "--version"]).stdout.decode().split(".")[:2])
            settings = mail_tables.certificate_settings(accounts, version, CERTIFICATES)
            if write_if_changed(_MAIL / "certificates.conf", settings):
                run(["systemctl", "reload-or-restart", "dovecot.service"])


def send_from(addresses: list[str]) -> None:
    """Let mail to the world leave by these service addresses, the first of each family; of a family that has none, by
    the address that this server reaches the world with. Mail between servers is not meant: see Postfix's main.cf."""
    first = {family: "" for family in _SENT_FROM}
    for address in reversed(addresses):
        first[ipaddress.ip_address(address).version] = address
    settings = [f"{_SENT_FROM[family]} = {address}".rstrip() for family, address in first.items()]
    with locked(RUNTIME / "mail.lock"):
        in_force = run(["postconf", *_SENT_FROM.values()]).stdout.decode().splitlines()
        if [line.rstrip() for line in in_force] != settings:
            run(["postconf", "-e", *settings])
            reload_postfix()


def make_folders(account: Account) -> None:
    """In this layout all messages lie in homes."""
    for box in account.mailboxes:
        if box.place or box.quota:
            refuse(
                "no_such_place",
                f"The mailbox {box.address} lies outside of the home, or has a quota, which this server has no place"
                " for; choose a server of the classic layout.",
            )


def follow(account: Account) -> None:
    """Make the mail servers follow the state of this account: what a hold, a return or a release changes of it."""
    if account.mail_domains:
        render()
