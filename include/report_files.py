"""Files of the reports' folder, replaced whole: who reads one meanwhile gets the old or the new one."""

from __future__ import annotations

import os
from pathlib import Path


def put(folder: Path, name: str, text: str) -> Path:
    """Writes a report in place of an earlier one of that name; gives its path. The folder is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    fresh = folder / f"{name}.new"
    fresh.write_text(text)
    os.replace(fresh, path)
    return path
