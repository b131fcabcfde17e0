"""What hostile customers and a hostile other server try on a real MariaDB, without a server: run as root in the
namespaces of a base tree (`base_tree.run`), on the agent's own functions."""

from __future__ import annotations

import io
import json
import os
import subprocess
import time
from typing import Any

from include.agent.account.accounts import Account
from include.agent.host import kept
from include.agent.host.codec import plain
from include.agent.host.system import Refused
from include.agent.stores.mariadb import changes, definers, definition, follower, restore, sql, write
from include.agent.stores.mariadb import load as mariadb_load
from include.agent.stores.mariadb import print as mariadb_print
from include.agent.stores.mariadb.store import MARIADB
from include.agent.stores.mariadb.users import pending_path
from include.agent.verbs import mariadb as verbs
from include.agent.verbs.verb import Asking

_CONFIG = """[mariadbd]
log_bin = bin
binlog_format = ROW
lower_case_table_names = 0
innodb_buffer_pool_size = 64M
innodb_log_file_size = 16M
"""
# What each client's character set has of these; and what comes after, which is no part of a name to whoever reads a
# letter's last byte and the quote as one.
_LETTERS, _TAILS = "丁功ソéñЖ", ("` RENAME TO bdb.evil ENABLE #", "x", "\\")
_OBJECTS = (
    ("e", "CREATE EVENT {} ON SCHEDULE EVERY 1 DAY DO SET @a = 'x'//"),
    ("p", "CREATE PROCEDURE {}() SELECT 1//"),
    ("v", "CREATE VIEW {} AS SELECT 1 AS a//"),
    ("g", "CREATE TRIGGER {} BEFORE INSERT ON t FOR EACH ROW SET @a = 1//"),
    ("k", "CREATE PACKAGE {} AS PROCEDURE a(); END//"),
)
_LISTED = (
    "SELECT EVENT_SCHEMA, EVENT_NAME, 'EVENT', STATUS, CHARACTER_SET_CLIENT, COLLATION_CONNECTION, DATABASE_COLLATION,"
    " CREATED FROM information_schema.EVENTS",
    "SELECT db, name, type, character_set_client FROM mysql.proc WHERE db IN ('adb', 'bdb')",
    "SELECT TABLE_SCHEMA, TABLE_NAME, 'VIEW', CHARACTER_SET_CLIENT FROM information_schema.VIEWS WHERE TABLE_SCHEMA IN"
    " ('adb', 'bdb')",
    "SELECT TRIGGER_SCHEMA, TRIGGER_NAME, 'TRIGGER', CHARACTER_SET_CLIENT FROM information_schema.TRIGGERS WHERE"
    " TRIGGER_SCHEMA IN ('adb', 'bdb')",
)


