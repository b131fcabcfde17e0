"""The account `legacy`: a shop written for the PHP, the Python and the databases of long ago.

It is what the compatibility checks are tried on: each thing that they look for is in it, beside much that only looks
like it. It works on infrastructure 2022 as far as its front page goes.
"""

from __future__ import annotations

import re

from lab.accounts.certificates import put_certificates
from lab.accounts.filling import CONTENT, Filled, Server, account_file, new_password

NAME, UID = "legacy", 2004
SHOP, STATS = "legacy_shop", "legacy_stats"
_CONTENT = CONTENT / "legacy"
_SERVICE = "198.51.100."


def fill(server: Server) -> Filled:
    """Creates and fills the account: its shop answers on https://legacy.example/."""
    statement = account_file(
        NAME,
        UID,
        postgresql={"roles": [NAME], "databases": [STATS]},
        mariadb={"users": [{"user": NAME, "host": "localhost"}], "databases": [SHOP]},
    )
    passwords = {"mariadb": new_password(), "postgresql": new_password()}
    put_certificates(server, statement)
    server.create(statement)

    address, home = _address(server), statement["home"]
    site = {str(path.relative_to(_CONTENT / "site")): path for path in sorted((_CONTENT / "site").rglob("*"))}
    root = f"{home}/{statement['sites'][0]['root']}"
    server.write_as(NAME, root, {name: path.read_bytes() for name, path in site.items() if path.is_file()})
    server.write_as(NAME, f"{root}/lib", {"settings.php": _settings(passwords, address)}, mode=0o600)
    programs = {f"bin/{path.name}": path.read_bytes() for path in sorted((_CONTENT / "home/bin").iterdir())}
    server.write_as(NAME, home, programs, mode=0o755)
    server.run_as(NAME, "python3", "-m", "venv", "--without-pip", f"{home}/venv")
    server.run("crontab", "-u", NAME, "-", input=f"30 2 * * * {home}/venv/bin/python {home}/bin/report.py {address}\n")

    shop = (_CONTENT / "shop.sql").read_text().replace("@ADDRESS@", address)
    server.run("mariadb", "--batch", input=_shop(passwords["mariadb"]))
    server.run("mariadb", "--batch", "--default-character-set=utf8mb4", SHOP, input=shop)
    stats = (_CONTENT / "stats.sql").read_text().replace("@ADDRESS@", address)
    psql = ("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-")
    server.run_as("postgres", *psql, "-d", "postgres", input=_stats(passwords["postgresql"]))
    server.run_as("postgres", *psql, "-d", STATS, input=_extension_first(stats))

    filled = Filled(account=NAME, account_file=statement, look={"urls": [f"https://{NAME}.example/"]})
    filled.save(server.state)
    return filled


def _address(server: Server) -> str:
    """The server's own address, as such accounts have it in their files."""
    addresses = re.findall(r"inet ([0-9.]+)/", server.run("ip", "-4", "-o", "address", "show").decode())
    return next((address for address in addresses if address.startswith(_SERVICE)), addresses[-1])


def _settings(passwords: dict[str, str], address: str) -> str:
    return (
        "<?php\n"
        "// Moved here from 10.0.0.1; never from 1.@A@ or @A@7.\n"
        "function legacy_settings()\n{\n"
        f"    return ['user' => '{NAME}', 'mariadb' => '{passwords['mariadb']}',\n"
        f"        'postgresql' => '{passwords['postgresql']}', 'callback' => 'http://@A@:8080/paid'];\n"
        "}\n"
    ).replace("@A@", address)


def _shop(password: str) -> str:
    name, database = f"'{NAME}'@'localhost'", SHOP.replace("_", r"\_")
    return (
        f"CREATE DATABASE `{SHOP}` CHARACTER SET utf8mb4;\n"
        f"CREATE USER {name} IDENTIFIED BY '{password}';\n"
        f"GRANT ALL PRIVILEGES ON `{database}`.* TO {name};\n"
    )


def _stats(password: str) -> str:
    return (
        f"CREATE ROLE {NAME} LOGIN PASSWORD '{password}';\n"
        f"CREATE DATABASE {STATS} OWNER {NAME};\n"
        f"ALTER ROLE {NAME} IN DATABASE {STATS} SET force_parallel_mode = 'off';\n"
        f"ALTER ROLE {NAME} SET statement_timeout = '60s';\n"
    )


def _extension_first(script: str) -> str:
    """The superuser makes the extension, and the account's role all that follows it."""
    return script.replace("CREATE EXTENSION adminpack;\n", f"CREATE EXTENSION adminpack;\nSET ROLE {NAME};\n")
