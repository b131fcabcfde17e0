"""Names and values made by customers stay names and values in every statement that the agent words."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.agent.account.accounts import Account
from include.agent.host.system import Refused
from include.agent.stores.mariadb import restore, sql, users
from include.agent.stores.postgresql import make
from include.agent.stores.postgresql import sql as postgres_sql

text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=40)
ACCOUNT = Account.from_json(
    {
        "account": "alice",
        "uid": 2001,
        "gid": 2001,
        "home": "/home/alice",
        "mariadb": {"users": [{"user": "al`ice", "host": "10.%"}], "databases": ["a_b", "axb"]},
    }
)


@given(text)
def test_a_postgresql_name_is_ascii_that_reads_back_as_the_name(name: str) -> None:
    for quoted, quote in ((postgres_sql.ident(name), '"'), (postgres_sql.literal(name), "'")):
        inside = re.fullmatch(f"U&{quote}([A-Za-z0-9_ .,:$/@=+*#()-]|\\\\\\+[0-9A-F]{{6}})*{quote}", quoted)
        assert inside
        assert re.sub(r"\\\+([0-9A-F]{6})", lambda found: chr(int(found[1], 16)), quoted[3:-1]) == name


@given(text)
def test_a_mariadb_statement_is_hexadecimal_to_the_client(name: str) -> None:
    line = sql.immediate(f"SELECT {sql.literal(name)}")
    assert re.fullmatch(rb"EXECUTE IMMEDIATE 0x(?:[0-9a-f]{2})+;\n", line)


@given(text)
def test_a_mariadb_grant_covers_its_database_alone(name: str) -> None:
    wildcard = sql.pattern(name)[1:-1].replace("``", "`")
    assert sql.covers(wildcard, name)
    assert not sql.covers(wildcard, name + "x")
    assert "_" not in name or not sql.covers(wildcard, name.replace("_", "\x01"))


def test_an_unescaped_grant_covers_what_it_says() -> None:
    assert sql.covers("a_b", "axb") and sql.covers("a%", "a_b")
    assert not sql.covers(r"a\_b", "axb")


@pytest.mark.parametrize("name", ["a\0b", "lone \udcff"])
def test_a_name_that_no_server_can_hold_is_refused(name: str) -> None:
    with pytest.raises(Refused):
        postgres_sql.ident(name)


@pytest.mark.parametrize(
    ("row", "values"),
    [
        (b"- 4142 ", [None, "AB", ""]),
        (b"C3A9", ["é"]),
        (b"name\tsql_mode\tCREATE x\\n\\\\y", ["name", "sql_mode", "CREATE x\n\\y"]),
    ],
)
def test_mariadb_rows(row: bytes, values: list[str | None]) -> None:
    assert sql._decode(row) == values


def shown(statement: bytes, kind: str = "VIEW") -> dict:
    import base64

    return {"kind": kind, "database": "a_b", "name": "x", "statement": base64.b64encode(statement).decode()}


@pytest.mark.parametrize(
    "statement",
    [
        b"CREATE DEFINER=`root`@`localhost` PROCEDURE `p`() BEGIN END",
        b"CREATE DEFINER=`al``ice`@`10.%`, `root`@`localhost` VIEW v AS SELECT 1",
        b"CREATE USER x /* DEFINER=`al``ice`@`10.%` VIEW */",
        b"DROP DATABASE mysql",
        b"CREATE DEFINER=CURRENT_USER VIEW v AS SELECT 1",
        b"CREATE TABLE t AS SELECT 1",
        b" CREATE DEFINER=`al``ice`@`10.%` VIEW v AS SELECT 1",
    ],
)
def test_only_an_object_of_the_accounts_own_definer_is_made(statement: bytes) -> None:
    with pytest.raises(Refused) as error:
        restore.checked(ACCOUNT, shown(statement))
    assert error.value.code == "foreign_definer"


def test_an_object_of_the_account_is_made() -> None:
    text = b"CREATE ALGORITHM=UNDEFINED DEFINER=`al``ice`@`10.%` SQL SECURITY DEFINER VIEW `v` AS select 1 AS `1`"
    assert restore.checked(ACCOUNT, shown(text))["text"] == text
    ansi = b'CREATE DEFINER="al`ice"@"10.%" PROCEDURE "p"() BEGIN END'
    assert restore.checked(ACCOUNT, shown(ansi, "PROCEDURE"))["text"] == ansi


def test_an_event_is_made_disabled_whatever_its_text_says() -> None:
    head = b"CREATE DEFINER=`al``ice`@`10.%` EVENT `e ENABLE DO` ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00'"
    tail = b" COMMENT ' ON COMPLETION PRESERVE ENABLE DO' DO SELECT ' ON COMPLETION PRESERVE ENABLE '"
    made = restore.checked(ACCOUNT, shown(head + b" ON COMPLETION NOT PRESERVE ENABLE" + tail, "EVENT"))
    assert made["text"] == head + b" ON COMPLETION NOT PRESERVE DISABLE" + tail


_OWN = b"CREATE DEFINER=`al``ice`@`10.%` "
_DAILY = b"EVENT `e` ON SCHEDULE EVERY 1 DAY ON COMPLETION NOT PRESERVE ENABLE DO SELECT 1"


@pytest.mark.parametrize(
    ("kind", "charset", "statement", "code"),
    [
        ("PROCEDURE", "utf8mb4", _OWN + _DAILY, "other_kind"),
        ("VIEW", "utf8mb4", _OWN + b"PACKAGE BODY p AS END", "other_kind"),
        ("PACKAGE", "utf8mb4", _OWN + b"PACKAGE BODY p AS END", "other_kind"),
        ("EVENT", "gbk", _OWN + _DAILY.replace(b"`e`", "`丁`".encode()), "mixed_charsets"),
        ("EVENT", "swe7", _OWN + _DAILY.replace(b"`e`", b"`e^`"), "mixed_charsets"),
        ("VIEW", "swe7", _OWN + b"VIEW v AS select 1", "mixed_charsets"),
        ("EVENT", "utf8mb4", _OWN + _DAILY.replace(b" 1 ", b" 1 /* ON COMPLETION PRESERVE ENABLE */ "), "event_failed"),
        ("EVENT", "utf8mb4", _OWN + _DAILY.replace(b" 1 ", b" '\\' ON COMPLETION PRESERVE ENABLE ' "), "event_failed"),
        ("EVENT", "utf8mb4", _OWN + _DAILY.replace(b" 1 ", b' " ON COMPLETION PRESERVE ENABLE " '), "event_failed"),
        ("EVENT", "utf8mb4", _OWN + _DAILY.replace(b" 1 ", b" 1 # ON COMPLETION PRESERVE ENABLE \n"), "event_failed"),
    ],
)
def test_a_statement_makes_what_it_says_and_is_read_as_the_server_reads_it(
    kind: str, charset: str, statement: bytes, code: str
) -> None:
    with pytest.raises(Refused) as error:
        restore.checked(ACCOUNT, shown(statement, kind) | {"charset": charset})
    assert error.value.code == code


def test_a_database_is_never_named_in_another_character_set() -> None:
    """Not in the statements of the object that comes next in the session either."""
    item = {"database": "丁`x", "made_in": "latin1_bin", "charset": "gbk", "collation": "gbk_bin", "text": b"CREATE x"}
    steps = restore._making(item, {"丁`x": {"collation": "utf8mb4_bin"}})
    named = [number for number, step in enumerate(steps * 2) if isinstance(step, str) and "丁" in step]
    assert len(named) == 6
    for number in named:
        before = [
            step for step in (steps * 2)[:number] if "SET NAMES" in str(step) or "character_set_client" in str(step)
        ]
        assert before[-1] == sql.NAMES


def test_login_methods_of_a_mariadb_user() -> None:
    kept = {
        "plugin": "mysql_native_password",
        "authentication_string": "*AB",
        "auth_or": [{}, {"plugin": "unix_socket"}],
    }
    assert users.plugins_of(kept) == [("mysql_native_password", "*AB"), ("unix_socket", "")]
    user = {
        "user": "al`ice",
        "host": "10.%",
        "kept": kept | {"ssl_type": 1, "max_user_connections": 5},
        "locked": False,
    }
    assert users.credentials(user) == (
        "IDENTIFIED VIA mysql_native_password USING '*AB' OR unix_socket REQUIRE SSL"
        " WITH MAX_USER_CONNECTIONS 5 ACCOUNT UNLOCK"
    )


@pytest.mark.parametrize(
    ("value", "listed"),
    [
        ("", "''"),
        ("public", "U&'public'"),
        ('"$user", public', "U&'$user', U&'public'"),
        ('"a""b, c",d', "U&'a\\+000022b, c', U&'d'"),
    ],
)
def test_a_search_path_is_carried_name_by_name(value: str, listed: str) -> None:
    assert make.listed(value) == listed
