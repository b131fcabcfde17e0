"""The long verbs of a move, run on the source: copy, switch and verify."""

import hashlib
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import IO, Any

from . import digest, fence, files, front, mail, mariadb, pairing, postgres, system
from .accounts import Account, check_name, load, state_of
from .operations import Report
from .pairing import Peer
from .system import Refused, refuse

MOST_DIFFERENCES = 20


class Steps:
    """The time each step took, in order."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.taken: list[dict[str, Any]] = []

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        self.report(text=name)
        began = time.monotonic()
        try:
            yield
        finally:
            self.taken.append({"name": name, "seconds": round(time.monotonic() - began, 3)})


def copy(args: dict[str, Any], report: Report) -> dict[str, Any]:
    """Copy the files while the account serves, and do all else that needs no hold.

    What cannot be moved is refused here and not in the hold; `left` tells what will not be carried, in sentences.
    Both copies are read once, so that the next comparison is short.
    """
    account, peer = _sides(args)
    began = time.monotonic()
    _require_serving(account, args)
    peer.call("identity", _identity(account))
    mariadb.objects(account)
    left = [*postgres.prepare(account, peer), *mariadb.prepare(account, peer)]
    sent = files.send(account, peer, report)
    report(text="reading both copies")
    with ThreadPoolExecutor() as pool:
        mine, theirs = pool.submit(files.digest, account), pool.submit(peer.call, "files_digest", {})
        for kind, found in mine.result()["_left"].items():
            left.append(f"Of the files, {found['count']} ({kind}) are not carried as they are: {found['first'][0]}.")
        theirs.result()
    seconds = round(time.monotonic() - began, 3)
    return {"files": sent["files"], "bytes": sent["bytes"], "seconds": seconds, "left": left}


def switch(args: dict[str, Any], report: Report) -> dict[str, Any]:
    """From hold to forward, with nobody's help. Before the commit a failure returns the account at once."""
    account, peer = _sides(args)
    name, move = account.name, args["move"]
    state = state_of(name)
    if (state.state, state.move) == ("moved", move):
        return {"committed": True, "released": True, **fence.go_forward(name)}
    _require_serving(account, args)
    steps = Steps(report)
    with steps("connect"):
        peer.call("identity", _identity(account))
    began, held_at = time.monotonic(), time.time()
    try:
        with steps("hold"):
            fence.hold(name, move, args["epoch"], args["hold_seconds"], steps)
        _send(account, peer, steps)
        with steps("verify"):
            verified, different = compare(account, peer)
        if different:
            refuse("not_equal", f"The copies differ, so nothing was committed: {' '.join(different)}")
        with steps("commit"):
            fence.commit(name, move, {"verified": verified, "steps": steps.taken, "held_at": held_at})
    except BaseException:
        if state_of(name).state != "moved":
            fence.return_(name, move)
            raise
    with steps("release"):
        fence.release_peer(name)
    held_ms = round((time.monotonic() - began) * 1000, 1)
    with steps("forward"):
        fence.forward(name, {**state_of(name).figures, "steps": steps.taken, "held_ms": held_ms})
    return {"committed": True, "released": True, **state_of(name).figures}


def verify(args: dict[str, Any], report: Report) -> dict[str, Any]:
    """Compare both copies now: {"files", "bytes", "tables", "rows", "messages", "equal", "differences"}."""
    account, peer = _sides(args)
    report(text="comparing")
    verified, different = compare(account, peer)
    return {**verified, "differences": different}


def _sides(args: dict[str, Any]) -> tuple[Account, Peer]:
    peer = args.get("peer")
    if not isinstance(peer, dict):
        refuse(
            "bad_args",
            'The peer is missing; give {"address": ..., "host_keys": [...]} as receive returned them.',
        )
    account = load(check_name(args.get("account")))
    return account, Peer(args.get("move", ""), peer.get("address"), peer.get("host_keys"))


def _require_serving(account: Account, args: dict[str, Any]) -> None:
    state = state_of(account.name)
    if state.state not in ("serving", "held"):
        refuse(
            "wrong_state",
            f"The account {account.name} is {state.state} here; only one that serves can leave.",
        )
    epoch = args.get("epoch")
    if not isinstance(epoch, int) or epoch < state.epoch or (epoch == state.epoch and state.move != args["move"]):
        refuse(
            "stale_epoch",
            f"The account {account.name} is at epoch {state.epoch} here; epoch {epoch} is over.",
        )


