"""The binary log is read exactly, or said to be unreadable."""

import struct
import zlib
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.agent.stores.mariadb import binlog as binlog
from include.agent.stores.mariadb.binlog import Shape, Unreadable
from include.agent.stores.mariadb.values import Decoder
from include.agent.stores.mariadb.values import decoder as decoder_or_none


def decoder(kind: str, column_type: str, charset: str | None, length: int, scale: int) -> Decoder:
    """That of a kind which has one."""
    found = decoder_or_none(kind, column_type, charset, length, scale)
    assert found is not None
    return found


INT = decoder("int", "int(11)", None, 10, 0)
NAME = ("shop", "items")
BY_ID = Shape(((0, INT),))


def event(kind: int, body: bytes, checksum: bytes = b"\0\0\0\0") -> bytes:
    return struct.pack("<IBIIIH", 0, kind, 1, 19 + len(body) + len(checksum), 0, 0) + body + checksum


def table_map(number: int, database: bytes, table: bytes, types: bytes, meta: bytes) -> bytes:
    names = bytes([len(database)]) + database + b"\0" + bytes([len(table)]) + table + b"\0"
    body = number.to_bytes(6, "little") + b"\1\0" + names + bytes([len(types)]) + types + bytes([len(meta)]) + meta
    return event(19, body + b"\xff")


