"""What the doctor said last of each server: which requirements it meets, and what to do about the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import psycopg

from include.registry.database import execute, in_transaction, rows


class Judgement(Protocol):
    """What is said of one requirement."""

    @property
    def requirement(self) -> str: ...
    @property
    def met(self) -> bool: ...
    @property
    def sentence(self) -> str: ...


@dataclass(frozen=True)
class JudgedRequirement:
    """The same as the registry has it: of which server, and since when."""

    server: str
    requirement: str
    met: bool
    sentence: str
    judged_at: datetime


@in_transaction
def record_judged(conn: psycopg.Connection, server: str, judged: Sequence[Judgement]) -> None:
    """Keep what is said of a server now, in the place of all that was."""
    execute(conn, "DELETE FROM judged_requirements WHERE server = %(server)s", {"server": server})
    for place, each in enumerate(judged):
        record_judgement(conn, server, each, place)


@in_transaction
def record_judgement(conn: psycopg.Connection, server: str, judged: Judgement, place: int = 0) -> None:
    """Keep what is said of one requirement now. `place`: where it is told, if it is new."""
    execute(
        conn,
        """
        INSERT INTO judged_requirements (server, requirement, place, met, sentence)
        VALUES (%(server)s, %(requirement)s, %(place)s, %(met)s, %(sentence)s)
        ON CONFLICT (server, requirement) DO UPDATE
            SET met = excluded.met, sentence = excluded.sentence, judged_at = excluded.judged_at
        """,
        {
            "server": server,
            "requirement": judged.requirement,
            "place": place,
            "met": judged.met,
            "sentence": judged.sentence,
        },
    )


@in_transaction
def judged_requirements(
    conn: psycopg.Connection, server: str | None = None, requirement: str | None = None
) -> list[JudgedRequirement]:
    """What was said last, in the order in which it was; of one server or of all, of one requirement or of all."""
    return rows(
        conn,
        JudgedRequirement,
        """
        SELECT server, requirement, met, sentence, judged_at FROM judged_requirements
        WHERE (%(server)s::text IS NULL OR server = %(server)s)
            AND (%(requirement)s::text IS NULL OR requirement = %(requirement)s)
        ORDER BY server, place
        """,
        {"server": server, "requirement": requirement},
    )