def _send(account: Account, peer: Peer, steps: Steps) -> None:
    """The last of everything, side by side. All have ended when this ends, however it ends."""

    def timed(name: str, work: Any, *args: Any, **kwargs: Any) -> None:
        with steps(name):
            work(*args, **kwargs)

    with ThreadPoolExecutor() as pool:
        running = [
            pool.submit(timed, "identity", peer.call, "identity", _identity(account)),
            pool.submit(timed, "files", files.send, account, peer, steps.report, held=True),
            pool.submit(timed, "postgresql_copy", postgres.send, account, peer, steps.report),
            pool.submit(timed, "mariadb_copy", mariadb.send, account, peer, steps.report),
        ]
    for work in running:
        work.result()


# --- comparison ---


def compare(account: Account, peer: Peer) -> tuple[dict[str, Any], list[str]]:
    """The figures of what was compared, and what differs (at most 20 sentences, none when equal)."""
    parts = {
        "files": files.digest,
        "postgres": postgres.digest,
        "mariadb": mariadb.digest,
        "messages": mail.messages,
        "identity": identity_digest,
    }
    with ThreadPoolExecutor(max_workers=2 * len(parts)) as pool:
        theirs = {part: pool.submit(peer.call, f"{part}_digest", {}) for part in parts}
        mine = {part: pool.submit(read, account) for part, read in parts.items()}
    here, there = ({part: work.result() for part, work in side.items()} for side in (mine, theirs))
    different = files.differences(account, peer, here["files"], there["files"])
    different += mail.differences(here["messages"], there["messages"])
    for part in ("postgres", "mariadb", "identity"):
        different += [f"{part}: {text}" for text in digest.differences(here[part], there[part])]
    figures = {
        "files": here["files"]["files"],
        "bytes": here["files"]["bytes"],
        "tables": here["postgres"]["tables"] + here["mariadb"]["tables"],
        "rows": here["postgres"]["rows"] + here["mariadb"]["rows"],
        "messages": here["messages"]["messages"],
        "equal": not different,
    }
    return figures, different[:MOST_DIFFERENCES]


# --- identity: what root keeps for an account ---


def _identity(account: Account) -> dict[str, Any]:
    """The Unix password hash and expiry, the crontab and the certificates of the account."""
    password_hash, expiry = system.shadow_fields(account.name)
    state = state_of(account.name)
    aside = account.directory / "crontab"
    crontab = None
    for path in (aside, system.CRONTABS / account.name):
        if crontab is None and path.is_file():
            crontab = path.read_bytes().decode("utf-8", "surrogateescape")
    return {
        "password_hash": password_hash,
        # In a hold everybody is expired here; what was before is what must arrive.
        "expiry": state.saved.get("expiry", "") if state.state in ("held", "receiving") else expiry,
        "crontab": crontab,
        "certificates": front.certificates(account),
    }


def identity_digest(account: Account) -> dict[str, Any]:
    """A hash of each part of the account's identity, the same on both sides when they are."""
    whole = _identity(account)
    return {key: hashlib.sha256(json.dumps(whole[key]).encode()).hexdigest() for key in sorted(whole)}


def _take_identity(account: Account, args: dict[str, Any], _stdin: IO[bytes]) -> dict[str, Any]:
    known = _identity(account)
    if args["password_hash"] != known["password_hash"]:
        system.set_password_hash(account.name, args["password_hash"])
    fence.expect_expiry(account.name, args["expiry"])
    aside = account.directory / "crontab"
    if args["crontab"] is None:
        aside.unlink(missing_ok=True)
    elif args["crontab"] != known["crontab"]:
        system.write_durably(aside, args["crontab"].encode("utf-8", "surrogateescape"))
    strange = sorted({*args["certificates"]} - {*account.domains})
    if strange:
        raise Refused("foreign_certificate", f"The domain {strange[0]!r} is not one of {account.name}'s.")
    if args["certificates"] != known["certificates"]:
        for domain, pem in args["certificates"].items():
            front.put_certificate(domain, pem)
        front.load_certificates(account)
        mail.render(certificates=True)
    return {}


def _release(account: Account, args: dict[str, Any], _stdin: IO[bytes]) -> dict[str, Any]:
    state = fence.release(account.name, args["move"], args.get("epoch", -1), args.get("commit_record"))
    return {"state": state.state}


PEER_VERBS: dict[str, pairing.PeerVerb] = {
    **files.PEER_VERBS,
    **postgres.PEER_VERBS,
    **mariadb.PEER_VERBS,
    "identity": _take_identity,
    "identity_digest": digest.as_peer_verb(identity_digest),
    "messages_digest": digest.as_peer_verb(mail.messages),
    "release": _release,
}
# Release ends the receiving, and may be repeated after it.
ALWAYS = frozenset({"release"})
