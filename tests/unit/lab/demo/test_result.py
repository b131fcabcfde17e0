"""What the demo reports, and what it calls unproven."""

from copy import deepcopy
from datetime import UTC, date, datetime
from decimal import Decimal
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from include.agent.verbs.reports import Switched, Verified
from include.catalogue import infrastructures
from include.registry import Figures
from lab.demo import result

NEW = {"debian": "13.4", **{name: f"{wanted}.9" for name, wanted in infrastructures.load()["2026"].programs.items()}}
IP = "198.51.100.11"
CHECK = {"blog": {"written": 9, "lost": [], "sent": 3, "missing": [], "twice": []}}
HOME = {"blog": "vps-1"}


def move(direction, begin, equal=True, left=()):
    verified = Verified(files=7, bytes=1, tables=2, rows=30, messages=4, equal=equal)
    return SimpleNamespace(
        account="blog",
        direction=direction,
        state="done",
        began_at=datetime.fromtimestamp(begin, UTC),
        ended_at=datetime.fromtimestamp(begin + 10, UTC),
        figures=Figures(switch=Switched(verified=verified, left=[*left])),
    )


def task(name, begin, end):
    times = [datetime.fromtimestamp(t, UTC).isoformat().replace("+00:00", "Z") for t in (begin, end)]
    return {"task_id": name, "start_date": times[0], "end_date": times[1], "state": "success"}


@pytest.fixture
def run():
    visits = [
        {"account": "blog", "kind": "write", "t": t, "s": 0.5 if t == 105 else 0.01, "ok": True, "id": str(t)}
        for t in range(90, 200)
    ]
    probes = [{"ip": IP, "t": 90 + n / 10, "rtt": 0.001} for n in range(1100)]
    return result.Run(
        migration=1,
        lives_on=HOME,
        server="vps-1",
        versions_before={"debian": "12.11", "postgresql": "15.20"},
        versions_after=dict(NEW),
        moves=[move("out", 100), move("home", 150)],
        ips=[IP],
        tasks=[
            task("reroute_ips_home", 180, 181),
            task("reroute_ips_to_transit", 130, 131.5),
            task("check_server", 99, 100),
        ],
        setup=[("lab", 12.345)],
        events=visits + probes,
        quiet=(90.0, 95.0),
        span=(90.0, 199.0),
        wall_s=123.46,
        from_infrastructure="2022",
        to_infrastructure="2026",
    )


def unproven(run, check=None):
    return result.unproven(result.report(run, CHECK), run, ["blog"], check or CHECK)


def test_a_lost_write_is_counted_where_it_was_made(run):
    lost = {"blog": {**CHECK["blog"], "lost": ["105", "160", "9"]}}
    assert [row["writes_lost"] for row in result.report(run, lost)["accounts"]] == [1, 1]


def test_the_report_has_the_agreed_form(run):
    made = result.report(run, CHECK)
    assert list(made) == ["server", "from", "to", "versions", "accounts", "ips", "steps", "wall_s"]
    assert made["accounts"][0] == {
        "account": "blog",
        "direction": "out",
        "requests": 11,
        "failed": 0,
        "longest_wait_ms": 500.0,
        "p99_ms": 500.0,
        "writes_lost": 0,
        "files": 7,
        "tables": 2,
        "rows": 30,
        "messages": 4,
        "verified": "yes",
        "left": [],
    }
    assert [row["step"] for row in made["ips"]] == [
        "quiet",
        "reroute_ips_home",
        "reroute_ips_to_transit",
        "whole run",
    ]
    assert set(made["ips"][0]) == {"ip", "step", "probes", "lost", "longest_gap_ms"}
    assert [row["name"] for row in made["steps"]] == [
        "lab",
        "check_server",
        "reroute_ips_to_transit",
        "reroute_ips_home",
    ]
    assert made["steps"][2]["seconds"] == 1.5 and made["wall_s"] == 123.5


def test_nothing_is_unproven_when_all_is_well(run):
    assert unproven(run) == []


def changed(run, **what):
    return result.Run(**{**vars(run), **what})


def test_each_thing_that_went_wrong_is_said(run):
    old = changed(run, versions_after={**NEW, "php": "8.2.36"})
    assert unproven(old) == ["vps-1 runs php 8.2.36, not 8.4."]
    assert unproven(changed(run, versions_after={**NEW, "debian": "130"})) == ["vps-1 runs Debian 130, not 13."]
    assert unproven(changed(run, moves=run.moves[:1])) == ["blog: no verified move home."]
    unequal = [run.moves[0], move("home", 150, equal=False)]
    assert unproven(changed(run, moves=unequal)) == ["blog: no verified move home."]
    assert unproven(changed(run, lives_on={"blog": "transit-1"})) == ["blog lives on transit-1, not on vps-1."]

    events = deepcopy(run.events)
    events[0]["ok"] = False
    assert unproven(changed(run, events=events)) == ["blog: 1 of 110 requests failed."]
    events = deepcopy(run.events)
    events[-700]["rtt"] = None
    assert unproven(changed(run, events=events)) == [
        f"{IP}: 1 of 36 probes lost (reroute_ips_to_transit).",
        f"{IP}: 1 of 1091 probes lost (whole run).",
    ]

    for what, word in (("lost", "writes are lost"), ("missing", "are missing"), ("twice", "there twice")):
        (sentence,) = unproven(run, check={"blog": {**CHECK["blog"], what: ["id-1"]}})
        assert word in sentence and "id-1" in sentence


