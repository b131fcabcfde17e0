"""`python -m include.inventory schema`: prints docs/inventory.schema.json."""

from __future__ import annotations

import argparse
import sys

from include.inventory import text


def main(argv: list[str] | None = None) -> int:
    """Run one command; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m include.inventory", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("schema", help="print docs/inventory.schema.json")
    parser.parse_args(argv)
    sys.stdout.write(text.schema())
    return 0


if __name__ == "__main__":
    sys.exit(main())
