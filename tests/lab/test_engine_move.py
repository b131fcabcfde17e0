"""One engine's databases move to another server: the site stays where it is and notices nothing, whoever dies."""

import http.client
import json
import socket
import time
from typing import Any

import psycopg
import pytest

from include.agent import verbs
from include.agent.verbs.reports import Switched
from include.hosts import AgentError
from lab.pairing import receive
from tests.lab.agents import Move, Side, account_file, measured, side, visitors
from tests.lab.handles import Lab, Running
from tests.lab.waiting import wait_for

SECRET = "a secret; with 'quotes'"
SITE = rb"""<?php
function databases(string $host): array {
    $options = [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION, PDO::ATTR_PERSISTENT => isset($_GET["n"])];
    $settings = json_decode(file_get_contents(dirname(__DIR__) . "/settings.json"), true);
    $of = "dbname={$settings['name']}";
    return [
        "postgresql" => new PDO("pgsql:{$host}$of", $settings["name"], $settings["secret"], $options),
        "mariadb" => new PDO("mysql:host=localhost;$of", $settings["name"], $settings["secret"], $options),
    ];
}
"""
PAGE = rb"""<?php
require "databases.php";
$databases = databases($_GET["host"] ?? "host=127.0.0.1;");
foreach (isset($_GET["n"]) ? $databases : [] as $database) {
    $database->prepare("INSERT INTO visit (n) VALUES (?)")->execute([(int) $_GET["n"]]);
}
foreach ($databases as $engine => $database) {
    $said[$engine] = $database->query("SELECT VERSION()")->fetchColumn();
}
echo json_encode([...$said, "who" => $databases["mariadb"]->query("SELECT CURRENT_USER()")->fetchColumn()]);
"""
CRON = rb"""<?php
require "databases.php";
foreach (databases("") as $database) {
    $database->exec("INSERT INTO cron (n) VALUES (1)");
}
"""
VERSIONS = {"postgresql": ("PostgreSQL 15.", "PostgreSQL 17."), "mariadb": ("10.11.", "11.8.")}


@pytest.fixture(scope="module")
def sides(lab: Lab, pair: tuple[Running, Running]) -> tuple[Side, Side]:
    return side(lab, pair[0]), side(lab, pair[1])


def psql(here: Side, database: str, script: str) -> list[str]:
    argv = ("runuser", "-u", "postgres", "--", "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", database)
    return here.root(*argv, stdin=script.encode()).splitlines()


def mariadb(here: Side, script: str) -> list[str]:
    return here.root("mariadb", "--batch", "--skip-column-names", stdin=script.encode()).splitlines()


