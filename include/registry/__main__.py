"""`python -m include.registry upgrade DSN`, `... confirm DSN ACCOUNT --by NAME` and `... states`."""

import argparse
import sys

import psycopg

from include.registry import RegistryRefused, confirm_account, states_page
from include.registry.schema import upgrade


def main(argv: list[str] | None = None) -> int:
    """Run one command; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m include.registry", description="The registry's schema.")
    commands = parser.add_subparsers(dest="command", required=True)
    upgrading = commands.add_parser("upgrade", help="bring a database to the newest schema")
    upgrading.add_argument("dsn", help="libpq connection string, such as 'host=/run/postgresql dbname=registry'")
    confirming = commands.add_parser("confirm", help="believe what a server says now of an account's uid and mail")
    confirming.add_argument("dsn", help="libpq connection string of the registry")
    confirming.add_argument("account")
    confirming.add_argument("--by", required=True, help="who has found out that it is right")
    commands.add_parser("states", help="print docs/states.md")
    arguments = parser.parse_args(argv)
    if arguments.command == "upgrade":
        upgrade(arguments.dsn)
    elif arguments.command == "confirm":
        with psycopg.connect(arguments.dsn) as conn:
            try:
                print(confirm_account(conn, arguments.account, arguments.by).stated)
            except RegistryRefused as error:
                parser.exit(1, f"{error}\n")
    else:
        sys.stdout.write(states_page.page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
