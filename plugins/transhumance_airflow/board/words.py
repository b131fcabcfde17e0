"""The board's words: states, steps and times, as people say them."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from include.registry.states import CampaignAccountState, MigrationState, MoveState, ServerState

STEPS = (
    ("Tested", "Each account is copied to a test server; the customer looks at it."),
    ("Ready", "The customer said ready; the server is looked at."),
    ("In the queue", "A transit of the same plan is waited for."),
    ("Handed over", "The transit is installed and the customer's; the free days start."),
    ("Performed", "The customer performs each account, one by one."),
    ("Rerouted", "Names and IPs lead to the transit."),
    ("Reinstalled", "The original is proven empty and reinstalled."),
    ("Home", "Every account, name and IP is home; the transit goes back to the pool."),
)
"""The path of a dedicated server or VPS: a word, and what happens."""

STEP_OF: dict[str, int] = {
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

STATES: dict[str, str] = {
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

MOVING: dict[str, str] = {
    MoveState.PREPARING: "opening the path",
    MoveState.COPYING: "copying",
    MoveState.SWITCHING: "switching",
    MoveState.COMMITTED: "tidying up",
    MoveState.RETURNED: "returned",
}

POOL: dict[str, str] = {
    ServerState.FREE: "free",
    ServerState.ASSIGNED: "being installed",
    ServerState.HANDED_OVER: "leased",
    ServerState.WIPED: "wiped",
}

CAMPAIGN: dict[str, str] = {
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
    "run_hook_before": "The host's own hook refused: its log has the line. Put that right, then clear the run.",
    "approve_finish": "A person said no, or could not be asked. Find out why, then ask again.",
    "erase_server": "Try again: both are asked once more whether it is empty.",
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
