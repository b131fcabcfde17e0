"""The other server of a move, seen from the source: calls and streams, all over this move's key."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import threading
from contextlib import suppress
from io import BufferedReader
from typing import IO, Any

from ..account.accounts import check_move
from ..host.addresses import check_address
from ..host.digest import printable
from ..host.system import Refused, read_json, refuse, write_durably
from ..verbs.verb import PeerVerb, Result, request
from . import pairing, peer_words


def known_peer(move: str) -> dict[str, Any]:
    """Address and host keys of the move's other server, as a Peer of this move was last made."""
    peer: dict[str, Any] | None = read_json(pairing.directory(move) / "peer.json")
    if not peer:
        refuse("not_paired", f"Nothing is known here of the other server of move {move}; copy the account first.")
    return peer


class Peer:
    """The other server of a move. One SSH connection serves everything; calls go to programs that wait there.

    `epoch`: that of the attempt that asks; the other server takes no data of one that is over."""

    def __init__(self, move: str, address: Any, host_keys: Any, epoch: int | None = None) -> None:
        self.move = check_move(move)
        self.epoch = epoch
        self.address = check_address(address)
        self._idle: list[_Session] = []
        self._lock = threading.Lock()
        directory = pairing.directory(move)
        if not (directory / "key").is_file():
            refuse("not_paired", f"The move {move} has no key here; call pair and receive first.")
        if not isinstance(host_keys, list) or not host_keys:
            refuse("no_host_key", "The peer's host keys are missing; take them from the verb receive.")
        for key in host_keys:
            if not isinstance(key, str) or not pairing.HOST_KEY.fullmatch(key):
                refuse("bad_key", f"{key!r} is no SSH host key; take it from the verb receive.")
        known_hosts = "".join(f"peer {key}\n" for key in host_keys)
        if not (directory / "known_hosts").is_file() or (directory / "known_hosts").read_text() != known_hosts:
            write_durably(directory / "known_hosts", known_hosts)
            write_durably(directory / "peer.json", json.dumps({"address": self.address, "host_keys": host_keys}))
        pairing.CONTROLS.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._options = {
            "BatchMode": "yes",
            "CheckHostIP": "no",
            # The quickest one where the processor knows AES, and a copy is mostly encryption; then OpenSSH's own order.
            "Ciphers": "^aes128-gcm@openssh.com",
            "ConnectTimeout": "10",
            "GlobalKnownHostsFile": "/dev/null",
            "HostKeyAlias": "peer",
            "IdentitiesOnly": "yes",
            "IdentityFile": str(directory / "key"),
            # Why a connection ended is said at this level.
            "LogLevel": "INFO",
            "ServerAliveCountMax": "3",
            "ServerAliveInterval": "5",
            "StrictHostKeyChecking": "yes",
            "UpdateHostKeys": "no",
            "UserKnownHostsFile": str(directory / "known_hosts"),
        }
        self._shared = {
            "ControlMaster": "auto",
            # This process's own: another verb's connection ends with that verb, and may be ending right now.
            "ControlPath": str(pairing.control(self.move, os.getpid())),
            "ControlPersist": "120",
        }

    def call(self, verb: PeerVerb[Result]) -> Result:
        """Run a peer verb on the other server; its refusal is raised here as Refused.

        Calls side by side have a waiting program each.
        """
        with self._lock:
            session = self._idle.pop() if self._idle else None
        session = session or _Session([*self.ssh_argv(), "session"])
        try:
            line = session.ask(_request(verb), verb.longest)
            if not line:
                # Not asked again: what was asked may still be at work there, and at once is not one after the other.
                self._unanswered(*session.end())
        except BaseException:
            session.end()
            raise
        if line.endswith(b"\n"):
            with self._lock:
                self._idle.append(session)
        else:
            session.end()
        return peer_words.reply(verb, line)

    def apart(self) -> Peer:
        """The same server with programs of its own: what one call has started there is met by the next."""
        peer = copy.copy(self)
        peer._idle, peer._lock = [], threading.Lock()
        return peer

    def warm(self, sessions: int) -> None:
        """Let as many programs wait there, so that none has to be started later."""
        with self._lock:
            missing = sessions - len(self._idle)
            self._idle += [_Session([*self.ssh_argv(), "session"]) for _ in range(max(0, missing))]

    def close(self) -> None:
        """End the programs that wait for calls; the next call starts one again."""
        with self._lock:
            for session in self._idle:
                session.end()
            self._idle.clear()

    def stream(self, verb: PeerVerb[Result], source_argv: list[str], **popen_kwargs: Any) -> Result:
        """Run `source_argv` here with its output as the peer verb's input. Fails when either side fails."""
        with _Session([*self.ssh_argv(), "call"]) as remote:
            try:
                stdin = remote.tell(_request(verb))
            except OSError:
                self._unanswered(*remote.end())
            with subprocess.Popen(
                source_argv,
                stdin=subprocess.DEVNULL,
                stdout=stdin,
                stderr=subprocess.PIPE,
                **popen_kwargs,
            ) as source:
                # The other server must see the end of the stream when the source ends.
                stdin.close()
                _, errors = source.communicate()
            line = remote.hear(verb.longest)
            if not line:
                self._unanswered(*remote.end())
        try:
            result = peer_words.reply(verb, line)
        except Refused:
            if source.returncode > 0:
                refuse("source_failed", f"{source_argv[0]} failed here: {_last(errors)}")
            raise
        if source.returncode != 0:
            refuse("source_failed", f"{source_argv[0]} failed here ({source.returncode}): {_last(errors)}")
        return result

    def ssh_argv(self) -> list[str]:
        """The words before a command that is to run on the peer."""
        attempt = [] if self.epoch is None else ["epoch", str(self.epoch)]
        return [*_ssh(self._options | self._shared), f"root@{self.address}", *attempt]

    def lasting_argv(self) -> list[str]:
        """The same for one that goes on when this process's other connections have ended."""
        return [*_ssh(self._options | {"ControlPath": "none"}), f"root@{self.address}"]

    def _unanswered(self, code: int, errors: bytes) -> None:
        refuse("peer_unreachable", f"The peer {self.address} gave no answer ({code}): {_last(errors)}")


