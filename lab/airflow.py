"""The lab's Airflow: its four programs in the operators' namespace, and the little of its API that the lab
needs.

The API server listens in `th-ops` only. Its page is offered on 127.0.0.1 of the machine through a Unix
socket, over which the functions below speak to it as well.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from lab import names, postgres, router
from lab.accounts.certificates import certificate
from lab.say import LabError
from lab.state import CACHE, LOGS, STATE, alive, end, in_ns, public_key, spawn
from lab.state import key as key_pair
from lab.topology import NAME_SERVER, OPS, RESOLVER, ROUTER, ROUTER_MANAGEMENT, SERVERS

REPOSITORY = Path(__file__).resolve().parents[1]
HOME = STATE / "airflow"
SOCKET = HOME / "api.sock"
PORT = 8080
USER = "admin"
PROGRAMS = {
    "airflow-api-server": ["api-server", "--host", "127.0.0.1", "--port", str(PORT)],
    "airflow-scheduler": ["scheduler", "--skip-serve-logs"],
    "airflow-dag-processor": ["dag-processor"],
    "airflow-triggerer": ["triggerer"],
}
LAN_ROUTER = SERVERS["vps-1"].spec.router_address
LAN_ROUTER6 = SERVERS["vps-1"].spec.router_address6
DAGS = ("migrate_server", "move_account", "test_account", "migrate_account", "run_campaign")
FRESH = {"password": 12, "fernet": 0, "jwt": 48, "api": 32}


def secret(name: str) -> str:
    """A secret of this lab's Airflow: made at the first use, kept in the state, readable by root only."""
    path = HOME / "secrets.json"
    secrets_kept = json.loads(path.read_text()) if path.exists() else {}
    if name not in secrets_kept:
        HOME.mkdir(parents=True, exist_ok=True)
        secrets_kept = {key: secrets.token_urlsafe(length) for key, length in FRESH.items()}
        secrets_kept["fernet"] = fernet_key()
        _write_private(path, secrets_kept)
    return secrets_kept[name]


def fernet_key() -> str:
    """A key with which Airflow keeps its connections' passwords."""
    from cryptography.fernet import Fernet

    return Fernet.generate_key().decode()


