"""The kinds that rows have, by the columns' own words. The database's constraints allow the same (a test compares)."""

from enum import StrEnum

from include.agent.account.engines import ENGINES


class ServerKind(StrEnum):
    """What a server is for: `servers.kind`."""

    SHARED = "shared"
    DEDICATED = "dedicated"
    VPS = "vps"
    TRANSIT = "transit"
    TEST = "test"
    DATABASE = "database"


ONE_CUSTOMERS = (ServerKind.DEDICATED, ServerKind.VPS)
"""Servers that have one customer, and move by way of a transit."""


INFRASTRUCTURE = "infrastructure"
ENTRY_KINDS = (INFRASTRUCTURE, *ENGINES)
"""Of what a catalogue entry changes the version: `catalogue.kind`."""


class Direction(StrEnum):
    """Where a move leads: to the transit, back from it, or to another server for good: `moves.direction`."""

    OUT = "out"
    HOME = "home"
    OVER = "over"


class EventKind(StrEnum):
    """What happened: `events.kind`. What people are told of each stands in include/panel/event_text.py."""

    ACCOUNT_ADDED = "account.added"
    ACCOUNT_CHANGED = "account.changed"
    ACCOUNT_CONFIRMED = "account.confirmed"
    ACCOUNT_CONTRADICTION = "account.contradiction"
    ACCOUNT_CUSTOMER = "account.customer"
    ACCOUNT_DIFFERS = "account.differs"
    ACCOUNT_FORESEEN = "account.foreseen"
    ACCOUNT_MISSING = "account.missing"
    ACCOUNT_REMOVED = "account.removed"
    ACCOUNT_SHUT = "account.shut"
    ACCOUNT_TAKEN_BACK = "account.taken_back"
    CAMPAIGN_BEGAN = "campaign.began"
    CAMPAIGN_RUNNING = "campaign.running"
    CAMPAIGN_PAUSED = "campaign.paused"
    CAMPAIGN_STOPPED = "campaign.stopped"
    CAMPAIGN_DONE = "campaign.done"
    CAMPAIGN_ACCOUNT_TESTING = "campaign.account.testing"
    CAMPAIGN_ACCOUNT_PERFORMING = "campaign.account.performing"
    CAMPAIGN_ACCOUNT_DONE = "campaign.account.done"
    CAMPAIGN_ACCOUNT_FAILED = "campaign.account.failed"
    CAMPAIGN_ACCOUNT_LEFT = "campaign.account.left"
    CATALOGUE_CHANGED = "catalogue.changed"
    CUSTOMER_MAIL = "customer.mail"
    DISK_DISCARDED = "disk.discarded"
    GATE_LIFTED = "gate.lifted"
    IP_ADDED = "ip.added"
    IP_ROUTED = "ip.routed"
    LEASE_LEFT = "lease.left"
    LOOK_BEFORE = "look.before"
    LOOK_AFTER = "look.after"
    MIGRATION_BEGAN = "migration.began"
    MIGRATION_WAITING_FOR_TRANSIT = "migration.waiting_for_transit"
    MIGRATION_INSTALLING_TRANSIT = "migration.installing_transit"
    MIGRATION_HANDED_OVER = "migration.handed_over"
    MIGRATION_ACCOUNTS_MOVED = "migration.accounts_moved"
    MIGRATION_REROUTED = "migration.rerouted"
    MIGRATION_ORIGINAL_EMPTY = "migration.original_empty"
    MIGRATION_REINSTALLING = "migration.reinstalling"
    MIGRATION_REINSTALLED = "migration.reinstalled"
    MIGRATION_ACCOUNTS_HOME = "migration.accounts_home"
    MIGRATION_HOME = "migration.home"
    MIGRATION_DONE = "migration.done"
    MIGRATION_FAILED = "migration.failed"
    MIGRATION_CANCELLED = "migration.cancelled"
    MOVE_BEGAN = "move.began"
    MOVE_PUT_OFF = "move.put_off"
    MOVE_COPYING = "move.copying"
    MOVE_SWITCH = "move.switch"
    MOVE_SWITCHING = "move.switching"
    MOVE_COMMITTED = "move.committed"
    MOVE_DONE = "move.done"
    MOVE_RETURNED = "move.returned"
    NAME_ADDED = "name.added"
    NAME_LEFT = "name.left"
    NAME_LOWERED = "name.lowered"
    NAME_POINTED = "name.pointed"
    NAMES_ELSEWHERE = "names.elsewhere"
    # Its detail: {account: {protocol: {"count", "last" (Unix seconds, None: never)}}}.
    ORIGINAL_FORWARDED = "original.forwarded"
    # The original itself, while it was being reinstalled, called itself empty.
    ORIGINAL_PROVEN_EMPTY = "original.proven_empty"
    PERFORM_ASKED = "perform.asked"
    PLAN_APPROVAL = "plan.approval"
    PLAN_LARGER_TRANSIT = "plan.larger_transit"
    PLAN_PRICED = "plan.priced"
    # An IP during one step: {"ip", "step", "longest_gap_ms", "probes", "lost"}.
    PROBE_GAP = "probe.gap"
    # An account's visitors during one move: {"direction", "longest_wait_ms", "requests", "failed"}.
    PROBE_WAIT = "probe.wait"
    QUEUE_MOVED_UP = "queue.moved_up"
    REINSTALL_APPROVED = "reinstall.approved"
    REINSTALL_REJECTED = "reinstall.rejected"
    REPORT_WRITTEN = "report.written"
    RUN_FAILED = "run.failed"
    SERVER_ADDED = "server.added"
    SERVER_ENROLLED = "server.enrolled"
    SERVER_PAUSED = "server.paused"
    SERVER_RESUMED = "server.resumed"
    TAKE_BACK_APPROVED = "take_back.approved"
    TAKE_BACK_BEGAN = "take_back.began"
    TAKE_BACK_DISK_STARTED = "take_back.disk_started"
    TAKE_BACK_ENDED = "take_back.ended"
    TEST_BEGAN = "test.began"
    TEST_COPYING = "test.copying"
    TEST_REPORTED = "test.reported"
    TEST_READY = "test.ready"
    TEST_REMOVING = "test.removing"
    TEST_REMOVED = "test.removed"
    TRANSIT_REQUESTED = "transit.requested"
    TRANSIT_RESERVED = "transit.reserved"
    # The same of a transit, before it is installed or wiped: its detail says before which `act`.
    TRANSIT_PROVEN_EMPTY = "transit.proven_empty"
    TRANSIT_WIPED = "transit.wiped"
    TRANSIT_RETURNED = "transit.returned"
    UNCLAIMED_FOUND = "unclaimed.found"
    UNCLAIMED_SIGNED = "unclaimed.signed"
