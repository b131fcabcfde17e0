"""The report of a migration: one JSON file that says what was moved, verified and changed, and when."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psycopg

from include import registry


def gather(conn: psycopg.Connection, migration: int) -> dict[str, Any]:
    """What the registry knows of the migration: itself, its moves with their figures, its events."""
    return {
        "migration": asdict(registry.migration(conn, migration)),
        "moves": [asdict(move) for move in registry.moves_of(conn, migration)],
        "events": [asdict(event) for event in registry.events(conn, migration_id=migration)],
    }


def write(conn: psycopg.Connection, migration: int, folder: Path) -> Path:
    """Writes the report to `folder` and notes that in the event log; gives the file. A repeated call replaces it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"migration-{migration}.json"
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(gather(conn, migration), indent=1, default=str) + "\n")
    os.replace(fresh, path)
    registry.event(conn, "report.written", migration=migration, detail={"file": path.name})
    return path
