"""A host's own provisioning: executables that the host puts into STEPS, one for each step that it does itself.

`discover` says who lives here and `provision` makes an account exist, in the place of ours. `close` and `open` come
beside our front, which does the same all the same: a program of the host's holds nobody longer than the front would,
and proves nothing. docs/steps.md is the contract.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any

from ..account.accounts import Account, all_accounts
from ..host import server_role
from ..host.codec import Most, decode
from ..host.digest import printable
from ..host.own_programs import OwnProgram
from ..host.shapes import Strange, each, named, parsed, sentence, tree
from ..host.system import CONFIG, Refused, refuse
from ..verbs import discovered

if TYPE_CHECKING:
    from .classic.reading.tree import Tree

STEPS = CONFIG / "steps"
SECONDS = {"discover": 600.0, "provision": 60.0, "close": 0.5, "open": 0.5}
"""How long each may take; visitors wait for the last two."""
KILOBYTES = {"discover": 32 << 10, "provision": 64, "close": 64, "open": 64}
"""How much each may say."""
MOST_ACCOUNTS = 10_000
_ACCOUNT_KEYS = 100


@dataclass(frozen=True, kw_only=True)
class Inhabited:
    """What `discover` answers: account files, and what a person should know besides."""

    accounts: Annotated[list[dict[str, Any]], each(named(tree(), _ACCOUNT_KEYS), MOST_ACCOUNTS)]
    unclear: Annotated[list[Annotated[str, sentence(1000)]], Most(MOST_ACCOUNTS)] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Done:
    """What the other steps answer: an object, of which nothing is read yet."""


# --- which there are ---


def _program(step: str) -> OwnProgram:
    return OwnProgram("step", STEPS / step)


def has(step: str) -> bool:
    """Whether the host does this step itself here."""
    return _program(step).is_there()


def present() -> list[str]:
    """The steps that the host does itself here."""
    return [step for step in SECONDS if has(step)]


def wrong() -> list[str]:
    """What is wrong with what lies there, and who still waits for an `open` that failed: a sentence each."""
    sentences = []
    for name in sorted(os.listdir(STEPS)) if STEPS.is_dir() else ():
        if name not in SECONDS and not name.startswith("."):
            steps = ", ".join(SECONDS)
            sentences.append(f"{STEPS}/{printable(name)} is no step; the steps are {steps}: rename it, or remove it.")
    for step in present():
        try:
            _program(step).require_roots()
        except Refused as error:
            sentences.append(error.message)
    sentences += _without_open()
    for account in all_accounts():
        if why := _why_shut(account):
            sentences.append(f"Visitors of {account.name} may still be kept waiting. {why}")
    return sentences


def _without_open() -> list[str]:
    if not has("close") or has("open"):
        return []
    return [f"There is {STEPS}/close, and no {STEPS}/open that undoes it: put that there too, or remove the first."]


def _ask(step: str, answer: Any, given: dict[str, Any], seconds: float | None = None) -> Any:
    """What the host's program for this step answers, as this type; refused with its own line, or why it is none."""
    program, limit = _program(step), SECONDS[step]
    output = program.run(
        {"step": step, **given}, limit if seconds is None else min(limit, seconds), KILOBYTES[step] << 10
    )
    try:
        return decode(answer, parsed(output))
    except Strange as strange:
        refuse(
            "step_failed", f"What the host's step {program.path} answers is not what it must be{strange}: correct it."
        )


# --- discover ---


def discover(read: discovered.Inhabitants, tree: Tree) -> discovered.Inhabitants:
    """Who lives here by the host's own word. Whom that names it describes; who was `read` besides stays as they are."""
    if not has("discover"):
        return read
    answer: Inhabited = _ask("discover", Inhabited, {})
    by_name = {account.name: account for account in read.accounts}
    unclear, described = [*answer.unclear], set[str]()
    for file in answer.accounts:
        name = printable(str(file.get("account")))[:80]
        try:
            account = Account.from_json(file)
        except Refused as error:
            why = f"{STEPS}/discover names {name}: {error.message}"
            if name in by_name:
                by_name[name] = replace(by_name[name], unfit=[why[:1000]])
            else:
                unclear.append(why[:1000])
            continue
        if name in described:
            unclear.append(f"{STEPS}/discover names {name} twice: the last counts; name it once.")
        described.add(name)
        by_name[name] = _by_own_word(account, by_name.get(name), tree)
    accounts = [by_name[name] for name in sorted(by_name)]
    return discovered.Inhabitants(accounts=accounts, unclear=[*unclear, *read.unclear][:MOST_ACCOUNTS])


