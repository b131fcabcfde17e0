"""A reroute as a visitor with a request in flight meets it: with the drain nothing breaks."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from include.moves.network import DRAIN_SECONDS
from include.network.routes import reroute
from lab import state
from tests.lab.agents import Side, side

PORT = 8099
# Answers after 150 ms, so that there is always a request in flight.
SLOW = """
import http.server, socket, time
class Slow(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
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


@pytest.fixture(scope="module")
def sides(lab, pair) -> tuple[Side, Side]:
    return side(lab, pair[0]), side(lab, pair[1])


@pytest.mark.parametrize("family", [4, 6])
def test_no_request_in_flight_breaks_at_a_reroute(lab, pair, sides, family):
    old, new = pair
    ip = old.server.ips[0 if family == 4 else 1]
    hop = new.spec.lan_address if family == 4 else new.spec.lan_address6
    for one in sides:
        one.host.call("accept_ips", ips=[ip])
        one.root("systemd-run", "--quiet", f"--unit=slow{family}", "python3", "-c", SLOW % (PORT + family))
    url = f"http://{f'[{ip}]' if family == 6 else ip}:{PORT + family}/"
    _await_answer(lab, url)
    command = state.in_ns("th-visitor", [sys.executable, "-c", VISITOR, url])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as visitor:
        time.sleep(1.5)
        drained = sides[0].host.call("drain_ips", ips=[ip], seconds=DRAIN_SECONDS)
        before = reroute(lab.route, ip, hop)
        asked, failed, longest = visitor.communicate(timeout=40)[0].split()
    reroute(lab.route, ip, before)
    print(f"IPv{family}: {asked} requests, {failed} failed, longest wait {float(longest) * 1000:.0f} ms")
    assert int(asked) > 100
    assert drained == {"still_open": 0}
    assert failed == "0"
    assert float(longest) < 2.5, "who was not answered asks again after one second, not after three"


def _await_answer(lab, url: str) -> None:
    for _ in range(50):
        asked = lab.in_ns("th-visitor", [sys.executable, "-c", f"import urllib.request as u; u.urlopen({url!r})"])
        if asked.returncode == 0:
            return
        time.sleep(0.1)
    pytest.fail(f"{url} does not answer: {asked.stderr[-300:]}")
