"""The arithmetic of the benchmarks: waits, gaps, outages, spans of time, and the shape of bench.json."""

import json

import pytest

from benchmarks import copying, migration, orchestrator, report, switchover
from benchmarks.copying import Measured, Store
from benchmarks.options import Options
from benchmarks.processes import Ran, merged, total, within, without
from benchmarks.report import Figure, Seconds, Table
from benchmarks.switchover import Run, Size
from benchmarks.visitors import Gap, Waits, acknowledged, outage


def request(t, s=0.01, ok=True, kind="read", **more):
    return {"t": t, "s": s, "ok": ok, "kind": kind, "id": f"id-{t}", **more}


def test_waits_are_of_the_requests_under_way_in_the_span():
    seen = [request(0, s=5.5), request(1, s=0.1), *(request(10 + i / 100) for i in range(98)), request(12, ok=False)]
    waits = Waits.of(seen, 5, 11)
    assert (waits.requests, waits.failed, waits.longest) == (99, 0, 5500)
    assert waits.p99 == pytest.approx(5500)
    assert Waits.of(seen, 5, 12).p99 == pytest.approx(10)
    assert Waits.of(seen, 11.5, 13).failed == 1
    assert Waits.of([], 0, 1) == Waits(0, 0, 0, 0.0, 0.0)


def test_requests_that_were_asked_again_are_counted():
    assert Waits.of([request(1, again=True), request(2, again=False)], 0, 3).again == 1


def test_an_outage_lasts_from_the_first_failure_to_the_first_good_request_after_the_last():
    assert outage([request(0), request(1)]) == 0
    seen = [request(0), request(1, ok=False), request(2), request(3, ok=False), request(4.5), request(5)]
    assert outage(reversed(seen)) == 3.5
    assert outage([request(0), request(1, ok=False), request(3, ok=False)]) == 2


def test_only_acknowledged_writes_count():
    seen = [request(1, kind="write"), request(2, kind="write", ok=False), request(3)]
    assert acknowledged(seen) == {"id-1"}


def probe(t, rtt=0.001, ip="192.0.2.1"):
    return {"ip": ip, "t": t, "rtt": rtt}


def test_a_gap_is_between_arrivals():
    seen = [probe(0), probe(0.001), probe(0.002, 0.009), probe(0.003, 0.010), probe(5, ip="192.0.2.2")]
    gap = Gap.of(seen, "192.0.2.1", 0, 1)
    assert (gap.probes, gap.lost) == (4, 0)
    assert gap.longest == pytest.approx(9)


def test_a_gap_reaches_over_what_was_lost_and_to_the_ends_of_the_span():
    seen = [probe(0.1), probe(0.2, None), probe(0.3, None), probe(0.4)]
    assert Gap.of(seen, "192.0.2.1", 0, 1).longest == pytest.approx(599)
    assert Gap.of(seen, "192.0.2.1", 0, 1).lost == 2
    assert Gap.of([], "192.0.2.1", 2, 3) == Gap(0, 0, 1000)


def test_spans_of_time():
    assert merged([(3, 4), (0, 1), (0.5, 2)]) == [(0, 2), (3, 4)]
    assert merged([(0, 1), (1.4, 2)], bridge=0.5) == [(0, 2)]
    assert within([(0, 2), (3, 4), (8, 9)], 1, 3.5) == [(1, 2), (3, 3.5)]
    assert total([(0, 2), (1, 3), (5, 6)]) == 4
    assert without([(0, 10)], [(1, 2), (8, 12)]) == 7


def whole_migration(holds=()):
    ran = [
        Ran("agent", 2, 4),
        Ran("agent", 3, 5),
        Ran("machines", 4, 4.5),
        Ran("machines", 4.9, 7),
        Ran("agent", 99, 120),
    ]
    tasks = [
        {"task_id": "wait_until_names_lead_home", "start_date": stamp(6), "end_date": stamp(9)},
        {"task_id": "check_server", "start_date": stamp(0), "end_date": stamp(2)},
    ]
    return migration.Whole(0, 10, ran, tasks, list(holds))


def stamp(second):
    return f"1970-01-01T00:00:{second:02d}Z"


def test_the_orchestrator_has_what_nobody_else_was_busy_with():
    shares = orchestrator.Shares.of(whole_migration())
    assert (shares.wall, shares.agents, shares.machines, shares.waiting) == (10, 3, 2, 2)
    assert shares.rest == 3
    text = str(orchestrator.table(whole_migration()))
    assert "30.0" in text and "70.0 %" in text


