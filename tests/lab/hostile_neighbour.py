"""A neighbour on a server of an account that moves: what he may do beside it, each as fast as he can, until stopped.

Names in character sets in which a letter ends in a quote, statements that word the other's tables, roles and databases
that change all the while, transactions left open, chains of processes, sockets that pretend to be the other's.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from include.agent import verbs
from tests.lab.agents import Side, account_file

# In namespaces of its own a customer binds any path, and has connections there that never end.
PRETENDED = b"""
import ctypes, os, socket, sys, time
libc = ctypes.CDLL(None, use_errno=True)
uid, gid = os.getuid(), os.getgid()
assert libc.unshare(0x10000000 | 0x20000) == 0, ctypes.get_errno()
for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
    with open(f"/proc/self/{name}", "w") as file:
        file.write(text)
libc.mount(None, b"/", None, 16384 | 1 << 18, None)
for place in (b"/home", b"/run"):
    assert libc.mount(b"t", place, b"tmpfs", 0, None) == 0
kept, other, more = [], sys.argv[1], sys.argv[2:]
for path in (f"/home/{other}/app.sock", f"/run/transhumance-web/{other}.app", f"/run/transhumance-web/{other}.php"):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen(50)
    for _ in range(3):
        client = socket.socket(socket.AF_UNIX)
        client.connect(path)
        kept += [client, server.accept()[0] if len(kept) % 2 else None]
    kept.append(server)
print("bound", flush=True)
while more:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        server.accept()[0].close()
time.sleep(600)
"""
# The parent is gone before anybody has looked at it; every link of the chain puts another link in its socket's place.
_CHAINS = b"""
import os, sys
home, places, number = os.path.expanduser("~"), ("/run/haproxy/admin.sock", f"/home/{sys.argv[1]}/app.sock"), 0
if os.fork() == 0:
    while True:
        if os.fork():
            os._exit(0)
        number += 1
        link = f"{home}/link-{os.getpid()}"
        os.symlink(places[number % 2], link)
        os.replace(link, f"{home}/app.sock")
import time
time.sleep(600)
"""
_MARIADB = r"""
import itertools, sys
other, write = sys.argv[1], sys.stdout.buffer.write
sets = [("gbk", "\u4e01\u529f"), ("big5", "\u529f\u8a31"), ("sjis", "\u30bd\u8868"), ("cp932", "\u30bd")]
sets.append(("latin1", "\xe9"))
tables = ["visit", "item_1", "item_2", "item_3", "item_4"]
def say(text, charset="utf8mb4"):
    coded = {"utf8mb4": "utf-8", "sjis": "cp932"}.get(charset, charset)
    write(f"SET NAMES {charset}//\n".encode() + text.encode(coded) + b"//\n")
