"""Every state, with a sentence, and every transition that is allowed, with its reason.

This is the single source: the database's `states` and `transitions` tables are loaded from it at every
upgrade, a trigger refuses what is not declared here, and docs/states.md is drawn from it.
"""

from dataclasses import dataclass


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
    that stands further along it has been wherever comes before."""

    subject: str
    title: str
    states: tuple[State, ...]
    transitions: tuple[Transition, ...]
    path: tuple[str, ...]

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


# A migration: one server's passage through a catalogue entry.
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

GIVEN_UP = (FAILED, CANCELLED)
_BEFORE_PERFORMING = (CHECKING, WAITING_FOR_TRANSIT, INSTALLING_TRANSIT, HANDED_OVER)
_ON_THE_TRANSIT = (ACCOUNTS_MOVED, REROUTED, ORIGINAL_EMPTY)

MIGRATION = Machine(
    "migration",
    "A migration",
    (
        State(CHECKING, "The server and its accounts are looked at; nothing has changed yet.", initial=True),
        State(WAITING_FOR_TRANSIT, "A transit of the same plan is asked for; the request waits its turn."),
        State(INSTALLING_TRANSIT, "A transit is assigned and is being installed with the new version."),
        State(HANDED_OVER, "The transit is the customer's to use: they perform their accounts, one by one."),
        State(ACCOUNTS_MOVED, "Every account lives on the transit."),
        State(REROUTED, "The original's IPs are routed to the transit."),
        State(ORIGINAL_EMPTY, "The registry and the original itself say that no account lives on it."),
        State(REINSTALLING, "The original is being reinstalled with the new version."),
        State(REINSTALLED, "The original runs the new version and is enrolled; accounts may move back."),
        State(ACCOUNTS_HOME, "Every account lives on the original again."),
        State(HOME, "IPs and names are at the original again; nobody needs the transit."),
        State(DONE, "The transit is wiped and back in the pool; the report is written."),
        State(FAILED, "Given up by the host: before any account was performed, or when its transit died."),
        State(CANCELLED, "Cancelled by the customer or by ops before any account was performed."),
    ),
    (
        Transition(CHECKING, WAITING_FOR_TRANSIT, "a transit is requested"),
        Transition(WAITING_FOR_TRANSIT, INSTALLING_TRANSIT, "a transit is assigned"),
        Transition(INSTALLING_TRANSIT, HANDED_OVER, "it runs the new version, and its lease starts"),
        Transition(HANDED_OVER, ACCOUNTS_MOVED, "the last account has left the original"),
        Transition(ACCOUNTS_MOVED, REROUTED, "every IP is routed to the transit"),
        Transition(REROUTED, ORIGINAL_EMPTY, "the original proved to be empty"),
        Transition(ORIGINAL_EMPTY, REINSTALLING, "no account lives on it at this moment"),
        Transition(REINSTALLING, REINSTALLED, "the original is enrolled with the new version"),
        Transition(REINSTALLED, ACCOUNTS_HOME, "the last account has moved back"),
        Transition(ACCOUNTS_HOME, HOME, "every IP and every name is back"),
        Transition(HOME, DONE, "the transit is wiped and back in the pool"),
        *(Transition(state, FAILED, "the host gives up") for state in _BEFORE_PERFORMING),
        *(Transition(state, FAILED, "the transit died, and the original serves again") for state in _ON_THE_TRANSIT),
        *(Transition(state, CANCELLED, "no account was performed yet") for state in _BEFORE_PERFORMING),
    ),
    (
        *_BEFORE_PERFORMING,
        ACCOUNTS_MOVED,
        REROUTED,
        ORIGINAL_EMPTY,
        REINSTALLING,
        REINSTALLED,
        ACCOUNTS_HOME,
        HOME,
        DONE,
    ),
)

# A move: one account, or one engine's databases of it, from one server to another.
PREPARING = "preparing"
COPYING = "copying"
SWITCHING = "switching"
COMMITTED = "committed"
RETURNED = "returned"
# (a move, too, ends as DONE)

MOVE = Machine(
    "move",
    "A move",
    (
        State(PREPARING, "The two servers are paired; nothing is copied yet.", initial=True),
        State(COPYING, "The account is copied while it goes on serving from where it lives."),
        State(SWITCHING, "The account may be held: the last of it is copied and verified."),
        State(COMMITTED, "What was moved lives on the other server; what is left to do goes forward."),
        State(DONE, "The old copy is removed and nothing of the move is left on the two servers."),
        State(RETURNED, "The move did not commit; the account never left."),
    ),
    (
        Transition(PREPARING, COPYING, "the servers are paired"),
        Transition(COPYING, SWITCHING, "the copy is close enough to hold"),
        Transition(SWITCHING, COMMITTED, "verified equal, and the source's record is written"),
        Transition(COMMITTED, DONE, "released and tidied up"),
        Transition(PREPARING, RETURNED, "failed before the copy"),
        Transition(COPYING, RETURNED, "failed while copying"),
        Transition(SWITCHING, RETURNED, "failed before commit"),
        Transition(RETURNED, PREPARING, "the same run tries again, with a new epoch"),
    ),
    (PREPARING, COPYING, SWITCHING, COMMITTED, DONE),
)

# A server: one that serves for good, or a transit of the pool.
SERVING = "serving"
FREE = "free"
ASSIGNED = "assigned"
WIPED = "wiped"
# (an original may be REINSTALLING, a transit HANDED_OVER)

SERVER = Machine(
    "server",
    "A server",
    (
        State(SERVING, "In service: accounts live on it, or their databases, or test copies.", initial=True),
        State(REINSTALLING, "An original that is being reinstalled: no account lives on it or can be added."),
        State(FREE, "A transit in the pool: nothing of any customer is on it.", initial=True),
        State(ASSIGNED, "A transit that is being installed for a migration."),
        State(HANDED_OVER, "A transit under a lease: accounts live on it."),
        State(WIPED, "A transit with no trace of its last customer."),
    ),
    (
        Transition(SERVING, REINSTALLING, "no account lives on it"),
        Transition(REINSTALLING, SERVING, "enrolled with the new version"),
        Transition(FREE, ASSIGNED, "first in the queue got it"),
        Transition(ASSIGNED, HANDED_OVER, "installed with the new version"),
        Transition(ASSIGNED, WIPED, "the migration was given up before the hand-over"),
        Transition(HANDED_OVER, WIPED, "no account lives on it and no other server's IP is routed to it"),
        Transition(WIPED, FREE, "back to the pool"),
    ),
    (),
)

# A transit request: a place in the queue.
WAITING = "waiting"
RETURNED_TO_POOL = "returned_to_pool"

REQUEST = Machine(
    "request",
    "A transit request",
    (
        State(WAITING, "In the queue.", initial=True),
        State(ASSIGNED, "A transit is this migration's."),
        State(RETURNED_TO_POOL, "The transit was wiped and is back in the pool."),
        State(CANCELLED, "Left the queue without a transit."),
    ),
    (
        Transition(WAITING, ASSIGNED, "a transit is free and nobody is before"),
        Transition(WAITING, CANCELLED, "the migration was given up"),
        Transition(ASSIGNED, RETURNED_TO_POOL, "the transit is wiped"),
    ),
    (WAITING, ASSIGNED, RETURNED_TO_POOL),
)

# A test: one copy of an account on a test server.
READY = "ready"
REMOVING = "removing"
REMOVED = "removed"
# (a test, too, begins PREPARING and COPYING)

TEST = Machine(
    "test",
    "A test",
    (
        State(PREPARING, "A test server is chosen; nothing is copied yet.", initial=True),
        State(COPYING, "The account is copied while it goes on serving; then the copy is opened and looked at."),
        State(READY, "The copy answers under its test names until it expires."),
        State(REMOVING, "The copy is being removed: it has failed, expired or is replaced."),
        State(REMOVED, "Nothing of the copy is left; the report stays."),
    ),
    (
        Transition(PREPARING, COPYING, "the two servers are paired"),
        Transition(COPYING, READY, "the copy answers under its test names"),
        Transition(PREPARING, REMOVING, "failed before the copy"),
        Transition(COPYING, REMOVING, "failed while copying"),
        Transition(READY, REMOVING, "expired, or replaced by another test"),
        Transition(REMOVING, REMOVED, "the test server says that it is gone"),
        Transition(REMOVED, PREPARING, "the same run tries again, with a new epoch"),
    ),
    (PREPARING, COPYING, READY, REMOVING, REMOVED),
)

# A campaign: one entry performed for many accounts; and each account of it.
RUNNING = "running"
PAUSED = "paused"
STOPPED = "stopped"
TESTING = "testing"
PERFORMING = "performing"
LEFT = "left"

CAMPAIGN = Machine(
    "campaign",
    "A campaign",
    (
        State(RUNNING, "Accounts are tested and performed, wave by wave.", initial=True),
        State(PAUSED, "No further account is begun; what is under way goes on."),
        State(STOPPED, "Ended by ops, or because too many of a wave failed; accounts that waited were left."),
        State(DONE, "Every account was performed, or says why it was not."),
    ),
    (
        Transition(RUNNING, PAUSED, "ops pause it"),
        Transition(PAUSED, RUNNING, "ops resume it"),
        Transition(RUNNING, STOPPED, "too many failed, or ops stop it"),
        Transition(PAUSED, STOPPED, "too many failed, or ops stop it"),
        Transition(RUNNING, DONE, "no account is left"),
        Transition(PAUSED, DONE, "no account is left"),
    ),
    (),
)

CAMPAIGN_ACCOUNT = Machine(
    "campaign_account",
    "An account of a campaign",
    (
        State(WAITING, "It waits for its wave.", initial=True),
        State(TESTING, "It is tested, since it never was."),
        State(PERFORMING, "It is performed."),
        State(DONE, "It runs the new version."),
        State(FAILED, "Its test or its move failed; it is where it was."),
        State(LEFT, "It is left where it is; the reason is kept with it."),
    ),
    (
        Transition(WAITING, TESTING, "its wave has come and it was never tested"),
        Transition(WAITING, PERFORMING, "its wave has come and its test found no blocker"),
        Transition(WAITING, LEFT, "it cannot be moved, its test found blockers, or the campaign was stopped"),
        Transition(WAITING, DONE, "its customer was first"),
        Transition(TESTING, PERFORMING, "its test found no blocker"),
        Transition(TESTING, LEFT, "its test found blockers, or the campaign was stopped"),
        Transition(TESTING, FAILED, "its test failed"),
        Transition(TESTING, DONE, "its customer was first"),
        Transition(PERFORMING, DONE, "its move is done"),
        Transition(PERFORMING, FAILED, "its move failed"),
        Transition(PERFORMING, LEFT, "it cannot be moved for a reason that is not ours to mend"),
    ),
    (WAITING, TESTING, PERFORMING, DONE),
)

MACHINES = (MIGRATION, MOVE, TEST, CAMPAIGN, CAMPAIGN_ACCOUNT, SERVER, REQUEST)


def page() -> str:
    """docs/states.md: a Mermaid diagram and the sentences of every machine."""
    parts = [
        "# States\n",
        "Drawn from `include/registry/states.py` by `python -m include.registry states > docs/states.md`;",
        "do not edit by hand. The database refuses every transition that is not here.",
    ]
    for machine in MACHINES:
        parts += ["", f"## {machine.title}", "", "```mermaid", "stateDiagram-v2"]
        parts += [f"    [*] --> {state.name}" for state in machine.states if state.initial]
        parts += [f"    {t.source} --> {t.target}: {t.reason}" for t in machine.transitions]
        parts += [f"    {name} --> [*]" for name in machine.final()]
        parts += ["```", "", "| state | meaning |", "|---|---|"]
        parts += [f"| `{state.name}` | {state.sentence} |" for state in machine.states]
    return "\n".join(parts) + "\n"
