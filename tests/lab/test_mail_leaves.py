"""By which address mail of an account reaches the world, as the receiving side sees it: on its server, on the transit
before and after the reroute, and at home again; IPv4 and IPv6."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from include.agent import verbs
from include.network.routes import reroute
from lab import state
from lab.topology import VISITOR, VISITOR_ADDRESS, VISITOR_ADDRESS6
from tests.lab.agents import Side, side
from tests.lab.handles import Lab, Running
from tests.lab.waiting import wait_for

NAME, UID = "leaves", 2240
# Takes every message, and prints who brought it, by which words it presented itself, and its subject.
SINK = """
import socketserver, socket, sys
class Taker(socketserver.StreamRequestHandler):
    def handle(self):
        say = lambda line: self.wfile.write(line.encode() + b"\\r\\n")
        say("220 sink ESMTP")
        for line in self.rfile:
            word = line.split(b" ")[0].strip().upper()
            if word == b"DATA":
                say("354 go on")
                for text in self.rfile:
                    if text.lower().startswith(b"subject: "):
                        print(self.client_address[0].removeprefix("::ffff:"), text[9:].decode().strip(), flush=True)
                    if text == b".\\r\\n":
                        break
            say("250 ok" if word != b"QUIT" else "221 bye")
            if word == b"QUIT":
                return
class Server(socketserver.ThreadingTCPServer):
    address_family, allow_reuse_address = socket.AF_INET6, True
    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()
Server(("::", 25), Taker).serve_forever()
"""
TO = {4: f"x@[{VISITOR_ADDRESS}]", 6: f"x@[IPv6:{VISITOR_ADDRESS6}]"}


def send_from(one: Side, addresses: list[str]) -> None:
    one.host.call(verbs.SendMailFrom(ips=addresses))
    time.sleep(3)  # Postfix is told; its programs that deliver end and begin anew within a second or two


@pytest.fixture(scope="module")
def sides(lab: Lab, pair: tuple[Running, Running]) -> tuple[Side, Side]:
    both = side(lab, pair[0]), side(lab, pair[1])
    for one, running in zip(both, pair, strict=True):
        one.host.call(verbs.AcceptIps(ips=list(running.server.ips)))
        send_from(one, list(running.server.ips))
        one.create(NAME, UID)
    return both


@pytest.fixture(scope="module")
def seen(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What the receiving side has seen: a line for each message."""
    path = tmp_path_factory.mktemp("sink") / "seen"
    with (
        path.open("wb") as output,
        subprocess.Popen(state.in_ns(VISITOR, [sys.executable, "-c", SINK]), stdout=output) as sink,
    ):
        time.sleep(1)
        yield path
        sink.terminate()


def seen_from(one: Side, seen: Path, mark: str) -> dict[int, str]:
    """The address that each family's message of the account came from; both are sent by a program of the account's."""
    as_account = ("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups")
    for family, to in TO.items():
        message = f"Subject: {mark}-{family}\n\nhello\n".encode()
        one.root(*as_account, "sendmail", "-f", f"info@{NAME}.example", "--", to, stdin=message)
    wanted = {f"{mark}-{family}": family for family in TO}
    found: dict[int, str] = {}

    def all_came() -> bool:
        for line in seen.read_text().splitlines():
            address, subject = line.split()
            if subject in wanted:
                found[wanted[subject]] = address
        return len(found) == len(wanted)

    wait_for(all_came, 60, f"the messages {mark} have come")
    print(f"{mark}: {found}")
    return found


def ips(running: Any) -> dict[int, str]:
    return dict(zip((4, 6), running.server.ips, strict=True))


def lead(lab: Any, ip: str, spec: Any) -> None:
    reroute(lab.route, ip, spec.lan_address6 if ":" in ip else spec.lan_address)


def test_mail_leaves_by_the_service_address_of_whom_the_account_belongs_to(
    lab: Lab, pair: tuple[Running, Running], sides: tuple[Side, Side], seen: Path
) -> None:
    old, new = pair
    original, transit = sides
    own, transits = list(old.server.ips), list(new.server.ips)
    assert seen_from(original, seen, "at-home") == ips(old)
    assert seen_from(transit, seen, "before-the-reroute") == ips(new)

    transit.host.call(verbs.AcceptIps(ips=own))
    send_from(original, [])
    for ip in own:
        lead(lab, ip, new.spec)
    send_from(transit, [*own, *transits])
    try:
        assert seen_from(transit, seen, "after-the-reroute") == ips(old)
        came = seen_from(original, seen, "what-waited-at-the-original")
        assert not {*came.values()} & {*own, *transits}, "it arrives, by the address that still leads there"
    finally:
        send_from(transit, transits)
        for ip in own:
            lead(lab, ip, old.spec)
        transit.host.call(verbs.DropIps(ips=own))
    send_from(original, own)
    assert seen_from(original, seen, "home-again") == ips(old)
    assert seen_from(transit, seen, "the-transits-again") == ips(new)


def test_it_is_so_after_a_restart_of_postfix(
    pair: tuple[Running, Running], sides: tuple[Side, Side], seen: Path
) -> None:
    for running, one in zip(pair, sides, strict=True):
        one.root("systemctl", "restart", "postfix.service")
        assert seen_from(one, seen, f"restarted-{running.name}") == ips(running)


def test_mail_between_the_servers_does_not_leave_by_it(pair: tuple[Running, Running], sides: tuple[Side, Side]) -> None:
    """What is passed on to the other server, or enters the queue again, goes as before."""
    for one in sides:
        settings = one.root("postconf", "-h", "smtp_bind_address", "smtp_bind_address6", "default_transport").split()
        assert settings == ["outside"]