def rows(kind: int, number: int, columns: int, images: bytes, *present: int) -> bytes:
    masks = b"".join(mask.to_bytes((columns + 7) // 8, "little") for mask in present)
    return event(kind, number.to_bytes(6, "little") + b"\1\0" + bytes([columns]) + masks + images)


def statement(database: bytes, text: bytes, kind: int = 2) -> bytes:
    return event(kind, b"\0" * 8 + bytes([len(database)]) + b"\0\0" + b"\2\0" + b"xy" + database + b"\0" + text)


HEAD = b"\xfebin" + event(15, b"\4\0" + b"11.8".ljust(50, b"\0") + b"\0" * 4 + b"\x13" + b"\0" * 20 + b"\1")
MAP = table_map(7, b"shop", b"items", b"\x03\x0f", b"\x50\0")  # int, varchar(80)


def read(tmp_path, *events: bytes, shape=BY_ID, start: int = 0, again=()) -> binlog.Window:
    path = tmp_path / "bin.000001"
    path.write_bytes(HEAD + b"".join(events))
    concerns = lambda database, text: database == b"shop" or b"shop" in text  # noqa: E731
    return binlog.read([str(path)], start or len(HEAD), path.stat().st_size, {NAME: shape}, {b"shop"}, concerns, again)


def row(number: int, text: bytes = b"x") -> bytes:
    return b"\0" + struct.pack("<iB", number, len(text)) + text


def test_keys_of_rows_that_changed(tmp_path) -> None:
    window = read(
        tmp_path,
        MAP,
        rows(23, 7, 2, row(1) + row(-2), 3),
        rows(24, 7, 2, row(3) + row(4), 3, 3),
        rows(25, 7, 2, row(5), 3),
    )
    assert window.tables[NAME].keys == {("1",), ("-2",), ("3",), ("4",), ("5",)} and not window.tables[NAME].unclear


def test_compressed_and_partial_rows(tmp_path) -> None:
    packed = b"\x81" + bytes([6]) + zlib.compress(row(9, b""))
    update = row(6) + b"\0\1y"  # the second image holds the text alone
    window = read(tmp_path, MAP, rows(166, 7, 2, packed, 3), rows(24, 7, 2, update, 3, 2))
    assert window.tables[NAME].keys == {("9",), ("6",)}


def test_another_accounts_rows_are_passed_over(tmp_path) -> None:
    other = table_map(8, b"other", b"items", b"\x03", b"")
    window = read(tmp_path, other, rows(23, 8, 1, b"nonsense", 1), MAP, rows(23, 7, 2, row(1), 3))
    assert set(window.tables) == {NAME}


def test_what_cannot_be_told_is_said(tmp_path) -> None:
    assert read(tmp_path, MAP, rows(23, 7, 2, row(1), 3), shape=None).tables[NAME].unclear
    strange = table_map(7, b"shop", b"items", b"\xd0", b"")
    assert read(tmp_path, strange, rows(23, 7, 1, b"?", 1)).tables[NAME].unclear
    assert read(tmp_path, MAP, rows(23, 7, 2, row(1)[:-1], 3)).tables[NAME].unclear


def test_old_values_that_others_refer_to(tmp_path) -> None:
    shape = Shape(((0, INT),), (((0, INT),), ((1, decoder("varchar", "varchar(80)", "latin1", 80, 0)),)))
    changes = [rows(24, 7, 2, row(1, b"a") + row(1, b"b"), 3, 3), rows(25, 7, 2, row(2, b"c"), 3)]
    found = read(tmp_path, MAP, *changes, shape=shape).tables[NAME]
    assert found.referred == [{("2",)}, {("_latin1 X'61'",), ("_latin1 X'62'",), ("_latin1 X'63'",)}]


def test_statements_that_may_concern_the_account(tmp_path) -> None:
    said = [b"BEGIN", b"COMMIT", b"DROP TEMPORARY TABLE IF EXISTS shop.x", b"TRUNCATE items"]
    window = read(tmp_path, *(statement(b"shop", text) for text in said), statement(b"x", b"DROP TABLE shop.y"))
    assert window.statements == [b"TRUNCATE items", b"DROP TABLE shop.y"]
    assert read(tmp_path, statement(b"other", b"DROP TABLE items")).statements == []


def group(flags: int) -> bytes:
    return event(162, b"\0" * 12 + bytes([flags]) + b"\0" * 6)


@pytest.mark.parametrize(
    ("flags", "text", "rows_changed"),
    [
        (0x29, b"CREATE TABLE x(a int) COMMENT 'shop'", False),
        (0x29, b"\xa0CREATE/* shop */ TABLE x(a int)", False),
        (0x29, b"/*!50000 CREATE*/ TABLE x(shop int)", False),
        (0x28, b"CREATE TABLE shop.y (a int)", False),
        (0x09, b"ALTER SEQUENCE shop.s RESTART", False),
        (0x0C, b"UPDATE shop.items SET a = 1", True),
        (0x08, b"/* CREATE */ INSERT INTO shop.items VALUES (1)", True),
        (0x4C, b"INSERT INTO shop.items VALUES (1)", True),
    ],
)
def test_rows_that_were_logged_as_statements_are_told_by_the_server_not_by_the_text(
    flags: int, text: bytes, rows_changed: bool, tmp_path
) -> None:
    window = read(tmp_path, group(flags), statement(b"other", text))
    assert window.statements == [text] and window.as_statements is rows_changed


def prepared(name: bytes, one_phase: int = 0) -> bytes:
    return event(38, bytes([one_phase]) + struct.pack("<III", 1, len(name), 0) + name)


def test_the_place_of_a_prepared_transaction_is_kept_until_it_ends(tmp_path) -> None:
    before = statement(b"shop", b"BEGIN")
    group = (event(162, b"\0" * 19), MAP, rows(23, 7, 2, row(1), 3))
    window = read(tmp_path, before, *group, prepared(b"ab"))
    begun = len(HEAD) + len(before)
    piece = (str(tmp_path / "bin.000001"), begun, begun + len(b"".join(group) + prepared(b"ab")))
    assert window.prepared == {b"x'6162',x'',1": piece}
    again = read(tmp_path, before, *group, prepared(b"ab"), start=piece[2], again=[piece])
    assert again.prepared == window.prepared and again.tables == window.tables
    assert window.tables[NAME].keys == {("1",)}
    for end in (b"XA COMMIT X'6162',X'',1", b"XA ROLLBACK X'6162',X'',1"):
        assert read(tmp_path, *group, prepared(b"ab"), statement(b"", end)).prepared == {}
    assert read(tmp_path, *group, prepared(b"ab", one_phase=1)).prepared == {}
    assert read(tmp_path, event(162, b"\0" * 19), prepared(b"other account's")).prepared == {}


@pytest.mark.parametrize("gone", [(1, 3), (1, 2), (3, 3)])
def test_a_value_that_an_image_leaves_out_is_told(tmp_path, gone: tuple[int, int]) -> None:
    """An UPDATE whose images hold these columns: the old value of what others refer to is known or said to be not."""
    shape = Shape(((0, INT),), (((1, decoder("varchar", "varchar(80)", "utf8mb4", 320, 0)),),))
    before, after = (b"\0" + struct.pack("<i", 1) * (mask & 1) + b"\1x" * (mask >> 1) for mask in gone)
    found = read(tmp_path, MAP, rows(24, 7, 2, before + after.replace(b"x", b"y"), *gone), shape=shape).tables[NAME]
    assert found.keys == {("1",)} and not found.unclear
    assert found.untold == (set() if gone == (3, 3) else {0})


def test_a_deleted_row_of_which_only_the_key_is_logged_tells_no_reference(tmp_path) -> None:
    shape = Shape(((0, INT),), (((1, decoder("varchar", "varchar(80)", "utf8mb4", 320, 0)),),))
    image = b"\0" + struct.pack("<i", 1)
    assert read(tmp_path, MAP, rows(25, 7, 2, image, 1), shape=shape).tables[NAME].untold == {0}
    found = read(tmp_path, MAP, rows(24, 7, 2, image + image, 1, 1), shape=shape).tables[NAME]
    assert found.untold == set() and found.referred == [set()]  # what is in no image has not changed


def test_times_of_the_old_form_are_read(tmp_path) -> None:
    old = table_map(7, b"shop", b"items", b"\x0c\x07", b"")
    at, seen = (decoder(kind, kind, None, 0, 0) for kind in ("datetime", "timestamp"))
    shape = Shape(((0, at), (1, seen)))
    image = b"\0" + (20120304050607).to_bytes(8, "little") + (1330837567).to_bytes(4, "little")
    window = read(tmp_path, old, rows(23, 7, 2, image, 3), shape=shape)
    assert window.tables[NAME].keys == {("'2012-03-04 05:06:07'", "'2012-03-04 05:06:07'")}


@pytest.mark.parametrize("broken", [event(26, b"\1\0\0"), event(99, b""), MAP[:-3]])
def test_a_log_that_is_not_understood_is_not_followed(tmp_path, broken: bytes) -> None:
    with pytest.raises(Unreadable):
        read(tmp_path, broken)


def test_an_encrypted_log_or_a_position_that_is_gone_is_not_followed(tmp_path) -> None:
    with pytest.raises(Unreadable):
        read(tmp_path, event(164, b"\0" * 17), MAP)
    with pytest.raises(Unreadable):
        read(tmp_path, MAP, start=100_000)


@given(st.binary(max_size=400))
def test_no_event_breaks_the_reader(tmp_path_factory, body: bytes) -> None:
    window = read(tmp_path_factory.mktemp("log"), MAP, event(23, (7).to_bytes(6, "little") + b"\1\0\2\3" + body))
    assert set(window.tables) == {NAME}


# --- values ---


def packed_decimal(value: Decimal, precision: int, scale: int) -> bytes:
    """As MariaDB keeps a DECIMAL: groups of nine digits, the sign bit turned, a negative number inverted."""
    digits = f"{abs(int(value.scaleb(scale))):0{precision}}"
    whole = precision - scale
    groups = [digits[: whole % 9]] if whole % 9 else []
    groups += [digits[at : at + 9] for at in range(whole % 9, whole, 9)]
    groups += [digits[at : min(at + 9, precision)] for at in range(whole, precision, 9)]
    sizes = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4]
    data = b"".join(int(group).to_bytes(sizes[len(group)], "big") for group in groups)
    data = bytes(byte ^ 0xFF for byte in data) if value < 0 else data
    return bytes([data[0] ^ 0x80]) + data[1:]


@given(st.integers(1, 30), st.integers(0, 15), st.data())
def test_a_decimal(whole: int, scale: int, data: st.DataObject) -> None:
    number = data.draw(st.integers(-(10 ** (whole + scale)) + 1, 10 ** (whole + scale) - 1))
    with localcontext(prec=60):
        value = Decimal(number).scaleb(-scale)
        raw = packed_decimal(value, whole + scale, scale)
        assert Decimal(decoder("decimal", "", None, whole + scale, scale)(raw)) == value


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)))
def test_a_datetime(at: datetime) -> None:
    packed = ((at.year * 13 + at.month) << 5 | at.day) << 17 | at.hour << 12 | at.minute << 6 | at.second
    raw = (packed + 0x8000000000).to_bytes(5, "big") + at.microsecond.to_bytes(3, "big")
    assert decoder("datetime", "datetime(6)", None, 6, 0)(raw) == f"'{at:%m-%d %H:%M:%S.%f}'".replace(
        "'", f"'{at.year:04}-", 1
    )


