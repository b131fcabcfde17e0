"""`python -m include.catalogue [FOLDER]`: validates every entry of the catalogue and says what it holds; ends with 1
and one sentence when something is wrong."""

from __future__ import annotations

import sys
from pathlib import Path

from include.catalogue import FOLDER, CatalogueError, Entry, load


def line(entry: Entry) -> str:
    """One entry in one line."""
    due = f"mandatory until {entry.deadline}" if entry.mandatory else "optional"
    checked = len(entry.checks())
    return (
        f"{entry.name}: {entry.title} ({entry.kind} {entry.from_version} -> {entry.to_version}, {due}),"
        f" {len(entry.incompatibilities)} incompatibilities, {checked} of them checked"
    )


def main(folder: Path) -> int:
    """Prints the lines, or what is wrong."""
    try:
        entries = load(folder)
    except CatalogueError as error:
        print(error, file=sys.stderr)
        return 1
    if not entries:
        print(f"{folder.name}: no entry is there: add one.", file=sys.stderr)
        return 1
    print("\n".join(line(entry) for entry in entries.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER))
