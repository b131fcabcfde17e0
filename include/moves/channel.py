"""The channel of one move: a key pair that only this move may use, from the account's server to its next one.

The tasks that open and close it are called open_path and close_path; runs under way know them by these ids.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psycopg

from include import registry
from include.agent import verbs
from include.agent.account.engines import DECLARED
from include.agent.verbs.described import Description, Entry
from include.agent.verbs.reports import Copied, Switched
from include.facts import MoveFacts, Peer, TestFacts
from include.hosts import AgentError, Host, ended
from include.registry.states import MoveState


def without_secrets(description: Description) -> Description:
    """A server's description as the registry may keep it."""
    return replace(
        description,
        accounts=[entry_without_secrets(entry) for entry in description.accounts],
        parts=[entry_without_secrets(entry) for entry in description.parts],
    )


def entry_without_secrets(entry: Entry) -> Entry:
    """What is said of an account, without its file, which holds the mailboxes' password hashes. What is `stated` in it
    of the account's uid and mail stays."""
    rest = {key: value for key, value in entry.items() if key != "account_file"}
    return {**rest, "stated": stated(entry["account_file"])} if "account_file" in entry else rest


def stated(account_file: dict[str, Any]) -> dict[str, Any]:
    """What a server says of an account that others would suffer from if it were made up: {"uid", "mail_domains"}."""
    return {
        "uid": account_file.get("uid"),
        "mail_domains": sorted(account_file.get("mail", {}).get("domains", [])),
    }


def require_as_known(account: str, server: str, confirmed: dict[str, Any] | None, account_file: dict[str, Any]) -> None:
    """Refuse an account file that claims more than the registry has of the account: another uid, or mail of domains
    that nobody has confirmed. The server that it came from may have been taken over, and the next one would believe it:
    it would keep its other customers' mail to such a domain to itself."""
    if confirmed is None:
        return
    says = stated(account_file)
    if more := sorted({*says["mail_domains"]} - {*confirmed["mail_domains"]}):
        claim = f"that mail to {more[0]!r:.260} is {account}'s"
    elif says["uid"] != confirmed["uid"]:
        claim = f"that the uid of {account} is {says['uid']!r:.20}"
    else:
        return
    raise registry.RegistryRefused(
        f"{server} says {claim}, which is not so in the registry. Find out who has changed that there. If it is right, "
        f"type: python -m include.registry confirm DSN {account} --by YOU; then clear the run."
    )


def may_begin(
    conn: psycopg.Connection,
    account: str,
    run_id: str,
    begin_move: Callable[[], registry.Move],
    reach: Callable[[str], Host],
) -> None:
    """Refused when anything is known against the move, but for its having to wait its turn. Nothing begins."""
    to_move = registry.account(conn, account)
    lives_on = to_move.server
    live = registry.live_move_of(conn, account)
    if live is not None and live.run_id == run_id:
        return
    # What the registry has against it comes first: a server that is not handed over yet cannot be reached.
    to = []
    with conn.transaction(force_rollback=True), suppress(registry.Busy):
        to.append(begin_move().to_server)
    with ThreadPoolExecutor() as both:
        # It has to answer.
        reached = [both.submit(reach(server).call, verbs.Status(operation="reached")) for server in to]
        here = serving_there(reach(lives_on), to_move, "move")
    for answer in reached:
        answer.result()
    # Its sites may have changed since the registry last heard of them, and names follow their account.
    registry.sync_accounts(conn, lives_on, [entry_without_secrets(here)])


def serving_there(host: Host, account: registry.Account, to: str) -> dict[str, Any]:
    """What its server says of an account that it serves; refused when it does not, since it is to `to` ("move")."""
    here = entry_of(host, account.login)
    if here is None or here["state"] != "serving":
        raise registry.RegistryRefused(
            f"{account.name} is not ready to {to}: on {account.server} it is {here['state'] if here else 'unknown'}, "
            "not serving. Look at that server first."
        )
    return here


def open_channel(conn: psycopg.Connection, move: MoveFacts | TestFacts, reach: Callable[[str], Host]) -> Peer:
    """Pairs the two servers for the move, or the test, and lets the target receive the account.

    Gives the peer as the source's verbs want it. May be repeated at any point of a move; one that has arrived is not
    received again.
    """
    from_, to = registry.server(conn, move.from_server), registry.server(conn, move.to_server)
    source, target = reach(from_.name), reach(to.name)
    pinned = registry.certain(to.host_key)
    peer = Peer(to.management_address, [pinned])
    engine = move.engine if isinstance(move, MoveFacts) else None
    only = move.only if isinstance(move, TestFacts) else None
    arrives_as = f"{move.login}.{engine}" if engine else move.login
    with ThreadPoolExecutor() as both:
        own, arrived = both.map(entry_of, (source, target), (move.login, arrives_as))
    if arrived is not None and arrived["state"] in ("serving", "test") and arrived["epoch"] == move.epoch:
        return peer
    if own is None:
        raise registry.RegistryRefused(
            f"{move.account} is not on {from_.name}, where the registry has it: find out where it went."
        )
    require_as_known(move.account, from_.name, registry.account(conn, move.account).stated, own["account_file"])
    # A test holds nothing: it does not end what another attempt has begun.
    attempt = move.epoch if isinstance(move, MoveFacts) else None
    public_key = source.call(verbs.Pair(move=move.key, account=move.login, epoch=attempt)).public_key
    received = target.call(
        verbs.Receive(
            move=move.key,
            account=move.login,
            epoch=move.epoch,
            account_file=databases_only(own["account_file"], only) if only else own["account_file"],
            source_address=from_.management_address,
            public_key=public_key,
            engine=engine,
        )
    )
    if pinned not in received.host_keys:
        raise registry.RegistryRefused(
            f"{to.name} names another host key than the one that is pinned: find out why before anything is sent there."
        )
    return peer