def test_a_step_that_was_not_taken_is_said(run):
    assert unproven(changed(run, tasks=run.tasks[1:])) == ["The step reroute_ips_home was not seen."]


LARGE = {
    "requests": 1_234_567,
    "failed": 23_456,
    "longest_wait_ms": 345_678.9,
    "p99_ms": 45_678.9,
    "writes_lost": 5_678,
    "files": 12_345_671,
    "tables": 12_345,
    "rows": 1_234_567_890,
    "messages": 12_345_672,
    "verified": "but 123",
}
ENTRY: Any = SimpleNamespace(
    id=123_456,
    server="vps-123",
    transit="transit-45",
    day=date(2026, 11, 28),
    kind="correction",
    amount=Decimal("-1234.56"),
    currency="EUR",
    reason="the day was free: free until 2026-11-28 09:30 UTC",
)


def shown(made, check, width=80):
    out = StringIO()
    console = Console(file=out, width=width)
    result.show(made, check, console)
    result.show_ledger([ENTRY], console)
    return out.getvalue()


def test_no_heading_and_no_figure_is_cut_in_80_columns(run):
    left = ["The publication p is not carried: make it again on the new server."]
    names = ("applications", "an-account-of-thirty-two-letters")
    made = result.report(run, CHECK)
    made["versions"]["before"]["mariadb"] = "10.11.14-MariaDB-0+deb12u2-log"
    made["accounts"] = [{"account": name, "direction": "home", "left": left, **LARGE} for name in names]
    made["ips"] = [
        {"ip": ip, "step": step, "probes": 7_654_321, "lost": 65_432, "longest_gap_ms": 987_654.3}
        for ip in ("198.51.100.111", "2001:db8:100::11", "2001:db8:85a3:1319:8a2e:370:7344:1234")
        for step in ("quiet", *result.REROUTES, "whole run")
    ]
    found = {"written": 2_345_678, "lost": ["x"] * 3_456, "sent": 4_567_890, "missing": ["x"] * 4_321, "twice": ["x"]}
    text = shown(made, dict.fromkeys(names, found))
    assert "…" not in text and "..." not in text
    assert max(map(len, text.splitlines())) <= 80
    heads = (
        "version of before after account direction requests failed longest wait p99 ms writes lost files tables rows"
    )
    heads += (
        " messages verified ip step probes gap acknowledged accepted missing twice id server transit day kind reason"
    )
    assert {*heads.split(), "amount"} <= {*text.split()}
    figures = [f"{value:,}" for value in LARGE.values() if not isinstance(value, str)]
    figures += ["but 123", "7,654,321", "65,432", "987,654.3", "2,345,678", "3,456", "4,567,890", "4,321"]
    figures += ["10.11.14-MariaDB-0+deb12u2-log", "198.51.100.111", "2001:db8:100::11", *result.REROUTES]
    figures += ["123456", "vps-123", "transit-45", "2026-11-28", "correction", "-1,234.56 EUR"]
    assert [figure for figure in figures if figure not in text] == []
    ledger = text[text.index("The ledger") :]
    assert [word for word in ENTRY.reason.split() if word not in ledger.split()] == []


def test_what_is_longer_than_a_column_goes_on_in_the_next_line(run):
    made = result.report(run, CHECK)
    made["accounts"][0] |= {"account": "an-account-of-thirty-two-letters", **LARGE}
    text = shown(made, CHECK)
    compared = text[text.index("What was compared") : text.index("IPs, probed")]
    lines = [line[1:10].strip() for line in compared.splitlines()]
    assert "an-account-of-thirty-two-letters" in "".join(lines)


def test_the_report_is_written_whole(run, tmp_path):
    result.write(result.report(run, CHECK), tmp_path / "reports" / "demo.json")
    assert (tmp_path / "reports" / "demo.json").read_text().startswith("{")


def test_what_was_left_out_is_never_called_verified(run):
    left = changed(run, moves=[run.moves[0], move("home", 150, left=["Publication p is not carried."])])
    made, out = result.report(left, CHECK), StringIO()
    assert [row["verified"] for row in made["accounts"]] == ["yes", "but 1"]
    result.show(made, CHECK, Console(file=out, width=80))
    assert "blog home, not carried: Publication p is not carried." in out.getvalue()
