"""Probes addresses: `python -m lab.visitors.ip --log FILE --address 198.51.100.11 --address 2001:db8:100::11`

An ICMP echo request to each address every 5 ms (`--every`), IPv4 and IPv6. One JSON line a probe:
{"ip", "t": sent (Unix), "rtt": seconds or null}; null is one that got no answer within 2 s.
"""

from __future__ import annotations

import argparse
import os
import selectors
import socket
import struct
import threading
import time
from collections import OrderedDict
from pathlib import Path

from lab.visitors.log import Log, stopping

LOST_AFTER = 2.0
"""Seconds."""
ECHO = {socket.AF_INET: (8, 0), socket.AF_INET6: (128, 129)}
"""Types of an ICMP echo request and its reply."""


class Prober:
    """Sends and receives in one thread, so that a probe's times are those of one clock."""

    def __init__(self, addresses: list[str], every: float, log: Log) -> None:
        self.targets = [(socket.AF_INET6 if ":" in a else socket.AF_INET, a) for a in addresses]
        self.every, self.log = every, log
        self.mark = os.urandom(8)
        self.number = 0
        self.open: OrderedDict[int, tuple[str, float, float]] = OrderedDict()
        """number -> (address, sent by the wall clock, sent by the monotonic clock)"""
        self.sockets: dict[int, socket.socket] = {}
        self.selector = selectors.DefaultSelector()
        for family in {family for family, _ in self.targets}:
            protocol = socket.IPPROTO_ICMP if family == socket.AF_INET else socket.IPPROTO_ICMPV6
            sock = socket.socket(family, socket.SOCK_RAW, protocol)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
            sock.setblocking(False)
            self.sockets[family] = sock
            self.selector.register(sock, selectors.EVENT_READ, family)

    def probe(self, stop: threading.Event) -> None:
        """Probes until told to stop, then waits for the last answers."""
        due = time.monotonic()
        while not stop.is_set():
            for family, address in self.targets:
                self.send(family, address)
            due += self.every
            now = time.monotonic()
            if due < now - 1:
                due = now  # the machine stood still; a burst would tell nothing
            while (left := due - time.monotonic()) > 0:
                self.receive(left)
            self.receive(0)
            self.give_up(LOST_AFTER)
        end = time.monotonic() + LOST_AFTER
        while self.open and time.monotonic() < end:
            self.receive(0.05)
        self.give_up(0)

    def send(self, family: socket.AddressFamily, address: str) -> None:
        """One echo request; one that cannot even be sent is lost."""
        self.number += 1
        body = self.mark + struct.pack("!Q", self.number)
        header = struct.pack("!BBHHH", ECHO[family][0], 0, 0, os.getpid() & 0xFFFF, self.number & 0xFFFF)
        if family == socket.AF_INET:  # the kernel fills in ICMPv6's
            header = header[:2] + struct.pack("!H", checksum(header + body)) + header[4:]
        self.open[self.number] = (address, time.time(), time.monotonic())
        try:
            self.sockets[family].sendto(header + body, (address, 0))
        except OSError:
            pass

    def receive(self, seconds: float) -> None:
        """Takes what has arrived, waiting up to so long for the first."""
        for key, _ in self.selector.select(seconds):
            family = key.data
            while True:
                try:
                    packet = self.sockets[family].recv(256)
                except BlockingIOError:
                    break
                now = time.monotonic()
                if family == socket.AF_INET:
                    packet = packet[(packet[0] & 15) * 4 :]
                if packet[0] == ECHO[family][1] and packet[8:16] == self.mark:
                    (number,) = struct.unpack("!Q", packet[16:24])
                    if sent := self.open.pop(number, None):
                        self.record(sent, round(now - sent[2], 6))

    def give_up(self, seconds: float) -> None:
        """Counts as lost what was sent longer ago than that."""
        before = time.monotonic() - seconds
        while self.open and next(iter(self.open.values()))[2] <= before:
            _, sent = self.open.popitem(last=False)
            self.record(sent, None)

    def record(self, sent: tuple[str, float, float], rtt: float | None) -> None:
        """One line of the log."""
        self.log.write({"ip": sent[0], "t": round(sent[1], 6), "rtt": rtt}, flush=rtt is None)


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of an even number of bytes."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def main() -> None:
    """The command line; runs until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--address", action="append", required=True)
    parser.add_argument("--every", type=float, default=5.0, help="milliseconds between two probes of an address")
    given = parser.parse_args()
    log = Log(given.log)
    Prober(given.address, given.every / 1000, log).probe(stopping())
    log.close()


if __name__ == "__main__":
    main()
