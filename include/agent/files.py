"""An account's home directory: copied by rsync, compared by a walk, both inside the sandbox (`files_sandbox`)."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from . import files_sandbox, files_walk
from .accounts import Account
from .digest import MOST, as_peer_verb, printable
from .system import Refused, refuse, run

Report = Callable[..., None]

# Nanoseconds count (--modify-window=-1): rsync by itself takes two changes within one second for none.
# Only user attributes travel besides ACLs; -D is off; what is executable with someone else's rights is not.
_OPTIONS = [
    "-aHAXS",
    "--no-D",
    "--delete",
    "--chmod=Fug-s,Du-s",
    "--modify-window=-1",
    "--filter=-x! user.*",
]
_SERVER_OPTION = re.compile(
    r"-[A-Za-z]*e\d*\.[A-Za-z]*|-[lHogtpAXrSc]+|--delete(-during|-delay)?|-@-1|--checksum|--stats"
)
# 24: files vanished while they were read, which is usual before the hold and shows in the comparison inside it.
_FINE = (0, 24)
# 23 says that something could not be copied. While an account serves, a directory may become a link under rsync's eyes.
_RACED = re.compile(
    r"Too many levels of symbolic links|No such file or directory|Not a directory|Is a directory|vanished"
)
_LISTED_LINES = 2_000


def describe(account: Account) -> dict[str, int]:
    """{"home_bytes", "files"} as the last digest found them (0 before the first)."""
    try:
        last = json.loads((account.directory / "files.json").read_text())
    except (FileNotFoundError, ValueError):
        return {"home_bytes": 0, "files": 0}
    return {"home_bytes": last["bytes"], "files": last["files"]}


def send(account: Account, peer: Any, report: Report, *, held: bool = False, checksum: bool = False) -> dict[str, Any]:
    """Copy the home to the peer; what is there already is not sent again.

    `held`: inside the hold, so a file that vanishes is an error, and the copy is durable on the target at return.
    `checksum`: compare contents and not just size and time, for a file whose times somebody has forged.
    Returns {"files": regular files sent, "bytes": bytes sent, "seconds"}; raises Refused."""
    began = time.monotonic()
    if not held:
        # A page that stays dirty keeps its file's times: written out, the next write to it shows again.
        run(["sync", "--file-system", account.home], check=False, timeout=600)
    options = [*_OPTIONS, *(["--checksum"] if checksum else [])]
    argv = ["/usr/bin/rsync", *options, "--stats", *files_sandbox.relay_shell()]
    home = account.home.rstrip("/") + "/"
    done = files_sandbox.run_client(account.home, [*argv, home, f"peer:{home}"], peer.ssh_argv())
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    errors = [line for line in lines if not line.startswith("rsync error:")]
    raced = done.returncode == 23 and all(_RACED.search(line) for line in errors)
    if done.returncode and (held or (done.returncode not in _FINE and not raced)):
        said = " | ".join(printable(line) for line in lines[:5]) or "it said nothing"
        refuse(
            "files_not_copied",
            f"rsync ended with {done.returncode} while it copied {account.home}: {said[:600]}",
        )
    if held:
        peer.call("files_settle", {})
    sent, size = (
        _stat(done.stdout, "Number of regular files transferred"),
        _stat(done.stdout, "Total bytes sent"),
    )
    report(done_bytes=size, text=f"files: {sent} sent")
    return {"files": sent, "bytes": size, "seconds": round(time.monotonic() - began, 3)}


def _stat(text: str, name: str) -> int:
    found = re.search(rf"^{name}: ([\d,.]+)", text, re.MULTILINE)
    return int(re.sub(r"\D", "", found[1])) if found else 0


def digest(account: Account) -> dict[str, Any]:
    """What the home holds: {"files", "bytes", "entries", "digest", "parts": [256 hashes]}, equal on both servers.

    Only files that changed since the last digest are read. Keys with `_` are no part of the comparison: `_left` is
    what a move leaves behind ({kind: {"count", "first": [paths]}}), `_listing` the file with a line an entry."""
    account.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    cache, listing = account.directory / "files.cache", account.directory / "files.listing"
    began = time.monotonic()
    out = files_sandbox.call(account.home, "files_walk", request={"cache": str(cache), "listing": str(listing)})
    for path in (cache, listing):
        os.replace(f"{path}.new", path)
    result = json.loads(out)
    summary = {"files": result["files"], "bytes": result["bytes"]}
    (account.directory / "files.json").write_text(json.dumps(summary))
    return result | {"_listing": str(listing), "_seconds": round(time.monotonic() - began, 3)}


def differences(account: Account, peer: Any, mine: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """At most 20 sentences, each naming a path that differs and in what; both digests must be fresh."""
    if mine["digest"] == theirs["digest"]:
        return []
    found: list[str] = []
    parts = [n for n in range(files_walk.BUCKETS) if mine["parts"][n] != theirs["parts"][n]]
    for start in range(0, len(parts), 8):
        some = parts[start : start + 8]
        here = _entries(listed(account, some))
        there = _entries(peer.call("files_listed", {"parts": some})["lines"])
        for path in sorted({*here, *there}):
            if here.get(path) != there.get(path):
                found.append(_sentence(path, here.get(path), there.get(path)))
            if len(found) == MOST:
                return found
    return found


def listed(account: Account, parts: list[int]) -> list[str]:
    """The lines of the last digest's listing that belong to these parts (2,000 at most)."""
    wanted, lines = set(parts), []
    with open(account.directory / "files.listing", "rb") as listing:
        for line in listing:
            if files_walk.bucket_of(line[: line.index(b"\t")]) in wanted:
                lines.append(line.decode("utf-8", "surrogateescape").rstrip("\n"))
                if len(lines) == _LISTED_LINES:
                    break
    return lines


