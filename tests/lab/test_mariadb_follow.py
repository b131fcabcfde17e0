"""MariaDB databases are followed while everything writes to them; in the hold little is left, and it is proven."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from include.agent import verbs
from lab.pairing import receive
from tests.lab.agents import Side, account_file, side
from tests.lab.handles import Lab

DATA = Path(__file__).parent / "data_sets"
STEPS = (DATA / "store_steps.py").read_text()
NAME, UID = "follow", 2701
# The second holds everything that a name can do to a filter, a grant or a pattern.
DATABASES = [f"{NAME}_wp", "fo`l%l_, 'x\" \\y"]
# What `_` would match as a wildcard: another account's.
OTHER = f"{NAME}xwp"

_INSIDE = """
import json, os, subprocess, sys, time
sys.path.insert(0, "/usr/local/lib/transhumance/agent.pyz")
os.umask(0o077)
from agent.account import accounts; from agent.host import digest; from agent.host import system
from agent.stores.mariadb.store import MARIADB
from agent.channel.peer import Peer
from agent.verbs import mariadb as verbs
given = json.loads(sys.argv[1])
account = accounts.load(given["account"])
peer = Peer(given["move"], given["peer"]["address"], given["peer"]["host_keys"])
mariadb = Steps(MARIADB, account, peer)

def client(database, sql):
    argv = ["mariadb", "--no-defaults", "--default-character-set=utf8mb4", "--user=follow", "--database=" + database]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    client = subprocess.Popen(argv, env={"PATH": "/usr/bin", "MYSQL_PWD": "secret"}, **pipes)
    client.stdin.write(sql.encode())
    client.stdin.close()
    return client

def churn(rounds, keyless=1):
    return [client(name, f"SET @keyless = {keyless}; CALL churn({rounds});") for name in given["databases"]]

def done(clients):
    return [one.wait() for one in clients]

def whole():
    mine, theirs = mariadb.digest(account), peer.call(verbs.Digest())
    return {"different": digest.differences(mine, theirs), "rows": mine["rows"], "tables": mine["tables"]}

