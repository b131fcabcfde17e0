"""The everyday load: kept connections are used again, and a closed one is asked again once."""

import asyncio
import ssl
from typing import cast

import pytest

from lab.visitors import load
from lab.visitors import log as log_of_visitors


class Log:
    def __init__(self):
        self.events = []

    def write(self, event):
        self.events.append(event)


async def answered(numbers, serve):
    """The events of these requests, one after the other, at a server of one's own."""
    log = Log()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    opened = asyncio.open_connection
    visitor = load.Load.__new__(load.Load)
    visitor.account, visitor.domain, visitor.addresses = "a", "a.example", ["127.0.0.1"]
    visitor.log = cast(log_of_visitors.Log, log)
    visitor.tls, visitor.run, visitor.idle = ssl.create_default_context(), "load-1", {}
    visitor.written = load.deque(["load-1-0"], maxlen=50)
    try:
        load.asyncio.open_connection = lambda address, _port, **_: opened(address, port)
        for number in numbers:
            await visitor.visit(number)
    finally:
        load.asyncio.open_connection = opened
        server.close()
    return log.events


async def head(reader):
    text = (await reader.readuntil(b"\r\n\r\n")).decode()
    if "Content-Length: " in text:
        text += (await reader.readexactly(int(text.split("Content-Length: ")[1].split()[0]))).decode()
    return text


def chunked(text):
    return f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{len(text):x}\r\n{text}\r\n0\r\n\r\n".encode()


def test_a_connection_is_kept_and_used_again():
    connections = []

    async def serve(reader, writer):
        connections.append(writer)
        while True:
            await head(reader)
            writer.write(chunked("load-1-0 load-1-8\n"))

    events = asyncio.run(answered([0, 8, 9], serve))
    assert [event["ok"] for event in events] == [True, True, True]
    assert [event["kept"] for event in events] == [False, True, True]
    assert [event["kind"] for event in events] == ["write", "write", "read"]
    assert len(connections) == 1


def test_one_that_was_closed_meanwhile_is_asked_again_once():
    connections = []

    async def serve(reader, writer):
        connections.append(writer)
        await head(reader)
        writer.write(chunked("load-1-0 load-1-8\n"))
        if len(connections) == 1:
            await head(reader)
            writer.close()

    events = asyncio.run(answered([0, 8], serve))
    assert [(event["ok"], event["again"]) for event in events] == [(True, False), (True, True)]
    assert len(connections) == 2


@pytest.mark.parametrize(
    "reply", [b"HTTP/1.1 503 no\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nload", b""]
)
def test_a_bad_or_half_an_answer_is_a_failure(reply):
    async def serve(reader, writer):
        await head(reader)
        writer.write(reply)
        writer.close()

    (event,) = asyncio.run(answered([0], serve))
    assert event["ok"] is False
    assert event["id"] == "load-1-0"