class _Session:
    """A program on the peer that answers one call after the other."""

    def __init__(self, argv: list[str]) -> None:
        self._process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        self._errors = b""
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def __enter__(self) -> _Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def ask(self, request: bytes, longest: int) -> bytes:
        """The line of the reply; nothing when there is nobody to give one."""
        try:
            self.tell(request)
        except OSError:
            return b""
        return self.hear(longest)

    def tell(self, request: bytes) -> IO[bytes]:
        """Send a request; to what is given goes what belongs to it."""
        assert self._process.stdin is not None
        self._process.stdin.write(request)
        self._process.stdin.flush()
        return self._process.stdin

    def hear(self, longest: int) -> bytes:
        """The line of a reply, cut behind one byte more than the longest."""
        assert self._process.stdout is not None
        return self._process.stdout.readline(longest + 1)

    def end(self) -> tuple[int, bytes]:
        """End it; its exit status, and what it said about that."""
        assert self._process.stdin is not None and self._process.stdout is not None
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                pipe.close()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join(2)
        return self._process.returncode, self._errors

    def _listen(self) -> None:
        """Keep the end of what it says beside its replies: all of that may be without end."""
        assert isinstance(self._process.stderr, BufferedReader)
        with self._process.stderr as pipe:
            while block := pipe.read1(1 << 16):
                self._errors = (self._errors + block)[-4096:]


def _ssh(options: dict[str, str]) -> list[str]:
    return ["ssh", "-F", "none", *(word for key, value in options.items() for word in ("-o", f"{key}={value}"))]


def _request(verb: PeerVerb[Any]) -> bytes:
    return request(verb) + b"\n"


def _last(text: bytes) -> str:
    return printable(text.decode(errors="replace").strip()[-300:]) or "it said nothing"
