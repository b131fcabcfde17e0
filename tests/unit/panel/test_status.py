"""When what is under way is expected to end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from include.panel import status
from include.registry.states import MigrationState


@pytest.mark.parametrize(("usual", "ends"), [(timedelta(0), 0), (timedelta(minutes=5), 300), (None, None)])
def test_it_ends_after_its_usual_time_however_short(
    usual: timedelta | None, ends: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    migration: Any = SimpleNamespace(state=MigrationState.ACCOUNTS_MOVED, state_since=now)
    conn: Any = None
    monkeypatch.setattr(status.panel, "usual_rest", lambda *_: usual)
    expected = status._expected_end(conn, migration)
    if ends is None:
        assert expected is None
    else:
        assert expected is not None and 0 <= (expected - now).total_seconds() - ends < 60
