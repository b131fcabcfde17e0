"""Every state, with a sentence, and every transition that is allowed, with its reason.

This is the single source: the database's `states` and `transitions` tables are loaded from it at every
upgrade, a trigger refuses what is not declared here, and docs/states.md is drawn from it.
"""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class State:
    """One state of a subject. `initial`: a row may be born in it."""

    name: str
    sentence: str
    initial: bool = False


@dataclass(frozen=True)
class Transition:
    """One allowed change of state and what must have happened for it."""

    source: str
    target: str
    reason: str


@dataclass(frozen=True)
class Machine:
    """The states of one kind of row. `path` is the way of a subject that nothing goes wrong with; a subject
    that stands further along it has been wherever comes before. A row is live until it is in one of `ended`: the
    view live_TABLE gives those that are."""

    subject: str
    title: str
    states: tuple[State, ...]
    transitions: tuple[Transition, ...]
    path: tuple[str, ...]
    ended: tuple[str, ...] = ()

    def there_or_past(self, current: str, target: str) -> bool:
        """Whether a subject in `current` is in `target` already, or was and went on."""
        if current == target:
            return True
        if current not in self.path or target not in self.path:
            return False
        return self.path.index(current) > self.path.index(target)

    def final(self) -> tuple[str, ...]:
        """The states that nothing leaves."""
        left = {transition.source for transition in self.transitions}
        return tuple(state.name for state in self.states if state.name not in left)


class MigrationState(StrEnum):
    """One server's passage through a catalogue entry."""

    CHECKING = "checking"
    WAITING_FOR_TRANSIT = "waiting_for_transit"
    INSTALLING_TRANSIT = "installing_transit"
    HANDED_OVER = "handed_over"
    ACCOUNTS_MOVED = "accounts_moved"
    REROUTED = "rerouted"
    ORIGINAL_EMPTY = "original_empty"
    REINSTALLING = "reinstalling"
    REINSTALLED = "reinstalled"
    ACCOUNTS_HOME = "accounts_home"
    HOME = "home"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


GIVEN_UP = (MigrationState.FAILED, MigrationState.CANCELLED)
_BEFORE_PERFORMING = (
    MigrationState.CHECKING,
    MigrationState.WAITING_FOR_TRANSIT,
    MigrationState.INSTALLING_TRANSIT,
    MigrationState.HANDED_OVER,
)
_ON_THE_TRANSIT = (MigrationState.ACCOUNTS_MOVED, MigrationState.REROUTED, MigrationState.ORIGINAL_EMPTY)

