"""What a customer tries who owns something beside the data, on a real PostgreSQL and MariaDB, without a server: run as
root in the namespaces of a base tree (`base_tree.run`), on the agent's own functions. alice and bob have a database of
their name in each."""

from __future__ import annotations

import glob
import json
import secrets
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from include.agent.account.accounts import Account, save
from include.agent.host.system import Refused, write_durably
from include.agent.stores.mariadb import follower, sql
from include.agent.stores.mariadb.store import MARIADB
from include.agent.stores.postgresql import apply, contained, definition, follow, publish, restore, send, waits
from include.agent.stores.postgresql import look as postgres_look
from include.agent.stores.postgresql import sql as postgres_sql
from include.agent.stores.postgresql.store import POSTGRESQL
from tests.lab import mariadb_tries

_HBA = "local all postgres peer\nlocal all all scram-sha-256\nhost all all 127.0.0.1/32 scram-sha-256\n"
_AS_POSTGRES = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]


def start() -> tuple[Account, Account]:
    """Both engines; alice and bob."""
    mariadb_tries.start()
    (binaries,) = glob.glob("/usr/lib/postgresql/*/bin")
    data = "/var/lib/postgresql/tries"
    subprocess.run(["install", "-d", "-o", "postgres", "-g", "postgres", "/run/postgresql"], check=True)
    made = [f"{binaries}/initdb", "-D", data, "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--auth=peer"]
    subprocess.run([*_AS_POSTGRES, *made], check=True, capture_output=True, cwd="/")
    Path(data, "pg_hba.conf").write_text(_HBA)
    settings = ("wal_level=logical", "fsync=off", "unix_socket_directories=/run/postgresql")
    server = [f"{binaries}/postgres", "-D", data, *(word for each in settings for word in ("-c", each))]
    subprocess.Popen([*_AS_POSTGRES, *server], stdout=-3, stderr=-3, cwd="/")
    end = time.monotonic() + 60
    while subprocess.run([*_AS_POSTGRES, "psql", "-c", ""], capture_output=True).returncode and time.monotonic() < end:
        time.sleep(0.1)
    return _customer("alice", 1500), _customer("bob", 1501)


def _customer(name: str, uid: int) -> Account:
    account = Account.from_json(
        {
            "account": name,
            "uid": uid,
            "gid": uid,
            "home": f"/home/{name}",
            "postgresql": {"roles": [name], "databases": [name]},
            "mariadb": {"users": [{"user": name, "host": "localhost"}], "databases": [name]},
            "sites": [],
            "mail": {},
        }
    )
    save(account)
    account.directory.mkdir(parents=True, exist_ok=True)
    postgres_sql.execute([f"CREATE ROLE {name} LOGIN PASSWORD 'secret'", f"CREATE DATABASE {name} OWNER {name}"])
    user = f"CREATE OR REPLACE USER {name}@localhost IDENTIFIED BY 'secret'"
    sql.queries([f"CREATE DATABASE {name}", user, f"GRANT ALL ON {name}.* TO {name}@localhost"])
    return account


def said(what: Callable[..., object], *args: object) -> str:
    """The code of a refusal; "" when there is none."""
    try:
        what(*args)
    except Refused as error:
        return error.code
    return ""


def psql(user: str, database: str, *statements: str) -> str:
    """What PostgreSQL says to a customer's statements."""
    argv = ["psql", "-XqAt", f"host=127.0.0.1 user={user} password=secret dbname={database}"]
    for statement in statements:
        argv += ["-c", statement]
    done = subprocess.run(argv, capture_output=True, text=True)
    return (done.stdout + done.stderr).strip()


def session(user: str, database: str, *statements: str) -> subprocess.Popen[str]:
    """A customer's session that has run these, and stays."""
    argv = ["psql", "-XqAt", f"host=127.0.0.1 user={user} password=secret dbname={database}"]
    client = subprocess.Popen(argv, stdin=-1, stdout=-1, stderr=subprocess.STDOUT, text=True)
    write(client, ";\n".join(statements) + ";\n\\echo ready\n")
    assert client.stdout
    while client.stdout.readline().strip() not in ("ready", ""):
        pass
    return client