def as_account(here: Side, uid: int, *argv: str, stdin: bytes | None = None, check: bool = True) -> str:
    return here.root("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *argv, stdin=stdin, check=check)


def create(here: Side, name: str, uid: int, **more: Any) -> dict[str, Any]:
    """An account whose page writes every visit to both engines: by TCP to one, by the socket to the other."""
    statement = {
        **account_file(name, uid),
        "postgresql": {"roles": [name], "databases": [name]},
        "mariadb": {"users": [{"user": name, "host": "localhost"}], "databases": [name]},
        **more,
    }
    here.host.call(verbs.Create(account_file=statement))
    secret = SECRET.replace("'", "''")
    psql(here, "postgres", f"CREATE ROLE {name} LOGIN PASSWORD '{secret}'; CREATE DATABASE {name} OWNER {name}")
    tables = "CREATE TABLE {0}visit (n bigint, id bigint PRIMARY KEY {1}); CREATE TABLE {0}cron (n bigint);"
    psql(here, name, f"SET ROLE {name};" + tables.format("", "GENERATED ALWAYS AS IDENTITY"))
    user = f"{name}@localhost"
    mariadb(
        here,
        f"CREATE DATABASE {name}; CREATE USER {user} IDENTIFIED BY '{secret}'; GRANT ALL ON {name}.* TO {user};"
        + tables.format(f"{name}.", "AUTO_INCREMENT"),
    )
    as_account(here, uid, "mkdir", "-p", f"/home/{name}/public_html")
    files = {"public_html/databases.php": SITE, "public_html/index.php": PAGE, "public_html/cron.php": CRON}
    files["settings.json"] = json.dumps({"name": name, "secret": SECRET}).encode()
    for path, content in files.items():
        as_account(here, uid, "tee", f"/home/{name}/{path}", stdin=content)
    as_account(here, uid, "chmod", "-R", "a+rX", f"/home/{name}/public_html")
    return statement


class EngineMove(Move):
    """The move of one engine's databases of an account."""

    engine = ""

    def of(self, engine: str) -> "EngineMove":
        self.engine = engine
        return self

    def prepare(self) -> "EngineMove":
        self.peer = receive(self.key, self.epoch, self.statement, self.source.end, self.target.end, self.engine)
        self.source.host.run(f"{self.key}-copy", verbs.Copy(**super().args(stores=[self.engine])))
        return self

    def args(self, **more: Any) -> dict[str, Any]:
        return super().args(engine=self.engine, **more)

    def switch(self, seconds: int = 30, budget: float = 10) -> Switched:
        """On a machine that is busy with other things too, PHP may need longer than a hold waits: then once more."""
        for _ in range(3):
            try:
                return super().switch(seconds, budget)
            except AgentError as error:
                if error.code != "php_busy":
                    raise
        return super().switch(seconds, budget)

    def end(self) -> None:
        for one in (self.source, self.target):
            one.host.call(verbs.Unpair(move=self.key))


def visit(address: str, host: str, query: str = "") -> dict[str, Any]:
    connection = http.client.HTTPConnection(address, 80, timeout=100)
    try:
        connection.request("GET", f"/{query}", headers={"Host": host})
        response = connection.getresponse()
        body = response.read()
        assert response.status == 200, body[-500:]
        return json.loads(body)
    finally:
        connection.close()


def written(here: Side, name: str, engine: str, what: str = "visit") -> list[int]:
    rows = psql(here, name, f"SELECT n FROM {what}") if engine == "postgresql" else []
    rows = rows or mariadb(here, f"SELECT n FROM {name}.{what}") if engine == "mariadb" else rows
    return sorted(int(row) for row in rows)


def described(here: Side, name: str) -> dict[str, Any]:
    return next(one for one in here.host.call(verbs.Describe()).accounts if one["account"] == name)


def part_state(here: Side, name: str) -> str:
    found = [one["state"] for one in here.host.call(verbs.Describe()).parts if one["account"] == name]
    return found[0] if found else "absent"


@pytest.fixture(scope="module")
def shop(sides: tuple[Side, Side]) -> dict[str, Any]:
    """The account whose engines move one after the other in the tests below."""
    old, _ = sides
    statement = create(old, "shop", 2301, ports={"postgresql": 20301, "mariadb": 20302})
    old.root("crontab", "-u", "shop", "-", stdin=b"* * * * * php ~/public_html/cron.php\n")
    create(old, "other", 2302)
    return statement


@pytest.mark.parametrize("engine", VERSIONS)
def test_an_engine_moves_and_no_visitor_notices(sides: tuple[Side, Side], shop: dict[str, Any], engine: str) -> None:
    old, new = sides
    number = 1 + [*VERSIONS].index(engine)
    before, after = VERSIONS[engine]
    move = EngineMove(f"shop-{engine}", number + 1, shop, old, new).of(engine).prepare()
    assert visit(old.address, "shop.example")[engine].startswith(before)
    with visitors(old.address, "shop.example", 1000 * number) as crowd:
        done = move.switch()
    move.end()
    assert crowd.failed == []
    assert measured(done.verified).equal and measured(done.verified).tables == 2
    # By the socket, by either loopback address, by the server's own.
    for host in ("", "host=127.0.0.1;", "host=localhost;", f"host={old.address};"):
        said = visit(old.address, "shop.example", f"?host={host}")
        assert said[engine].startswith(after) and said["who"] == "shop@localhost"
    assert described(old, "shop")["engines"][engine]["to"] == new.address
    assert (old.state("shop"), part_state(new, f"shop.{engine}")) == ("serving", "serving")
    acknowledged = sorted(n for n, _, _ in crowd.answers)
    for each in VERSIONS:
        place = new if each in described(old, "shop")["engines"] else old
        assert [n for n in written(place, "shop", each) if n >= 1000 * number] == acknowledged
    # What stays behind has what was there at the commit, and takes nothing more.
    left = written(old, "shop", engine)
    assert left != written(new, "shop", engine)


def test_programs_beside_php_are_led_too(sides: tuple[Side, Side], shop: dict[str, Any]) -> None:
    old, new = sides
    asked = (
        'php -r \'echo (new PDO("mysql:host=localhost", "shop", $argv[1]))->query("SELECT VERSION()")->fetchColumn();\''
    )
    assert old.root("su", "-", "shop", "-c", f'{asked} "$0"', SECRET).startswith(VERSIONS["mariadb"][1])
    wait_for(lambda: all(written(new, "shop", engine, "cron") for engine in VERSIONS), 70, "cron has written to both")


def test_who_comes_from_outside_by_the_accounts_port_is_led_too(sides: tuple[Side, Side], shop: dict[str, Any]) -> None:
    old, new = sides
    with psycopg.connect(
        host=old.address, port=20301, dbname="shop", user="shop", password=SECRET, connect_timeout=20
    ) as session:
        ((version,),) = session.execute("SELECT VERSION()").fetchall()
        assert version.startswith(VERSIONS["postgresql"][1])
    with socket.create_connection((old.address, 20302), 20) as connection:
        assert VERSIONS["mariadb"][1].encode() in connection.recv(200)


def test_nobody_else_can_use_the_way(sides: tuple[Side, Side], shop: dict[str, Any]) -> None:
    old, new = sides
    leads = [there["lead_port"] for there in json.loads(old.root("cat", _STATE.format("shop")))["engines"].values()]
    ask = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)"
    for address, port in [("127.0.0.1", lead) for lead in leads] + [("::1", leads[0]), (new.address, 23000)]:
        with pytest.raises(AssertionError, match="ConnectionRefusedError"):
            as_account(old, 2302, "python3", "-c", ask, address, str(port))
    as_account(old, 2301, "python3", "-c", ask, "127.0.0.1", str(leads[0]))
    ask = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    sockets = [f"/run/transhumance-led/{way}" for way in ("mariadb/shop/mysqld.sock", "postgresql/shop/.s.PGSQL.5432")]
    for path in sockets:
        with pytest.raises(AssertionError, match="PermissionError"):
            as_account(old, 2302, "python3", "-c", ask, path)
        as_account(old, 2301, "python3", "-c", ask, path)
    other = visit(old.address, "other.example", "?n=1")
    assert [other[engine].startswith(before) for engine, (before, _) in VERSIONS.items()] == [True, True]