MIGRATION = Machine(
    "migration",
    "A migration",
    (
        State(
            MigrationState.CHECKING, "The server and its accounts are looked at; nothing has changed yet.", initial=True
        ),
        State(
            MigrationState.WAITING_FOR_TRANSIT, "A transit of the same plan is asked for; the request waits its turn."
        ),
        State(MigrationState.INSTALLING_TRANSIT, "A transit is assigned and is being installed with the new version."),
        State(
            MigrationState.HANDED_OVER, "The transit is the customer's to use: they perform their accounts, one by one."
        ),
        State(MigrationState.ACCOUNTS_MOVED, "Every account lives on the transit."),
        State(MigrationState.REROUTED, "The original's IPs are routed to the transit."),
        State(MigrationState.ORIGINAL_EMPTY, "The registry and the original itself say that no account lives on it."),
        State(MigrationState.REINSTALLING, "The original is being reinstalled with the new version."),
        State(MigrationState.REINSTALLED, "The original runs the new version and is enrolled; accounts may move back."),
        State(MigrationState.ACCOUNTS_HOME, "Every account lives on the original again."),
        State(MigrationState.HOME, "IPs and names are at the original again; nobody needs the transit."),
        State(MigrationState.DONE, "The transit is wiped and back in the pool; the report is written."),
        State(
            MigrationState.FAILED, "Given up by the host: before any account was performed, or when its transit died."
        ),
        State(MigrationState.CANCELLED, "Cancelled by the customer or by ops before any account was performed."),
    ),
    (
        Transition(MigrationState.CHECKING, MigrationState.WAITING_FOR_TRANSIT, "a transit is requested"),
        Transition(MigrationState.WAITING_FOR_TRANSIT, MigrationState.INSTALLING_TRANSIT, "a transit is assigned"),
        Transition(
            MigrationState.INSTALLING_TRANSIT,
            MigrationState.HANDED_OVER,
            "it runs the new version, and its lease starts",
        ),
        Transition(MigrationState.HANDED_OVER, MigrationState.ACCOUNTS_MOVED, "the last account has left the original"),
        Transition(MigrationState.ACCOUNTS_MOVED, MigrationState.REROUTED, "every IP is routed to the transit"),
        Transition(MigrationState.REROUTED, MigrationState.ORIGINAL_EMPTY, "the original proved to be empty"),
        Transition(MigrationState.ORIGINAL_EMPTY, MigrationState.REINSTALLING, "no account lives on it at this moment"),
        Transition(
            MigrationState.REINSTALLING, MigrationState.REINSTALLED, "the original is enrolled with the new version"
        ),
        Transition(MigrationState.REINSTALLED, MigrationState.ACCOUNTS_HOME, "the last account has moved back"),
        Transition(MigrationState.ACCOUNTS_HOME, MigrationState.HOME, "every IP and every name is back"),
        Transition(MigrationState.HOME, MigrationState.DONE, "the transit is wiped and back in the pool"),
        *(Transition(state, MigrationState.FAILED, "the host gives up") for state in _BEFORE_PERFORMING),
        *(
            Transition(state, MigrationState.FAILED, "the transit died, and the original serves again")
            for state in _ON_THE_TRANSIT
        ),
        *(Transition(state, MigrationState.CANCELLED, "no account was performed yet") for state in _BEFORE_PERFORMING),
    ),
    (
        *_BEFORE_PERFORMING,
        MigrationState.ACCOUNTS_MOVED,
        MigrationState.REROUTED,
        MigrationState.ORIGINAL_EMPTY,
        MigrationState.REINSTALLING,
        MigrationState.REINSTALLED,
        MigrationState.ACCOUNTS_HOME,
        MigrationState.HOME,
        MigrationState.DONE,
    ),
    (
        MigrationState.DONE,
        MigrationState.FAILED,
        MigrationState.CANCELLED,
    ),
)


class MoveState(StrEnum):
    """One account, or one engine's databases of it, on the way from one server to another."""

    PREPARING = "preparing"
    COPYING = "copying"
    SWITCHING = "switching"
    COMMITTED = "committed"
    DONE = "done"
    RETURNED = "returned"


MOVE = Machine(
    "move",
    "A move",
    (
        State(MoveState.PREPARING, "The two servers are paired; nothing is copied yet.", initial=True),
        State(MoveState.COPYING, "The account is copied while it goes on serving from where it lives."),
        State(MoveState.SWITCHING, "The account may be held: the last of it is copied and verified."),
        State(MoveState.COMMITTED, "What was moved lives on the other server; what is left to do goes forward."),
        State(MoveState.DONE, "The old copy is removed and nothing of the move is left on the two servers."),
        State(MoveState.RETURNED, "The move did not commit; the account never left."),
    ),
    (
        Transition(MoveState.PREPARING, MoveState.COPYING, "the servers are paired"),
        Transition(MoveState.COPYING, MoveState.SWITCHING, "the copy is close enough to hold"),
        Transition(MoveState.SWITCHING, MoveState.COMMITTED, "verified equal, and the source's record is written"),
        Transition(MoveState.COMMITTED, MoveState.DONE, "released and tidied up"),
        Transition(MoveState.PREPARING, MoveState.RETURNED, "failed before the copy"),
        Transition(MoveState.COPYING, MoveState.RETURNED, "failed while copying"),
        Transition(MoveState.SWITCHING, MoveState.RETURNED, "failed before commit"),
        Transition(MoveState.RETURNED, MoveState.PREPARING, "the same run tries again, with a new epoch"),
    ),
    (MoveState.PREPARING, MoveState.COPYING, MoveState.SWITCHING, MoveState.COMMITTED, MoveState.DONE),
    (
        MoveState.DONE,
        MoveState.RETURNED,
    ),
)


class ServerState(StrEnum):
    """One that serves for good, or a transit of the pool."""

    SERVING = "serving"
    REINSTALLING = "reinstalling"
    FREE = "free"
    ASSIGNED = "assigned"
    HANDED_OVER = "handed_over"
    WIPED = "wiped"
    REMOVED = "removed"