def write(client: subprocess.Popen[str], statements: str) -> None:
    """Give a session more to do."""
    assert client.stdin
    client.stdin.write(statements)
    client.stdin.flush()


def goes_on(client: subprocess.Popen[str], statement: str) -> bool:
    """Whether the session still runs a statement."""
    try:
        answer, _ = client.communicate(statement + ";\n\\echo done\n", timeout=10)
    except BrokenPipeError:
        return False
    return "done" in answer and "ERROR" not in answer


def names(alice: Account, bob: Account) -> dict[str, Any]:
    """What has a name of the agent's and was there before it: {what: [refusal when the agent makes it, refusal of the
    enrolment, whether it is as it was]}; of what is free, the refusals alone."""
    found: dict[str, Any] = {}

    def as_user(purpose: str) -> None:
        with sql.login(bob, purpose, "SELECT"):
            pass

    made: dict[str, Callable[[], object]] = {
        f"th_{purpose}_bob": partial(as_user, purpose) for purpose in ("read", "restore", "create")
    }
    made["th_follow_bob"] = lambda: follower.login(bob, follower.READING)
    made["th_load_bob"] = lambda: follower.login(bob, follower.LOADING)
    made["th_make_bob"] = lambda: follower.login(bob, follower.MAKING)
    for name, make in made.items():
        for host in ("localhost", "%"):
            user = f"{name}@'{host}'"
            sql.queries([f"CREATE USER {user} IDENTIFIED BY 'alices'"])
            before = sql.queries([f"SHOW GRANTS FOR {user}"])
            refused = [said(make), said(MARIADB.enrol)]
            sql.queries(follower.gone(bob))
            same = sql.queries([f"SHOW GRANTS FOR {user}"]) == before
            sql.queries([f"DROP USER {user}"])
            found[f"mariadb {user}"] = [*refused, same]
        found[f"mariadb {name} free"] = [said(make), said(make), said(MARIADB.enrol)]
    sql.queries(follower.gone(bob))

    restoring = {"role": "th_restore_7", "database": "bob", "password": "x"}
    made = dict.fromkeys(("th_restore_7", "th_restore_7_all"), lambda: contained._make_restore_role(bob, restoring, []))
    made["th_read_bob"] = lambda: postgres_look.make_reader(bob)
    made["th_apply_bob"] = lambda: postgres_sql.execute(postgres_look.make_role("th_apply_bob", "LOGIN", bob))

    def gone(role: str) -> None:
        if role in ("th_read_bob", "th_apply_bob"):
            apply.drop_ours([role], postgres_sql.kept())
        else:
            contained._drop_restore_role(restoring, postgres_sql.kept())

    for role, make in made.items():
        postgres_sql.execute([f"CREATE ROLE {role} LOGIN PASSWORD 'alices'"])
        refused = [said(make), said(POSTGRESQL.enrol)]
        gone(role)
        granted = "SELECT to_json(count(*) = 0) FROM pg_auth_members WHERE member"
        left = postgres_sql.query(f"{granted} = '{role}'::regrole;")
        found[f"postgresql {role}"] = [*refused, *left]
        postgres_sql.execute([f"DROP ROLE {role}"])
        found[f"postgresql {role} free"] = [said(make), said(POSTGRESQL.enrol)]
        gone(role)

    # In a customer's database only the superuser's are ours.
    for what, name in (("SCHEMA", "pg_namespace WHERE nspname"), ("PUBLICATION", "pg_publication WHERE pubname")):
        psql("bob", "bob", f"CREATE {what} th_follow")
        try:
            follow._publish(bob, "bob")
        except publish.CannotFollow as error:
            found[f"postgresql {what}"] = ["name_taken", "name_taken"] if "rename it" in str(error) else [str(error)]
        follow.end(bob)
        left = postgres_sql.query(f"SELECT to_json(true) FROM {name} = 'th_follow';", "bob")
        found[f"postgresql {what}"] += left
        psql("bob", "bob", f"DROP {what} th_follow")
    found["left"] = postgres_sql.query(r"SELECT to_json(rolname::text) FROM pg_roles WHERE rolname LIKE 'th\_%';")
    return found


