"""An account with a little of everything, and the test copies that are made of it."""

import http.client
import ssl
from dataclasses import dataclass
from typing import Any

import paramiko

from include.agent import verbs
from include.agent.verbs.reports import Duplicated
from lab.accounts.certificates import authority
from lab.pairing import receive
from tests.lab.agents import Side, account_file
from tests.lab.waiting import wait_for

NAME, UID = "copied", 2601
DOMAIN = f"{NAME}.example"
ALL = ["files", "postgresql", "mariadb"]
KEY = paramiko.ECDSAKey.generate()
AS_ACCOUNT = ("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups")

HOME = """<?php
header("X-Robots-Tag: all");
if ($_SERVER["HTTP_HOST"] == "copied.example" && $_SERVER["REQUEST_URI"] == "/") {
    header("Location: http://www.copied.example/", true, 301);
    exit;
}
file_put_contents(dirname(__DIR__) . "/visits", "x", FILE_APPEND);
$items = (new PDO("pgsql:host=127.0.0.1;dbname=copied_app", "copied", "secret"))->query("SELECT count(*) FROM items");
$posts = (new PDO("mysql:host=localhost;dbname=copied_wp", "copied", "secret"))->query("SELECT count(*) FROM posts");
echo $items->fetchColumn(), " items, ", $posts->fetchColumn(), " posts, https=", $_SERVER["HTTPS"] ?? "", "\\n";
echo "host=", $_SERVER["HTTP_HOST"], " referer=[", $_SERVER["HTTP_REFERER"] ?? "", "]\\n";
?>
<a href="http://copied.example/a">a</a> <a href='https://www.copied.example/b'>b</a> <img src="//copied.example/c">
<script>var d = {"u": "http:\\/\\/copied.example\\/d"}, e = "/e?to=https%3A%2F%2Fwww.copied.example%2Fe";</script>
<a href="https://copied.example.org/f">not ours</a>
"""
GO = """<?php
setcookie("who", "me", ["domain" => ".copied.example"]);
header("Location: https://www.copied.example/there?x=1");
"""
OUT = """<?php
foreach (explode(",", $_GET["to"]) as $where) {
    $one = @stream_socket_client($where, $number, $text, 3);
    if ($one && str_starts_with($where, "udp")) {
        stream_set_timeout($one, 2);
        @fwrite($one, "\\x12\\x34\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\7example\\0\\0\\2\\0\\1");
        $one = fread($one, 512);
    }
    echo $one ? "open " : "shut ";
}
"""
MAIL = '<?php foreach (explode(",", $_GET["to"]) as $to) { mail($to, "from the copy", "hello"); }'


def postgres(one: Side, sql: str, database: str = "postgres") -> str:
    argv = (
        "setpriv",
        "--reuid=postgres",
        "--regid=postgres",
        "--init-groups",
        "psql",
        "-XqAt",
        "-v",
        "ON_ERROR_STOP=1",
    )
    return one.root(*argv, "-d", database, stdin=sql.encode()).strip()


def mariadb(one: Side, sql: str) -> str:
    argv = ("mariadb", "--no-defaults", "--batch", "--skip-column-names")
    return one.root(*argv, stdin=sql.encode()).strip()


