"""The watcher: it names whatever changed before the question, and says when it cannot."""

import os
import sys

import pytest

from include.agent.stores.files import look
from include.agent.stores.files import watch as files_watch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")


@pytest.fixture
def home(tmp_path):
    (tmp_path / "home" / "d" / "e").mkdir(parents=True)
    (tmp_path / "home" / "f").write_text("f")
    here = os.getcwd()
    yield tmp_path / "home"
    os.chdir(here)


@pytest.fixture
def watch(home):
    one = files_watch.Watch(str(home))
    yield one
    one.lose("over")
    os.close(one.root)


def changed(watch: files_watch.Watch, since: int = 0) -> set[bytes]:
    return {path for path, _ in watch.since(since)[1]}


def test_nothing_is_told_before_something_happens(watch, home) -> None:
    assert watch.since(0) == (0, [])
    (home / "f").read_text()
    assert changed(watch) == set()


def test_each_kind_of_change_is_told(watch, home) -> None:
    (home / "f").write_text("more")
    (home / "d" / "e" / "new\n").write_text("x")
    (home / "d").chmod(0o700)
    assert changed(watch) == {b"f", b"d", b"d/e", b"d/e/new\n"}
    number, _ = watch.since(0)
    assert changed(watch, number) == set()
    (home / "f").unlink()
    assert changed(watch, number) == {b"f", b"."}
    watch.forget(number)
    assert changed(watch) == {b"f", b"."}


def test_what_is_in_a_new_directory_is_told_and_watched(watch, home) -> None:
    (home / "new" / "deep").mkdir(parents=True)
    (home / "new" / "deep" / "in").write_text("x")
    assert changed(watch) >= {b".", b"new", b"new/deep", b"new/deep/in"}
    number, _ = watch.since(0)
    (home / "new" / "deep" / "in").write_text("y")
    assert changed(watch, number) == {b"new/deep/in"}


def test_a_moved_tree_is_told_whole_and_followed(watch, home) -> None:
    (home / "d" / "e" / "in").write_text("x")
    number, _ = watch.since(0)
    (home / "d").rename(home / "moved")
    told = dict(watch.since(number)[1])
    assert told.keys() >= {b"d", b"moved", b"moved/e", b"moved/e/in"} and told[b"d"] & files_watch.DEEP
    number, _ = watch.since(number)
    (home / "moved" / "e" / "in").write_text("y")
    assert changed(watch, number) == {b"moved/e/in"}


def test_a_link_in_a_directorys_place_leads_nowhere(watch, home, tmp_path) -> None:
    (tmp_path / "outside" / "e").mkdir(parents=True)
    (home / "d").rename(home / "aside")
    (home / "d").symlink_to(tmp_path / "outside")
    number, _ = watch.since(0)
    (tmp_path / "outside" / "e" / "x").write_text("x")
    assert changed(watch, number) == set()
    (home / "aside" / "e" / "x").write_text("x")
    assert changed(watch, number) == {b"aside/e", b"aside/e/x"}


def test_a_change_through_a_name_outside_is_told(home, tmp_path) -> None:
    (tmp_path / "outside").hardlink_to(home / "f")
    watch = files_watch.Watch(str(home))
    (tmp_path / "outside").write_text("other")
    assert changed(watch) == {b"f"}


def test_a_change_through_a_new_name_is_told_under_all(watch, home) -> None:
    (home / "d" / "g").hardlink_to(home / "f")
    number, _ = watch.since(0)
    (home / "f").write_text("other")
    assert changed(watch, number) >= {b"f", b"d/g"}


def test_a_queue_that_ran_over_is_said(watch, home) -> None:
    watch.event(-1, 0x4000, b"")
    assert "too much changed" in watch.lost and watch.queue == -1


def test_a_home_that_is_moved_is_said(watch, home) -> None:
    home.rename(home.with_name("elsewhere"))
    watch.drain()
    assert "the home itself" in watch.lost


def test_a_second_look_never_goes_through_a_link(home, tmp_path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x").write_text("secret")
    (home / "link").symlink_to(tmp_path / "outside")
    looker = look.Looker(str(home), {})
    assert looker.states([b"link/x", b"../outside/x", b"..", b"f", b"link", b"."]).keys() == {"f", "link", "."}
    looker.remove([b"link/x", b"../outside/x", b"link", b"d"])
    assert (tmp_path / "outside" / "x").exists() and not (home / "link").is_symlink() and not (home / "d").exists()
    found = looker.lines([b"f", b"nothing"])
    assert found["lines"].keys() == {"f"} and found["strange"] == []
    os.link(home / "f", home / "g")
    assert looker.lines([b"f"])["strange"] == ["f"] and looker.lines([b"f", b"g"])["strange"] == []
    looker.settle([b"f", b"g", b"."])
