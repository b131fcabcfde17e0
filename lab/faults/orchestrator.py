"""Runs of the DAGs, each by Airflow itself in a process of its own, which can be killed and run again.

The processes are forked from one that has Airflow and the DAGs loaded. What a scheduler would do after a worker was
killed, or a person after a run has failed, is done here: the same run is started again, and its own records in
Airflow's database are gone by then.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from lab import airflow, postgres
from lab.state import LOGS

DATABASE = "faults"
"""The lab's database that holds the registry of these runs."""
METADATA = ("faults_airflow", "faults_airflow_beside")
"""Airflow's own databases: that of every run, and that of one which is begun a second time beside itself."""
HOLD_SECONDS = 15
"""A hold that nobody ends returns after so long here; in production it is a minute."""
_FORKS = multiprocessing.get_context("forkserver")


def set_environment() -> None:
    """What Airflow reads at its import: settings, database, connections. For this process and those that it forks."""
    environment = airflow.environment()
    environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = postgres.url(METADATA[0])
    environment["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "WARNING"
    for connection in airflow.lab_connections():
        if connection["connection_id"] == "registry":
            connection = {**connection, "login": DATABASE, "schema": DATABASE}
        name = f"AIRFLOW_CONN_{connection.pop('connection_id').upper()}"
        environment[name] = json.dumps({"conn_type": "generic", **connection})
    # What this process itself needs of its environment stays.
    os.environ.update({key: value for key, value in environment.items() if key != "PATH"})
    os.environ["PYTHONPATH"] = f"{airflow.REPOSITORY}:{airflow.REPOSITORY / 'plugins'}"


def make_databases() -> None:
    """Both databases, empty but for their schemas."""
    for name in (DATABASE, *METADATA):
        postgres.psql("postgres", f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        if not postgres.psql("postgres", f"SELECT 1 FROM pg_roles WHERE rolname = '{name}'"):
            postgres.psql("postgres", f"CREATE ROLE {name} LOGIN")
        postgres.psql("postgres", f"CREATE DATABASE {name} OWNER {name}")
    for name in METADATA:
        environment = {**os.environ, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": postgres.url(name)}
        for words in (["db", "migrate"], ["dags", "reserialize"]):
            command = [sys.executable, "-m", "airflow", *words]
            subprocess.run(command, check=True, capture_output=True, timeout=300, env=environment)


def load() -> None:
    """Forks the process that all others are forked from; it has Airflow and the DAGs in memory."""
    _FORKS.set_forkserver_preload(["lab.faults.loaded"])
    first = _FORKS.Process(target=_nothing)
    first.start()
    first.join()


def _nothing() -> None: ...


class Run:
    """One run of a DAG, however often it is begun."""

    def __init__(self, dag_id: str, run_id: str, conf: dict[str, Any], metadata: str = METADATA[0]) -> None:
        self.dag_id, self.run_id, self.conf, self.metadata = dag_id, run_id, conf, metadata
        self.log: Path = LOGS / "faults" / f"{run_id}.{metadata}.log"
        self.begun = 0
        self._process: Any = None

    def begin(self) -> None:
        """Run it, from its first task; steps that were done find that they were."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.begun += 1
        args = (self.dag_id, self.run_id, self.conf, postgres.url(self.metadata), str(self.log))
        self._process = _FORKS.Process(target=_work, args=args)
        self._process.start()

    def kill(self) -> None:
        """SIGKILL for the worker and whatever it has started."""
        if self.running:
            self._process.kill()  # in its first moments it leads no group yet
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.join()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.is_alive()

    @property
    def succeeded(self) -> bool:
        """Whether every task of it has ended well in the run that was begun last."""
        return self._process is not None and self._process.exitcode == 0

    def wait(self, seconds: float) -> bool:
        """Wait until it has ended; whether it has."""
        self._process.join(seconds)
        return not self.running

    def last_error(self) -> str:
        """The last sentences of its log that tell why it failed."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        errors = [line for line in lines if "Refused: " in line or "Error: " in line or "Exception: " in line]
        return errors[-1][-600:] if errors else "it said nothing"


def _work(dag_id: str, run_id: str, conf: dict[str, Any], metadata: str, log: str) -> None:
    """In the forked process."""
    os.setsid()
    with open(log, "a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    from lab.faults import loaded

    print(f"--- {time.strftime('%H:%M:%S')} {dag_id} {run_id} {conf}", flush=True)
    sys.exit(0 if loaded.run(dag_id, run_id, conf, metadata) == "success" else 1)
