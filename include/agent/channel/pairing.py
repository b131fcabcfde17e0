"""Two servers for one move: a key made for it, and the verbs a peer may call."""

import io
import json
import os
import re
import secrets
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, NoReturn, cast

from ..account.accounts import Account, check_move, check_name, load, part_engine, state_of
from ..host import server_role
from ..host.addresses import check_address
from ..host.codec import encode
from ..host.digest import printable
from ..host.system import AGENT, RUNTIME, STATE, Refused, locked, read_json, refuse, run, write_durably
from ..verbs.verb import Answers, Asking, peer_of
from . import peer_words

_USUAL = 0.5
"""Seconds within which a peer's program ends that has answered."""
PROTOCOL = 3
"""What agents say to each other, and mean by it; another number when either changes."""
CONTROLS = RUNTIME / "pairs"
STREAMS = Path("/run/transhumance-streams")
"""Where this server's PostgreSQL meets the streams of the databases that it follows: nobody else gets in there."""
AUTHORIZED_KEYS = Path("/root/.ssh/authorized_keys")
HOST_KEY = re.compile(r"(ssh-ed25519|ecdsa-sha2-nistp256|ssh-rsa) [A-Za-z0-9+/]{40,1000}={0,3}")

SLOT = re.compile(r"th_follow_[0-9]{1,10}")


def directory(move: str) -> Path:
    """Where this server keeps what it knows of a move."""
    return STATE / "pairs" / check_move(move)


def control(move: str, process: int) -> Path:
    """Where the SSH connection that a process shares among its calls is reached."""
    return CONTROLS / f"{move}.{process}"


def require_same_protocol(theirs: Any) -> None:
    """Refuse to go on with an agent of another version: what it says may mean something else."""
    if theirs != PROTOCOL:
        refuse(
            "other_protocol",
            f"The agents of the two servers are of different versions (protocol {PROTOCOL} and {theirs!r:.20}); enrol "
            "both servers again, so that each has the present agent.",
        )


# --- keys ---


def make_key(move: str, account: str, epoch: int | None = None) -> str:
    """On the source: the public key of this move, made at the first call. `epoch`: of the attempt it is for."""
    folder = directory(move)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(folder / "lock"):
        saved = read_json(folder / "source.json")
        if saved and saved["account"] != account:
            refuse("move_in_use", f"The move {move} belongs to the account {saved['account']}, not to {account}.")
        proof = (saved or {}).get("proof") or secrets.token_hex(16)
        key, pair = folder / "key", {"account": account, "epoch": epoch, "proof": proof}
        if not saved:
            key.unlink(missing_ok=True)
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"transhumance-{move}", "-f", str(key)])
        if saved != pair:
            write_durably(folder / "source.json", json.dumps(pair))
        return " ".join(key.with_suffix(".pub").read_text().split()[:2])


def proof(move: str) -> str | None:
    """On the source: what nobody else knows of a move before it is committed. On the target: what it was told then."""
    return (read_json(directory(move) / "source.json") or _pair(move) or {}).get("proof")


def keep_proof(move: str, claimed: Any) -> None:
    """On the target: the source has committed, as it can say in turn."""
    pair = _pair(move)
    if pair and isinstance(claimed, str) and pair.get("proof") != claimed:
        write_durably(directory(move) / "target.json", json.dumps({**pair, "proof": claimed}))


def authorized_line(move: str, address: str, public_key: str) -> str:
    """What lets the source's key in: from its address only, to this move's entry point only; it forwards nothing."""
    command = f'restrict,from="{address}",command="/usr/bin/python3 {AGENT} peer {move}"'
    return f"{command} {public_key} {_mark(move)}"


def _mark(move: str) -> str:
    return f"transhumance-move:{move}"


def admit(move: str, account: str, address: Any, public_key: Any, epoch: int = 0) -> list[str]:
    """On the target: let the source's key in for this attempt of a move. Returns this server's host keys."""
    if not isinstance(public_key, str) or not HOST_KEY.fullmatch(public_key):
        refuse("bad_key", "The public key of the source is no SSH key; take it from the verb pair.")
    pair = {**(_pair(check_move(move)) or {"account": check_name(account)}), "epoch": epoch}
    line = authorized_line(move, check_address(address), public_key)
    directory(move).mkdir(mode=0o700, parents=True, exist_ok=True)
    write_durably(directory(move) / "target.json", json.dumps(pair))
    _rewrite_keys(move, line)
    return host_keys()


def _pair(move: str) -> dict[str, Any] | None:
    """On the target: {"account", "epoch"} of an admitted move, and its "proof" from the commit on."""
    pair: dict[str, Any] | None = read_json(directory(move) / "target.json")
    return pair


def host_keys() -> list[str]:
    text = Path("/etc/ssh/ssh_host_ed25519_key.pub").read_text()
    return [" ".join(text.split()[:2])]


