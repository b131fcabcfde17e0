"""What one server holds of an account, as the tools of Debian tell it; runs there as root, with nothing beside it.

stdin: {"statement": the account file, "dumpers": folder of the newer server's pg_dump and mariadb-dump, "apart": paths
below the home that are not looked at}. stdout: {what: what it is} as JSON, the same on two equal servers.
Nothing of the agent is used here: what moves an account must not be what says that it has arrived.
"""

import collections
import glob
import hashlib
import json
import os
import pwd
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

LONGEST = 3_800  # bytes of a path that is still walked into: what is below has paths of 4,096 at most
KEPT = 20_000  # characters of a text that are told as they are
POSTGRES = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
MARIADB = ["--no-defaults", "--default-character-set=utf8mb4", "--skip-ssl"]

Found = dict[str, str]
"""What there is, and what it is."""


class Rows:
    """Rows in any order: how many, and what they sum up to."""

    def __init__(self) -> None:
        self.count = self.sum = 0
        self.first: list[bytes] = []

    def add(self, row: bytes) -> None:
        self.count += 1
        self.sum += int.from_bytes(hashlib.blake2b(row, digest_size=16).digest(), "big")
        if len(self.first) < 6:
            self.first.append(row)

    def __str__(self) -> str:
        sample = b" | ".join(sorted(self.first)).decode("utf-8", "backslashreplace") if self.count < 6 else ""
        return f"{self.count} rows {self.sum % (1 << 128):032x} {sample}"


def told(text: str) -> str:
    """A text that can be compared: itself when it is short, else its hash too."""
    if len(text) <= KEPT:
        return text
    return f"{text[:KEPT]}... {hashlib.sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()}"


def lines_of(argv: list[str], env: dict[str, str] | None = None) -> Iterator[bytes]:
    """The lines that a program prints, one by one; its failure is ours."""
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=env) as program:
        assert program.stdout
        yield from program.stdout
    if program.returncode:
        sys.exit(f"{argv} ended with {program.returncode}")


def dumper(folder: str, program: str) -> list[str]:
    """How the newer server's program is run here: by its own loader and libraries."""
    return [f"{folder}/ld.so", "--library-path", f"{folder}/lib", f"{folder}/{program}"]


# --- PostgreSQL ---


def psql(database: str, sql: str) -> list[str]:
    argv = [*POSTGRES, "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", database]
    done = subprocess.run(argv, input=sql.encode(), stdout=subprocess.PIPE, check=True)
    return done.stdout.decode().splitlines()


def quoted(names: list[str]) -> str:
    """A list of SQL literals, never empty."""
    return ", ".join("'" + name.replace("'", "''") + "'" for name in [*names, ""])


def postgresql(statement: dict[str, Any], folder: str) -> Found:
    wanted = statement["postgresql"]
    found = roles(quoted(wanted["roles"]), quoted(wanted["databases"]))
    for database in psql(
        "postgres", f"SELECT datname FROM pg_database WHERE datname IN ({quoted(wanted['databases'])})"
    ):
        found |= dumped(database, folder)
        found |= snapshots(database)
    return found


def roles(names: str, databases: str) -> Found:
    """Who may log in how, and what is set for whom. The source is locked by now: NOLOGIN is not looked at."""
    sql = f"""
SELECT 'role ' || quote_ident(rolname), json_build_array(rolsuper, rolinherit, rolcreaterole, rolcreatedb,
 rolreplication, rolbypassrls, rolconnlimit, rolpassword, coalesce(rolvaliduntil, 'infinity'))
 FROM pg_authid WHERE rolname IN ({names});
SELECT 'membership of ' || member::regrole || ' in ' || roleid::regrole, bool_or(admin_option) FROM pg_auth_members
 WHERE member IN (SELECT oid FROM pg_authid WHERE rolname IN ({names})) GROUP BY 1;
SELECT 'settings of ' || setrole::regrole || ' in ' || coalesce(datname, 'all'),
 (SELECT json_agg(one ORDER BY one) FROM unnest(setconfig) one)
 FROM pg_db_role_setting LEFT JOIN pg_database d ON d.oid = setdatabase
 WHERE datname IN ({databases}) OR setrole IN (SELECT oid FROM pg_authid WHERE rolname IN ({names}));
"""
    return {f"postgresql {key}": value for key, _, value in (line.partition("|") for line in psql("postgres", sql))}


