"""The board's words: states, steps, times and events, as people say them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from include import registry
from include.registry.states import CampaignAccountState, MigrationState, MoveState, ServerState

STEPS = (
    ("Tested", "Each account is copied to a test server; the customer looks at it."),
    ("Ready", "The customer said ready; the server is looked at."),
    ("In the queue", "A transit of the same plan is waited for."),
    ("Handed over", "The transit is installed and the customer's; the free week starts."),
    ("Performed", "The customer performs each account, one by one."),
    ("Rerouted", "Names and IPs lead to the transit."),
    ("Reinstalled", "The original is proven empty and reinstalled."),
    ("Home", "Every account, name and IP is home; the transit goes back to the pool."),
)
"""The path of a dedicated server or VPS: a word, and what happens."""

STEP_OF = {
    MigrationState.CHECKING: 1,
    MigrationState.WAITING_FOR_TRANSIT: 2,
    MigrationState.INSTALLING_TRANSIT: 3,
    MigrationState.HANDED_OVER: 4,
    MigrationState.ACCOUNTS_MOVED: 5,
    MigrationState.REROUTED: 6,
    MigrationState.ORIGINAL_EMPTY: 6,
    MigrationState.REINSTALLING: 6,
    MigrationState.REINSTALLED: 7,
    MigrationState.ACCOUNTS_HOME: 7,
    MigrationState.HOME: 7,
    MigrationState.DONE: 8,
}
"""At which of the steps (0: the first) a migration is that stands in a state."""

STANDING = {
    ServerState.SERVING: "serving",
    MigrationState.CHECKING: "being looked at",
    MigrationState.WAITING_FOR_TRANSIT: "waits for a transit",
    MigrationState.INSTALLING_TRANSIT: "transit being installed",
    MigrationState.HANDED_OVER: "customer performs",
    MigrationState.ACCOUNTS_MOVED: "being rerouted",
    MigrationState.REROUTED: "to be proven empty",
    MigrationState.ORIGINAL_EMPTY: "to be reinstalled",
    MigrationState.REINSTALLING: "being reinstalled",
    MigrationState.REINSTALLED: "accounts move home",
    MigrationState.ACCOUNTS_HOME: "names and IPs go home",
    MigrationState.HOME: "transit being wiped",
    MigrationState.DONE: "done",
    MigrationState.FAILED: "given up",
    MigrationState.CANCELLED: "cancelled",
}

MOVING = {
    MoveState.PREPARING: "opening the path",
    MoveState.COPYING: "copying",
    MoveState.SWITCHING: "switching",
    MoveState.COMMITTED: "tidying up",
    MoveState.RETURNED: "returned",
}

POOL = {
    ServerState.FREE: "free",
    ServerState.ASSIGNED: "being installed",
    ServerState.HANDED_OVER: "leased",
    ServerState.WIPED: "wiped",
}

CAMPAIGN = {
    CampaignAccountState.DONE: "done",
    CampaignAccountState.PERFORMING: "performing",
    CampaignAccountState.TESTING: "testing",
    CampaignAccountState.FAILED: "failed",
    CampaignAccountState.LEFT: "left as they are",
    CampaignAccountState.WAITING: "waiting",
}
"""The states of a campaign's accounts, in the order of its bar."""

TO_DO = {
    "check_account": "Nothing has changed. See what it refuses, then start the move again.",
    "install_transit": "See why the machine was not made, then try again.",
    "wait_until_names_lead_to_transit": "Try again: the registry is asked once more.",
    "prove_original_empty": "Something still lives on the original: its log names it. Move it, then try again.",
    "approve_reinstall": "A person said no, or could not be asked. Find out why, then ask again.",
    "reinstall_original": "Try again: both are asked once more whether it is empty.",
    "move_accounts_home": "Open the run of move_account that its log names, correct that, then try again.",
    "discard_kept_disk": "The original does not say that it serves every account. Find out why, then try again.",
    "wipe_transit": "The transit is not empty, or does not answer: its log says what is there. Look, then try again.",
    "copy": "The account serves where it was. See why, then try again.",
    "switch": "The account serves where it was; nothing is lost. Correct what its log names, then clear the run.",
    "look_after": "The account looks different where it lives now. See whether that is the customer's own doing.",
}
"""What to do about a task that failed, by its id: the runbooks' sentences in short."""

BY_HAND = frozenset({"switch", "look_after", "check_account"})
"""Failed tasks that somebody looks at in Airflow first: the board offers no button to run them again."""


def ago(at: datetime, now: datetime) -> str:
    """How long ago, in one unit: 'just now', '5 min ago', '3 h ago', '4 days ago'."""
    seconds = (now - at).total_seconds()
    return "just now" if seconds < 60 else f"{lasting(seconds)} ago"


