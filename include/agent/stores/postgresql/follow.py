"""The source's side of following a database: a publication, two logical slots, and a load from their very snapshot.

One slot feeds the target's subscription. The other stands at the same point and is read here: it tells which rows
changed since the snapshot (see postgres_changes). What is changed in a customer's database for this (the REPLICA
IDENTITY of tables without a key) is written down before it is done, and given back by `unfollow`.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ...account.accounts import Account
from ...channel.peer import Peer
from ...host import digest
from ...host.digest import printable
from ...host.kept import Threads
from ...host.system import Refused, read_json, refuse, write_durably
from ...verbs import postgresql as verbs
from ..followed import WhyNot
from . import apply, door, fingerprint, look, publish, send, values
from . import digest as postgres_digest
from .changes import LONGEST, Changes, lsn
from .digest import shown
from .publish import NAME, OURS, CannotFollow, ChangedMeanwhile
from .send import Sent
from .sql import Session, end_kept, kept, literal, literals, query
from .waits import waiting

_SLOT_SECONDS = 30  # how long a slot may wait for the transactions that run


# --- what is known of what is followed ---


def _path(account: Account) -> Path:
    return account.directory / "postgres.follow.json"


def recorded(account: Account) -> dict[str, Any]:
    """{"move", "identities": {database: {oid: identity}}, "databases": {name: {"start", ...}}}."""
    return read_json(_path(account)) or {"move": None, "identities": {}, "databases": {}}


def _note(account: Account, state: dict[str, Any]) -> None:
    account.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_durably(_path(account), json.dumps(state))


def _changes_path(account: Account, slot: str) -> Path:
    return account.directory / f"postgres.{slot}.json"


def changes(account: Account, name: str) -> Changes:
    return Changes.from_json(read_json(_changes_path(account, _slots(name)[1])))


def keep_changes(account: Account, name: str, changed: Changes) -> None:
    write_durably(_changes_path(account, _slots(name)[1]), json.dumps(changed.to_json()))


def identities(account: Account, name: str) -> dict[int, str]:
    """The tables of a database whose replica identity is not what the customer set, and what that was."""
    return {int(oid): identity for oid, identity in recorded(account)["identities"].get(name, {}).items()}


def _slots(name: str) -> tuple[str, str]:
    oid = kept().query(f"SELECT oid::int8 FROM pg_database WHERE datname = {literal(name)};")[0]
    return f"th_follow_{oid}", f"th_keys_{oid}"


# --- loading ---


def load(account: Account, peer: Peer, name: str) -> dict[str, Any]:
    """Load a prepared database from a snapshot, prove the load equal, and follow from there.

    {"bytes", "verify_seconds"}: how long one waited for the proof alone."""
    drop(account, [name])
    look.make_reader(account)
    values.refuse_too_large(account, name)
    follow, keys = _slots(name)
    if obstacle := publish.obstacle(account, name, (follow, keys)):
        raise CannotFollow(obstacle.why)
    _publish(account, name)
    original = identities(account, name)
    tables = {oid: (schema, table) for oid, schema, table, *_ in kept(name).query(publish.TABLES)}
    named = [[*tables[oid], identity] for oid, identity in original.items() if oid in tables]
    marks = read_marks(name)
    with _exported(name, follow) as (start, snapshot):
        kept(name).query(f"SELECT to_json(slot_name) FROM pg_copy_logical_replication_slot('{follow}', '{keys}');")
        prints = fingerprint.of_database(name, snapshot)
        files = publish.published(name, snapshot)
        try:
            sent = send.send(account, peer, name, named, snapshot)
            began = time.monotonic()
            with Threads(1) as pool:
                contents_there = pool.submit(peer.call, verbs.Contents(database=name, apart=sent.apart))
                contents_here = postgres_digest.of_database(
                    name, snapshot, original, sent.streams, account.postgresql_roles
                )
            changed = Changes(start, {table: rows for table, (rows, _) in contents_here["tables"].items()}, files=files)
            # A table that was emptied after the snapshot may have been read as empty already: the log tells its rows.
            changed.written_anew(kept(name).query(publish.FILES))
            for schema, view in sent.views:
                changed.anywhere(schema, view)  # compared by a query, as soon as it is followed
            different = _differences(peer, name, snapshot, changed.whole, contents_here, contents_there.result(), sent)
            if different:
                sentences = " ".join(different)
                refuse("not_equal", f"The copy of a PostgreSQL database differs from what was sent: {sentences}")
        except Refused as error:
            if fingerprint.of_database(name) != prints:
                raise ChangedMeanwhile from error
            raise
    verified = time.monotonic() - began
    keep_changes(account, name, changed)
    fingerprint.keep(account, name, prints)
    door.open_to(peer, follow)
    forced = kept(name).query("SELECT 1 FROM pg_class WHERE relforcerowsecurity LIMIT 1;")
    peer.call(verbs.Subscribe(database=name, slot=follow, forced=bool(forced)))
    state = recorded(account)
    _note(account, {**state, "databases": {**state["databases"], name: {"start": start, "marks": marks}}})
    return {"bytes": sent.bytes, "verify_seconds": verified}


def foreseen(account: Account, name: str) -> WhyNot | None:
    """Why a database could not be followed if its account moved now; refused when it cannot even be read. Nothing of
    asking stays."""
    role = look.reader_role(account)
    existed = look.is_there(role)
    try:
        look.make_reader(account)
        values.refuse_too_large(account, name)
        return publish.obstacle(account, name)
    finally:
        if not existed:
            apply.drop_roles([role], kept())
            (account.directory / "postgres.reader").unlink(missing_ok=True)


def resume(peer: Peer, name: str) -> None:
    """A database that is followed already has its stream, also after a boot of this server."""
    door.open_to(peer, _slots(name)[0])


def _differences(
    peer: Peer, name: str, snapshot: str, whole: set[str], mine: dict[str, Any], theirs: dict[str, Any], sent: Sent
) -> list[str]:
    """What differs in two digests; of tables that were sent apart, when the same rows stand in any order."""
    mine, theirs = _lasting(mine, whole), _lasting(theirs, whole)
    turned = [apart for apart in sent.apart if mine["tables"].get(shown(*apart)) != theirs["tables"].get(shown(*apart))]
    if turned:
        mine["tables"] |= postgres_digest.of_tables(name, [(schema, table) for schema, table in turned], snapshot)
        theirs["tables"] |= peer.call(verbs.TableDigests(database=name, tables=turned))
    return digest.differences(mine, theirs, printable(name))


def _lasting(contents: dict[str, Any], whole: set[str]) -> dict[str, Any]:
    """A digest without what is set, or proven, only later."""
    tables = {name: counts for name, counts in contents["tables"].items() if name not in whole}
    return {**{key: value for key, value in contents.items() if key != "sequences"}, "tables": tables}


@contextmanager
def _exported(name: str, slot: str) -> Iterator[tuple[int, str]]:
    """Make the slot; its start, and the snapshot of that very point, which lasts as long as the block."""
    with Session(name, replication="database") as session:
        try:
            with waiting(session, _SLOT_SECONDS) as wait:
                row = session.lines(f"CREATE_REPLICATION_SLOT {slot} LOGICAL pgoutput (SNAPSHOT 'export');\n")[0]
        except Refused as error:
            if not wait.timed_out:
                raise CannotFollow(f"no slot could be made ({error.message})") from error
            who = f" ({'; '.join(wait.blockers[:3])})" if wait.blockers else ""
            raise CannotFollow(
                f"a transaction of this server has run for more than {_SLOT_SECONDS} s{who}; let it end"
            ) from error
        _, start, snapshot, _ = row.decode().strip().split("|")
        yield lsn(start), snapshot


def _publish(account: Account, name: str) -> None:
    state = recorded(account)
    bare = publish.bare(name)
    state["identities"][name] = {**state["identities"].get(name, {}), **bare}
    _note(account, state)
    publish.publish(name, bare)


# --- reading what changed ---


def take(account: Account, name: str, *, keep: bool = True, since: int | None = None) -> Changes:
    """What changed up to now and is not proven equal, or just what changed `since` a position in the log.

    With `keep` it is written down, and the slot moves on behind it."""
    _, slot = _slots(name)
    changed = changes(account, name) if since is None else Changes(since)
    session = kept(name)
    # Everything committed before, with or without waiting for the disk, is on the disk after this.
    session.query("SET synchronous_commit = 'local'; SELECT 1 FROM pg_logical_emit_message(true, 'th', '');\n")
    if keep:
        _mark_log(name)
    changed.written_anew(session.query(publish.FILES))
    end = session.query("SELECT to_json(pg_current_wal_flush_lsn()::text);\n")[0]
    most = "10000" if keep else "NULL"
    while True:
        rows = session.lines(
            f"SELECT encode(substring(data FOR {LONGEST}), 'hex') FROM pg_logical_slot_peek_binary_changes('{slot}',"
            f" '{end}', {most}, 'proto_version', '1', 'publication_names', '{NAME}');\n"
        )
        changed.take(bytes.fromhex(row.decode()) for row in rows)
        if not keep:
            return changed
        keep_changes(account, name, changed)
        full = len(rows) >= 10000
        position = f"{changed.lsn >> 32:X}/{changed.lsn & 0xFFFFFFFF:X}" if full else end
        session.query(f"SELECT 1 FROM pg_replication_slot_advance('{slot}', '{position}');\n")
        if not full:
            return changed


def _mark_log(name: str) -> None:
    """A slot that is made writes to the log what later readers need to begin there, and not up to 15 s before.

    So the look inside the hold does not read again what the whole server wrote in that time."""
    made = f"SELECT 1 FROM pg_create_logical_replication_slot('th_now_{secrets.token_hex(4)}', 'pgoutput', true);\n"
    with suppress(Refused):  # it may wait for a long transaction then, but has written by that time
        query(f"SET statement_timeout = '300ms'; {made}", name)


_MARKS = f"""SELECT json_build_object('large', (SELECT sum({{count}}) FROM unnest(ARRAY[2613, 2995, 2609]::oid[])
 o(oid)), 'views', (SELECT md5(string_agg(concat_ws(' ', o.oid, o.relfilenode, {{count}}), ',' ORDER BY o.oid))
 FROM pg_class o JOIN pg_namespace n ON n.oid = o.relnamespace WHERE {OURS} AND (o.relkind = 'm' OR o.oid IN (SELECT
 unnest(extconfig) FROM pg_extension))));
