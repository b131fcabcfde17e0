"""What changed, read from messages in pgoutput's format: compared with a model that knows the rows."""

import json
import struct

from hypothesis import given
from hypothesis import strategies as st

from include.agent.stores.postgresql import changes as postgres_changes
from include.agent.stores.postgresql.changes import Changes, lsn

TABLES = {10: ("public", "keyed", b"d", ["id", "n"], 1), 11: ("Odd", 'no "key"', b"f", ["a", "b"], 2)}
KEYED, BARE = "public.keyed", '"Odd"."no ""key"""'


def text(value: str) -> bytes:
    return value.encode() + b"\0"


def relation(number: int) -> bytes:
    schema, name, identity, columns, keys = TABLES[number]
    flags = [1 if position < keys else 0 for position in range(len(columns))]
    parts = b"".join(
        bytes([flag]) + text(column) + struct.pack(">Ii", 25, -1) for flag, column in zip(flags, columns, strict=True)
    )
    return b"R" + struct.pack(">I", number) + text(schema) + text(name) + identity + struct.pack(">H", 2) + parts


def row(*values: str | None) -> bytes:
    parts = (b"n" if v is None else b"t" + struct.pack(">I", len(v.encode())) + v.encode() for v in values)
    return struct.pack(">H", len(values)) + b"".join(parts)


def change(kind: str, table: int, key: str, other: str) -> bytes:
    number = struct.pack(">I", table)
    if kind == "T":
        return b"T" + struct.pack(">I", 1) + b"\0" + number
    old = b"O" + row(key, other) if table == 11 else b"K" + row(key, None)
    if kind == "I":
        return b"I" + number + b"N" + row(key, other)
    if kind == "D":
        return b"D" + number + old
    before = old if kind == "K" or table == 11 else b""
    return b"U" + number + before + b"N" + row(key + "'" if kind == "K" else key, other)


def transaction(position: int, changes: list[tuple[str, int, str, str]]) -> list[bytes]:
    begin = b"B" + struct.pack(">QqI", position, 0, 7)
    commit = b"C\0" + struct.pack(">QQq", position, position + 5, 0)
    relations = [relation(number) for number in TABLES]
    return [begin, *relations, *(change(*each) for each in changes), commit]


CHANGES = st.tuples(
    st.sampled_from("IUKDT"),
    st.sampled_from([10, 11]),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5),
    st.text("ab"),
)


@given(st.lists(st.lists(CHANGES, max_size=6), max_size=6), st.integers(0, 6))
def test_it_knows_every_row_that_changed_however_often_it_is_read(transactions, again: int) -> None:
    messages = [transaction(100 + 10 * n, each) for n, each in enumerate(transactions)]
    found = Changes(50, {KEYED: 100, BARE: 100})
    found.take(message for each in messages[:again] for message in each)
    found = Changes.from_json(json.loads(json.dumps(found.to_json())))
    found.take(message for each in messages for message in each)

    rows, keys, whole = {KEYED: 100, BARE: 100}, set(), set()
    for kind, table, key, _ in (each for changes in transactions for each in changes):
        name = KEYED if table == 10 else BARE
        rows[name] = 0 if kind == "T" else rows[name] + {"I": 1, "D": -1}.get(kind, 0)
        if kind == "T" or table == 11:
            whole.add(name)
        else:
            keys |= {(key,), (key + "'",)} if kind == "K" else {(key,)}
    assert found.rows == rows and found.whole == whole
    assert found.keys.get(KEYED, set()) == (set() if KEYED in whole else keys)
    assert found.lsn == (105 + 10 * (len(transactions) - 1) if transactions else 50)

    question = found.question()
    assert {tuple(key) for table in question["keys"].values() for key in table["keys"]} == found.keys.get(KEYED, set())
    found.equal({name: list(known) for name, known in found.keys.items()}, found.whole.copy())
    assert not found.keys and not found.whole and not found.columns


@given(st.integers(0, 60), CHANGES)
def test_a_message_that_was_cut_short_means_the_whole_table(size: int, what) -> None:
    kind, table, key, other = what
    message = change(kind, 10, key, other)
    begin, *relations, commit = transaction(100, [])
    found = Changes(50)
    whole = Changes(50)
    whole.take([begin, *relations, message, commit])
    cut = max(size, 10)
    found.take([begin, *relations, message[:cut], commit])
    assert found.rows == whole.rows
    assert found.whole == {KEYED} or found.keys == whole.keys


def test_too_many_keys_are_no_keys() -> None:
    most = postgres_changes.MOST_KEYS
    found = Changes(0)
    found.take(transaction(100, [("I", 10, str(number), "") for number in range(most + 1)]))
    assert found.whole == {KEYED} and not found.keys and found.rows == {KEYED: most + 1}


def test_what_differs_and_did_not_change_later_is_a_difference() -> None:
    found, later = Changes(0), Changes(105)
    found.take(transaction(100, [("U", 10, "1", ""), ("U", 10, "2", ""), ("U", 11, "x", "")]))
    later.take(transaction(110, [("D", 10, "1", ""), ("I", 11, "x", "")]))
    assert found.unlike(later)
    found.equal({KEYED: [("2",)]}, [])
    assert not found.unlike(later)


def test_positions_in_the_log() -> None:
    assert lsn("16/B374D848") == 0x16B374D848
