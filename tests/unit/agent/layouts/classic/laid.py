"""A server's files in a folder, as its root would lay them: nobody else may write them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from include.agent.layouts.classic.reading.tree import Tree

TREES = Path(__file__).with_name("trees")


def laid(folder: Path, name: str | None = None, **files: str) -> Tree:
    """One of the trees beside this, and further files by their path."""
    root = folder / "server"
    if name:
        shutil.copytree(TREES / name, root, symlinks=True)
    for path, text in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")
    for at, folders, names in os.walk(root):
        for each in (at, *(os.path.join(at, one) for one in (*folders, *names))):
            if not os.path.islink(each):
                os.chmod(each, os.stat(each).st_mode & ~0o022)
    return Tree(root)


def silent(argv: list[str], **_: object) -> str | None:
    """What a server answers of which only the web servers run, and tell nothing new."""
    return "" if argv[0] in ("apache2ctl", "nginx") else None