""".format(
    count="pg_stat_get_tuples_inserted(o.oid) + pg_stat_get_tuples_updated(o.oid) + pg_stat_get_tuples_deleted(o.oid)"
)


def read_marks(name: str) -> dict[str, Any]:
    """Numbers that change with what no replication carries: large objects; materialized views, extensions' tables."""
    return kept(name).query(_MARKS)[0]


def stale(account: Account, name: str) -> str | None:
    """Why a database must be loaded, as seen from here: a sentence's end; None when it is followed."""
    slots = _slots(name)
    good = f"SELECT 1 FROM pg_replication_slots WHERE slot_name = ANY({literals(slots)}) AND wal_status <> 'lost';\n"
    if name not in recorded(account)["databases"] or not _changes_path(account, slots[1]).exists():
        return "it was not loaded yet"
    if len(kept().query(good)) < 2:
        return "this server's log of its changes is gone"
    if read_marks(name)["views"] != view_mark(account, name):
        return "a materialized view of it was refreshed, or an extension's table changed"
    return changed(account, name)


def changed(account: Account, name: str) -> str | None:
    """What was done to a database since it was loaded that no replication carries: a sentence's end."""
    kinds = fingerprint.changed(account, name)
    return f"its definitions were changed ({printable(', '.join(kinds))})" if kinds else None


