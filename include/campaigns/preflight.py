"""What cannot be moved, said before a campaign begins: each of its accounts is looked at, and nothing is changed.

The newest test says it where it is recent, or has found a blocker; of the others the agent looks at what would refuse
the move. Ops read one list; each customer reads their own part of it in the panel.
"""

from __future__ import annotations

import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta

import psycopg

from include import registry
from include.agent import verbs
from include.agent.verbs import Obstacle, Who
from include.campaigns import waves
from include.compatibility.report import blockers, left_behind
from include.hosts import AgentError, Host, HostUnreachable, ended
from include.registry.states import CampaignAccountState
from include.settings import read_settings
from include.testing.copies import STORES

TO_DO: dict[Who, str] = {
    "customer": "Its customer mends that and tests again.",
    "host": "The host mends that; then it is looked at again.",
    "nobody": "There is nothing to mend.",
}
ACCOUNT_TIMEOUT = 600.0
"""Seconds that one account's look may take: a home of millions of files is walked."""
TIMEOUT = 2400.0
"""Seconds for all: who has not been looked at by then is told as such, and the campaign's own steps will tell."""
MAX_SERVERS = 8
"""So many servers are asked at a time; on each, one account after the other."""
MAX_SENTENCES = 3


@dataclass(frozen=True)
class Preflight:
    """What lies ahead of an account: what stops its move, and what would not go with it. `unknown`: why nobody could
    look, if so; then nothing is said of it."""

    account: str
    server: str
    obstacles: list[Obstacle] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    unknown: str | None = None


@dataclass(frozen=True)
class Sight:
    """How servers' agents are reached, and for how long a test's report without blockers is believed: as long as its
    copy would stay."""

    reach: Callable[[str], Host]
    recent: timedelta = field(default_factory=lambda: timedelta(days=read_settings().test_days))


def check_campaign(conn: psycopg.Connection, campaign: int, sight: Sight) -> str:
    """Looks at the accounts of a campaign that have not begun; those that cannot be moved are left, with the reason,
    and the campaign goes on with the others. Gives the list for ops. Can be repeated."""
    begun = registry.campaign(conn, campaign)
    waiting = [
        account.account
        for account in registry.campaign_accounts(conn, campaign)
        if account.state == CampaignAccountState.WAITING
    ]
    preflights = check(conn, begun.entry, waiting, sight)
    tell_customers(conn, begun.entry, preflights, f"campaign {campaign}")
    for preflight in preflights:
        if preflight.obstacles:
            registry.set_campaign_account(
                conn, campaign, preflight.account, CampaignAccountState.LEFT, reason(preflight.obstacles)
            )
    return summary(preflights)


def check(conn: psycopg.Connection, entry: str, accounts: Iterable[str], sight: Sight) -> list[Preflight]:
    """What lies ahead of each of these accounts on its way through the entry, by name."""
    now, target = datetime.now(UTC), registry.catalogue_entry(conn, entry)
    ahead: dict[str, Preflight] = {}
    to_ask: dict[str, list[registry.Account]] = defaultdict(list)
    for name in sorted(accounts):
        if waves.in_hand(conn, name):
            continue  # what is at work on it tells by itself
        account = registry.account(conn, name)
        here = Preflight(name, account.server, _against(conn, name, entry))
        tested = registry.latest_test_of(conn, name, entry)
        if tested is not None and (tested.blockers or registry.certain(tested.tested_at) > now - sight.recent):
            report = registry.certain(tested.report)
            stops = [Obstacle(sentence=blocker, who="customer") for blocker in blockers(report)]
            ahead[name] = Preflight(name, here.server, here.obstacles + stops, left_behind(report))
        else:
            ahead[name] = here
            to_ask[here.server].append(account)
    stores = [*STORES] if target.kind == "infrastructure" else [target.kind]
    for name, asked in _ask(to_ask, stores, sight.reach).items():
        here = ahead[name]
        ahead[name] = Preflight(name, here.server, here.obstacles + asked.obstacles, asked.left, asked.unknown)
    return list(ahead.values())


def _against(conn: psycopg.Connection, account: str, entry: str) -> list[Obstacle]:
    """What the registry has against the move but for the gate, such as that no server has room: it is begun and undone.
    That it would wait for its turn is nothing."""
    why = "a look ahead"
    try:
        with conn.transaction(force_rollback=True):
            registry.begin_over(conn, account, entry, f"ahead-{secrets.token_hex(8)}", why, lift_gate_because=why)
    except registry.Busy:
        return []
    except registry.RegistryRefused as refused:
        return [Obstacle(sentence=str(refused), who="host")]
    return []