for number in itertools.count():
    charset, letters = sets[number % len(sets)]
    letter = letters[number // len(sets) % len(letters)]
    named = f"e{charset}{letter}`` RENAME TO {other}.evil ENABLE #"
    say(f"CREATE OR REPLACE EVENT `{named}` ON SCHEDULE EVERY 1 DAY DO SET @a = '{letter}'", charset)
    say(f"CREATE OR REPLACE VIEW `v{letter}\\` AS SELECT '{letter}' AS `{letter}`", charset)
    say(f"CREATE OR REPLACE TABLE `t{letter}` (a int COMMENT '{letter}, RENAME TO {other}.visit -- ')", charset)
    say(f"DROP EVENT `{named}`", charset)
    for table in tables:
        say(f"CREATE OR REPLACE TABLE x (a int) COMMENT '{other} {other}.{table} `{other}`.`{table}`'")
        say(f"CREATE OR REPLACE /* TRUNCATE {other}.{table} */ TABLE {table} ({other} int, {table} int)")
        say(f"INSERT INTO {table} VALUES ({number}, 1) /* {other}.{table} */")
        say(f"TRUNCATE {table}")
        say(f"DROP TABLE IF EXISTS {other}.{table}")
        say(f"TRUNCATE {other}.{table}")
        say(f"ANALYZE TABLE {table} /* {other}.{table} */")
"""
_POSTGRESQL = r"""
import itertools, sys
name, other = sys.argv[1:]
for number in itertools.count():
    print(f"ALTER ROLE {name} PASSWORD 'secret'; ALTER ROLE {name} SET work_mem = '{number % 9 + 1}MB';")
    print(f"ALTER DATABASE {name} CONNECTION LIMIT {number % 9 + 40}; ALTER DATABASE {other} CONNECTION LIMIT -1;")
    print(f"CREATE TABLE IF NOT EXISTS visit (id int); ALTER TABLE visit ADD COLUMN c{number} text;")
    print(f"COMMENT ON TABLE visit IS '{other}.visit'; TRUNCATE visit; DROP TABLE visit;")
    print(f"GRANT ALL ON DATABASE {name} TO {other}; REVOKE ALL ON DATABASE {name} FROM {other};")
"""
# It has written, and does nothing for a while; again and again.
_OPEN = r"""
import itertools, sys, time
for number in itertools.count():
    print("BEGIN; SELECT pg_current_xact_id();", flush=True)
    time.sleep(float(sys.argv[1]))
    print("ROLLBACK;", flush=True)
"""
_MARIADB_CLIENT = "mariadb --no-defaults --force --delimiter=// -u {name} -psecret {name}"
_POSTGRESQL_CLIENT = "psql -Xq 'host=127.0.0.1 user={name} password=secret dbname={name}'"


class Neighbour:
    """A customer of a server, with a database in each engine."""

    def __init__(self, here: Side, name: str, uid: int) -> None:
        self.here, self.name, self.uid = here, name, uid
        statement = account_file(name, uid)
        statement["postgresql"] = {"roles": [name], "databases": [name]}
        statement["mariadb"] = {"users": [{"user": name, "host": "localhost"}], "databases": [name]}
        here.host.call(verbs.Create(account_file=statement))
        as_postgres = ("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups")
        made = f"CREATE ROLE {name} LOGIN PASSWORD 'secret';\nCREATE DATABASE {name} OWNER {name};\n"
        here.root(*as_postgres, "psql", "-Xq", "-v", "ON_ERROR_STOP=1", stdin=made.encode())
        made = f"CREATE DATABASE {name}; CREATE USER {name}@localhost IDENTIFIED BY 'secret';"
        here.root("mariadb", "-e", f"{made} GRANT ALL ON {name}.* TO {name}@localhost;")

    @contextmanager
    def beside(self, other: str) -> Iterator[dict[str, int]]:
        """All of it, while the block lasts; afterwards, how often something of each kind was done."""
        mariadb = _MARIADB_CLIENT.format(name=self.name)
        postgresql = _POSTGRESQL_CLIENT.format(name=self.name)
        works = {
            "chains-1": ("python3 - " + other, _CHAINS),
            "chains-2": ("python3 - " + other, _CHAINS),
            "sockets": (f"python3 - {other} again", PRETENDED),
            "mariadb": (f"python3 - {other} | {mariadb}", _MARIADB.encode()),
            "postgresql": (f"python3 - {self.name} {other} | {postgresql}", _POSTGRESQL.encode()),
            "open-1": (f"python3 - 1 | {postgresql}", _OPEN.encode()),
            "open-2": (f"python3 - 1.5 | {postgresql}", _OPEN.encode()),
        }
        before, done = self._done(), dict[str, int]()
        for work, (command, program) in works.items():
            place = f"/run/{self.name}-{work}.py"
            self.here.root("tee", place, stdin=program)
            ids = (f"--uid={self.uid}", f"--gid={self.uid}", f"--slice=user-{self.uid}.slice")
            unit = (f"--unit={self.name}-{work}", f"--setenv=HOME=/home/{self.name}", "--setenv=PYTHONUNBUFFERED=")
            self.here.root(
                *("systemd-run", "--quiet", "--collect", *ids, *unit, "sh", "-c"),
                command.replace("python3 -", f"python3 {place}", 1) + " >/dev/null 2>&1",
            )
        try:
            time.sleep(0.5)
            yield done
        finally:
            for kind, count in self._done().items():
                done[kind] = count - before[kind]
            units = [f"{self.name}-{work}" for work in works]
            running = self.here.root("systemctl", "is-active", *units, check=False).split()
            done["running"] = running.count("active")
            self.here.root("systemctl", "kill", "--signal=SIGKILL", *units, check=False)
            self.here.root("systemctl", "stop", *units, check=False)

    def _done(self) -> dict[str, int]:
        """Counts that grow with what he does: statements of each engine, processes."""
        mariadb = "SELECT SUM(VARIABLE_VALUE) FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME IN"
        mariadb += " ('COM_CREATE_TABLE', 'COM_CREATE_EVENT', 'COM_DROP_TABLE', 'COM_TRUNCATE', 'COM_CREATE_VIEW')"
        postgresql = f"SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = '{self.name}'"
        as_postgres = ("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups")
        processes = next(line for line in self.here.root("cat", "/proc/stat").splitlines() if line[:9] == "processes")
        return {
            "MariaDB definitions": int(float(self.here.root("mariadb", "-BNe", mariadb))),
            "PostgreSQL transactions": int(self.here.root(*as_postgres, "psql", "-XAtc", postgresql)),
            "processes": int(processes.split()[1]),
        }
