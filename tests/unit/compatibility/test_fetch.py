"""Pages that are made to take a worker's memory or its time: what they cost whoever fetches and reads them."""

from __future__ import annotations

import asyncio
import gzip
import resource
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing import get_context
from typing import Any

import pytest

from include.compatibility import fetch, pages, text

SECONDS = 1.0
MOST_MEMORY = 400 << 20
"""A page of 2 MB that is nothing but the beginnings of tags becomes some hundred MB of Python's strings."""

Page = Callable[[socket.socket], None]
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"


class Web:
    """A server that answers each request by a function of the connection."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.asked = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while connection.recv(65536):
                self.asked += 1
                self.page(connection)


@pytest.fixture
def serve() -> Iterator[Callable[[Page], Web]]:
    made: list[Web] = []

    def begin(page: Page) -> Web:
        made.append(Web(page))
        return made[-1]

    yield begin
    for web in made:
        web.listener.close()


def body(content: bytes, *headers: bytes) -> Page:
    head = OK + b"".join(header + b"\r\n" for header in headers) + b"Content-Length: %d\r\n\r\n" % len(content)
    return lambda connection: connection.sendall(head + content)


def without_end(before: bytes, piece: bytes, pause: float = 0) -> Page:
    def page(connection: socket.socket) -> None:
        connection.sendall(before)
        while True:
            connection.sendall(piece)
            time.sleep(pause)

    return page


def _looked_at(port: int, sent: Any) -> None:
    """In a process of its own: fetches and reads the page; tells what came, its seconds and its bytes of memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()

    async def read() -> fetch.Page:
        async with fetch.client() as client:
            return await fetch.fetch(client, fetch.Side(("a.example",), "127.0.0.1", "http", port), "/", SECONDS)

    try:
        page = asyncio.run(read())
        seen = text.read(page.text)
        text.complaints(seen.words)
        text.likeness(seen.words, [*seen.words, "x"])
        came = f"{page.status} {len(page.text)}"
    except fetch.NotRead as error:
        came = str(error)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
    sent.send((came, time.monotonic() - began, grown))


def looked_at(web: Web) -> tuple[str, float, int]:
    """What a look at the page gave, how long it took, by how much the process grew."""
    here, there = get_context("fork").Pipe()
    process = get_context("fork").Process(target=_looked_at, args=(web.port, there))
    process.start()
    try:
        assert here.poll(60), "the page was read for a minute"
        return here.recv()
    finally:
        process.kill()
        process.join()


def bomb(layers: int) -> bytes:
    squeezed = zlib.compressobj(9, zlib.DEFLATED, 31)
    data = b"".join(squeezed.compress(b"\0" * (1 << 20)) for _ in range(100)) + squeezed.flush()
    for _ in range(layers - 1):
        data = gzip.compress(data, 9)
    return data


ZSTD = bytes.fromhex("28b52ffd0458a9000008ff0100fcff3910020002001000")
"""The beginning of a frame; nobody unpacks it."""


@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        *((", ".join(["gzip"] * layers), bomb(layers)) for layers in range(1, 6)),
        ("x-gzip", bomb(1)),
        ("GZIP", bomb(1)),
        ("identity, gzip", bomb(1)),
        ("deflate", zlib.compress(b"\0" * (100 << 20), 9)),
        ("br", b"\x5b\xff\xff\xff\xff"),
        ("zstd", ZSTD),
        ("made-up", b"x"),
    ],
)
def test_nothing_is_unpacked(serve: Callable[[Page], Web], encoding: str, content: bytes) -> None:
    came, seconds, grown = looked_at(serve(body(content, b"Content-Encoding: " + encoding.encode())))
    assert came == "came packed although it was asked for unpacked"
    assert seconds < SECONDS and grown < 20 << 20