SERVER = Machine(
    "server",
    "A server",
    (
        State(
            ServerState.SERVING, "In service: accounts live on it, or their databases, or test copies.", initial=True
        ),
        State(
            ServerState.REINSTALLING,
            "Being erased and installed anew, or given up: no account lives on it or can be added.",
        ),
        State(ServerState.FREE, "A transit in the pool: nothing of any customer is on it.", initial=True),
        State(ServerState.ASSIGNED, "A transit that is being installed for a migration."),
        State(ServerState.HANDED_OVER, "A transit under a lease: accounts live on it."),
        State(
            ServerState.WIPED,
            "Nothing of anybody is on it: a transit after its lease, or a shared server that was given up.",
        ),
        State(ServerState.REMOVED, "The host has it no more: what happened to it is kept."),
    ),
    (
        Transition(ServerState.SERVING, ServerState.REINSTALLING, "no account lives on it"),
        Transition(ServerState.REINSTALLING, ServerState.SERVING, "enrolled with the new version"),
        Transition(ServerState.REINSTALLING, ServerState.WIPED, "a shared server is given up"),
        Transition(ServerState.FREE, ServerState.ASSIGNED, "first in the queue got it"),
        Transition(ServerState.ASSIGNED, ServerState.HANDED_OVER, "installed with the new version"),
        Transition(ServerState.ASSIGNED, ServerState.WIPED, "the migration was given up before the hand-over"),
        Transition(
            ServerState.HANDED_OVER,
            ServerState.WIPED,
            "no account lives on it and no other server's IP is routed to it",
        ),
        Transition(ServerState.WIPED, ServerState.FREE, "back to the pool"),
        Transition(ServerState.SERVING, ServerState.REMOVED, "nothing of anybody is on it or belongs to it"),
        Transition(ServerState.WIPED, ServerState.REMOVED, "a shared server that was given up"),
        Transition(ServerState.FREE, ServerState.REMOVED, "it leaves the pool"),
        Transition(ServerState.REMOVED, ServerState.SERVING, "another machine got its name"),
        Transition(ServerState.REMOVED, ServerState.FREE, "another transit got its name"),
    ),
    (),
)


class RequestState(StrEnum):
    """A migration's place in the queue for a transit."""

    WAITING = "waiting"
    ASSIGNED = "assigned"
    RETURNED_TO_POOL = "returned_to_pool"
    CANCELLED = "cancelled"


REQUEST = Machine(
    "request",
    "A transit request",
    (
        State(RequestState.WAITING, "In the queue.", initial=True),
        State(RequestState.ASSIGNED, "A transit is this migration's."),
        State(RequestState.RETURNED_TO_POOL, "The transit was wiped and is back in the pool."),
        State(RequestState.CANCELLED, "Left the queue without a transit."),
    ),
    (
        Transition(RequestState.WAITING, RequestState.ASSIGNED, "a transit is free and nobody is before"),
        Transition(RequestState.WAITING, RequestState.CANCELLED, "the migration was given up"),
        Transition(RequestState.ASSIGNED, RequestState.RETURNED_TO_POOL, "the transit is wiped"),
    ),
    (RequestState.WAITING, RequestState.ASSIGNED, RequestState.RETURNED_TO_POOL),
)


class TestState(StrEnum):
    """One copy of an account on a test server."""

    PREPARING = "preparing"
    COPYING = "copying"
    READY = "ready"
    REMOVING = "removing"
    REMOVED = "removed"


TEST = Machine(
    "test",
    "A test",
    (
        State(TestState.PREPARING, "A test server is chosen; nothing is copied yet.", initial=True),
        State(
            TestState.COPYING, "The account is copied while it goes on serving; then the copy is opened and looked at."
        ),
        State(TestState.READY, "The copy answers under its test names until it expires."),
        State(TestState.REMOVING, "The copy is being removed: it has failed, expired or is replaced."),
        State(TestState.REMOVED, "Nothing of the copy is left; the report stays."),
    ),
    (
        Transition(TestState.PREPARING, TestState.COPYING, "the two servers are paired"),
        Transition(TestState.COPYING, TestState.READY, "the copy answers under its test names"),
        Transition(TestState.PREPARING, TestState.REMOVING, "failed before the copy"),
        Transition(TestState.COPYING, TestState.REMOVING, "failed while copying"),
        Transition(TestState.READY, TestState.REMOVING, "expired, or replaced by another test"),
        Transition(TestState.REMOVING, TestState.REMOVED, "the test server says that it is gone"),
        Transition(TestState.REMOVED, TestState.PREPARING, "the same run tries again, with a new epoch"),
    ),
    (TestState.PREPARING, TestState.COPYING, TestState.READY, TestState.REMOVING, TestState.REMOVED),
    (TestState.REMOVED,),
)


