"""Where a server or an account stands: a word, a sentence, what happens next, who must act, how far it is.

Words are the registry's own (see docs/states.md); an account's are those of `ACCOUNT_STATES`, since it may be in a
test, in a move, or simply away from its own server.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

import psycopg

from include import registry
from include.compatibility.report import blockers
from include.registry import states
from include.registry.kinds import ServerKind
from include.registry.queries import panel
from include.registry.states import MigrationState, TestState

Who = Literal["customer", "host", "nobody"]

ACCOUNT_STATES = {
    "serving": "It serves from its own server; nothing is under way.",
    "testing": "A copy of it is being made on the new version and looked at; the account itself serves on.",
    "tested": "It was tested, and nothing stops its migration; the account itself serves on.",
    "not_tested": "It was to be tested and was not; the account itself serves on, untouched.",
    "blocked": "Something was found that stops its migration; the account itself serves on.",
    "moving": "It is being moved; it serves on, and waits for a moment at the switch-over.",
    "away": "It serves from the transit until its own server is reinstalled.",
    "waiting": "It was asked to be performed and waits for its turn; it serves on.",
    "not_moved": "It was to be moved and was not; it serves from where it was, and nothing is lost.",
    "differs": "It was moved, and serves; something looks different from before.",
}
SERVER_STATES = {
    "serving": "It serves; nothing is under way.",
    **{state.name: state.sentence for state in states.MIGRATION.states if state.name not in states.MIGRATION.final()},
}
"""Every word that a server's state can be, with what it means."""

# What comes after each state of a migration that needs nobody.
NEXT: dict[str, str] = {
    MigrationState.CHECKING: "A transit is asked for.",
    MigrationState.INSTALLING_TRANSIT: "The transit is handed over, and its free days start.",
    MigrationState.ACCOUNTS_MOVED: "Names and IPs are led to the transit.",
    MigrationState.REROUTED: "The server is proven to be empty, then reinstalled.",
    MigrationState.ORIGINAL_EMPTY: "The server is reinstalled.",
    MigrationState.REINSTALLING: "The reinstalled server is checked; then the accounts move home.",
    MigrationState.REINSTALLED: "The accounts move home, one after the other.",
    MigrationState.ACCOUNTS_HOME: "Names and IPs are led home.",
    MigrationState.HOME: "The transit is wiped and goes back to the pool.",
}
LOOKED_AT = "A step did not succeed: the host looks at it and goes on from there."
THE_HOST = "The host looks at it and goes on from there."


@dataclass(frozen=True)
class Progress:
    """How far something is: `done` of `of` steps, and when its end is expected (None when that cannot be told)."""

    done: int
    of: int
    expected_end: datetime | None = None


@dataclass(frozen=True)
class Status:
    """`state` is a word, `sentence` what it means, `next` what happens next and `waits_for` who must act for it."""

    state: str
    sentence: str
    next: str
    waits_for: Who
    progress: Progress | None = None


Failed = Callable[[str, str], bool | None]
"""Says whether the run (DAG id, run id) has failed: then the host must act, whatever would come next. None: there is no
such run any more."""


def of_server(
    conn: psycopg.Connection, server: registry.Server, migration: registry.Migration | None, failed: Failed
) -> Status:
    """Where a server stands; `migration` is its live one."""
    if migration is None:
        return _idle(conn, server, failed)
    status = Status(migration.state, SERVER_STATES[migration.state], NEXT.get(migration.state, ""), "nobody")
    done = states.MIGRATION.path.index(migration.state)
    progress = Progress(done, len(states.MIGRATION.path) - 1, _expected_end(conn, migration))
    if migration.state == MigrationState.WAITING_FOR_TRANSIT:
        status = replace(status, next=_queue(conn, migration), waits_for="host")
    elif migration.state == MigrationState.HANDED_OVER:
        status = _performing(conn, migration, status)
    elif migration.state == MigrationState.ORIGINAL_EMPTY and registry.proof_of_emptiness(conn, migration.id).asks:
        if registry.approved_by(conn, migration.id) is None:
            status = replace(status, next="The host agrees to the reinstall; then it goes on.", waits_for="host")
    if failed("migrate_server", migration.run_id):
        status = replace(status, next=_what_failed(conn, migration), waits_for="host")
    return replace(status, progress=progress)


def _what_failed(conn: psycopg.Connection, migration: registry.Migration) -> str:
    """Why the run of a migration has failed: of the way home, which accounts did not get there, and why."""
    if migration.state == MigrationState.REINSTALLED:
        away = registry.accounts_not_on(conn, migration.id, migration.server)
        failures = {name: panel.last_failure(conn, name) for name in away}
        sentences = [
            f"{name} did not move home: {_sentence_of(failure.why)}" for name, failure in failures.items() if failure
        ]
        if sentences:
            return " ".join([*sentences[:5], THE_HOST])
    return _looked_at(registry.why_run_failed(conn, migration.run_id))


