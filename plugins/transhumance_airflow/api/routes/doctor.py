"""A host's own servers, for its ops: enrolled, doctored, given the present agent, prepared; and who lives there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from include import registry
from include.moves.doctor import AGENT
from transhumance_airflow.api import models
from transhumance_airflow.api.actions import Action, action
from transhumance_airflow.api.auth import CallerDep, my_server
from transhumance_airflow.api.database import Registry
from transhumance_airflow.api.idempotency import Key
from transhumance_airflow.api.routes import operation
from transhumance_airflow.api.runs import RunsDep

router = APIRouter(tags=["ops"])
MyServer = Annotated[registry.Server, Depends(my_server)]
ALL = "all servers"


def _told(judged: Iterable[registry.JudgedRequirement]) -> list[models.JudgedRequirement]:
    return [models.JudgedRequirement(**asdict(each)) for each in judged]


@router.get("/doctor", operation_id="doctor", **operation("ops"))
def doctor(conn: Registry) -> models.Doctor:
    """What every server has, and lacks, for a move, as the doctor saw it last: each requirement, met or what to do."""
    return models.Doctor(requirements=_told(registry.judged_requirements(conn)))


@router.get("/servers/{server}/doctor", operation_id="server_doctor", **operation("ops"))
def server_doctor(server: MyServer, conn: Registry) -> models.Doctor:
    """The same of one server."""
    return models.Doctor(requirements=_told(registry.judged_requirements(conn, server.name)))


@router.post("/doctor", operation_id="ask_doctor", **action("ops"))
def ask_doctor(
    body: models.AskDoctor, key: Key, caller: CallerDep, conn: Registry, runs: RunsDep, response: Response
) -> models.Request:
    """Have the doctor see one server, or all, now. A run of look_at_servers."""
    asked = Action(runs, conn, response, caller, key, "doctor", body.server or ALL, body)
    return asked.once(lambda: _of(conn, "look_at_servers", body.server), "doctor")


@router.get("/agents", operation_id="agents", **operation("ops"))
def agents(conn: Registry) -> models.Agents:
    """Which servers have the agent of this orchestrator, and which have not taken it, and why."""
    return models.Agents(agents=_told(registry.judged_requirements(conn, requirement=AGENT)))


@router.post("/upgrade", operation_id="upgrade", **action("ops"))
def upgrade(
    body: models.Upgrade, key: Key, caller: CallerDep, conn: Registry, runs: RunsDep, response: Response
) -> models.Request:
    """Give one server, or all, the agent of this orchestrator; never in the middle of an operation there. A run of
    upgrade_agents."""
    asked = Action(runs, conn, response, caller, key, "upgrade", body.server or ALL, body)
    return asked.once(lambda: _of(conn, "upgrade_agents", body.server), "agents")


@router.post("/servers/{server}/enrol", operation_id="enrol", **action("ops"))
def enrol(
    server: MyServer,
    body: models.Enrol,
    key: Key,
    caller: CallerDep,
    conn: Registry,
    runs: RunsDep,
    response: Response,
) -> models.Request:
    """Let the orchestrator in to a server that is there already, over an access of the host's. A run of
    enrol_server."""
    asked = Action(runs, conn, response, caller, key, "enrol", server.name, body)
    conf = {"server": server.name, **body.model_dump()}
    return asked.once(lambda: ("enrol_server", conf), f"servers/{server.name}/doctor")


@router.post("/servers/{server}/prepare", operation_id="prepare", **action("ops"))
def prepare(
    server: MyServer,
    body: models.Prepare,
    key: Key,
    caller: CallerDep,
    conn: Registry,
    runs: RunsDep,
    response: Response,
) -> models.Request:
    """Put a front before the web server of a host's own server, or take it away again. A run of prepare_server."""
    doing = "unprepare" if body.take_away else "prepare"
    asked = Action(runs, conn, response, caller, key, doing, server.name, body)
    conf = {"server": server.name, **body.model_dump()}
    return asked.once(lambda: ("prepare_server", conf), f"servers/{server.name}/doctor")


@router.get("/servers/{server}/discovered", operation_id="discovered", **operation("ops"))
def discovered(server: MyServer, conn: Registry) -> models.Discovery:
    """Who lives on a server by its own configuration, as it was read last: each account, what of it cannot go over yet,
    and whether it is adopted."""
    found_last = registry.discovery(conn, server.name)
    if found_last is None:
        return models.Discovery(accounts=[], unclear=[], discovered_at=None)
    adopted = {account.login for account in registry.accounts_of(conn, server.name)}
    accounts = [
        models.DiscoveredAccount(**account, adopted=account["name"] in adopted) for account in found_last.accounts
    ]
    return models.Discovery(accounts=accounts, unclear=found_last.unclear, discovered_at=found_last.discovered_at)


@router.post("/servers/{server}/discover", operation_id="discover", **action("ops"))
def discover(
    server: MyServer,
    body: models.Discover,
    key: Key,
    caller: CallerDep,
    conn: Registry,
    runs: RunsDep,
    response: Response,
) -> models.Request:
    """Have a server's own configuration read for who lives there; it only reads. A run of adopt_accounts."""
    asked = Action(runs, conn, response, caller, key, "discover", server.name, body)
    return asked.once(
        lambda: ("adopt_accounts", {"server": server.name, "accounts": []}), f"servers/{server.name}/discovered"
    )


@router.post("/servers/{server}/adopt", operation_id="adopt", **action("ops"))
def adopt(
    server: MyServer,
    body: models.Adopt,
    key: Key,
    caller: CallerDep,
    conn: Registry,
    runs: RunsDep,
    response: Response,
) -> models.Request:
    """Adopt accounts that live on a server: they can be tested and moved from then on, and nothing of them is changed.
    A run of adopt_accounts."""
    asked = Action(runs, conn, response, caller, key, "adopt", server.name, body)
    conf = {"server": server.name, **body.model_dump()}
    return asked.once(lambda: ("adopt_accounts", conf), f"servers/{server.name}/discovered")


def _of(conn: Registry, dag_id: str, server: str | None) -> tuple[str, dict[str, str | None]]:
    """The run of one server, or of all; refused where there is none of that name."""
    if server is not None:
        registry.server(conn, server)
    return dag_id, {"server": server}
