"""What a new replication slot waits for: every transaction of the server that has written, whosever it is.

So one customer who writes and then does nothing would keep all others from being followed. Such a transaction is ended
when it has been idle for `IDLE_SECONDS` while a slot waits; its application is told by PostgreSQL, as at any
idle_in_transaction_session_timeout. One that works is left alone, and told when the slot has waited long enough."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ...host.digest import printable
from ...host.kept import thread
from ...host.system import Refused
from .sql import Session, kept

IDLE_SECONDS = 10
# Those that have a number, as what has written has. A superuser's are the administrator's own matter.
_OPEN = """SELECT json_build_array(format('the session %s of %s in database %s', pid, usename, datname),
 state LIKE 'idle in transaction%' AND state_change < clock_timestamp() - interval '{idle} s' AND NOT r.rolsuper
 AND pg_terminate_backend(pid)) FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
 WHERE a.backend_xid IS NOT NULL AND a.pid <> pg_backend_pid() AND a.backend_type = 'client backend'
 ORDER BY xact_start;
SELECT json_build_array(format('the prepared transaction %s of %s in database %s', gid, owner, database), false)
 FROM pg_prepared_xacts ORDER BY prepared;
"""


class Waiting:
    """How a session waits for a slot: whether it was given up, and who was in the way when it was looked last."""

    def __init__(self) -> None:
        self.timed_out = False
        self.blockers: list[str] = []
        self._made = threading.Event()

    def clear(self, client: Session, seconds: float) -> None:
        """Until the slot is made: end who is idle; after these seconds, the wait."""
        end = time.monotonic() + seconds
        while not self._made.wait(0.5):
            try:
                sessions = kept().query(_OPEN.format(idle=IDLE_SECONDS))
            except Refused:  # what is awaited says itself what is wrong
                continue
            self.blockers = [printable(who) for who, ended in sessions if not ended]
            for who in (who for who, ended in sessions if ended):
                print(f"A slot waited for {printable(who)}, idle in a transaction; it was ended.", file=sys.stderr)
            if time.monotonic() > end:
                self.timed_out = True
                client.process.kill()
                return

    def end(self) -> None:
        self._made.set()


@contextmanager
def waiting(client: Session, seconds: float) -> Iterator[Waiting]:
    """A block in which the session waits for a slot, `seconds` at most."""
    wait = Waiting()
    clearing = thread(wait.clear, client, seconds)
    clearing.start()
    try:
        yield wait
    finally:
        wait.end()
        clearing.join()
