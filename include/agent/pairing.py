"""Two servers for one move: a key made for it, and the verbs a peer may call."""

import io
import ipaddress
import json
import os
import re
import shlex
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NoReturn

from . import test_server
from .accounts import Account, check_move, check_name, load, part_engine, state_of
from .system import AGENT, RUNTIME, STATE, Refused, locked, read_json, refuse, run, write_durably

_LONGEST = 64 << 20  # bytes of a request
_USUAL = 0.5
"""Seconds within which a peer's program ends that has answered."""
PROTOCOL = 2
"""What agents say to each other, and mean by it; another number when either changes."""
CONTROLS = RUNTIME / "pairs"
AUTHORIZED_KEYS = Path("/root/.ssh/authorized_keys")
HOST_KEY = re.compile(r"(ssh-ed25519|ecdsa-sha2-nistp256|ssh-rsa) [A-Za-z0-9+/]{40,1000}={0,3}")

PeerVerb = Callable[[Account, dict[str, Any], IO[bytes]], dict[str, Any]]


def directory(move: str) -> Path:
    """Where this server keeps what it knows of a move."""
    return STATE / "pairs" / check_move(move)


def control(move: str, process: int) -> Path:
    """Where the SSH connection that a process shares among its calls is reached."""
    return CONTROLS / f"{move}.{process}"


def require_same_protocol(said: dict[str, Any]) -> None:
    """Refuse to go on with an agent of another version: what it says may mean something else."""
    theirs = said.get("protocol")
    if theirs != PROTOCOL:
        refuse(
            "other_protocol",
            f"The agents of the two servers are of different versions (protocol {PROTOCOL} and {theirs!r:.20}); enrol "
            "both servers again, so that each has the present agent.",
        )


def check_address(address: Any) -> str:
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        refuse("bad_address", f"{address!r} is no IP address; give the peer's management address.")


# --- keys ---


def make_key(move: str, account: str, epoch: int | None = None) -> str:
    """On the source: the public key of this move, made at the first call. `epoch`: of the attempt it is for."""
    here = directory(move)
    here.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(here / "lock"):
        known = read_json(here / "source.json")
        if known and known["account"] != account:
            refuse("move_in_use", f"The move {move} belongs to the account {known['account']}, not to {account}.")
        key, pair = here / "key", {"account": account, "epoch": epoch}
        if not known:
            key.unlink(missing_ok=True)
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"transhumance-{move}", "-f", str(key)])
        if known != pair:
            write_durably(here / "source.json", json.dumps(pair))
        return " ".join(key.with_suffix(".pub").read_text().split()[:2])


def authorized_line(move: str, address: str, public_key: str, port: int | None) -> str:
    """What lets the source's key in: from its address only, to this move's entry point only."""
    command = f'restrict,from="{address}",command="/usr/bin/python3 {AGENT} peer {move}"'
    if port is None:
        return f"{command} {public_key} {_mark(move)}"
    # Replication comes through one port of this server's loopback address that the source may open, and no other.
    # The source can reach nothing here through it: port 1 of 127.0.0.1 is nobody's.
    tunnel = f'port-forwarding,permitopen="127.0.0.1:1",permitlisten="127.0.0.1:{port}"'
    return f"{command},{tunnel} {public_key} {_mark(move)}"


def _mark(move: str) -> str:
    return f"transhumance-move:{move}"


def admit(move: str, account: str, address: Any, public_key: Any, epoch: int = 0) -> list[str]:
    """On the target: let the source's key in for this attempt of a move. Returns this server's host keys."""
    if not isinstance(public_key, str) or not HOST_KEY.fullmatch(public_key):
        refuse("bad_key", "The public key of the source is no SSH key; take it from the verb pair.")
    _require_no_socket_forwarding()
    known = _pair(check_move(move)) or {"account": check_name(account), "port": _free_port()}
    pair = {**known, "epoch": epoch}
    # What a test copy finds on this machine must not lead back to the original.
    port = None if test_server.domain() is not None else pair["port"]
    line = authorized_line(move, check_address(address), public_key, port)
    directory(move).mkdir(mode=0o700, parents=True, exist_ok=True)
    write_durably(directory(move) / "target.json", json.dumps(pair))
    _rewrite_keys(move, line)
    return host_keys()


