"""What visitors meet at the front of a held and a moved account, whatever they were in the middle of."""

import hashlib
import http.client
import imaplib
import smtplib
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from include.agent import verbs
from include.hosts import AgentError
from lab.accounts.certificates import certificate
from tests.lab.agents import Move, Side, account_file, measured, side, visitors
from tests.lab.handles import Lab, Running

UPLOAD = b"""<?php
$body = file_get_contents("php://input");
file_put_contents(dirname(__DIR__) . "/uploads", hash("sha256", $body) . "\\n", FILE_APPEND | LOCK_EX);
echo strlen($body), " ", hash("sha256", $body), " by PHP ", PHP_VERSION;
"""
WAIT = b"""<?php
sleep((int) $_GET["s"]);
echo "waited by PHP ", PHP_VERSION, " for ", $_SERVER["REMOTE_ADDR"], " ", $_SERVER["HTTPS"] ?? "plain";
"""
APP = b"""
import base64, hashlib, http.server, os, socketserver, sys, time
class App(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def address_string(self):
        return "visitor"
    def do_GET(self):
        version = sys.version[:4].encode()
        if self.headers.get("Upgrade", "").lower() == "websocket":
            key = self.headers["Sec-WebSocket-Key"].encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "Upgrade")
            self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key).digest()).decode())
            self.end_headers()
            self.wfile.write(bytes((0x81, len(version))) + version)
            self.rfile.read(1)
            return
        time.sleep(18 if self.path.endswith("poll") else 0)
        self.send_response(200)
        self.send_header("Content-Length", str(len(version)))
        self.end_headers()
        self.wfile.write(version)
class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
path = os.path.expanduser("~/app.sock")
if os.path.lexists(path):
    os.unlink(path)
os.umask(0)
Server(path, App).serve_forever()
"""
BIG = 48 << 20


@pytest.fixture(scope="module")
def sides(lab: Lab, pair: tuple[Running, Running]) -> tuple[Side, Side]:
    return side(lab, pair[0]), side(lab, pair[1])


def create(here: Side, name: str, uid: int) -> dict[str, Any]:
    statement = here.create(name, uid)
    for path, content in (("upload.php", UPLOAD), ("wait.php", WAIT)):
        put(here, name, uid, f"public_html/{path}", content)
    as_account(here, uid, "mkdir", "-p", f"/home/{name}/public_html/.well-known/acme-challenge")
    put(here, name, uid, "public_html/.well-known/acme-challenge/token", b"token.thumbprint")
    as_account(
        here, uid, "dd", "if=/dev/urandom", f"of=/home/{name}/public_html/big.bin", "bs=1M", f"count={BIG >> 20}"
    )
    as_account(here, uid, "chmod", "-R", "a+rX", f"/home/{name}/public_html")
    return statement


