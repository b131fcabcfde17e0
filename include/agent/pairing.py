"""Two servers for one move: a key made for it, pinned host keys, and the verbs a peer may call."""

import ipaddress
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NoReturn

from .accounts import Account, check_move, check_name, load, state_of
from .system import AGENT, RUNTIME, STATE, Refused, locked, read_json, refuse, run, write_durably

AUTHORIZED_KEYS = Path("/root/.ssh/authorized_keys")
_HOST_KEY = re.compile(r"(ssh-ed25519|ecdsa-sha2-nistp256|ssh-rsa) [A-Za-z0-9+/]{40,1000}={0,3}")

PeerVerb = Callable[[Account, dict[str, Any], IO[bytes]], dict[str, Any]]


def _directory(move: str) -> Path:
    return STATE / "pairs" / check_move(move)


def check_address(address: Any) -> str:
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        refuse("bad_address", f"{address!r} is no IP address; give the peer's management address.")


# --- keys ---


def make_key(move: str, account: str) -> str:
    """On the source: the public key of this move, made at the first call."""
    directory = _directory(move)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(directory / "lock"):
        known = read_json(directory / "source.json")
        if known and known["account"] != account:
            refuse("move_in_use", f"The move {move} belongs to the account {known['account']}, not to {account}.")
        key = directory / "key"
        if not known:
            key.unlink(missing_ok=True)
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"transhumance-{move}", "-f", str(key)])
            write_durably(directory / "source.json", json.dumps({"account": account}))
        return " ".join(key.with_suffix(".pub").read_text().split()[:2])


def authorized_line(move: str, address: str, public_key: str) -> str:
    """What lets the source's key in: from its address only, to this move's entry point only."""
    return f'restrict,from="{address}",command="/usr/bin/python3 {AGENT} peer {move}" {public_key} {_mark(move)}'


def _mark(move: str) -> str:
    return f"transhumance-move:{move}"


def admit(move: str, account: str, address: Any, public_key: Any) -> list[str]:
    """On the target: let the source's key in for this move. Returns this server's host keys."""
    if not isinstance(public_key, str) or not _HOST_KEY.fullmatch(public_key):
        refuse("bad_key", "The public key of the source is no SSH key; take it from the verb pair.")
    line = authorized_line(check_move(move), check_address(address), public_key)
    directory = _directory(move)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_durably(directory / "target.json", json.dumps({"account": check_name(account)}))
    _rewrite_keys(move, line)
    return host_keys()


def host_keys() -> list[str]:
    text = Path("/etc/ssh/ssh_host_ed25519_key.pub").read_text()
    return [" ".join(text.split()[:2])]


def forget(move: str) -> None:
    """On either side: the move's key, its admission and its open connection are gone."""
    directory = _directory(move)
    _rewrite_keys(move, None)
    control = RUNTIME / "pairs" / move
    if control.exists():
        run(["ssh", "-o", f"ControlPath={control}", "-O", "exit", "peer"], check=False, timeout=10)
        control.unlink(missing_ok=True)
    shutil.rmtree(directory, ignore_errors=True)


def _rewrite_keys(move: str, line: str | None) -> None:
    with locked(RUNTIME / "authorized_keys.lock"):
        AUTHORIZED_KEYS.parent.mkdir(mode=0o700, exist_ok=True)
        try:
            old = AUTHORIZED_KEYS.read_text().splitlines()
        except FileNotFoundError:
            old = []
        new = [row for row in old if row.split()[-1:] != [_mark(move)]] + ([line] if line else [])
        if new != old:
            write_durably(AUTHORIZED_KEYS, "".join(f"{row}\n" for row in new))


# --- the source's side ---


def known_peer(move: str) -> dict[str, Any]:
    """Address and host keys of the move's other server, as a Peer of this move was last made."""
    peer = read_json(_directory(move) / "peer.json")
    if not peer:
        refuse("not_paired", f"Nothing is known here of the other server of move {move}; copy the account first.")
    return peer


