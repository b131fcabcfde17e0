"""What happened, in a sentence: for customers, and for ops, side by side.

The log holds more than a customer should see (host keys, addresses, who of the host did what): a kind that is for ops
only is not told to them, and of the others only the customer's sentence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from include.moves import proof
from include.registry import Event, read_figures
from include.registry.kinds import EventKind


@dataclass(frozen=True)
class Text:
    """The sentences of one kind. Names in braces are the event's account, server or detail, or one of `_words`."""

    customer: str | None
    ops: str


def _ops_only(sentence: str) -> Text:
    return Text(customer=None, ops=sentence)


TEXTS = {
    EventKind.ACCOUNT_ADDED: Text("The account {account} was added.", "{account} was added to {server}."),
    EventKind.ACCOUNT_CHANGED: _ops_only("The sites of {account} on {server} have changed."),
    EventKind.ACCOUNT_CONFIRMED: _ops_only("What {server} says of the uid and mail of {account} was confirmed."),
    EventKind.ACCOUNT_CONTRADICTION: _ops_only("{server} has {account}, which lives on {registry_says}."),
    EventKind.ACCOUNT_CUSTOMER: _ops_only("{account} is {customer}'s."),
    EventKind.ACCOUNT_DIFFERS: _ops_only("{server} says another uid or mail of {account} than the registry knows."),
    EventKind.ACCOUNT_FORESEEN: Text(
        "Before {account} is moved: {why}", "{account} was looked at before its move: {why}"
    ),
    EventKind.ACCOUNT_MISSING: _ops_only("{account} is no longer on {server}, by the server's own list."),
    EventKind.ACCOUNT_REMOVED: Text("The account {account} was removed.", "{account} was removed: {reason}"),
    EventKind.ACCOUNT_SHUT: _ops_only("{server} served {account}, which lives on {lives_on}: it is shut there now."),
    EventKind.ACCOUNT_TAKEN_BACK: _ops_only("{account} serves from {server} again."),
    EventKind.CAMPAIGN_BEGAN: _ops_only("The campaign {entry} began."),
    EventKind.CAMPAIGN_RUNNING: _ops_only("The campaign {entry} goes on."),
    EventKind.CAMPAIGN_PAUSED: _ops_only("The campaign {entry} was paused: {why}"),
    EventKind.CAMPAIGN_STOPPED: _ops_only("The campaign {entry} was stopped: {why}"),
    EventKind.CAMPAIGN_DONE: _ops_only("The campaign {entry} is done."),
    EventKind.CAMPAIGN_ACCOUNT_TESTING: _ops_only("The campaign {entry} tests {account}."),
    EventKind.CAMPAIGN_ACCOUNT_PERFORMING: _ops_only("The campaign {entry} performs {account}."),
    EventKind.CAMPAIGN_ACCOUNT_DONE: _ops_only("{account} is done in the campaign {entry}."),
    EventKind.CAMPAIGN_ACCOUNT_FAILED: _ops_only("The campaign {entry} failed for {account}: {reason}"),
    EventKind.CAMPAIGN_ACCOUNT_LEFT: _ops_only("The campaign {entry} left {account} as it is: {reason}"),
    EventKind.CATALOGUE_CHANGED: _ops_only("The entry {name} of the catalogue has changed."),
    EventKind.CUSTOMER_MAIL: _ops_only("The address for reminders to {customer} has changed."),
    EventKind.CUSTOMER_REMOVED: _ops_only("The customer {customer} was removed."),
    EventKind.DISK_DISCARDED: _ops_only("The disk that {server} had before is discarded."),
    EventKind.GATE_LIFTED: Text(
        "The host lets the migration begin without every test: {reason}", "The gate was lifted for {subject}: {reason}"
    ),
    EventKind.HOOK_FAILED: _ops_only("{hook} on {server} did not succeed for {account}: {why}"),
    EventKind.IP_ADDED: _ops_only("The IP {ip} of {server} was added."),
    EventKind.IP_REMOVED: _ops_only("The IP {ip} of {server} was taken away."),
    EventKind.IP_ROUTED: _ops_only("The IP {ip} leads to {server}."),
    EventKind.LEASE_LEFT: Text(
        "The last account has left: the transit costs nothing from here on.",
        "The last account has left the transit of {server}: it costs nothing from here on.",
    ),
    EventKind.LOOK_BEFORE: _ops_only("How {account} looks was kept, to be compared after its move."),
    EventKind.LOOK_AFTER: _ops_only("{account} was looked at after its move."),
    EventKind.MIGRATION_BEGAN: Text("The migration of {server} began.", "The migration of {server} began."),
    EventKind.MIGRATION_WAITING_FOR_TRANSIT: Text(
        "A transit was asked for; the request waits its turn.", "{server}: waits for a transit."
    ),
    EventKind.MIGRATION_INSTALLING_TRANSIT: Text(
        "A transit was assigned and is being installed.", "{server}: transit being installed."
    ),
    EventKind.MIGRATION_HANDED_OVER: Text("The transit is yours to use: {free_days}.", "{server}: customer performs."),
    EventKind.MIGRATION_ACCOUNTS_MOVED: Text("Every account has left the server.", "{server}: being rerouted."),
    EventKind.MIGRATION_REROUTED: Text("The server's IPs lead to the transit.", "{server}: to be proven empty."),
    EventKind.MIGRATION_ORIGINAL_EMPTY: Text("The server was proven to be empty.", "{server}: to be reinstalled."),
    EventKind.MIGRATION_REINSTALLING: Text("The server is being reinstalled.", "{server}: being reinstalled."),
    EventKind.MIGRATION_REINSTALLED: Text("The server runs the new version.", "{server}: accounts move home."),
    EventKind.MIGRATION_ACCOUNTS_HOME: Text("Every account is home again.", "{server}: names and IPs go home."),
    EventKind.MIGRATION_HOME: Text("IPs and names lead to the server again.", "{server}: transit being wiped."),
    EventKind.MIGRATION_DONE: Text("The migration is done.", "{server}: done."),
    EventKind.MIGRATION_FAILED: Text("The host gave the migration up; nothing was moved.", "{server}: given up."),
    EventKind.MIGRATION_CANCELLED: Text("The migration was cancelled: {reason}", "{server}: cancelled: {reason}"),
    EventKind.MOVE_BEGAN: Text("{account} began to move to {to}.", "The move of {account} to {to} began."),
    EventKind.MOVE_PUT_OFF: Text(
        "{account} was not moved at this moment: {why}", "{account} was not moved at this moment: {why}"
    ),
    EventKind.MOVE_COPYING: Text(
        "{account} is being copied; it serves on.", "{account} is being copied; it goes on serving."
    ),
    EventKind.MOVE_SWITCH: _ops_only("The switch of {account} was started."),
    EventKind.MOVE_SWITCHING: Text("{account} is about to switch over.", "{account} is being switched over."),
    EventKind.MOVE_COMMITTED: Text(
        "{account} lives on its new server.{left}", "{account} lives on its new server{held}.{left}"
    ),
    EventKind.MOVE_DONE: Text("The move of {account} is done.", "The move of {account} is done."),
    EventKind.MOVE_RETURNED: Text(
        "{account} did not move and serves from where it was.",
        "The move of {account} returned: it serves from where it was.",
    ),
    EventKind.NAME_ADDED: _ops_only("The name {name} ({type}) of {account} was added."),
    EventKind.NAME_LEFT: _ops_only("{name} ({type}) of {account} is left as it is: {because}"),
    EventKind.NAME_LOWERED: _ops_only("{name} ({type}) has a TTL of {ttl} s."),
    EventKind.NAME_POINTED: _ops_only("{name} ({type}) points at {to}."),
    EventKind.NAMES_ELSEWHERE: _ops_only("Which names of {account} the host's DNS does not lead was looked up."),
    EventKind.ORIGINAL_FORWARDED: _ops_only("What {server} still passes on to the transit was counted."),
    EventKind.ORIGINAL_PROVEN_EMPTY: _ops_only("{server} says itself that it is empty."),
    EventKind.PERFORM_ASKED: Text("{account} was asked to be performed.", "{account} was asked to be performed."),
    EventKind.PLAN_APPROVAL: _ops_only("From now on {who} before a server of plan {plan} is reinstalled."),
    EventKind.PLAN_LARGER_TRANSIT: _ops_only(
        "Whether a request for plan {plan} may take a larger transit has changed."
    ),
    EventKind.PLAN_OFFERED: _ops_only("Plan {plan} is offered again."),
    EventKind.PLAN_PRICED: _ops_only("Plan {plan} costs {monthly_price} {currency} a month from {valid_from}."),
    EventKind.PLAN_PRICE_WITHDRAWN: _ops_only("The price of plan {plan} from {valid_from} was withdrawn."),
    EventKind.PLAN_WITHDRAWN: _ops_only("Plan {plan} was withdrawn."),
    EventKind.PROBE_GAP: _ops_only("The IP {ip} was away for {longest_gap_ms} ms at most ({step})."),
    EventKind.PROBE_WAIT: _ops_only("Visitors of {account} waited for {longest_wait_ms} ms at most ({direction})."),
    EventKind.QUEUE_MOVED_UP: Text(
        "The request moved up in the queue.", "A request was moved up to place {to}: {reason}"
    ),
    EventKind.REINSTALL_APPROVED: _ops_only("The reinstall of {server} was approved."),
    EventKind.REINSTALL_REJECTED: _ops_only("The reinstall of {server} was refused by a person."),
    EventKind.REPORT_WRITTEN: _ops_only("A report was written: {file}."),
    EventKind.RUN_FAILED: Text("A step did not succeed: {why}", "{task} of {subject} failed: {why}"),
    EventKind.SERVER_ADDED: _ops_only("{server} was added."),
    EventKind.SERVER_CHANGED: _ops_only("What {server} is was changed{changed}."),
    EventKind.SERVER_ENROLLED: _ops_only("{server} runs infrastructure {infrastructure}."),
    EventKind.SERVER_FINISH_ASKED: _ops_only("{server} is to be finished, if a person agrees: {because}"),
    EventKind.SERVER_FINISH_APPROVED: _ops_only("A person agreed that {server} is finished."),
    EventKind.SERVER_FINISHING: _ops_only("{server} is erased, and forwards nothing any more: {because}"),
    EventKind.SERVER_FINISHED: _ops_only("{server} is finished: it is {state} now."),
    EventKind.SERVER_HOST_KEYS: _ops_only("At its reinstall {server} {keeps}."),
    EventKind.SERVER_PAUSED: _ops_only("{server} was paused: {paused_because}"),
    EventKind.SERVER_PROVEN_EMPTY: _ops_only("{server} says itself that it is empty."),
    EventKind.SERVER_REMOVED: _ops_only("{server} was removed."),
    EventKind.SERVER_RESUMED: _ops_only("{server} is offered again."),
    EventKind.SITE_ADDED: _ops_only("The site {site} was added."),
    EventKind.SITE_REMOVED: _ops_only("The site {site} was removed."),
    EventKind.TAKE_BACK_APPROVED: _ops_only("A person agreed to take {server} back from its transit."),
    EventKind.TAKE_BACK_BEGAN: _ops_only("{server} is taken back from {transit}: {because}"),
    EventKind.TAKE_BACK_DISK_STARTED: _ops_only("The disk that the original had before runs in the place of {server}."),
    EventKind.TAKE_BACK_ENDED: _ops_only("{server} was taken back."),
    EventKind.TEST_BEGAN: Text("A test of {account} began.", "A test of {account} on {to} began."),
    EventKind.TEST_COPYING: Text(
        "{account} is being copied to a test server; it serves on.",
        "{account} is being copied to a test server; it goes on serving.",
    ),
    EventKind.TEST_REPORTED: Text(
        "The report on the test of {account} is ready.", "The report on the test of {account} is written{found}."
    ),
    EventKind.TEST_READY: Text("The test copy of {account} can be looked at.", "The test of {account} is ready."),
    EventKind.TEST_REMOVING: _ops_only("The test copy of {account} is being taken away."),
    EventKind.TEST_REMOVED: Text("The test copy of {account} was removed.", "The test copy of {account} is gone."),
    EventKind.TRANSIT_REQUESTED: _ops_only("A transit of plan {plan} was asked for {server}."),
    EventKind.TRANSIT_RESERVED: _ops_only("Whom {server} is kept for has changed."),
    EventKind.TRANSIT_PROVEN_EMPTY: _ops_only("{server} says itself that it is empty."),
    EventKind.TRANSIT_WIPED: _ops_only("{server} was wiped."),
    EventKind.TRANSIT_RETURNED: Text("The transit was returned.", "{server} is back in the pool."),
    EventKind.ZONE_REMOVED: _ops_only("The zone {zone} was removed."),
    EventKind.ZONE_SET: _ops_only("The zone {zone} is changed through {primary_server}."),
    EventKind.UNCLAIMED_FOUND: _ops_only("On {server} {things} more things are no account's: look at them."),
    EventKind.UNCLAIMED_SIGNED: _ops_only("On {server} the {kind} {name} may stay behind: {reason}"),
}