def in_a_hold(alice: Account, bob: Account) -> dict[str, Any]:
    """What gets into a hold, or lifts it."""
    found: dict[str, Any] = {}

    def facts() -> list[Any]:
        return [restore.role_facts(alice, postgres_sql.kept()), definition.definition(alice)]

    def databases() -> list[Any]:
        return postgres_sql.query("SELECT json_build_array(datname, datconnlimit) FROM pg_database ORDER BY oid;")

    LIFT = "ALTER DATABASE alice CONNECTION LIMIT -1"
    psql("alice", "alice", "CREATE TABLE t (n int)")
    postgres_sql.execute(
        ["GRANT ALL ON DATABASE alice TO bob", "GRANT CONNECT ON DATABASE bob, postgres TO alice, bob"]
    )
    before, limits = facts(), databases()
    sessions = [session("alice", database) for database in ("postgres", "bob", "alice")]
    sessions.append(session("alice", "postgres", "BEGIN", "ALTER DATABASE alice CONNECTION LIMIT 7"))
    sessions.append(session("alice", "bob", "BEGIN", "ALTER ROLE alice PASSWORD 'secret'"))
    held = POSTGRESQL.hold(alice)
    found["held"] = [held == POSTGRESQL.hold(alice), before == facts()]
    found["sessions"] = [goes_on(each, LIFT + "; COMMIT; SELECT 1") for each in sessions]
    found["lifted"] = {
        f"{user} from {database}": psql(user, database, LIFT)
        for user in ("alice", "bob")
        for database in ("alice", "bob", "postgres", "template1")
    }
    found["wrote"] = {user: psql(user, "alice", "INSERT INTO t VALUES (1)") for user in ("alice", "bob")}
    POSTGRESQL.unhold(alice)
    POSTGRESQL.unhold(alice)
    found["after"] = [psql("alice", "alice", "SELECT count(*) FROM t"), before == facts(), limits == databases()]
    postgres_sql.execute(["GRANT alice TO bob"])
    found["member"] = said(definition.definition, alice)
    postgres_sql.execute(["REVOKE alice FROM bob"])
    sql.queries(["GRANT INSERT ON alice.* TO bob@localhost"])
    found["granted"] = said(MARIADB.hold, alice)
    sql.queries(["REVOKE INSERT ON alice.* FROM bob@localhost"])
    return found


