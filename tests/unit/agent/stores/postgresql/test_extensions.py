"""Which of an extension's rows are a customer's, and what of an extension would be lost; thousands of sequences."""

import subprocess

import psycopg
import pytest

from include.agent.host.system import Refused
from include.agent.stores.postgresql import digest, extensions, locks, look
from include.agent.stores.postgresql.sql import literals
from tests.support.postgres import create

# What CREATE EXTENSION does with a script that calls pg_extension_config_dump().
MADE = """CREATE ROLE {role}; CREATE TABLE kind (id int, v text); INSERT INTO kind VALUES (1, 'own'), (9, E'a\\tb');
CREATE TABLE other (id int); INSERT INTO other VALUES (1); GRANT INSERT ON kind TO {role};
CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; GRANT EXECUTE ON FUNCTION f() TO {role};
UPDATE pg_extension SET extconfig = ARRAY['kind'::regclass::oid],
 extcondition = ARRAY[$$WHERE NOT (id BETWEEN 1 AND 5) AND v <> '\\;:x'$$] WHERE extname = 'plpgsql';
ALTER EXTENSION plpgsql ADD TABLE kind; ALTER EXTENSION plpgsql ADD TABLE other; ALTER EXTENSION plpgsql ADD FUNCTION f;
"""


class Inside:
    """A session of the tests' own in place of the agent's."""

    database = "shop"

    def __init__(self, conn: psycopg.Connection) -> None:
        self.conn = conn

    def query(self, script: str) -> list:
        return [row[0] for part in script.split(";\n") if part.strip() for row in self.conn.execute(part)]


@pytest.fixture
def dsn(postgresql: str, request: pytest.FixtureRequest) -> str:
    made = create(postgresql, request.node.name[:50])
    with psycopg.connect(f"{made} options='-c allow_system_table_mods=on'", autocommit=True) as conn:
        conn.execute(MADE.format(role=request.node.name[:50]))
    return made


def test_the_extensions_condition_chooses_rows_and_psql_does_not_read_it(dsn: str) -> None:
    with psycopg.connect(dsn) as conn:
        tables = {name: rest for (_, _, name, *rest) in Inside(conn).query(digest.TABLES)}
    assert tables.keys() == {"kind"} and tables["kind"][1].startswith("WHERE NOT")
    script = "SET search_path = pg_catalog;\n" + digest._BEGIN + digest._copying("public", "kind", *tables["kind"])
    argv = ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", dsn]
    assert subprocess.run(argv, input=script.encode(), capture_output=True).stdout == b"9\ta\\tb\n"


def test_grants_rows_and_owners_of_an_extensions_tables_are_known(dsn: str, request: pytest.FixtureRequest) -> None:
    role = request.node.name[:50]
    account = type("Account", (), {"postgresql_roles": (role,)})
    with psycopg.connect(dsn, autocommit=True) as conn:
        inside = Inside(conn)
        roles = literals([role])
        found = inside.query(
            f"SELECT json_build_array(o.relname, {extensions.GRANTS.format(roles=roles)})"
            f" FROM {extensions.GRANTED.format(roles=roles)};\n"
        )
        assert found == [["kind", [[role, "INSERT", False]]]]
        rows, grant = extensions.not_carried(account, inside)  # type: ignore[arg-type]
        assert "what stands in public.other" in rows and f"granted to {role} on f()" in grant
        extensions.refuse_given_away(inside)  # type: ignore[arg-type]
        conn.execute(f"ALTER TABLE kind OWNER TO {role}")
        with pytest.raises(Refused, match="ALTER TABLE public.kind OWNER TO postgres; GRANT ALL ON TABLE public.kind"):
            extensions.refuse_given_away(inside)  # type: ignore[arg-type]
        conn.execute(f"ALTER TABLE kind OWNER TO postgres; ALTER TABLE other OWNER TO {role}")
        with pytest.raises(Refused, match="ALTER EXTENSION plpgsql DROP TABLE public.other;"):
            extensions.refuse_given_away(inside)  # type: ignore[arg-type]


def test_two_thousand_sequences_are_read_by_one_statement(postgresql: str) -> None:
    with psycopg.connect(create(postgresql, "sequences"), autocommit=True) as conn:
        conn.execute("DO $$ BEGIN FOR s IN 1..2000 LOOP EXECUTE 'CREATE SEQUENCE s' || s; END LOOP; END $$")
        conn.execute("""CREATE SEQUENCE "a'\\ %I"; SELECT setval('"a''\\ %I"', 7, false); SELECT nextval('s3')""")
        names = Inside(conn).query(look._SEQUENCES)
        script = look.values_of([name for *name, _ in names])
        values = {name: value for (_, name, _), value in zip(names, Inside(conn).query(script), strict=True)}
        assert (values["a'\\ %I"], values["s3"], values["s4"]) == ([7, False], [1, True], [1, False])
        assert len(values) == 2001


def test_too_few_locks_are_told_with_what_to_type(postgresql: str) -> None:
    with psycopg.connect(create(postgresql, "locks"), autocommit=True) as conn:
        inside = Inside(conn)
        conn.execute("CREATE TABLE a (id serial); CREATE SEQUENCE b")
        assert locks.needed(inside) == 2  # type: ignore[arg-type]
        assert locks.why_not("shop", 9000, inside, "PostgreSQL here") is None  # type: ignore[arg-type]
        told = locks.why_not("shop", 12_000, inside, "PostgreSQL here")  # type: ignore[arg-type]
        assert told and "has 12,000 tables" in told and "SET max_locks_per_transaction = 128; and restart it" in told
