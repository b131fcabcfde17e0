"""The commands. Each is a call or two of the API, shown as a table, or with --json as the API gave it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from cli import client, tables
from cli.client import CallFailed, Client

app = typer.Typer(
    name="transhumance",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Migrations of a web host's servers and accounts, by the panel's API. Settings come from the environment: "
    "TRANSHUMANCE_URL (Airflow's address), and TRANSHUMANCE_TOKEN or TRANSHUMANCE_USER and TRANSHUMANCE_PASSWORD.",
)
console = Console()

Json = Annotated[bool, typer.Option("--json", help="What the API answers, as JSON.")]
Customer = Annotated[
    str | None,
    typer.Option(envvar="TRANSHUMANCE_CUSTOMER", help="Act for this customer. Without it: for the host (ops)."),
]
Wait = Annotated[bool, typer.Option("--wait", "-w", help="Show how it goes until the run has ended.")]
Lift = Annotated[
    str | None, typer.Option(help="Begin although not everything was tested; this reason is kept. Ops only.")
]


@contextmanager
def calling(customer: str | None) -> Iterator[Client]:
    """A client; why a call failed becomes a line on stderr and exit code 1."""
    try:
        yield client.connect(customer)
    except CallFailed as failure:
        Console(stderr=True).print(str(failure), style="red", markup=False, highlight=False)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def show(answer: Any, as_json: bool, table: Callable[[Any], Any]) -> None:
    """Print the answer as JSON, or as `table` draws it."""
    if as_json:
        sys.stdout.write(json.dumps(answer, indent=1, ensure_ascii=False) + "\n")
    else:
        console.print(table(answer))


@app.command()
def overview(customer: Customer = None, as_json: Json = False) -> None:
    """Servers and accounts: where each stands, and who must act."""
    with calling(customer) as api:
        answer = {
            "servers": list(api.pages("/servers", "servers")),
            "accounts": list(api.pages("/accounts", "accounts")),
        }
        show(answer, as_json, tables.overview)


@app.command()
def server(name: str, customer: Customer = None, as_json: Json = False) -> None:
    """One server: its migration step by step, its transit, its accounts."""
    with calling(customer) as api:
        show(api.get(f"/servers/{name}"), as_json, tables.server)


@app.command()
def account(name: str, customer: Customer = None, as_json: Json = False) -> None:
    """One account: where it stands, its newest test, and the migrations that are open to it."""
    with calling(customer) as api:
        answer = {**api.get(f"/accounts/{name}"), **api.get(f"/accounts/{name}/migrations")}
        show(answer, as_json, tables.account)


@app.command()
def test(account: str, entry: str, wait: Wait = False, customer: Customer = None, as_json: Json = False) -> None:
    """Test an account for a migration of the catalogue: a copy on the new version, and a report."""
    with calling(customer) as api:
        _asked(api, api.post(f"/accounts/{account}/tests", entry=entry), f"/accounts/{account}", wait, as_json)


@app.command()
def perform(
    account: str,
    entry: Annotated[str | None, typer.Option(help="The migration, for an account of a shared server.")] = None,
    longest_wait_seconds: Annotated[float, typer.Option(help="What a visitor may have to wait.")] = 1,
    lift_gate_because: Lift = None,
    wait: Wait = False,
    customer: Customer = None,
    as_json: Json = False,
) -> None:
    """Perform an account: it moves, and nobody notices."""
    body = {"entry": entry, "longest_wait_seconds": longest_wait_seconds, "lift_gate_because": lift_gate_because}
    with calling(customer) as api:
        _asked(api, api.post(f"/accounts/{account}/perform", **body), f"/accounts/{account}", wait, as_json)


@app.command()
def ask(
    server: str,
    entry: str,
    lift_gate_because: Lift = None,
    wait: Wait = False,
    customer: Customer = None,
    as_json: Json = False,
) -> None:
    """Ask for a transit: the server's migration begins."""
    body = {"entry": entry, "lift_gate_because": lift_gate_because}
    with calling(customer) as api:
        _asked(api, api.post(f"/servers/{server}/transit", **body), f"/servers/{server}", wait, as_json)