class CampaignState(StrEnum):
    """One entry performed for many accounts."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    DONE = "done"


CAMPAIGN = Machine(
    "campaign",
    "A campaign",
    (
        State(CampaignState.RUNNING, "Accounts are tested and performed, wave by wave.", initial=True),
        State(CampaignState.PAUSED, "No further account is begun; what is under way goes on."),
        State(
            CampaignState.STOPPED, "Ended by ops, or because too many of a wave failed; accounts that waited were left."
        ),
        State(CampaignState.DONE, "Every account was performed, or says why it was not."),
    ),
    (
        Transition(CampaignState.RUNNING, CampaignState.PAUSED, "ops pause it"),
        Transition(CampaignState.PAUSED, CampaignState.RUNNING, "ops resume it"),
        Transition(CampaignState.RUNNING, CampaignState.STOPPED, "too many failed, or ops stop it"),
        Transition(CampaignState.PAUSED, CampaignState.STOPPED, "too many failed, or ops stop it"),
        Transition(CampaignState.RUNNING, CampaignState.DONE, "no account is left"),
        Transition(CampaignState.PAUSED, CampaignState.DONE, "no account is left"),
    ),
    (),
    (
        CampaignState.STOPPED,
        CampaignState.DONE,
    ),
)


class CampaignAccountState(StrEnum):
    """One account of a campaign."""

    WAITING = "waiting"
    TESTING = "testing"
    PERFORMING = "performing"
    DONE = "done"
    FAILED = "failed"
    LEFT = "left"


NOT_MOVED = (CampaignAccountState.FAILED, CampaignAccountState.LEFT)

CAMPAIGN_ACCOUNT = Machine(
    "campaign_account",
    "An account of a campaign",
    (
        State(CampaignAccountState.WAITING, "It waits for its wave.", initial=True),
        State(CampaignAccountState.TESTING, "It is tested, since it never was."),
        State(CampaignAccountState.PERFORMING, "It is performed."),
        State(CampaignAccountState.DONE, "It runs the new version."),
        State(CampaignAccountState.FAILED, "Its test or its move failed; it is where it was."),
        State(CampaignAccountState.LEFT, "It is left where it is; the reason is kept with it."),
    ),
    (
        Transition(
            CampaignAccountState.WAITING, CampaignAccountState.TESTING, "its wave has come and it was never tested"
        ),
        Transition(
            CampaignAccountState.WAITING,
            CampaignAccountState.PERFORMING,
            "its wave has come and its test found no blocker",
        ),
        Transition(
            CampaignAccountState.WAITING,
            CampaignAccountState.LEFT,
            "it cannot be moved, its test found blockers, or the campaign was stopped",
        ),
        Transition(CampaignAccountState.WAITING, CampaignAccountState.DONE, "its customer was first"),
        Transition(CampaignAccountState.TESTING, CampaignAccountState.PERFORMING, "its test found no blocker"),
        Transition(
            CampaignAccountState.TESTING,
            CampaignAccountState.LEFT,
            "its test found blockers, or the campaign was stopped",
        ),
        Transition(CampaignAccountState.TESTING, CampaignAccountState.FAILED, "its test failed"),
        Transition(CampaignAccountState.TESTING, CampaignAccountState.DONE, "its customer was first"),
        Transition(CampaignAccountState.PERFORMING, CampaignAccountState.DONE, "its move is done"),
        Transition(CampaignAccountState.PERFORMING, CampaignAccountState.FAILED, "its move failed"),
        Transition(
            CampaignAccountState.PERFORMING,
            CampaignAccountState.LEFT,
            "it cannot be moved for a reason that is not ours to mend",
        ),
    ),
    (
        CampaignAccountState.WAITING,
        CampaignAccountState.TESTING,
        CampaignAccountState.PERFORMING,
        CampaignAccountState.DONE,
    ),
    (
        CampaignAccountState.DONE,
        CampaignAccountState.FAILED,
        CampaignAccountState.LEFT,
    ),
)


MACHINES = (MIGRATION, MOVE, TEST, CAMPAIGN, CAMPAIGN_ACCOUNT, SERVER, REQUEST)
