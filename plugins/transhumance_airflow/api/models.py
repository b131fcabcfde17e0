"""What goes in and out: the API's document is drawn from this."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from include.inventory.text import MAX_CHARACTERS
from transhumance_airflow.forms import HOST_KEY

AccountName = Annotated[
    str,
    Path(
        pattern=r"^[a-z][a-z0-9_-]{0,31}(\.[a-z0-9-]{1,63})?$",
        description="The account's name: its login, with its server's name behind a dot where another has that login.",
        examples=["blog", "www.vps-7"],
    ),
]
ServerName = Annotated[
    str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", description="The server's name.", examples=["vps-1"])
]
After = Annotated[int, Query(ge=0, le=2**53, description="Only events behind this one: the `next` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="At most so many.")]
Behind = Annotated[
    str, Query(pattern=r"^[a-z0-9_-]{0,63}$", description="Only names behind this one: the `next` of the page before.")
]


def _printable(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("give one line of text")
    return text.strip()


def _as_told(text: str) -> str:
    if not text.isprintable():
        raise ValueError("give the name as it is told")
    return text


Line = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_printable)]
EntryName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,63}$", description="The entry of the catalogue.")]


class Strict(BaseModel):
    """A body: what it does not know is refused."""

    model_config = ConfigDict(extra="forbid")


class Progress(BaseModel):
    """How far something is."""

    done: int = Field(description="Steps behind it.", examples=[3])
    of: int = Field(description="Steps in all.", examples=[12])
    expected_end: datetime | None = Field(
        description="When its end is expected, by what was usual lately; null when that cannot be told."
    )


class Status(BaseModel):
    """Where something stands: the same four things for servers and accounts."""

    state: str = Field(description="Its state, in one word.", examples=["handed_over"])
    sentence: str = Field(description="What the state means.")
    next: str = Field(description="What happens next.", examples=["Perform what still lives on the server: blog."])
    waits_for: Literal["customer", "host", "nobody"] = Field(description="Who must act for it to go on.")
    progress: Progress | None = Field(description="How far it is; null when nothing is under way.")


class AccountSummary(Status):
    """An account, where it lives and where it stands."""

    account: str = Field(examples=["blog"])
    server: str = Field(description="Where it lives now.", examples=["transit-1"])
    home_server: str = Field(description="Where it belongs.", examples=["vps-1"])
    domains: list[str] = Field(examples=[["blog.example"]])


class Accounts(BaseModel):
    """A page of accounts, by name."""

    accounts: list[AccountSummary]
    next: str | None = Field(description="`after` of the next page; null on the last one.")


class ServerSummary(Status):
    """A server and where it stands."""

    server: str = Field(examples=["vps-1"])
    kind: str = Field(description="shared, dedicated, vps or database.", examples=["vps"])
    plan: str = Field(examples=["M"])
    infrastructure: str = Field(description="The version that it runs.", examples=["2022"])
    customer: str | None = Field(examples=["Alpine Herders"])


class Servers(BaseModel):
    """A page of servers, by name."""

    servers: list[ServerSummary]
    next: str | None = Field(description="`after` of the next page; null on the last one.")


class Unclaimed(BaseModel):
    """Something that lives on a server and is no account's. It stops the server's migration until somebody signs."""

    kind: str = Field(examples=["files"])
    name: str = Field(examples=["/srv/erp/"])
    sentence: str = Field(description="What it is.")
    first_seen: datetime
    last_seen: datetime
    signed_by: str | None = Field(description="Who answers for it; null: nobody yet.")
    reason: str | None = Field(description="Why it may stay behind, and be lost.")
    signed_at: datetime | None


class UnclaimedThings(BaseModel):
    """What was seen when the whole server was looked at last; what nobody has signed for comes first."""

    unclaimed: list[Unclaimed]


class Sign(Strict):
    """Somebody answers for one of them."""

    kind: str = Field(pattern=r"^[a-z_]{1,40}$", examples=["files"])
    name: Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_as_told)]
    reason: Line


class Place(BaseModel):
    """A place in the queue for a transit."""

    place: int = Field(description="1 is next.", examples=[2])
    of: int = Field(examples=[3])
    expected: datetime | None = Field(description="When a transit is expected; null when that cannot be told.")


class Transit(BaseModel):
    """The transit of a server, asked for or handed over."""

    server: str
    transit: str | None = Field(description="Its name; null while the request waits.", examples=["transit-1"])
    asked_for_at: datetime
    queue: Place | None = Field(description="The place in the queue; null when it does not wait.")
    handed_over_at: datetime | None = Field(description="When the free days began; null before.")
    free_until: datetime | None = Field(description="When they end.")
    seconds_free: int | None = Field(description="The countdown: seconds until then, 0 when they are over.")


class Step(BaseModel):
    """A state on the migration's path."""

    state: str
    sentence: str
    reached_at: datetime | None = Field(description="Null: it is still to come.")


