"""What a customer owns beside the data, on either version: names like the agent's, ways into a hold, a neighbour's
transaction, settings that bind. Each is tried with the engines themselves."""

import pytest

from tests.lab.agents import Side, side
from tests.lab.on_a_server import run, two_customers


@pytest.fixture(scope="module", params=[0, 1], ids=["debian12", "debian13"])
def server(request, pair, lab) -> Side:
    one = side(lab, pair[request.param])
    two_customers(one)
    return one


NAMES = r"""
from agent import mariadb_follower, postgres_apply, postgres_contained, postgres_look

def as_user(purpose):
    with mariadb_sql.login(bob, purpose, "SELECT"):
        pass

made = {f"th_{purpose}_bob": (lambda purpose=purpose: as_user(purpose)) for purpose in ("read", "restore", "create")}
made["th_follow_bob"] = lambda: mariadb_follower.login(bob, mariadb_follower.READING)
made["th_make_bob"] = lambda: mariadb_follower.login(bob, mariadb_follower.MAKING)
for name, make in made.items():
    for host in ("localhost", "%"):
        user = f"{name}@'{host}'"
        mariadb_sql.queries([f"CREATE USER {user} IDENTIFIED BY 'alices'"])
        before = mariadb_sql.queries([f"SHOW GRANTS FOR {user}"])
        refused = [said(make), said(mariadb.enrol)]
        mariadb_sql.queries(mariadb_follower.gone(bob))
        left = mariadb_sql.queries([f"SHOW GRANTS FOR {user}"]) == before
        mariadb_sql.queries([f"DROP USER {user}"])
        found[f"mariadb {user}"] = [*refused, left]
    found[f"mariadb {name} free"] = [said(make), said(make), said(mariadb.enrol)]
mariadb_sql.queries(mariadb_follower.gone(bob))

restoring = {"role": "th_restore_7", "database": "bob", "password": "x"}
made = dict.fromkeys(
    ("th_restore_7", "th_restore_7_all"), lambda: postgres_contained._make_restore_role(bob, restoring, [])
)
made["th_read_bob"] = lambda: postgres_look.make_reader(bob)
made["th_apply_bob"] = lambda: postgres_sql.execute(postgres_look.make_role("th_apply_bob", "LOGIN", bob))
def gone(role):
    if role in ("th_read_bob", "th_apply_bob"):
        postgres_apply.drop_roles([role], postgres_sql.kept())
    else:
        postgres_contained._drop_restore_role(restoring, postgres_sql.kept())
for role, make in made.items():
    postgres_sql.execute([f"CREATE ROLE {role} LOGIN PASSWORD 'alices'"])
    refused = [said(make), said(postgres.enrol)]
    gone(role)
    granted = f"SELECT count(*) = 0 FROM pg_auth_members WHERE member = '{role}'::regrole;"
    left = postgres_sql.query(granted.replace("count(*) = 0", "to_json(count(*) = 0)"))
    found[f"postgresql {role}"] = [*refused, *left]
    postgres_sql.execute([f"DROP ROLE {role}"])
    found[f"postgresql {role} free"] = [said(make), said(postgres.enrol)]
    gone(role)
found["left"] = postgres_sql.query(r"SELECT to_json(rolname::text) FROM pg_roles WHERE rolname LIKE 'th\_%';")
"""


def test_what_has_a_name_of_the_agents_is_not_taken_for_its_own(server: Side) -> None:
    found = run(server, NAMES)
    assert found.pop("left") == []
    taken = {name: what for name, what in found.items() if not name.endswith("free")}
    assert len(taken) == 14 and set(map(tuple, taken.values())) == {("name_taken", "name_taken", True)}
    assert not any(any(found[name]) for name in {*found} - {*taken})


HOLD = r"""
from agent import postgres_definition, postgres_restore
def facts():
    return [postgres_restore.role_facts(alice, postgres_sql.kept()), postgres_definition.definition(alice)]
def databases():
    return postgres_sql.query("SELECT json_build_array(datname, datconnlimit) FROM pg_database ORDER BY oid;")
LIFT = "ALTER DATABASE alice CONNECTION LIMIT -1"
psql("alice", "alice", "CREATE TABLE t (n int)")
postgres_sql.execute(["GRANT ALL ON DATABASE alice TO bob", "GRANT CONNECT ON DATABASE bob, postgres TO alice, bob"])
before, limits = facts(), databases()
sessions = [session("alice", database) for database in ("postgres", "bob", "alice")]
sessions.append(session("alice", "postgres", "BEGIN", "ALTER DATABASE alice CONNECTION LIMIT 7"))
sessions.append(session("alice", "bob", "BEGIN", "ALTER ROLE alice PASSWORD 'secret'"))
held = postgres.hold(alice)
found["held"] = [held == postgres.hold(alice), before == facts()]
found["sessions"] = [goes_on(each, LIFT + "; COMMIT; SELECT 1") for each in sessions]
found["lifted"] = {
    f"{user} from {database}": psql(user, database, LIFT)
    for user in ("alice", "bob") for database in ("alice", "bob", "postgres", "template1")
}
found["wrote"] = {user: psql(user, "alice", "INSERT INTO t VALUES (1)") for user in ("alice", "bob")}
postgres.unhold(alice)
postgres.unhold(alice)
found["after"] = [psql("alice", "alice", "SELECT count(*) FROM t"), before == facts(), limits == databases()]
postgres_sql.execute(["GRANT alice TO bob"])
found["member"] = said(postgres_definition.definition, alice)
postgres_sql.execute(["REVOKE alice FROM bob"])
mariadb_sql.queries(["GRANT INSERT ON alice.* TO bob@localhost"])
found["granted"] = said(mariadb.hold, alice)
mariadb_sql.queries(["REVOKE INSERT ON alice.* FROM bob@localhost"])
"""


def test_nobody_gets_into_a_hold_or_lifts_it(server: Side) -> None:
    found = run(server, HOLD)
    assert found["held"] == [True, True]
    assert not any(found["sessions"])
    assert all("ERROR" in answer or "FATAL" in answer for answer in found["lifted"].values())
    assert all("FATAL" in answer for answer in found["wrote"].values())
    assert found["after"] == ["0", True, True]
    assert (found["member"], found["granted"]) == ("foreign_member", "foreign_writer")