def settings(alice: Account, bob: Account) -> dict[str, Any]:
    """Each setting that a customer may set for a database, all at once, each to what the server does not have."""
    found: dict[str, Any] = {}

    def effective(session: postgres_sql.Session) -> dict[str, str]:
        rows = session.query("SELECT json_build_array(name, setting) FROM pg_settings;")
        return {name: setting for name, setting in rows}

    def odd(name: str, kind: str, now: str, least: str, most: str, words: list[str]) -> str:
        """A value that is not the server's."""
        if kind == "bool":
            return "off" if now == "on" else "on"
        if kind == "enum":
            return next((word for word in reversed(words) if word != now), now)
        if kind in ("integer", "real"):
            return least if least != now else most
        return "nothere"

    postgres_look.make_reader(alice)
    postgres_look.make_reader(bob)
    rows = postgres_sql.query(
        "SELECT json_build_array(name, vartype, setting, min_val, max_val, enumvals) FROM pg_settings"
        " WHERE context = 'user' ORDER BY name <> 'role', name;"
    )
    statements = [f"ALTER DATABASE alice SET {row[0]} = {postgres_sql.literal(odd(*row))}" for row in rows]
    psql(
        "alice",
        "alice",
        "CREATE TABLE s (n int PRIMARY KEY)",
        "INSERT INTO s SELECT generate_series(1, 100)",
        "CREATE TABLE u (n int)",
        "CREATE SEQUENCE q",
    )
    argv = ["psql", "-XqAt", "host=127.0.0.1 user=alice password=secret dbname=alice"]
    subprocess.run(argv, input=";\n".join(statements) + ";\n", capture_output=True, text=True)
    found["taken"] = len(
        postgres_sql.query(
            "SELECT to_json(unnest(setconfig)) FROM pg_db_role_setting s JOIN pg_database d"
            " ON d.oid = s.setdatabase WHERE datname = 'alice';"
        )
    )
    found["they bind a customer"] = psql("alice", "alice", "SELECT 1") != "1"
    postgres_sql.end_kept(["alice", "bob"])
    for name in ("superuser", "reader"):
        sides = []
        for account in (alice, bob):
            session = postgres_sql.kept(account.name, None if name == "superuser" else postgres_look.reader(account))
            sides.append(effective(session))
        found[name] = {key: [value, sides[1][key]] for key, value in sides[0].items() if value != sides[1][key]}
    question = {
        "keys": {"public.s": {"schema": "public", "table": "s", "columns": ["n"], "keys": [["1"]]}},
        "whole": [["public", "u"]],
    }

    def dump() -> str:
        argv = [*send.dumping(), "-d", postgres_sql.conninfo("alice")]
        done = subprocess.run(argv, stdout=-3, stderr=-1, env=send.dump_environment("alice"))
        return done.stderr.decode()[-300:]

    steps = {
        "definition": lambda: definition.definition(alice),
        "digest": lambda: POSTGRESQL.digest(alice),
        "publish": lambda: follow._publish(alice, "alice"),
        "look": lambda: postgres_look.look(alice, "alice", question),
        "hold": lambda: POSTGRESQL.hold(alice),
        "unhold": lambda: POSTGRESQL.unhold(alice),
        "end": lambda: follow.end(alice),
    }
    found["steps"] = {name: said(step) for name, step in steps.items()} | {"dump": dump()}

    def slot() -> None:
        follow._publish(alice, "alice")
        with follow._exported("alice", "th_follow_z"):
            pass
        follow.end(alice)

    found["steps"]["slot"] = said(slot)
    follow.end(bob)
    postgres_sql.execute(["ALTER DATABASE alice RESET ALL"])
    return found


def looks(alice: Account, bob: Account) -> dict[str, Any]:
    """A customer's function, run by the role that looks."""
    found: dict[str, Any] = {}
    EVIL = """CREATE OR REPLACE FUNCTION public.evil() RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
     IF current_user = 'alice' THEN RETURN true; END IF;
     PERFORM pg_catalog.set_config('default_transaction_read_only', 'off', false);
     PERFORM pg_catalog.set_config('search_path', 'public', false);
     BEGIN PERFORM pg_catalog.set_config('transaction_read_only', 'off', true); EXCEPTION WHEN OTHERS THEN NULL; END;
     BEGIN EXECUTE pg_catalog.format('ALTER ROLE %I PASSWORD %L', current_user, 'known');
     EXCEPTION WHEN OTHERS THEN NULL; END;
     BEGIN INSERT INTO public.ran VALUES (current_user); EXCEPTION WHEN OTHERS THEN NULL; END; RETURN true; END $$"""
    OVERLAP = "CREATE OR REPLACE FUNCTION public.md5(text) RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$"
    psql("alice", "alice", "CREATE TABLE ran (who text)", *(f"CREATE SEQUENCE s{n}" for n in range(3)), EVIL, OVERLAP)
    postgres_look.make_reader(alice)
    before = postgres_sql.query("SELECT to_json(rolpassword) FROM pg_authid WHERE rolname = 'th_read_alice';")
    found["looks"] = []
    for n in range(3):
        view = f"CREATE VIEW s{n} AS SELECT 1::bigint AS last_value, public.evil() AS is_called"
        swap = session("alice", "alice", "BEGIN", f"DROP SEQUENCE s{n}", view)
        write(swap, "SELECT pg_sleep(1.5);\nCOMMIT;\n")
        # A sequence that nobody has used is not called yet: the view that took its place says otherwise.
        found["looks"].append([name for _, name, _, called in postgres_look.sequences(alice, "alice") if called])
        swap.communicate()
    psql(
        "alice",
        "alice",
        "CREATE TABLE k (n int PRIMARY KEY)",
        "INSERT INTO k VALUES (1)",
        "CREATE MATERIALIZED VIEW m AS SELECT n FROM k",
        "CREATE INDEX ON k ((public.evil())) WHERE public.evil()",
    )
    question = {
        "keys": {"public.k": {"schema": "public", "table": "k", "columns": ["n"], "keys": [["1"]]}},
        "whole": [["public", "k"], ["public", "m"]],
    }
    looks = [postgres_look._rows(alice, "alice", question) for _ in range(3)]
    found["same"] = looks[0] == looks[1] == looks[2] and looks[0]["rows"]["public.k"] != ["x"]
    reader = postgres_sql.kept("alice", postgres_look.reader(alice))
    found["settings"] = reader.query(
        "SELECT to_json(current_setting(name)) FROM unnest(ARRAY['search_path','default_transaction_read_only']) name;"
    )
    after = postgres_sql.query("SELECT to_json(rolpassword) FROM pg_authid WHERE rolname = 'th_read_alice';")
    found["password"] = before == after
    found["wrote"] = psql("alice", "alice", "SELECT count(*) FROM ran WHERE who = 'th_read_alice'")
    postgres_sql.execute(["ALTER ROLE th_read_alice PASSWORD 'secret' VALID UNTIL '2000-01-01'"])
    found["login"] = psql("th_read_alice", "alice", "SELECT 1")
    postgres_sql.end_kept(["alice"])
    follow.end(alice)
    return found