def fill(one: Side) -> dict[str, Any]:
    """An account with a little of everything, some of which the new version does not take."""
    statement = account_file(NAME, UID)
    statement["sites"][0]["aliases"] = [f"www.{DOMAIN}"]
    statement["postgresql"] = {"roles": [NAME], "databases": ["copied_app"]}
    statement["mariadb"] = {"users": [{"user": NAME, "host": "%"}], "databases": ["copied_wp"]}
    statement["mail"]["forwarders"] = [
        {"address": f"team@{DOMAIN}", "to": [f"info@{DOMAIN}", "partner@elsewhere.example"]}
    ]
    statement["ports"] = {"postgresql": 20007, "ssh": 20008}
    postgres(one, f"CREATE ROLE {NAME} LOGIN PASSWORD 'secret'")
    postgres(one, f"CREATE DATABASE copied_app OWNER {NAME}")
    postgres(one, "CREATE EXTENSION adminpack", "copied_app")
    postgres(
        one,
        f"SET ROLE {NAME}; CREATE TABLE items (id int PRIMARY KEY, t text); INSERT INTO items SELECT n, md5(n::text)"
        " FROM generate_series(1, 500) n; CREATE VIEW uses_it AS SELECT pg_catalog.pg_file_rename('a', 'b');"
        " CREATE VIEW first_ones AS SELECT * FROM items WHERE id < 10; CREATE FUNCTION fits(int) RETURNS bool"
        " LANGUAGE plpgsql AS 'BEGIN RETURN $1 <= (SELECT count(*) FROM items); END';"
        " CREATE TABLE fitting (a int CHECK (fits(a))); INSERT INTO fitting VALUES (7);",
        "copied_app",
    )
    mariadb(
        one,
        f"CREATE DATABASE copied_wp; CREATE USER {NAME}@'%' IDENTIFIED BY 'secret';"
        f" GRANT ALL ON copied_wp.* TO {NAME}@'%'; USE copied_wp; CREATE TABLE posts (id int PRIMARY KEY, t text);"
        " INSERT INTO posts SELECT seq, md5(seq) FROM seq_1_to_300; CREATE TABLE gone (a int);"
        f" CREATE DEFINER={NAME}@'%' VIEW of_gone AS SELECT * FROM gone; DROP TABLE gone;"
        f" CREATE DEFINER={NAME}@'%' VIEW of_posts AS SELECT id FROM posts;"
        f" CREATE TABLE ticks (a int); CREATE DEFINER={NAME}@'%' EVENT tick ON SCHEDULE EVERY 1 SECOND"
        " DO INSERT INTO ticks VALUES (1); CREATE TABLE above (a int CHECK (a > 0)); CREATE TABLE above_too (a int);"
        " SET check_constraint_checks = 0; INSERT INTO above VALUES (-1); INSERT INTO above_too VALUES (1);",
    )
    one.host.call(verbs.Create(account_file=statement))
    public = f"/home/{NAME}/public_html"
    one.root(*AS_ACCOUNT, "mkdir", public)
    for path, text in (("index.php", HOME), ("go.php", GO), ("out.php", OUT), ("mail.php", MAIL)):
        one.root(*AS_ACCOUNT, "tee", f"{public}/{path}", stdin=text.encode())
    one.root(*AS_ACCOUNT, "chmod", "-R", "a+rX", public)
    one.root(*AS_ACCOUNT, "mkdir", "-m", "700", f"/home/{NAME}/.ssh")
    key = f"{KEY.get_name()} {KEY.get_base64()}\n"
    one.root(*AS_ACCOUNT, "tee", f"/home/{NAME}/.ssh/authorized_keys", stdin=key.encode())
    one.root("crontab", "-u", NAME, "-", stdin=b"* * * * * touch ~/cron-ran\n")
    one.root("sendmail", f"info@{DOMAIN}", stdin=b"Subject: kept\n\nhello\n")
    wait_for(lambda: mails(one) == 1, 20, "the first mail has arrived")
    return statement


def mails(one: Side) -> int:
    return len(one.root("find", f"/home/{NAME}/mail", "-path", "*/new/*", "-type", "f", check=False).split())


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    text: str


def ask(one: Side, host: str, path: str = "/", tls: bool = False, **headers: str) -> Answer:
    connection = http.client.HTTPConnection(one.address, 443 if tls else 80, timeout=30)
    if tls:
        context = ssl.create_default_context(cafile=str(authority()))
        connection.connect()
        connection.sock = context.wrap_socket(connection.sock, server_hostname=host)
    try:
        connection.request("GET", path, headers={"Host": host, **headers})
        answer = connection.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read().decode())
    finally:
        connection.close()


@dataclass
class Copy:
    """One test of the account."""

    key: str
    epoch: int
    statement: dict[str, Any]
    old: Side
    new: Side
    stores: list[str]
    peer: verbs.PeerAt | None = None

    @property
    def name(self) -> str:
        return f"{self.key}-{NAME}.test.example"

    def receive(self) -> None:
        self.peer = receive(self.key, self.epoch, self.statement, self.old.end, self.new.end)

    def args(self) -> dict[str, Any]:
        return {"account": NAME, "move": self.key, "epoch": self.epoch, "peer": self.peer, "stores": self.stores}

    def duplicate(self) -> Duplicated:
        return self.old.host.run(f"{self.key}-duplicate", verbs.Duplicate(**self.args()), poll=0.2)

    def opening(self, names: dict[str, str]) -> verbs.OpenTest:
        return verbs.OpenTest(account=NAME, move=self.key, epoch=self.epoch, names=names, stores=self.stores)

    def open(self) -> verbs.TestOpened:
        return self.new.host.call(self.opening({DOMAIN: self.name} if "files" in self.stores else {}))

    def unpair(self) -> None:
        for one in (self.old, self.new):
            one.host.call(verbs.Unpair(move=self.key))


def databases(one: Side) -> str:
    """What stands in the account's databases."""
    rows = "SELECT count(*), md5(string_agg(t, ',' ORDER BY id)) FROM items"
    posts = "SELECT COUNT(*), MD5(GROUP_CONCAT(t ORDER BY id)) FROM copied_wp.posts"
    return f"{postgres(one, rows, 'copied_app')} {mariadb(one, posts)}"
