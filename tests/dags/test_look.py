"""The look from outside: what it asks a server, seen from a server made for the test."""

from __future__ import annotations

import contextlib
import http.server
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from transhumance_airflow import look


class Site(http.server.BaseHTTPRequestHandler):
    """Answers with the Host name that it was asked for as the page's title."""

    def do_GET(self) -> None:
        body = f"<html><title>\n{self.headers['Host']} &amp; {self.path}</title>".encode()
        self.send_response(200 if self.path.startswith("/shop") else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def port() -> Iterator[int]:
    with http.server.HTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_a_site_is_asked_at_the_server_by_its_own_name(port: int) -> None:
    seen = look.site(f"http://app.example:{port}/shop?a=1", "127.0.0.1")
    assert seen["status"] == 200 and seen["certificate"] is None
    assert seen["title"] == look._digest(f"app.example:{port} & /shop?a=1".encode())
    assert look.site(f"http://app.example:{port}/", "127.0.0.1")["status"] == 404


def test_what_cannot_be_seen_is_an_error_and_no_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look, "wanted_of", lambda account: {"urls": ["http://app.example:1/"]})
    assert look.look("app", "127.0.0.1") == {"urls": {"http://app.example:1/": {"error": "did not answer"}}}


@pytest.mark.parametrize(
    ("line", "names"),
    [
        (b'(\\HasNoChildren) "." INBOX', ["INBOX"]),
        (b'(\\HasNoChildren \\Sent) "/" "Sent/Old \\"x\\" \\\\"', ['Sent/Old "x" \\']),
        (b'(\\Noselect) "." Archive', []),
        ((b'(\\HasNoChildren) "." {5}', b'a"b c'), ['a"b c']),
        (b"(\\HasNoChildren) NIL Entw&APw-rfe", ["Entw&APw-rfe"]),
        (None, []),
    ],
)
def test_mailboxes_are_listed_whatever_their_name(line: bytes | tuple[bytes, bytes] | None, names: list[str]) -> None:
    imap = SimpleNamespace(list=lambda: ("OK", [line]))
    assert look._listed(imap) == names  # type: ignore[arg-type]


def test_a_line_of_a_mail_server_is_read_in_linear_time() -> None:
    began = time.process_time()
    for piece in (b"\\", b'\\"', b'"', b"(", b") ", b'\\" '):
        assert look.LISTED.match(b'() "' + piece * 200_000 + b"\n") is None
    assert time.process_time() - began < 2


def test_a_mailbox_that_cannot_be_selected_is_an_error() -> None:
    imap = SimpleNamespace(select=lambda *_, **__: ("NO", [b""]))
    assert look._mailbox(imap, "gone") == {"error": "NotSelected"}  # type: ignore[arg-type]


def test_a_mailbox_whose_server_does_not_number_it_is_an_error() -> None:
    imap = SimpleNamespace(
        select=lambda *_, **__: ("OK", [b"0"]),
        uid=lambda *_: ("OK", [b""]),
        response=lambda _: ("UIDVALIDITY", [None]),
    )
    assert look._mailbox(imap, "INBOX") == {"error": "NotNumbered"}  # type: ignore[arg-type]


def test_the_certificate_that_a_site_shows_is_seen_whoever_has_signed_it(tmp_path: Path) -> None:
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"]
    argv += ["-subj", "/CN=app.example", "-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "pem")]
    subprocess.run(argv, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pem", tmp_path / "key")
    with http.server.HTTPServer(("127.0.0.1", 0), Site) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        seen = look.site(f"https://app.example:{server.server_port}/shop", "127.0.0.1")
        thread.join()
    certificate = ssl.PEM_cert_to_DER_cert((tmp_path / "pem").read_text())
    assert (seen["status"], seen["certificate"]) == (200, look._digest(certificate))


def test_a_page_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")
            while True:
                connection.sendall(b"x")
                time.sleep(0.1)

    monkeypatch.setattr(look, "SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=drip, args=(listener,), daemon=True).start()
        port = listener.getsockname()[1]
        monkeypatch.setattr(look, "wanted_of", lambda account: {"urls": [f"http://app.example:{port}/"]})
        began = time.monotonic()
        seen = look.look("app", "127.0.0.1")
        assert list(seen["urls"].values()) == [{"error": "was not there as a whole within 1 s"}]
        assert time.monotonic() - began < 5
