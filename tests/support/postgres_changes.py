"""What a database's owner may change while it moves (lab/data_sets/postgres_changes.sql), as data."""

import re
from dataclasses import dataclass
from pathlib import Path

_TEXT = (Path(__file__).parents[1] / "lab" / "data_sets" / "postgres_changes.sql").read_text()


@dataclass
class Change:
    """Statements, and a question that both servers must answer alike afterwards."""

    name: str
    sql: str
    asked: str


(BEFORE,) = re.findall(r"--@ before\n(.*?)--@ change", _TEXT, re.DOTALL)
CHANGES = [
    Change(*found) for found in re.findall(r"--@ change (\w+)\n(.*?)--@ asked\n(.*?;)\s*(?=--@|\Z)", _TEXT, re.DOTALL)
]
