"""The mail of a host's own server: its Postfix and Dovecot ask our tables before their own.

An account that was here before us is in the host's tables, and in ours only while it is held or elsewhere; one that
came by a move is in ours alone.
"""

import grp
import ipaddress

from ...account.accounts import Account, State, all_accounts, standing
from ...account.mail_names import Mailbox
from ...host.system import CONFIG, RUNTIME, Refused, locked, refuse, run, write_if_changed
from .. import mail_folders, mail_queue, mail_tables
from ..certificates import CERTIFICATES
from ..mail_queue import flush, queue, reload_postfix
from ..mail_tables import NOBODY, Transports, route
from ..messages import SCOPE, count, differences, main, messages
from . import led_dovecot, led_postfix, mail_sessions, mail_user

__all__ = [
    "SCOPE",
    "count",
    "differences",
    "drain",
    "flush",
    "follow",
    "lay_down",
    "main",
    "make_folders",
    "messages",
    "queue",
    "render",
    "route",
    "send_from",
    "tables",
    "take_away",
]

_MAIL = CONFIG / "mail"
_PASSWORDS = ("passwd", "senders", *led_dovecot.USERS)
"""Dovecot reads them again by itself when their time or size has changed."""


def _login(mailbox: Mailbox, where: str) -> tuple[str, str]:
    if where == "here":
        return mailbox.password_hash, ""
    # Whatever password is given: after a wrong one Dovecot would ask the host's own tables, and let somebody in here.
    # No port, since this counts for POP3 and ManageSieve as well.
    return "", f"nopassword=y {NOBODY if where == 'later' else f'proxy=y host={where} starttls=any-cert'}"


BY = Transports(onward=led_postfix.ONWARD, into=led_postfix.INTO, login=_login)


def tables(accounts: list[tuple[Account, State]]) -> dict[str, str]:
    """The content of the tables, by file name; `senders`: who may send mail, which the host's tables know of the
    accounts that were here before us; USERS: the mailboxes that do not lie as usual, or have a quota."""
    named = {
        "senders": "",
        **dict.fromkeys(led_dovecot.USERS, ""),
        **mail_tables.joined(_lines(account, state) for account, state in accounts),
    }
    # The host says whose mail it takes; what waits, waits in the queue.
    del named["access"]
    return named


def _lines(account: Account, state: State) -> dict[str, list[str]]:
    where, adopted = route(state), account.adopted.exists()
    if where == "here" and adopted:
        return {}
    lines = mail_tables.lines(account, state, BY)
    if where == "here":
        lines |= _user_lines(account)
        caught = {forwarder.domain for forwarder in account.forwarders if forwarder.catches_all}
        # Wherever the host lets mail of other domains go.
        lines["transport"] += [f"{domain} {BY.into}" for domain in account.mail_domains if domain not in caught]
    else:
        # What the host's own tables have of these addresses does not count meanwhile.
        lines["aliases"] += [f"{each.address} {each.address}" for each in account.forwarders]
        addresses = [box.key for box in account.mailboxes] + [
            each.address for each in account.forwarders if not each.catches_all
        ]
        lines["transport"] += [f"{address} {BY.away(where)}" for address in dict.fromkeys(addresses)]
    if not adopted and where in ("here", "later"):
        lines["senders"] = [
            mail_tables.login_line(account, box, box.key, box.password_hash, "") for box in account.mailboxes
        ]
    return lines


def _user_lines(account: Account) -> dict[str, list[str]]:
    """What Dovecot is told of the mailboxes that do not lie as usual, or have a quota."""
    lines: dict[str, list[str]] = {release: [] for release in led_dovecot.USERS}
    stored_as = mail_tables.kept_as(account)
    for box in account.mailboxes:
        if not box.place and not box.quota:
            continue
        try:
            owner = mail_tables.owner_of(account, box)
        except (OSError, Refused):
            continue  # its folder is not what it was: nothing of its mail is lost, it waits
        for address in dict.fromkeys((box.key, stored_as[box.key])):
            for release in led_dovecot.USERS:
                lines[release].append(led_dovecot.user_line(account, box, address, owner, release))
    return lines


def make_folders(account: Account) -> None:
    """The account's folders among the mail system's, where there are none; they are the user's that this server has for
    messages."""
    if any(box.place or box.quota for box in account.mailboxes) and not account.adopted.exists():
        led_dovecot.require_users()
    mail_folders.make(account, mail_user.numbers)


def drain(account: Account, seconds: float = 5) -> None:
    """Nobody writes to the account's mailboxes any more; Dovecot must already be told to let nobody in."""
    mail_queue.drain(account, seconds)
    if account.mail_folders:
        mail_sessions.end_all(account)


def lay_down() -> None:
    """Let the host's Postfix and Dovecot ask our tables first. Can be repeated; nothing where there is no mail."""
    if led_dovecot.is_here() and not led_postfix.is_here():
        refuse(
            "mail_cannot_be_held",
            "Dovecot has mailboxes here, and their mail does not come by Postfix: no other mail server can be told to "
            "wait; install Postfix, or move accounts without mail.",
        )
    if not led_dovecot.is_here():
        return
    _write_tables()
    led_before = led_dovecot.OURS.exists()
    led_dovecot.lead_here()
    try:
        led_postfix.lead_here()
    except BaseException:
        if not led_before:
            led_dovecot.let_go()
        raise
    render(certificates=True)


def take_away() -> None:
    """The host's Postfix and Dovecot as they were; refused while they would know nothing of an account's mail."""
    for account in all_accounts():
        if account.mail_domains and not (account.adopted.exists() and route(standing(account.name)) == "here"):
            refuse(
                "account_in_the_way",
                f"Only our tables say where mail of {account.name} goes: move it home, or remove it here, first.",
            )
    led_postfix.let_go()
    led_dovecot.let_go()


def render(*, certificates: bool = False) -> None:
    """Make the mail servers follow the accounts and their states; nothing happens where nothing changed, or where there
    is no mail."""
    if not led_postfix.KEPT.exists():
        return
    if _write_tables():
        reload_postfix()
    if certificates:
        came = [account for account in all_accounts() if not account.adopted.exists()]
        settings = mail_tables.certificate_settings(came, led_dovecot.version(), CERTIFICATES)
        if write_if_changed(_MAIL / "certificates.conf", settings):
            run(["systemctl", "reload-or-restart", "dovecot.service"])


def _write_tables() -> bool:
    """Whether one of Postfix's has changed."""
    changed = False
    with locked(RUNTIME / "mail.lock"):
        _MAIL.mkdir(parents=True, exist_ok=True)
        _MAIL.chmod(0o755)  # Postfix and Dovecot read there as users of their own
        for name, content in tables([(a, standing(a.name)) for a in all_accounts()]).items():
            if name in _PASSWORDS:
                write_if_changed(_MAIL / name, content, 0o640, (0, grp.getgrnam("dovecot").gr_gid))
            else:
                changed |= write_if_changed(_MAIL / name, content)
    return changed


def follow(account: Account) -> None:
    """Make the mail servers follow the state of this account: what a hold, a return or a release changes of it."""
    if account.mail_domains:
        render()


def send_from(addresses: list[str]) -> None:
    """Let mail to the world leave by these service addresses, the first of each family; not where the host itself has
    said by which."""
    first = {4: "", 6: ""}
    for address in reversed(addresses):
        first[ipaddress.ip_address(address).version] = address
    with locked(RUNTIME / "mail.lock"):
        led_postfix.send_from(first)
