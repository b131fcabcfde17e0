"""A host's own servers: Debian's packages set up by a plain script (`install`), and customers put on them by another
(`fill`). Nothing here is ours, and nothing here knows of us."""

from __future__ import annotations

import hashlib
from pathlib import Path

FOLDER = Path(__file__).parent


def digest() -> str:
    """Of whatever `install` makes a server of."""
    files = [FOLDER / "install", FOLDER / "mail.sql", *sorted((FOLDER / "files").rglob("*"))]
    contents = [(str(path.relative_to(FOLDER)), path.read_bytes()) for path in files if path.is_file()]
    return hashlib.sha256(repr(contents).encode()).hexdigest()
