"""The examples of docs/api.md and of the README, run with curl against the API as they stand there."""

from __future__ import annotations

import hashlib
import hmac
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI

from include import registry
from tests.api.world import Api, serving, with_test
from tests.registry import host
from tests.support.airflow_home import REPOSITORY
from transhumance_airflow.api import streams

TEXT = (REPOSITORY / "docs" / "api.md").read_text()
BLOCKS = re.compile(r"^```bash\n(.*?)^```", re.DOTALL | re.MULTILINE)
SETUP, *EXAMPLES = BLOCKS.findall(TEXT)


@pytest.fixture
def api(new_registry: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """The API of a host whose customer of the examples has vps-1 with a blog, vps-2, and a shop on a shared server."""
    monkeypatch.setattr(streams, "LIFETIME_SECONDS", 0)
    with serving(new_registry(), monkeypatch, accounts=0) as api:
        api.conn.execute("UPDATE servers SET customer = 'Alpine Herders' WHERE kind = 'vps'")
        entry = registry.Entry("infrastructure-2026", "A new Debian", "infrastructure", "2022", "2026")
        registry.sync_catalogue(api.conn, [entry])
        for account, server in (("blog", "vps-1"), ("mail", "vps-2"), ("shop", "web-1")):
            registry.add_account(api.conn, account, server, [f"{account}.example"], "Alpine Herders")
        yield api


@pytest.fixture
def address(api: Api) -> Iterator[str]:
    """Where the API listens, with as much of Airflow around it as the examples need."""
    airflow = FastAPI()
    airflow.mount("/transhumance", api.client.app)

    @airflow.post("/auth/token")
    def token(asked: dict[str, str]) -> dict[str, str]:
        assert asked == {"username": "panel", "password": "secret"}
        return {"access_token": "panel"}

    server = uvicorn.Server(uvicorn.Config(airflow, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def test_every_example_works(api: Api, address: str, tmp_path: Path) -> None:
    meanwhile = {  # what the host does between two of the customer's calls
        "REPORT=": lambda: with_test(api.conn, "blog", entry="infrastructure-2026"),
        "/accounts/shop/perform": lambda: gone(api, with_test(api.conn, "shop", entry="infrastructure-2026")),
        "$API/servers/vps-1/charges": lambda: host.handed_over(api.conn, 1),
        "/servers/vps-2/cancel": lambda: host.begin(api.conn, 2),
    }
    environment = {"AIRFLOW": address, "PANEL_USER": "panel", "PANEL_PASSWORD": "secret", "PATH": "/usr/bin:/bin"}
    for example in EXAMPLES:
        for part, happens in meanwhile.items():
            if part in example:
                happens()
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"{SETUP}\n{example}"],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"{example}\n{done.stdout}\n{done.stderr}"
    (example,) = BLOCKS.findall((REPOSITORY / "README.md").read_text())
    for dag, run in [*api.runs.started]:  # the accounts that were performed above are through
        api.runs.fail(dag, run)
    environment |= {"TOKEN": "panel"}
    command = ["bash", "-euc", example]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "it moves to the transit and goes on serving" in done.stdout, done.stdout
    assert "<html" in (tmp_path / "report.html").read_text()
    assert {dag for dag, _ in api.runs.started} == {
        "deliver_events",
        "manage_transits",
        "migrate_account",
        "migrate_server",
        "move_account",
        "test_account",
    }


def gone(api: Api, test: registry.Test) -> None:
    registry.replace_test(api.conn, test.account, "another run")
    registry.advance_test(api.conn, test.id, "removed")


def test_a_receiver_tells_ours_from_others_as_the_docs_say() -> None:
    code, *_ = re.findall(r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    scope: dict[str, Any] = {"hmac": hmac, "hashlib": hashlib}
    exec(code, scope)
    signature = hmac.new(b"secret", b"1000.{}", hashlib.sha256).hexdigest()
    is_ours = scope["is_ours"]
    assert is_ours("secret", f"t=1000,v1={signature}", b"{}", 1010.0)
    assert not is_ours("other", f"t=1000,v1={signature}", b"{}", 1010.0)
    assert not is_ours("secret", f"t=1000,v1={signature}", b"[]", 1010.0)
    assert not is_ours("secret", f"t=1000,v1={signature}", b"{}", 2000.0)
