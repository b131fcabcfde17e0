"""What the visitors' logs say of a span of time."""

import json

from hypothesis import given
from hypothesis import strategies as st

from lab.visitors import summary


def visit(t, s, ok=True, account="blog", kind="read", id="x"):
    return {"account": account, "kind": kind, "t": t, "s": s, "ok": ok, "id": id}


def test_visits_count_what_was_under_way_in_the_span():
    events = [visit(0, 1), visit(5, 3), visit(9.9, 0.2, ok=False), visit(11, 1), visit(6, 1, account="app")]
    assert summary.visits(events, "blog", 4, 10) == summary.Visits(2, 1, 3000.0, 3000.0)
    assert summary.visits(events, "blog", 0.5, 0.6).requests == 1, "begun before, answered after"


def test_mail_is_no_request():
    assert summary.visits([visit(1, 1, kind="mail")], "blog", 0, 9).requests == 0


def probe(t, rtt=0.001, ip="198.51.100.11"):
    return {"ip": ip, "t": t, "rtt": rtt}


def test_probes_count_lost_ones_and_the_longest_gap():
    events = [probe(1.0), probe(1.1), probe(1.2, None), probe(1.3, None), probe(1.4), probe(1.5), probe(2.5)]
    assert summary.probes(events, "198.51.100.11", 1.0, 1.6) == summary.Probes(6, 2, 300.0)


def test_a_gap_at_the_end_of_the_span_counts():
    events = [probe(1.0), probe(1.1), probe(1.2, None), probe(1.9, None)]
    assert summary.probes(events, "198.51.100.11", 1.0, 2.1).longest_gap_ms == 1000.0


def test_an_address_that_never_answers_has_a_gap_as_long_as_the_span():
    assert summary.probes([probe(1, None)], "198.51.100.11", 0, 4) == summary.Probes(1, 1, 4000.0)


@given(st.lists(st.floats(0, 1e6), min_size=1), st.integers(1, 100))
def test_percentile_is_a_value_that_enough_do_not_exceed(values, percent):
    found = summary.percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) * 100 >= percent * len(values)


def test_a_line_that_is_still_being_written_is_left_out(tmp_path):
    log = tmp_path / "web.jsonl"
    log.write_text(json.dumps(visit(1, 1)) + "\n" + '{"account": "bl')
    assert len(list(summary.events([log]))) == 1


def test_only_what_was_acknowledged_counts_as_written():
    events = [
        visit(1, 1, kind="write", id="a"),
        visit(1, 1, kind="write", id="b", ok=False),
        visit(1, 1, id="c"),
        {**visit(1, 1, kind="mail", id="m1"), "to": "info@files.example"},
        {**visit(1, 1, kind="mail", id="m2", ok=None), "to": "info@files.example"},
    ]
    assert summary.acknowledged(events, "blog") == {"a"}
    assert summary.accepted_mail(events, "blog") == {"m1": "info@files.example"}