def _pair(move: str) -> dict[str, Any] | None:
    """On the target: {"account", "port": of the tunnel} of an admitted move."""
    return read_json(directory(move) / "target.json")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def _require_no_socket_forwarding() -> None:
    """A peer that may forward ports could otherwise reach this server's sockets as root."""
    said = run(["sshd", "-T", "-C", "user=root,host=peer,addr=127.0.0.1"]).stdout.decode()
    if "allowstreamlocalforwarding no" not in said.lower():
        refuse("socket_forwarding", "Set AllowStreamLocalForwarding no in this server's sshd_config, and try again.")


def host_keys() -> list[str]:
    text = Path("/etc/ssh/ssh_host_ed25519_key.pub").read_text()
    return [" ".join(text.split()[:2])]


def forget(move: str) -> None:
    """On either side: the move's key, its admission and its open connections are gone."""
    _rewrite_keys(move, None)
    unit = f"transhumance-tunnel-{move}.service"
    run(["systemctl", "stop", unit], check=False)
    run(["systemctl", "reset-failed", unit], check=False)
    for path in (path for path in CONTROLS.glob("*") if path.stem == move):
        run(["ssh", "-o", f"ControlPath={path}", "-O", "exit", "peer"], check=False, timeout=10)
        path.unlink(missing_ok=True)
    shutil.rmtree(directory(move), ignore_errors=True)


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


def over(move: str, epoch: int) -> bool:
    """Whether a later attempt of this move than that of `epoch` has begun here."""
    known = read_json(directory(move) / "source.json") or _pair(move) or {}
    return epoch < (known.get("epoch") or 0)


def account_of(move: str) -> str | None:
    """Whose move it is, as this server knows it; None when it knows nothing of it."""
    known = read_json(directory(move) / "source.json") or _pair(move)
    return known["account"] if known else None


def leaves(account: str, besides: str | None = None) -> bool:
    """Whether a move of this account away from here is open, `besides` this one."""
    return bool({*moves_of(account)} - {besides})


def moves_of(account: str) -> list[str]:
    """The open moves (and tests) of this account away from here."""
    moves = sorted(path.parent.name for path in (STATE / "pairs").glob("*/source.json"))
    return [move for move in moves if account_of(move) == account]


# --- the target's side ---


def serve_peer(
    move: str,
    verbs: dict[str, PeerVerb],
    always: frozenset[str],
    rsync: Callable[[Account, list[str]], NoReturn],
) -> int:
    """What a peer's key runs: a verb, many verbs one after the other, or an rsync; for the move's account alone.

    It must be receiving in this move.
    `always` names the verbs that may also be called when the account is receiving no more.
    """
    pair = _pair(move)
    epoch, words = _attempt(shlex.split(os.environ.get("SSH_ORIGINAL_COMMAND", "")))
    if not pair or words[:1] not in (["call"], ["session"], ["rsync"]):
        print(f"The move {move} is not admitted here.", file=sys.stderr)
        return 1
    if words[0] == "rsync":
        if part_engine(pair["account"]):
            print("A part of an account has no files.", file=sys.stderr)
            return 1
        try:
            with data_session(pair["account"], move, epoch, inherited=True):
                rsync(load(pair["account"]), words)
        except Refused as error:
            print(error.message, file=sys.stderr)
            return 1
    if words[0] == "call":
        print(json.dumps(_answer(pair, move, epoch, sys.stdin.buffer.readline(_LONGEST), verbs, always)), flush=True)
        return 0
    while line := sys.stdin.buffer.readline(_LONGEST):
        print(json.dumps(_answer(pair, move, epoch, line, verbs, always, io.BytesIO())), flush=True)
    return 0


def _attempt(words: list[str]) -> tuple[int | None, list[str]]:
    """The epoch that a peer's command begins with, if it does, and the command."""
    if words[:1] == ["epoch"] and words[1:2] and words[1].isascii() and words[1].isdigit():
        return int(words[1]), words[2:]
    return None, words


