"""An account whose data attacks whoever moves it arrives whole, and gets out of its cage on neither server."""

import re
from pathlib import Path

import pytest

from include.agent import verbs
from include.agent.verbs.reports import Switched
from include.hosts import AgentError
from tests.lab.agents import Move, Side, account_file, measured, side
from tests.lab.handles import Lab, Running

DATA = Path(__file__).parent / "data_sets"
ESCAPED = "/tmp/transhumance-escaped"
SECOND_ROLE = 'Hos "tile"; x\n\\! touch ' + ESCAPED
DATABASE = 'h"; DROP _x\n\\! touch ' + ESCAPED
MARIADB = "h`o st_x"
MARIADB_USER = ("ho'stile", "localhost")

# Run as root in the home. What points out of it, runs as somebody else, or is no file; and odd names.
HOME = r"""
cd /home/hostile
mkdir odd; ln -s /etc/shadow odd/shadow; ln -s /etc odd/etc; ln -s ../../.. odd/up; ln -s nowhere odd/dangling
cp /bin/true odd/suid; cp /bin/true odd/sgid; mkdir odd/shared
printf 'x' > "odd/$(printf 'new\nline \377 -- \047"; $(touch escaped)')"; printf 'y' > odd/-rf
ln odd/-rf odd/hard; truncate -s 200M odd/sparse; echo end >> odd/sparse
setfacl -m u:www-data:rx odd; setfacl -d -m g:www-data:rx odd; setfattr -n user.colour -v blue odd/-rf
mknod odd/device c 1 3; mkfifo odd/fifo
chown -R hostile:hostile odd; chown -h www-data odd/dangling
chmod 4755 odd/suid; chmod 2755 odd/sgid; chmod 2775 odd/shared
touch -d '2001-02-03 04:05:06.123456789' odd/hard
"""
# Run as the account while it is copied: what was a directory a moment ago is a link out of the home.
SWAP = r"""
cd /home/hostile; mkdir real; echo planted > real/transhumance-planted; i=0
while [ $i -lt 4000 ]; do ln -s /tmp swapped; rm swapped; cp -r real swapped; rm -r swapped; i=$((i + 1)); done
"""
# Run as the account on the other server meanwhile: whatever root makes there for a restore gets a link in its place.
RACE = r"""
import os, time
def to(target, name):
    link = f"/var/tmp/.{name}"
    if not os.path.lexists(link):
        os.symlink(target, link)
    return link
tried = won = 0
while True:
    for place in os.listdir("/var/tmp"):
        for name in ("list", "archive", "first", "views") if place.startswith("transhumance-") else ():
            tried += 1
            try:
                os.rename(to("/root/canary", name), f"/var/tmp/{place}/{name}")
                won += 1
            except OSError:
                pass
    with open("/var/tmp/raced", "w") as file:
        file.write(f"{tried} {won}")
    time.sleep(0.001)
"""
WHAT = r"find /home/hostile/odd -printf '%P %y %m %u %g %s %l %n %T@\n' | LC_ALL=C sort"


@pytest.fixture(scope="module")
def sides(lab: Lab, pair: tuple[Running, Running]) -> tuple[Side, Side]:
    return side(lab, pair[0]), side(lab, pair[1])


def as_postgres(one: Side, sql: str, database: str = "postgres", *options: str) -> str:
    argv = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "psql", "-XqAt"]
    quoted = database.replace("\\", "\\\\").replace("'", "\\'")
    return one.root(*argv, "-v", "ON_ERROR_STOP=1", *options, "-d", f"dbname='{quoted}'", stdin=sql.encode())


def as_role(one: Side, role: str, database: str, path: Path, **variables: str) -> None:
    """Run a file as a role of the account, with nothing but what the role may do."""
    options = [word for name, value in variables.items() for word in ("-v", f"{name}={value}")]
    url = f"dbname='{database}' host=127.0.0.1 user='{role}'"
    argv = ["env", "PGPASSWORD=secret", "psql", "-Xq", "-o", "/dev/null", "-v", "ON_ERROR_STOP=1", *options]
    one.root(*argv, "-d", url, stdin=path.read_bytes())


def as_mariadb_root(one: Side, sql: str) -> str:
    return one.root("mariadb", "--no-defaults", "--batch", "--skip-column-names", stdin=sql.encode())


def identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def databases(one: Side, name: str) -> dict:
    """An account file with databases, and the databases, empty."""
    statement = account_file(name, 2301 if name == "hostile" else 2302)
    statement["postgresql"] = {"roles": [name, SECOND_ROLE], "databases": [f"{name}_app", DATABASE]}
    user, host = MARIADB_USER
    statement["mariadb"] = {"users": [{"user": user, "host": host}], "databases": [f"{name}_wp", MARIADB]}
    as_postgres(one, f"CREATE ROLE {name} LOGIN PASSWORD 'secret'; CREATE ROLE {identifier(SECOND_ROLE)};")
    as_postgres(one, f"CREATE DATABASE {name}_app OWNER {name};")
    as_postgres(one, f"CREATE DATABASE {identifier(DATABASE)} OWNER {name};")
    as_mariadb_root(
        one,
        f"CREATE USER 'ho''stile'@'localhost' IDENTIFIED BY 'secret'; CREATE DATABASE {name}_wp;"
        " CREATE DATABASE `h``o st_x`; GRANT ALL ON `h``o st\\_x`.* TO 'ho''stile'@'localhost';"
        f" GRANT ALL ON `{name}\\_wp`.* TO 'ho''stile'@'localhost'; SET GLOBAL log_bin_trust_function_creators = 1;",
    )
    return statement


@pytest.fixture(scope="module")
def moved(sides: tuple[Side, Side]) -> tuple[Move, Switched, str]:
    """The account, moved while it attacks; the figures of its switch, and what its home was."""
    old, new = sides
    statement = databases(old, "hostile")
    old.host.call(verbs.Create(account_file=statement))
    old.root("sh", "-e", stdin=HOME.encode())
    as_role(old, "hostile", "hostile_app", DATA / "postgres_hostile.sql", me="hostile")
    for database in ("hostile_wp", MARIADB):
        argv = ["env", "MYSQL_PWD=secret", "mariadb", "--no-defaults", "--binary-mode", "--user=ho'stile"]
        old.root(*argv, f"--database={database}", stdin=(DATA / "mariadb_hostile.sql").read_bytes())
    before = old.root("sh", "-c", WHAT)
    old.root("setpriv", "--reuid=2301", "--regid=2301", "--clear-groups", "sh", "-c", f"({SWAP}) >/dev/null 2>&1 &")
    new.root("tee", "/root/canary", stdin=b"root's own")
    # Its user is made by the move, so this is its number.
    as_account = ("setpriv", "--reuid=2301", "--regid=2301", "--clear-groups")
    new.root("systemd-run", "--quiet", "--unit=races", *as_account, "python3", "-c", RACE)
    move = Move("hostile", 2, statement, old, new).prepare()
    figures = move.switch(60)
    new.root("systemctl", "stop", "races")
    return move, figures, before


def test_it_arrives_whole(moved: tuple[Move, Switched, str], sides: tuple[Side, Side]) -> None:
    _, figures, _ = moved
    assert measured(figures.verified).equal and measured(figures.verified).rows > 0
    assert sides[1].state("hostile") == "serving"


def test_the_home_is_what_it_was_but_for_what_would_run_as_somebody_else(
    moved: tuple[Move, Switched, str], sides: tuple[Side, Side]
) -> None:
    _, _, before = moved
    after = sides[1].root("sh", "-c", WHAT)
    gone = {"device c", "fifo p"}
    kept = [line for line in before.splitlines() if not any(line.startswith(one) for one in gone)]
    plain = [re.sub(r"^(suid f|sgid f) [46]?2?755", r"\1 755", line) for line in kept]
    plain = [re.sub(r"^(suid f|sgid f) \d+", r"\1 755", line) for line in plain]
    # A directory's size is the file system's business.
    sizes = re.compile(r"^(.* d \d+ \S+ \S+) \d+ ", re.MULTILINE)
    assert sizes.sub(r"\1 ", after).splitlines() == [sizes.sub(r"\1 ", line) for line in plain]
    assert "blue" in sides[1].root("getfattr", "-d", "/home/hostile/odd/-rf")
    assert "user:www-data:r-x" in sides[1].root("getfacl", "-p", "/home/hostile/odd")
    assert int(sides[1].root("stat", "-c", "%b", "/home/hostile/odd/sparse")) < 1000


def test_nothing_was_written_outside_and_no_command_ran(
    moved: tuple[Move, Switched, str], sides: tuple[Side, Side]
) -> None:
    for one in sides:
        found = one.root(
            "sh", "-c", "ls -d /tmp/transhumance-* /etc/transhumance-planted /transhumance-planted || true"
        )
        assert found == ""


