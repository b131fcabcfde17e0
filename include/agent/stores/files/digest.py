"""All of a tree compared with its copy: both are walked (`files_walk`), and only what differs is spoken of."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from typing import Any

from ...account.accounts import Account
from ...host import sandbox, walk_format
from ...host.digest import MOST, printable
from ...host.system import run
from ...layouts import reboot_lines
from ...verbs import peers as verbs
from . import mounted, trees, walk
from .changes import mapped
from .trees import Tree

# Parts of the digest asked for at once.
_AT_ONCE = 128
_SHOWN = 200
_NAMES = walk_format.FIELDS.index("hard links")


def describe(tree: Tree) -> dict[str, int]:
    """{"bytes", "files"} as the last digest found them (0 before the first)."""
    try:
        last = json.loads((tree.directory / "files.json").read_text())
    except (FileNotFoundError, ValueError):
        return {"bytes": 0, "files": 0}
    return {"bytes": last["bytes"], "files": last["files"]}


def digest(tree: Tree) -> dict[str, Any]:
    """What the tree holds: {"files", "bytes", "entries", "digest", "parts": [hashes]}, equal on both servers.

    Only files that changed since the last digest are read. Keys with `_` are no part of the comparison: `_left` is
    what a move leaves behind ({kind: {"count", "first": [paths]}}), `_listing` the file with a line an entry."""
    mounted.require_none(tree)
    tree.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    cache, listing = tree.directory / "files.hashes", tree.directory / "files.listing"
    began = time.monotonic()
    if mapped(tree):
        # A page that stays dirty keeps its file's times: written out, the next write to it shows again.
        run(["sync", "--file-system", *tree.folders], check=False, timeout=600)
    out = sandbox.call(tree.home, walk.__name__, request={"cache": str(cache), "listing": str(listing)})
    for path in (cache, listing):
        os.replace(f"{path}.new", path)
    result = json.loads(out)
    summary = {"files": result["files"], "bytes": result["bytes"]}
    (tree.directory / "files.json").write_text(json.dumps(summary))
    return result | {"_listing": str(listing), "_seconds": round(time.monotonic() - began, 3)}


def left_behind(account: Account) -> list[str]:
    """What a move or a test does not carry of the account's files as they are, in sentences; no content is read."""
    return [sentence for tree in trees.of(account) for sentence in left_of(tree)]


def left_of(tree: Tree) -> list[str]:
    """The same of one tree."""
    mounted.require_none(tree)
    left = json.loads(sandbox.call(tree.home, walk.__name__, request={}))["left"]
    return [*left_sentences(left), *left_of_cron(tree)]


def left_of_cron(tree: Tree) -> list[str]:
    """What cron starts at a boot and a move does not: it is told with the home."""
    return [] if tree.messages else reboot_lines.left_behind(tree.account)


def left_sentences(left: dict[str, dict[str, Any]]) -> list[str]:
    """`_left` of a digest, one sentence a kind."""
    return [
        f"Of the files, {entry['count']} ({kind}) are not carried as they are: {_shortened(entry['first'][0])}."
        for kind, entry in left.items()
    ]


def _shortened(path: str) -> str:
    shown = printable(path)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."


def differences(tree: Tree, peer: Any, mine: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """At most 20 sentences, each naming a path that differs and in what; both digests must be fresh."""
    sentences = []
    for path, line_here, line_there in differing(tree, peer, mine, theirs):
        sentences.append(sentence(path, line_here, line_there))
        if len(sentences) == MOST:
            break
    return sentences


def differing(
    tree: Tree, peer: Any, mine: dict[str, Any], theirs: dict[str, Any]
) -> Iterator[tuple[str, str | None, str | None]]:
    """(escaped path, the rest of its line on the source, and on the target), None where there is none."""
    if mine["digest"] == theirs["digest"]:
        return
    parts = [n for n in range(walk_format.BUCKETS) if mine["parts"][n] != theirs["parts"][n]]
    for start in range(0, len(parts), _AT_ONCE):
        batch = parts[start : start + _AT_ONCE]
        lines_here = _entries(listed(tree, batch))
        lines_there = _entries(peer.call(verbs.FilesListed(parts=batch, messages=tree.messages)).lines)
        for path in sorted({*lines_here, *lines_there}):
            if lines_here.get(path) != lines_there.get(path):
                yield path, lines_here.get(path), lines_there.get(path)


def listed(tree: Tree, parts: list[int]) -> list[str]:
    """The lines of the last digest's listing that belong to these parts."""
    buckets, lines = set(parts), []
    with open(tree.directory / "files.listing", "rb") as listing:
        for row in listing:
            line = row[row.index(b"\t") + 1 :]
            if walk.bucket_of(line[: line.index(b"\t")]) in buckets:
                lines.append(line.decode("utf-8", "surrogateescape").rstrip("\n"))
    return lines


def listed_paths(tree: Tree) -> Iterator[bytes]:
    """The paths of the last digest's listing."""
    with open(tree.directory / "files.listing", "rb") as listing:
        for row in listing:
            yield walk.unescaped(row.split(b"\t", 2)[1])


def _entries(lines: list[str]) -> dict[str, str]:
    return {path: rest for path, _, rest in (line.partition("\t") for line in lines)}


def sentence(path: str, line_here: str | None, line_there: str | None) -> str:
    """What differs between two lines of one path."""
    name = printable(path)
    if line_here is None or line_there is None:
        return f"{name}: only on the {'target' if line_here is None else 'source'}."
    parted = [
        f"{field} {printable(a)[:40]} / {printable(b)[:40]}"
        for field, a, b in zip(walk_format.FIELDS, line_here.split("\t"), line_there.split("\t"), strict=True)
        if a != b
    ]
    return f"{name}: {', '.join(parted)} (source / target)."


def without_names(rest: str | None) -> list[str]:
    """A line's rest but for the field that tells which other names a file has."""
    fields = rest.split("\t") if rest else []
    return fields[:_NAMES] + fields[_NAMES + 1 :]
