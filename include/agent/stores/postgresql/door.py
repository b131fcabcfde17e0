"""The source's door for a target's subscription: it gets the changes of one database, and nothing else of PostgreSQL.

Whoever may replicate may read a whole cluster, so no such role is given to another server. What follows a database's
log logs in here, as the superuser by the local socket, and passes on what a subscription says only when it is one of
the few things that a subscription has to say about this very slot. It reaches the target over the move's own SSH
connection: no port is opened on either side, and no password is sent.
"""

from __future__ import annotations

import os
import pwd
import re
import socket
import struct
import subprocess
from contextlib import suppress
from typing import Any

from ...channel.peer import Peer, known_peer
from ...host.system import AGENT, refuse, run
from ...verbs import postgresql as verbs
from .carried import Line
from .publish import NAME
from .sql import PINNED, end_kept, options, query, settings_of

SOCKET = "/run/postgresql/.s.PGSQL.5432"
_STARTUP, _ASKS_FOR_TLS, _ASKS_FOR_GSS = 3 << 16, 80877103, 80877104
_LONGEST = 16 << 10
"""Bytes of a message of a subscription."""
_STATUS = 34
"""Bytes of a subscription's word about how far it is."""
_SETTINGS = PINNED | {"extra_float_digits": "3", "wal_sender_timeout": "60s"}

_SAID = {
    "SELECT pg_catalog.set_config('search_path', '', false);",
    "IDENTIFY_SYSTEM",
    f"SELECT t.pubname FROM pg_catalog.pg_publication t WHERE t.pubname IN ('{NAME}')",
    # Of a source before PostgreSQL 16, and from then on.
    f"SELECT DISTINCT t.schemaname, t.tablename , t.attnames FROM pg_catalog.pg_publication_tables t WHERE t.pubname IN"
    f" ('{NAME}')",
    "SELECT DISTINCT n.nspname, c.relname, gpt.attrs FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN"
    " ( SELECT (pg_get_publication_tables(VARIADIC array_agg(pubname::text))).* FROM pg_publication WHERE pubname IN"
    f" ( '{NAME}' )) AS gpt ON gpt.relid = c.oid",
}
"""All that a subscription asks besides its stream, with single spaces."""
_STREAM = (
    r'START_REPLICATION SLOT "{slot}" LOGICAL [0-9A-F]{{1,8}}/[0-9A-F]{{1,8}} \(proto_version \'[1-4]\''
    r"(?:, streaming '(?:off|on|parallel)')?(?:, origin 'any')?, publication_names '\"{name}\"'\)"
)


def open_to(peer: Peer, slot: str) -> None:
    """Let the peer's subscription have the changes of this slot; a unit sees to it until `shut`."""
    unit = f"{_UNIT}{peer.move}-{_oid(slot)}"
    # One that has just ended is begun again by systemd in a second: it is there.
    state = run(["systemctl", "show", "--property=ActiveState", "--value", f"{unit}.service"]).stdout.strip()
    if state not in (b"active", b"activating"):
        run(["systemctl", "reset-failed", f"{unit}.service"], check=False)
        run(
            ["systemd-run", "--quiet", f"--unit={unit}", "--property=Restart=always", "--property=RestartSec=1"]
            + ["--property=StartLimitIntervalSec=0", "--property=TimeoutStopSec=5"]
            + ["/usr/bin/python3", str(AGENT), "stream", peer.move, slot]
        )
    peer.call(verbs.StreamUp(slot=slot, seconds=15))


_UNIT = "transhumance-stream-"


def shut(slot: str) -> None:
    """Nobody gets the changes of this slot any more."""
    run(["systemctl", "stop", f"{_UNIT}*-{_oid(slot)}.service"], check=False)


def _oid(slot: str) -> int:
    return int(slot.rpartition("_")[2])


