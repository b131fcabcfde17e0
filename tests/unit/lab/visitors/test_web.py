"""The web visitor against a small site of its own."""

import asyncio
import json
from contextlib import asynccontextmanager
from types import SimpleNamespace
from urllib.parse import parse_qs

import pytest

from lab.accounts.certificates import authority, certificate
from lab.visitors import web
from lab.visitors.log import Log
from lab.visitors.names import Fixed


class Shop:
    """A site that keeps what is written, and answers as it is told."""

    def __init__(self) -> None:
        self.written: list[str] = []
        self.status = 200
        self.cut_off = False
        self.wait = 0.0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next((int(line[15:]) for line in head.split("\r\n") if line.startswith("Content-Length")), 0)
        body = parse_qs((await reader.readexactly(length)).decode())
        await asyncio.sleep(self.wait)
        text = "page"
        if body and self.status == 200:
            text = body["id"][0]
            self.written.append(text)
        elif "?id=" in head:
            text = "visit " + head.split("?id=")[1].split(" ")[0]
        size = len(text) + (10 if self.cut_off else 0)
        writer.write(f"HTTP/1.1 {self.status} X\r\nContent-Length: {size}\r\n\r\n{text}".encode())
        await writer.drain()
        writer.close()


@asynccontextmanager
async def visited(shop: Shop, tmp_path, monkeypatch, sites=1):
    """A visitor of the shop by plain HTTP, on whatever port is free."""
    server = await asyncio.start_server(shop.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    connect = asyncio.open_connection

    async def here(address, _, limit, **secure):
        return await connect("127.0.0.1", port, limit=limit)

    monkeypatch.setattr(web.asyncio, "open_connection", here)
    log = tmp_path / "log.jsonl"
    site = web.Site("shop", "shop.example")
    visitor = web.Visitor("v", [site], Fixed(["127.0.0.1"]), 100, authority(tmp_path), Log(log))
    async with server:
        yield SimpleNamespace(visitor=visitor, site=site, log=log)


def lines(log):
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_it_writes_reads_back_and_says_so(tmp_path, monkeypatch):
    shop = Shop()

    async def go():
        async with visited(shop, tmp_path, monkeypatch) as v:
            stop = asyncio.Event()
            asyncio.get_running_loop().call_later(0.5, stop.set)
            await v.visitor.ask_for_ever(v.site, stop)
            return lines(v.log)

    seen = asyncio.run(go())
    assert len(seen) >= 20 and all(event["ok"] for event in seen)
    assert {event["kind"] for event in seen} == {"write", "read", "page"}
    assert {event["scheme"] for event in seen} == {"http", "https"}
    assert [event["id"] for event in seen if event["kind"] == "write"] == shop.written
    assert len(set(shop.written)) == len(shop.written)


@pytest.mark.parametrize("how", ["status", "cut_off"])
def test_a_bad_answer_is_a_failed_request_and_no_write(tmp_path, monkeypatch, how):
    shop = Shop()
    shop.status, shop.cut_off = (503, False) if how == "status" else (200, True)

    async def go():
        async with visited(shop, tmp_path, monkeypatch) as v:
            await v.visitor.visit(v.site)
            assert not v.site.written
            return lines(v.log)

    (event,) = asyncio.run(go())
    assert event["ok"] is False and event["error"]


def test_slow_answers_do_not_thin_the_visits_out(tmp_path, monkeypatch):
    shop = Shop()
    shop.wait = 0.4

    async def go():
        async with visited(shop, tmp_path, monkeypatch) as v:
            stop = asyncio.Event()
            asyncio.get_running_loop().call_later(0.3, stop.set)
            await v.visitor.ask_for_ever(v.site, stop)
            return lines(v.log)

    seen = asyncio.run(go())
    assert len(seen) >= 15, "all were asked before the first answer came, and all were waited for"
    assert all(event["ok"] and event["s"] >= 0.39 for event in seen)


def test_chunked_answers_are_read_whole():
    async def go():
        reader = asyncio.StreamReader()
        reader.feed_data(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        reader.feed_eof()
        return await web.answer(reader)

    assert asyncio.run(go()) == (200, b"abcde")


def test_an_answer_without_end_is_refused():
    async def go():
        reader = asyncio.StreamReader()
        reader.feed_data(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc")
        reader.feed_eof()
        return await web.answer(reader)

    with pytest.raises(EOFError):
        asyncio.run(go())


def test_certificates_are_the_labs_own_and_name_the_site(tmp_path):
    from cryptography import x509

    pem = certificate(["blog.example", "www.blog.example"], tmp_path)
    leaf, ca = x509.load_pem_x509_certificates(pem)
    leaf.verify_directly_issued_by(ca)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["blog.example", "www.blog.example"]
    assert authority(tmp_path).read_bytes() in pem
    assert (tmp_path / "ca" / "ca.key").stat().st_mode & 0o077 == 0
