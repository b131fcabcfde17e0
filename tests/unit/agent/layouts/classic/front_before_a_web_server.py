"""Runs in a network, a process tree and mounts of its own: a web server, and before it the front, put there and taken
away while visitors go on. Fails where one of them notices. Argument: a folder with the front's files."""

from __future__ import annotations

import http.client
import os
import pwd
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

GIVEN = Path(sys.argv[1])
CONFIG, RUN = Path("/etc/transhumance"), Path("/run/transhumance-front")
USER = "www-data"
"""Stands in for the front's own, which this machine does not have."""
SIX, FOUR, PEER = "2001:db8::1", "198.51.100.1", "10.0.0.5"
MAP = CONFIG / "front" / "accounts.map"


class Site(BaseHTTPRequestHandler):
    """Answers with who asks, what is said of who visits, and the address that was meant."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/slow":
            time.sleep(1)
        told = ",".join(self.headers.get_all("X-Forwarded-For", []))
        answer = f"{self.client_address[0]} {told} {self.connection.getsockname()[0]}".replace("::ffff:", "").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer) if self.path != "/long" else 2))
        self.end_headers()
        if self.path == "/long":
            self.wfile.write(b"a")
            time.sleep(1)
            answer = b"b"
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None: ...


class WebServer(ThreadingHTTPServer):
    address_family = socket.AF_INET6
    request_queue_size = 100


def serve(port: int) -> None:
    server = WebServer(("::", port), Site)
    if port == 443:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(GIVEN / "shop.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def visit(
    path: str = "/",
    host: str = "shop.example",
    at: str = FOUR,
    tls: bool = False,
    source: str = "",
    headers: dict[str, str] | None = None,
) -> str:
    """What a visit is answered with."""
    connection = http.client.HTTPConnection(at, 443 if tls else 80, timeout=20)
    connection.sock = socket.create_connection((at, 443 if tls else 80), 20, (source, 0) if source else None)
    if tls:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection.sock = context.wrap_socket(connection.sock, server_hostname=host)
    connection.request("GET", path, headers={"Host": host, **(headers or {})})
    answer = connection.getresponse()
    assert answer.status == 200, (answer.status, path, host)
    return answer.read().decode()


def passed_on(headers: str) -> str:
    """What is answered to a visit that another server's front passes on."""
    with socket.create_connection((PEER, 8081), 20, (PEER, 0)) as connection:
        connection.sendall(b"PROXY TCP4 9.9.9.9 8.8.8.8 1234 80\r\n")
        connection.sendall(f"GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n{headers}\r\n".encode())
        return connection.makefile("rb").read().decode()


def command(text: str) -> str:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(RUN / "admin.sock"))
        connection.sendall(text.encode() + b"\n")
        return "".join(iter(lambda: connection.recv(65536).decode(), ""))


def in_flight() -> int:
    return command("show table in_flight data.gpc0 eq 0 data.conn_cur gt 0").count("key=shop/")


def run(*argv: str) -> None:
    subprocess.run(argv, check=True)


