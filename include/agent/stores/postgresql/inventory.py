"""Everything that a customer made in a database, as facts that are the same on every version from 15 on.

Objects are described by their catalogue facts, and by the words of what the server prints of their expressions and
queries (`words`): that text is written differently from version to version, and after a dump and restore. To print it,
nothing is planned or run: of what stands in it the output functions of types alone, which no customer can make.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from .extensions import GRANTED, GRANTS
from .grants import TRAVELS
from .sql import literal, literals

_ROLES = "?roles?"  # where the roles of the account come
NO_EXTENSION = (
    "NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = '{catalog}'::regclass AND e.objid = {alias}.oid"
    " AND e.deptype = 'e')"
)
_NAME = "(pg_identify_object('{catalog}'::regclass, {alias}.oid, 0)).identity"


def acl(acl: str, kind: str, owner: str) -> str:
    """Privileges as sorted text; MAINTAIN is left out, as 15 does not know it and 17 counts it into ALL."""
    return (
        "(SELECT json_agg(a.x ORDER BY a.x COLLATE \"C\") FROM (SELECT concat_ws(' ', CASE grantee WHEN 0 THEN 'PUBLIC'"
        " ELSE pg_get_userbyid(grantee)::text END, privilege_type, CASE WHEN is_grantable THEN 'grantable' END) AS x"
        f" FROM aclexplode(coalesce({acl}, acldefault({kind}, {owner}))) WHERE privilege_type <> 'MAINTAIN'"
        f" AND {TRAVELS.format('grantee', roles=_ROLES)} AND {TRAVELS.format('grantor', roles=_ROLES)}) a)"
    )


def _objects(kind: str, catalog: str, facts: str, *, where: str = "true", name: str = "", more: str = "") -> str:
    """A query that puts out ["object", kind, identity, facts] for each object of a catalogue that is a customer's."""
    identity = name or _NAME.format(catalog=catalog, alias="o")
    ours = NO_EXTENSION.format(catalog=catalog, alias="o")
    return (
        f"SELECT json_build_array('object', '{kind}', {identity}, json_build_object({facts}))"
        f" FROM {catalog} o {more} WHERE ({where}) AND {ours};\n"
    )


def _comment(catalog: str, sub: str = "") -> str:
    call = f"col_description(o.oid, {sub})" if sub else f"obj_description(o.oid, '{catalog}')"
    return f"'comment', md5({call})"


_OWNER = "'owner', pg_get_userbyid(o.{0})"
USER_SCHEMA = (
    "{0} NOT IN (SELECT oid FROM pg_namespace WHERE nspname IN ('pg_catalog', 'information_schema', 'pg_toast')"
)
USER_SCHEMA += " OR (nspname = 'th_follow' AND nspowner = 10)"  # ours, while a database is followed
USER_SCHEMA += " OR nspname LIKE 'pg\\_temp\\_%' OR nspname LIKE 'pg\\_toast\\_temp\\_%')"

# In the order of their names: a child's inherited columns come first after a dump, wherever they stood.
# PostgreSQL 17 gives a partition its parent's identity, 15 does not: it is compared on the parent.
# Newer minor releases write a number of the server's own beside what a customer sets.
_OPTIONS = "(SELECT array_agg(x ORDER BY x) FROM unnest(a.attoptions) x WHERE x NOT LIKE 'pg\\_attver=%')"
_COLUMNS = (
    "'columns', (SELECT json_agg(json_build_array(a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,"
    " CASE WHEN o.relispartition THEN '' ELSE a.attidentity END, a.attgenerated, a.atthasdef,"
    " (SELECT c.collname FROM pg_collation c WHERE c.oid = a.attcollation),"
    f" a.attstorage, a.attcompression, NULLIF(a.attstattarget, -1), {_OPTIONS}, md5(a.attfdwoptions::text),"
    " md5(col_description(o.oid, a.attnum)), "
    + acl("a.attacl", "'c'", "o.relowner")
    + ') ORDER BY a.attname COLLATE "C") FROM pg_attribute a WHERE a.attrelid = o.oid AND a.attnum > 0'
    " AND NOT a.attisdropped)"
)
_KEYS = (
    "(SELECT json_agg((SELECT a.attname FROM pg_attribute a WHERE a.attrelid = {0} AND a.attnum = k.n) ORDER BY k.i)"
    " FROM unnest({1}) WITH ORDINALITY k(n, i))"
)


