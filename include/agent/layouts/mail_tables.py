"""What Postfix and Dovecot look up of the accounts: who is here, whose mail waits, and whose is passed on."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ..account.accounts import Account, State
from ..account.mail_names import Mailbox
from ..account.mail_places import is_in
from . import mail_folders

NAMES = ("domains", "mailboxes", "aliases", "transport", "access", "passwd")
"""Postfix's tables, and Dovecot's passwd-file."""
WAIT = "4.2.1 The account is being moved; try again in a moment"
# Nobody listens on port 9 of this host: a login or a delivery fails for now, and is tried again.
NOBODY = "proxy=y host=127.0.0.1 port=9"


@dataclass(frozen=True)
class Transports:
    """How mail goes on a layout's servers. `onward`: Postfix's transport to other servers; `into`: to the mailboxes
    here; `login`: the password and the fields that Dovecot has of a mailbox whose account is "here", "later" or at an
    address."""

    onward: str
    into: str
    login: Callable[[Mailbox, str], tuple[str, str]]

    @property
    def enter_again(self) -> str:
        """Below 1024, so that no program of an account's can wait there in Postfix's place."""
        return f"{self.onward}:[127.0.0.1]:26"

    def away(self, where: str) -> str:
        """The transport of mail that does not stay here."""
        return f"retry:{WAIT}" if where == "later" else f"{self.onward}:[{_for_postfix(where)}]:25"


def route(state: State) -> str:
    """Where the account's mail goes: "here", "later", or the address of the server that has the account."""
    if state.state == "serving" or (state.state == "test" and "files" in state.test["stores"]):
        return "here"  # to a test server nobody brings mail from outside
    if state.state in ("moved", "receiving") and state.to and (state.released or state.state == "receiving"):
        return state.to
    return "later"


def mailbox_home(account: Account, mailbox: Mailbox) -> str:
    if mailbox.place:
        return mailbox.place.home
    return f"{account.home}/mail/{mailbox.domain}/{mailbox.local_part}"


def maildir_of(account: Account, mailbox: Mailbox) -> str:
    return mailbox.place.maildir if mailbox.place else f"{mailbox_home(account, mailbox)}/Maildir"


def owner_of(account: Account, mailbox: Mailbox) -> tuple[int, int]:
    """The user and the group that the mailbox's messages belong to."""
    place = mailbox.place
    if place is None or is_in(place.home, account.home):
        return account.uid, account.gid
    return mail_folders.owner_of(place.folder(mailbox.address) or place.home)


def lines(account: Account, state: State, by: Transports) -> dict[str, list[str]]:
    """The account's lines, by table."""
    lines: dict[str, list[str]] = {name: [] for name in NAMES}
    where = route(state)
    for domain in account.mail_domains:
        lines["domains"].append(f"{domain} {account.name}")
        if where == "later":
            lines["access"].append(f"{domain} 450 {WAIT}")
        if where != "here":
            lines["transport"].append(f"{domain} {by.away(where)}")
    stored_as = kept_as(account)
    addresses = [*stored_as, *stored_as.values(), *(forwarder.address for forwarder in account.forwarders)]
    lines["mailboxes"] = [f"{address} {account.name}" for address in dict.fromkeys(addresses)]
    if where == "here":
        _forward(account, stored_as, by, lines)
    for mailbox in account.mailboxes:
        for address in dict.fromkeys((mailbox.key, stored_as[mailbox.key])):
            lines["passwd"].append(login_line(account, mailbox, address, *by.login(mailbox, where)))
    return lines


def login_line(account: Account, mailbox: Mailbox, address: str, password: str, fields: str) -> str:
    """A line of a passwd-file of Dovecot's."""
    return f"{in_passwd(address)}:{password}:{account.uid}:{account.gid}::{mailbox_home(account, mailbox)}::{fields}"


def in_passwd(address: str) -> str:
    """A name as a passwd-file of Dovecot's has it, which looks one up with its quotes escaped."""
    return address.replace("'", "\\'")


def joined(accounts: Iterable[dict[str, list[str]]]) -> dict[str, str]:
    """The content of the tables, by file name."""
    tables: dict[str, list[str]] = {name: [] for name in NAMES}
    for of_account in accounts:
        for name, rows in of_account.items():
            tables.setdefault(name, []).extend(rows)
    return {name: "".join(f"{row}\n" for row in rows) for name, rows in tables.items()}


def kept_as(account: Account) -> dict[str, str]:
    """The address at which each mailbox gets its messages: its own, but where that has a forwarder (a message that
    waits for the mailbox would be forwarded once more, by the server that the account has moved to) or a plus (which
    Dovecot cuts off). No account file has a name with "/"."""
    forwarded = {forwarder.address for forwarder in account.forwarders}
    keys = [mailbox.key for mailbox in account.mailboxes]
    return {key: f"/{key.replace('+', '/')}" if "+" in key or key in forwarded else key for key in keys}


def _forward(account: Account, stored_as: dict[str, str], by: Transports, lines: dict[str, list[str]]) -> None:
    """What of the account's mail goes on to other addresses, while it is here.

    Postfix reads the aliases when a message enters its queue. What entered while the account was held or elsewhere has
    the forwarder's address still, so its delivery is to enter it again."""
    aliases, transport = lines["aliases"], lines["transport"]
    forwarded = {forwarder.address for forwarder in account.forwarders}
    caught = {forwarder.domain for forwarder in account.forwarders if forwarder.catches_all}
    for forwarder in account.forwarders:
        to = [stored_as[target] if target == forwarder.address else target for target in forwarder.to]
        aliases.append(f"{forwarder.address} {', '.join(to)}")
        transport.append(f"{forwarder.domain if forwarder.catches_all else forwarder.address} {by.enter_again}")
    for key, address in stored_as.items():
        if address != key and key not in forwarded:
            aliases.append(f"{key} {address}")
            transport.append(f"{key} {by.enter_again}")
        if key.partition("@")[2] in caught:
            aliases.append(f"{address} {address}")
            transport.append(f"{address} {by.into}")


def _for_postfix(address: str) -> str:
    return f"ipv6:{address}" if ipaddress.ip_address(address).version == 6 else address


def certificate_settings(accounts: Iterable[Account], version: str, folder: Path) -> str:
    """Dovecot's certificates by SNI, from that folder, in the words of its version ("2.3" or "2.4")."""
    blocks = []
    for account in accounts:
        for domain in account.domains:
            path = folder / f"{domain}.pem"
            if not path.is_file():
                continue
            if version == "2.3":
                settings = (f"ssl_cert = <{path}", f"ssl_key = <{path}")
            else:
                settings = (f"ssl_server_cert_file = {path}", f"ssl_server_key_file = {path}")
            blocks.append(f"local_name {domain} {{\n  {settings[0]}\n  {settings[1]}\n}}\n")
    return "".join(blocks)
