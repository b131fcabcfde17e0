"""What the registry holds, to be compared."""

from typing import Any

import psycopg

TABLES = (
    "servers accounts account_engines tests campaigns campaign_accounts entry_reminders customers migrations"
    " transit_requests leases moves ips names events event_cursors plan_prices plans catalogue sites zones unclaimed"
)


def content(conn: psycopg.Connection) -> dict[str, list[dict[str, Any]]]:
    """Every table without its times and what is made up for a row."""
    found = {}
    with conn.transaction():
        for table in TABLES.split():
            rows = conn.execute(f"SELECT to_jsonb(t) FROM {table} t ORDER BY 1").fetchall()
            times, made_up = ("_at", "_since", "_seen"), ("at", "key", "disk_kept")
            found[table] = [
                {key: value for key, value in row.items() if not key.endswith(times) and key not in made_up}
                | ({"detail": {k: v for k, v in row["detail"].items() if k != "at"}} if "detail" in row else {})
                for (row,) in rows
            ]
    return found