def _looked_at(why: str | None) -> str:
    return LOOKED_AT if why is None else f"A step did not succeed: {_sentence_of(why)} {THE_HOST}"


def _idle(conn: psycopg.Connection, server: registry.Server, failed: Failed) -> Status:
    status = Status("serving", SERVER_STATES["serving"], "Nothing is due.", "nobody")
    entry = next(iter(panel.open_to_server(conn, server.name)), None)
    if entry is None:
        return status
    refused = panel.refused_migration(conn, server.name)
    if refused is not None and failed(refused.dag, refused.run_id) is not False:
        return replace(status, next=f"{_sentence_of(refused.why)} Ask for a transit again then.", waits_for="customer")
    missing = registry.untested(conn, server.name, entry.name)
    if missing:
        more = f" And {len(missing) - 5} more." if len(missing) > 5 else ""
        return replace(status, next=f"{' '.join(missing[:5])}{more}", waits_for="customer")
    return replace(status, next=f"Ask for a transit: {_due(entry)}.", waits_for="customer")


def _due(entry: registry.Entry) -> str:
    """What an entry is, and until when it can be chosen."""
    if entry.deadline is None:
        return f"{entry.title} is open"
    then = "then it is performed by the host" if entry.mandatory else "then it is closed"
    return f"{entry.title} is open until {entry.deadline}; {then}"


def _expected_end(conn: psycopg.Connection, migration: registry.Migration) -> datetime | None:
    if not states.MIGRATION.there_or_past(migration.state, MigrationState.ACCOUNTS_MOVED):
        return None  # it is the customer's to say
    usual = panel.usual_rest(conn, migration.state)
    return None if usual is None else max(migration.state_since + usual, datetime.now(UTC))


def _queue(conn: psycopg.Connection, migration: registry.Migration) -> str:
    place = registry.place_in_queue(conn, migration.id)
    if place is None:
        return NEXT[MigrationState.CHECKING]
    when = f"{place.estimate:%Y-%m-%d}" if place.estimate else "at a time that cannot be told yet"
    return f"Place {place.place} of {place.of} in the queue: a transit is expected {when}."


def _performing(conn: psycopg.Connection, migration: registry.Migration, status: Status) -> Status:
    left = registry.accounts_not_on(conn, migration.id, registry.certain(migration.transit))
    moving = panel.live_moves(conn, left)
    waiting = [name for name in left if name not in moving]
    if waiting:
        return replace(status, next=f"Perform what still lives on the server: {_names(waiting)}.", waits_for="customer")
    if left:
        return replace(status, next=f"The last accounts arrive on the transit: {_names(left)}.")
    return replace(status, next=NEXT[MigrationState.ACCOUNTS_MOVED])


def of_account(
    conn: psycopg.Connection,
    account: registry.Account,
    migration: registry.Migration | None,
    move: registry.Move | None,
    failed: Failed,
) -> Status:
    """Where an account stands; `migration` is the live one of the server that it belongs to, `move` its own."""
    if move is not None:
        return _moving(conn, account, move, failed)
    asked = panel.asked_not_begun(conn, account.name)
    if asked is not None and failed(*asked) is False:
        return _account("waiting", "It moves by itself as soon as those before it have arrived.", "nobody")
    last = panel.last_failure(conn, account.name)
    # A run that was cleared, and is at work or ended well, has not failed any more.
    if last is not None and failed(last.dag, last.run_id) is not False:
        return _after(conn, account, migration, last, failed)
    if account.server != account.home_server:
        status = _account("away", "It moves home, unnoticed, once every account has left its server.", "nobody")
        if migration is not None and migration.state == MigrationState.HANDED_OVER:
            whole = _performing(conn, migration, status)
            return replace(status, next=whole.next, waits_for=whole.waits_for)
        if migration is not None and failed("migrate_server", migration.run_id):
            return replace(status, next=f"The way home has stopped. {THE_HOST}", waits_for="host")
        if migration is not None and states.MIGRATION.there_or_past(migration.state, MigrationState.REINSTALLED):
            return replace(status, next="It moves home by itself, one account after the other.")
        return status
    live = registry.live_test_of(conn, account.name)
    if live is not None and live.state in (TestState.PREPARING, TestState.COPYING):
        return _testing(conn, live, failed)
    if migration is not None and migration.state == MigrationState.HANDED_OVER:
        return _account("serving", "Perform it: it moves to the transit and goes on serving.", "customer")
    if migration is not None and not states.MIGRATION.there_or_past(migration.state, MigrationState.HANDED_OVER):
        return _account("serving", "It can be performed once the transit is handed over.", "nobody")
    entry = next(iter(panel.open_to_account(conn, account.name)), None)
    if entry is None:
        return _account("serving", "Nothing is due.", "nobody")
    return _due_account(conn, account, entry, failed)


