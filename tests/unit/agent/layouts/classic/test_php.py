"""A pool of php-fpm that is shared by nobody but its master: its gate, its workers, and what is in it.

A stand-in answers as php-fpm does: a master of root's that makes workers of the account's, and new ones for those that
end.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from include.agent.account.accounts import Account
from include.agent.host import processes
from include.agent.host.system import Refused
from include.agent.layouts.classic import extras, front, php

UID = 54331
ALICE = Account.from_json({"account": "alice", "uid": UID, "gid": UID, "home": "/home/alice"})
MASTER = f"""
import os, socket, sys, time
listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.argv[1]); listening.listen(64); os.chmod(sys.argv[1], 0o666)
def worker():
    if os.fork(): return
    os.setgroups([]); os.setresuid({UID}, {UID}, {UID})
    while True:
        connection, _ = listening.accept()
        asked = connection.recv(100).decode().split()
        open(sys.argv[2], "a").write(" ".join(asked) + chr(10))
        time.sleep(float(asked[0]))
        try: connection.sendall(b"done")
        except OSError: pass
        connection.close()
        if asked[1:]: time.sleep(float(asked[1]))  # as after fastcgi_finish_request()
for _ in range(2): worker()
while True:
    os.wait(); worker()
"""


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Its socket; two workers listen there."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.owner() == "root" and str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    program = shutil.copy(os.path.realpath(sys._base_executable), tmp_path / "php-fpm8.2")  # type: ignore[attr-defined]
    path, log = tmp_path / "alice.sock", tmp_path / "worked"
    log.touch()
    log.chmod(0o666)
    monkeypatch.setattr(php, "GATES", tmp_path / "gate")
    monkeypatch.setattr(processes, "RUNTIME", tmp_path / "run")
    monkeypatch.setattr(extras, "sockets", lambda _: [str(path)])
    monkeypatch.setattr(front, "in_flight", lambda _: 0)
    environment = {**os.environ, "PYTHONHOME": sys.base_prefix}
    master = subprocess.Popen([program, "-c", MASTER, str(path), str(log)], env=environment)
    while len([*php._workers(processes.of_user(UID))]) < 2 or not path.is_socket():
        assert master.poll() is None
        time.sleep(0.01)
    yield path
    master.kill()
    master.wait()
    processes.end_all("alice", UID)


def ask(path: Path, text: str = "0") -> str:
    """A request, and its answer."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        connection.sendall(text.encode())
        try:
            return connection.recv(100).decode()
        except ConnectionResetError:
            return ""


def asking(path: Path, text: str, answers: list[str]) -> threading.Thread:
    thread = threading.Thread(target=lambda: answers.append(ask(path, text)))
    thread.start()
    time.sleep(0.1)
    return thread


def test_nobody_reaches_a_pool_that_is_shut(pool: Path) -> None:
    assert ask(pool) == "done"
    for _ in range(2):
        php.shut(ALICE)
        with pytest.raises(FileNotFoundError):
            ask(pool)
    for _ in range(2):
        php.start(ALICE)
        assert ask(pool) == "done"
    php.forget(ALICE)
    assert not (php.GATES / "alice").exists()


def test_a_pool_that_was_started_again_meanwhile_is_left_as_it_is(pool: Path) -> None:
    php.shut(ALICE)
    with socket.socket(socket.AF_UNIX) as another:
        another.bind(str(pool))
        php.start(ALICE)
        assert pool.is_socket() and [*(php.GATES / "alice").iterdir()] == []


def test_all_processes_end_but_workers_that_nobody_reaches(pool: Path) -> None:
    before = {pid for pid, _ in php._workers(processes.of_user(UID))}
    php.stop(ALICE)
    began = time.monotonic()
    assert processes.end_all("alice", UID, patience=9, spared=partial(php.spared, ALICE)) == 0
    assert time.monotonic() - began < 5
    now = {pid for pid, _ in php._workers(processes.of_user(UID))}
    assert now == php.spared(ALICE, processes.of_user(UID)) and not now & before
    php.start(ALICE)
    assert php.spared(ALICE, processes.of_user(UID)) == set() and ask(pool) == "done"


def test_a_pool_that_never_rests_has_no_request_that_never_ends(pool: Path) -> None:
    """Three visitors at two workers, one request after the other: somebody always waits, and nobody for long."""
    end, answers = time.monotonic() + 3, list[str]()

    def visit() -> None:
        while time.monotonic() < end:
            answers.append(ask(pool, "0.05"))

    threads = [threading.Thread(target=visit) for _ in range(3)]
    for thread in threads:
        thread.start()
    requests = php.Requests(ALICE)
    time.sleep(0.1)
    busy: list[dict[str, Any]] = []
    while time.monotonic() < end - 1.5:
        busy = requests.busy()
        time.sleep(0.01)
    assert busy and requests.not_to_be_cut(0.7) == []
    for thread in threads:
        thread.join()
    assert len(answers) > 20


