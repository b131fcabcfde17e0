"""What a run keeps open is one of each kind, which all its threads find, and ends with it."""

from __future__ import annotations

import threading

import pytest

from include.agent.host import kept
from include.agent.host.system import side_by_side


class Thing:
    made: list[Thing]
    ended: list[Thing]

    def __init__(self) -> None:
        type(self).made.append(self)

    def close(self) -> None:
        type(self).ended.append(self)


@pytest.fixture
def one() -> type[Thing]:
    return type("One", (Thing,), {"made": [], "ended": []})


def test_a_run_keeps_one_of_each_kind_until_its_end(one: type[Thing]) -> None:
    other = type("Other", (Thing,), {"made": [], "ended": []})
    with kept.Kept():
        first = kept.of(one)
        assert kept.of(one) is first and kept.of(other) is not first
        assert one.ended == other.ended == []
    assert one.made == one.ended == [first] and len(other.ended) == 1


def test_a_run_that_fails_closes_all_as_well(one: type[Thing], monkeypatch: pytest.MonkeyPatch) -> None:
    class Stuck(Thing):
        made: list[Thing] = []

        def close(self) -> None:
            raise OSError("it does not end")

    with pytest.raises(OSError, match="does not end"), kept.Kept():
        kept.of(one)
        kept.of(Stuck)
        raise KeyboardInterrupt
    assert one.ended == one.made != []


def test_all_threads_of_a_run_find_the_same_and_no_other_run_does(one: type[Thing]) -> None:
    with kept.Kept():
        found = side_by_side(*[lambda: kept.of(one)] * 20)
        with kept.Threads(4) as pool:
            found += [*pool.map(lambda _: kept.of(one), range(20))]
        thread = kept.thread(lambda: found.append(kept.of(one)))
        thread.start()
        thread.join()
        assert {id(each) for each in found} == {id(kept.of(one))} and len(found) == 41
        with kept.Kept():
            assert kept.of(one) is not found[0]
        assert kept.of(one) is found[0] and len(one.ended) == 1


def test_what_is_done_later_ends_before_what_it_uses(one: type[Thing]) -> None:
    go_on, used = threading.Event(), []

    def work(what: str) -> None:
        go_on.wait(10)
        used.append((what, kept.of(one), [*one.ended]))

    with kept.Kept():
        kept.later(work, "it")
        thing = kept.of(one)
        assert used == []
        go_on.set()
    assert used == [("it", thing, [])] and one.ended == [thing]


def test_a_question_is_asked_once_in_a_run() -> None:
    asked: list[object] = []

    @kept.once
    def question(of: str = "x") -> int:
        asked.append(of)
        return len(asked)

    with kept.Kept():
        assert [question(), question(), question("y"), question(of="y"), question("y")] == [1, 1, 2, 3, 2]
    with kept.Kept():
        assert question() == 4