def later(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    time.sleep(0.3)
    return thread


def lay_down() -> None:
    for folder in ("/etc/transhumance", "/run/transhumance-front", "/var/lib/haproxy"):
        os.makedirs(folder, exist_ok=True)
        run("mount", "-t", "tmpfs", "none", folder)
    (CONFIG / "certificates").mkdir()
    (CONFIG / "front").mkdir()
    for path in GIVEN.iterdir():
        text = path.read_text()
        if path.name != "hold.lua":
            text = text.replace("user transhumance-front", f"user {USER}").replace(
                "group transhumance-front", f"group {USER}"
            )
            text = text.replace("skuid transhumance-front", f"skuid {USER}")
            text = text.replace("{ root, transhumance-front }", f"{{ root, {USER} }}")
        (CONFIG / "front" / path.name).write_text(text)
    for path in (CONFIG / "front" / "default.pem", CONFIG / "certificates" / "shop.example.pem"):
        path.write_text((GIVEN / "shop.pem").read_text())
    (CONFIG / "front" / "domains.map").write_text("shop.example shop\n*.wild.example shop\n")
    MAP.write_text("shop serve\n")
    for name in ("apps", "paused", "trial_hosts", "trial_names"):
        (CONFIG / "front" / f"{name}.map").touch()
    (CONFIG / "front" / "peers.lst").write_text("10.0.0.0/8\n")
    run("ip", "link", "set", "lo", "up")
    for address in (f"{FOUR}/32", f"{PEER}/32", f"{SIX}/128"):
        run("ip", "address", "add", address, "dev", "lo")
    run("ip", "-6", "address", "replace", "fd74:7261:6e73::9/128", "dev", "lo", "preferred_lft", "0")


class Visitors:
    """They never stop; what one of them met that was no answer is kept."""

    def __init__(self) -> None:
        self.met: list[str] = []
        self.visits = 0
        self.go_on = True
        self.threads = [threading.Thread(target=self.come, args=(tls,), daemon=True) for tls in (False, True)]
        for thread in self.threads:
            thread.start()

    def come(self, tls: bool) -> None:
        while self.go_on:
            try:
                visit(at=(FOUR, SIX)[self.visits % 2], tls=tls)
            except Exception as error:
                self.met.append(repr(error))
            self.visits += 1
            time.sleep(0.005)

    def leave(self) -> None:
        self.go_on = False
        for thread in self.threads:
            thread.join()


def main() -> None:
    lay_down()
    serve(80)
    serve(443)
    open_before = socket.create_connection((FOUR, 80))
    visitors = Visitors()

    # Nobody is led anywhere where no front listens.
    run("nft", "--file", str(CONFIG / "front" / "redirect.nft"))
    assert visit() == f"{FOUR}  {FOUR}"
    haproxy = ["haproxy", "-Ws", "-f", str(CONFIG / "front" / "haproxy.cfg"), "-p", str(RUN / "pid")]
    master = subprocess.Popen(haproxy, env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin"})
    while not (RUN / "admin.sock").exists():
        assert master.poll() is None
        time.sleep(0.05)
    time.sleep(0.3)

    # A connection that the web server had goes on; whoever visits is told, and the address that was meant is kept.
    open_before.sendall(b"GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n")
    assert open_before.makefile("rb").read().endswith(f"{FOUR}  {FOUR}".encode())
    assert visit() == f"127.0.0.9 {FOUR} {FOUR}"
    assert visit(at=SIX) == f"fd74:7261:6e73::9 {SIX} {SIX}"
    assert visit(tls=True) == f"127.0.0.9 {FOUR} {FOUR}"
    assert visit(at=SIX, tls=True) == f"fd74:7261:6e73::9 {SIX} {SIX}"
    assert visit(at="127.0.0.1", headers={"X-Forwarded-For": "9.9.9.9"}) == "127.0.0.9 9.9.9.9,127.0.0.1 127.0.0.1"
    assert visit(host="nobody.example") == f"127.0.0.9 {FOUR} {FOUR}"

    # Those that were let in are counted until they are answered; those that are held are not, and wait.
    slow = later(lambda: visit("/slow"))
    assert in_flight() >= 1
    slow.join()
    visitors.leave()
    long = later(lambda: visit("/long"))
    assert in_flight() == 0
    long.join()
    command(f"set map {MAP} shop hold")
    began = time.monotonic()
    hosts = ("shop.example", "x.wild.example:80", "SHOP.example.", "e.d.c.b.a.wild.example")
    held = [later(partial(visit, host=host)) for host in hosts]
    assert in_flight() == 0 and all(thread.is_alive() for thread in held)
    for host in ("nobody.example", "wild.example", "a.example", "xwild.example"):
        assert visit(host=host), "others do not wait"
    command(f"set map {MAP} shop serve")
    for thread in held:
        thread.join()
    assert time.monotonic() - began < 5

    # All of them wait for a moment, and no longer, whatever becomes of who wanted it.
    command(f"add map {CONFIG}/front/paused.map all yes")
    began = time.monotonic()
    assert visit(host="nobody.example")
    assert 0.9 < time.monotonic() - began < 3
    command(f"del map {CONFIG}/front/paused.map all")

    # What another server's front passes on is the visitor's; and what is passed on without an end ends.
    for proto in ("http", "https"):
        assert passed_on(f"X-Forwarded-Proto: {proto}\r\n").endswith("127.0.0.9 9.9.9.9 127.0.0.1"), proto
    command(f"set map {MAP} shop {PEER}")
    assert passed_on("").startswith("HTTP/1.1 508")
    command(f"set map {MAP} shop serve")

    # Nobody else speaks to the web server in visitors' names, and the front's own ports lead nowhere.
    child = os.fork()
    if child == 0:
        os.setresuid(*[pwd.getpwnam("nobody").pw_uid] * 3)
        try:
            visit(source="127.0.0.9")
        except OSError:
            os._exit(0)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    for port in (24080, 8081):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            try:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n")
                assert connection.recv(10) == b""
            except (BrokenPipeError, ConnectionResetError):
                pass

    # It goes when it has finished what it has.
    going = Visitors()
    slow = later(lambda: visit("/slow"))
    run("nft", "delete", "table", "inet", "transhumance_front")
    master.send_signal(signal.SIGUSR1)
    assert master.wait(20) == 0
    slow.join()
    assert visit() == f"{FOUR}  {FOUR}"
    going.leave()
    assert visitors.met == going.met == [] and visitors.visits > 50 < going.visits, (visitors.met, going.met)
    print("done")


if __name__ == "__main__":
    main()