def _by_own_word(account: Account, read: discovered.Discovered | None, tree: Tree) -> discovered.Discovered:
    """An account as the host says it. Where its messages lie and where its PHP listens the configuration says, if that
    was `read`: what lies elsewhere would not be carried, or held."""
    from .classic import extras, pools_of_host

    unfit: list[str] = []
    if read is not None:
        unfit += _messages_elsewhere(read, account) if read.account_file is not None else read.unfit
        unfit += pools_of_host.at_ports(account.name, (pool.listen for pool in read.pools))
    carried = extras.carried(account, tree, unfit.append)
    unfit += [
        f"{path} does not go over: leave it out of the extras, and let provision make it."
        for path in account.extras
        if path not in carried
    ]
    sites = [
        discovered.Site(
            names=[site.domain, *site.aliases],
            served_by="host",
            root=f"{account.home}/{site.root or ''}",
            behind=[],
            certificates=[],
            place=f"{STEPS}/discover",
        )
        for site in account.sites
    ]
    return discovered.Discovered(
        name=account.name,
        uid=account.uid,
        gid=account.gid,
        home=account.home,
        shell=account.shell,
        sites=sites,
        account_file=account.to_json(),
        unfit=[printable(sentence)[:1000] for sentence in unfit],
    )


def _messages_elsewhere(account: discovered.Discovered, named: Account) -> list[str]:
    """Which messages would not be carried, or not belong to the account; where it is `named` with a place for a
    mailbox, they are carried from there."""
    sentences, placed = [], {mailbox.key for mailbox in named.mailboxes if mailbox.place}
    for box in account.mailboxes:
        if box.address.lower() in placed:
            continue
        local, _, domain = box.address.partition("@")
        usual = f"{account.home}/mail/{domain}/{local}"
        folder = box.folder.partition(":")[2] or box.folder
        if folder and not f"{os.path.normpath(folder)}/".startswith(f"{usual}/"):
            sentences.append(f"The messages of {box.address} lie in {box.folder}, not in {usual}/Maildir; move them.")
        if box.owner is not None and box.owner != account.uid:
            sentences.append(f"The messages of {box.address} belong to the user {box.owner}, not to {account.name}.")
    return sentences


# --- provision ---


def provision(account: Account) -> None:
    """Have the host make the account exist here, or bring it up to date."""
    _ask("provision", Done, {"account": account.to_json(), "wanted": True, "test": _is_for_tests()})


def take_away(account: Account) -> None:
    """Have the host take away what it has made of an account that is removed here."""
    if has("provision"):
        _ask("provision", Done, {"account": account.to_json(), "wanted": False, "test": _is_for_tests()})


def _is_for_tests() -> bool:
    return server_role.domain() is not None


# --- close and open ---


def rehearse(account: Account, *steps: str) -> float:
    """Ask those of these steps that the host has, which are to change nothing yet: what does not answer as it must is
    refused before anybody waits. Gives the seconds that they took."""
    for why in _without_open():
        refuse("step_failed", why)
    asked = [step for step in steps if has(step)]
    began = time.monotonic()
    for step in asked:
        _ask(step, Done, _of_visitors(account, None, rehearsal=True))
    return time.monotonic() - began if asked else 0.0


def close(account: Account, seconds: float) -> None:
    """Have the host keep visitors waiting; not for longer than what is left of the hold."""
    if has("close"):
        _ask("close", Done, _of_visitors(account, None), seconds)


def expect_open(account: Account) -> None:
    """From here on visitors may be kept waiting, until `let_in` has done all of it. As durable as the state that is
    written next, which lies beside it."""
    if not account.part:
        account.shut.write_text("")


def let_in(account: Account, to: str | None) -> None:
    """Have the host let visitors in here, or go on to where the account is by now. What fails is kept, and tried again
    by whoever asks `waits`: the account serves all the same, and nobody of ours waits for the host's program."""
    try:
        for why in _without_open():
            refuse("step_failed", why)
        if has("open"):
            _ask("open", Done, _of_visitors(account, to))
    except Refused as error:
        print(error.message, file=sys.stderr)
        with suppress(OSError):  # of a full disk: that it is there counts
            account.shut.write_text(error.message)
    else:
        account.shut.unlink(missing_ok=True)


def waits(account: Account) -> bool:
    """Whether visitors may still be kept waiting although the account is not held."""
    return account.shut.exists()


def _why_shut(account: Account) -> str:
    try:
        return printable(account.shut.read_text(errors="replace")[:1000])
    except FileNotFoundError:
        return ""


def _of_visitors(account: Account, to: str | None, *, rehearsal: bool = False) -> dict[str, Any]:
    return {"account": account.name, "hosts": account.hosts, "to": to, "rehearsal": rehearsal}