@pytest.mark.parametrize(
    "page",
    [
        without_end(OK + b"\r\n", b"x", 0.2),
        without_end(b"", b"H", 0.2),
        without_end(OK, b"X-A: b\r\n", 0.2),
        without_end(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", 0.05),
        without_end(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.01),
        without_end(b"", b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" * 1000),
        without_end(OK, b"X-A: b\r\n" * 1000),
        without_end(OK + b"X-A: ", b"b" * 10_000),
        without_end(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 10_000),
        without_end(OK + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x" * 10_000),
        without_end(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-A: b\r\n" * 1000),
        lambda connection: time.sleep(30),
        without_end(OK + b"Content-Length: 99999999999999999999\r\n\r\n", b"", 30),
    ],
    ids=lambda _: None,
)
def test_what_drips_or_never_ends_is_given_up_in_time(serve: Callable[[Page], Web], page: Page) -> None:
    came, seconds, grown = looked_at(serve(page))
    assert came in (f"was not there as a whole within {SECONDS:.0f} s", "did not answer")
    assert seconds < SECONDS + 2 and grown < 50 << 20


def test_a_body_without_end_is_read_to_its_bound(serve: Callable[[Page], Web]) -> None:
    came, _, grown = looked_at(serve(without_end(OK + b"\r\n", b"word " * 20_000)))
    assert came == f"200 {fetch.MAX_BYTES}"
    assert grown < MOST_MEMORY


def test_a_hundred_redirects_are_a_few(serve: Callable[[Page], Web]) -> None:
    web = serve(
        lambda connection: connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")
    )
    assert looked_at(web)[0] == "302 0"
    assert web.asked == fetch.MAX_REDIRECTS + 1


def test_redirects_have_one_deadline_together(serve: Callable[[Page], Web]) -> None:
    def slow(connection: socket.socket) -> None:
        time.sleep(SECONDS * 0.6)
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")

    came, seconds, _ = looked_at(serve(slow))
    assert came.startswith("was not there as a whole") and seconds < SECONDS + 1


@pytest.mark.parametrize(
    "headers",
    [
        (b"Content-Type: text/html; charset=punycode",),
        (b"Content-Type: text/html; charset=idna",),
        (b"Content-Type: text/html; charset=unicode_escape",),
        (b'Content-Type: text/html; x="' + b";" * 80_000,),
        (b"Content-Type: text/html; " + b"charset" * 10_000,),
        (b"Location: " + b"../" * 25_000,),
        (b"Location: http://[" + b":" * 80_000,),
        (b"Set-Cookie: a=b; expires=1 a 1" + b" " * 80_000 + b"!",),
        (b"Set-Cookie: " + b"a=b; " * 16_000,),
        (b"Set-Cookie2: " + b'a="\\' * 16_000,),
        tuple(b"Set-Cookie: c%d=d" % number for number in range(4000)),
    ],
    ids=lambda _: None,
)
@pytest.mark.parametrize("status", [b"200", b"302"])
def test_headers_cannot_make_us_slow(serve: Callable[[Page], Web], headers: tuple[bytes, ...], status: bytes) -> None:
    content = b"\\x41-b9" * 280_000
    if headers[0].startswith(b"Content-Type"):
        head = b"HTTP/1.1 " + status + b" X\r\n"
    else:
        head = b"HTTP/1.1 " + status + b" X\r\nContent-Type: text/html\r\n"
    head += b"".join(header + b"\r\n" for header in headers) + b"Content-Length: %d\r\n\r\n" % len(content)
    came, seconds, grown = looked_at(serve(lambda connection: connection.sendall(head + content)))
    assert seconds < SECONDS + 5, came
    assert grown < MOST_MEMORY


@pytest.mark.parametrize(
    "piece",
    [
        "<title>",
        "<title ",
        "<a href='",
        "<a href=",
        "&#9",
        "&#x9",
        "<!--",
        "<script>",
        "Warning: ",
        " in x",
        "<b",
        "a<",
    ],
)
def test_a_page_of_one_piece_is_read_in_time(serve: Callable[[Page], Web], piece: str) -> None:
    content = (piece * (1_000_000 // len(piece))).encode()
    came, seconds, grown = looked_at(serve(body(content)))
    assert came.startswith("200 ")
    assert seconds < 10 and grown < MOST_MEMORY


def test_a_number_of_thousands_of_digits_is_text() -> None:
    assert text.read("<title>a&#" + "9" * 5000 + ";</title><p>b &#" + "9" * 5000 + ";").title.startswith("a&#999")


def test_what_is_packed_is_told_and_not_taken_for_an_answer(serve: Callable[[Page], Web]) -> None:
    packed = serve(body(bomb(1), b"Content-Encoding: gzip"))
    plain = serve(body(b"<p>hello"))

    async def both(old: Web, new: Web) -> str:
        before, after = (fetch.Side(("a.example",), "127.0.0.1", "http", web.port) for web in (old, new))
        async with fetch.client() as client:
            with pytest.raises(fetch.NotRead) as told:
                await pages._both(client, before, after, "/")
        return str(told.value)

    why = "came packed although it was asked for unpacked"
    assert asyncio.run(both(packed, plain)).endswith(f"/ {why} on the present server: not compared.")
    assert asyncio.run(both(plain, packed)).endswith(f"/ {why} on the test server: not compared.")
