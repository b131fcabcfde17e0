"""A host's own server is prepared step by step, and nothing stays of it where one fails."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from include.agent.account.accounts import Account, State
from include.agent.host.system import Refused, refuse
from include.agent.layouts.classic import answers, files, php_reloads, prepare
from include.agent.layouts.haproxy import HAProxy
from include.moves.prepare import files as laid_down
from tests.support.account_files import FILE

STEPS = ("files", "visitors", "mail", "front", "php", "layout")


class Server:
    """What was done on it, and undone, in order; `fails`: the step that does."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log: list[str] = []
        self.here = False
        self.fails = ""
        self.accounts: list[Any] = []
        self.states: dict[str, State] = {}
        monkeypatch.setattr(prepare, "RUNTIME", folder)
        monkeypatch.setattr(prepare, "_steps", lambda *_: [self.step(name) for name in STEPS])
        monkeypatch.setattr(prepare.files, "are_here", lambda: self.here)
        monkeypatch.setattr(prepare, "in_force", lambda: "classic" if self.here else "native")
        monkeypatch.setattr(prepare, "all_accounts", lambda: self.accounts)
        monkeypatch.setattr(prepare, "unreadable", dict)
        monkeypatch.setattr(prepare, "standing", lambda name: self.states[name])
        monkeypatch.setattr(prepare, "account_path", lambda name: folder / f"{name}.json")
        monkeypatch.setattr(prepare.web_server, "unfit", lambda _tree: iter(self.unfit))
        monkeypatch.setattr(prepare.web_server, "listened_at", lambda _ports: self.taken)
        self.unfit: list[str] = []
        self.taken: set[int] = set()
        self.folder = folder

    def step(self, name: str) -> prepare._Step:
        def do() -> None:
            self.log.append(f"do {name}")
            if name == self.fails:
                refuse("failed", f"{name} fails.")

        return prepare._Step(do, lambda: self.log.append(f"undo {name}"))

    def add(self, name: str, state: State, adopted: bool = True) -> None:
        folder = self.folder / name
        folder.mkdir()
        (self.folder / f"{name}.json").touch()
        if adopted:
            (folder / "adopted").touch()
        self.accounts.append(SimpleNamespace(name=name, directory=folder, adopted=folder / "adopted"))
        self.states[name] = state


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    return Server(tmp_path, monkeypatch)


@pytest.mark.parametrize("failing", STEPS)
def test_a_step_that_fails_undoes_itself_and_those_before_it_backwards(server: Server, failing: str) -> None:
    server.fails = failing
    with pytest.raises(Refused, match=f"{failing} fails"):
        prepare.prepare({}, [])
    begun = STEPS[: STEPS.index(failing) + 1]
    assert server.log == [f"do {name}" for name in begun] + [f"undo {name}" for name in reversed(begun)]


def test_what_was_prepared_before_stays_when_a_further_preparation_fails(server: Server) -> None:
    server.here, server.fails = True, "front"
    with pytest.raises(Refused):
        prepare.prepare({}, [])
    assert server.log == ["do files", "do visitors", "do mail", "do front"]


def test_all_of_it_goes_backwards_and_accounts_that_the_host_made_go_on_as_its_own(server: Server) -> None:
    prepare.unprepare()
    assert server.log == [], "there was nothing"
    server.here = True
    server.add("shop", State("serving", 1))
    prepare.unprepare()
    assert server.log == [f"undo {name}" for name in reversed(STEPS)]
    assert not (server.folder / "shop").exists() and not (server.folder / "shop.json").exists()


@pytest.mark.parametrize(
    ("state", "adopted"),
    [
        (State("moved", 2, to="10.0.0.9", released=True), True),
        (State("held", 2), True),
        (State("receiving", 2), False),
        (State("serving", 2), False),
        (State("serving", 2, engines={"mariadb": {}}), True),
    ],
)
def test_an_account_that_needs_the_front_keeps_it(server: Server, state: State, adopted: bool) -> None:
    server.here = True
    server.add("alice", state, adopted)
    with pytest.raises(Refused, match="alice is .* here and needs the front: move it home"):
        prepare.unprepare()
    assert server.log == [] and (server.folder / "alice.json").exists()


def test_what_is_in_the_way_is_said_before_anything_is_done(server: Server) -> None:
    server.unfit = ["A front needs haproxy: install it.", "More."]
    with pytest.raises(Refused, match="A front needs haproxy"):
        prepare.prepare({}, [])
    server.unfit, server.taken = [], {8081}
    with pytest.raises(Refused, match="port 8081"):
        prepare.prepare({}, [])
    server.taken = set()
    server.add("alice", State("serving", 1))
    with pytest.raises(Refused, match="native layout, and alice on it"):
        prepare.prepare({}, [])
    server.here, server.states = True, {"alice": State("held", 1)}
    with pytest.raises(Refused, match="alice is held just now"):
        prepare.prepare({}, [])
    assert server.log == []


