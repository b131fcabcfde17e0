"""What the code counts up, the database allows: the same states and kinds, no more and no less."""

import re
from enum import StrEnum
from pathlib import Path

import psycopg
import pytest

from include.agent.account.engines import DECLARED
from include.registry import kinds
from include.registry.schema import in_force
from include.registry.states import MACHINES

STATES = {machine.subject: {state.name for state in machine.states} for machine in MACHINES}

KINDS: dict[str, set[str]] = {
    "servers_kind": set(kinds.ServerKind),
    "servers_customer": set(kinds.ONE_CUSTOMERS),
    "moves_direction": set(kinds.Direction),
    # Said where they are made: which way a message goes, of which family an address is.
    "outbox_channel": {"webhook", "mail"},
    "names_type": {"A", "AAAA"},
}
"""What each constraint of the database allows that counts words up, besides the states."""

WORD = re.compile(r"'(\w+)'")
COUNTED = re.compile(r"\b(\w+) = ANY \(ARRAY\[((?:'\w+'::text(?:, )?)+)\]\)")
OF_STATE = re.compile(
    r"\bstate_? (?:=|<>|IN|NOT IN|= ANY|<> ALL) (?:\(?ARRAY\[|\()?((?:\(?'\w+'(?:::text)?\)?(?:, )?)+)"
)


@pytest.fixture
def tables(conn: psycopg.Connection) -> dict[str, str]:
    """The subject of every table that has states, as its trigger names it."""
    found = conn.execute(r"""
        SELECT tgrelid::regclass::text, substring(pg_get_triggerdef(oid) FROM '\(''(\w+)''\)') FROM pg_trigger
        WHERE tgname = 'a_transition'
    """).fetchall()
    assert {subject for _, subject in found} == set(STATES)
    return dict(found)


def test_states_of_the_database_are_the_enums(conn: psycopg.Connection) -> None:
    assert set(conn.execute("SELECT subject, state FROM states").fetchall()) == {
        (subject, state) for subject, states in STATES.items() for state in states
    }
    for machine in MACHINES:
        (enum,) = {type(state.name) for state in machine.states}
        assert issubclass(enum, StrEnum)
        assert set(enum) == STATES[machine.subject], "a state that no machine has"


def test_constraints_allow_the_kinds_that_the_code_knows(conn: psycopg.Connection) -> None:
    counted: dict[str, set[str]] = {}
    for name, definition in conn.execute("""
        SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE contype = 'c' AND connamespace = 'public'::regnamespace
    """):
        for column, words in COUNTED.findall(definition):
            if column != "state":
                counted[name] = set(WORD.findall(words))
    assert counted == KINDS


def test_the_database_knows_the_engines_of_the_code(conn: psycopg.Connection) -> None:
    known = conn.execute("SELECT name, release_numbers FROM engines").fetchall()
    assert set(known) == {(engine.name, engine.release) for engine in DECLARED}


def test_rules_of_tables_speak_of_states_that_there_are(conn: psycopg.Connection, tables: dict[str, str]) -> None:
    rules = conn.execute("""
        SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE contype = 'c' AND conrelid <> 0
        UNION ALL
        SELECT indrelid::regclass::text, pg_get_expr(indpred, indrelid) FROM pg_index WHERE indpred IS NOT NULL
    """).fetchall()
    spoken = [(table, set(WORD.findall(words))) for table, rule in rules for words in OF_STATE.findall(rule)]
    assert len(spoken) > 10
    for table, words in spoken:
        assert words <= STATES[tables[table]], f"{table} has no state {words - STATES[tables[table]]}"


def test_live_rows_are_those_that_have_not_ended(conn: psycopg.Connection, tables: dict[str, str]) -> None:
    ended = {machine.subject: set(machine.ended) for machine in MACHINES}
    views = [name for name in in_force.files("views") if name.startswith("live_")]
    assert views
    for view in views:
        ((definition,),) = conn.execute("SELECT pg_get_viewdef(%s::regclass)", [view]).fetchall()
        assert re.search(r"state <> (ALL|')", definition)
        assert set(WORD.findall(definition)) == ended[tables[view.removeprefix("live_")]]
    # One live row of a kind: the indexes mean the same by it.
    indexes = conn.execute("""
        SELECT indrelid::regclass::text, pg_get_expr(indpred, indrelid) FROM pg_index
        WHERE indisunique AND pg_get_expr(indpred, indrelid) LIKE '%state <> ALL%'
    """).fetchall()
    assert {table for table, _ in indexes} == {"moves", "migrations"}
    for table, predicate in indexes:
        (words,) = re.findall(r"state <> ALL \(ARRAY\[(.*?)\]\)", predicate)
        assert set(WORD.findall(words)) == ended[tables[table]]


def test_sql_speaks_of_states_that_there_are() -> None:
    folder = Path(in_force.__file__).parents[1]
    texts = {path.name: path.read_text() for path in folder.rglob("*.py")}
    texts |= in_force.files("functions") | in_force.files("views")
    every = set().union(*STATES.values())
    spoken = [(name, set(WORD.findall(words))) for name, text in texts.items() for words in OF_STATE.findall(text)]
    assert len(spoken) > 80
    assert [(name, words - every) for name, words in spoken if words - every] == []
