"""Airflow for tests: its settings from the repository, a home of its own that goes with the run.

Imported before anything imports Airflow, which reads its settings at import.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
_MEMORY = Path("/dev/shm")
"""A disk that stalls for seconds is a database that is locked: what a task's end says of it is that the task failed."""
_home = tempfile.TemporaryDirectory(prefix="airflow-tests-", dir=_MEMORY if _MEMORY.is_dir() else None)
HOME = Path(_home.name)
os.environ |= {
    "AIRFLOW_HOME": _home.name,
    "AIRFLOW_CONFIG": str(REPOSITORY / "config" / "airflow.cfg"),
    "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_home.name}/none.db",
}