"""


def as_root(one: Side, sql: str) -> str:
    argv = ["mariadb", "--no-defaults", "--batch", "--skip-column-names", "--default-character-set=utf8mb4"]
    return one.root(*argv, stdin=sql.encode())


def ident(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


class Pair:
    """The account on two servers, and Python run with the source's agent."""

    def __init__(self, old: Side, new: Side) -> None:
        self.old, self.new = old, new
        statement = account_file(NAME, UID)
        statement["mariadb"] = {"users": [{"user": NAME, "host": "localhost"}], "databases": DATABASES}
        self._fill()
        old.host.call(verbs.Create(account_file=statement))
        peer = receive("follow-1", 2, statement, old.end, new.end)
        self.given = {"account": NAME, "move": "follow-1", "databases": DATABASES, "peer": asdict(peer)}

    def _fill(self) -> None:
        as_root(self.old, f"CREATE USER {NAME}@localhost IDENTIFIED BY 'secret'; CREATE DATABASE {OTHER};")
        for name in DATABASES:
            escaped = ident(name.replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%"))
            grant = f"GRANT ALL ON {escaped}.* TO {NAME}@localhost WITH GRANT OPTION;"
            as_root(self.old, f"CREATE DATABASE {ident(name)}; {grant}")
            for data in ("mariadb_awkward.sql", "mariadb_churn.sql"):
                login = [f"--user={NAME}", f"--database={name}", "--default-character-set=utf8mb4"]
                argv = ["env", "MYSQL_PWD=secret", "mariadb", "--no-defaults", *login]
                self.old.root(*argv, stdin=(DATA / data).read_bytes())
        as_root(self.old, f"CREATE TABLE {OTHER}.t (a int PRIMARY KEY); INSERT INTO {OTHER}.t VALUES (1);")
        theirs = f"CREATE TABLE {OTHER}.t (a int PRIMARY KEY); INSERT INTO {OTHER}.t VALUES (7);"
        as_root(self.new, f"CREATE DATABASE {OTHER}; {theirs}")

    def inside(self, code: str) -> dict:
        """Run code on the source; what it leaves in `found`."""
        script = f"{STEPS}\n{_INSIDE}\n{code}\nprint(json.dumps(found))\n"
        return json.loads(self.old.root("python3", "-c", script, json.dumps(self.given)).splitlines()[-1])


@pytest.fixture(scope="module")
def moving(lab: Lab) -> Iterator[Pair]:
    with lab.fresh("2022", "2026") as (old, new):
        yield Pair(side(lab, old), side(lab, new))


def test_it_is_loaded_and_proven_while_everything_writes(moving: Pair) -> None:
    found = moving.inside(
        """
writers = churn(4000)
found = mariadb.follow()
done(writers)
again = mariadb.follow()
found["again"] = again["bytes"]
"""
    )
    assert [way["way"] for way in found["ways"]] == ["follow", "follow"] and found["left"] == []
    assert found["bytes"] > 1_000_000 and found["again"] < found["bytes"] / 4


def test_what_is_defined_meanwhile_is_loaded_again(moving: Pair) -> None:
    found = moving.inside(
        """
sql = "ALTER TABLE plain ADD COLUMN more int DEFAULT 5 AFTER n; TRUNCATE TABLE cache; DROP TABLE times;"
sql += "CREATE TABLE fresh (a int PRIMARY KEY); INSERT INTO fresh VALUES (1); CREATE VIEW two AS SELECT a FROM fresh;"
sql += "DROP TRIGGER counted; CREATE SEQUENCE more; RENAME TABLE codes TO renamed; ALTER EVENT once DISABLE;"
sql += "SET PASSWORD = PASSWORD('secret');"
done([client(given["databases"][0], sql)])
found = {"follow": mariadb.follow()["bytes"], "expected": mariadb.rehearse()}
mariadb.hold(account)
mariadb.final_pass()
found["compared"] = mariadb.compare()
found["whole"] = whole()
mariadb.unhold(account)
"""
    )
    assert found["compared"][1] == [] and found["whole"]["different"] == []


@pytest.mark.parametrize("corrupt", [False, True])
def test_the_hold_brings_the_last_and_finds_a_row_that_differs(moving: Pair, corrupt: bool) -> None:
    found = moving.inside(
        f"""
mariadb.follow()
found = {{"expected": mariadb.rehearse()}}
writers = churn(10000000, keyless=0)
time.sleep(0.3)
mariadb.rehearse()
time.sleep(0.2)
row = "INSERT INTO plain (id, n) VALUES (20000, {76 + corrupt}) ON DUPLICATE KEY UPDATE n = {76 + corrupt};"
client(given["databases"][0], row).wait()  # no writer comes to that one
began = time.monotonic()
mariadb.hold(account)
held = time.monotonic()
mariadb.final_pass()
if {corrupt}:
    change = "UPDATE `follow_wp`.plain SET n = 78 WHERE id = 20000"
    peer.call(verbs.Run(statements=[change], tables=[["follow_wp", "plain"]]))
found["compared"] = mariadb.compare()
found["seconds"] = time.monotonic() - held
found["ended"] = done(writers)
found["whole"] = whole()
mariadb.unhold(account)
"""
    )
    figures, different = found["compared"]
    assert any(code != 0 for code in found["ended"])  # they wrote until the hold
    if corrupt:
        assert different == ["follow_wp.plain: not the same on both sides."]
        assert len(found["whole"]["different"]) == 1
    else:
        assert different == [] and found["whole"]["different"] == []
        assert figures == {"files": 0, "bytes": 0, "tables": found["whole"]["tables"], "rows": found["whole"]["rows"]}
        print(f"last and compare: {found['seconds']:.3f} s, rehearsed {found['expected']['seconds']:.3f} s")


def test_a_row_that_differed_is_put_right_when_it_is_followed_on(moving: Pair) -> None:
    found = moving.inside(
        """
mariadb.follow()
mariadb.hold(account)
mariadb.final_pass()
found = {"compared": mariadb.compare(), "whole": whole()}
mariadb.unhold(account)
"""
    )
    # The hold that was given up moved no position, so what it brought over is brought over again.
    assert found["compared"][1] == [] and found["whole"]["different"] == []


def test_what_is_defined_between_rehearsal_and_hold_is_made_in_the_hold(moving: Pair) -> None:
    found = moving.inside(
        """
mariadb.follow()
mariadb.rehearse()
sql = "ALTER TABLE fresh ADD COLUMN late int DEFAULT 3; INSERT INTO fresh VALUES (2, 4); CREATE TABLE late (a int);"
sql += "INSERT INTO late VALUES (1), (1); CREATE VIEW late_too AS SELECT a FROM late; DROP TABLE renamed;"
done([client(given["databases"][0], sql)])
mariadb.hold(account)
mariadb.final_pass()
found = {"compared": mariadb.compare(), "whole": whole()}
mariadb.unhold(account)
"""
    )
    assert found["compared"][1] == [] and found["whole"]["different"] == []


def test_a_write_of_the_host_itself_in_the_hold_is_found(moving: Pair) -> None:
    found = moving.inside(
        """
mariadb.follow()
mariadb.rehearse()
mariadb.hold(account)
mariadb.final_pass()
subprocess.run(["mariadb", "-e", "INSERT INTO follow_wp.fresh VALUES (9, 9)"], check=True)
found = {"compared": mariadb.compare()}
mariadb.unhold(account)
"""
    )
    assert found["compared"][1] == ["follow_wp.fresh: somebody of the host itself wrote to it in the hold."]


def test_a_transaction_that_stays_prepared_is_refused_before_and_in_the_hold(moving: Pair) -> None:
    found = moving.inside(
        """
def refused(step):
    try:
        step()
    except system.Refused as error:
        return [error.code, error.message]

mariadb.follow()
mariadb.rehearse()
xa = "XA START 'x'; INSERT INTO fresh VALUES (77, 7); XA END 'x'; XA PREPARE 'x';"
done([client(given["databases"][0], xa)])
found = {"rehearsed": refused(lambda: mariadb.rehearse())}
mariadb.hold(account)
found["held"] = refused(lambda: mariadb.final_pass())
mariadb.unhold(account)
done([client(given["databases"][0], "XA COMMIT 'x';")])
mariadb.rehearse()
mariadb.hold(account)
mariadb.final_pass()
found["compared"] = mariadb.compare()
found["whole"] = whole()
mariadb.unhold(account)
"""
    )
    for code, message in (found["rehearsed"], found["held"]):
        assert code == "prepared_transaction" and "XA COMMIT" in message
    assert found["compared"][1] == [] and found["whole"]["different"] == []


@pytest.mark.parametrize(
    "granted",
    [
        "GRANT INSERT ON *.* TO other@'%'",
        "GRANT DELETE ON `follow%`.* TO other@'%'",
        "GRANT UPDATE (a) ON follow_wp.fresh TO other@'%'",
        "CREATE ROLE team; GRANT INSERT ON follow_wp.* TO team; GRANT team TO other@'%'",
        "GRANT INSERT ON follow_wp.* TO PUBLIC",
    ],
)
def test_nobody_else_may_write_to_what_stays_behind(moving: Pair, granted: str) -> None:
    as_root(moving.old, f"CREATE USER other@'%' IDENTIFIED BY 'x'; {granted};")
    try:
        found = moving.inside(
            """
found = []
for step in (lambda: mariadb.follow(), lambda: mariadb.hold(account)):
    try:
        step()
    except system.Refused as error:
        found.append([error.code, error.message])
"""
        )
    finally:
        as_root(moving.old, "DROP USER other@'%'; DROP ROLE IF EXISTS team;")
        if "PUBLIC" in granted:
            as_root(moving.old, "REVOKE INSERT ON follow_wp.* FROM PUBLIC;")
    # What everybody may is a role that the account's own users have as well: that is said first.
    first = "foreign_role" if "PUBLIC" in granted else "foreign_writer"
    assert [code for code, _ in found] == [first, "foreign_writer"]
    assert all("other@%" in message or "PUBLIC" in message for _, message in found)


def test_another_run_of_the_server_is_not_trusted(moving: Pair) -> None:
    """What a power cut does: rows that InnoDB has kept and the log has lost."""
    found = moving.inside(
        """
mariadb.follow()
mariadb.rehearse()
unlogged = "SET SESSION sql_log_bin = 0; UPDATE follow_wp.fresh SET a = 500 WHERE a = 9"
subprocess.run(["mariadb", "-e", unlogged], check=True)
subprocess.run(["systemctl", "restart", "mariadb.service"], check=True)
mariadb.hold(account)
try:
    mariadb.final_pass()
except system.Refused as error:
    found = {"refused": error.code}
mariadb.unhold(account)
mariadb.follow()
mariadb.rehearse()
mariadb.hold(account)  # an event of the account's writes every second
mariadb.final_pass()
found["whole"] = whole()
mariadb.unhold(account)
"""
    )
    assert found == {"refused": "restarted", "whole": found["whole"]} and found["whole"]["different"] == []


def test_a_log_that_cannot_be_read_makes_it_a_dump(moving: Pair) -> None:
    as_root(moving.old, "SET GLOBAL binlog_format = MIXED;")
    try:
        found = moving.inside(
            """
found = {"ways": mariadb.follow()["ways"], "expected": mariadb.rehearse()}
mariadb.hold(account)
mariadb.final_pass()
found["compared"] = mariadb.compare()
found["whole"] = whole()
mariadb.unhold(account)
"""
        )
    finally:
        as_root(moving.old, "SET GLOBAL binlog_format = ROW;")
    assert {way["way"] for way in found["ways"]} == {"dump"} and len(found["expected"]["slow"]) == 2
    figures, different = found["compared"]
    assert different == [] and found["whole"]["different"] == []
    assert figures == {"files": 0, "bytes": 0, "tables": found["whole"]["tables"], "rows": found["whole"]["rows"]}


def test_nothing_stays(moving: Pair) -> None:
    kept = "SELECT User FROM mysql.global_priv WHERE User LIKE 'th\\\\_%'"
    settings = "SELECT @@GLOBAL.max_allowed_packet, @@GLOBAL.server_id, @@GLOBAL.log_bin_trust_function_creators"
    moving.inside("mariadb.unfollow(account); mariadb.unfollow(account); found = {}")
    assert as_root(moving.old, kept) == ""
    assert moving.old.root("ls", f"/var/lib/transhumance/accounts/{NAME}").split() == ["state.json"]
    moving.new.host.call(verbs.Remove(account=NAME))
    assert as_root(moving.new, kept) == "" and as_root(moving.new, "SHOW ALL SLAVES STATUS") == ""
    for one in (moving.old, moving.new):
        assert as_root(one, settings).split() == ["16777216", "1", "1"]
    assert as_root(moving.new, f"SELECT a FROM {OTHER}.t").strip() == "7"
    assert as_root(moving.old, f"SELECT a FROM {OTHER}.t").strip() == "1"