def dumped(database: str, folder: str) -> Found:
    """Each object of a database as pg_dump writes it, and each table's rows."""
    environment = {**os.environ, "PGCLIENTENCODING": "UTF8", "LC_ALL": "C.UTF-8"}
    if psql(database, "SHOW server_encoding") == ["SQL_ASCII"]:
        environment["PGCLIENTENCODING"] = "SQL_ASCII"
    argv = [
        *POSTGRES,
        *dumper(folder, "pg_dump"),
        "--create",
        "-h",
        "/var/run/postgresql",
        "-d",
        f"dbname='{escape(database)}'",
    ]
    found: collections.defaultdict[str, list[str]] = collections.defaultdict(list)
    heading, rows = "", None
    text: list[str] = []
    columns: list[int] = []
    for line in lines_of(argv, env=environment):
        if rows is not None:
            if line == b"\\.\n":
                found[heading].append(str(rows))
                rows = None
            else:
                # The columns of a table that inherits stand in another order once it was made anew.
                fields = line.rstrip(b"\n").split(b"\t")
                rows.add(b"\t".join(fields[place] for place in columns))
            continue
        if line.startswith(b"-- ") and (
            title := re.match(rb"-- (?:Data for )?Name: (.*); Type: (.*); Schema: (.*); Owner: (.*)\n", line)
        ):
            found[heading].append(settled(heading, text))
            name, kind, schema, owner = (part.decode("utf-8", "backslashreplace") for part in title.groups())
            heading, text = f"{kind} {schema}.{name} of {owner}", []
        elif copied := re.fullmatch(rb"COPY .*? \((.*)\) FROM stdin;\n", line):
            rows = Rows()
            names = copied[1].split(b", ")
            columns = sorted(range(len(names)), key=names.__getitem__)
            text.append(", ".join(names[place].decode("utf-8", "backslashreplace") for place in columns))
        else:
            text.append(line.decode("utf-8", "surrogateescape"))
    found[heading].append(settled(heading, text))
    # What stands before the first object are the settings of the program's own session.
    del found[""]
    return {
        f"postgresql {database}: {heading}": " ".join(sorted(filter(None, parts)))
        for heading, parts in found.items()
        # An extension's comment is of its version; and nothing may be left of a heading.
        if any(parts) and not re.match(r"COMMENT \S+\.EXTENSION ", heading)
    }


def escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")


_ALL_BUT_MAINTAIN = "SELECT,INSERT,REFERENCES,DELETE,TRIGGER,TRUNCATE,UPDATE"


def settled(heading: str, text: list[str]) -> str:
    """What defines an object, without what is of the dump or of the server."""
    kept = [
        line
        for line in text
        # The program's session: how it reads its own text, and random words against injected commands.
        if line.strip() not in ("", "--", "-- PostgreSQL database dump complete")
        and not re.match(r"SET (default_tablespace|default_table_access_method) = ", line)
        and not re.match(r"\\(un)?(restrict|connect) ", line)
    ]
    if heading.startswith("DATABASE "):
        # The source is locked by now: its databases let nobody in. And the program connects anew here.
        apart = r"ALTER DATABASE .* CONNECTION LIMIT = -?\d+;|SET |SELECT pg_catalog\.set_config\("
        kept = [line for line in kept if not re.match(apart, line)]
    if heading.startswith(("ACL ", "DEFAULT ACL ")):
        kept.sort()  # an order that means nothing
        # PostgreSQL 17 has MAINTAIN besides, which who is given all the others is given too.
        kept = [line.replace(f" {_ALL_BUT_MAINTAIN} ON TABLE ", " ALL ON TABLE ") for line in kept]
    whole = " ".join("".join(kept).split())
    if heading.startswith(("VIEW ", "MATERIALIZED VIEW ", "RULE ", "POLICY ")):
        # From PostgreSQL 16 on a column's table is not named where there is but one, and fewer brackets are printed.
        whole = re.sub(r'(?:"(?:[^"]|"")+"|[a-z_]\w*)\.(?=[a-z_"*])', "", whole)
        whole = re.sub(r"[() ]", "", whole)
    # A name that has become a keyword is quoted by the server that knows it.
    whole = re.sub(r'"([a-z_][a-z0-9_]*)"', r"\1", whole)
    if "ARRAY[" in whole:
        # PostgreSQL writes the cast of a list as casts of its members, once what it wrote was read again.
        whole = re.sub(r"::(text|character varying|bpchar)(\[\])?|[() ]", "", whole)
    return told(whole)


