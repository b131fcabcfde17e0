"""A reroute as a visitor with a request in flight meets it: with the drain nothing breaks."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from include.agent import verbs
from include.moves.network import DRAIN_SECONDS
from include.network.routes import reroute
from lab import state
from tests.lab.agents import Side, side
from tests.lab.handles import Lab, Running

PORT = 8099
# Answers after 150 ms, so that there is always a request in flight.
SLOW = """
import http.server, socket, time
class Slow(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/long":
            self.send_response(200)
            self.end_headers()
            time.sleep(600)
        time.sleep(0.15)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *_): pass
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    request_queue_size = 128
Server(("::", %d), Slow).serve_forever()
"""
# A new connection every 10 ms for 4 s; prints how many requests, how many failed, the longest wait in seconds.
VISITOR = """
import sys, threading, time, urllib.request
url, results = sys.argv[1], []
def ask():
    began = time.monotonic()
    try:
        good = urllib.request.urlopen(url, timeout=10).read() == b"ok"
    except OSError:
        good = False
    results.append((good, time.monotonic() - began))
threads = []
end = time.monotonic() + 4
while time.monotonic() < end:
    threads.append(threading.Thread(target=ask))
    threads[-1].start()
    time.sleep(0.01)
for thread in threads:
    thread.join()
print(len(results), sum(not good for good, _ in results), max(wait for _, wait in results))
"""


# Two connections that last: one on which nothing is said, one that gives data without end; prints when both stand,
# then for each what ended it and when.
LASTING = """
import socket, sys, threading, time
address, idle_port, stream_port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
def last(name, port):
    with socket.create_connection((address, port), timeout=30) as connection:
        if name == "idle":
            connection.sendall(b"GET /long HTTP/1.0\\r\\n\\r\\n")
        connection.recv(4096)
        standing.wait()
        try:
            while connection.recv(65536):
                pass
            end = "closed"
        except OSError as error:
            end = type(error).__name__
        print(name, end, time.time(), flush=True)
standing = threading.Barrier(3)
threads = [threading.Thread(target=last, args=one) for one in (("idle", idle_port), ("stream", stream_port))]
for thread in threads:
    thread.start()
standing.wait()
print("stands", flush=True)
"""
STREAM = """
import socketserver, socket, time
class Endless(socketserver.BaseRequestHandler):
    def handle(self):
        while True:
            self.request.sendall(b"x" * 1000)
            time.sleep(0.05)
class Server(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6
Server(("::", %d), Endless).serve_forever()
"""


@pytest.fixture(scope="module")
def sides(lab: Lab, pair: tuple[Running, Running]) -> tuple[Side, Side]:
    return side(lab, pair[0]), side(lab, pair[1])


@pytest.mark.parametrize("family", [4, 6])
def test_no_request_in_flight_breaks_at_a_reroute(
    lab: Lab, pair: tuple[Running, Running], sides: tuple[Side, Side], family: int
) -> None:
    old, new = pair
    ip = old.server.ips[0 if family == 4 else 1]
    hop = new.spec.lan_address if family == 4 else new.spec.lan_address6
    for one in sides:
        one.host.call(verbs.AcceptIps(ips=[ip]))
        one.root("systemd-run", "--quiet", f"--unit=slow{family}", "python3", "-c", SLOW % (PORT + family))
    url = f"http://{f'[{ip}]' if family == 6 else ip}:{PORT + family}/"
    _await_answer(lab, url)
    command = state.in_ns("th-visitor", [sys.executable, "-c", VISITOR, url])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as visitor:
        time.sleep(1.5)
        drained = sides[0].host.call(verbs.DrainIps(ips=[ip], seconds=DRAIN_SECONDS))
        before = reroute(lab.route, ip, hop)
        asked, failed, longest = visitor.communicate(timeout=40)[0].split()
    assert before
    reroute(lab.route, ip, before)
    print(f"IPv{family}: {asked} requests, {failed} failed, longest wait {float(longest) * 1000:.0f} ms")
    assert int(asked) > 100
    assert drained.still_open == 0
    assert failed == "0"
    # A second on a machine that keeps up; a busy one takes longer than the visitors' first try to reroute.
    assert float(longest) < 8, "who was not answered is answered at one of the next tries"


@pytest.mark.parametrize("told", [True, False], ids=["reset", "by-the-next-server-only"])
@pytest.mark.parametrize("family", [4, 6])
def test_connections_that_last_end_by_a_reset_at_a_reroute(
    lab: Lab, pair: tuple[Running, Running], sides: tuple[Side, Side], family: int, told: bool
) -> None:
    old, new = pair
    ip = old.server.ips[0 if family == 4 else 1]
    hop = new.spec.lan_address if family == 4 else new.spec.lan_address6
    idle, stream = PORT + 10 + 4 * told + family, PORT + 30 + 4 * told + family
    for one in sides:
        one.host.call(verbs.AcceptIps(ips=[ip]))
    for port, program in ((idle, SLOW), (stream, STREAM)):
        sides[0].root("systemd-run", "--quiet", f"--unit=lasting{port}", "python3", "-c", program % port)
    _await_answer(lab, f"http://{f'[{ip}]' if family == 6 else ip}:{idle}/")
    command = state.in_ns("th-visitor", [sys.executable, "-c", LASTING, ip, str(idle), str(stream)])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as visitor:
        assert visitor.stdout and visitor.stdout.readline() == "stands\n"
        assert sides[0].host.call(verbs.DrainIps(ips=[ip], seconds=0.1)).still_open >= 2
        rerouted = time.time()
        before = reroute(lab.route, ip, hop)
        if told:
            assert sides[0].host.call(verbs.ResetIps(ips=[ip])).reset >= 2
            assert sides[0].host.call(verbs.ResetIps(ips=[ip])).reset == 0
        time.sleep(3)
        assert before
        reroute(lab.route, ip, before)
        if not told:
            sides[0].host.call(verbs.ResetIps(ips=[ip]))
        ends = dict((name, (how, float(at) - rerouted)) for name, how, at in map(str.split, visitor.stdout))
    print(f"IPv{family}: {ends}")
    assert ends["stream"][0] == ends["idle"][0] == "ConnectionResetError"
    assert ends["stream"][1] < 2, "whoever is sent data is told by the next server, which knows nothing of it"
    assert (ends["idle"][1] < 3) == told, "whoever is not told notices with the next word only"


def _await_answer(lab: Lab, url: str) -> None:
    for _ in range(50):
        asked = lab.in_ns("th-visitor", [sys.executable, "-c", f"import urllib.request as u; u.urlopen({url!r})"])
        if asked.returncode == 0:
            return
        time.sleep(0.1)
    pytest.fail(f"{url} does not answer: {asked.stderr[-300:]}")
