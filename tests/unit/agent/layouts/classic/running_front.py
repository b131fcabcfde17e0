"""The front of a host's own server, run by this machine's HAProxy at a socket of a folder's, before a site."""

from __future__ import annotations

import http.client
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from include.agent.host.system import PATH

ROOT = Path(__file__).parents[5]
PROGRAM = shutil.which("haproxy", path=PATH)
needs_haproxy = pytest.mark.skipif(PROGRAM is None, reason="Debian's haproxy is missing")


@contextmanager
def running(folder: Path, port: int, **maps: dict[str, str]) -> Iterator[None]:
    """`maps`: what they say, by their names; alice serves."""
    (folder / "cfg").write_text(_config(folder, port, maps))
    haproxy = subprocess.Popen([str(PROGRAM), "-q", "-db", "-f", folder / "cfg"])
    try:
        while not (folder / "front.sock").exists():
            assert haproxy.poll() is None
            time.sleep(0.05)
        yield
    finally:
        haproxy.terminate()
        haproxy.wait()


def _config(folder: Path, port: int, maps: dict[str, dict[str, str]]) -> str:
    """The front's own configuration, at a socket of this folder's, before a site at this port."""
    front_of = "infrastructure/{}/etc/transhumance/front"
    places = (ROOT / front_of.format(tree) for tree in ("common", "classic"))
    laid = {path.name: path.read_text() for place in places for path in place.iterdir() if path.is_file()}
    empty: dict[str, dict[str, str]] = dict.fromkeys(("trial_hosts", "trial_names", "apps", "paused", "domains"), {})
    for name, entries in {**empty, "accounts": {"alice": "serve"}, **maps}.items():
        laid[f"{name}.map"] = "".join(f"{key} {value}\n" for key, value in entries.items())
    laid["peers.lst"] = ""
    for name, text in laid.items():
        (folder / name).write_text(text.replace("/etc/transhumance/front/", f"{folder}/"))
    text = laid["haproxy.cfg"].replace("/etc/transhumance/front/", f"{folder}/")
    text = text.replace("/run/transhumance-front/", f"{folder}/")
    text = re.sub(r" +(chroot|user|group|log) .*\n| +bind \S*(\[::1\]|:8081|:24443).*\n", "", text)
    text = text.replace("bind 127.0.0.1:24080 transparent", f"bind unix@{folder}/front.sock")
    text = re.sub(r".*!{ dst_port 80 443 }\n", "", text)
    text = text.replace("server web 0.0.0.0:0 source 127.0.0.9\n", f"server web 127.0.0.1:{port}\n")
    return re.sub(r".*http-request set-dst-port int\(80\)\n", "", text)


def get(folder: Path, host: str, path: str = "/", **headers: str) -> http.client.HTTPResponse:
    """What a visitor gets."""
    connection = http.client.HTTPConnection(host, timeout=10)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(folder / "front.sock"))
    connection.request("GET", path, headers={"Accept-Encoding": "gzip", **headers})
    return connection.getresponse()