TOLD = tuple(kind for kind, text in TEXTS.items() if text.customer is not None)
"""The kinds that customers are told of."""


def for_customer(event: Event) -> str:
    """What a customer is told of an event. Raises KeyError for a kind that they are not told of."""
    text = TEXTS[EventKind(event.kind)].customer if event.kind in TOLD else None
    if text is None:
        raise KeyError(event.kind)
    return _filled(text, event)


def for_ops(event: Event) -> str:
    """What ops are told of an event; one of an earlier version, whose kind is no longer known, says what it has."""
    if event.kind in TEXTS:
        return _filled(TEXTS[EventKind(event.kind)].ops, event)
    subject = event.account or event.server
    return f"{event.kind.replace('.', ' ').replace('_', ' ').capitalize()}{': ' + subject if subject else ''}."


class _Unknown(dict[str, Any]):
    """What an event does not tell is left out of its sentence."""

    def __missing__(self, key: str) -> str:
        return "?"


def _filled(text: str, event: Event) -> str:
    return f"{text.format_map(_words(event)).rstrip('.')}."


def _words(event: Event) -> _Unknown:
    detail = event.detail
    values = {key: value for key, value in detail.items() if isinstance(value, str | int)}
    subjects = {
        "account": event.account,
        "server": event.server,
        "subject": event.account or event.server or detail.get("dag"),
    }
    made = {
        "held": _held(detail),
        "changed": _changed(detail),
        "found": _counts(detail),
        "free_days": _free_days(detail.get("free_days")),
        "left": _left(event),
        "who": "a person agrees" if detail.get("asks") else "nobody is asked",
        "keeps": "keeps its SSH host keys" if detail.get("keep") else "gets a new SSH host key",
    }
    return _Unknown(values | {key: value for key, value in subjects.items() if value is not None} | made)


