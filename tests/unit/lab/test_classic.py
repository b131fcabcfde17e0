"""The host's own scripts: they can be read by a shell, and name what there is."""

from __future__ import annotations

import re
import subprocess

import pytest

from include.catalogue import infrastructures
from lab import base, classic
from lab.accounts.filling import CONTENT
from lab.classic import FOLDER, customers

CLASSIC = [one for one in infrastructures.load().values() if one.layout == "classic"]
INSTALL, FILL = ((FOLDER / name).read_text() for name in ("install", "fill"))


@pytest.mark.parametrize("script", ["install", "fill"])
def test_a_shell_can_read_it(script: str) -> None:
    subprocess.run(["sh", "-n", FOLDER / script], check=True)


@pytest.mark.parametrize("infrastructure", CLASSIC, ids=lambda one: one.name)
def test_a_release_has_its_files_and_packages(infrastructure: infrastructures.Infrastructure) -> None:
    files = FOLDER / "files" / infrastructure.debian
    assert (files / "etc/postgresql" / infrastructure.programs["postgresql"] / "main/conf.d/host.conf").is_file()
    assert {*infrastructure.packages} >= {
        *("apache2", "php-fpm", "postfix", "postfix-mysql", "dovecot-mysql", "dovecot-sieve", "dovecot-managesieved"),
        *("dovecot-lmtpd", "dovecot-imapd", "opendkim", "vsftpd", "cron", "logrotate", "haproxy", "mariadb-server"),
    }


def test_nothing_of_ours_is_on_a_hosts_own_server() -> None:
    texts = [INSTALL, FILL, *(path.read_text() for path in (FOLDER / "files").rglob("*") if path.is_file())]
    assert [text[:80] for text in texts if "transhumance" in text.lower()] == []


def test_the_mail_servers_look_up_what_the_database_has() -> None:
    schema = (FOLDER / "mail.sql").read_text()
    tables = {*re.findall(r"CREATE TABLE (\w+)", schema)}
    columns = {*re.findall(r"^    (\w+) (?:int|varchar|text)", schema, re.MULTILINE)}
    queries = [
        query
        for path in (FOLDER / "files").rglob("*")
        if path.is_file()
        for query in re.findall(r"query = (SELECT .*)", path.read_text())
    ]
    assert len(queries) >= 9
    for query in queries:
        assert {*re.findall(r"FROM (\w+)", query)} <= tables, query
        assert {*re.findall(r"WHERE (\w+) =", query)} <= columns, query


def test_each_secret_that_is_used_is_given() -> None:
    given = {*customers.SECRETS, *(name for one in customers.CUSTOMERS for name in one.boxes.values())}
    assert {*re.findall(r'"\$([A-Z][A-Z0-9_]+)"', FILL)} | {"ADMIN"} == given


def test_each_customer_of_the_script_is_one_that_others_reach() -> None:
    homes = re.findall(r"^home=(\S+)\ncustomer (\w+)", FILL, re.MULTILINE)
    assert homes == [(one.home, one.name) for one in customers.CUSTOMERS]
    sites = re.findall(r"^site (\w+) (\S+) ", FILL, re.MULTILINE)
    assert sites == [(one.name, domain) for one in customers.CUSTOMERS for domain in one.roots]
    boxes = re.findall(r'^mailbox (\w+) (\S+) "\$(\w+)"', FILL, re.MULTILINE)
    told = [(one.name, *box) for one in customers.CUSTOMERS for box in one.boxes.items()]
    assert [box for _, *box in boxes] == [box for _, *box in told]
    assert all(owner in (name, "vmail") for (owner, *_), (name, *_) in zip(boxes, told, strict=True))


def test_a_tree_is_made_anew_when_what_makes_it_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {name: base.path(name) for name in base.DECLARED}
    monkeypatch.setattr(classic, "digest", lambda: "another")
    changed = {name for name in base.DECLARED if base.path(name) != before[name]}
    assert changed == {one.name for one in CLASSIC}


def test_what_is_filled_in_is_there() -> None:
    for name in ("blog/fill.php", "blog/visit.php", "blog/wp-config.php", "flock/app.py", "files/fill_mail.py"):
        assert (CONTENT / name).is_file()
    compile((CONTENT / "flock/app.py").read_text(), "app.py", "exec")