def snapshots(database: str) -> Found:
    """The rows of materialized views, which no dump holds."""
    sql = "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
    found = {}
    for view in psql(database, f"{sql} WHERE relkind = 'm' AND relispopulated"):
        rows = Rows()
        argv = [*POSTGRES, "psql", "-XqAt", "-d", database, "-c", f"COPY (SELECT * FROM {view}) TO STDOUT"]
        for line in lines_of(argv):
            rows.add(line)
        found[f"postgresql {database}: rows of the materialized view {view}"] = str(rows)
    return found


# --- MariaDB ---


def mariadb(statement: dict[str, Any], folder: str) -> Found:
    found: Found = {}
    for user in statement["mariadb"]["users"]:
        found |= rights(user["user"], user["host"])
    for database in statement["mariadb"]["databases"]:
        sql = f"SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {literal(database)}"
        if asked(sql):
            found[f"mariadb {database}: database"] = asked(sql.replace("1", "DEFAULT_COLLATION_NAME, SCHEMA_COMMENT"))
            found |= dumped_mariadb(database, folder)
    return found


def literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def asked(sql: str) -> str:
    argv = ["mariadb", *MARIADB, "--batch", "--skip-column-names", "--raw"]
    done = subprocess.run(argv, input=sql.encode(), stdout=subprocess.PIPE, check=True)
    return done.stdout.decode("utf-8", "backslashreplace").strip()


def rights(user: str, host: str) -> Found:
    who = f"{literal(user)}@{literal(host)}"
    if not asked(f"SELECT 1 FROM mysql.global_priv WHERE User = {literal(user)} AND Host = {literal(host)}"):
        return {}
    # The source is locked by now.
    made = asked(f"SHOW CREATE USER {who}").replace(" ACCOUNT LOCK", "")
    granted = sorted(asked(f"SHOW GRANTS FOR {who}").splitlines())
    return {f"mariadb user {who}": made, f"mariadb grants of {who}": "\n".join(granted)}


_SECTION = re.compile(
    rb"-- (Table structure for table|Dumping data for table|Temporary table structure for view"
    rb"|Final view structure for view|Dumping events for database|Dumping routines for database) (.*)\n"
)


_COUNTER = re.compile(r" AUTO_INCREMENT=(\d+)(?= DEFAULT CHARSET=)")


def dumped_mariadb(database: str, folder: str) -> Found:
    """Each object of a database as mariadb-dump writes it, and each table's rows."""
    argv = [*dumper(folder, "mariadb-dump"), *MARIADB, "--socket=/run/mysqld/mysqld.sock", "--routines", "--events"]
    argv += ["--triggers", "--hex-blob", "--skip-extended-insert", "--skip-dump-date", "--skip-add-locks", "--skip-opt"]
    argv += ["--create-options", "--single-transaction", "--quick", "--dump-history", "--tz-utc", "--set-charset"]
    broken = broken_views(database)
    argv += [f"--ignore-table={database}.{view}" for view in broken]
    tables: dict[str, Rows] = {}
    texts: collections.defaultdict[str, list[str]] = collections.defaultdict(list)
    heading = ""
    for line in lines_of([*argv, "--", database]):
        if title := _SECTION.fullmatch(line):
            heading = (title[1] + b" " + title[2]).decode("utf-8", "backslashreplace")
        elif line.startswith(b"INSERT INTO "):
            line = line.replace(b"'2038-01-19 03:14:07.999999'", b"'2106-02-07 06:28:15.999999'")  # for ever, to each
            tables.setdefault(heading, Rows()).add(line)
        elif line.strip() and not line.startswith(b"--"):
            texts[heading].append(line.decode("utf-8", "backslashreplace"))
    # What stands before the first object are the settings of the program's own session.
    texts.pop("", None)
    found = {f"mariadb {database}: broken view {view}": "there" for view in broken}
    for heading, text in texts.items():
        whole = settled_mariadb(text)
        found[f"mariadb {database}: {heading}"] = told(_COUNTER.sub("", whole))
        if counter := _COUNTER.search(whole):
            found[f"mariadb {database}: counter: {heading}"] = counter[1]
    return found | {f"mariadb {database}: rows: {heading}": str(rows) for heading, rows in tables.items()}