def starts(account: Account) -> dict[str, int]:
    """Where in the log the following of each database began."""
    return {name: followed["start"] for name, followed in recorded(account)["databases"].items()}


def view_mark(account: Account, name: str) -> Any:
    return recorded(account)["databases"][name]["marks"]["views"]


def large_mark(account: Account, name: str) -> Any:
    """The mark at which the large objects were equal on both sides."""
    return recorded(account)["databases"][name]["marks"]["large"]


def keep_large_mark(account: Account, name: str, mark: Any) -> None:
    state = recorded(account)
    state["databases"][name]["marks"]["large"] = mark
    _note(account, state)


def begin(account: Account, move: str) -> None:
    """Following is to one target: what was begun towards another is over."""
    state = recorded(account)
    if state["move"] != move:
        end(account)
        _note(account, {**recorded(account), "move": move})


# --- ending ---


def drop(account: Account, names: list[str]) -> None:
    """These databases are not followed any more; their replica identities stay as they are."""
    state = recorded(account)
    state["databases"] = {name: followed for name, followed in state["databases"].items() if name not in names}
    if _path(account).exists():
        _note(account, state)
    for name in kept().existing(names):
        fingerprint.forget(account, name)
        door.shut(_slots(name)[0])
        made = f"SELECT to_json(slot_name) FROM pg_replication_slots WHERE database = {literal(name)}"
        for slot in kept().query(f"{made} AND slot_name LIKE 'th\\_%';\n"):
            _drop_slot(slot)
            _changes_path(account, slot).unlink(missing_ok=True)
        publish.withdraw(name)


def _drop_slot(slot: str) -> None:
    for _ in range(100):
        rows = kept().query(f"SELECT coalesce(active_pid, 0) FROM pg_replication_slots WHERE slot_name = '{slot}';\n")
        if not rows:
            return
        if rows[0]:
            kept().query(f"SELECT to_json(pg_terminate_backend({rows[0]}));\n")
            time.sleep(0.02)
            continue
        try:
            query(f"SELECT 1 FROM pg_drop_replication_slot('{slot}');\n")
        except Refused:  # its reader came back in between
            time.sleep(0.02)
    refuse("slot_remains", f"The replication slot {slot} is in use and cannot be dropped; look who reads it.")


def end(account: Account) -> None:
    """Nothing of following stays here. Repeatable."""
    state = recorded(account)
    drop(account, list(account.postgresql_databases))
    for name in state["identities"]:
        give_back(account, name)
    end_kept(account.postgresql_databases)
    with Session() as db:
        apply.drop_ours([look.reader_role(account)], db)
    for path in (_path(account), account.directory / "postgres.reader"):
        path.unlink(missing_ok=True)


def give_back(account: Account, name: str) -> None:
    """The tables of a database have the replica identities again that the customer gave them."""
    if kept().existing([name]):
        for oid, identity in identities(account, name).items():
            publish.give_back(name, oid, identity)
    state = recorded(account)
    if state["identities"].pop(name, None):
        _note(account, state)