# --- the files ---


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the files of a server lie; what it runs is nothing."""
    monkeypatch.setattr(files, "Path", lambda path: tmp_path / str(path).lstrip("/"))
    monkeypatch.setattr(files, "_RECORD", tmp_path / "prepared.json")
    monkeypatch.setattr(files, "run", lambda *_, **__: None)
    monkeypatch.setattr(files, "CONFIG", tmp_path / "etc/transhumance")
    monkeypatch.setattr(files, "CERTIFICATES", tmp_path / "etc/transhumance/certificates")
    monkeypatch.setattr(files, "_PEERS_RULES", tmp_path / "peers.nft")
    monkeypatch.setattr(files, "PEERS", tmp_path / "peers.lst")
    return tmp_path


def test_files_of_an_earlier_preparation_do_not_stay_beside_those_of_a_later_one(disk: Path) -> None:
    first = {"/etc/transhumance/front/a": "1", "/etc/x.conf": "2"}
    assert files.lay_down(first) == {*first} and files.lay_down(first) == set()
    (disk / "etc/others.conf").write_text("the host's")
    assert files.are_here() and (disk / "etc/x.conf").read_text() == "2"
    files.lay_down({"/etc/transhumance/front/a": "3"})
    assert (disk / "etc/transhumance/front/a").read_text() == "3" and not (disk / "etc/x.conf").exists()
    files.take_away()
    assert not files.are_here() and not (disk / "etc/transhumance/front").exists()
    assert (disk / "etc/others.conf").exists()


def test_other_servers_fronts_are_believed_beside_whom_the_host_names(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peers = disk / "peers.lst"
    peers.write_text("# ours\n10.20.0.0/24\n")
    monkeypatch.setattr(
        files, "believed", lambda: [line for line in peers.read_text().split("\n") if line[:1].isdigit()]
    )
    files.believe(["10.20.0.7", "10.30.0.7", "fd20::7"])
    assert peers.read_text() == "# ours\n10.20.0.0/24\n10.30.0.7\nfd20::7\n"
    assert (disk / "peers.nft").read_text() == (
        "add element inet transhumance_front peers4 { 10.20.0.0/24, 10.30.0.7/32 }\n"
        "add element inet transhumance_front peers6 { fd20::7/128 }\n"
    )


def test_what_the_orchestrator_sends_is_sorted_by_who_reads_it() -> None:
    of_web, of_php, plain = files.sorted_out(laid_down())
    assert [*of_web] == ["/etc/apache2/conf-enabled/transhumance.conf", "/etc/nginx/conf.d/transhumance.conf"]
    assert [*of_php] == ["/etc/php/VERSION/fpm/pool.d/00-transhumance.conf"]
    assert {"/etc/transhumance/front/haproxy.cfg", "/etc/transhumance/front/hold.lua"} < {*plain}


# --- what is asked of the host's services ---


def test_a_site_that_answers_otherwise_behind_the_front_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {("shop.example", 80): 200, ("shop.example", 443): None, ("news.example", 80): 301}
    now = {**before, ("shop.example", 443): 200}
    monkeypatch.setattr(answers, "_answer", lambda name, port: now[name, port])
    assert [*answers.changed(before)] == []
    now[("news.example", 80)], now[("shop.example", 80)] = 503, None
    assert [sentence[:90] for sentence in answers.changed(before)] == [
        "The site shop.example answered 200 on port 80, and behind the front it does not answer: see"[:90],
        "The site news.example answered 301 on port 80, and behind the front it answers 503: see why"[:90],
    ]


@pytest.mark.parametrize("busy", [False, True])
def test_php_learns_to_let_requests_end_while_it_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, busy: bool
) -> None:
    for version in ("8.0", "8.2"):
        (tmp_path / version / "fpm/pool.d").mkdir(parents=True)
    told: list[int] = []
    monkeypatch.setattr(php_reloads, "_VERSIONS", tmp_path)
    monkeypatch.setattr(php_reloads, "_PAUSE", 0.02)
    front: list[str] = []
    monkeypatch.setattr(HAProxy, "command", lambda _front, text: front.append(text.split()[0]))
    monkeypatch.setattr(php_reloads, "OF_PHP", SimpleNamespace(sub=lambda to, _: f"{tmp_path}/{to[9:]}fpm/pool.d/x"))
    monkeypatch.setattr(php_reloads, "_master", lambda version: 82 if version == "8.2" else 0)
    monkeypatch.setattr(php_reloads.pools, "read", lambda _: [SimpleNamespace(version="8.2", listen="/run/shop.sock")])
    monkeypatch.setattr(php_reloads, "connections", lambda path: ([7], 0) if busy else ([], 0))
    monkeypatch.setattr(php_reloads.os, "kill", lambda pid, _: told.append(pid) if front[-1] == "add" else None)
    said = [*php_reloads.let_end({"/etc/php/VERSION/fpm/pool.d/x": "[global]"})]
    assert [path.read_text() for path in sorted(tmp_path.rglob("x"))] == ["[global]", "[global]"]
    assert told == ([] if busy else [82]) and len(said) == busy
    assert front == ["add", "del"] * (10 if busy else 1), "visitors wait meanwhile, a moment at a time"
    assert not busy or "type systemctl reload php8.2-fpm there" in said[0]
    assert [*php_reloads.let_end({"/etc/php/VERSION/fpm/pool.d/x": "[global]"})] == [], "once is enough"


def test_an_account_that_the_host_made_is_known_by_its_mark() -> None:
    assert Account.from_json(FILE).adopted.name == "adopted"