def _entries(lines: list[str]) -> dict[str, list[str]]:
    return {fields[0]: fields[1:] for fields in (line.split("\t") for line in lines)}


def _sentence(path: str, here: list[str] | None, there: list[str] | None) -> str:
    name = printable(path)
    if here is None or there is None:
        return f"{name}: only on the {'target' if here is None else 'source'}."
    parted = [
        f"{field} {printable(a)[:40]} / {printable(b)[:40]}"
        for field, a, b in zip(files_walk.FIELDS, here, there, strict=True)
        if a != b
    ]
    return f"{name}: {', '.join(parted)} (source / target)."


def serve_rsync(account: Account, argv: list[str]) -> NoReturn:
    """Become the receiving end of the source's rsync, in the sandbox of the account's home. Never returns.

    Whatever path the source names, the account's home is written; options that it does not need are refused."""
    options = argv[2:-2]
    if argv[:2] != ["rsync", "--server"] or len(argv) < 4 or argv[-2] != ".":
        refuse("rsync_refused", "Only the receiving end of a copy can be started here.")
    for option in options:
        if not _SERVER_OPTION.fullmatch(option):
            refuse("rsync_refused", f"The rsync option {option!r} is not one that a move uses; update the agent.")
    files_sandbox.enter(account.home, writable=True)
    home = account.home.rstrip("/") + "/"
    own = ["--chmod=Fug-s,Du-s"]
    os.execve(
        "/usr/bin/rsync",
        ["rsync", "--server", *options, *own, ".", home],
        {"PATH": "/usr/bin", "LC_ALL": "C"},
    )


def require_rsync() -> None:
    """Refuse a server whose rsync follows customers' links as root (before 3.5.0)."""
    said = run(["rsync", "--version"]).stdout.decode(errors="replace")
    found = re.search(r"version (\d+)\.(\d+)\.(\d+)", said)
    if not found or tuple(map(int, found.groups())) < (3, 5, 0):
        version = found[0] if found else "unknown version"
        refuse("rsync_too_old", f"rsync here is {version}; install 3.5.0 or later (CVE-2026-53797 and others).")


def _settle(account: Account, args: dict[str, Any], stdin: Any) -> dict[str, Any]:
    """Target: make what was copied durable."""
    run(["sync", "--file-system", account.home], timeout=600)
    return {}


def _listed_verb(account: Account, args: dict[str, Any], stdin: Any) -> dict[str, Any]:
    return {"lines": listed(account, [int(part) for part in args["parts"]])}


PEER_VERBS = {"files_settle": _settle, "files_digest": as_peer_verb(digest), "files_listed": _listed_verb}


def discard(account: Account) -> None:
    """Forget what is known of the home's contents; the home itself goes with the Unix user."""
    for name in ("files.cache", "files.listing", "files.json"):
        Path(account.directory / name).unlink(missing_ok=True)


__all__ = [
    "PEER_VERBS",
    "Refused",
    "describe",
    "differences",
    "digest",
    "discard",
    "listed",
    "send",
    "serve_rsync",
]
