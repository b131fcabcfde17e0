"""No socket that a more powerful process opens lies where an account could put another one in its place; whose a
connection is, is told by the socket's file."""

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.agent.account.accounts import Account, State
from include.agent.host import unix_sockets
from include.agent.layouts import trial_names
from include.agent.layouts.native import front, mail, php
from include.agent.move import redirect
from tests.support.account_files import FILE

INFRASTRUCTURES = Path(__file__).parents[5] / "infrastructure"
ALICE = Account.from_json({**FILE, "sites": [{**FILE["sites"][0], "app": "/live"}]})
# What the account owns, however a template says it.
OWNED = re.compile(r"/home/alice|(?<!\w)~/|%h\b|\$\{?HOME|^(Runtime|State|Cache|Logs|Configuration)Directory=")
# Its files are read in these lines, by whom and why that is no danger.
READ_AS_THE_ACCOUNT = {
    "ExecStart=/usr/lib/systemd/systemd-socket-proxyd --connections-max=4096 ${HOME}/app.sock",
    "chdir = /home/alice",  # of a php-fpm that is the account from its first process on
    "mail_location = maildir:~/Maildir",  # Dovecot changes to the mailbox's user first
    "mail_path = ~/Maildir",
}
READ_WITHOUT_LINKS = {"root /home/alice/public_html;"}  # nginx: disable_symlinks
SOCKET = re.compile(
    r"(?:unix[:@]|^ListenStream=|^listen = |^pm.status_listen = |stats socket |\S+\.sock=|=)(/[\w./@-]+)"
)


def templates() -> Iterator[tuple[str, str]]:
    for path in sorted(INFRASTRUCTURES.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(INFRASTRUCTURES)), path.read_text().replace("%i", "alice")
    site = ALICE.sites[0]
    test = {"names": {site.domain: "x.test.example"}, "hosts": {site.domain: site.domain}, "stores": ["files"]}
    yield "nginx/alice.conf", front.server_block(ALICE) + trial_names.blocks(ALICE, test)
    yield "php/alice.conf", php.pool(ALICE)
    yield "led", redirect.namespaces([("alice", "mariadb"), ("alice", "postgresql")]) + redirect.rules([(1, 2, 3)])
    for name, content in mail.tables([(ALICE, State("serving", 1))]).items():
        if name != "passwd":  # the home of a mailbox, for Dovecot as the mailbox's user
            yield f"mail/{name}", content


def lines() -> Iterator[tuple[str, str]]:
    for name, content in templates():
        for line in content.splitlines():
            if not line.lstrip().startswith(("#", ";")):
                yield name, line.strip()


def test_no_template_makes_others_open_what_an_account_owns() -> None:
    owned = {line for _, line in lines() if OWNED.search(line)}
    assert owned == READ_AS_THE_ACCOUNT | READ_WITHOUT_LINKS
    of_units = dict(templates())
    assert "disable_symlinks if_not_owner;" in of_units["common/etc/nginx/nginx.conf"]
    for unit in (
        *("common/etc/systemd/system/app@.service", "2022/etc/systemd/system/php-fpm@.service"),
        *("common/etc/systemd/system/led-mariadb@.service", "2026/etc/systemd/system/php-fpm@.service"),
    ):
        text = of_units[unit]
        assert "\nUser=alice\n" in text and not re.search(r"^Exec\w+=[-@:|]*[+!]", text, re.MULTILINE), unit


def test_every_socket_of_an_account_lies_in_a_directory_of_roots() -> None:
    made = dict(templates())["common/etc/tmpfiles.d/transhumance.conf"]
    of_root = {line.split()[1] for line in made.splitlines() if re.search(r"^d \S+ +0755 root root ", line)}
    found = {path for _, line in lines() for path in SOCKET.findall(line) if "alice" in path}
    assert {f"/run/transhumance-web/alice.{kind}" for kind in ("php", "status", "app")} < found
    for path in found:
        parents = [str(parent) for parent in Path(path).parents if str(parent) not in ("/", "/run", "/etc")]
        # The last of them systemd makes for a socket that it listens on, as root.
        assert [p for p in parents if p not in of_root and not p.startswith("/run/transhumance-led/")] == [], path


def test_the_units_and_the_agent_name_the_same_sockets() -> None:
    of_units = dict(templates())
    listened = re.findall(r"^ListenStream=(.*)$", of_units["common/etc/systemd/system/php-fpm@.socket"], re.MULTILINE)
    assert listened == [str(php._php_socket(ALICE)), str(php._status_socket(ALICE))]
    given = ",".join(f"{path}={number}" for number, path in enumerate(listened, 3))
    for infrastructure in ("2022", "2026"):
        unit = of_units[f"{infrastructure}/etc/systemd/system/php-fpm@.service"]
        assert f"Environment=FPM_SOCKETS={given}\n" in unit
        assert f"ConditionPathExists=!{php._mark(ALICE)}\n" in unit
    app = of_units["common/etc/systemd/system/app@.socket"]
    assert f"ListenStream={php._app_socket(ALICE)}\n" in app and "\nSocketMode=0600\n" in app


def test_root_hands_nothing_over_by_its_path() -> None:
    """Between a look at a path and a change of what lies there, whoever may write the directory puts a link there."""
    by_path = re.compile(r"\b(os\.l?chown|os\.l?chmod|shutil\.chown|\w+\.l?chmod|\w+\.chown)\(")
    agent = Path(php.__file__).parent
    assert {path.name for path in agent.rglob("*.py") if by_path.search(path.read_text())} == set()