def _free_days(days: int | None) -> str:
    """How many there are; a hand-over of an earlier version does not tell."""
    if days == 0:
        return "it has no free days"
    if days == 1:
        return "its free day has started"
    return f"its {'' if days is None else f'{days} '}free days have started"


def _held(detail: dict[str, Any]) -> str:
    held = read_figures(detail).switch.held_ms
    return "" if held is None else f", held for {held:,.0f} ms"


def _changed(detail: dict[str, Any]) -> str:
    """What of a server was changed, from what to what."""
    changes = [
        f"{field.replace('_', ' ')} {change['to'] or 'none'}, before {change['from'] or 'none'}"
        for field, change in detail.items()
        if isinstance(change, dict) and change.get("from") != change.get("to")
    ]
    return f": {'; '.join(changes)}" if changes else ""


def _counts(detail: dict[str, Any]) -> str:
    counts = [(detail.get(f"{severity}s"), severity) for severity in ("blocker", "warning")]
    parts = [f"{count:,} {severity}{'' if count == 1 else 's'}" for count, severity in counts if count]
    return f": {' and '.join(parts)}" if parts else ""


def _left(event: Event) -> str:
    left = proof.of(read_figures(event.detail)).left if event.kind == EventKind.MOVE_COMMITTED else []
    return f" Not carried: {' '.join(left)}" if left else ""