def lasting(seconds: float) -> str:
    """A length of time in one unit."""
    for size, unit in ((86400, "day"), (3600, "h"), (60, "min")):
        if seconds >= (2 if unit == "day" else 1) * size:
            count = int(seconds // size)
            return f"{count} {unit}{'s' if unit == 'day' else ''}"
    return f"{max(seconds, 0):.0f} s"


def left(until: datetime, now: datetime) -> str:
    """'4 days left', or '2 days over'."""
    seconds = (until - now).total_seconds()
    return f"{lasting(seconds)} left" if seconds > 0 else f"{lasting(-seconds)} over"


def when(at: datetime, now: datetime) -> str:
    """A moment ahead: the time of day when it is near, else the day."""
    return f"{at:%H:%M} UTC" if at - now < timedelta(hours=20) else f"{at:%a} {at.day} {at:%b}"


def day(on: date) -> str:
    """'25 November'."""
    return f"{on.day} {on:%B}"


def size(count: int | float) -> str:
    """Bytes, in one unit: '1.2 GB'."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


def money(amount: Decimal, currency: str) -> str:
    """'12.90 EUR'."""
    return f"{amount:,} {currency}"


def milliseconds(value: Any) -> str:
    """'312 ms', also when nobody has measured it."""
    return f"{value:,.0f} ms" if isinstance(value, int | float) else "?"


def counted(count: int, what: str) -> str:
    """'1 account', '3 accounts'."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


_EVENTS: dict[str, Callable[[registry.Event], str]] = {
    "move.began": lambda e: f"The move of {e.account} to {e.detail.get('to')} began.",
    "move.copying": lambda e: f"{e.account} is being copied; it goes on serving.",
    "move.switching": lambda e: f"{e.account} is being switched over.",
    "move.switch": lambda e: f"The switch of {e.account} was started.",
    "move.committed": lambda e: f"{e.account} lives on its new server{_held(e)}.",
    "move.done": lambda e: f"The move of {e.account} is done.",
    "move.returned": lambda e: f"The move of {e.account} returned: it serves from where it was.",
    "queue.moved_up": lambda e: f"A request was moved up to place {e.detail.get('to')}: {e.detail.get('reason')}",
    "server.paused": lambda e: f"{e.server} was paused: {e.detail.get('paused_because')}",
    "server.resumed": lambda e: f"{e.server} is offered again.",
    "gate.lifted": lambda e: f"The gate was lifted for {e.account or e.server}: {e.detail.get('reason')}",
    "test.began": lambda e: f"A test of {e.account} on {e.detail.get('to')} began.",
    "test.copying": lambda e: f"{e.account} is being copied to a test server; it goes on serving.",
    "test.reported": lambda e: f"The report on the test of {e.account} is written{_found(e)}.",
    "test.ready": lambda e: f"The test of {e.account} is ready.",
    "test.removing": lambda e: f"The test copy of {e.account} is being taken away.",
    "test.removed": lambda e: f"The test copy of {e.account} is gone.",
    "transit.returned": lambda e: f"{e.server} is back in the pool.",
    "reinstall.approved": lambda e: f"The reinstall of {e.server} was approved.",
    "reinstall.rejected": lambda e: f"The reinstall of {e.server} was refused by a person.",
    "campaign.paused": lambda e: f"The campaign {e.detail.get('entry')} was paused: {e.detail.get('why')}",
    "campaign.running": lambda e: f"The campaign {e.detail.get('entry')} goes on.",
    "campaign.stopped": lambda e: f"The campaign {e.detail.get('entry')} was stopped: {e.detail.get('why')}",
    "campaign.done": lambda e: f"The campaign {e.detail.get('entry')} is done.",
    "look.before": lambda e: f"How {e.account} looks was kept, to be compared after its move.",
    "look.after": lambda e: f"{e.account} was looked at after its move.",
    "original.proven_empty": lambda e: f"{e.server} says itself that it is empty.",
    "original.forwarded": lambda e: f"What {e.server} still passes on to the transit was counted.",
    "lease.left": lambda e: f"The last account has left the transit of {e.server}: it costs nothing from here on.",
    "lease.expected": lambda e: f"When the transit of {e.server} will be free was estimated.",
    "run.failed": lambda e: (
        f"{e.detail.get('task')} of {e.account or e.detail.get('dag')} failed: {e.detail.get('why')}"
    ),
    "ip.added": lambda e: f"The IP {e.detail.get('ip')} of {e.server} was added.",
    "ip.routed": lambda e: f"The IP {e.detail.get('ip')} leads to {e.server}.",
    "name.added": lambda e: f"The name {e.detail.get('name')} ({e.detail.get('type')}) of {e.account} was added.",
    "name.lowered": lambda e: f"{e.detail.get('name')} ({e.detail.get('type')}) has a TTL of {e.detail.get('ttl')} s.",
    "name.pointed": lambda e: f"{e.detail.get('name')} ({e.detail.get('type')}) points at {e.detail.get('to')}.",
    "account.added": lambda e: f"{e.account} was added to {e.server}.",
    "transit.requested": lambda e: f"A transit of plan {e.detail.get('plan')} was asked for {e.server}.",
    "transit.wiped": lambda e: f"{e.server} was wiped.",
    "catalogue.changed": lambda e: f"The entry {e.detail.get('name')} of the catalogue has changed.",
    "plan.approval": lambda e: (
        f"From now on {'a person agrees' if e.detail.get('asks') else 'nobody is asked'} before a server of plan"
        f" {e.detail.get('plan')} is reinstalled."
    ),
    "server.added": lambda e: f"{e.server} was added.",
    "server.enrolled": lambda e: f"{e.server} runs infrastructure {e.detail.get('infrastructure')}.",
    "report.written": lambda e: "A migration's report was written.",
}


def _held(event: registry.Event) -> str:
    held = (event.detail.get("switch") or {}).get("held_ms")
    return f", held for {milliseconds(held)}" if held is not None else ""


def _found(event: registry.Event) -> str:
    found = [counted(event.detail[f"{what}s"], what) for what in ("blocker", "warning") if event.detail.get(f"{what}s")]
    return f": {' and '.join(found)}" if found else ""


def sentence(event: registry.Event) -> str:
    """One event, in a sentence."""
    if event.kind in _EVENTS:
        return _EVENTS[event.kind](event)
    kind, _, what = event.kind.partition(".")
    if kind == "migration" and what in STANDING:
        return f"{event.server}: {STANDING[what]}."
    about = event.account or event.server or (f"migration {event.migration}" if event.migration else "")
    return f"{event.kind.replace('.', ' ').replace('_', ' ').capitalize()}{': ' + about if about else ''}."
