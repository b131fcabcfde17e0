"""A copy for a test: it is what the original is, it reaches nobody, and the original does not notice it."""

import http.client
import imaplib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import paramiko
import pytest

from include.agent import verbs
from include.agent.verbs.reports import Duplicated
from include.agent.verbs.verb import Verb
from include.hosts import AgentError, HostUnreachable
from lab.accounts.certificates import certificate
from lab.topology import RESOLVER
from tests.lab.agents import Side, Visitors, account_file, side, visitors
from tests.lab.copied_account import (
    ALL,
    AS_ACCOUNT,
    DOMAIN,
    KEY,
    NAME,
    UID,
    Copy,
    ask,
    databases,
    fill,
    mails,
    mariadb,
    postgres,
)
from tests.lab.handles import Lab
from tests.lab.waiting import wait_for

RESOLVE = """
import socket, sys
question = bytes.fromhex("123401000001000000000000") + b"\\7example\\0\\0\\2\\0\\1"
for kind, before in ((socket.SOCK_DGRAM, b""), (socket.SOCK_DGRAM, b""), (socket.SOCK_STREAM, b"\\0\\x19")):
    with socket.socket(socket.AF_INET, kind) as one:
        one.settimeout(3)
        try:
            one.connect((sys.argv[1], 53))
            one.sendall(before + question)
            print("open" if one.recv(512) else "shut")
        except OSError:
            print("shut")
"""
LISTEN = """
import socket, sys
here = [socket.create_server(("::", int(port)), family=socket.AF_INET6, dualstack_ipv6=True) for port in sys.argv[1:]]
print("ready", flush=True)
import select
while True:
    for one in select.select(here, [], [])[0]:
        one.accept()[0].close()
"""
CONNECT = """
import socket, sys
for address in sys.argv[1:]:
    try:
        socket.create_connection((address, 22), 3).close()
        print("open")
    except OSError:
        print("shut")
"""


@dataclass
class Stage:
    old: Side
    new: Side
    copy: Copy
    done: Duplicated
    before: str
    crowd: Visitors


@pytest.fixture(scope="module")
def stage(lab: Lab) -> Iterator[Stage]:
    with lab.fresh("2022", "2026") as servers:
        old, new = (side(lab, one) for one in servers)
        pem = certificate(["*.test.example"]).decode()
        for _ in range(2):
            new.host.call(verbs.BecomeTestServer(domain="test.example", certificate=pem))
        copy = Copy("t12", 2, fill(old), old, new, ALL)
        before = databases(old)
        copy.receive()
        with visitors(old.address, f"www.{DOMAIN}", 0) as crowd:
            # Killed on its way, it begins again.
            old.host.call(verbs.start("t12-duplicate", verbs.Duplicate(**copy.args())))
            time.sleep(0.5)
            old.root("systemctl", "kill", "--signal=KILL", "transhumance-op-t12-duplicate.service")
            done = copy.duplicate()
            new.fail_at("test_open")
            with pytest.raises(HostUnreachable):
                copy.open()
            copy.open()
            copy.open()
            copy.unpair()
        yield Stage(old, new, copy, done, before, crowd)


def test_the_original_serves_on_and_nothing_is_left_there(stage: Stage) -> None:
    old = stage.old
    assert not stage.crowd.failed and len(stage.crowd.answers) > 20
    assert databases(old) == stage.before and old.state(NAME) == "serving"
    assert postgres(old, "SELECT count(*) FROM pg_replication_slots") == "0"
    assert postgres(old, "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'th\\_%'") == "0"
    assert postgres(old, "SELECT count(*) FROM pg_publication", "copied_app") == "0"
    assert mariadb(old, "SELECT COUNT(*) FROM mysql.global_priv WHERE User LIKE 'th\\_%'") == "0"
    units = old.root("systemctl", "list-units", "--plain", "--no-legend", "transhumance*")
    assert {line.split()[0] for line in units.splitlines()} <= {"transhumance-boot.service"}
    assert "copied" in old.root("ls", "/var/spool/cron/crontabs")
    for one in (old, stage.new):
        assert one.root("ls", "/var/lib/transhumance/pairs") == ""
        assert "transhumance-move" not in one.root("cat", "/root/.ssh/authorized_keys")