def broken_views(database: str) -> list[str]:
    """Views of what is gone, which mariadb-dump ends at."""
    sql = "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_TYPE = 'VIEW' AND TABLE_SCHEMA ="
    return [view for view in asked(f"{sql} {literal(database)}").splitlines() if is_broken(database, view)]


def is_broken(database: str, view: str) -> bool:
    fields = "SHOW FIELDS FROM {}.{}".format(*("`" + name.replace("`", "``") + "`" for name in (database, view)))
    return subprocess.run(["mariadb", *MARIADB, "-e", fields], capture_output=True).returncode != 0


def settled_mariadb(text: list[str]) -> str:
    """What defines an object, without what is of the dump or of the server's version."""
    # What the program sets and sets back around an object; what an object itself depends on (sql_mode, character set,
    # time zone) it sets too, and that stays.
    own = (
        r"/\*!\d+ SET (@saved_|@OLD_|(character_set|collation)_\w+\s*= @)|/\*M?!\d+ SET @|DELIMITER |USE |/\*M?!999999"
    )
    kept = [line for line in text if not re.match(own, line)]
    whole = " ".join("".join(kept).split())
    # The source's events are disabled by its lock.
    whole = re.sub(r" (ENABLE|DISABLE)(?= DO | COMMENT )", "", whole)
    return " ".join(modern(whole).split())


def as_text(found: re.Match[str]) -> str:
    """Bytes as MariaDB 10 prints them as a default."""
    value = bytes.fromhex(found[1]).decode("utf-8", "backslashreplace").replace("\\", "\\\\").replace("'", "''")
    return "'" + value.replace("\0", "\\0").replace("\n", "\\n").replace("\r", "\\r") + "'"


def modern(text: str) -> str:
    """A definition in one way of printing: MariaDB 10 has other orders, and 11 prints bytes in hexadecimal."""
    text = re.sub(r"(?<= DEFAULT )x'([0-9a-f]*)'", as_text, text)
    # A column of before 10.1 comes in the form of today.
    text = re.sub(r" /\* m(?:ariadb|ysql)-[0-9.]+ \*/", "", text)
    return re.sub(r" INVISIBLE( DEFAULT (?:'(?:[^'\\]|\\.)*'|[^ ,]+))", r"\1 INVISIBLE", text)


# --- files ---


def files(statement: dict[str, Any], apart: list[str]) -> Found:
    home = os.fsencode(statement["home"])
    found, links = {}, collections.defaultdict(list)
    for path in walked(home, {os.path.join(home, os.fsencode(one)) for one in apart}):
        info = os.lstat(path)
        if stat.S_ISSOCK(info.st_mode) or of_dovecot(path):
            continue
        name = os.fsdecode(os.path.relpath(path, home))
        parts = [stat.filemode(info.st_mode), info.st_uid, info.st_gid]
        if not stat.S_ISLNK(info.st_mode):
            parts.append(info.st_mtime_ns)
        if stat.S_ISREG(info.st_mode):
            parts += [info.st_size, hashed(path)]
            if info.st_nlink > 1:
                links[(info.st_dev, info.st_ino)].append(name)
        elif stat.S_ISLNK(info.st_mode):
            parts.append(os.fsdecode(os.readlink(path)))
        elif stat.S_ISCHR(info.st_mode) or stat.S_ISBLK(info.st_mode):
            parts.append(info.st_rdev)
        for attribute in sorted(os.listxattr(path, follow_symlinks=False)):
            # ACLs are asked for below, and how wide a disk's blocks are reserved is no content.
            if not attribute.startswith("system.posix_acl_"):
                parts += [attribute, os.getxattr(path, attribute, follow_symlinks=False).hex()]
        found[f"file {name}"] = " ".join(map(str, parts))
    for names in links.values():
        found[f"hard links of {min(names)}"] = told(" ".join(sorted(names)))
    return found | acls(statement["home"], {f"file {one}" for one in apart})


