"""Databases with objects of every awkward kind move out and home again, and work as they did."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from include.agent import verbs
from tests.lab import independent
from tests.lab.agents import Move, Side, account_file, measured, side
from tests.lab.handles import Lab

DATA = Path(__file__).parent / "data_sets"
NAME = "awkward"
READER = 'Re "ader"; x'
OTHER_USER = "o'ther"
MAILDIR = f"/home/{NAME}/mail/{NAME}.example/info/Maildir"

NOT_THE_SAME = (
    # What only an administrator can make is left out, and said.
    f"postgresql {NAME}_app: PUBLICATION -.all_of_it ",
    # A materialized view is computed anew: what `use` adds is not in it here.
    f"postgresql {NAME}_app: rows of the materialized view public.word_counts",
    # A grant on a pattern is given for the account's own databases that fit it.
    "mariadb grants of 'o''ther'@'10.%'",
)


def as_postgres(one: Side, sql: str, database: str = "postgres") -> str:
    argv = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "psql", "-XqAt"]
    return one.root(*argv, "-v", "ON_ERROR_STOP=1", "-d", database, stdin=sql.encode())


def as_role(one: Side, role: str, sql: bytes, *options: str) -> str:
    argv = ["env", "PGPASSWORD=secret", "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", *options]
    return one.root(*argv, "-d", f"dbname={NAME}_app host=127.0.0.1 user='{role}'", stdin=sql)


def mariadb(one: Side, sql: bytes, user: str = "root") -> str:
    login = [] if user == "root" else [f"--user={user}", f"--database={NAME}_wp"]
    argv = ["mariadb", "--no-defaults", "--batch", "--skip-column-names", "--default-character-set=utf8mb4"]
    return one.root("env", "MYSQL_PWD=secret", *argv, *login, stdin=sql)


def fill(one: Side) -> dict:
    statement = account_file(NAME, 2401)
    statement["postgresql"] = {"roles": [NAME, READER], "databases": [f"{NAME}_app"]}
    statement["mariadb"] = {
        "users": [{"user": NAME, "host": "localhost"}, {"user": OTHER_USER, "host": "10.%"}],
        "databases": [f"{NAME}_wp"],
    }
    reader = '"' + READER.replace('"', '""') + '"'
    as_postgres(one, f"CREATE ROLE {NAME} LOGIN PASSWORD 'secret' CONNECTION LIMIT 50;")
    as_postgres(one, f"CREATE ROLE {reader} LOGIN PASSWORD 'secret' VALID UNTIL '2090-01-01';")
    as_postgres(one, f"GRANT {reader} TO {NAME};")
    locale = "ENCODING 'UTF8' LC_COLLATE 'en_US.UTF-8' LC_CTYPE 'en_US.UTF-8' CONNECTION LIMIT 40"
    as_postgres(one, f"CREATE DATABASE {NAME}_app OWNER {NAME} TEMPLATE template0 {locale};")
    as_postgres(one, f"ALTER DATABASE {NAME}_app SET TimeZone = 'Europe/Amsterdam';")
    as_postgres(one, f"REVOKE CONNECT ON DATABASE {NAME}_app FROM PUBLIC;")
    options = ["-o", "/dev/null", "-v", "rows=20000", "-v", f"other={READER}"]
    as_role(one, NAME, (DATA / "postgres_awkward.sql").read_bytes(), *options)
    as_postgres(one, "CREATE PUBLICATION all_of_it FOR ALL TABLES;", f"{NAME}_app")
    users = (
        f"CREATE DATABASE {NAME}_wp; CREATE USER {NAME}@localhost IDENTIFIED BY 'secret' WITH MAX_USER_CONNECTIONS 9;"
        " CREATE USER 'o''ther'@'10.%' IDENTIFIED VIA unix_socket OR mysql_native_password USING PASSWORD('x');"
        f" GRANT ALL ON `{NAME}\\_wp`.* TO {NAME}@localhost; GRANT SELECT ON `{NAME}_w%`.* TO 'o''ther'@'10.%';"
        " SET GLOBAL log_bin_trust_function_creators = 1;"
    )
    mariadb(one, users.encode())
    mariadb(one, (DATA / "mariadb_awkward.sql").read_bytes(), NAME)
    more = f"GRANT UPDATE (a, b) ON {NAME}_wp.no_key TO 'o''ther'@'10.%';"
    more += f" GRANT EXECUTE ON FUNCTION {NAME}_wp.twice TO 'o''ther'@'10.%';"
    more += f" CREATE DEFINER='o''ther'@'10.%' VIEW {NAME}_wp.theirs AS SELECT a FROM {NAME}_wp.no_key;"
    mariadb(one, more.encode())
    return statement


LOOK = b"""
SELECT count(*), sum(kind) FROM big;
SELECT w FROM words ORDER BY w LIMIT 5 OFFSET 2000;
SELECT last_value, is_called, current_setting('TimeZone') FROM identities_old_seq;
SELECT f4, f8, n, ts FROM identities WHERE f8 = '-Infinity';
SELECT sum(length(lo_get(image))) FROM pictures;
SELECT * FROM word_counts ORDER BY l LIMIT 3;
SELECT polname, polroles::regrole[] FROM pg_policy;
"""
LOOK_MARIADB = b"""
SELECT COUNT(*), SUM(CAST(f AS DOUBLE)), MAX(HEX(p)), MAX(total), SUM(virtual_total) FROM kinds;
SELECT * FROM a_view; SELECT twice(21), umlaut(); SELECT * FROM old_charset;
SELECT EVENT_NAME, STATUS, TIME_ZONE, DEFINER, SQL_MODE FROM information_schema.EVENTS ORDER BY 1;
SELECT * FROM checked; SELECT * FROM numbered; SHOW GRANTS;
"""
USE = b"""
INSERT INTO identities (a, b) VALUES (6, 7) RETURNING c;
SELECT nextval(quote_ident('Odd "seq"'));
INSERT INTO words (w, k) VALUES (gen_random_uuid(), 'new') RETURNING k;
"""
USE_MARIADB = "INSERT INTO my_isam (t) VALUES ('new'); SELECT t FROM my_isam ORDER BY id DESC LIMIT 1; CALL emoji();"


def look(one: Side) -> str:
    """What the account's own users see."""
    return as_role(one, NAME, LOOK) + mariadb(one, LOOK_MARIADB, NAME)


