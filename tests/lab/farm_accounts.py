"""The accounts of the farm, and what is in them."""

from __future__ import annotations

import smtplib
from collections.abc import Callable
from typing import Any

from lab import topology
from lab.accounts.filling import Filled, Server, account_file, new_password, password_hash
from lab.demo import stage
from tests.lab.waiting import wait_for

MAILBOX = "info@meadow.example"
PAGE = """<?php
if (isset($_POST["n"])) {{
    $n = (int) $_POST["n"];
    {write}
}}
echo "<title>{name}</title>\\n", gethostname(), " ", PHP_VERSION, "\\n<p>A shepherd counts the sheep when the sun goes
    down behind the hills, and again when it rises over the pond, and finds that none of them is missing.</p>";
"""
INTO_FILE = 'file_put_contents(dirname(__DIR__) . "/visits", "$n\\n", FILE_APPEND | LOCK_EX);'
INTO_TABLE = (
    '(new PDO("{driver}:host=127.0.0.1;dbname={name}", "{name}", "{password}"))'
    '->prepare("INSERT INTO visits VALUES (?)")->execute([$n]);'
)
TABLES = """
CREATE TABLE visits (n integer);
CREATE TABLE notes (id integer PRIMARY KEY, note varchar(100));
INSERT INTO notes {rows};
"""


def of_files(server: Server, name: str, uid: int) -> Filled:
    """An account without a database: visitors write into a file."""
    statement = account_file(name, uid)
    server.create(statement)
    _site(server, name, INTO_FILE)
    return Filled(name, statement, {"urls": [f"http://{name}.example/"]}, [])


def orchard(server: Server) -> Filled:
    """An account on PostgreSQL."""
    password = new_password()
    statement = account_file("orchard", 2301, postgresql={"roles": ["orchard"], "databases": ["orchard"]})
    server.create(statement)
    _site(server, "orchard", INTO_TABLE.format(driver="pgsql", name="orchard", password=password))
    psql = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-"]
    make = f"CREATE ROLE orchard LOGIN PASSWORD '{password}'; CREATE DATABASE orchard OWNER orchard;"
    server.run_as("postgres", *psql, input=make.replace("; ", ";\n"))
    rows = "SELECT g, 'note ' || md5(g::text) FROM generate_series(1, 300) g"
    tables = "SET ROLE orchard;" + TABLES.format(rows=rows)
    server.run_as("postgres", *psql, "-d", "orchard", input=tables)
    return filled(statement, "postgres", 5432, password)


def meadow(server: Server, mail_password: str, arrived: Callable[[], int]) -> Filled:
    """An account on MariaDB, with a crontab, and five mails in a mailbox of this password. `arrived`: how many mails
    it has."""
    password = new_password()
    statement = account_file(
        "meadow",
        2302,
        mariadb={"users": [{"user": "meadow", "host": "%"}], "databases": ["meadow"]},
        mail={
            "domains": ["meadow.example"],
            "mailboxes": [{"address": MAILBOX, "password_hash": password_hash(mail_password)}],
        },
    )
    server.create(statement)
    # Large enough to be caught while it is copied.
    _site(server, "meadow", INTO_TABLE.format(driver="mysql", name="meadow", password=password), 200)
    rows = "SELECT seq, CONCAT('note ', MD5(seq)) FROM seq_1_to_300"
    make = f"CREATE DATABASE meadow; CREATE USER meadow@'%' IDENTIFIED BY '{password}';"
    make += f"GRANT ALL ON meadow.* TO meadow@'%'; USE meadow; {TABLES.format(rows=rows)}"
    server.run("mariadb", "--batch", input=make)
    server.run("crontab", "-u", "meadow", "-", input="17 3 * * * true\n")
    with smtplib.SMTP(topology.server(stage.ORIGINAL).spec.management_address, 25, timeout=20) as smtp:
        for number in range(5):
            smtp.sendmail("visitor@visitors.example", [MAILBOX], f"Subject: mail {number}\r\n\r\nhello\r\n")
    wait_for(lambda: arrived() == 5, 20, "five mails have arrived")
    made = filled(statement, "mysql", 3306, password)
    login = {"login": MAILBOX, "password": mail_password}
    made.connections.append({"conn_id": "meadow_imap", "conn_type": "generic", "port": 143, **login})
    made.look["imap"] = [{"connection": "meadow_imap", "mailboxes": ["INBOX"]}]
    return made


def filled(statement: dict[str, Any], kind: str, port: int, password: str) -> Filled:
    """How an account with a database is looked at: by its own user, and at its page."""
    name = statement["account"]
    known = {"conn_type": kind, "port": port, "login": name, "password": password, "schema": name}
    look = {"urls": [f"http://{name}.example/"], f"{kind}_connection": f"{name}_database"}
    return Filled(name, statement, look, [{"conn_id": f"{name}_database", "host": f"{name}.example", **known}])


def _site(server: Server, name: str, write: str, megabytes: int = 1) -> None:
    server.write_as(name, f"/home/{name}/public_html", {"index.php": PAGE.format(name=name, write=write)})
    server.write_as(name, f"/home/{name}/data", {f"note {i}": f"{name} {i}\n" * i for i in range(100)})
    ballast = ["dd", "if=/dev/urandom", f"of=/home/{name}/data/ballast", "bs=1M", f"count={megabytes}"]
    server.run_as(name, *ballast)
