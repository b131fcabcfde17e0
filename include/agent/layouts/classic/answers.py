"""What the sites of this server answer: the same before and after a front stands before them."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator, Mapping

from ...host.digest import printable
from . import web_server
from .reading.tree import Tree

_MOST = 10
"""Sites that are asked; the others are served by the same web server."""
_TRIES = 3
_SECONDS = 10
Answers = Mapping[tuple[str, int], int | None]
"""By name and port: the status, None where there was no answer."""


class _Tls(http.client.HTTPSConnection):
    """By the name of the site, at this machine."""

    def __init__(self, name: str) -> None:
        super().__init__("127.0.0.1", 443, timeout=_SECONDS, context=_unverified())
        self._name = name

    def connect(self) -> None:
        plain = socket.create_connection(("127.0.0.1", 443), _SECONDS)
        self.sock = _unverified().wrap_socket(plain, server_hostname=self._name)


def _unverified() -> ssl.SSLContext:
    """Which certificate is shown is not the question."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def of_sites() -> Answers:
    """What some of the sites answer."""
    sites = web_server.here().sites(Tree())
    plain = (name for site in sites for name in site.names if not name.startswith("*."))
    names = list(dict.fromkeys(plain))[:_MOST]
    return {(name, port): _answer(name, port) for name in names for port in web_server.PORTS}


def changed(before: Answers) -> Iterator[str]:
    """A sentence on each that answered, and now does not, or otherwise."""
    for (name, port), was in before.items():
        now = None
        for _ in range(_TRIES if was is not None else 0):
            now = _answer(name, port)
            if now == was:
                break
        if was is not None and now != was:
            is_now = f"answers {now}" if now else "does not answer"
            yield (
                f"The site {printable(name)} answered {was} on port {port}, and behind the front it {is_now}: see why"
                " in the journal of transhumance-front.service."
            )


def _answer(name: str, port: int) -> int | None:
    plain = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
    connection = _Tls(name) if port == 443 else plain
    try:
        connection.request("HEAD", "/", headers={"Host": name, "User-Agent": "transhumance"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