_FAMILY = """(SELECT json_agg(x ORDER BY x COLLATE "C") FROM (SELECT concat_ws(' ', amopstrategy, amoppurpose,
 amopopr::regoperator) AS x FROM pg_amop WHERE amopfamily = {0} UNION ALL SELECT concat_ws(' ', amprocnum,
 amproclefttype::regtype, amprocrighttype::regtype, amproc::regprocedure) FROM pg_amproc WHERE amprocfamily = {0}) f)"""
# Kinds that are rare: catalogue, column of the owner, facts.
_OTHERS = {
    "operator": (
        "pg_operator",
        "oprowner",
        "'is', concat_ws(' ', o.oprcode::regprocedure, o.oprcom::regoperator, o.oprnegate::regoperator, o.oprrest,"
        " o.oprjoin, o.oprcanmerge, o.oprcanhash)",
    ),
    "operator class": (
        "pg_opclass",
        "opcowner",
        "'is', concat_ws(' ', o.opcintype::regtype, o.opcdefault, NULLIF(o.opckeytype, 0)::regtype), 'members', "
        + _FAMILY.format("o.opcfamily"),
    ),
    "operator family": ("pg_opfamily", "opfowner", f"'members', {_FAMILY.format('o.oid')}"),
    "conversion": (
        "pg_conversion",
        "conowner",
        "'is', concat_ws(' ', o.conforencoding, o.contoencoding, o.conproc, o.condefault)",
    ),
    "collation": (
        "pg_collation",
        "collowner",
        "'is', concat_ws(' ', o.collprovider, o.collisdeterministic, o.collencoding, o.collcollate, o.collctype,"
        " coalesce(to_jsonb(o)->>'colllocale', to_jsonb(o)->>'colliculocale'))",
    ),
    "text search configuration": (
        "pg_ts_config",
        "cfgowner",
        "'parser', (SELECT prsname FROM pg_ts_parser p WHERE p.oid = o.cfgparser), 'mappings', (SELECT json_agg("
        "json_build_array(maptokentype, mapseqno, mapdict::regdictionary) ORDER BY maptokentype, mapseqno)"
        " FROM pg_ts_config_map WHERE mapcfg = o.oid)",
    ),
    "text search dictionary": (
        "pg_ts_dict",
        "dictowner",
        "'template', (SELECT tmplname FROM pg_ts_template t WHERE t.oid = o.dicttemplate), 'options', o.dictinitoption",
    ),
    "statistics": (
        "pg_statistic_ext",
        "stxowner",
        f"'on', o.stxrelid::regclass, 'kinds', o.stxkind, 'columns', {_KEYS.format('o.stxrelid', 'o.stxkeys::int2[]')},"
        " 'target', NULLIF(o.stxstattarget, -1), 'says', pg_get_statisticsobjdef_expressions(o.oid)",
    ),
    "language": ("pg_language", "lanowner", "'is', concat_ws(' ', o.lanpltrusted, o.lanplcallfoid::regprocedure)"),
    "foreign data wrapper": (
        "pg_foreign_data_wrapper",
        "fdwowner",
        "'is', concat_ws(' ', o.fdwhandler::regproc, o.fdwvalidator::regproc), 'options', md5(o.fdwoptions::text)",
    ),
    "foreign server": (
        "pg_foreign_server",
        "srvowner",
        "'wrapper', (SELECT fdwname FROM pg_foreign_data_wrapper w WHERE w.oid = o.srvfdw), 'type', o.srvtype,"
        " 'version', o.srvversion, 'options', md5(o.srvoptions::text)",
    ),
}
SEQUENCE = (
    "concat_ws(' ', s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmax, s.seqmin, s.seqcache, s.seqcycle,"
    " (SELECT"
    " (pg_identify_object('pg_class'::regclass, d.refobjid, d.refobjsubid)).identity FROM pg_depend d WHERE d.classid ="
    " 'pg_class'::regclass AND d.objid = o.oid AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0))"
)


