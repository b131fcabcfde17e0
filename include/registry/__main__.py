"""`python -m include.registry upgrade DSN` and `python -m include.registry states`."""

import argparse
import sys

from include.registry import states
from include.registry.schema import upgrade


def main(argv: list[str] | None = None) -> int:
    """Run one command; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m include.registry", description="The registry's schema.")
    commands = parser.add_subparsers(dest="command", required=True)
    upgrading = commands.add_parser("upgrade", help="bring a database to the newest schema")
    upgrading.add_argument("dsn", help="libpq connection string, such as 'host=/run/postgresql dbname=registry'")
    commands.add_parser("states", help="print docs/states.md")
    arguments = parser.parse_args(argv)
    if arguments.command == "upgrade":
        upgrade(arguments.dsn)
    else:
        sys.stdout.write(states.page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
