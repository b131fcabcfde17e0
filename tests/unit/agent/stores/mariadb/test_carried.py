"""What of MariaDB's definitions and users is carried, as far as no server is needed to tell."""

from typing import Any

import pytest

from include.agent.account.accounts import Account
from include.agent.host.system import Refused
from include.agent.stores.mariadb import charsets, definers, printed, users
from include.agent.stores.mariadb import roles as mariadb_roles
from include.agent.stores.mariadb.events import context

USERS = [{"user": "acct", "host": "localhost"}, {"user": "shop", "host": "%"}]
MARIADB = {"users": USERS, "databases": ["acct_db"]}
ACCOUNT = Account.from_json({"account": "acct", "uid": 2001, "gid": 2001, "home": "/home/acct", "mariadb": MARIADB})


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (r"'\0\0\0\0'", "x'00000000'"),
        ("'\\0\x01?'", "x'0001ff'"),
        ("'é?'", "x'c3a9fe'"),
        ("'unknown'", "x'756e6b6e6f776e'"),
        ("'Käse'", "x'4bc3a47365'"),
        ("'\\n\\r\x1a\\\\''\"\\0\t'", "x'0a0d1a5c27220009'"),
        ("''", "x''"),
        ("concat('a','b')", "concat('a','b')"),
        ("NULL", "NULL"),
        (None, None),
    ],
)
def test_the_default_of_a_binary_column_is_its_bytes(older: str | None, newer: str | None) -> None:
    assert printed.default(older, True) == printed.default(newer, True)
    assert printed.default(older, False) == older


def test_other_bytes_are_another_default() -> None:
    assert printed.default(r"'\0'", True) != printed.default("'0'", True)
    assert printed.default("'a'", True) != printed.default("x'62'", True)


def test_old_times_are_the_type_that_a_copy_has() -> None:
    assert printed.column_type("datetime(6) /* mariadb-5.3 */") == "datetime(6)"
    assert printed.column_type("enum('datetime /* mariadb-5.3 */')") == "enum('datetime /* mariadb-5.3 */')"


def test_aria_says_its_checksum_or_not() -> None:
    assert printed.options("page_checksum=1 transactional=1") == printed.options("transactional=1")
    assert printed.options("page_checksum=0") == "page_checksum=0" and printed.options(None) is None


def test_a_view_calls_its_functions_by_their_whole_name() -> None:
    view = b"CREATE VIEW `v` AS select `vat`(`t`.`vat`) AS `vat`,`other`.`vat`(1) AS `o`,'`vat`(' AS `s` from `vat`"
    made = printed.qualified(view, b"a`b", {b"vat"})
    assert made == view.replace(b"select `vat`(", b"select `a``b`.`vat`(")
    assert printed.qualified(view, b"a", set()) == view


@pytest.mark.parametrize(
    "text",
    [
        b"CREATE ALGORITHM=MERGE DEFINER=`old``one`@`%` SQL SECURITY INVOKER VIEW `v` AS select 1 AS `1`",
        b'CREATE DEFINER="old`one"@"%" PROCEDURE "p"() BEGIN END',
        b"CREATE DEFINER=`root`@`localhost` TRIGGER `DEFINER=``a``@``b``` BEFORE INSERT ON `t` FOR EACH ROW SET @a=1",
    ],
)
def test_an_object_of_somebody_else_is_made_as_the_accounts(text: bytes) -> None:
    made = definers.renamed(text, "acct@localhost")
    head = definers.head_of(made)
    assert head and (head.user, head.host) == ("acct", "localhost")
    assert made.partition(b"`acct`@`localhost`")[2] in text


def test_who_runs_an_object_is_told_where_it_matters() -> None:
    item: dict[str, Any] = {"kind": "VIEW", "database": "acct_db", "name": "v", "definer": "root@localhost"}
    told = definers.sentence(ACCOUNT, item | {"security": "DEFINER"}, "acct@localhost")
    assert told and "acct_db.v runs as root@localhost here" in told and "there it runs as acct@localhost" in told
    assert definers.sentence(ACCOUNT, item | {"security": "INVOKER"}, "acct@localhost") is None
    assert definers.sentence(ACCOUNT, item | {"definer": "shop@%"}, "acct@localhost") is None


@pytest.mark.parametrize(
    ("wildcard", "own"),
    [
        (r"acct\_%", True),
        (r"shop\_%", True),
        ("acct_%", False),  # it is acctx too
        ("acct%", False),
        (r"acct\_%\_%", False),
        (r"other\_%", False),
        (r"\_%", False),
        ("%", False),
    ],
)
def test_only_a_prefix_of_the_accounts_own_is_carried(wildcard: str, own: bool) -> None:
    assert users.own_prefix(ACCOUNT, wildcard) is own
    user = {"user": "acct", "host": "localhost", "grants": [["prefix", wildcard, None, None, "ALL PRIVILEGES", False]]}
    if own:
        expected = [f"GRANT ALL PRIVILEGES ON `{wildcard}`.* TO 'acct'@'localhost'"]
        assert users.grant_statements(ACCOUNT, user) == expected
    else:
        with pytest.raises(Refused, match="is not on a database of acct"):
            users.grant_statements(ACCOUNT, user)