def inventory(identities: dict[int, str], roles: Sequence[str] = ()) -> str:
    """A script that puts out ["object", kind, identity, facts] for everything that a customer made in a database.

    `identities` are tables (by oid) whose REPLICA IDENTITY is another one while they are followed. Grants to and of
    others than these `roles`, or what every server has, do not travel and do not count."""
    cases = "".join(f" WHEN {int(oid)} THEN {literal(identity)}" for oid, identity in identities.items())
    replica_identity = f"(CASE o.oid{cases} ELSE o.relreplident::text END)" if cases else "o.relreplident"
    user = USER_SCHEMA.format
    relation = "(SELECT (pg_identify_object('pg_class'::regclass, o.{0}, 0)).identity)"
    on = relation.format
    parts = [
        _objects(
            "schema",
            "pg_namespace",
            f"{_OWNER.format('nspowner')}, 'grants', {acl('o.nspacl', chr(39) + 'n' + chr(39), 'o.nspowner')}, "
            + _comment("pg_namespace"),
            where="o.nspname !~ '^pg_' AND o.nspname <> 'information_schema' AND NOT (o.nspname = 'th_follow' AND"
            " o.nspowner = 10)",
        ),
        "SELECT json_build_array('object', 'extension''s table', (pg_identify_object('pg_class'::regclass, o.oid,"
        f" 0)).identity, {GRANTS.format(roles=_ROLES)}) FROM {GRANTED.format(roles=_ROLES)};\n",
        "SELECT json_build_array('object', 'extension', extname, json_build_object('schema',"
        " extnamespace::regnamespace::text)) FROM pg_extension;\n",
        _objects(
            "relation",
            "pg_class",
            f"'kind', o.relkind, {_OWNER.format('relowner')}, 'persistence', o.relpersistence, 'options', o.reloptions,"
            f" 'row security', ARRAY[o.relrowsecurity, o.relforcerowsecurity], 'replica identity', {replica_identity},"
            " 'populated', o.relispopulated, 'parents', (SELECT json_agg((pg_identify_object('pg_class'::regclass,"
            " i.inhparent, 0)).identity ORDER BY i.inhseqno) FROM pg_inherits i WHERE i.inhrelid = o.oid), 'access',"
            " (SELECT"
            " amname FROM pg_am m WHERE m.oid = o.relam), 'options of long values', (SELECT t.reloptions FROM pg_class"
            " t WHERE t.oid = o.reltoastrelid), 'of type', NULLIF(o.reloftype, 0)::regtype, 'sequence', (SELECT"
            f" {SEQUENCE} FROM pg_sequence s WHERE s.seqrelid = o.oid), 'foreign', (SELECT json_build_array(v.srvname,"
            " md5(f.ftoptions::text)) FROM pg_foreign_table f JOIN pg_foreign_server v ON v.oid = f.ftserver WHERE"
            " f.ftrelid = o.oid), 'says', json_build_object('query', CASE WHEN o.relkind IN ('v', 'm') THEN"
            " pg_get_viewdef(o.oid) END, 'bounds', pg_get_expr(o.relpartbound, o.oid), 'partitioned by', CASE o.relkind"
            " WHEN 'p' THEN pg_get_partkeydef(o.oid) END, 'defaults', (SELECT json_object_agg(a.attname,"
            " pg_get_expr(d.adbin, d.adrelid)) FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND"
            " a.attnum = d.adnum WHERE d.adrelid = o.oid)), 'grants', "
            + acl("o.relacl", "(CASE o.relkind WHEN 'S' THEN 's' ELSE 'r' END)::\"char\"", "o.relowner")
            + f", {_COLUMNS}, {_comment('pg_class')}",
            where=f"o.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') AND {user('o.relnamespace')}",
        ),
        _objects(
            "index",
            "pg_class",
            f"'on', {on('oid').replace('o.oid', 'i.indrelid')}, 'flags', ARRAY[i.indisunique, i.indisprimary,"
            " i.indisexclusion, i.indisclustered, i.indisreplident, i.indnullsnotdistinct], 'keys', "
            + _KEYS.format("i.indrelid", "i.indkey::int2[]")
            + ", 'key columns', i.indnkeyatts, 'method', (SELECT amname FROM pg_am WHERE pg_am.oid = o.relam),"
            " 'says', json_build_object('where', pg_get_expr(i.indpred, i.indrelid), 'expressions',"
            " pg_get_expr(i.indexprs, i.indrelid)), 'options', o.reloptions, 'order', i.indoption::int2[],"
            " 'classes', (SELECT json_agg(c.opcname ORDER BY k.i) FROM unnest(i.indclass::oid[]) WITH ORDINALITY"
            " k(n, i) JOIN pg_opclass c ON c.oid = k.n), 'collations', (SELECT json_agg(c.collname ORDER BY k.i) FROM"
            " unnest(i.indcollation::oid[]) WITH ORDINALITY k(n, i) LEFT JOIN pg_collation c ON c.oid = k.n), "
            + _comment("pg_class"),
            more="JOIN pg_index i ON i.indexrelid = o.oid",
            where=f"(i.indisvalid OR o.relkind = 'I') AND {user('o.relnamespace')}",
        ),
        _objects(
            "constraint",
            "pg_constraint",
            "'says', pg_get_constraintdef(o.oid), 'type', o.contype, 'validated', o.convalidated, 'deferrable',"
            " ARRAY[o.condeferrable, o.condeferred],"
            f" 'keys', {_KEYS.format('o.conrelid', 'o.conkey')}, 'references', {on('confrelid')}, 'foreign keys', "
            + _KEYS.format("o.confrelid", "o.confkey")
            + ", 'actions', ARRAY[o.confupdtype, o.confdeltype, o.confmatchtype], 'local', o.conislocal, "
            + _comment("pg_constraint"),
            where=f"o.contype IN ('c', 'f', 'p', 'u', 'x') AND {user('o.connamespace')}",
        ),
        _objects(
            "trigger",
            "pg_trigger",
            "'says', pg_get_triggerdef(o.oid), 'calls', (pg_identify_object('pg_proc'::regclass, o.tgfoid,"
            " 0)).identity, 'enabled', o.tgenabled, 'type',"
            " o.tgtype, 'deferrable', ARRAY[o.tgdeferrable, o.tginitdeferred], 'arguments', md5(o.tgargs), "
            + _comment("pg_trigger"),
            where="NOT o.tgisinternal",
        ),
        _objects(
            "function",
            "pg_proc",
            f"{_OWNER.format('proowner')}, 'language', (SELECT lanname FROM pg_language l WHERE l.oid = o.prolang),"
            " 'returns', format_type(o.prorettype, NULL), 'set', o.proretset, 'kind', o.prokind, 'volatile',"
            " o.provolatile, 'parallel', o.proparallel, 'flags', ARRAY[o.prosecdef, o.proleakproof, o.proisstrict],"
            " 'settings', o.proconfig, 'text', md5(o.prosrc), 'names', o.proargnames, 'modes',"
            " o.proargmodes, 'cost', ARRAY[o.procost, o.prorows], 'library', md5(o.probin), 'support', o.prosupport,"
            " 'says', json_build_object('defaults', pg_get_expr(o.proargdefaults, 0), 'body',"
            " pg_get_function_sqlbody(o.oid)), 'aggregate', (SELECT concat_ws(' ', g.aggkind, g.aggnumdirectargs,"
            " g.aggtransfn, g.aggfinalfn, g.aggcombinefn, g.aggserialfn, g.aggdeserialfn, g.aggmtransfn,"
            " g.aggminvtransfn,"
            " g.aggmfinalfn, g.aggfinalextra, g.aggmfinalextra, g.aggfinalmodify, g.aggmfinalmodify,"
            " g.aggsortop::regoperator, g.aggtranstype::regtype, g.aggmtranstype::regtype, g.aggtransspace,"
            " g.aggmtransspace, g.agginitval, '/', g.aggminitval) FROM pg_aggregate g WHERE g.aggfnoid = o.oid),"
            " 'grants', " + acl("o.proacl", "'f'", "o.proowner") + f", {_comment('pg_proc')}",
            where=user("o.pronamespace"),
        ),
        _objects(
            "type",
            "pg_type",
            f"{_OWNER.format('typowner')}, 'type', o.typtype, 'labels', (SELECT json_agg(e.enumlabel ORDER BY"
            " e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = o.oid), 'base', CASE WHEN o.typtype = 'd' THEN"
            " format_type(o.typbasetype, o.typtypmod) END, 'not null', o.typnotnull, 'says', pg_get_expr("
            "o.typdefaultbin, 0), 'collation', (SELECT collname FROM pg_collation c WHERE c.oid = o.typcollation),"
            " 'range',"
            " (SELECT concat_ws(' ', r.rngsubtype::regtype, r.rngmultitypid::regtype, r.rngcanonical, r.rngsubdiff,"
            " (SELECT opcname FROM pg_opclass c WHERE c.oid = r.rngsubopc), (SELECT collname FROM pg_collation c WHERE"
            f" c.oid = r.rngcollation)) FROM pg_range r WHERE r.rngtypid = o.oid), 'grants',"
            f" {acl('o.typacl', chr(39) + 'T' + chr(39), 'o.typowner')}, {_comment('pg_type')}",
            where=f"o.typtype IN ('e', 'd', 'r', 'm', 'b') AND o.typelem = 0 AND {user('o.typnamespace')}",
        ),
        _objects(
            "policy",
            "pg_policy",
            "'command', o.polcmd, 'permissive', o.polpermissive, 'roles', (SELECT json_agg(pg_get_userbyid(r) ORDER BY"
            " pg_get_userbyid(r)) FROM unnest(o.polroles) r), 'says', json_build_object('using', pg_get_expr("
            "o.polqual, o.polrelid), 'check', pg_get_expr(o.polwithcheck, o.polrelid)), " + _comment("pg_policy"),
        ),
        _objects(
            "rule",
            "pg_rewrite",
            "'says', pg_get_ruledef(o.oid), 'event', o.ev_type, 'enabled', o.ev_enabled, 'instead', o.is_instead, "
            + _comment("pg_rewrite"),
            where="o.rulename <> '_RETURN' AND o.oid >= 16384",
        ),
        "SELECT json_build_array('object', 'default privileges', concat_ws(' ', pg_get_userbyid(defaclrole),"
        " coalesce(defaclnamespace::regnamespace::text, '-'), defaclobjtype), "
        + acl("defaclacl", "defaclobjtype", "defaclrole")
        + f") FROM pg_default_acl WHERE defaclacl IS NOT NULL AND defaclrole >= 16384"
        f" AND {TRAVELS.format('defaclrole', roles=_ROLES)};\n",
    ]
    for kind, (catalog, owner, facts) in _OTHERS.items():
        parts.append(
            _objects(kind, catalog, f"{_OWNER.format(owner)}, {facts}, {_comment(catalog)}", where="o.oid >= 16384")
        )
    parts.append(
        _objects(
            "cast",
            "pg_cast",
            "'context', o.castcontext, 'method', o.castmethod, 'function', NULLIF(o.castfunc, 0)::regprocedure, "
            + _comment("pg_cast"),
            where="o.oid >= 16384",
        )
    )
    parts.append(
        "SELECT json_build_array('object', 'user mapping', concat_ws(' ', srvname, usename), md5(umoptions::text))"
        " FROM pg_user_mappings;\n"
    )
    return of_roles("".join(parts), roles)