class Run(BaseModel):
    """The run in Airflow that does the work."""

    dag_id: str = Field(examples=["migrate_server"])
    run_id: str
    url: str = Field(description="The run in Airflow's UI.")
    state: str | None = Field(description="queued, running, success or failed.", examples=["running"])


class Migration(BaseModel):
    """A server's passage through an entry of the catalogue."""

    id: int
    entry: str = Field(examples=["infrastructure-2026"])
    state: str
    began_at: datetime
    requested_by: str
    run: Run
    path: list[Step]


class Server(ServerSummary):
    """A server with all that is known of its migration."""

    migration: Migration | None = Field(description="Its live migration; null when it is in none.")
    transit: Transit | None
    accounts: list[AccountSummary]


class Scope(BaseModel):
    """What was compared of a part of the account."""

    what: str
    how: str
    when: str
    without: list[str] = Field(description="What was not compared, and why.")


class Move(BaseModel):
    """The move that an account is in."""

    id: int
    from_server: str
    to_server: str
    direction: str = Field(description="out, home or over.")
    state: str
    began_at: datetime
    run: Run


class Proof(BaseModel):
    """What was proven of a move before the account went on at its new server."""

    move: int
    verified: bool = Field(description="Both copies were equal, and nothing that the account has was left out.")
    equal: bool = Field(description="Whatever was compared was equal on both servers.")
    counts: dict[str, int] = Field(examples=[{"files": 2822, "tables": 14, "rows": 4927, "messages": 0}])
    left: list[str] = Field(description="What the account has and was not carried, a sentence each.")
    scope: dict[str, Scope] = Field(description="By part of the account: what the proof covers.")


class Account(AccountSummary):
    """An account with all that is known of its migration."""

    move: Move | None = Field(description="The move that it is in; null when it is in none.")
    test: Test | None = Field(description="Its newest test; null before the first.")
    proof: Proof | None = Field(description="What was proven of its last move; null before the first.")


class Event(BaseModel):
    """Something that happened."""

    id: int = Field(description="Grows; the last one seen is `after` of the next call.")
    at: datetime
    kind: str = Field(examples=["move.committed"])
    account: str | None
    server: str | None
    sentence: str = Field(description="What happened, for people.", examples=["blog lives on its new server."])
    by: str | None = Field(None, description="Who asked for it; for ops only.")
    detail: dict[str, Any] | None = Field(None, description="What was recorded; for ops only.")


class Events(BaseModel):
    """A page of events, oldest first."""

    events: list[Event]
    next: int = Field(description="`after` of the next page. An empty page: nothing happened since.")


class Cost(BaseModel):
    """What the transit costs in all if the last account leaves the server on a day."""

    finish_on: date
    total: Decimal = Field(examples=["3.87"])


class Charge(BaseModel):
    """A line of the bill: a day, or the correction of one."""

    day: date
    kind: str = Field(description="charge or correction.")
    amount: Decimal = Field(examples=["1.29"])
    currency: str = Field(examples=["EUR"])
    reason: str | None


class Charges(BaseModel):
    """What the transit costs: what was charged, and what would come."""

    server: str
    sentence: str = Field(examples=["If you finish by Friday 27 November: 0.00 EUR; each day after: 1.29 EUR."])
    currency: str
    free_until: datetime
    charged: Decimal = Field(description="The sum of the charges so far.")
    charges: list[Charge]
    forecast: list[Cost]


class Request(BaseModel):
    """Something that was asked for, and the run that does it."""

    id: str = Field(description="The request's id, made of the Idempotency-Key.", examples=["9f1c2b7d4e5a6b7c8d9e0f12"])
    action: str = Field(description="What was asked for, in a word.", examples=["perform"])
    subject: str = Field(description="The account or server.", examples=["blog"])
    requested_at: datetime
    requested_by: str
    run: Run
    why: str | None = Field(default=None, description="Why the run failed; null while it has not.")
    watch: str = Field(description="Where to look how it goes.", examples=["/transhumance/v1/accounts/blog"])


