"""A hold keeps away from the full minute, at which cron looks."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from include.agent.move import moment

MINUTE = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)


@given(st.floats(0, 59.999), st.floats(0.05, 55))
def test_a_hold_meets_no_full_minute(second: float, expected: float) -> None:
    now = MINUTE + timedelta(seconds=second)
    begin = now + timedelta(seconds=moment.until_clear(now, expected))
    end = begin + timedelta(seconds=expected)
    assert (begin - now).total_seconds() <= 60
    assert begin.replace(second=0, microsecond=0) == end.replace(second=0, microsecond=0)


def test_a_hold_longer_than_a_minute_waits_for_nothing_more() -> None:
    assert moment.until_clear(MINUTE + timedelta(seconds=30), 58) == 0
    assert moment.until_clear(MINUTE + timedelta(seconds=30), 0.3) == 0


def test_only_what_cron_started_is_a_job() -> None:
    parents = {10: (1, "cron"), 11: (10, "sh"), 12: (11, "php"), 20: (1, "php-fpm"), 21: (20, "php-fpm")}
    assert [pid for pid in (11, 12, 21) if moment._below_cron(pid, parents)] == [11, 12]
