"""Large objects that changed: no replication carries them, so they are read and written here, catalogue rows both.

The superuser reads and writes them: a large object has no code of a customer's.
"""

from __future__ import annotations

from typing import Any

from ...account.accounts import Account
from ...host.digest import printable
from ...host.system import refuse
from ...verbs import postgresql as verbs
from ...verbs.verb import Asking, Nothing
from .sql import ident, kept, literal

_PAGES = 2000  # of 2 KiB, in one call

_FACTS = """SELECT json_build_array(pg_get_userbyid(o.lomowner), obj_description(o.oid, 'pg_largeobject'),
 (SELECT json_agg(json_build_array(CASE grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(grantee) END, privilege_type,
 is_grantable)) FROM aclexplode(o.lomacl))) FROM pg_largeobject_metadata o WHERE o.oid = {oid};
"""
_DATA = """SELECT json_build_array(pageno, encode(data, 'hex')) FROM pg_largeobject WHERE loid = {oid}
 AND pageno > {after} ORDER BY pageno LIMIT {most};
"""


def carry(account: Account, peer: Any, name: str, our_hashes: dict[str, int], their_hashes: dict[str, int]) -> None:
    """Make the large objects on the peer what they are here; the hashes of both sides are by oid."""
    for oid in sorted(their_hashes.keys() - our_hashes.keys()):
        peer.call(verbs.WriteLarge(database=name, oid=int(oid), facts=None, new=True, pages=[]))
    for oid in sorted(our_hashes):
        if their_hashes.get(oid) == our_hashes[oid]:
            continue
        new, after = True, -1
        while True:
            facts = kept(name).query(_FACTS.format(oid=int(oid)))
            pages = kept(name).query(_DATA.format(oid=int(oid), after=after, most=_PAGES))
            if new or pages:
                fact = (facts or [None])[0]
                peer.call(verbs.WriteLarge(database=name, oid=int(oid), facts=fact, new=new, pages=pages))
            if not pages:
                break
            new, after = False, pages[-1][0]


def _write(account: Account, want: verbs.WriteLarge, _asking: Asking) -> Nothing:
    """Write pages of a large object; a new one is made anew, one without facts is gone."""
    name, oid = want.database, want.oid
    if name not in account.postgresql_databases:
        refuse("other_account", f"The database {printable(str(name))} is not one of {account.name}'s.")
    script = ["BEGIN"]
    if want.new:
        script.append(f"SELECT to_json(lo_unlink(oid)) FROM pg_largeobject_metadata WHERE oid = {oid}")
    if want.facts:
        if want.new:
            script += [f"SELECT 1 FROM lo_create({oid})", *_settings(account, oid, *want.facts)]
        script += [
            f"SELECT 1 FROM lo_put({oid}, {int(page) * 2048}, decode({literal(data)}, 'hex'))"
            for page, data in want.pages
        ]
    kept(name).query("".join(f"{statement};\n" for statement in [*script, "COMMIT"]))
    return Nothing()


def _settings(account: Account, oid: int, owner: str, comment: str | None, grants: list[Any] | None) -> list[str]:
    statements = [f"ALTER LARGE OBJECT {oid} OWNER TO {ident(owner)}"]
    if comment is not None:
        statements.append(f"COMMENT ON LARGE OBJECT {oid} IS {literal(comment)}")
    if grants is not None:
        statements.append(f"REVOKE ALL ON LARGE OBJECT {oid} FROM {ident(owner)}")
    for grantee, privilege, grantable in grants or []:
        if privilege in ("SELECT", "UPDATE") and (grantee is None or grantee in account.postgresql_roles):
            to = "PUBLIC" if grantee is None else ident(grantee)
            option = " WITH GRANT OPTION" if grantable else ""
            statements.append(f"GRANT {privilege} ON LARGE OBJECT {oid} TO {to}{option}")
    return statements


PEER_VERBS = (verbs.WriteLarge.served_by(_write),)