class Health(BaseModel):
    """Whether the API can do its work."""

    status: Literal["healthy"]
    registry: Literal["answers"]


class QueueEntry(Place):
    """A waiting request."""

    server: str
    customer: str | None
    plan: str
    migration: int
    asked_for_at: datetime


class Queue(BaseModel):
    """Everybody who waits for a transit, first one first."""

    waiting: list[QueueEntry]


LiftGate = Annotated[
    Line | None,
    Field(description="Ops only: begin although not everything was tested, or with blockers. Kept in the event log."),
]


class AskForTransit(Strict):
    """Which migration the server shall go through."""

    entry: EntryName = Field(examples=["infrastructure-2026"])
    lift_gate_because: LiftGate = None


class Cancel(Strict):
    """Why the migration is cancelled."""

    reason: Line = Field(description="Kept in the event log.", examples=["We keep the old version until spring."])


class Perform(Strict):
    """How an account is performed."""

    entry: EntryName | None = Field(
        None, description="The migration, for an account of a shared server; of others it is their server's."
    )
    longest_wait_seconds: float = Field(
        1,
        ge=0.1,
        le=60,
        description="How long a visitor may have to wait at the switch-over. A rehearsal measures it first: if it "
        "would be longer, the account stays where it is, and the run says why.",
    )
    lift_gate_because: LiftGate = None


class Replay(Strict):
    """Which events are delivered again."""

    after: int = Field(ge=0, le=2**53, description="The last event that is not wanted again.", examples=[1041])


class StartTest(Strict):
    """What the account is tested for."""

    entry: EntryName = Field(examples=["infrastructure-2026"])


class Test(BaseModel):
    """A test of an account: a copy on the new version, and what was found."""

    id: int
    entry: str = Field(examples=["infrastructure-2026"])
    state: str = Field(description="preparing, copying, ready, removing or removed.", examples=["ready"])
    names: dict[str, str] = Field(
        description="Where the copy answers: a test name for each site's domain.",
        examples=[{"blog.example": "blog-example-t7.test.example"}],
    )
    expires_at: datetime | None = Field(description="Until when the copy stays; null before it is ready.")
    began_at: datetime
    tested_at: datetime | None = Field(description="Since when there is a report; null before.")
    sentence: str = Field(description="What came of it.", examples=["2 things need your attention."])
    blockers: int | None = Field(description="What stops perform; null before the report.")
    warnings: int | None = Field(description="What does not stop it but should be looked at.")
    failure: str | None = Field(description="Why the copy was removed before it was ready.")
    report: str | None = Field(description="The report's address, as JSON; its page is the same with `.html`.")
    run: Run


class Tests(BaseModel):
    """An account's tests, newest first."""

    tests: list[Test]


class Finding(BaseModel):
    """One thing that the test found."""

    model_config = ConfigDict(extra="allow")

    id: str
    title: str
    severity: str = Field(description="blocker, warning or note.")
    explanation: str
    fix: str
    places: list[str]
    count: int


class Report(BaseModel):
    """The compatibility report of a test."""

    model_config = ConfigDict(extra="allow")

    account: str
    entry: str
    verdict: str = Field(description="ready, warnings or blocked.")
    sentence: str
    findings: list[Finding]


class Incompatibility(BaseModel):
    """One thing that the new version does otherwise."""

    id: str
    title: str
    explanation: str
    fix: str
    severity: str = Field(description="blocker, warning or note.")


class OpenMigration(BaseModel):
    """A migration that is open to an account."""

    entry: str = Field(examples=["infrastructure-2026"])
    title: str
    kind: str = Field(description="infrastructure, or the engine that it changes the version of.")
    from_version: str = Field(examples=["2022"])
    to_version: str = Field(examples=["2026"])
    mandatory: bool = Field(description="Whether the host performs it after the deadline.")
    opens: date | None
    deadline: date | None
    page: str = Field(description="The page for customers, in Markdown.")
    page_html: str = Field(description="The same page as HTML.")
    incompatibilities: list[Incompatibility]
    test: Test | None = Field(description="The newest test for it; null before the first.")
    why_not: str | None = Field(description="Why the account cannot be performed through it now; null: it can.")


class OpenMigrations(BaseModel):
    """The migrations that are open to an account, the most urgent first."""

    migrations: list[OpenMigration]


class InventoryDocument(BaseModel):
    """What the host has, as the registry knows it."""

    document: str = Field(description="YAML, by the schema docs/inventory.schema.json.")