def listen(path: Path) -> socket.socket:
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen(50)
    return server


def connect(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(path))
    return client


@pytest.fixture
def short(tmp_path: Path, monkeypatch) -> Path:
    """Where a socket's path is short enough."""
    monkeypatch.chdir(tmp_path)
    return Path(".")


def test_connections_are_counted_as_accepted_and_waiting(short: Path) -> None:
    path = short / "here.sock"
    assert unix_sockets.connections(path) == ([], 0)
    server = listen(path)
    clients = [connect(path) for _ in range(5)]
    assert unix_sockets.connections(path) == ([], 5)
    accepted = [server.accept()[0] for _ in range(2)]
    found, waiting = unix_sockets.connections(path)
    assert sorted(found) == sorted(os.fstat(one.fileno()).st_ino for one in accepted) and waiting == 3
    for one in (*clients, *accepted):
        one.close()
    server.accept()[0].close()
    while unix_sockets.connections(path)[1]:
        server.accept()[0].close()
    assert unix_sockets.connections(path) == ([], 0)
    server.close()


def test_a_socket_of_the_same_name_is_another_one(short: Path) -> None:
    path = short / "here.sock"
    server = listen(path)
    path.rename(short / "kept.sock")
    other = listen(path)
    pretended = [connect(path) for _ in range(4)]
    assert unix_sockets.connections(short / "kept.sock") == ([], 0)
    assert unix_sockets.connections(path) == ([], 4)
    for one in (server, other, *pretended):
        one.close()


def test_what_waits_for_an_app_has_an_age_too(short: Path, monkeypatch) -> None:
    monkeypatch.setattr(php, "SOCKETS", short)
    server = listen(short / "alice.app")
    clients = [connect(short / "alice.app") for _ in range(2)]
    requests = php.Requests(ALICE)
    assert [one["method"] for one in requests.busy()] == [php.APP, php.APP]
    time.sleep(0.05)
    clients.append(connect(short / "alice.app"))
    ages = sorted(one["seconds"] for one in requests.busy())
    assert ages[0] < 0.04 < ages[1] and len(ages) == 3
    for one in (server, *clients):
        one.close()
    assert requests.busy() == []


MANY = (b"\1\6" + bytes(6)) * (1 << 17)


def drips(one: socket.socket) -> None:
    for _ in range(10_000):
        one.sendall(b"x")
        time.sleep(0.01)


ANSWERS = {
    "drips": drips,
    "says nothing": lambda one: time.sleep(5),
    "ends at once": lambda one: None,
    "empty records": lambda one: one.sendall(MANY),
    "no end": lambda one: [one.sendall(MANY) for _ in range(1000)],
}


@pytest.mark.parametrize("way", ANSWERS)
def test_whatever_php_answers_takes_a_bounded_time(short: Path, monkeypatch, way: str) -> None:
    monkeypatch.setattr(php, "SOCKETS", short)
    monkeypatch.setattr(php, "_STATUS_SECONDS", 0.3)
    monkeypatch.setattr(php, "_runs", lambda _: True)
    server = listen(short / "alice.status")

    def answer() -> None:
        try:
            with server.accept()[0] as one:
                one.recv(4096)
                ANSWERS[way](one)
        except OSError:
            pass

    threading.Thread(target=answer, daemon=True).start()
    began = time.monotonic()
    found = php.Requests(ALICE).busy()
    assert time.monotonic() - began < 3
    if way in ("drips", "says nothing"):
        assert found == [{"method": php.UNKNOWN, "seconds": float("inf")}], "what does not say is waited for"
        assert "does not say what it works on" in php.told(ALICE, found[0])
    server.close()


def test_the_words_of_php_are_checked_before_they_are_told(monkeypatch) -> None:
    block = "state: Running\nrequest method: {}\nrequest duration: {}\n"
    given = [("POST", "1500000"), ("\x1b[2J", "1"), ("GET", "9" * 5000), ("PUT", "\u00b2"), ("", "-1")]
    text = "".join("*" * 24 + "\n" + block.format(*one) for one in given)
    monkeypatch.setattr(php, "_runs", lambda _: True)
    monkeypatch.setattr(php.Requests, "_in_the_app", lambda _: [])
    monkeypatch.setattr(php, "_status", lambda _: text)
    found = {(one["method"], one["seconds"]) for one in php.Requests(ALICE).busy()}
    assert found == {("POST", 1.5), (php.UNKNOWN, 0.000001), ("GET", 0.0), ("PUT", 0.0), (php.UNKNOWN, 0.0)}


def test_the_first_visitors_of_an_app_wait_until_it_listens(short: Path) -> None:
    program = "from include.agent.layouts import app_program as app; app.SECONDS = 20; app.await_it()"
    root = str(Path(__file__).parents[5])
    environment = {**os.environ, "HOME": ".", "PYTHONPATH": root}
    with subprocess.Popen([sys.executable, "-c", program], env=environment) as waits:
        listen(short / "app.sock").close()  # one that nobody listens at any more
        time.sleep(1)
        assert waits.poll() is None
        (short / "app.sock").unlink()
        server = listen(short / "app.sock")
        assert waits.wait(20) == 0
        server.close()