def test_a_request_that_waits_behind_a_long_one_is_not_begun_in_a_hold(pool: Path) -> None:
    answers: list[str] = []
    threads = [asking(pool, "9", answers) for _ in range(2)] + [asking(pool, "0.001", answers) for _ in range(3)]
    assert php.under_way(ALICE) == 5
    php.stop(ALICE)
    processes.end_all("alice", UID, spared=partial(php.spared, ALICE))
    assert php.under_way(ALICE) == 0
    for thread in threads:
        thread.join(5)
    log = (pool.parent / "worked").read_text()
    settled = log
    time.sleep(0.1)
    assert (pool.parent / "worked").read_text() == settled


def test_the_accounts_own_program_of_that_name_is_not_spared(pool: Path) -> None:
    """Its parent is the account's, and it was begun after the gate was shut."""
    php.shut(ALICE)
    code = "import os, time\nos.fork()\ntime.sleep(60)"
    own = subprocess.Popen(
        [pool.parent / "php-fpm8.2", "-c", code], env={**os.environ, "PYTHONHOME": sys.base_prefix}, user=UID
    )
    time.sleep(0.2)
    workers = {pid for pid, _ in php._workers(processes.of_user(UID))}
    theirs = {*processes.of_user(UID)} - workers
    assert own.pid in theirs and len(theirs) == 2
    assert processes.end_all("alice", UID, spared=partial(php.spared, ALICE)) >= 2
    assert own.wait(5)


def test_a_long_request_is_seen_before_a_hold_begins(pool: Path) -> None:
    requests, answers = php.Requests(ALICE), list[str]()
    assert requests.busy() == requests.not_to_be_cut(0.4) == []
    thread = asking(pool, "1.2", answers)
    assert len(requests.busy()) == 1
    (request,) = requests.not_to_be_cut(0.4)
    assert php.told(ALICE, request).startswith("A request of alice has run in PHP for 0.")
    thread.join()
    time.sleep(0.1)
    assert requests.busy() == []


def test_short_requests_are_not_waited_for_before_a_hold(pool: Path) -> None:
    thread = asking(pool, "0.3", answers := list[str]())
    began = time.monotonic()
    assert php.Requests(ALICE).not_to_be_cut(5) == []
    assert time.monotonic() - began < 4
    thread.join()
    assert answers == ["done"]


def test_a_request_that_goes_on_after_its_answer_is_seen(pool: Path) -> None:
    assert ask(pool, "0 0.4") == "done"
    time.sleep(0.05)
    assert len(php.Requests(ALICE).busy()) == 1
    time.sleep(0.5)
    assert php.Requests(ALICE).busy() == []


def test_a_hold_waits_for_what_is_in_php(pool: Path) -> None:
    thread = asking(pool, "0.3", answers := list[str]())
    assert php.Requests(ALICE).drain(1.0) == 0
    thread.join()
    assert answers == ["done"]


def test_a_hold_waits_for_what_is_on_the_way_to_php(pool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic()
    monkeypatch.setattr(front, "in_flight", lambda _: int(time.monotonic() < began + 0.1))
    assert php.Requests(ALICE).drain(1.0) == 0
    assert time.monotonic() - began >= 0.1 and pool.is_socket(), "who was let in finds it open"


def test_a_hold_does_not_cut_what_is_still_coming_in(pool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "in_flight", lambda _: 1)
    with pytest.raises(Refused, match="A request of alice is still coming in and would be cut"):
        php.Requests(ALICE).drain(0.2)


def test_a_hold_does_not_wait_for_a_websocket(pool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "in_flight", lambda _: 2)
    site = {"domain": "alice.example", "root": None, "app": "/live"}
    began = time.monotonic()
    assert php.Requests(Account.from_json({**ALICE.to_json(), "sites": [site]})).drain(1.0) == 2
    assert php.LONG_REQUEST <= time.monotonic() - began < 0.9


def test_a_request_that_does_not_end_is_not_cut(pool: Path) -> None:
    thread = asking(pool, "0.6", answers := list[str]())
    with pytest.raises(Refused, match="has run in PHP for .* would be cut") as refused:
        php.Requests(ALICE).drain(0.2)
    assert refused.value.code == "php_busy" and pool.is_socket()
    thread.join()
    assert answers == ["done"]