def _ask(
    to_ask: Mapping[str, list[registry.Account]], stores: list[str], reach: Callable[[str], Host]
) -> dict[str, Preflight]:
    """What the servers' own agents find, several servers at a time."""
    until = time.monotonic() + TIMEOUT
    work: list[tuple[str, Host, list[registry.Account]]] = []
    answers: dict[str, Preflight] = {}
    for server, accounts in to_ask.items():
        try:
            work.append((server, reach(server), accounts))
        except registry.RegistryRefused as refused:
            answers |= {each.name: Preflight(each.name, server, unknown=str(refused)) for each in accounts}
    with ThreadPoolExecutor(MAX_SERVERS) as pool:
        for part in pool.map(lambda job: _ask_server(job[0], job[1], job[2], stores, until), work):
            answers |= part
    return answers


def _ask_server(
    server: str, host: Host, accounts: list[registry.Account], stores: list[str], until: float
) -> dict[str, Preflight]:
    answers: dict[str, Preflight] = {}
    unreached: str | None = None
    for account in accounts:
        name = account.name
        if unreached is None and time.monotonic() > until:
            unreached = f"there was no time left; {server} takes long."
        if unreached is not None:
            answers[name] = Preflight(name, server, unknown=unreached)
            continue
        try:
            answer = _ask_account(host, account.login, stores, min(until, time.monotonic() + ACCOUNT_TIMEOUT))
            answers[name] = Preflight(name, server, answer.obstacles, answer.left)
        except AgentError as error:
            answers[name] = Preflight(name, server, unknown=error.message)
        except HostUnreachable as error:
            unreached = f"{server}: {error}"
            answers[name] = Preflight(name, server, unknown=unreached)
    return answers


def _ask_account(host: Host, login: str, stores: list[str], until: float) -> verbs.LookedAhead:
    """The agent's `obstacles`; each look is one of its own, since a person who mended something looks again."""
    operation = f"ahead-{secrets.token_hex(6)}-{login}"
    look = verbs.Obstacles(account=login, stores=stores)
    status = host.call(verbs.start(operation, look))
    pause = 0.1
    while status.state == "running":
        if time.monotonic() > until:
            raise AgentError("timed_out", f"the look at {login} took too long; it may still run there.")
        time.sleep(pause)
        pause = min(2 * pause, 2.0)
        status = host.call(verbs.Status(operation=operation))
    return ended(operation, verbs.Obstacles, status)


# --- who is told what ---


def tell_customers(conn: psycopg.Connection, entry: str, preflights: Iterable[Preflight], by: str) -> None:
    """Lets each account's customer know, before anything begins: as an event, and in its state. That there is nothing
    to move is no news to them."""
    for preflight in preflights:
        stops = [obstacle for obstacle in preflight.obstacles if obstacle.who != "nobody"]
        if preflight.unknown is None or stops:
            why = _for_customer(stops, preflight.left)
            registry.foresee(
                conn, preflight.account, entry, [asdict(obstacle) for obstacle in stops], preflight.left, why, by
            )


def _for_customer(obstacles: list[Obstacle], left: list[str]) -> str:
    if obstacles:
        return reason(obstacles)
    if left:
        return f"it can be moved, but not all of it goes with it. {_some(left)}"
    return "nothing stands in its way any more."


def reason(obstacles: Iterable[Obstacle]) -> str:
    """Why an account is not moved, for people."""
    return f"It cannot be moved. {_some([obstacle.sentence for obstacle in obstacles])}"


def _some(sentences: list[str]) -> str:
    """The first of these; one that ends without a full stop gets it."""
    shown = [text if text.endswith(".") else f"{text}." for text in sentences[:MAX_SENTENCES]]
    return " ".join(shown + ([f"And {len(sentences) - MAX_SENTENCES} more."] if len(sentences) > MAX_SENTENCES else []))


def summary(preflights: list[Preflight]) -> str:
    """The list for ops: who cannot be moved, why and what to do; who is moved without something; who was not looked
    at."""
    stopped = sum(bool(preflight.obstacles) for preflight in preflights)
    lines = [f"{len(preflights)} accounts were looked at; {stopped or 'none'} of them cannot be moved."]
    for preflight in preflights:
        who = f"{preflight.account} ({preflight.server})"
        lines += [
            f"{who} cannot be moved: {obstacle.sentence} {TO_DO[obstacle.who]}" for obstacle in preflight.obstacles
        ]
        if preflight.unknown is not None:
            lines.append(f"{who} was not looked at: {preflight.unknown}")
        lines += [f"{who} is moved without this: {sentence}" for sentence in preflight.left]
    return "\n".join(lines)
