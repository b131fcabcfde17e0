"""The best tools there are for copying each store from one server to another, as an administrator would use them."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.accounts import TABLES
from benchmarks.stage import Machine
from lab.say import LabError

FOLDER = "/var/tmp/bench"
ROLE = "bench"
PORT = 13306


@dataclass(frozen=True)
class Pair:
    """Two servers, the words with which the first one's root gets into the second, and the password of `ROLE`."""

    source: Machine
    target: Machine
    ssh: str
    password: str

    @property
    def postgresql(self) -> str:
        """How the target reaches the source's PostgreSQL as its superuser: over TLS."""
        return f"host={self.source.address} user={ROLE} password={self.password} sslmode=require"


def make_pair(source: Machine, target: Machine, ssh: str) -> Pair:
    """Lets the tools read the source's PostgreSQL and write to the target's MariaDB."""
    pair = Pair(source, target, ssh, secrets.token_hex(16))
    sql = f"CREATE ROLE {ROLE} SUPERUSER LOGIN PASSWORD '{pair.password}'"
    source.root(["runuser", "-u", "postgres", "--", "psql", "-Xq", "-f", "-"], sql.encode())
    sql = f"CREATE USER {ROLE}@'%' IDENTIFIED BY '{pair.password}'; GRANT ALL ON *.* TO {ROLE}@'%' WITH GRANT OPTION"
    target.root(["mariadb"], sql.encode())
    return pair


Tool = Callable[[Pair, str], None]
"""Copies the account of that name."""


def rsync(pair: Pair, name: str) -> None:
    """rsync over ssh."""
    shell, _, login = pair.ssh.rpartition(" ")
    pair.source.script(f"rsync -aHAX -e '{shell}' /home/{name}/ {login}:{FOLDER}/")


def tar(pair: Pair, name: str) -> None:
    """tar over ssh."""
    pair.source.script(
        f"tar --acls --xattrs --numeric-owner -C /home/{name} -cf - . | "
        f"{pair.ssh} 'mkdir -p {FOLDER} && tar --acls --xattrs --numeric-owner -xpf - -C {FOLDER}'"
    )


def pg_dump(pair: Pair, name: str) -> None:
    """pg_dump and pg_restore, two jobs each, on the target."""
    dump = ["runuser", "-u", "postgres", "--", "pg_dump", "-Fd", "-j2", "-f", FOLDER]
    pair.target.root([*dump, "-d", f"{pair.postgresql} dbname={name}"])
    pair.target.root(["runuser", "-u", "postgres", "--", "createdb", "-O", name, name])
    pair.target.root(["runuser", "-u", "postgres", "--", "pg_restore", "-j2", "-d", name, FOLDER])


def pgcopydb(pair: Pair, name: str) -> None:
    """pgcopydb, two jobs, on the target."""
    pair.target.root(["runuser", "-u", "postgres", "--", "createdb", "-O", name, name])
    jobs = ["--table-jobs", "2", "--index-jobs", "2", "--restart", "--dir", FOLDER]
    sides = ["--source", f"{pair.postgresql} dbname={name}", "--target", f"dbname={name}"]
    pair.target.root(["runuser", "-u", "postgres", "--", "pgcopydb", "clone", *jobs, *sides])


def mariadb_dump(pair: Pair, name: str) -> None:
    """mariadb-dump piped into the client over ssh."""
    pair.source.script(
        f"mariadb-dump --single-transaction --routines --events --triggers --databases {name} | {pair.ssh} mariadb"
    )


def mydumper(pair: Pair, name: str) -> None:
    """mydumper and myloader on the source, two threads, tables in chunks; myloader through an ssh tunnel."""
    pair.source.script(
        f"""
mydumper -B {name} -o {FOLDER} -t 2 -r 100000 --trx-consistency-only -v 0
{pair.ssh} -N -L 127.0.0.1:{PORT}:127.0.0.1:3306 & tunnel=$!
trap 'kill $tunnel' EXIT
until (exec 3<>/dev/tcp/127.0.0.1/{PORT}) 2>/dev/null; do sleep 0.02; done
myloader -d {FOLDER} -B {name} -t 2 -h 127.0.0.1 -P {PORT} -u {ROLE} -p {pair.password} -v 0
"""
    )


def make_role(pair: Pair, name: str) -> None:
    """The tools want the database's owner to be there."""
    pair.target.root(["runuser", "-u", "postgres", "--", "createuser", name])


def check(pair: Pair, name: str, store: str) -> None:
    """Refuses a tool that has not copied everything: it cannot be compared."""
    tables = " + ".join(f"(SELECT count(*) FROM item_{t})" for t in range(1, TABLES + 1))
    count = {
        "files": "find {home} -type f | wc -l",
        "postgresql": f"runuser -u postgres -- psql -XqAt -d {name} -c 'SELECT {tables}'",
        "mariadb": f"mariadb -N {name} -e 'SELECT {tables}'",
    }[store]
    rows = int(pair.source.script(count.format(home=f"/home/{name}")))
    copied = int(pair.target.script(count.format(home=FOLDER)))
    if rows != copied:
        raise LabError(f"A tool has copied {copied} of {rows} ({store}), so it cannot be compared: see why.")


def clean(pair: Pair, name: str) -> None:
    """Drops what a tool has left on either side."""
    for machine in (pair.source, pair.target):
        machine.root(["rm", "-rf", FOLDER])
    pair.target.root(["runuser", "-u", "postgres", "--", "dropdb", "--if-exists", "--force", name])
    pair.target.root(["runuser", "-u", "postgres", "--", "dropuser", name])
    pair.target.root(["mariadb", "-e", f"DROP DATABASE IF EXISTS {name}"])


TOOLS: dict[str, dict[str, Tool]] = {
    "files": {"rsync": rsync, "tar": tar},
    "postgresql": {"pg_dump | pg_restore": pg_dump, "pgcopydb": pgcopydb},
    "mariadb": {"mariadb-dump": mariadb_dump, "mydumper": mydumper},
}
PACKAGES = {"pgcopydb": ("pgcopydb", "2026"), "mydumper": ("mydumper", "2022")}
"""tool -> the Debian package that it needs and the server that needs it."""