def start() -> Account:
    """A server with databases of alice and of bob; alice's account."""
    with open("/etc/mysql/mariadb.conf.d/99-tries.cnf", "w") as file:
        file.write(_CONFIG)
    subprocess.run(["rm", "-rf", "/var/lib/mysql"], check=True)
    for directory in ("/var/lib/mysql", "/run/mysqld"):
        os.makedirs(directory, exist_ok=True)
        subprocess.run(["chown", "mysql:mysql", directory], check=True)
    made = ["mariadb-install-db", "--user=mysql", "--datadir=/var/lib/mysql", "--skip-test-db"]
    subprocess.run(made, check=True, capture_output=True)
    subprocess.Popen(["mariadbd", "--user=mysql"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while subprocess.run(["mariadb", "-e", "DO 0"], capture_output=True).returncode and time.monotonic() < end:
        time.sleep(0.2)
    subprocess.run(["groupadd", "-g", "1500", "alice"], check=True)
    subprocess.run(["useradd", "-u", "1500", "-g", "1500", "-M", "alice"], check=True)
    for user in ("alice", "bob"):
        sql.queries(
            [
                f"CREATE DATABASE {user[0]}db CHARACTER SET utf8mb4",
                f"CREATE USER {user}@localhost IDENTIFIED BY 'x'",
                f"GRANT ALL ON {user[0]}db.* TO {user}@localhost",
            ]
        )
    account = {"account": "alice", "uid": 1500, "gid": 1500, "home": "/home/alice"}
    account["mariadb"] = {"users": [{"user": "alice", "host": "localhost"}], "databases": ["adb"]}
    alice = Account.from_json(account)
    alice.directory.mkdir(parents=True, exist_ok=True)
    return alice


def _as(user: str, text: bytes, *more: str) -> bool:
    argv = ["mariadb", "--no-defaults", "--comments", "-u", user, "-px", "--delimiter=//", *more, f"{user[0]}db"]
    return subprocess.run(argv, input=text, capture_output=True).returncode == 0


def _listed() -> list[list[Any]]:
    rows = [row for statement in _LISTED for row in sql.queries([_selected(statement)])[0]]
    return sorted(rows, key=str)


def _selected(statement: str) -> str:
    columns, _, rest = statement.removeprefix("SELECT ").partition(" FROM ")
    return sql.select(columns.split(", "), f"FROM {rest}")


def names_in_every_set(alice: Account) -> dict[str, Any]:
    """Events, routines, views, triggers and packages with awkward names, made by clients of every character set: held,
    let go, and made anew as a target makes them."""
    (sets,) = sql.queries(
        [
            sql.select(
                ["CHARACTER_SET_NAME"],
                "FROM information_schema.CHARACTER_SETS WHERE CHARACTER_SET_NAME NOT IN"
                " ('ucs2', 'utf16', 'utf16le', 'utf32', 'binary')",
            )
        ]
    )
    sql.queries(["CREATE TABLE adb.t (a int)"])
    made = 0
    for charset in [str(row[0]) for row in sets]:
        ((known,),) = sql.query([f"CONVERT(CONVERT(_utf8mb4 '{_LETTERS}' USING {charset}) USING utf8mb4)"], "")
        letters = [letter for letter in str(known) if letter != "?"][:2] or ["a"]
        for number, (letter, tail) in enumerate((one, tail) for one in letters for tail in _TAILS):
            script = f"SET NAMES {charset}//".encode()
            for kind, statement in _OBJECTS:
                text = statement.format(sql.ident(f"{kind}{charset}{number}{letter}{tail}"))
                mode = "SET sql_mode = 'ORACLE'//" if kind == "k" else "SET sql_mode = ''//"
                coded = f"HEX(CONVERT({sql.literal(mode + text)} USING {charset}))"
                script += bytes.fromhex(str(sql.query([coded], "")[0][0]))
            _as("alice", script, "--force")
    before = _listed()
    made = len(before)
    MARIADB.hold(alice)
    held = _listed()
    MARIADB.unhold(alice)
    after = _listed()
    heirs, items, refused = definers.heirs(alice), [], []
    for item in definition.listed_objects(alice):
        try:
            definition.refuse_unmovable(alice, item, heirs)
            items.append(item)
        except Refused as error:
            refused.append([item["kind"], error.message])
    items = definition.with_statements(alice, items)
    sql.queries(["DROP DATABASE adb", "CREATE DATABASE adb CHARACTER SET utf8mb4", "CREATE TABLE adb.t (a int)"])
    databases = {"adb": {"collation": "utf8mb4_general_ci"}}
    pending_path(alice).write_text(json.dumps({"databases": databases, "users": [], "roles": []}))
    failed = restore.make_most(alice, [restore.checked(alice, item) for item in items])
    there = _listed()
    return {
        "made": made,
        "running in the hold": [row for row in held if row[3] == "ENABLED"],
        "same after it": before == after,
        "refused": sorted({kind for kind, _ in refused}),
        "said": refused[0][1],
        "failed": [[item["name"], why] for item, why in failed],
        "wanted": sorted([item["database"], item["name"], item["kind"], item["charset"]] for item in items),
        "there": sorted([row[0], row[1], row[2], row[4] if row[2] == "EVENT" else row[3]] for row in there),
        "running there": [row for row in there if row[3] == "ENABLED"],
    }


def a_neighbours_statements(alice: Account) -> dict[str, Any]:
    """bob words alice's names wherever he may, as definitions of his own; then alice empties and swaps tables."""
    tables = "posts (id int PRIMARY KEY, t text)", "users (id int) ENGINE=MyISAM", "others (id int) ENGINE=MyISAM"
    sql.queries([f"CREATE TABLE adb.{table}" for table in tables])
    sql.queries(["INSERT INTO adb.posts VALUES (1, 'x')", "INSERT INTO adb.others VALUES (2)"])
    time.sleep(3.1)  # a table of MyISAM that is younger is another at every look

    def found(start: changes.Position) -> tuple[bool, list[str], dict[Any, str]]:
        seen = changes.window(alice, start, changes.position_now(), {})
        texts = [text.decode("latin1")[:60] for text in seen.statements]
        return seen.as_statements, texts, mariadb_print.prints(alice, ["adb"])[0]

    start = changes.position_now()
    _, _, before = found(start)
    worded = [
        b"CREATE TABLE x1 (a int) COMMENT 'adb posts users'//",
        b"CREATE /* adb.posts */ TABLE x2 (a int)//",
        b"SET NAMES latin1//\xa0CREATE TABLE x3 (adb int, posts int)//",
        b"/*!50000 CREATE*/ TABLE x4 (a int COMMENT 'adb.posts')//",
        b"CREATE TABLE adb (posts int, c int AS (adb.posts + 1), users int)//",
        b"CREATE PROCEDURE p() TRUNCATE adb.posts//",
        b"CREATE EVENT e ON SCHEDULE EVERY 1 DAY DISABLE DO DROP TABLE adb.posts//",
        b"CREATE /* gbk */ TABLE x5 (a int) COMMENT '\xb8\x5c\x5c\x27, RENAME TO adb.posts -- '//",
        b"SET sql_mode = 'NO_BACKSLASH_ESCAPES'//CREATE TABLE x6 (a int) COMMENT 'adb\\'//",
        b"ANALYZE TABLE x1 /* adb.users */// OPTIMIZE TABLE x1 /* adb.users *///",
        b"DROP TABLE IF EXISTS adb.posts//",
        b"TRUNCATE adb.users//",
    ]
    done = [_as("bob", text, *(["--default-character-set=gbk"] if b"gbk" in text else [])) for text in worded]
    as_statements, texts, by_bob = found(start)
    by_alice = []
    for text in (b"TRUNCATE posts//", b"RENAME TABLE users TO s, others TO users, s TO others//"):
        was = found(start)[2]
        _as("alice", text)
        now = found(start)[2]
        by_alice.append(sorted(name for (_, name), known in now.items() if was.get(("adb", name)) != known))
    return {
        "done": done,
        "named": len(texts),
        "as statements": as_statements,
        "by bob": [name for (_, name), known in by_bob.items() if before.get(("adb", name)) != known],
        "by alice": by_alice,
    }


def a_load_and_a_question_at_once(alice: Account) -> dict[str, Any]:
    """A hostile source loads rows and asks for the power that the loading session has for a moment."""
    sql.queries(["CREATE TABLE adb.l (id int PRIMARY KEY, t longtext)"])
    read_end, write_end = os.pipe()
    loaded: list[Any] = []
    taken: list[Any] = []

    def load() -> None:
        want = verbs.Load(database="adb", table="l", columns=[["id", None], ["t", None]])
        loaded.append(plain(mariadb_load._load(alice, want, Asking("m", os.fdopen(read_end, "rb")))))

    role = f"th_quiet_{alice.name}"
    asking = f"BEGIN NOT ATOMIC DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END; SET ROLE {role}; END"
    session = sql.Session(follower.login(alice, follower.WRITING))
    loading = kept.thread(load)
    loading.start()
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        rows = session.run([asking, sql.select(["CURRENT_ROLE()"], "")])
        if rows[1][0][0] is not None:
            taken.append(rows[1][0][0])
    os.write(write_end, b"1\tx\n")
    os.close(write_end)
    loading.join()
    refused = []
    for statement in ("SET GLOBAL binlog_format = 'STATEMENT'", "SET SESSION sql_log_bin = 0", "FLUSH BINARY LOGS"):
        try:
            write._run(alice, verbs.Run(statements=[statement]), Asking("m", io.BytesIO()))
        except Refused as error:
            refused.append("Access denied" in error.message)
    ((logged,),) = sql.query(["COUNT(*)"], "FROM adb.l")
    return {"loaded": loaded, "rows": logged, "taken": taken, "refused": refused}
