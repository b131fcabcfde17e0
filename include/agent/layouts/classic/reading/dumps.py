"""What the web servers say that they read and serve, beside what was read of them here: nothing may be missed."""

from __future__ import annotations

import re
from collections.abc import Iterable

from . import apache, nginx
from .asking import Answer
from .tree import Tree

_APACHE = ["apache2ctl", "-t", "-D", "DUMP_INCLUDES", "-D", "DUMP_VHOSTS"]
_NGINX = ["nginx", "-T"]
_INCLUDED = re.compile(r"^\s+\((?:\*|\d+)\) (/.+)$", re.MULTILINE)
_HOST = re.compile(r"\((/[^()]+:\d+)\)\s*$", re.MULTILINE)
_DUMPED = re.compile(r"^# configuration file (/.+):$", re.MULTILINE)


def note_missed(tree: Tree, ask: Answer, read: set[str], hosts: Iterable[str]) -> None:
    """`read`: the files that were read; `hosts`: where the virtual hosts that were found begin. A server that does not
    take its configuration says nothing here, and is told."""
    files: list[str] = []
    if tree.is_there(apache.MAIN):
        dump = _answer(tree, ask, _APACHE, "Apache")
        files += _INCLUDED.findall(dump)
        for place in sorted({*_HOST.findall(dump)} - {*hosts}):
            tree.notes.add(f"{place}: Apache has a site there that was not understood.")
    if tree.is_there(nginx.MAIN):
        files += _DUMPED.findall(_answer(tree, ask, _NGINX, "nginx"))
    for path in dict.fromkeys(files):
        if path not in read:
            tree.notes.add(f"{path} is read by the web server, and could not be read here.")


def _answer(tree: Tree, ask: Answer, argv: list[str], name: str) -> str:
    output = ask(argv)
    if output is None:
        tree.notes.add(
            f"{name} does not tell what it reads ({' '.join(argv)}); see why, since something may be missed."
        )
    return output or ""
