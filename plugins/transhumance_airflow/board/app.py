"""The board's routes, and who may use them: nobody anonymous sees anything but static files."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from fastapi import Depends, FastAPI, Form, HTTPException, Query, Request
from fastapi import Path as InPath
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from include import registry
from include.inventory import difference, text
from include.inventory.stored import stored
from include.moves import pool
from include.panel import event_text
from transhumance_airflow import connections
from transhumance_airflow.board import PREFIX, gather, live, words
from transhumance_airflow.board.views import front_page, plots, server_page, servers
from transhumance_airflow.open_streams import OpenStreams, TooMany

FOLDER = Path(__file__).parent
SECTIONS = ("numbers", "stuck", "groups", "moves", "pool", "campaigns", "events", "servers", "said")
"""The front page's sections, each a template and an event of its stream."""
SERVER_SECTIONS = ("path", "unclaimed", "accounts", "plots", "said")

HEADERS = {
    # Everything comes from Airflow's own address, and only Airflow's own page may frame it.
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "frame-ancestors 'self'; base-uri 'none'; form-action 'self'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}

templates = Environment(
    loader=FileSystemLoader(FOLDER / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
templates.globals["words"] = words
templates.globals["sentence_of"] = event_text.for_ops
templates.filters["safe_json"] = plots.as_json

SERVER = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
ServerName = Annotated[str, InPath(pattern=SERVER)]
TEXT = r"^[^\x00]*$"
"""What a database can hold as a text."""

# The board shows what the runs of migrate_server show; its buttons do what the form of manage_transits does.
may_read = Depends(requires_access_dag("GET", param_dag_id="migrate_server"))
may_manage = Depends(requires_access_dag("POST", DagAccessEntity.RUN, "manage_transits"))


def may_act(user: GetUserDep) -> bool:
    """Whether the buttons are there for this user."""
    return get_auth_manager().is_authorized_dag(
        method="POST", access_entity=DagAccessEntity.RUN, details=DagDetails(id="manage_transits"), user=user
    )


def of_this_origin(request: Request) -> None:
    """Refuses what another site's page makes a browser send."""
    origin = request.headers.get("origin")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none") or (
        origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    ):
        raise HTTPException(HTTPStatus.FORBIDDEN, "This page's own buttons only.")


MayAct = Annotated[bool, Depends(may_act)]

_streams = OpenStreams(of_a_customer=20, of_a_user=20, in_all=100)


def slot(user: GetUserDep) -> Iterator[None]:
    """One of the viewer's streams, until it ends."""
    try:
        with _streams.one_more(user.get_id(), None):
            yield
    except TooMany as error:
        raise HTTPException(HTTPStatus.TOO_MANY_REQUESTS, str(error), {"Retry-After": "60"}) from None


one_stream = Depends(slot)

app = FastAPI(title="Transhumance: the board", openapi_url=None, docs_url=None, redoc_url=None)
app.mount("/static", StaticFiles(directory=FOLDER / "static"), name="static")


class Wanted:
    """Which part of the list of servers a viewer looks at."""

    def __init__(
        self,
        state: Annotated[str, Query(max_length=40, pattern=TEXT)] = "",
        q: Annotated[str, Query(max_length=100, pattern=TEXT)] = "",
        page: Annotated[int, Query(ge=1, le=100_000)] = 1,
    ) -> None:
        self.state, self.text, self.page = state, q.strip(), page


def where(request: Request, may: bool) -> dict[str, Any]:
    """What every template needs: this app's address, Airflow's, and whether the viewer has buttons."""
    root = request.scope.get("root_path", "")
    return {"root": root, "airflow": root.removesuffix(PREFIX), "may_act": may}


def render(sections: tuple[str, ...], **shown: Any) -> dict[str, str]:
    """Each section's HTML."""
    return {name: templates.get_template(f"_{name}.html").render(**shown) for name in sections}


def page(template: str, status: int = 200, **shown: Any) -> HTMLResponse:
    """A whole page."""
    return HTMLResponse(templates.get_template(template).render(**shown), status, HEADERS)


def front(wanted: Wanted, **at: Any) -> dict[str, str]:
    """The front page's sections, as they are now."""
    now = gather.shared_glance.get()
    rows = gather.servers(wanted.state, wanted.text, wanted.page)
    listed = servers.server_list(rows, now.states, wanted.state, wanted.text, wanted.page)
    return render(SECTIONS, **front_page.view(now), servers=listed, **at)


def one_server(name: str, **at: Any) -> dict[str, str]:
    """The sections of a server's page, as they are now."""
    shown = server_page.view(gather.server_page(name))
    return render(SERVER_SECTIONS, **shown, **at)


@app.get("/", dependencies=[may_read])
def board(request: Request, may: MayAct, wanted: Annotated[Wanted, Depends()]) -> Response:
    """Everything at a glance."""
    at = where(request, may)
    return page("board.html", sections=front(wanted, **at), query=request.url.query, **at)


@app.get("/stream", dependencies=[may_read, one_stream], response_class=EventSourceResponse)
async def stream(request: Request, may: MayAct, wanted: Annotated[Wanted, Depends()]) -> AsyncIterator[ServerSentEvent]:
    """The front page's sections, each whenever it changes."""
    at = where(request, may)
    async for change in live.changes(lambda: front(wanted, **at)):
        yield change


@app.get("/servers/{name}", dependencies=[may_read])
def server(request: Request, may: MayAct, name: ServerName) -> Response:
    """One server: its path, its accounts, its figures."""
    at = where(request, may)
    return page("server.html", name=name, sections=one_server(name, **at), **at)


@app.get("/servers/{name}/stream", dependencies=[may_read, one_stream], response_class=EventSourceResponse)
async def server_stream(request: Request, may: MayAct, name: ServerName) -> AsyncIterator[ServerSentEvent]:
    """A server's sections, each whenever it changes."""
    at = where(request, may)
    async for change in live.changes(lambda: one_server(name, **at)):
        yield change


@app.get("/servers/{name}/report", dependencies=[may_read])
def report(name: ServerName) -> Response:
    """The report of the server's newest migration, as it was written."""
    migration = gather.server_page(name).migration
    path = connections.reports_folder() / f"migration-{migration.id}.json" if migration else None
    if path is None or not path.is_file():
        raise HTTPException(HTTPStatus.NOT_FOUND, f"There is no report of {name} yet: it is written at the end.")
    return FileResponse(path, media_type="application/json", filename=f"{name}-{path.name}", headers=HEADERS)


@app.get("/tests/{id}/report", dependencies=[may_read])
def test_report(id: Annotated[int, InPath(ge=1, le=2**63 - 1)]) -> Response:
    """The compatibility report of one test, as its customer sees it. It is about what customers wrote: no script of it
    runs."""
    path = connections.reports_folder() / f"test-{id}.html"
    if not path.is_file():
        raise HTTPException(HTTPStatus.NOT_FOUND, f"There is no report of test {id}.")
    sandbox = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'self'"
    return FileResponse(path, media_type="text/html", headers=HEADERS | {"Content-Security-Policy": sandbox})


ACTIONS = {
    "pause_transit": pool.act,
    "resume_transit": pool.act,
    "move_up": pool.act,
    "pause_campaign": lambda conn, asked: registry.pause_campaign(
        conn, asked["campaign"], asked["reason"] or "", asked["requested_by"]
    ),
    "sign": lambda conn, asked: registry.sign_unclaimed(
        conn,
        asked["server"] or "",
        asked["kind"] or "",
        asked["name"] or "",
        asked["reason"] or "",
        asked["requested_by"],
    ),
    "resume_campaign": lambda conn, asked: registry.resume_campaign(conn, asked["campaign"], asked["requested_by"]),
}
"""What the buttons do; all of it can be undone by another button, or is done for a reason that is kept."""


@app.post("/actions/{action}", dependencies=[may_manage, Depends(of_this_origin)])
def act(
    action: Annotated[str, InPath(pattern=f"^({'|'.join(ACTIONS)})$")],
    user: GetUserDep,
    transit: Annotated[str | None, Form(pattern=SERVER)] = None,
    migration: Annotated[int | None, Form(ge=1, lt=2**63)] = None,
    campaign: Annotated[int | None, Form(ge=1, lt=2**63)] = None,
    server: Annotated[str | None, Form(pattern=SERVER)] = None,
    kind: Annotated[str | None, Form(max_length=40, pattern=TEXT)] = None,
    name: Annotated[str | None, Form(max_length=500, pattern=TEXT)] = None,
    reason: Annotated[str | None, Form(max_length=500, pattern=TEXT)] = None,
) -> Response:
    """What a button says, done at once; answers with one sentence, also when it is refused."""
    asked = {"action": action, "transit": transit, "migration": migration, "campaign": campaign, "reason": reason}
    asked |= {"server": server, "kind": kind, "name": name}
    with connections.registry_connection() as conn:
        try:
            ACTIONS[action](conn, asked | {"requested_by": user.get_name()})
        except registry.RegistryRefused as refusal:
            return said(str(refusal), bad=True)
    gather.shared_glance.forget()
    return said(f"Done: {action.replace('_', ' ')}.")


@app.get("/inventory", dependencies=[may_manage])
def inventory(request: Request, may: MayAct) -> Response:
    """What the host has, as a document to be changed."""
    with connections.registry_connection() as conn:
        document = text.write(stored(conn))
    return page("inventory.html", document=document, **where(request, may))


@app.post("/inventory/{action}", dependencies=[may_manage, Depends(of_this_origin)])
def change_inventory(
    action: Annotated[str, InPath(pattern="^(plan|apply)$")],
    user: GetUserDep,
    document: Annotated[str, Form(max_length=text.MAX_CHARACTERS)],
) -> Response:
    """What a document would change, a line each, or has changed; a sentence where it is refused."""
    with connections.registry_connection() as conn:
        try:
            changes = difference.plan_or_apply(conn, document, action == "apply", user.get_name())
        except registry.RegistryRefused as refusal:
            return said(str(refusal), bad=True)
    gather.shared_glance.forget()
    return page("changes.html", changes=changes, sentence=difference.summary(changes), applied=action == "apply")


def said(sentence: str, bad: bool = False) -> Response:
    """The answer to a button."""
    return page("answer.html", sentence=sentence, bad=bad)


@app.exception_handler(registry.RegistryRefused)
def refused(request: Request, refusal: registry.RegistryRefused) -> Response:
    """What the registry does not know: a page that says so."""
    return page("refused.html", 404, sentence=str(refusal), **where(request, False))


@app.exception_handler(HTTPStatus.UNAUTHORIZED)
def anonymous(request: Request, error: HTTPException) -> Response:
    """A person without a session is led to the login; a program is told 401."""
    if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
        return RedirectResponse(get_auth_manager().get_url_login(next_url=str(request.url)), HTTPStatus.SEE_OTHER)
    return Response(str(error.detail), HTTPStatus.UNAUTHORIZED, media_type="text/plain")