def open_transactions(alice: Account, bob: Account) -> dict[str, Any]:
    """A neighbour's transaction while a slot is made."""
    found: dict[str, Any] = {}
    waits.IDLE_SECONDS = 2
    follow._SLOT_SECONDS = 6

    def slot() -> tuple[str, float]:
        began = time.monotonic()
        try:
            with follow._exported("alice", "th_follow_9"):
                made = ""
        except follow.CannotFollow as error:
            made = str(error)
        follow._drop_slot("th_follow_9")
        return made, time.monotonic() - began

    psql("bob", "bob", "CREATE TABLE w (n int)")
    idle = session("bob", "bob", "BEGIN", "INSERT INTO w VALUES (1)")
    found["idle"] = slot()
    found["idle goes on"] = goes_on(idle, "COMMIT")
    busy = session("bob", "bob", "BEGIN", "INSERT INTO w VALUES (2)")
    write(busy, "SELECT pg_sleep(8); COMMIT;\n")
    found["busy"] = slot()
    found["busy goes on"] = goes_on(busy, "SELECT 1")
    found["nobody"] = slot()
    found["rows"] = psql("bob", "bob", "SELECT array_agg(n) FROM w")
    return found


def restoring(alice: Account, bob: Account) -> dict[str, Any]:
    """The password that a restore logs in with: who may see it, what it opens, and how long it lasts."""
    found: dict[str, Any] = {}
    psql("bob", "bob", "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7)")
    hidden = ("CREATE TABLE hidden (n int)", "INSERT INTO hidden VALUES (7)", "GRANT SELECT ON hidden TO PUBLIC")
    psql("bob", "bob", *hidden, "ALTER TABLE hidden ENABLE ROW LEVEL SECURITY")
    known = {"role": "th_restore_7", "database": "alice", "password": secrets.token_urlsafe(24), "spool": "/nowhere"}
    path = contained._path(alice, "alice")
    write_durably(path, json.dumps(known))
    contained._make_restore_role(alice, known, [])
    found["file"] = [oct(path.stat().st_mode & 0o777), path.stat().st_uid]
    argv = [*contained.AS_CLIENT, "psql", "-XqAt", "-d", contained._login(known)]
    client = subprocess.Popen(
        [*argv, "-c", "SELECT pg_sleep(60)"], env=contained._environment(known), stdout=-3, stderr=-3
    )
    running = "SELECT to_json(count(*)) FROM pg_stat_activity WHERE usename = 'th_restore_7';"
    end = time.monotonic() + 20
    while postgres_sql.query(running) == [0] and time.monotonic() < end:
        time.sleep(0.05)
    look = f"cat {path} /proc/{client.pid}/environ /proc/{client.pid}/cmdline; cat /proc/*/environ /proc/*/cmdline"
    for who in (1500, 1501):
        as_customer = ["setpriv", f"--reuid={who}", f"--regid={who}", "--clear-groups"]
        seen = subprocess.run([*as_customer, "sh", "-c", look], capture_output=True)
        found[f"seen by {who}"] = known["password"].encode() in seen.stdout
    shown = psql("alice", "alice", "SELECT * FROM pg_stat_activity; SELECT * FROM pg_roles; SELECT * FROM pg_authid")
    found["shown to alice"] = known["password"] in shown or "SCRAM" in shown

    def as_restore(database: str, statement: str, password: str = known["password"]) -> str:
        login = f"host=127.0.0.1 user=th_restore_7 password={password} dbname={database}"
        done = subprocess.run(["psql", "-XqAt", login, "-c", statement], capture_output=True, text=True)
        return (done.stdout + done.stderr).strip()

    found["another password"] = [as_restore("alice", "SELECT 1", wrong) for wrong in ("secret", "x", "th_restore_7")]
    # What a customer's own code could do with it that ran meanwhile, had it made the password one that it knows.
    found["opens"] = as_restore("alice", "SELECT 'its own'")
    reached = ("SELECT * FROM kept", "INSERT INTO kept VALUES (8)", "SET ROLE bob", "CREATE SCHEMA mine")
    found["of bob"] = [as_restore("bob", statement) for statement in reached]
    found["hidden rows"] = as_restore("bob", "SELECT count(*) FROM hidden")
    powers = ["CREATE ROLE x", "ALTER ROLE th_restore_7 VALID UNTIL 'infinity'", "COPY kept TO PROGRAM 'id'"]
    powers += ["ALTER SYSTEM SET log_statement = 'all'", "SELECT pg_read_file('/etc/passwd')", "SET ROLE postgres"]
    found["powers"] = [as_restore("alice", statement) for statement in powers]
    contained.abandon_all(alice)
    found["afterwards"] = [as_restore("alice", "SELECT 1"), *postgres_sql.query(running), path.exists()]
    found["ended"] = client.wait(10) != 0
    psql("bob", "bob", "DROP TABLE kept, hidden")
    return found


