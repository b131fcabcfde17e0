"""`python -m include.inventory ansible FILE` and `... netbox FILE`: a document out of what these tools know, with a
comment on each thing that has to be filled in. `... schema`: docs/inventory.schema.json."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from include.inventory import ansible, netbox, text

CONVERTERS = {
    "ansible": (ansible.convert, "what ansible-inventory --list prints, or an inventory in YAML; - is standard input"),
    "netbox": (netbox.convert, "the answer of /api/dcim/devices/?limit=0, or the export as CSV; - is standard input"),
}


def main(argv: list[str] | None = None) -> int:
    """Run one command; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m include.inventory", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (_, source) in CONVERTERS.items():
        commands.add_parser(name, help="print a document").add_argument("file", help=source)
    commands.add_parser("schema", help="print docs/inventory.schema.json")
    arguments = parser.parse_args(argv)
    if arguments.command == "schema":
        sys.stdout.write(text.schema())
        return 0
    convert, _ = CONVERTERS[arguments.command]
    try:
        source = sys.stdin.read() if arguments.file == "-" else Path(arguments.file).read_text(encoding="utf-8-sig")
        sys.stdout.write(convert(source))
    except (text.InventoryError, OSError, UnicodeError) as error:
        print(f"{arguments.file}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