def test_the_copy_answers_under_its_test_name_as_the_original_does(stage: Stage) -> None:
    new, name = stage.new, stage.copy.name
    assert databases(new) == stage.before
    for tls in (False, True):
        page = ask(new, name, tls=tls, Referer=f"https://{name}/x")
        assert page.status == 200
        assert page.text.startswith(f"500 items, 300 posts, https={'on' if tls else ''}\n")
        # The site sends visitors of its domain on to an alias: it is asked as that, or it would do so for ever.
        assert f"host=www.{DOMAIN} referer=[https://www.{DOMAIN}/x]" in page.text.replace(name, f"www.{DOMAIN}")
        for link in (f'"http://{name}/a"', f"'https://{name}/b'", f'"//{name}/c"', f"http:\\/\\/{name}\\/d"):
            assert link in page.text
        assert f"https%3A%2F%2F{name}%2Fe" in page.text and "https://copied.example.org/f" in page.text
        assert page.headers["x-robots-tag"] == "noindex, nofollow"
    moved = ask(new, name, "/go.php")
    assert moved.headers["location"] == f"https://{name}/there?x=1"
    assert f"domain=.{name}" in moved.headers["set-cookie"].lower()
    assert moved.headers["x-robots-tag"] == "noindex, nofollow"
    assert ask(new, name, "/robots.txt").text == "User-agent: *\nDisallow: /\n"
    # By its own name nobody is served from here.
    assert ask(new, DOMAIN).status == 404


def test_what_the_new_version_refuses_is_told_and_the_rest_is_there(stage: Stage) -> None:
    said = {(remark.store, remark.object): remark for remark in stage.done.said}
    assert "not installed" in said["postgresql", "extension adminpack"].message
    assert "pg_file_rename" in said["postgresql", "VIEW public.uses_it"].message
    assert any("copied_wp.of_gone is broken" in sentence for sentence in stage.done.left)
    assert "CONSTRAINT" in said["mariadb", "table above"].message
    assert {remark.severity for remark in said.values()} == {"error"} and len(stage.done.said) == 3
    missing = {(gone.store, gone.database, gone.object) for gone in stage.done.missing}
    assert missing == {
        ("postgresql", "copied_app", "extension adminpack"),
        ("postgresql", "copied_app", "relation public.uses_it"),
        ("mariadb", "copied_wp", "rows of above"),
    }
    assert postgres(stage.new, "SELECT count(*) FROM first_ones", "copied_app") == "9"
    # Its check asks another table, which a restore does not know yet: checks come back after the rows.
    fitting = "SELECT count(*) FROM fitting"
    assert int(postgres(stage.new, fitting, "copied_app")) == int(postgres(stage.old, fitting, "copied_app")) > 0
    assert mariadb(stage.new, "SELECT COUNT(*) FROM copied_wp.of_posts") == "300"
    assert stage.done.files > 3 and stage.done.bytes > 1000 and set(stage.done.stores) == set(ALL)


def test_the_copy_reaches_nobody(stage: Stage) -> None:
    old, new, lab = stage.old, stage.new, stage.old.lab
    spec = lab.server(old.name).spec
    places = [f"tcp://{old.address}:22", f"tcp://{spec.lan_address}:80", f"tcp://[{spec.lan_address6}]:80"]
    places.append(f"udp://{RESOLVER}:53")
    path = "/out.php?to=" + ",".join(places)
    assert ask(old, f"www.{DOMAIN}", path).text.split() == ["open"] * 4
    assert ask(new, stage.copy.name, path).text.split() == ["shut"] * 4
    # Whoever is not on the list: accounts, what their user namespaces are given, daemons, nobody.
    system = ("mysql", "postgres", "postfix", "www-data", "haproxy", "dovecot", "_apt", "nobody")
    for user in (*system, str(UID), "999", "60000", "100000", str(100000 + 65536)):
        argv = ("setpriv", f"--reuid={user}", "--regid=65534", "--clear-groups", "python3", "-c", CONNECT)
        assert (
            new.root(*argv, old.address, spec.lan_address6, "127.0.0.1", "::1").split() == ["shut"] * 2 + ["open"] * 2
        )
    # Root speaks to other machines, and asks for no names: what relays names for others runs as root, too.
    assert new.root("python3", "-c", CONNECT, old.address, spec.lan_address6).split() == ["open"] * 2
    assert new.root("python3", "-c", RESOLVE, RESOLVER).split() == ["shut"] * 3
    assert old.root("python3", "-c", RESOLVE, RESOLVER).split() == ["open"] * 3
    postgres(new, "CREATE EXTENSION dblink", "copied_app")
    link = (
        f"SELECT dblink_connect('host={old.address} user=copied password=secret dbname=copied_app connect_timeout=3')"
    )
    with pytest.raises(AssertionError, match="could not establish connection"):
        postgres(new, link, "copied_app")
    postgres(new, "DROP EXTENSION dblink", "copied_app")