def serve(move: str, slot: str) -> None:
    """What the unit runs: one connection of the subscription after the other, until the peer is gone."""
    databases = query(f"SELECT to_json(datname::text) FROM pg_database WHERE oid = {_oid(slot)};")
    if not databases:
        refuse("no_database", f"The database of the slot {slot} is no more.")
    # What is set for a customer's database binds no session of ours, but that money is written as it is read there.
    settings = settings_of(databases, superuser=True) | _SETTINGS
    settings = {name: value for name, value in settings.items() if name != "lc_monetary"}
    end_kept(["postgres"])
    peer = Peer(move, **known_peer(move))
    with subprocess.Popen(
        [*peer.lasting_argv(), "stream", slot], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as remote:
        assert remote.stdin is not None and remote.stdout is not None
        # What comes from the other server is read with no more power than the session has that it is for.
        user = pwd.getpwnam("postgres")
        os.setgroups([])
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
        line = Line(remote.stdout, remote.stdin)
        while True:
            try:
                Visit(line, databases[0], slot, settings).serve()
            except (EOFError, OSError):
                return


class Forbidden(Exception):
    """What no subscription to this slot says."""


class Visit:
    """One connection of the target's subscription, from its first byte to its end."""

    def __init__(self, line: Line, database: str, slot: str, settings: dict[str, str], address: str = SOCKET) -> None:
        self.line, self.database, self.settings, self.address = line, database, settings, address
        self._stream = re.compile(_STREAM.format(slot=re.escape(slot), name=re.escape(NAME)))
        self._rest = b""
        self._server: socket.socket | None = None
        self._carrying: Any = None
        self._streams = self._ended = False

    def serve(self) -> None:
        """Serve it; EOFError when the target is gone."""
        try:
            for block in self.line.heard():
                if not self._ended:
                    self._take(block)
        finally:
            self._close()
        if self._carrying:
            self._carrying.join()

    def _close(self) -> None:
        """Nothing more is taken; the end is said once, by whoever carries the server's answers if there is one."""
        if self._server:
            with suppress(OSError):  # it has gone by itself
                self._server.shutdown(socket.SHUT_RDWR)
        elif not self._ended:
            self.line.say(b"")
        self._ended = True

    def _take(self, block: bytes) -> None:
        try:
            data, at = self._rest + block, 0
            while message := _first(data, at, typed=self._server is not None):
                at += len(message)
                self._take_message(message)
                if self._ended:
                    return
            self._rest = data[at:]
        except Forbidden as error:
            if not self._streams:
                self.line.say(_refusal(str(error)))
            self._close()
        except OSError:
            self._close()

    def _take_message(self, message: bytes) -> None:
        if self._server is None:
            self._begin(message)
            return
        kind, body = message[:1], message[5:]
        if kind == b"Q" and not self._streams:
            words = " ".join(body.rstrip(b"\0").decode("ascii", "replace").split())
            self._streams = self._stream.fullmatch(words) is not None
            if not self._streams and words not in _SAID:
                raise Forbidden("Only a subscription to this one slot is served here.")
        elif not (kind == b"X" or (self._streams and (kind == b"c" or (kind == b"d" and _is_status(body))))):
            raise Forbidden("Only a subscription is served here.")
        self._server.sendall(message)
        self._ended = kind == b"X"

    def _begin(self, message: bytes) -> None:
        (code,) = struct.unpack(">I", message[4:8])
        if code in (_ASKS_FOR_TLS, _ASKS_FOR_GSS) and len(message) == 8:
            self.line.say(b"N")  # the connection is SSH's
            return
        if code != _STARTUP:
            raise Forbidden("Only a subscription is served here.")
        server = socket.socket(socket.AF_UNIX)
        server.connect(self.address)
        server.sendall(_startup(self.database, _encoding(message), self.settings))
        answers = server.makefile("rb")
        self.line.say(_greeting(answers))
        self._server = server
        self._carrying = self.line.carry(answers)


def _first(data: bytes, at: int, *, typed: bool) -> bytes:
    """The message that begins at this place, or nothing while its end has not come."""
    head = at + typed
    if len(data) < head + 4:
        return b""
    (length,) = struct.unpack(">I", data[head : head + 4])
    if not (4 if typed else 8) <= length <= _LONGEST:
        raise Forbidden("No subscription says that much.")
    end = head + length
    return data[at:end] if len(data) >= end else b""


def _is_status(body: bytes) -> bool:
    return body[:1] == b"r" and len(body) == _STATUS


def _encoding(message: bytes) -> str:
    """The encoding that the subscription's database has: the one thing of its own that it may wish."""
    words = message[8:].split(b"\0")
    wishes = dict(zip(words[::2], words[1::2], strict=False))
    wish = wishes.get(b"client_encoding", b"UTF8").decode("ascii", "replace")
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,30}", wish):
        raise Forbidden("No encoding has that name.")
    return wish


def _startup(database: str, encoding: str, settings: dict[str, str]) -> bytes:
    wishes = {"user": "postgres", "database": database, "replication": "database", "client_encoding": encoding}
    wishes |= {"application_name": NAME, "options": options(settings)}
    body = b"".join(word.encode() + b"\0" for pair in wishes.items() for word in pair)
    return struct.pack(">II", len(body) + 9, _STARTUP) + body + b"\0"


def _greeting(answers: Any) -> bytes:
    """What the server says up to its being ready, without the key by which a session is cancelled."""
    greeting = b""
    while True:
        head = answers.read(5)
        if len(head) < 5:
            return greeting
        message = head + answers.read(struct.unpack(">I", head[1:])[0] - 4)
        if head[:1] == b"R" and message[5:] != b"\0\0\0\0":
            raise Forbidden("PostgreSQL of the source asks its own administrator for a password at its local socket.")
        if head[:1] != b"K":
            greeting += message
        if head[:1] in (b"Z", b"E"):
            return greeting


def _refusal(sentence: str) -> bytes:
    body = b"".join(part.encode() + b"\0" for part in ("SFATAL", "VFATAL", "C42501", f"M{sentence}")) + b"\0"
    return b"E" + struct.pack(">I", len(body) + 4) + body
