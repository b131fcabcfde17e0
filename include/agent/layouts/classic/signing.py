"""OpenDKIM's tables, which say by which key whose mail is signed: a line each for a key that comes, or goes.

The tables are the host's and speak of all domains, so they are no extras. What a line says, the path of the key does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from . import config_files
from .reading.tree import Tree

_MAIN = "/etc/opendkim.conf"
_KEY = re.compile(r"/(?:[^/]+/)+([a-z0-9.-]+)/([A-Za-z0-9_-]+)\.private")


def listed(root: Path, key: str) -> Iterator[config_files.Undone]:
    """Have mail of the key's domain signed by it."""
    for table, name, line in _lines(root, key):
        text = Tree(root).text(table) or ""
        lines = text.splitlines()
        if not any(each.split()[:1] == [name] for each in lines):
            yield from config_files.edited(root, table, "".join(f"{each}\n" for each in (*lines, line)))


def unlisted(root: Path, key: str) -> Iterator[config_files.Undone]:
    """Have it no longer, if it was by that key."""
    for table, _, line in _lines(root, key):
        text = Tree(root).text(table) or ""
        rest = [each for each in text.splitlines() if each.split() != line.split()]
        if len(rest) < len(text.splitlines()):
            yield from config_files.edited(root, table, "".join(f"{each}\n" for each in rest))


def _lines(root: Path, key: str) -> Iterator[tuple[str, str, str]]:
    """Each table, what is looked up in it, and the line for that."""
    if not (named := _KEY.fullmatch(key)):
        return
    domain, selector = named.groups()
    settings = dict(re.findall(r"^(\w+)\s+(\S+)", Tree(root).text(_MAIN) or "", re.MULTILINE))
    kind, _, path = settings.get("SigningTable", "").rpartition(":")
    if path.startswith("/") and (keys := settings.get("KeyTable", "").rpartition(":")[2]).startswith("/"):
        signer = f"*@{domain}" if kind == "refile" else domain
        yield keys, f"{selector}._domainkey.{domain}", f"{selector}._domainkey.{domain} {domain}:{selector}:{key}"
        yield path, signer, f"{signer} {selector}._domainkey.{domain}"