def test_a_hold_without_an_agent_is_told():
    assert orchestrator.alone_in_a_hold(whole_migration([("a out", 2.5, 3.5)])) == 0
    assert orchestrator.alone_in_a_hold(whole_migration([("a out", 7, 8)])) == pytest.approx(1)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["/usr/bin/python3", "/usr/local/lib/transhumance/launcher"], "agent"),
        (["python3", "/usr/local/lib/transhumance/agent.pyz", "serve"], "agent"),
        (["/usr/bin/python3", "/usr/local/lib/transhumance/agent.pyz", "run", "m1-e2-copy"], "agent"),
        (["/usr/bin/python3", "/usr/local/lib/transhumance/agent.pyz", "peer", "m1"], None),
        (["lxc-attach", "-P", "/x"], "machines"),
        (["python3"], None),
        ([], None),
    ],
)
def test_which_programs_are_work(words, kind):
    assert migration.kind_of(words) == kind


def test_an_operation_is_known_by_its_program():
    agent = "/usr/local/lib/transhumance/agent.pyz"
    assert copying.operation_of(["/usr/bin/python3", agent, "run", "m1-copy"]) == "m1-copy"
    assert copying.operation_of(["/usr/bin/python3", agent, "serve"]) is None
    assert copying.operation_of([]) is None


def test_copying_is_compared_with_the_best_tool_and_without_the_verification():
    store = Store([10.0, 12.0, 11.0], [1.0, 1.0, 1.0], [2.0, 2.0, 2.0], {"rsync": [9.0, 9.5, 9.2], "tar": [12.0] * 3})
    assert store.copying.median == 10
    assert store.share == 10
    (figure,) = copying.copy_table(Measured({"files": store}, ())).figures
    assert (figure.value, figure.met, figure.beside["rsync"]) == (0.92, False, 9.2)
    (figure,) = copying.verify_table(Measured({"files": store}, ())).figures
    assert (figure.value, figure.met) == (10.0, True)


def runs(*waits):
    return [Run(Waits(100, 0, 0, wait, 20.0), 0, 3.0, wait / 2, 170.0) for wait in waits]


def test_switchover_figures():
    small, large = Size(10, runs(400)[0], runs(300, 350, 900)), Size(4000, None, runs(420, 440, 460), [44.0])
    table = switchover.table([small, large, Size(100, refused=["too long"])])
    figures = {figure.name: figure for figure in table.figures}
    assert figures["longest_wait_10MB"].value == 350
    assert figures["longest_wait_worst_10MB"].met is True
    assert figures["requests_10MB"].value == 400
    assert figures["longest_wait_4000MB"].beside == {"the_usual_way": 44_000}
    assert figures["longest_wait_4GB_to_10MB"].value == 1.26
    assert figures["refused_100MB"].met is False
    assert "100.0" in str(table)


def test_seconds_tell_median_and_worst():
    assert str(Seconds((1.0, 2.0, 9.0))) == "2 (9)"


def test_the_file_has_the_shape_that_is_promised_and_keeps_other_tables(tmp_path):
    file = tmp_path / "bench.json"
    report.write({"ips": (Figure("lost", 0, "probes", "0", True),)}, file)
    report.write({"copy": (Figure("speed", 0.97, "of the best", ">= 0.95", True, {"rsync": 2.5}),)}, file)
    written = json.loads(file.read_text())
    assert set(written) == {"machine", "commit", "figures"}
    assert {figure["name"] for figure in written["figures"]} == {"ips.lost", "copy.speed"}
    for figure in written["figures"]:
        assert set(figure) == {"name", "value", "unit", "aim", "met", "beside"}


def test_a_table_is_aligned():
    text = str(Table("T", ("what", "s"), (("a", "1.5"), ("long", "10")), ("A note.",), ()))
    assert text.splitlines()[4:6] == ["a     1.5", "long   10"]


def test_options():
    tables = ["copy", "verify"]
    assert Options.parse([], tables) == Options()
    assert Options.parse(["ONLY=copy,verify", "RUNS=3", "SIZES=10,100"], tables) == Options(
        ("copy", "verify"), 3, (10, 100)
    )
    for words in (["ONLY=speed"], ["RUNS=0"], ["RUNS=x"], ["SIZES=1 GB"], ["FAST"], ["ONLY="]):
        with pytest.raises(ValueError, match=r"\.$"):
            Options.parse(words, tables)
