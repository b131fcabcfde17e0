"""The account `app`: the customer's own application on PostgreSQL, 200 MB in awkward tables of every kind."""

from __future__ import annotations

from lab.accounts.certificates import put_certificates
from lab.accounts.filling import CONTENT, Filled, Server, account_file, new_password

NAME, UID = "app", 2002
DATABASE = "app_main"
ROLE = "app"
REPORT_ROLE = "App Reader"


def fill(server: Server) -> Filled:
    """Creates and fills the account: the application answers on https://app.example/."""
    statement = account_file(NAME, UID, postgresql={"roles": [ROLE, REPORT_ROLE], "databases": [DATABASE]})
    passwords = {ROLE: new_password(), REPORT_ROLE: new_password()}
    put_certificates(server, statement)
    server.create(statement)

    root = f"{statement['home']}/{statement['sites'][0]['root']}"
    server.write_as(NAME, root, {"settings.php": _settings(passwords[ROLE])}, mode=0o600)
    pages = {page: (CONTENT / "app" / page).read_bytes() for page in ("index.php", "visit.php", "database.php")}
    server.write_as(NAME, root, pages)
    _psql(server, "postgres", _roles(passwords))
    # As the superuser that then becomes the account's role for good: everything is the account's own.
    _psql(server, DATABASE, (CONTENT / "app/schema.sql").read_text())
    _psql(server, DATABASE, (CONTENT / "app/rows.sql").read_text())

    filled = Filled(
        account=NAME,
        account_file=statement,
        look={
            "urls": [f"https://{NAME}.example/", f"https://{NAME}.example/?department=3"],
            "postgres_connection": "account_app_postgres",
        },
        connections=[
            {
                "conn_id": "account_app_postgres",
                "conn_type": "postgres",
                "host": f"{NAME}.example",
                "port": 5432,
                "login": REPORT_ROLE,
                "password": passwords[REPORT_ROLE],
                "schema": DATABASE,
            }
        ],
    )
    filled.save(server.state)
    return filled


def _psql(server: Server, database: str, script: str) -> None:
    argv = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", database, "-f", "-"]
    server.run_as("postgres", *argv, input=script)


def _roles(passwords: dict[str, str]) -> str:
    """SQL that makes the two roles and the account's database."""
    lines = [f"CREATE ROLE \"{role}\" LOGIN PASSWORD '{password}';" for role, password in passwords.items()]
    return "\n".join(
        [
            *lines,
            f"CREATE DATABASE {DATABASE} OWNER {ROLE};",
            f'GRANT CONNECT ON DATABASE {DATABASE} TO "{REPORT_ROLE}";',
            f"ALTER ROLE \"{REPORT_ROLE}\" SET statement_timeout = '60s';",
        ]
    )


def _settings(password: str) -> str:
    return (
        "<?php\n"
        "return ['host' => '127.0.0.1', "
        f"'database' => '{DATABASE}', 'user' => '{ROLE}', 'password' => '{password}'];\n"
    )