def use(one: Side) -> list[str]:
    """What the account's own users can do."""
    return (as_role(one, NAME, USE) + mariadb(one, USE_MARIADB.encode(), NAME)).split("\n")[:-1]


CHANGES = {
    "TABLE public.words": "ALTER TABLE words ALTER k SET DEFAULT 'x'",
    "TABLE DATA public.identities": "UPDATE identities SET b = b + 1 WHERE a = 6",
    "COMMENT public.TABLE words": "COMMENT ON TABLE words IS 'changed'",
    "INDEX public.added": "CREATE INDEX added ON words (k)",
    "ACL public.TABLE words": f"GRANT SELECT ON words TO {NAME}; GRANT UPDATE ON words TO PUBLIC",
    "DATABASE PROPERTIES": f"ALTER DATABASE {NAME}_app SET work_mem = '5MB'",
    "settings of awkward": f"ALTER ROLE {NAME} SET work_mem = '6MB'",
    "role awkward": f"ALTER ROLE {NAME} CONNECTION LIMIT 51",
    "SEQUENCE SET public.": "SELECT setval(quote_ident('Odd \"seq\"'), 5)",
}
CHANGES_MARIADB = {
    "rows: Dumping data for table `no_key`": "INSERT INTO no_key (a) VALUES (77)",
    "Table structure for table `my_isam`": "ALTER TABLE my_isam COMMENT = 'changed'",
    "Dumping routines": "CREATE PROCEDURE added() SELECT 1",
    "grants of 'awkward'": f"GRANT RELOAD ON *.* TO {NAME}@localhost",
    "user 'awkward'": f"ALTER USER {NAME}@localhost WITH MAX_USER_CONNECTIONS 8",
    "database": "ALTER DATABASE COLLATE utf8mb4_bin",
}
CHANGES_AROUND = {
    "file .profile": f"touch -d @1 /home/{NAME}/.profile",
    "file made": f"touch /home/{NAME}/made",
    "ACL of made": f"setfacl -m u:{NAME}:r /home/{NAME}/made",
    "crontab": f"echo '@daily true' | crontab -u {NAME} -",
    "password": f"usermod -p '*' {NAME}",
    f"message of info@{NAME}.example": f"mkdir -p {MAILDIR}/new; echo x > {MAILDIR}/new/m",
}


def change(one: Side) -> list[str]:
    """Change one thing of each kind; what each must be called by who looks for differences."""
    as_postgres(one, ";\n".join(CHANGES.values()), f"{NAME}_app")
    mariadb(one, f"USE {NAME}_wp; {'; '.join(CHANGES_MARIADB.values())};".encode())
    one.root("sh", "-ec", f"touch /home/{NAME}/.profile\n" + "\n".join(CHANGES_AROUND.values()))
    return [*CHANGES, *CHANGES_MARIADB, *CHANGES_AROUND]


def names_of(old: Side, new: Side, statement: dict) -> list[str]:
    """What is not the same on both servers, without how."""
    return [text.partition(" differs: ")[0] for text in independent.differences(old, new, statement)]


@pytest.fixture(scope="module")
def sides(lab: Lab) -> Iterator[list[Side]]:
    with lab.fresh("2022", "2026", "2026") as servers:
        yield [side(lab, one) for one in servers]


def test_it_moves_out_and_home(sides: list[Side]) -> None:
    original, transit, home = sides
    statement = fill(original)
    original.host.call(verbs.Create(account_file=statement))
    before = look(original)

    for number, (old, new) in enumerate([(original, transit), (transit, home)], 2):
        seen = look(old)
        done = Move(f"awkward-{number}", number, statement, old, new).prepare().switch(60)
        assert measured(done.verified).equal
        assert measured(done.verified).tables == 25 and measured(done.verified).rows > 25000
        different = independent.differences(old, new, statement)
        assert [text for text in different if not text.startswith(NOT_THE_SAME)] == []
        # Who leaves something out says so; on the transit there is neither any more.
        told = ["publication all_of_it is not carried", "is carried for the account's databases only"]
        assert [text for text in told if text not in " ".join(measured(done.left))] == ([] if old is original else told)
        assert look(new) == seen
        used = use(new)
        assert used[0] == "42" and used[-2:] == ["new!?", "\U0001f600\té;"]
        limits = "SELECT datconnlimit FROM pg_database WHERE datname = 'awkward_app' UNION ALL SELECT rolconnlimit"
        assert as_postgres(new, f"{limits} FROM pg_roles WHERE rolname = 'awkward'").split() == ["40", "50"]
        if new is home:
            assert [what for what in change(new) if what not in " ".join(names_of(old, new, statement))] == []
        old.host.call(verbs.Remove(account=NAME))
        assert as_postgres(old, "SELECT 1 FROM pg_roles WHERE rolname = 'awkward'") == ""
        assert mariadb(old, b"SELECT User FROM mysql.global_priv WHERE User LIKE '%ther'") == ""
    assert "once\tENABLED\t+03:00\tawkward@localhost" in before and "sleeping\tDISABLED" in before