@app.command()
def cancel(server: str, reason: str, wait: Wait = False, customer: Customer = None, as_json: Json = False) -> None:
    """Cancel a server's migration, before an account was performed."""
    with calling(customer) as api:
        answer = api.post(f"/servers/{server}/cancel", reason=reason)
        _asked(api, answer, f"/servers/{server}", wait, as_json)


@app.command()
def queue(as_json: Json = False) -> None:
    """Who waits for a transit, first one first."""
    with calling(None) as api:
        show(api.get("/queue"), as_json, tables.queue)


@app.command()
def charges(server: str, customer: Customer = None, as_json: Json = False) -> None:
    """What a server's transit has cost, and what it will have cost."""
    with calling(customer) as api:
        show(api.get(f"/servers/{server}/charges"), as_json, tables.charges)


@app.command()
def enrol(
    server: str,
    access: Annotated[str, typer.Option(help="Airflow's SSH connection that logs in there as root.")] = "root_access",
    host_key: Annotated[
        str | None, typer.Option(help="The server's ed25519 host key or SHA256:..., as you have compared it there.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Let the orchestrator in to a server that is there already; then what the doctor says of it."""
    with calling(None) as api:
        _until_ended(api, api.post(f"/servers/{server}/enrol", access=access, host_key=host_key))
        show(api.get(f"/servers/{server}/doctor"), as_json, tables.doctor)


@app.command()
def doctor(server: Annotated[str, typer.Argument(help="A server's name, or all.")], as_json: Json = False) -> None:
    """What a server has, and lacks, for a move: a line for each requirement, met or what to do."""
    everyone = server == "all"
    with calling(None) as api:
        _until_ended(api, api.post("/doctor", server=None if everyone else server))
        answer = api.get("/doctor" if everyone else f"/servers/{server}/doctor")
        show(answer, as_json, tables.doctor)
        if not all(requirement["met"] for requirement in answer["requirements"]):
            raise typer.Exit(1)


@app.command()
def prepare(server: str, as_json: Json = False) -> None:
    """Make a host's own server ready for moves: a front before its web server; then what the doctor says of it."""
    _prepare(server, as_json, take_away=False)


@app.command()
def unprepare(server: str, as_json: Json = False) -> None:
    """Take that away again: the server is as it was."""
    _prepare(server, as_json, take_away=True)


def _prepare(server: str, as_json: bool, take_away: bool) -> None:
    with calling(None) as api:
        _until_ended(api, api.post(f"/servers/{server}/prepare", take_away=take_away))
        show(api.get(f"/servers/{server}/doctor"), as_json, tables.doctor)


@app.command()
def upgrade(
    server: Annotated[str | None, typer.Argument(help="Only this one; all without it.")] = None, as_json: Json = False
) -> None:
    """Give servers the agent of this orchestrator; then who has which."""
    with calling(None) as api:
        try:
            _until_ended(api, api.post("/upgrade", server=server))
        finally:
            show(api.get("/agents"), as_json, tables.agents)


@app.command()
def discover(server: str, as_json: Json = False) -> None:
    """Who lives on a server by its own configuration, and what of each cannot go over yet; it only reads."""
    with calling(None) as api:
        _until_ended(api, api.post(f"/servers/{server}/discover"))
        show(api.get(f"/servers/{server}/discovered"), as_json, tables.discovered)


@app.command()
def adopt(
    server: str,
    accounts: Annotated[list[str], typer.Argument(help="As `discover` tells them.")],
    as_json: Json = False,
) -> None:
    """Adopt accounts that live on a server, as they are: from then on they can be tested and moved."""
    with calling(None) as api:
        _until_ended(api, api.post(f"/servers/{server}/adopt", accounts=accounts))
        show(api.get(f"/servers/{server}/discovered"), as_json, tables.discovered)


@app.command()
def campaigns(as_json: Json = False) -> None:
    """Campaigns, and how far their accounts are."""
    with calling(None) as api:
        show(api.get("/campaigns"), as_json, tables.campaigns)


inventory = typer.Typer(no_args_is_help=True, help="What the host has, as one YAML document (docs/inventory.md).")
app.add_typer(inventory, name="inventory")
Document = Annotated[typer.FileText, typer.Argument(help="The document; - reads it from standard input.")]


@inventory.command()
def plan(document: Document, as_json: Json = False) -> None:
    """What applying the document would do; nothing is changed."""
    with calling(None) as api:
        show(api.post("/inventory", document=document.read()), as_json, tables.inventory)


@inventory.command()
def apply(
    document: Document,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Make the registry say what the document says: all of it, or nothing."""
    text = document.read()
    with calling(None) as api:
        if not yes:
            planned = api.post("/inventory", document=text)
            Console(stderr=True).print(tables.inventory(planned))
            typer.confirm("Apply this?", abort=True, err=True)
        show(api.post("/inventory", document=text, apply=True), as_json, tables.inventory)


@inventory.command()
def export(as_json: Json = False) -> None:
    """The document of what the registry knows."""
    with calling(None) as api:
        answer = api.get("/inventory")
        sys.stdout.write(json.dumps(answer) + "\n" if as_json else answer["document"])


@app.command()
def unclaimed(server: str, as_json: Json = False) -> None:
    """What lives on a server and is no account's: it stops a migration until somebody signs for it."""
    with calling(None) as api:
        show(api.get(f"/servers/{server}/unclaimed"), as_json, tables.unclaimed)


@app.command()
def sign(
    server: str,
    kind: Annotated[str, typer.Argument(help="As `unclaimed` tells it.")],
    name: Annotated[str, typer.Argument(help="As `unclaimed` tells it.")],
    reason: Annotated[str, typer.Option(help="Why it may stay behind, and be lost; it is kept.")],
    as_json: Json = False,
) -> None:
    """Answer for something on a server that is no account's."""
    with calling(None) as api:
        signed = api.post(f"/servers/{server}/unclaimed/sign", kind=kind, name=name, reason=reason)
        show(signed, as_json, lambda answer: tables.unclaimed({"unclaimed": [answer]}))


@app.command()
def follow(
    server: Annotated[str | None, typer.Option(help="Only this server and its accounts.")] = None,
    account: Annotated[str | None, typer.Option(help="Only this account.")] = None,
    after: Annotated[int | None, typer.Option(help="Begin behind this event. Without it: now.")] = None,
    customer: Customer = None,
    as_json: Json = False,
) -> None:
    """Follow what happens, live, until Ctrl-C."""
    path = f"/accounts/{account}/stream" if account else f"/servers/{server}/stream" if server else "/stream"
    with calling(customer) as api:
        for event in api.follow(path, after):
            if as_json:
                sys.stdout.write(json.dumps(event, ensure_ascii=False) + "\n")
                sys.stdout.flush()
            else:
                console.print(tables.event(event))


def _until_ended(api: Client, request: dict[str, Any]) -> None:
    """Waits for the run of a request; why it failed is the failure."""
    with Console(stderr=True).status(f"{request['action']} {request['subject']}"):
        while request["run"]["state"] in ("queued", "running"):
            time.sleep(2)
            request = api.get(f"/requests/{request['id']}")
    if request["run"]["state"] == "failed":
        raise CallFailed(request.get("why") or f"The run failed: {request['run']['url']} tells where.")


def _asked(api: Client, request: dict[str, Any], watch: str, wait: bool, as_json: bool) -> None:
    """Shows what was asked for; with `wait`, its progress until the run has ended."""
    if wait:
        request = _progress(api, request, watch)
    show(request, as_json, tables.request)
    if request["run"]["state"] == "failed":
        raise CallFailed(f"The run failed: {request['run']['url']} tells where.")


def _progress(api: Client, request: dict[str, Any], watch: str) -> dict[str, Any]:
    """Draws how far the run is, by where its server or account stands, until it has ended; on stderr."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[next]}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task(request["subject"], total=None, next="")
        while request["run"]["state"] in ("queued", "running"):
            here = api.get(watch)
            how_far = here["progress"] or {"done": 0, "of": None}
            description = f"{request['subject']} {here['state']}"
            progress.update(
                bar, description=description, completed=how_far["done"], total=how_far["of"], next=here["next"]
            )
            time.sleep(2)
            request = api.get(f"/requests/{request['id']}")
    return request