def test_whom_a_user_may_act_as_is_carried_among_the_accounts_users_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [["proxy", *whom, None, "PROXY", "YES"] for whom in (["acct", "LocalHost"], ["boss", "%"], ["", ""])]
    monkeypatch.setattr(users, "_all_grants", lambda _user, _host: (rows, 19))
    grants, left = users.grants_of(ACCOUNT, "shop", "%")
    assert grants == [["proxy", "acct", "LocalHost", None, "PROXY", True]]
    assert [sentence.partition(": ")[2] for sentence in left] == [
        "PROXY on @ is not carried.",
        "PROXY on boss@% is not carried.",
    ]
    made = users.grant_statements(ACCOUNT, {"user": "shop", "host": "%", "grants": grants})
    assert made == ["GRANT PROXY ON 'acct'@'LocalHost' TO 'shop'@'%' WITH GRANT OPTION"]
    for grant in (
        ["proxy", "root", "localhost", None, "PROXY", False],
        ["proxy", "acct", "localhost", None, "ALL", False],
    ):
        with pytest.raises(Refused, match="is not on a database of acct"):
            users.grant_statements(ACCOUNT, {"user": "shop", "host": "%", "grants": [grant]})


def test_of_several_patterns_the_one_with_the_latest_wildcard_counts() -> None:
    patterns = ["acct%", r"acct\_d_", "acct_db", r"acct\_db", "%"]
    ordered = sorted(patterns, key=users._first_wildcard, reverse=True)
    assert ordered == [r"acct\_db", r"acct\_d_", "acct%", "acct_db", "%"]


@pytest.mark.parametrize(
    ("kept", "clauses"),
    [
        ({"password_lifetime": 180}, ["PASSWORD EXPIRE INTERVAL 180 DAY"]),
        ({"password_lifetime": 0}, ["PASSWORD EXPIRE NEVER"]),
        ({"password_lifetime": -1}, ["PASSWORD EXPIRE DEFAULT"]),
        ({"ssl_type": 3, "x509_issuer": "/CN=it's"}, ["REQUIRE ISSUER '/CN=it''s'"]),
        ({"max_connections": 7, "max_statement_time": 1.5}, ["MAX_CONNECTIONS_PER_HOUR 7 MAX_STATEMENT_TIME 1.5"]),
        ({"password_last_changed": 0}, ["ALTER USER 'shop'@'%' PASSWORD EXPIRE"]),
        ({"default_role": "r'w"}, ["SET DEFAULT ROLE 'r''w' FOR 'shop'@'%'"]),
    ],
)
def test_what_a_user_logs_in_with(kept: dict[str, Any], clauses: list[str]) -> None:
    made = "; ".join(users.settings({"user": "shop", "host": "%", "kept": kept, "locked": False}))
    assert [clause for clause in clauses if clause not in made] == []


def test_roles_are_made_and_given_to_the_accounts_own() -> None:
    roles = [{"name": "rw", "grants": []}, {"name": "ro", "grants": []}]
    given = [["shop", "%", "rw", False], ["rw", "", "ro", True]]
    assert mariadb_roles.statements(ACCOUNT, roles, given) == [
        "CREATE ROLE IF NOT EXISTS 'rw'",
        "CREATE ROLE IF NOT EXISTS 'ro'",
        "GRANT 'rw' TO 'shop'@'%'",
        "GRANT 'ro' TO 'rw' WITH ADMIN OPTION",
    ]
    for wrong in (["root", "localhost", "rw", False], ["shop", "%", "dba", False], ["dba", "", "rw", False]):
        with pytest.raises(Refused, match=r"is not one of acct's"):
            mariadb_roles.statements(ACCOUNT, roles, [wrong])


def test_an_event_whose_time_is_over_is_made_before_it() -> None:
    event = {"sql_mode": "", "time_zone": "SYSTEM", "collation": "utf8mb4_general_ci", "charset": "utf8mb4"}
    assert "timestamp = DEFAULT" in context(event)[0]
    assert "timestamp = 1000000000" in context(event | {"moment": "1000000000"})[0]
    with pytest.raises(ValueError, match="invalid literal"):
        context(event | {"moment": "1; DROP"})


@pytest.mark.parametrize(
    ("charset", "part", "text", "said"),
    [
        ("gbk", "name", "丁", True),
        ("gbk", "comment", "丁\\", True),
        ("latin1", "comment", "für uns", True),
        ("swe7", "name", "a`b", True),
        ("swe7", "definer", "a^@localhost", True),
        ("utf8mb4", "name", "丁`", False),
        ("utf8mb3", "comment", "丁\\", False),
        ("gbk", "name", "a`b ^\\", False),
        ("swe7", "name", "plain_1", False),
    ],
)
def test_what_is_printed_in_two_character_sets_is_refused(charset: str, part: str, text: str, said: bool) -> None:
    item = {"kind": "EVENT", "database": "acct_db", "name": "e", "definer": "acct@localhost", "comment": ""}
    item |= {"charset": charset, part: text}
    if not said:
        return charsets.refuse_mixed(item, item["definer"])
    with pytest.raises(Refused, match=f"character set is {charset}") as error:
        charsets.refuse_mixed(item, item["definer"])
    assert "SET NAMES utf8mb4" in error.value.message


def test_a_view_or_trigger_of_another_character_set_is_carried() -> None:
    for kind in ("VIEW", "TRIGGER", "PROCEDURE"):
        item = {"kind": kind, "database": "acct_db", "name": "丁", "comment": None, "charset": "gbk"}
        charsets.refuse_mixed(item, "acct@localhost")