def test_nobody_reaches_a_program_of_the_copy(stage: Stage) -> None:
    """Not the original either: a port of a copy's own would be a way between the two."""
    old, new = stage.old, stage.new
    spec = old.lab.server(new.name).spec
    unit = ("systemd-run", "--quiet", "--collect", "--unit=listens", f"--uid={UID}", f"--gid={UID}")
    new.root(*unit, "python3", "-c", LISTEN, "7000", "19999", "24000", "60000")
    try:
        wait_for(lambda: tried(new, "127.0.0.1", 7000) == "open", 20, "the program of the copy listens")
        for port in (7000, 19999, 24000, 60000):
            for address in (new.address, spec.lan_address, spec.lan_address6):
                assert tried(old, address, port) == "shut", (address, port)
        for port in (22, 80, 443, 5432, 20007):
            assert tried(old, new.address, port) == "open", port
    finally:
        new.root("systemctl", "stop", "listens.service", check=False)


def tried(one: Side, address: str, port: int) -> str:
    program = CONNECT.replace("(address, 22)", f"(address, {port})")
    return one.root("python3", "-c", program, address).strip()


def test_mail_stays_in_the_copy(stage: Stage) -> None:
    new = stage.new
    assert mails(new) == 1
    # By a page, and by the copy's own forwarder.
    sent = f"visitor@elsewhere.example,team@{DOMAIN}"
    assert ask(new, stage.copy.name, f"/mail.php?to={sent}").status == 200
    wait_for(lambda: mails(new) == 2, 20, "the mailbox of the copy has both")
    for address in ("visitor@elsewhere.example", "partner@elsewhere.example"):
        [line] = wait_for(partial(lines_to, new, address), 20, f"what went to {address} is in the journal")
        assert "status=bounced" in line and "This is a test copy" in line
    assert mails(stage.old) == 1 and "elsewhere.example" not in journal(stage.old)
    script = "import smtplib; smtplib.SMTP('127.0.0.1').sendmail('a@copied.example', ['b@elsewhere.example'], 'x')"
    refused = new.root("python3", "-c", f"try:\n {script}\nexcept Exception as error: print(error)")
    assert "550" in refused and "This is a test copy" in refused
    # From outside nobody brings any.
    with pytest.raises(OSError):
        http.client.HTTPConnection(new.address, 25, timeout=3).connect()
    with imaplib.IMAP4(new.address) as box:
        box.login(f"info@{DOMAIN}", "secret")
        assert box.select("INBOX")[1] == [b"2"]


def lines_to(one: Side, address: str) -> list[str]:
    """What the journal says of the mail to an address."""
    return [line for line in journal(one).splitlines() if f"to=<{address}>" in line]


def journal(one: Side) -> str:
    return one.root("journalctl", "--quiet", "--no-pager", "-u", "postfix*")


def test_nobody_has_jobs_or_services_that_begin_by_themselves(stage: Stage) -> None:
    new = stage.new
    assert new.root("cat", "/etc/cron.allow", "/etc/at.allow").split() == ["root", "root"]
    new.root("touch", f"/var/lib/systemd/linger/{NAME}")
    new.host.call(verbs.BecomeTestServer(domain="test.example", certificate=None))
    assert new.root("ls", "/var/lib/systemd/linger") == ""
    assert "polkit.Result.NO" in new.root("cat", "/etc/polkit-1/rules.d/00-test-server.rules")


def test_neither_cron_nor_events_run(stage: Stage) -> None:
    new = stage.new
    assert new.root("ls", "/var/spool/cron/crontabs") == ""
    refused = new.root(*AS_ACCOUNT, "sh", "-c", "echo '* * * * * true' | crontab - 2>&1", check=False)
    assert "not allowed" in refused
    events = "SELECT STATUS FROM information_schema.EVENTS WHERE EVENT_SCHEMA = 'copied_wp'"
    assert (mariadb(stage.old, events), mariadb(new, events)) == ("ENABLED", "DISABLED")
    # Also when its owner enables it.
    mariadb(new, "ALTER DEFINER=copied@'%' EVENT copied_wp.tick ENABLE")
    ticks = [mariadb(one, "SELECT COUNT(*) FROM copied_wp.ticks") for one in (stage.old, new)]
    time.sleep(2.2)
    later = [mariadb(one, "SELECT COUNT(*) FROM copied_wp.ticks") for one in (stage.old, new)]
    assert int(later[0]) > int(ticks[0]) and later[1] == ticks[1]


