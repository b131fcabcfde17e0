"""Alembic's entry: runs the revisions on the connection that `upgrade` gives, then loads the states."""

from alembic import context
from sqlalchemy import Connection, text

from include.registry.states import MACHINES


def load_states(connection: Connection) -> None:
    """Make the tables `states` and `transitions` equal to states.py."""
    states = [
        {"subject": m.subject, "state": s.name, "initial": s.initial, "sentence": s.sentence}
        for m in MACHINES
        for s in m.states
    ]
    transitions = [
        {"subject": m.subject, "source": t.source, "target": t.target, "reason": t.reason}
        for m in MACHINES
        for t in m.transitions
    ]
    connection.execute(text("DELETE FROM transitions"))
    connection.execute(text("DELETE FROM states"))
    connection.execute(text("INSERT INTO states VALUES (:subject, :state, :initial, :sentence)"), states)
    connection.execute(text("INSERT INTO transitions VALUES (:subject, :source, :target, :reason)"), transitions)


connection = context.config.attributes["connection"]
context.configure(connection=connection, transactional_ddl=True)
context.run_migrations()
load_states(connection)