class ApplyInventory(Strict):
    """What the host has."""

    document: str = Field(
        max_length=MAX_CHARACTERS,
        description="YAML or JSON, by the schema docs/inventory.schema.json.",
        examples=["sites:\n- name: Zurich\n"],
    )
    apply: bool = Field(False, description="Make it so. Without it: only tell what would be done.")


class InventoryChange(BaseModel):
    """One thing that was done, or would be."""

    verb: Literal["add", "change", "remove", "keep"]
    subject: str = Field(examples=["server vps-1"])
    detail: str = Field(examples=["plan VPS M becomes VPS L"])
    refused: str | None = Field(description="Why it cannot be done; null: it can.")
    line: str = Field(description="All of it in one line.")


class InventoryChanges(BaseModel):
    """The difference between a document and the registry."""

    applied: bool
    sentence: str = Field(examples=["2 to add, 1 to change."])
    changes: list[InventoryChange]


class Campaign(BaseModel):
    """A campaign: what is overdue, performed in waves."""

    id: int
    entry: str
    state: str = Field(description="running, paused, stopped or done.")
    requested_by: str
    why: str | None = Field(description="Why it was paused or stopped.")
    began_at: datetime
    ended_at: datetime | None
    accounts: dict[str, int] = Field(
        description="How many accounts are in each state.", examples=[{"done": 18, "failed": 2}]
    )
    not_moved: dict[str, str] = Field(
        description="The accounts that were left or have failed, and why.",
        examples=[{"shop": "It cannot be moved. The table c of database shop has the engine CONNECT, ..."}],
    )


class Campaigns(BaseModel):
    """Every campaign, newest first."""

    campaigns: list[Campaign]


class JudgedRequirement(BaseModel):
    """What the doctor says of one requirement of a server."""

    server: str = Field(examples=["web-1"])
    requirement: str = Field(examples=["rsync"])
    met: bool
    sentence: str = Field(
        description="That it is met; or what is wrong, and what to do.",
        examples=["web-1 has rsync 3.2.7, which follows a customer's links as root: install 3.5.0 or later."],
    )
    judged_at: datetime


class Doctor(BaseModel):
    """What servers have, and lack, for a move: as it was when they were asked last."""

    requirements: list[JudgedRequirement]


class DiscoveredAccount(BaseModel):
    """An account of a server that other tools filled, as the server's own configuration has it."""

    name: str = Field(examples=["web1"])
    home: str = Field(examples=["/var/www/clients/client1/web1"])
    hosts: list[str] = Field(description="The host names of its sites.")
    unfit: list[str] = Field(description="What of it cannot go over yet, and what to do; with any it is not adopted.")
    adopted: bool = Field(description="Whether it can be tested and moved.")


class Discovery(BaseModel):
    """Who was found on a server, when somebody looked last."""

    accounts: list[DiscoveredAccount]
    unclear: list[str] = Field(description="What is not understood there, or is nobody's.")
    discovered_at: datetime | None = Field(description="null: nobody has looked yet.")


class Agents(BaseModel):
    """Whether each server has the agent of this orchestrator."""

    agents: list[JudgedRequirement]


_Server = Field(None, pattern=r"^[a-z][a-z0-9-]{0,31}$", description="Only this one; null: all.")


class AskDoctor(Strict):
    """Which servers the doctor sees now."""

    server: str | None = _Server


class Upgrade(Strict):
    """Which servers get the agent of this orchestrator."""

    server: str | None = _Server


class Discover(Strict):
    """Nothing more is said of it."""


class Adopt(Strict):
    """Which of the accounts that live on a server are adopted."""

    accounts: list[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]] = Field(
        min_length=1, max_length=10_000, examples=[["web1", "web2"]]
    )


class Prepare(Strict):
    """Whether a host's own server is made ready for moves, or as it was."""

    take_away: bool = Field(False, description="Make it as it was before.")


class Enrol(Strict):
    """By which access a server lets the orchestrator in, once."""

    access: str = Field(
        pattern=r"^[A-Za-z0-9_.-]{1,200}$",
        description="The id of an SSH connection of Airflow's that logs in there as root.",
        examples=["root_access"],
    )
    host_key: str | None = Field(
        None,
        pattern=HOST_KEY,
        description="The server's ed25519 host key or its fingerprint, as somebody has compared it there.",
        examples=["SHA256:uNiVztksCsDhcc0u9e8BrrJXVuwCQCfCyuaoFKmCBoc"],
    )