class Peer:
    """The other server of a move, seen from the source. One SSH connection serves every call."""

    def __init__(self, move: str, address: Any, host_keys: Any) -> None:
        self.move = check_move(move)
        self.address = check_address(address)
        directory = _directory(move)
        if not (directory / "key").is_file():
            refuse("not_paired", f"The move {move} has no key here; call pair and receive first.")
        if not isinstance(host_keys, list) or not host_keys:
            refuse("no_host_key", "The peer's host keys are missing; take them from the verb receive.")
        for key in host_keys:
            if not isinstance(key, str) or not _HOST_KEY.fullmatch(key):
                refuse("bad_key", f"{key!r} is no SSH host key; take it from the verb receive.")
        known = "".join(f"peer {key}\n" for key in host_keys)
        if not (directory / "known_hosts").is_file() or (directory / "known_hosts").read_text() != known:
            write_durably(directory / "known_hosts", known)
            write_durably(directory / "peer.json", json.dumps({"address": self.address, "host_keys": host_keys}))
        (RUNTIME / "pairs").mkdir(mode=0o700, parents=True, exist_ok=True)
        options = {
            "BatchMode": "yes",
            "CheckHostIP": "no",
            "ConnectTimeout": "10",
            "ControlMaster": "auto",
            "ControlPath": str(RUNTIME / "pairs" / self.move),
            "ControlPersist": "120",
            "GlobalKnownHostsFile": "/dev/null",
            "HostKeyAlias": "peer",
            "IdentitiesOnly": "yes",
            "IdentityFile": str(directory / "key"),
            "LogLevel": "ERROR",
            "ServerAliveCountMax": "3",
            "ServerAliveInterval": "5",
            "StrictHostKeyChecking": "yes",
            "UpdateHostKeys": "no",
            "UserKnownHostsFile": str(directory / "known_hosts"),
        }
        self._ssh = ["ssh", "-F", "none", *(word for k, v in options.items() for word in ("-o", f"{k}={v}"))]

    def call(self, verb: str, args: dict[str, Any]) -> dict[str, Any]:
        """Run a peer verb on the other server; its refusal is raised here as Refused."""
        done = run([*self.ssh_argv(), "call"], input=_request(verb, args), check=False, timeout=None)
        return self._reply(done.stdout, done.returncode, done.stderr)

    def stream(self, verb: str, args: dict[str, Any], source_argv: list[str], **popen_kwargs: Any) -> dict[str, Any]:
        """Run `source_argv` here with its output as the peer verb's input. Fails when either side fails."""
        with subprocess.Popen(
            [*self.ssh_argv(), "call"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as remote:
            assert remote.stdin is not None
            remote.stdin.write(_request(verb, args))
            remote.stdin.flush()
            with subprocess.Popen(
                source_argv,
                stdin=subprocess.DEVNULL,
                stdout=remote.stdin,
                stderr=subprocess.PIPE,
                **popen_kwargs,
            ) as source:
                # The other server must see the end of the stream when the source ends.
                remote.stdin.close()
                remote.stdin = None
                _, said = source.communicate()
            output, errors = remote.communicate()
        try:
            result = self._reply(output, remote.returncode, errors)
        except Refused:
            if source.returncode > 0:
                refuse("source_failed", f"{source_argv[0]} failed here: {_last(said)}")
            raise
        if source.returncode != 0:
            refuse("source_failed", f"{source_argv[0]} failed here ({source.returncode}): {_last(said)}")
        return result

    def ssh_argv(self) -> list[str]:
        """The words before a command that is to run on the peer."""
        return [*self._ssh, f"root@{self.address}"]

    def _reply(self, output: bytes, code: int, errors: bytes) -> dict[str, Any]:
        try:
            reply = json.loads(output)
        except ValueError:
            refuse("peer_unreachable", f"The peer {self.address} gave no answer ({code}): {_last(errors)}")
        if not reply["ok"]:
            raise Refused(reply["error"]["code"], f"On the peer: {reply['error']['message']}")
        return reply["result"]


def _request(verb: str, args: dict[str, Any]) -> bytes:
    return json.dumps({"verb": verb, "args": args}).encode() + b"\n"


def _last(text: bytes) -> str:
    return text.decode(errors="replace").strip()[-300:] or "it said nothing"


# --- the target's side ---


def serve_peer(
    move: str,
    verbs: dict[str, PeerVerb],
    always: frozenset[str],
    rsync: Callable[[Account, list[str]], NoReturn],
) -> int:
    """What a peer's key runs: one verb or one rsync, for the move's account alone, while it is receiving.

    `always` names the verbs that may also be called when the account is receiving no more.
    """
    pair = read_json(_directory(move) / "target.json")
    words = shlex.split(os.environ.get("SSH_ORIGINAL_COMMAND", ""))
    if not pair or words[:1] not in (["call"], ["rsync"]):
        print(f"The move {move} is not admitted here.", file=sys.stderr)
        return 1
    if words[0] == "rsync":
        try:
            with data_session(pair["account"], move, inherited=True):
                rsync(load(pair["account"]), words)
        except Refused as error:
            print(error.message, file=sys.stderr)
            return 1
    try:
        request = json.loads(sys.stdin.buffer.readline(64 << 20))
        verb, args = request["verb"], request["args"]
        if verb not in verbs:
            refuse("unknown_verb", f"A peer may not call {verb!r} here.")
        if verb in always:
            result = verbs[verb](load(pair["account"]), {**args, "move": move}, sys.stdin.buffer)
        else:
            with data_session(pair["account"], move):
                result = verbs[verb](load(pair["account"]), args, sys.stdin.buffer)
        reply: dict[str, Any] = {"ok": True, "result": result}
    except Refused as error:
        reply = {"ok": False, "error": {"code": error.code, "message": error.message}}
    except Exception as error:  # the caller must get an answer whatever went wrong
        reply = {
            "ok": False,
            "error": {"code": "internal_error", "message": f"{type(error).__name__}: {error}"},
        }
    print(json.dumps(reply), flush=True)
    return 0


@contextmanager
def data_session(account: str, move: str, *, inherited: bool = False) -> Iterator[None]:
    """Hold the account's data open for a peer: allowed while it is receiving in this move, and not longer.

    `inherited`: what this process becomes goes on holding it.
    """
    with locked(RUNTIME / "accounts" / f"{account}.data", shared=True, inherited=inherited):
        state = state_of(account)
        if (state.state, state.move) != ("receiving", move):
            refuse(
                "not_receiving",
                f"The account {account} is {state.state} here and takes no data in this move.",
            )
        yield


@contextmanager
def no_data_session(account: str, wait: float = 10) -> Iterator[None]:
    """No peer writes the account's data inside this block."""
    with locked(RUNTIME / "accounts" / f"{account}.data", wait=wait):
        yield
