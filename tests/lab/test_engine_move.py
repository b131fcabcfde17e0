"""One engine's databases move to another server: the site stays where it is and notices nothing, whoever dies."""

import http.client
import json
from typing import Any

import pytest

from tests.lab.agents import Move, Side, account_file, side, visitors

SECRET = "a secret; with 'quotes'"
SITE = rb"""<?php
$options = [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION];
$settings = json_decode(file_get_contents(dirname(__DIR__) . "/settings.json"), true);
$here = isset($_GET["socket"]) ? "" : "host=127.0.0.1;";
$postgresql = new PDO("pgsql:{$here}dbname={$settings['name']}", $settings["name"], $settings["secret"], $options);
$mariadb = new PDO("mysql:host=localhost;dbname={$settings['name']}", $settings["name"], $settings["secret"], $options);
foreach ([$postgresql, $mariadb] as $database) {
    if (isset($_GET["n"])) {
        $database->prepare("INSERT INTO visit (n) VALUES (?)")->execute([(int) $_GET["n"]]);
    }
}
echo json_encode([
    "postgresql" => $postgresql->query("SHOW server_version")->fetchColumn(),
    "mariadb" => $mariadb->query("SELECT VERSION()")->fetchColumn(),
    "who" => $mariadb->query("SELECT CURRENT_USER()")->fetchColumn(),
]);
"""
ENGINES = ("postgresql", "mariadb")


@pytest.fixture(scope="module")
def sides(lab, pair) -> tuple[Side, Side]:
    return side(lab, pair[0]), side(lab, pair[1])


def psql(here: Side, database: str, script: str) -> list[str]:
    argv = ("runuser", "-u", "postgres", "--", "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", database)
    return here.root(*argv, stdin=script.encode()).split()


def mariadb(here: Side, script: str) -> list[str]:
    return here.root("mariadb", "--batch", "--skip-column-names", stdin=script.encode()).split()


def as_account(here: Side, uid: int, *argv: str, stdin: bytes | None = None, check: bool = True) -> str:
    return here.root("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *argv, stdin=stdin, check=check)


def create(here: Side, name: str, uid: int) -> dict[str, Any]:
    """An account whose page writes every visit to both engines."""
    statement = {
        **account_file(name, uid),
        "postgresql": {"roles": [name], "databases": [name]},
        "mariadb": {"users": [{"user": name, "host": "localhost"}], "databases": [name]},
    }
    here.host.call("create", account_file=statement)
    quoted = SECRET.replace("'", "''")
    psql(here, "postgres", f"CREATE ROLE {name} LOGIN PASSWORD '{quoted}'; CREATE DATABASE {name} OWNER {name};")
    psql(here, name, f"SET SESSION AUTHORIZATION {name}; CREATE TABLE visit (n bigint, id bigserial PRIMARY KEY);")
    mariadb(
        here,
        f"CREATE DATABASE {name}; CREATE USER {name}@localhost IDENTIFIED BY '{quoted}'; GRANT ALL ON {name}.* TO"
        f" {name}@localhost; CREATE TABLE {name}.visit (n bigint, id bigint PRIMARY KEY AUTO_INCREMENT);",
    )
    as_account(here, uid, "mkdir", "-p", f"/home/{name}/public_html")
    as_account(here, uid, "tee", f"/home/{name}/public_html/index.php", stdin=SITE)
    settings = json.dumps({"name": name, "secret": SECRET}).encode()
    as_account(here, uid, "tee", f"/home/{name}/settings.json", stdin=settings)
    as_account(here, uid, "chmod", "-R", "a+rX", f"/home/{name}/public_html")
    return statement


class EngineMove(Move):
    """The move of one engine's databases of an account."""

    engine: str = ""

    def of(self, engine: str) -> "EngineMove":
        self.engine = engine
        return self

    def prepare(self) -> "EngineMove":
        key = self.source.host.call("pair", move=self.key, account=self.account)["public_key"]
        received = self.target.host.call(
            "receive",
            move=self.key,
            account=self.account,
            epoch=self.epoch,
            account_file=self.statement,
            engine=self.engine,
            source_address=self.source.address,
            public_key=key,
        )
        self.peer = {"address": self.target.address, "host_keys": received["host_keys"]}
        self.source.host.run(f"{self.key}-copy", "copy", super().args(stores=[self.engine]))
        return self

    def args(self, **more: Any) -> dict[str, Any]:
        return super().args(engine=self.engine, **more)

    def end(self) -> None:
        for one in (self.source, self.target):
            one.host.call("unpair", move=self.key)


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


def written(here: Side, name: str, engine: str) -> list[int]:
    if engine == "postgresql":
        rows = psql(here, name, "SELECT n FROM visit")
    else:
        rows = mariadb(here, f"SELECT n FROM {name}.visit")
    return sorted(int(row) for row in rows)


def described(here: Side, name: str) -> dict[str, Any]:
    return next(one for one in here.host.call("describe")["accounts"] if one["account"] == name)


def test_each_engine_moves_in_turn_and_no_visitor_notices(sides) -> None:
    old, new = sides
    statement = create(old, "shop", 2301)
    versions = {"postgresql": {old: "15.", new: "17."}, "mariadb": {old: "10.11.", new: "11.8."}}
    crowds = []
    for number, engine in enumerate(ENGINES):
        move = EngineMove(f"engine-{engine}", 2 + number, statement, old, new).of(engine).prepare()
        assert visit(old.address, "shop.example")[engine].startswith(versions[engine][old])
        with visitors(old.address, "shop.example", 1000 * (1 + number)) as crowd:
            done = move.switch()
        move.end()
        crowds.append(crowd)
        assert crowd.failed == []
        assert done["verified"]["equal"] and done["verified"]["tables"] == 1
        assert visit(old.address, "shop.example")[engine].startswith(versions[engine][new])
        assert described(old, "shop")["engines"][engine]["to"] == new.address
        assert (old.state("shop"), new.state(f"shop.{engine}")) == ("serving", "serving")
        print(engine, done["held_ms"], crowd.longest, done["steps"])
    visits = sorted(n for crowd in crowds for n, _, _ in crowd.answers)
    for engine in ENGINES:
        assert written(new, "shop", engine) == visits
        # What is left has what was there at the commit, and nothing more.
        assert written(old, "shop", engine) == [n for n in visits if n in set(written(old, "shop", engine))]