def environment(reports: Path = STATE / "reports") -> dict[str, str]:
    """The environment of every Airflow program: what `config/airflow.cfg` leaves to the place."""
    return {
        "PATH": f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "HOME": str(HOME),  # no user's known_hosts, no user's keys
        "PYTHONPATH": str(REPOSITORY),
        "AIRFLOW_HOME": str(HOME),
        "AIRFLOW_CONFIG": str(REPOSITORY / "config" / "airflow.cfg"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "AIRFLOW__CORE__FERNET_KEY": secret("fernet"),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(HOME / "passwords.json"),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{PORT}/execution/",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": postgres.url("airflow"),
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{PORT}",
        "AIRFLOW__API__SECRET_KEY": secret("api"),
        "AIRFLOW__API_AUTH__JWT_SECRET": secret("jwt"),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(HOME / "logs"),
        "TRANSHUMANCE_REPORTS": str(reports),
    }


def up(reports: Path = STATE / "reports", seconds: float = 150) -> None:
    """Starts Airflow (what runs already is left alone), waits until it is well, and tells it the connections."""
    start(reports)
    wait_until_healthy(seconds)
    for connection in lab_connections():
        connect(connection)


def start(reports: Path = STATE / "reports") -> None:
    """Starts Airflow without waiting for it."""
    env = environment(reports)
    _write_private(HOME / "passwords.json", {USER: secret("password")})
    if all(alive(name) for name in PROGRAMS):
        return
    done = subprocess.run(
        in_ns(OPS, [sys.executable, "-m", "airflow", "db", "migrate"]),
        env=env,
        cwd=HOME,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise LabError(f"Airflow's database could not be made: {(done.stdout + done.stderr).strip()[-800:]}")
    for name, argv in PROGRAMS.items():
        # SIGINT lets Airflow's programs end their own children.
        command = [sys.executable, "-m", "airflow", *argv]
        spawn(name, command, netns=OPS, env=env, cwd=HOME, stop_signal=signal.SIGINT)
    if not alive("airflow-socket"):
        SOCKET.unlink(missing_ok=True)
    inside = f"UNIX-LISTEN:{SOCKET},fork,mode=0600"
    spawn("airflow-socket", ["socat", inside, f"TCP4:127.0.0.1:{PORT}"], netns=OPS)
    offered = f"TCP4-LISTEN:{PORT},bind=127.0.0.1,fork,reuseaddr"
    spawn("airflow-page", ["socat", offered, f"UNIX-CONNECT:{SOCKET}"])


def stop() -> None:
    """Ends Airflow; its database stays."""
    end(["airflow-page", "airflow-socket", *reversed(PROGRAMS)], patience=15)


def wait_until_healthy(seconds: float = 150) -> None:
    """Returns when all four programs are well and the DAGs can be run. Raises LabError after `seconds`."""
    until = time.monotonic() + seconds
    missing = "the API server"
    while time.monotonic() < until:
        for name in PROGRAMS:
            if not alive(name):
                raise LabError(f"{name} ended: see {LOGS / name}.log.")
        missing = _unwell()
        if not missing:
            return
        time.sleep(0.3)
    raise LabError(f"Airflow is not well after {seconds:g} s ({missing}): see {LOGS}/airflow-*.log.")


def _unwell() -> str:
    try:
        with client(token="") as api:
            health = api.get("/api/v2/monitor/health").json()
        for part in ("metadatabase", "scheduler", "triggerer", "dag_processor"):
            if health.get(part, {}).get("status") != "healthy":
                return part
        for dag_id in DAGS:
            if call("GET", f"/api/v2/dags/{dag_id}", expect=(200, 404)).get("dag_id") != dag_id:
                return f"the DAG {dag_id}"
    except (httpx.HTTPError, ValueError) as error:
        return f"the API server: {type(error).__name__}"
    return ""


def lab_connections() -> list[dict[str, Any]]:
    """The connections of `transhumance_airflow.connections` for this lab."""
    machines = {
        "kind": "lxc",
        "state_dir": str(STATE),
        "cache_dir": str(CACHE),
        "authorized_key": public_key("ops"),
        "netns": ROUTER,
        "resolver": RESOLVER,
        "router_address": LAN_ROUTER,
        "router_address6": LAN_ROUTER6,
    }
    zone = {"conn_type": "generic", "host": NAME_SERVER, "login": names.KEY, "password": names.tsig_secret()}
    return [
        {
            "connection_id": "registry",
            "conn_type": "postgres",
            "host": str(postgres.HOME),
            "login": "registry",
            "schema": "registry",
        },
        {
            "connection_id": "transhumance_agent",
            "conn_type": "ssh",
            "host": "the-server's-own-address",
            "login": "root",
            "extra": json.dumps({"key_file": str(key_pair("ops")), "look_for_keys": "false"}),
        },
        {
            "connection_id": "router",
            "conn_type": "ssh",
            "host": ROUTER_MANAGEMENT,
            "login": "root",
            "extra": json.dumps(
                {
                    "key_file": str(key_pair("router")),
                    "host_key": router.host_public_key(),
                    "look_for_keys": "false",
                }
            ),
        },
        {
            "connection_id": "names",
            "extra": json.dumps({"zone": names.ZONE}),
            **zone,
        },
        {
            "connection_id": "test_domain",
            "extra": json.dumps(
                {"zone": names.ZONE, "domain": names.TEST_DOMAIN, "certificate_file": str(_test_certificate())}
            ),
            **zone,
        },
        {
            "connection_id": "machines",
            "conn_type": "generic",
            "extra": json.dumps(machines),
        },
    ]


def _test_certificate() -> Path:
    """A certificate for every test name, signed by the lab's own authority."""
    path = STATE / "ca" / "test-domain.pem"
    if not path.exists():
        pem = certificate([f"*.{names.TEST_DOMAIN}"], STATE)
        path.touch(mode=0o600)
        path.write_bytes(pem)
    return path


def connect(connection: Mapping[str, Any]) -> None:
    """Tells Airflow a connection, or replaces the one of this id. Takes `conn_id` for `connection_id`."""
    body = {("connection_id" if key == "conn_id" else key): value for key, value in connection.items()}
    if isinstance(body.get("extra"), dict):
        body["extra"] = json.dumps(body["extra"])
    path = "/api/v2/connections"
    if call("POST", path, body, expect=(201, 409)).get("detail"):
        call("PATCH", f"{path}/{quote(body['connection_id'], safe='')}", body)


def connect_account(account: str, look: Mapping[str, Any], connections: Sequence[Mapping[str, Any]]) -> None:
    """Tells Airflow how an account is looked at, and the account's own credentials for it."""
    for connection in connections:
        connect(connection)
    connect({"conn_id": f"account_{account}", "conn_type": "generic", "extra": {"look": dict(look)}})


def client(token: str | None = None) -> httpx.Client:
    """An HTTP client of Airflow's API, over its Unix socket. A `token` of "" is none."""
    if token is None:
        token = _token()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.Client(
        transport=httpx.HTTPTransport(uds=str(SOCKET)),
        base_url=f"http://127.0.0.1:{PORT}",
        headers=headers,
        timeout=30,
    )


_kept: dict[str, Any] = {}


def _token() -> str:
    """A token of the lab's user, kept for an hour."""
    if _kept.get("until", 0) < time.monotonic():
        with client(token="") as api:
            answer = api.post("/auth/token", json={"username": USER, "password": secret("password")})
        answer.raise_for_status()
        _kept.update(token=answer.json()["access_token"], until=time.monotonic() + 3600)
    return _kept["token"]


def call(method: str, path: str, body: Any = None, expect: Sequence[int] = (200, 201, 204)) -> dict[str, Any]:
    """One call of Airflow's API. Raises LabError with what it said unless its status is expected."""
    with client() as api:
        answer = api.request(method, path, json=body)
    if answer.status_code not in expect:
        raise LabError(f"Airflow answers {method} {path} with {answer.status_code}: {answer.text[:800]}")
    return answer.json() if answer.content else {}


def trigger(dag_id: str, run_id: str, conf: Mapping[str, Any]) -> dict[str, Any]:
    """Starts a run, or finds the one of this id (Airflow answers 409: it is started once)."""
    body = {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf)}
    started = call("POST", f"/api/v2/dags/{dag_id}/dagRuns", body, expect=(200, 201, 409))
    return started if "state" in started else run(dag_id, run_id)


def run(dag_id: str, run_id: str) -> dict[str, Any]:
    """A run, as the API tells it: `state` is queued, running, success or failed."""
    return call("GET", f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}")


def tasks(dag_id: str, run_id: str) -> list[dict[str, Any]]:
    """The task instances of a run: `task_id`, `state`, `start_date`, `end_date`, `try_number`, ..."""
    path = f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances?limit=100"
    return call("GET", path)["task_instances"]


def task_log(dag_id: str, run_id: str, task_id: str, try_number: int) -> str:
    """A task's log as text, one message a line."""
    path = f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task_id}/logs/{try_number}"
    content = call("GET", path).get("content", [])
    lines = []
    for entry in content:
        lines.append(entry if isinstance(entry, str) else str(entry.get("event", entry)))
        for error in [] if isinstance(entry, str) else entry.get("error_detail") or []:
            lines.append(f"  {error.get('exc_type')}: {error.get('exc_value')}")
    return "\n".join(lines)


def clear(dag_id: str, run_id: str) -> None:
    """Clears a whole run, so that it goes on from where the work stands."""
    body = {"dry_run": False}
    call("POST", f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/clear", body)


def login() -> tuple[str, str, str]:
    """(URL, user, password) of the page."""
    return f"http://127.0.0.1:{PORT}", USER, secret("password")


def _write_private(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file)
    fresh.rename(path)