def databases_only(account_file: dict[str, Any], engine: str) -> dict[str, Any]:
    """The file of an account that is nothing but the databases of one engine."""
    nothing = {
        "sites": [],
        **{each.name: {key: [] for key in each.lists} for each in DECLARED},
        "mail": {"domains": [], "mailboxes": []},
    }
    kept = {key: value for key, value in account_file.items() if key not in ("extras", "provisioned")}
    return {**kept, **nothing, engine: account_file[engine]}


def close_channel(conn: psycopg.Connection, move: MoveFacts, reach: Callable[[str], Host]) -> str:
    """Ends the move and takes its keys off both servers; before the commit the account goes back into service.

    Gives the state in which the registry now has the move: `done` or `returned`. A move that the source has
    committed but that did not get to its end keeps its channel: RegistryRefused says that the run must go forward.
    Nothing happens when a later attempt has begun: the channel is that one's.
    """
    source, target = reach(move.from_server), reach(move.to_server)
    recorded = registry.move(conn, move.id)
    if recorded.epoch != move.epoch:
        return recorded.state
    if recorded.state not in (MoveState.COMMITTED, MoveState.DONE, MoveState.RETURNED):
        _give_up(source, move)
    end = MoveState.DONE if recorded.state in (MoveState.COMMITTED, MoveState.DONE) else MoveState.RETURNED
    for server in (source, target):
        server.call(verbs.Unpair(move=move.key, epoch=move.epoch))
    registry.advance_move(conn, move.id, end, epoch=move.epoch)
    return end


def _give_up(source: Host, move: MoveFacts) -> None:
    """Before the commit the source ends the attempt: it promises that nothing which still runs there commits it."""
    if committed_on(source, move):
        raise registry.RegistryRefused(
            f"{move.account} has left {move.from_server} for good but its move is not finished: "
            "clear this run, it goes forward from there."
        )
    answer = source.call(verbs.Return(account=move.login, move=move.key, epoch=move.epoch))
    if answer.state == "moved":
        raise registry.RegistryRefused(
            f"{move.from_server} says that {move.account} has left it by another move: find out where it lives."
        )


def committed_on(source: Host, move: MoveFacts) -> bool:
    """Whether the source itself says that the account, or its databases of an engine, have left it with this move."""
    return departure(source, move) is not None


def departure(source: Host, move: MoveFacts) -> dict[str, Any] | None:
    """What the source says of the account, or of its databases of an engine, that have left it with this move; None
    while they have not."""
    here = entry_of(source, move.login)
    if here is None:
        return None
    if (here["state"], here["move"]) == ("moved", move.key):
        return here
    return next((part for part in here.get("engines", {}).values() if part["move"] == move.key), None)


def record(
    conn: psycopg.Connection,
    move: MoveFacts,
    switched: Switched | None,
    copied: Copied | None,
    source: Host,
) -> Switched | None:
    """Records that the account lives on the target, with the figures of copy and switch; the latter are given.

    Refused when the source itself does not call the switch done, whatever the run says. `switched`: the figures as
    the switch's task gave them; None where a person has marked it as a success, and the source is asked for them."""
    if registry.move(conn, move.id).state in (MoveState.COMMITTED, MoveState.DONE):
        return switched
    left = departure(source, move)
    if left is None or not left["released"]:
        raise registry.RegistryRefused(
            f"{move.account} has not moved: {move.from_server} itself says so, whatever the switch is marked as. "
            "Clear this run from the switch on."
        )
    if switched is None:
        switched = _switched(source, move)
    figures = registry.Figures(
        copy=copied or Copied(),
        longest_wait_seconds=move.longest_wait_seconds,
        switch=switched or Switched(),
    )
    # However late the registry learns of it: what is billed ends when the account left.
    at = datetime.fromtimestamp(left["since"], UTC)
    registry.advance_move(conn, move.id, MoveState.COMMITTED, figures, committed_at=at, epoch=move.epoch)
    return switched


def _switched(source: Host, move: MoveFacts) -> Switched | None:
    """What the switch gave, as its server still knows it; None where it knows nothing that can be believed: the account
    has left all the same, and its move is not called verified."""
    id = operation(move, verbs.Switch.name)
    status = source.call(verbs.Status(operation=id))
    try:
        return ended(id, verbs.Switch, status)
    except AgentError:
        return None


def operation(move: MoveFacts, verb: str) -> str:
    """The id of the operation that does this step of the move, whichever run asks for it."""
    return f"{move.key}-e{move.epoch}-{verb}"


def entry_of(host: Host, login: str) -> dict[str, Any] | None:
    """What the server says of one account, or of a part of one ("shop.postgresql"); None when it does not know it."""
    description = host.call(verbs.Describe())
    return next((entry for entry in [*description.accounts, *description.parts] if entry["account"] == login), None)