def walked(home: bytes, apart: set[bytes]) -> Iterator[bytes]:
    """Every path of a home, itself among them, but nothing of another file system."""
    yield home
    waiting, device = [home], os.lstat(home).st_dev
    while waiting:
        folder = waiting.pop()
        if len(folder) > LONGEST:
            continue  # it is told in `left` of the move
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.path in apart:
                    continue
                yield entry.path
                if entry.is_dir(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_dev == device:
                    waiting.append(entry.path)


def of_dovecot(path: bytes) -> bool:
    """What Dovecot makes anew from the messages, and writes whenever it likes."""
    return re.match(rb"dovecot\.(list\.)?index|dovecot-uidlist$|maildirsize$", os.path.basename(path)) is not None


def hashed(path: str | bytes) -> str:
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NOATIME), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def acls(home: str, apart: set[str]) -> Found:
    """The ACLs that say more than the permissions, by number."""
    argv = ["getfacl", "-nRPs", "--absolute-names", home]
    done = subprocess.run(argv, capture_output=True, env={**os.environ, "LC_ALL": "C"})
    if not all(line.endswith(b": File name too long") for line in done.stderr.splitlines()):
        sys.exit(f"{argv}: {done.stderr.decode(errors='replace')}")
    found = {}
    for block in done.stdout.decode("utf-8", "backslashreplace").split("\n\n"):
        lines = block.splitlines()
        if lines:
            name = os.path.relpath(lines[0].removeprefix("# file: "), home)
            if f"file {name.split('/')[0]}" not in apart:
                found[f"ACL of {name}"] = " ".join(sorted(line for line in lines if not line.startswith("#")))
    return found


# --- mail ---


def mail(statement: dict[str, Any]) -> Found:
    """Each message of each mailbox by its folder, with its flags and number: how often it is there."""
    found: collections.Counter[str] = collections.Counter()
    for mailbox in statement["mail"]["mailboxes"]:
        local_part, _, domain = mailbox["address"].partition("@")
        usual = f"{statement['home']}/mail/{domain}/{local_part}/Maildir"
        maildir = mailbox.get("place", {}).get("maildir", usual)
        for folder in sorted(
            {
                os.path.dirname(path)
                for path in glob.glob(f"{glob.escape(maildir)}/**/", recursive=True, include_hidden=True)
            }
        ):
            if os.path.basename(folder) not in ("cur", "new"):
                continue
            numbers = uids(os.path.join(os.path.dirname(folder), "dovecot-uidlist"))
            for name in os.listdir(folder):
                key, _, flags = name.partition(":2,")
                where = os.path.relpath(os.path.dirname(folder), maildir)
                content = hashed(os.path.join(folder, name))
                found[
                    f"message of {mailbox['address']} in {where}: {content} number {numbers.get(key)} flags {flags}"
                ] += 1
    return {what: str(times) for what, times in found.items()}


def uids(path: str) -> dict[str, str]:
    try:
        with open(path, encoding="utf-8", errors="backslashreplace") as file:
            lines = file.read().splitlines()[1:]
    except FileNotFoundError:
        return {}
    parts = (line.partition(" :") for line in lines)
    return {name.partition(":2,")[0]: fields.split(" ")[0] for fields, _, name in parts}


# --- what lies around ---


def around(statement: dict[str, Any]) -> Found:
    """The Unix user, and what root keeps for it."""
    name = statement["account"]
    user = pwd.getpwnam(name)
    found = {"user": " ".join(map(str, user[2:]))}
    with open("/etc/shadow") as file:
        # The date of its expiry is what locks the source.
        found["password"] = next(line.split(":")[1] for line in file if line.startswith(f"{name}:"))
    found["lingering"] = str(os.path.exists(f"/var/lib/systemd/linger/{name}"))
    jobs = [*os.scandir("/var/spool/cron/atjobs")] if os.path.isdir("/var/spool/cron/atjobs") else []
    found["jobs of at"] = str(sum(job.stat().st_uid == user.pw_uid for job in jobs))
    found["groups"] = " ".join(map(str, sorted(os.getgrouplist(name, user.pw_gid))))
    for what, paths in {
        "crontab": [f"/var/lib/transhumance/accounts/{name}/crontab", f"/var/spool/cron/crontabs/{name}"],
        **{
            f"certificate of {host}": [f"/etc/transhumance/certificates/{host}.pem"]
            for site in statement["sites"]
            for host in (site["domain"], *site["aliases"])
        },
    }.items():
        for path in paths:
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="surrogateescape") as file:
                    found.setdefault(what, told(file.read()))
    return found


def main() -> None:
    request = json.load(sys.stdin)
    statement = request["statement"]
    found = postgresql(statement, request["dumpers"]) | mariadb(statement, request["dumpers"])
    found |= files(statement, request["apart"]) | mail(statement) | around(statement)
    json.dump(found, sys.stdout)


main()