def test_its_own_credentials_open_it(stage: Stage) -> None:
    old, new = stage.old, stage.new
    for port in ("5432", "20007"):
        argv = ("env", "PGPASSWORD=secret", "psql", "-XAt", "-h", new.address, "-p", port, "-U", NAME)
        assert old.root(*argv, "-c", "SELECT count(*) FROM items", "copied_app").strip() == "500"
    login = ("env", "MYSQL_PWD=secret", "mariadb", "-N", "-h", new.address, "-u", NAME, "--skip-ssl")
    assert old.root(*login, "-e", "SELECT COUNT(*) FROM posts", "copied_wp").strip() == "300"
    for of_ssh in (22, 20008):
        with paramiko.SSHClient() as client:
            client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
            client.connect(new.address, of_ssh, NAME, pkey=KEY, allow_agent=False, look_for_keys=False)
            assert client.exec_command("id -un")[1].read() == b"copied\n"
    shadow = [one.root("getent", "shadow", NAME).split(":") for one in (old, new)]
    assert shadow[0][1] == shadow[1][1] and shadow[0][7] == shadow[1][7]


def test_a_test_copy_never_becomes_the_account(stage: Stage) -> None:
    old, new, copy = stage.old, stage.new, stage.copy
    record = {"account": NAME, "move": copy.key, "epoch": copy.epoch}
    refused: dict[str, tuple[Side, Verb[Any]]] = {
        "no_test_server": (old, copy.opening({})),
        "not_empty": (new, verbs.BecomeTestServer(domain="other.example")),
        "wrong_move": (new, verbs.Remove(account=NAME, move="t13")),
        "wrong_state": (old, verbs.Remove(account=NAME)),
        "bad_test_name": (new, copy.opening({DOMAIN: "www.bank.example"})),
    }
    for code, (one, verb) in refused.items():
        with pytest.raises(AgentError) as error:
            one.host.call(verb)
        assert error.value.code == code, error.value
    with pytest.raises(AgentError) as error:
        new.fence("release", name=NAME, move=copy.key, epoch=2, commit_record=record)
    assert error.value.code == "test_server"
    with pytest.raises(AgentError, match="holds test copies only"):
        new.host.call(verbs.Create(account_file={**account_file("newcomer", 2602)}))
    told = new.host.call(verbs.Describe())
    assert told.test_server == "test.example" and old.host.call(verbs.Describe()).test_server is None
    assert [a["state"] for a in told.accounts] == ["test"]


def test_it_is_the_same_after_a_reboot(stage: Stage) -> None:
    new, old = stage.new, stage.old
    new.root("systemctl", "reboot", "--force", check=False)
    time.sleep(1)

    def answers() -> bool:
        try:
            return ask(new, stage.copy.name).status == 200
        except (OSError, http.client.HTTPException):
            return False

    wait_for(answers, 60, "the copy answers again")
    assert ask(new, stage.copy.name, f"/out.php?to=tcp://{old.address}:22").text.split() == ["shut"]
    # The rules were there before the agent was.
    assert new.root("systemctl", "is-active", "transhumance-test-server.service").strip() == "active"
    assert new.state(NAME) == "test" and new.root("ls", "/var/spool/cron/crontabs") == ""


def test_again_is_replaced_and_one_engine_touches_no_file(stage: Stage) -> None:
    old, new = stage.old, stage.new
    second = Copy("t13", 3, stage.copy.statement, old, new, ["mariadb"])
    with pytest.raises(AgentError) as error:
        second.receive()
    assert error.value.code == "wrong_state"
    # What the system has for the user itself, as the mail that came back of what the copy sent, goes with it.
    new.root("sh", "-c", f"echo From cron >> /var/mail/{NAME} && chown {NAME} /var/mail/{NAME}")
    for _ in range(2):
        new.host.call(verbs.Remove(account=NAME, move="t12"))
    assert ask(new, stage.copy.name).status == 404
    assert postgres(new, "SELECT count(*) FROM pg_database WHERE datname = 'copied_app'") == "0"
    assert json.dumps(new.host.call(verbs.ProveEmpty()).because).count(NAME) == 0
    second.receive()
    [key] = [line for line in new.root("cat", "/root/.ssh/authorized_keys").splitlines() if "move:t13" in line]
    assert "port" not in key, "nothing on a test server leads back to the original"
    done = second.duplicate()
    assert set(done.stores) == {"mariadb"} and done.files == 0
    second.open()
    second.unpair()
    assert mariadb(new, "SELECT COUNT(*) FROM copied_wp.posts") == "300"
    assert new.root("find", f"/home/{NAME}", "-mindepth", "1") == ""
    assert postgres(new, "SELECT count(*) FROM pg_roles WHERE rolname = 'copied'") == "0"
    assert databases(old) == stage.before
    new.host.call(verbs.Remove(account=NAME))
    assert new.state(NAME) == "absent"