def forget(move: str) -> None:
    """On either side: the move's key, its admission and its open connections are gone."""
    _rewrite_keys(move, None)
    run(["systemctl", "stop", f"transhumance-stream-{move}-*.service"], check=False)
    for path in STREAMS.glob(f"{move}.*"):
        if path.name.removeprefix(f"{move}.").isdigit():
            end_holders(path / "lock")
            shutil.rmtree(path, ignore_errors=True)
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
    pair = read_json(directory(move) / "source.json") or _pair(move) or {}
    return epoch < (pair.get("epoch") or 0)


def account_of(move: str) -> str | None:
    """Whose move it is, as this server knows it; None when it knows nothing of it."""
    pair = read_json(directory(move) / "source.json") or _pair(move)
    return pair["account"] if pair else None


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
    verbs: Callable[[], Answers],
    rsync: Callable[[Account, list[str]], NoReturn],
    stream: Callable[[Path], int],
) -> int:
    """What a peer's key runs: a verb, many verbs one after the other, an rsync, or the changes of a database; for the
    move's account alone.

    It must be receiving in this move, unless the verb may be called in any state. `verbs` are asked for only where
    one is called: to load what answers them takes longer than an rsync of what changed.
    """
    pair = _pair(move)
    epoch, words = _attempt(shlex.split(os.environ.get("SSH_ORIGINAL_COMMAND", "")))
    if not pair or words[:1] not in (["call"], ["session"], ["rsync"], ["stream"]):
        print(f"The move {move} is not admitted here.", file=sys.stderr)
        return 1
    try:
        if words[0] == "rsync":
            if part_engine(pair["account"]):
                refuse("no_files", "A part of an account has no files.")
            with data_session(pair["account"], move, epoch, inherited=True):
                rsync(load(pair["account"]), words)
        if words[0] == "stream":
            _require_streams(pair["account"], move)
            return stream(stream_directory(move, " ".join(words[1:])))
    except Refused as error:
        print(error.message, file=sys.stderr)
        return 1
    if words[0] == "call":
        line = sys.stdin.buffer.readline(peer_words.LONGEST_REQUEST)
        asking = Asking(move, cast(io.BufferedIOBase, sys.stdin.buffer))
        print(_answer(pair["account"], epoch, line, verbs(), asking), flush=True)
        return 0
    # Now, and not at the first request of each kind: that may be inside a hold.
    answers = verbs()
    answers.get_ready()
    while line := sys.stdin.buffer.readline(peer_words.LONGEST_REQUEST):
        print(_answer(pair["account"], epoch, line, answers, Asking(move, io.BytesIO())), flush=True)
    return 0


def _require_streams(account: str, move: str) -> None:
    """A test copy follows nothing: nothing that it finds on this machine leads back to the original."""
    state = state_of(account)
    if server_role.domain() is not None or part_engine(account) == "mariadb":
        refuse("no_stream", f"The account {account} follows no PostgreSQL database here.")
    if (state.state, state.move) != ("receiving", move):
        refuse("not_receiving", f"The account {account} is {state.state} here and takes no data in this move.")


def stream_directory(move: str, slot: str) -> Path:
    """Where a stream is met; the socket in it has the name by which libpq looks for it."""
    if not SLOT.fullmatch(slot):
        refuse("bad_slot", f"{slot!r:.60} is no slot of a database that is followed.")
    return STREAMS / f"{move}.{slot.rpartition('_')[2]}"


def _attempt(words: list[str]) -> tuple[int | None, list[str]]:
    """The epoch that a peer's command begins with, if it does, and the command."""
    if words[:1] == ["epoch"] and words[1:2] and words[1].isascii() and words[1].isdigit():
        return int(words[1]), words[2:]
    return None, words


def _answer(account: str, epoch: int | None, line: bytes, verbs: Answers, asking: Asking) -> str:
    """The reply to one request of a peer; no request makes this raise."""
    try:
        want, serve = peer_words.request(line, verbs, peer_of(part_engine(account)))
        with nullcontext() if want.any_state else data_session(account, asking.move, epoch):
            return encode({"ok": True, "result": serve(load(account), want, asking)})
    except Refused as error:
        return encode({"ok": False, "error": {"code": error.code, "message": error.message}})
    except Exception as error:  # the caller must get an answer whatever went wrong
        message = printable(f"{type(error).__name__}: {error}"[:1000])
        return encode({"ok": False, "error": {"code": "internal_error", "message": message}})


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
    with only_holder(RUNTIME / "accounts" / f"{account}.data", _USUAL, wait):
        yield


@contextmanager
def only_holder(path: Path, usual: float, wait: float = 10) -> Iterator[None]:
    """Hold this lock; whoever has it is given the usual time to let it go, and is then ended."""
    with ExitStack() as held:
        try:
            held.enter_context(locked(path, wait=usual))
        except Refused:
            end_holders(path)
            held.enter_context(locked(path, wait=wait))
        yield


def end_holders(path: Path) -> None:
    """Kill whoever has an flock on this file, as the kernel lists them."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    for line in Path("/proc/locks").read_text().splitlines():
        words = line.split()
        if words[1:2] == ["FLOCK"] and words[5] == place and int(words[4]) not in (0, os.getpid()):
            with suppress(ProcessLookupError):
                os.kill(int(words[4]), signal.SIGKILL)