_HOST_KEY = f"ssh-ed25519 {'A' * 68}"
_STATE = "/var/lib/transhumance/accounts/{}/state.json"


def test_what_is_left_takes_no_login_and_can_be_dropped(sides: tuple[Side, Side], shop: dict[str, Any]) -> None:
    old, _ = sides
    for argv in (("psql", "-h", "127.0.0.1", "-d", "shop"), ("psql", "-h", "127.0.0.1", "-d", "postgres")):
        # As root, whom nobody leads elsewhere.
        with pytest.raises(AssertionError, match="not permitted to log in"):
            old.root("env", f"PGPASSWORD={SECRET}", *argv, "-U", "shop", "-c", "SELECT 1")
    with pytest.raises(AssertionError, match="account is locked"):
        old.root("mariadb", "--protocol=tcp", "--user=shop", f"--password={SECRET}", "shop")
    unclaimed = old.host.call(verbs.Describe()).unclaimed
    assert unclaimed["postgresql"] == unclaimed["mariadb"] == []
    with pytest.raises(AgentError) as refused:
        old.host.call(verbs.DropLeft(account="other", engine="mariadb"))
    assert refused.value.code == "not_moved"
    for engine in [*VERSIONS, *VERSIONS]:
        old.host.call(verbs.DropLeft(account="shop", engine=engine))
        assert described(old, "shop")["engines"][engine]["left"] is None
    assert psql(old, "postgres", "SELECT datname FROM pg_database WHERE datname = 'shop'") == []
    assert mariadb(old, "SHOW DATABASES LIKE 'shop'") == []
    assert visit(old.address, "shop.example", "?n=3")["postgresql"].startswith(VERSIONS["postgresql"][1])