def _answer(
    pair: dict[str, Any],
    move: str,
    epoch: int | None,
    line: bytes,
    verbs: dict[str, PeerVerb],
    always: frozenset[str],
    stdin: IO[bytes] = sys.stdin.buffer,
) -> dict[str, Any]:
    """The reply to one request of a peer; no request makes this raise."""
    try:
        request = json.loads(line)
        verb, args = request["verb"], request["args"]
        if verb not in verbs:
            refuse("unknown_verb", f"A peer may not call {verb!r} here.")
        if (engine := part_engine(pair["account"])) and not _is_for(engine, verb):
            refuse("unknown_verb", f"{pair['account']} is nothing but {engine} databases; {verb} is not for it.")
        if verb in always:
            return {"ok": True, "result": verbs[verb](load(pair["account"]), {**args, "move": move}, stdin)}
        with data_session(pair["account"], move, epoch):
            return {"ok": True, "result": verbs[verb](load(pair["account"]), args, stdin)}
    except Refused as error:
        return {"ok": False, "error": {"code": error.code, "message": error.message}}
    except Exception as error:  # the caller must get an answer whatever went wrong
        message = f"{type(error).__name__}: {error}"
        return {"ok": False, "error": {"code": "internal_error", "message": message}}


def _is_for(engine: str, verb: str) -> bool:
    """Whether a peer's verb is for databases of this engine, or for no store at all."""
    stores = ("files", "messages", "identity", "postgres", "mariadb")
    return not verb.startswith(stores) or verb.startswith(engine.removesuffix("ql"))


# --- the tunnel ---


def tunnel_port(account: Account, args: dict[str, Any], stdin: IO[bytes]) -> dict[str, Any]:
    """Peer verb: at which port of its loopback address the target reaches the source's PostgreSQL."""
    return {"port": (_pair(state_of(account.name).move or "") or {})["port"]}


def tunnel_up(account: Account, args: dict[str, Any], stdin: IO[bytes]) -> dict[str, Any]:
    """Peer verb: wait until the source has opened the tunnel."""
    end = time.monotonic() + args["seconds"]
    while True:
        try:
            socket.create_connection(("127.0.0.1", tunnel_port(account, {}, stdin)["port"]), 5).close()
            return {}
        except OSError as error:
            if time.monotonic() > end:
                refuse("no_tunnel", f"The source's PostgreSQL is not reached through the tunnel ({error}).")
            time.sleep(0.05)


# --- data of an account that is being received ---


@contextmanager
def data_session(account: str, move: str, epoch: int | None, *, inherited: bool = False) -> Iterator[None]:
    """Hold the account's data open for a peer: allowed while it is receiving in this move, and not longer.

    `epoch`: the attempt that the peer says it works for; one that is over writes nothing into the present one's copy.

    `inherited`: what this process becomes goes on holding it.
    """
    with locked(RUNTIME / "accounts" / f"{account}.data", shared=True, inherited=inherited):
        state = state_of(account)
        if (state.state, state.move) != ("receiving", move):
            refuse(
                "not_receiving",
                f"The account {account} is {state.state} here and takes no data in this move.",
            )
        if epoch not in (None, state.epoch):
            refuse("stale_epoch", f"The account {account} is at epoch {state.epoch} here; epoch {epoch} is over.")
        yield


@contextmanager
def no_data_session(account: str, wait: float = 10) -> Iterator[None]:
    """No peer writes the account's data inside this block.

    What a connection that was cut has left is ended: nobody waits for its answer any more."""
    path = RUNTIME / "accounts" / f"{account}.data"
    with ExitStack() as held:
        try:
            held.enter_context(locked(path, wait=_USUAL))
        except Refused:
            _end_holders(path)
            held.enter_context(locked(path, wait=wait))
        yield


def _end_holders(path: Path) -> None:
    """Kill whoever has an flock on this file, as the kernel lists them."""
    status = os.stat(path)
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    for line in Path("/proc/locks").read_text().splitlines():
        words = line.split()
        if words[1:2] == ["FLOCK"] and words[5] == place and int(words[4]) not in (0, os.getpid()):
            with suppress(ProcessLookupError):
                os.kill(int(words[4]), signal.SIGKILL)
