"""Mailboxes, forwarders and what belongs to them are read from Postfix and Dovecot, from files or SQL."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from include.agent.account.accounts import Account
from include.agent.account.mail_places import Place, Quota
from include.agent.layouts.classic import led_dovecot
from include.agent.layouts.classic.reading import dovecot, postfix
from include.agent.layouts.classic.reading.asking import Database, for_all
from include.agent.layouts.classic.reading.inhabitants import inhabitants
from include.agent.layouts.classic.reading.tree import Tree

from .laid import laid, silent

HOME = "/home/press/mail/press.example/desk"


def test_virtual_mail_from_files(tmp_path: Path) -> None:
    found = inhabitants(laid(tmp_path, "mail"), {}, silent)
    press, shop = found.accounts
    assert (press.name, shop.name) == ("press", "shop")
    assert (press.mail_domains, shop.mail_domains) == (["press.example"], ["shop.example"])
    vmail = "maildir:/var/vmail/shop.example"
    assert [(box.address, box.password_hash, box.folder, box.owner, box.quota) for box in shop.mailboxes] == [
        ("extra@shop.example", "", f"{vmail}/extra/Maildir:LAYOUT=fs", 5000, ""),
        ("info@shop.example", "{SHA512-CRYPT}$6$one$hash", f"{vmail}/info/Maildir:LAYOUT=fs", 5000, "*:storage=1G"),
        (
            "o'hara@shop.example",
            "{BLF-CRYPT}$2y$05$hash",
            f"{vmail}/o'hara/Maildir:LAYOUT=fs",
            5000,
            "*:storage=500M",
        ),
    ]
    assert [(box.address, box.folder, box.owner) for box in press.mailboxes] == [
        ("desk@press.example", "maildir:/home/press/mail/press.example/desk/Maildir:LAYOUT=fs", 1002)
    ]
    assert [(one.address, one.to) for one in (*shop.forwarders, *press.forwarders)] == [
        ("@shop.example", ["info@shop.example"]),
        ("sales@shop.example", ["info@shop.example", "partner@elsewhere.example"]),
        ("desk@press.example", ["desk@press.example", "copy@elsewhere.example"]),
    ]
    main = "/etc/postfix/main.cf"
    assert found.unclear == [
        f"{main}:12: the table regexp:/etc/postfix/maps/patterns is not understood; use one of hash, btree, lmdb, cdb,"
        " dbm, texthash.",
        f"{main}:17: what sender_bcc_maps does to mail belongs to no account.",
        "The mailbox extra@shop.example has no password that could be found. (1 more of these)",
        "The mail domain nobody.example (1 mailboxes, 0 forwarders) belongs to no account: no site has its name; say"
        " whose it is in that account's file.",
    ]


def test_what_an_account_file_says_of_mail(tmp_path: Path) -> None:
    press, shop = inhabitants(laid(tmp_path, "mail"), {}, silent).accounts
    assert press.account_file is not None and shop.account_file is not None
    (box,) = Account.from_json(press.account_file).mailboxes
    assert box.password_hash == "{SHA512-CRYPT}$6$two$hash"
    assert [one.address for one in Account.from_json(shop.account_file).forwarders] == [
        "@shop.example",
        "sales@shop.example",
    ]
    said = {box.address: (box.place, box.quota) for box in Account.from_json(shop.account_file).mailboxes}
    folder = "/var/vmail/shop.example"
    assert said == {
        "info@shop.example": (Place(f"{folder}/info/Maildir", f"{folder}/info", "fs"), Quota(bytes=1 << 30)),
        "o'hara@shop.example": (Place(f"{folder}/o'hara/Maildir", f"{folder}/o'hara", "fs"), Quota(bytes=500 << 20)),
    }
    assert (box.place, box.quota) == (Place(f"{HOME}/Maildir", HOME, "fs"), Quota(bytes=1 << 30))
    assert shop.unfit[:1] == [
        "The password hash of extra@shop.example must begin with its scheme in braces and hold no space or colon.",
    ]


def test_what_else_speaks_of_an_account(tmp_path: Path) -> None:
    press, shop = inhabitants(laid(tmp_path, "mail"), {}, silent).accounts
    assert [(one.path, one.description) for one in shop.extras if "apache" not in one.path] == [
        ("/etc/letsencrypt/live/www.shop.example/fullchain.pem", "a certificate or its key"),
        ("/etc/letsencrypt/renewal/www.shop.example.conf", "what renews a certificate of Let's Encrypt"),
        ("/etc/logrotate.d/shop", "how the account's logs are rotated"),
        ("/etc/proftpd/users:1", "the FTP user shop_ftp"),
        ("/etc/vsftpd_users/shop", "FTP settings of the account"),
        ("/var/lib/rspamd/dkim/shop.example.mail.key", "the key that signs mail of shop.example"),
        ("/var/vmail/shop.example/info/.dovecot.sieve", "Sieve scripts of info@shop.example"),
    ]
    assert [(one.path, one.description) for one in press.extras] == [
        ("/etc/ssh/sshd_config:2", "SSH settings of the account"),
        ("/etc/opendkim/keys/press.private", "the key that signs mail of press.example"),
    ]


def test_the_programs_of_the_server_know_best(tmp_path: Path) -> None:
    """A table's index may say other than its text, and Dovecot may put a home elsewhere."""

    def ask(argv: list[str], **_: object) -> str | None:
        if argv == ["postmap", "-s", "hash:/etc/postfix/maps/aliases"]:
            return "new@shop.example\tinfo@shop.example\n"
        if argv[:2] == ["doveadm", "user"]:
            return (
                "\nuserdb: info@shop.example\n  uid       : 1001\n  home      : /home/shop/mail/shop.example/info\n"
                "  mail      : mdbox:~/mdbox\n  quota_rule: *:storage=150M\n"
            )
        return silent(argv)

    _, shop = inhabitants(laid(tmp_path, "mail"), {}, ask).accounts
    assert [one.address for one in shop.forwarders] == ["new@shop.example"]
    (box,) = (box for box in shop.mailboxes if box.address == "info@shop.example")
    assert (box.owner, box.folder) == (1001, "mdbox:/home/shop/mail/shop.example/info/mdbox")
    assert box.quota == "*:storage=150M"