@given(st.integers(1, 2**31 - 1))
def test_a_timestamp(seconds: int) -> None:
    raw = seconds.to_bytes(4, "big") + (12).to_bytes(1, "big")
    expected = f"'{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}.120000'"
    assert decoder("timestamp", "timestamp(2)", None, 2, 0)(raw) == expected


def test_a_uuid_that_tells_a_time_is_kept_in_reverse() -> None:
    read_uuid = decoder("uuid", "uuid", None, 0, 0)
    value = UUID("12345678-9abc-4def-8123-456789abcdef")
    raw = value.bytes
    assert read_uuid(raw[10:] + raw[8:10] + raw[6:8] + raw[4:6] + raw[:4]) == f"'{value}'"
    later = UUID("01890000-0000-7def-8123-456789abcdef")
    assert read_uuid(later.bytes) == f"'{later}'"


@given(st.binary(max_size=30))
def test_text_is_its_bytes_with_its_character_set(raw: bytes) -> None:
    assert decoder("varchar", "varchar(30)", "utf8mb4", 30, 0)(raw) == f"_utf8mb4 X'{raw.hex()}'"
    assert decoder("binary", "binary(30)", None, 30, 0)(raw) == f"X'{raw.ljust(30, bytes(1)).hex()}'"


@pytest.mark.parametrize("kind", ["float", "double", "time", "bit", "geometry", "longtext", "vector"])
def test_no_exact_reading_no_key(kind: str) -> None:
    assert decoder_or_none(kind, kind, None, 0, 0) is None