def test_such_an_account_is_not_moved_as_a_whole(sides: tuple[Side, Side], shop: dict[str, Any]) -> None:
    old, new = sides
    whole = Move("shop-whole", 9, shop, old, new)
    with pytest.raises(AgentError) as refused:
        whole.prepare()
    assert refused.value.code == "name_taken"
    whole.peer = verbs.PeerAt(address=new.address, host_keys=[_HOST_KEY])
    with pytest.raises(AgentError) as refused:
        old.host.run("shop-whole-copy", verbs.Copy(**whole.args()))
    assert refused.value.code == "engine_elsewhere"
    for one in sides:
        one.host.call(verbs.Unpair(move="shop-whole"))
    assert visit(old.address, "shop.example")["mariadb"].startswith(VERSIONS["mariadb"][1])


@pytest.mark.parametrize("engine", VERSIONS)
def test_killed_before_and_after_the_commit(sides: tuple[Side, Side], engine: str) -> None:
    old, new = sides
    name = f"killed{engine[0]}"
    statement = create(old, name, 2310 + [*VERSIONS].index(engine))
    move = EngineMove(name, 2, statement, old, new).of(engine).prepare()
    with visitors(old.address, f"{name}.example", 1000) as crowd:
        old.fail_at("held")
        move.switch_that_is_killed(4)
        wait_for(lambda: old.state(name) == "serving", 8, "the source serves again")
        assert visit(old.address, f"{name}.example", "?n=1")[engine].startswith(VERSIONS[engine][0])
        assert part_state(new, f"{name}.{engine}") == "receiving"
        old.fail_at("committed")
        move.switch_that_is_killed(5)
        with pytest.raises(AgentError) as error:
            old.host.call(verbs.Return(account=name, move=name))
        assert error.value.code == "committed"
        # With nobody there the deadline brings it forward.
        wait_for(
            lambda: (old.state(name), part_state(new, f"{name}.{engine}")) == ("serving", "serving"),
            15,
            "it goes forward",
        )
        assert visit(old.address, f"{name}.example", "?n=2")[engine].startswith(VERSIONS[engine][1])
    assert crowd.failed == []
    assert written(new, name, engine) == sorted([1, 2, *(n for n, _, _ in crowd.answers)])
    assert measured(move.switch().verified).equal
    move.end()


def test_a_user_whom_only_this_server_knows_is_refused(sides: tuple[Side, Side]) -> None:
    old, new = sides
    statement = create(old, "keyed", 2320)
    mariadb(old, "ALTER USER keyed@localhost IDENTIFIED VIA unix_socket OR mysql_native_password USING PASSWORD('x')")
    move = EngineMove("keyed", 2, statement, old, new).of("mariadb").prepare()
    with pytest.raises(AgentError, match="may log in as the Unix user of that name") as refused:
        move.switch()
    assert refused.value.code == "not_led" and old.state("keyed") == "serving"
    move.end()
    new.host.call(verbs.Remove(account="keyed.mariadb"))
    assert mariadb(new, "SHOW DATABASES LIKE 'keyed'") == []


def test_a_rebooted_server_finds_its_databases_again(sides: tuple[Side, Side], shop: dict[str, Any]) -> None:
    old, new = sides
    old.root("systemctl", "reboot", "--force", check=False)
    time.sleep(2)

    def answers() -> bool:
        try:
            return visit(old.address, "shop.example", "?host=&n=5") is not None
        except (OSError, AssertionError, http.client.HTTPException):
            return False

    wait_for(answers, 60, "the site answers again")
    said = visit(old.address, "shop.example", "?n=6")
    assert all(said[engine].startswith(after) for engine, (_, after) in VERSIONS.items())
    assert all({5, 6} <= {*written(new, "shop", engine)} for engine in VERSIONS)
