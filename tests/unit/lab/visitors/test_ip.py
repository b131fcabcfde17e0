"""The prober: its arithmetic, and this machine's own loopback where raw sockets are allowed."""

import json
import threading

import pytest

from lab.visitors.ip import Prober, checksum
from lab.visitors.log import Log


def test_a_packet_with_its_checksum_sums_to_nothing():
    packet = bytearray(b"\x08\x00\x00\x00\x12\x34\x00\x01" + bytes(range(16)))
    packet[2:4] = checksum(bytes(packet)).to_bytes(2, "big")
    assert checksum(bytes(packet)) == 0


def test_every_probe_is_told_once_lost_or_not(tmp_path):
    log = tmp_path / "ip.jsonl"
    try:
        # 240.0.0.1 is reserved: it cannot even be sent to.
        prober = Prober(["127.0.0.1", "240.0.0.1"], 0.01, Log(log))
    except PermissionError:
        pytest.skip("raw sockets need root")
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    prober.probe(stop)
    prober.log.close()
    seen = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(seen) == prober.number
    assert all((event["rtt"] is not None) == (event["ip"] == "127.0.0.1") for event in seen)
