"""Airflow for tests: its settings from the repository and a home of its own. Import this before anything of Airflow,
which reads its settings when it is imported."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
_home = tempfile.TemporaryDirectory(prefix="airflow-tests-")
USERS = {"vera": "viewer", "olga": "op"}
"""Who may log in, and as what: one who may look, and one of ops."""

os.environ |= {
    "AIRFLOW_HOME": _home.name,
    "AIRFLOW_CONFIG": str(REPOSITORY / "config" / "airflow.cfg"),
    "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{role}" for name, role in USERS.items()),
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_home.name}/none.db",
    "AIRFLOW__API_AUTH__JWT_SECRET": "x" * 64,
    "AIRFLOW__API__SECRET_KEY": "y" * 32,
}