POSTFIX_SQL = "dbpath = /var/mail.db\nquery = {}\n"
DOVECOT_SQL = """driver = sqlite
connect = /var/mail.db
default_pass_scheme = SHA512-CRYPT
password_query = SELECT email as user, \\
  password FROM virtual_users WHERE email='%u'
user_query = SELECT home, 5000 AS uid, '*:bytes=' || quota AS quota_rule FROM virtual_users WHERE email = '%u'
"""


def with_sql(folder: Path, **more: str) -> Tree:
    server = laid(
        folder,
        **{
            "etc/passwd": "shop:x:1001:1001::/home/shop:/bin/sh\nvmail:x:5000:5000::/var/vmail:/bin/false\n",
            "etc/apache2/apache2.conf": "<VirtualHost *>\nServerName shop.example\nDocumentRoot /home/shop/w\n"
            "</VirtualHost>",
            "etc/postfix/main.cf": "virtual_mailbox_domains = sqlite:/etc/postfix/domains.cf\n"
            "virtual_mailbox_maps = sqlite:/etc/postfix/boxes.cf\n"
            "virtual_alias_maps = sqlite:/etc/postfix/aliases.cf\n",
            "etc/postfix/domains.cf": POSTFIX_SQL.format("SELECT 1 FROM virtual_domains WHERE name='%s'"),
            "etc/postfix/boxes.cf": "dbpath = /var/mail.db\ntable = virtual_users\nselect_field = 1\n"
            "where_field = email\n",
            "etc/postfix/aliases.cf": POSTFIX_SQL.format(
                "SELECT destination FROM virtual_aliases WHERE source='%s' LIMIT 1"
            ),
            "etc/dovecot/dovecot.conf": "passdb {\n driver = sql\n args = /etc/dovecot/sql.conf.ext\n}\n"
            "userdb {\n driver = sql\n args = /etc/dovecot/sql.conf.ext\n}\nmail_location = maildir:~/Maildir\n",
            "etc/dovecot/sql.conf.ext": DOVECOT_SQL,
            "var/mail.db": "",
            **more,
        },
    )
    with sqlite3.connect(server.on_disk("/var/mail.db")) as database:
        database.executescript("""
            CREATE TABLE virtual_domains (id INTEGER, name TEXT);
            CREATE TABLE virtual_users (email TEXT, password TEXT, home TEXT, quota INTEGER);
            CREATE TABLE virtual_aliases (source TEXT, destination TEXT);
            INSERT INTO virtual_domains VALUES (1, 'shop.example');
            INSERT INTO virtual_users VALUES ('info@shop.example', '$6$a$b', '/var/vmail/shop.example/info', 5);
            INSERT INTO virtual_aliases VALUES ('x@shop.example', 'a@b.example'), ('x@shop.example', 'c@d.example');
        """)
    database.close()
    return server


