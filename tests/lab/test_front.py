"""What visitors meet at the front of a held and a moved account, whatever they were in the middle of."""

import hashlib
import http.client
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.lab.agents import Move, Side, side, visitors

UPLOAD = b"""<?php
$body = file_get_contents("php://input");
file_put_contents(dirname(__DIR__) . "/uploads", hash("sha256", $body) . "\\n", FILE_APPEND | LOCK_EX);
echo strlen($body), " ", hash("sha256", $body), " by PHP ", PHP_VERSION;
"""
WAIT = b"""<?php
sleep((int) $_GET["s"]);
echo "waited by PHP ", PHP_VERSION, " for ", $_SERVER["REMOTE_ADDR"], " ", $_SERVER["HTTPS"] ?? "plain";
"""
BIG = 48 << 20


@pytest.fixture(scope="module")
def sides(lab, pair) -> tuple[Side, Side]:
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
        self.work, self.args, self.result = work, args, None
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


def slow_upload(address: str, host: str, body: bytes, seconds: float) -> tuple[int, bytes]:
    """A POST whose body takes its time."""
    connection = http.client.HTTPConnection(address, 80, timeout=100)
    try:
        connection.putrequest("POST", "/upload.php?a=1", skip_host=True)
        for key, value in (("Host", host), ("Content-Length", str(len(body)))):
            connection.putheader(key, value)
        connection.endheaders()
        parts = 40
        size = -(-len(body) // parts)
        for number in range(parts):
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


def test_a_switch_beside_slow_visitors(sides) -> None:
    old, new = sides
    statement = create(old, "slowly", 2201)
    digest = old.root("sha256sum", "/home/slowly/public_html/big.bin").split()[0]
    body = b"0123456789abcdef" * 50_000
    address, host = old.address, "slowly.example"
    move = Move("slow1", 2, statement, old, new).prepare()
    with visitors(address, host, 1000) as crowd:
        upload = Doing(slow_upload, address, host, body, 8.0)
        download = Doing(slow_download, address, host, 8.0)
        poll = Doing(ask, address, host, "/wait.php?s=6")
        time.sleep(1)
        done = move.switch()
    assert done["verified"]["equal"]
    assert crowd.failed == []
    print(f"held {done['held_ms']} ms, longest wait {crowd.longest * 1000:.0f} ms of {len(crowd.answers)}")
    assert crowd.longest < done["held_ms"] / 1000 + 1, "no ordinary request waits for a slow one"
    status, text = upload.end()
    assert status == 200
    assert text.startswith(f"{len(body)} {hashlib.sha256(body).hexdigest()} by PHP 8.4".encode())
    assert download.end() == (200, digest)
    status, text = poll.end()
    assert (status, text[:17]) == (200, b"waited by PHP 8.4"), "what PHP had begun is begun again at the new place"
    assert new.root("cat", "/home/slowly/uploads").split() == [hashlib.sha256(body).hexdigest()]
    assert new.visits("slowly") == sorted(number for number, _, _ in crowd.answers)