def of_roles(script: str, roles: Sequence[str]) -> str:
    """The script, in which grants to these roles count."""
    return script.replace(_ROLES, literals(roles))


# A newer version quotes what became a word of SQL: names that need no quotes on some version are compared without.
_QUOTED = re.compile(rb'\\"([a-z_][a-z0-9_$]*)\\"')


def parsed(line: bytes) -> list[Any]:
    """A line of an inventory, or of a digest, as it is compared."""
    kind, *rest = json.loads(line if line.startswith(b'["table"') else _QUOTED.sub(rb"\1", line))
    if kind == "object" and isinstance(rest[2], dict) and "says" in rest[2]:
        rest[2]["says"] = _words_of(rest[2]["says"])
    return [kind, *rest]


def _words_of(facts: Any) -> Any:
    if isinstance(facts, dict):
        return {key: _words_of(value) for key, value in facts.items()}
    if isinstance(facts, list):
        return [_words_of(value) for value in facts]
    return words(facts) if isinstance(facts, str) else facts


_TOKEN = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|::|[\w$]+(?:\.\d+)?|[^\w\s]""")
_PLAIN = re.compile(r'"([a-z_][a-z0-9_$]*)"')


def words(text: str) -> str:
    """What an expression or a query says, without what is written differently from version to version or by a restore.

    That is: brackets, casts, the tables that columns are said to be of, and quotes around names that need none."""
    tokens = [_PLAIN.sub(r"\1", token) for token in _TOKEN.findall(text)]
    kept: list[str] = []
    at = 0
    while at < len(tokens):
        token = tokens[at]
        if token == "::":
            at = _behind_type(tokens, at + 1)
            continue
        if _is_name(token) and tokens[at + 1 : at + 2] == ["."]:
            at += 2
            continue
        if token not in ("(", ")", "[", "]", "ARRAY"):
            kept.append(token)
        at += 1
    return " ".join(kept)


def _is_name(token: str) -> bool:
    return token[0] == '"' or token[0] == "_" or token[0].isalpha()


def _behind_type(tokens: list[str], at: int) -> int:
    """Where the text goes on behind the name of a type."""
    while tokens[at + 1 : at + 2] == ["."]:
        at += 2
    at += 1
    if tokens[at : at + 1] in (["varying"], ["precision"]):
        at += 1
    if tokens[at : at + 1] == ["("]:
        at = tokens.index(")", at) + 1
    if tokens[at : at + 1] in (["with"], ["without"]) and tokens[at + 1 : at + 2] == ["time"]:
        at += 3
    while tokens[at : at + 2] == ["[", "]"]:
        at += 2
    return at