def test_virtual_mail_from_sql(tmp_path: Path) -> None:
    found = inhabitants(with_sql(tmp_path), {}, silent)
    assert found.unclear == []
    (shop,) = found.accounts
    (box,) = shop.mailboxes
    assert (box.address, box.password_hash) == ("info@shop.example", "{SHA512-CRYPT}$6$a$b")
    assert (box.folder, box.owner, box.quota) == ("maildir:/var/vmail/shop.example/info/Maildir", 5000, "*:bytes=5")
    assert [(one.address, one.to) for one in shop.forwarders] == [("x@shop.example", ["a@b.example", "c@d.example"])]


def test_virtual_mail_from_sql_as_dovecot_writes_it_now(tmp_path: Path) -> None:
    """As of 2.4 the queries stand with all else, and the database once for all of them."""
    main = """\
sql_driver = sqlite
mail_driver = maildir
mail_path = ~/Maildir
sqlite /var/mail.db {
}
passdb sql {
  default_password_scheme = sha512-crypt
  query = SELECT email AS user, password FROM virtual_users WHERE email = '%{user | lower}'
}
userdb sql {
  query = SELECT home, 5000 AS uid FROM virtual_users WHERE email = '%{user}'
  iterate_query = SELECT email AS user FROM virtual_users
}
"""
    found = inhabitants(with_sql(tmp_path, **{"etc/dovecot/dovecot.conf": main}), {}, silent)
    assert found.unclear == []
    (box,) = found.accounts[0].mailboxes
    assert (box.address, box.password_hash) == ("info@shop.example", "{SHA512-CRYPT}$6$a$b")
    assert (box.folder, box.owner) == ("maildir:/var/vmail/shop.example/info/Maildir", 5000)


def test_a_server_that_is_prepared_is_read_as_before(tmp_path: Path) -> None:
    """What is asked before the host's own tables is ours, and none of theirs."""
    before = inhabitants(with_sql(tmp_path / "before"), {}, silent)
    ours = "texthash:/etc/transhumance/mail"
    main = f"""\
virtual_alias_domains = !{ours}/domains, $virtual_alias_maps
virtual_mailbox_domains = {ours}/domains, sqlite:/etc/postfix/domains.cf
virtual_mailbox_maps = {ours}/mailboxes, sqlite:/etc/postfix/boxes.cf
virtual_alias_maps = {ours}/aliases, sqlite:/etc/postfix/aliases.cf
transport_maps = {ours}/transport
"""
    conf = led_dovecot.content("2.3") + (with_sql(tmp_path / "x").text("/etc/dovecot/dovecot.conf") or "")
    files = {
        "etc/postfix/main.cf": main,
        "etc/dovecot/dovecot.conf": conf,
        "etc/transhumance/mail/aliases": "held@shop.example held@shop.example\n",
        "etc/transhumance/mail/passwd": "held@shop.example::1:1::/x::\n",
    }
    assert inhabitants(with_sql(tmp_path / "after", **files), {}, silent) == before
    new = inhabitants(
        with_sql(tmp_path / "new", **{**files, "etc/dovecot/dovecot.conf": led_dovecot.content("2.4")}), {}, silent
    )
    assert not [sentence for sentence in new.unclear if "transhumance" in sentence]


def test_a_database_that_does_not_answer_is_told(tmp_path: Path) -> None:
    server = with_sql(
        tmp_path, **{"etc/postfix/aliases.cf": "dbpath = /var/gone\nquery = SELECT a FROM b WHERE c='%s'\n"}
    )
    found = inhabitants(server, {}, silent)
    assert found.unclear == ["/etc/postfix/aliases.cf: its database does not answer; look at it and try again."]