def _after(
    conn: psycopg.Connection,
    account: registry.Account,
    migration: registry.Migration | None,
    last: panel.Failure,
    failed: Failed,
) -> Status:
    """Where an account stands whose last move failed, or was refused."""
    why = _sentence_of(last.why)
    put_off = registry.was_put_off(conn, account.name)
    if last.moved:
        return _account("differs", f"{why} {THE_HOST}", "host")
    if account.server != account.home_server:  # on its way home, which is the host's
        if put_off and migration is not None and not failed("migrate_server", migration.run_id):
            return _account("not_moved", f"{why} It is tried again by itself at a quieter moment.", "nobody")
        return _account("not_moved", f"{why} {THE_HOST}", "host")
    if put_off or last.task == "check_account":
        return _account("not_moved", f"{why} Perform it again then.", "customer")
    return _account("not_moved", f"{why} {THE_HOST} It can be performed again.", "host")


def _sentence_of(why: str) -> str:
    return f"{why.rstrip().rstrip('.')}."


def _testing(conn: psycopg.Connection, live: registry.Test, failed: Failed) -> Status:
    progress = Progress(states.TEST.path.index(live.state), states.TEST.path.index(TestState.READY))
    if failed("test_account", live.run_id):
        why = registry.why_run_failed(conn, live.run_id, live.account)
        return replace(_account("testing", _looked_at(why), "host"), progress=progress)
    return replace(
        _account("testing", "The copy opens under a test address, and the report follows.", "nobody"),
        progress=progress,
    )


def _due_account(conn: psycopg.Connection, account: registry.Account, entry: registry.Entry, failed: Failed) -> Status:
    ahead = registry.foreseen(conn, account.name, entry.name)
    if ahead is not None and ahead.obstacles:
        return _stopped(ahead.obstacles)
    last = panel.last_test_failure(conn, account.name)
    if last is not None and failed(last.dag, last.run_id) is not False:
        if last.task == "check_account":
            return _account("not_tested", f"{_sentence_of(last.why)} Test it again then.", "customer")
        return _account("not_tested", f"{_sentence_of(last.why)} {THE_HOST} It can be tested again.", "host")
    tested = registry.latest_test_of(conn, account.name, entry.name)
    if tested is None:
        return _account("serving", f"Test it: {_due(entry)}.", "customer")
    if tested.blockers:
        return _stopped(
            [{"sentence": blocker, "who": "customer"} for blocker in blockers(registry.certain(tested.report))]
        )
    server = registry.server(conn, account.home_server)
    if server.kind == ServerKind.SHARED:
        return _account("tested", f"Perform it: {_due(entry)}.", "customer")
    return replace(_account("tested", "", "customer"), next=_idle(conn, server, failed).next)


def _stopped(obstacles: Sequence[Mapping[str, str]]) -> Status:
    """An account that cannot be moved as it is: why, and whose it is to mend. What a customer can mend comes first."""
    customers = [obstacle["sentence"] for obstacle in obstacles if obstacle["who"] == "customer"]
    hosts = [obstacle["sentence"] for obstacle in obstacles if obstacle["who"] != "customer"]
    sentences = [_sentence_of(sentence) for sentence in customers + hosts]
    more = f" And {len(sentences) - 3} more." if len(sentences) > 3 else ""
    then = THE_HOST if hosts and not customers else "Correct what the report says, then test it again."
    return _account(
        "blocked", f"{' '.join([*sentences[:3]])}{more} {then}".strip(), "host" if then == THE_HOST else "customer"
    )


def _account(state: str, next: str, who: Who) -> Status:
    return Status(state, ACCOUNT_STATES[state], next, who)


def _moving(conn: psycopg.Connection, account: registry.Account, move: registry.Move, failed: Failed) -> Status:
    usual = panel.usual_move(conn, account.name)
    progress = Progress(
        states.MOVE.path.index(move.state),
        len(states.MOVE.path) - 1,
        None if usual is None else max(move.began_at + usual, datetime.now(UTC)),
    )
    if failed(dag_of(move), move.run_id):
        last = panel.last_failure(conn, account.name)
        return replace(_account("moving", _looked_at(last.why if last else None), "host"), progress=progress)
    return replace(_account("moving", f"It arrives on {move.to_server} by itself.", "nobody"), progress=progress)


def dag_of(move: registry.Move) -> str:
    """The DAG whose run moves the account: a move without a server's migration is one to another server, for good."""
    return "move_account" if move.migration is not None else "migrate_account"


def _names(items: Sequence[str], most: int = 10) -> str:
    return ", ".join(items) if len(items) <= most else f"{', '.join(items[:most])} and {len(items) - most} more"


def path(conn: psycopg.Connection, migration: registry.Migration) -> list[dict[str, Any]]:
    """Every state on a migration's path, with when it was reached; None for those that are still to come."""
    reached = dict(panel.reached(conn, migration.id)) | {MigrationState.CHECKING: migration.began_at}
    return [
        {"state": name, "sentence": SERVER_STATES.get(name, _sentence(name)), "reached_at": reached.get(name)}
        for name in states.MIGRATION.path
    ]


def _sentence(name: str) -> str:
    return next(state.sentence for state in states.MIGRATION.states if state.name == name)