def granted_to(alice: Account, bob: Account) -> dict[str, Any]:
    """bob grants what is his to alice's role and to the agent's, and names them in policies, as fast as he can, while
    they leave: what stays of them, and what he has afterwards."""
    found: dict[str, Any] = {}
    postgres_look.make_reader(alice)
    psql("bob", "bob", "CREATE TABLE g (n int)", "INSERT INTO g VALUES (1)", "CREATE SCHEMA gs")
    to = "alice, th_read_alice"
    grants = [f"GRANT ALL ON DATABASE bob TO {to}", f"GRANT ALL ON g TO {to}", f"GRANT ALL ON SCHEMA gs TO {to}"]
    grants += [f"ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {to}", f"CREATE POLICY p ON g TO {to} USING (true)"]
    found["granted"] = psql("bob", "bob", *grants)
    again = "".join(f"{statement};" for statement in (*grants[:2], "DROP POLICY IF EXISTS p ON g", grants[4]))
    script = f"while echo \"{again}\"; do :; done | PGPASSWORD=secret psql -XqAt 'host=127.0.0.1 user=bob dbname=bob'"
    granting = subprocess.Popen(["timeout", "60", "sh", "-c", script], stdout=-3, stderr=-3)
    try:
        time.sleep(0.3)
        found["reader"] = said(lambda: apply.drop_ours(["th_read_alice"], postgres_sql.kept()))
        found["discard"] = said(restore.discard, alice)
    finally:
        granting.kill()
        granting.wait()
    left = "SELECT to_json(rolname::text) FROM pg_roles WHERE rolname::text IN ('alice', 'th_read_alice');"
    found["left"] = postgres_sql.query(left)
    found["of bob"] = psql("bob", "bob", "SELECT * FROM g")
    return found