@pytest.mark.parametrize(
    "query, turned",
    [
        ("SELECT 1 FROM d WHERE name='%s'", "SELECT name AS th_key, 1 FROM d WHERE 1 = 1"),
        (
            "select goto from alias where address='%s' and active = '1';",
            "SELECT address AS th_key, goto from alias where 1 = 1 and active = '1'",
        ),
        (
            "SELECT a FROM b WHERE b.u = '%u' AND `d` = '%d' LIMIT 1",
            "SELECT CONCAT(b.u, '@', `d`) AS th_key, a FROM b WHERE 1 = 1 AND 1 = 1",
        ),
        ("SELECT DISTINCT a FROM b WHERE d='%d'", "SELECT DISTINCT d AS th_key, a FROM b WHERE 1 = 1"),
        ("SELECT a FROM b WHERE u='%u'", None),
        ("SELECT a FROM b WHERE c='%s' OR d='%s'", None),
        ("SELECT a FROM b, c WHERE c.x = '%d' AND b.y = CONCAT('%u', '@', c.z)", None),
        ("SELECT a FROM b WHERE NOT c='%s'", None),
        ("SELECT a FROM b WHERE c LIKE '%s'", None),
        ("SELECT a FROM b", None),
        ("SELECT a FROM b WHERE c='%s'; DROP TABLE b", None),
        ("DELETE FROM b WHERE c='%s'", None),
        ("SELECT a INTO OUTFILE '/x' FROM b WHERE c='%s'", None),
        ("", None),
    ],
)
def test_a_query_for_one_is_asked_for_all(query: str, turned: str | None) -> None:
    assert for_all(query, "mysql", whole_user=False) == turned


def test_databases_are_asked_by_the_mail_systems_own_user_who_reads_only(tmp_path: Path) -> None:
    asked: list[Any] = []
    replies = iter(["email\tgoto\nA\\\\b@x\tone\\ttwo\n", "email\x1fgoto\x1ea@x\x1fb\n"])

    def ask(argv: list[str], env: dict[str, str] | None = None) -> str:
        asked.append((argv, env))
        return next(replies)

    server = laid(tmp_path, **{"etc/x": ""})
    mysql = Database("mysql", "mail", "reader", "secret", "127.0.0.1:3307")
    assert mysql.rows("SELECT 1", server, ask) == [{"email": "A\\b@x", "goto": "one\ttwo"}]
    assert Database("pgsql", "mail", "reader", "secret").rows("SELECT 1", server, ask) == [
        {"email": "a@x", "goto": "b"}
    ]
    for argv, env in asked:
        assert "secret" not in " ".join(argv) and "secret" in env.values() and argv[0] == "setpriv"
    (first, _), (_, second) = asked
    assert "--init-command=SET SESSION max_statement_time=60, SESSION tx_read_only=1" in first
    assert {"--host=127.0.0.1", "--port=3307", "--user=reader", "mail"} < {*first}
    assert "default_transaction_read_only=on" in second["PGOPTIONS"]


def test_nothing_that_is_written_makes_a_reader_of_mail_fail(tmp_path: Path) -> None:
    dice = random.Random(4)
    letters = "ab=@:{}#\\\" '$(%)\n\t!,~\0\x1b/"
    text = "".join(dice.choice(letters) for _ in range(20_000))
    words = [
        "passdb {",
        "driver = sql",
        "args = /etc/dovecot/users",
        "!include *.conf",
        "virtual_alias_maps = hash:/etc/x",
    ]
    text = "".join(f"{text[at : at + 20]}\n{dice.choice(words)}\n" for at in range(0, len(text), 20))
    names = ("postfix/main.cf", "x", "dovecot/dovecot.conf", "dovecot/a.conf", "dovecot/users")
    server = laid(tmp_path, **{f"etc/{name}": text for name in names})
    postfix.read(server, silent)
    dovecot.read(server, silent, [], {})
    assert all(note.isprintable() for note in server.notes.sentences())


def test_a_setting_that_stands_for_itself_ends(tmp_path: Path) -> None:
    text = "a = $b $b $b\nb = $a $a $a\nvirtual_mailbox_domains = $a x.example\n"
    text += (
        "".join(f"c{number} = $c{number + 1} $c{number + 1}\n" for number in range(10_000)) + "relay_domains = $c0\n"
    )
    assert postfix.read(laid(tmp_path, **{"etc/postfix/main.cf": text}), silent).domains == ["x.example"]