def test_nothing_of_roots_was_given_to_it(moved: tuple[Move, Switched, str], sides: tuple[Side, Side]) -> None:
    tried, won = map(int, sides[1].root("cat", "/var/tmp/raced").split())
    assert tried > 0 and won == 0
    assert sides[1].root("stat", "-c", "%U %a", "/root/canary").split() == ["root", "644"]


def test_nobody_became_superuser(moved: tuple[Move, Switched, str], sides: tuple[Side, Side]) -> None:
    for one in sides:
        powers = "rolsuper OR rolcreaterole OR rolreplication OR rolbypassrls"
        assert as_postgres(one, f"SELECT rolname FROM pg_roles WHERE ({powers})").split() == ["postgres"]
        assert as_postgres(one, "SELECT 1 FROM pg_roles WHERE rolname LIKE 'th\\_%'") == ""
        members = "SELECT 1 FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid WHERE r.rolname !~ '^pg_' OR"
        assert as_postgres(one, f"{members} m.member >= 16384") == ""
        users = as_mariadb_root(one, "SELECT User FROM mysql.global_priv WHERE JSON_VALUE(Priv, '$.access') > 0")
        assert sorted(users.split()) == ["mysql", "root"]
        assert as_mariadb_root(one, "SELECT User FROM mysql.global_priv WHERE User LIKE 'th\\_%'") == ""


def test_its_functions_ran_as_nobody_of_power(moved: tuple[Move, Switched, str], sides: tuple[Side, Side]) -> None:
    """The attack is real: run by a superuser, one SELECT on the table makes the customer a superuser."""
    new = sides[1]
    try:
        as_postgres(new, "SELECT count(*) FROM public.indexed;", "hostile_app")
        assert as_postgres(new, "SELECT rolsuper FROM pg_roles WHERE rolname = 'hostile'").strip() == "t"
    finally:
        as_postgres(new, "ALTER ROLE hostile NOSUPERUSER; DROP ROLE IF EXISTS th_backdoor;")
        as_postgres(new, "REVOKE postgres FROM hostile; REVOKE pg_execute_server_program FROM hostile;")
        new.root("rm", "-f", ESCAPED)


def test_the_names_arrived(moved: tuple[Move, Switched, str], sides: tuple[Side, Side]) -> None:
    for one in sides:
        assert DATABASE in as_postgres(one, "SELECT datname FROM pg_database", "postgres", "-R", "\x01")
        assert SECOND_ROLE in as_postgres(one, "SELECT rolname FROM pg_roles", "postgres", "-R", "\x01")
    grants = as_mariadb_root(sides[1], "SELECT Db FROM mysql.db WHERE User = 'ho''stile'")
    assert sorted(grants.split("\n")[:-1]) == [r"h`o st\\_x", r"hostile\\_wp"]


@pytest.mark.parametrize(
    ("kind", "sql", "code"),
    [
        ("extension", "CREATE EXTENSION dblink;", "extension_blocked"),
        ("owner", "CREATE TABLE root_owned (a int);", "foreign_role"),
        ("function", "CREATE FUNCTION c() RETURNS int LANGUAGE internal AS 'pg_backend_pid';", "restore_failed"),
    ],
)
def test_what_a_customer_cannot_own_stops_the_move_and_the_account_returns(
    sides: tuple[Side, Side], kind: str, sql: str, code: str
) -> None:
    old, new = sides
    name = "blocked"
    if old.state(name) == "absent":
        statement = account_file(name, 2302)
        statement["postgresql"] = {"roles": [name], "databases": [f"{name}_app"]}
        as_postgres(old, f"CREATE ROLE {name} LOGIN PASSWORD 'secret';")
        old.host.call(verbs.Create(account_file=statement))
    as_postgres(old, f"DROP DATABASE IF EXISTS {name}_app;")
    as_postgres(old, f"CREATE DATABASE {name}_app OWNER {name};")
    as_postgres(old, sql, f"{name}_app")
    if kind == "function":
        as_postgres(old, f"ALTER FUNCTION c() OWNER TO {name};", f"{name}_app")
    statement = account_file(name, 2302)
    statement["postgresql"] = {"roles": [name], "databases": [f"{name}_app"]}
    epoch = {"extension": 2, "owner": 3, "function": 4}[kind]
    with pytest.raises(AgentError) as error:
        Move(f"blocked-{kind}", epoch, statement, old, new).prepare().switch()
    assert error.value.code == code and "\n" not in error.value.message
    assert old.state(name) == "serving"
    assert as_postgres(old, f"SELECT datconnlimit FROM pg_database WHERE datname = '{name}_app'").strip() == "-1"