def as_account(here: Side, uid: int, *argv: str, stdin: bytes | None = None) -> str:
    return here.root("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *argv, stdin=stdin)


def put(here: Side, name: str, uid: int, path: str, content: bytes) -> None:
    as_account(here, uid, "tee", f"/home/{name}/{path}", stdin=content)


class Doing(threading.Thread):
    """One thing that a visitor does; `result` is what came of it, an exception included."""

    def __init__(self, work: Callable[..., Any], *args: Any) -> None:
        super().__init__(daemon=True)
        self.work, self.args = work, args
        self.result: Any = None
        self.start()

    def run(self) -> None:
        began = time.monotonic()
        try:
            self.result = self.work(*self.args)
        except (OSError, http.client.HTTPException) as error:
            self.result = error
        self.seconds = time.monotonic() - began

    def end(self) -> Any:
        self.join(100)
        return self.result


def ask(address: str, host: str, path: str, method: str = "GET", body: bytes | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(address, 80, timeout=100)
    try:
        connection.request(method, path, body=body, headers={"Host": host})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def slow_upload(address: str, host: str, body: bytes, seconds: float, over: threading.Event) -> tuple[int, bytes]:
    """A POST whose body takes its time, and does not end before that is over which it is to outlast."""
    connection = http.client.HTTPConnection(address, 80, timeout=100)
    try:
        connection.putrequest("POST", "/upload.php?a=1", skip_host=True)
        for key, value in (("Host", host), ("Content-Length", str(len(body)))):
            connection.putheader(key, value)
        connection.endheaders()
        parts = 40
        size = -(-len(body) // parts)
        for number in range(parts):
            if number == parts - 1:
                over.wait(90)
            connection.send(body[number * size : (number + 1) * size])
            time.sleep(seconds / parts)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def slow_download(address: str, host: str, seconds: float) -> tuple[int, str]:
    """A download of the big file that takes its time; status and digest."""
    connection = http.client.HTTPConnection(address, 80, timeout=100)
    try:
        connection.request("GET", "/big.bin", headers={"Host": host})
        response = connection.getresponse()
        digest = hashlib.sha256()
        while part := response.read(BIG // 40):
            digest.update(part)
            time.sleep(seconds / 40)
        return response.status, digest.hexdigest()
    finally:
        connection.close()


def keep_asking(address: str, host: str, path: str, over: threading.Event) -> list[tuple[int, bytes, float]]:
    """Status, answer and seconds of each."""
    answers = []
    while not over.wait(0.05):
        began = time.monotonic()
        answers.append((*ask(address, host, path), time.monotonic() - began))
    return answers


def start_app(here: Side, name: str, uid: int) -> None:
    """The account's own program, as its crontab would start it."""
    user = (f"--uid={uid}", f"--gid={uid}", f"--setenv=HOME=/home/{name}")
    here.root("systemd-run", "--quiet", *user, f"--unit=app-{name}", "python3", f"/home/{name}/app.py")


def websocket(address: str, host: str) -> tuple[bytes, float]:
    """Open one and listen until it ends by itself: what it said, and when it ended."""
    with socket.create_connection((address, 80), timeout=60) as connection:
        lines = ("GET /live/socket HTTP/1.1", f"Host: {host}", "Connection: Upgrade", "Upgrade: websocket")
        key = ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", "")
        connection.sendall("\r\n".join((*lines, *key)).encode())
        said = b""
        while part := connection.recv(4096):
            said += part
    return said, time.time()


def test_a_switch_beside_slow_visitors(sides: tuple[Side, Side]) -> None:
    old, new = sides
    statement = create(old, "slowly", 2201)
    statement["sites"][0]["app"] = "/live"
    old.host.call(verbs.Create(account_file=statement))
    put(old, "slowly", 2201, "app.py", APP)
    start_app(old, "slowly", 2201)
    old.root("crontab", "-u", "slowly", "-", stdin=b"@reboot sleep 3; exec python3 $HOME/app.py\n")
    digest = old.root("sha256sum", "/home/slowly/public_html/big.bin").split()[0]
    body = b"0123456789abcdef" * 50_000
    address, host = old.address, "slowly.example"
    move = Move("slow1", 2, statement, old, new).prepare()
    with visitors(address, host, 1000) as crowd:
        # So slow that they last through the switch on a busy machine too.
        switched = threading.Event()
        upload = Doing(slow_upload, address, host, body, 25.0, switched)
        download = Doing(slow_download, address, host, 25.0)
        polls = [Doing(ask, address, host, path) for path in ("/wait.php?s=18", "/live/poll")]
        talk = Doing(websocket, address, host)
        over = threading.Event()
        asking = Doing(keep_asking, address, host, "/live/now", over)
        time.sleep(1)
        began = time.time()
        done = move.switch()
        switched.set()
        over.wait(5)
    over.set()
    answers = asking.end()
    assert {status for status, _, _ in answers} == {200} and answers[-1][1] == b"3.13"
    assert 2 < max(seconds for _, _, seconds in answers) < 20, "who asks an app that has just been started waits for it"
    assert measured(done.verified).equal
    assert crowd.failed == []
    print(f"held {done.held_ms} ms, longest wait {crowd.longest * 1000:.0f} ms of {len(crowd.answers)}")
    assert crowd.longest < measured(done.held_ms) / 1000 + 1, "no ordinary request waits for a slow one"
    status, text = upload.end()
    assert status == 200
    assert text.startswith(f"{len(body)} {hashlib.sha256(body).hexdigest()} by PHP 8.4".encode())
    assert download.end() == (200, digest)
    said, ended = talk.end()
    assert said.startswith(b"HTTP/1.1 101") and said.endswith(b"3.11")
    assert 0 < ended - began < 25, "a WebSocket is closed, so that its visitor opens it again"
    assert ask(address, host, "/live/now") == (200, b"3.13")
    (status, text), (status_of_app, version) = (poll.end() for poll in polls)
    assert (status, text[:17]) == (200, b"waited by PHP 8.4"), "what PHP had begun is begun again at the new place"
    assert (status_of_app, version) == (200, b"3.13"), "and of the app's too"
    again = Doing(websocket, address, host)
    time.sleep(0.5)
    new.root("pkill", "-u", "slowly", "-f", "app.py")
    assert again.end()[0].endswith(b"3.13")
    assert new.root("cat", "/home/slowly/uploads").split() == [hashlib.sha256(body).hexdigest()]
    assert new.visits("slowly") == sorted(number for number, _, _ in crowd.answers)


def test_a_request_that_cannot_be_begun_again_undoes_the_hold(sides: tuple[Side, Side]) -> None:
    here = sides[0]
    create(here, "posting", 2202)
    post = Doing(ask, here.address, "posting.example", "/wait.php?s=3", "POST", b"x")
    time.sleep(0.3)
    with visitors(here.address, "posting.example", 1000) as crowd, pytest.raises(AgentError) as error:
        here.fence("hold", name="posting", move="m1", epoch=2, seconds=30)
    assert error.value.code == "php_busy" and "POST" in error.value.message
    assert here.state("posting") == "serving"
    assert post.end()[0] == 200
    assert crowd.failed == []
    here.fence("hold", name="posting", move="m1", epoch=2, seconds=30)
    here.host.call(verbs.Return(account="posting", move="m1"))


def test_every_way_to_ask_is_held_and_answered(
    lab: Lab, pair: tuple[Running, Running], sides: tuple[Side, Side]
) -> None:
    old, new = sides
    pem = certificate(["every.example"])
    old.root("install", "-m", "0600", "/dev/stdin", "/etc/transhumance/certificates/every.example.pem", stdin=pem)
    statement = create(old, "every", 2203)
    create(old, "others", 2204)
    for one, running in zip(sides, pair, strict=True):
        one.host.call(verbs.AcceptIps(ips=list(running.server.ips)))
    move = Move("every1", 2, statement, old, new).prepare()
    v4, v6 = pair[0].server.ips
    asked = {
        "HTTP": ("http", v4, "--http1.1", ()),
        "HTTPS": ("https", v4, "--http1.1", ()),
        "HTTP/2": ("https", v4, "--http2", ()),
        "IPv6": ("https", v6, "--http2", ()),
        "POST": ("https", v4, "--http2", ("--data-binary", "x" * 100_000)),
        "chunked": ("http", v4, "--http1.1", ("-H", "Transfer-Encoding: chunked", "--data-binary", "x" * 1000)),
    }

    def ask_by(way: str) -> tuple[str, float]:
        scheme, address, version, more = asked[way]
        port, page = 443 if scheme == "https" else 80, "upload.php" if more else "wait.php?s=0"
        url = f"{scheme}://every.example/{page}"
        to = ("--resolve", f"every.example:{port}:{f'[{address}]' if ':' in address else address}")
        began = time.monotonic()
        done = lab.in_ns("th-visitor", ["curl", "-sk", "-m", "60", version, *to, *more, url])
        return done.stdout, time.monotonic() - began

    def answers(php: str) -> None:
        for way, doing in [(way, Doing(ask_by, way)) for way in asked]:
            said, _ = doing.end()
            assert f"by PHP {php}" in said, (way, said)
            visitor = "2001:db8:203::10" if way == "IPv6" else "203.0.113.10"
            secure = "on" if asked[way][0] == "https" else "plain"
            if not asked[way][3]:
                assert f"for {visitor} {secure}" in said, (way, said)

    answers("8.2")
    kept = http.client.HTTPConnection(old.address, 80, timeout=60)

    def ask_kept() -> str:
        kept.request("GET", "/wait.php?s=0", headers={"Host": "every.example"})
        return kept.getresponse().read().decode()

    assert ask_kept().startswith("waited by PHP 8.2")
    old.fence("hold", name="every", move="every1", epoch=2, seconds=60)
    waiting = {way: Doing(ask_by, way) for way in asked}
    time.sleep(1)
    assert all(doing.is_alive() for doing in waiting.values())
    assert ask(old.address, "others.example", "/wait.php?s=0")[0] == 200, "nobody else waits"
    old.host.call(verbs.Return(account="every", move="every1"))
    for way, doing in waiting.items():
        said, seconds = doing.end()
        assert "by PHP 8.2" in said and seconds > 1, (way, said)
    over = threading.Event()

    def keep_asking(way: str) -> list[str]:
        said = []
        while not over.is_set():
            said.append(ask_by(way)[0])
        return said

    asking = {way: Doing(keep_asking, way) for way in asked}
    move.switch()
    over.set()
    for way, doing in asking.items():
        said = doing.end()
        assert len(said) > 1 and all("by PHP 8." in one for one in said), (way, said)
    assert ask_kept().startswith("waited by PHP 8.4")
    kept.close()
    answers("8.4")
    assert ask(old.address, "every.example", "/.well-known/acme-challenge/token") == (200, b"token.thumbprint")
    before = forwarded(old, "every")
    assert before["http"]["count"] >= 14 and time.time() - before["http"]["last"] < 10
    old.root("systemctl", "restart", "haproxy")
    answers("8.4")
    time.sleep(1)
    assert forwarded(old, "every")["http"]["count"] == before["http"]["count"] + len(asked)


def test_an_accounts_own_ports_follow_it(sides: tuple[Side, Side]) -> None:
    old, new = sides
    users = {"users": [{"user": "ported", "host": "%"}], "databases": []}
    statement = {**account_file("ported", 2205), "mariadb": users, "ports": {"mariadb": 20002, "ssh": 20003}}
    old.root("mariadb", "--execute", "CREATE USER ported IDENTIFIED BY 'secret'")
    old.host.call(verbs.Create(account_file=statement))
    with pytest.raises(AgentError, match="port"):
        old.host.call(verbs.Create(account_file={**account_file("greedy", 2206), "ports": {"ssh": 20002}}))

    def greeting(port: int) -> bytes:
        with socket.create_connection((old.address, port), timeout=60) as connection:
            return connection.recv(100)

    move = Move("ported1", 2, statement, old, new).prepare()
    found = greeting(20002), greeting(20003)
    assert b"10.11" in found[0] and b"OpenSSH_9" in found[1], found
    try:
        assert greeting(20004) == b"", "a port that is nobody's is closed"
    except ConnectionError:
        pass
    old.fence("hold", name="ported", move="ported1", epoch=2, seconds=60)
    waiting = [Doing(greeting, port) for port in (20002, 20003)]
    time.sleep(0.5)
    assert all(doing.is_alive() for doing in waiting)
    old.host.call(verbs.Return(account="ported", move="ported1"))
    assert b"10.11" in waiting[0].end() and b"OpenSSH_9" in waiting[1].end()
    move.switch()
    assert b"11.8" in greeting(20002) and b"OpenSSH_10" in greeting(20003)
    assert b"11.8" in greeting(20002)
    passed_on = forwarded(old, "ported")
    assert (passed_on["mariadb"]["count"], passed_on["ssh"]["count"]) == (2, 1)


def test_mail_comes_once_through_a_move_and_idle_sessions_end(sides: tuple[Side, Side]) -> None:
    old, new = sides
    statement = old.create("posted", 2207)
    mailbox, over = "info@posted.example", threading.Event()
    sent: list[str] = []

    def keep_sending() -> None:
        while not over.wait(0.05):
            number = len(sent)
            while True:
                try:
                    with smtplib.SMTP(old.address, 25, timeout=20) as smtp:
                        smtp.sendmail("v@visitors.example", [mailbox], f"Subject: {number}\r\n\r\n{number}\r\n")
                    break
                except smtplib.SMTPException as error:
                    assert "450" in str(error), error  # come again in a moment
                    time.sleep(0.1)
            sent.append(str(number))

    def idle() -> float:
        imap = imaplib.IMAP4(old.address, timeout=60)
        imap.login(mailbox, "secret")
        imap.select("INBOX")
        imap.send(b"%s IDLE\r\n" % imap._new_tag())
        while imap.readline():
            pass
        return time.time()

    def subjects(address: str) -> list[str]:
        imap = imaplib.IMAP4(address, timeout=20)
        imap.login(mailbox, "secret")
        imap.select("INBOX")
        _, found = imap.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        imap.logout()
        return [part[1].decode().split()[1] for part in found if isinstance(part, tuple)]

    move = Move("posted1", 2, statement, old, new).prepare()
    sender = Doing(keep_sending)
    time.sleep(1)
    session = Doing(idle)
    time.sleep(0.5)
    assert session.is_alive()
    began = time.time()
    move.switch()
    switched = time.time()
    time.sleep(2)
    over.set()
    sender.end()
    assert began < session.end() < switched, "an idle session ends with the hold, so that it is opened again"
    end = time.monotonic() + 90
    while len(subjects(new.address)) < len(sent) and time.monotonic() < end:
        time.sleep(1)
    assert sorted(subjects(new.address), key=int) == sent
    assert subjects(old.address) == subjects(new.address)
    found = forwarded(old, "posted")
    assert found["smtp"]["count"] > 0 and found["imap"]["count"] > 0


def test_no_customer_speaks_in_a_visitors_name(sides: tuple[Side, Side]) -> None:
    old, new = sides
    old.create("liar", 2208)
    source = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 5, (sys.argv[3], 0))"
    for address, port, mine in (
        (new.address, 8081, ""),
        (new.address, 21000, ""),
        (old.address, 8081, ""),
        ("127.0.0.1", 8080, ""),
        ("127.0.0.1", 3306, "127.0.0.9"),
    ):
        argv = ("python3", "-c", source, address, str(port), mine)
        with pytest.raises(AssertionError, match="ConnectionRefused"):
            as_account(old, 2208, *argv)
    as_account(old, 2208, "python3", "-c", source, "127.0.0.1", "3306", "")


def forwarded(here: Side, name: str) -> dict[str, Any]:
    return next(a["forwarded"] for a in here.host.call(verbs.Describe()).accounts if a["account"] == name)
