"""Looks at an account as its visitors and its customer do: HTTP, PostgreSQL, MariaDB, IMAP.

Who looks is the customer, by the account's own credentials: they and what to look at are Airflow connections.
Their host is replaced by the server on which the account lives, since names and IPs follow an account later
than its data. What a look gives is said in `include.moves.look`.
"""

from __future__ import annotations

import asyncio
import hashlib
import imaplib
import re
import ssl
from collections.abc import Callable
from contextlib import closing
from copy import copy
from typing import Any
from urllib.parse import urlsplit

import psycopg.sql
from airflow.providers.mysql.hooks.mysql import MySqlHook
from airflow.providers.postgres.hooks.postgres import PostgresHook
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from include import registry
from include.compatibility import fetch, text
from include.memory import little_memory
from include.moves.look import uid_set
from transhumance_airflow import connections

SECONDS = 15
LISTED = re.compile(rb'\(([^)]*)\) (?:"(?:\\.|[^"\\])*"|NIL) (.*)', re.DOTALL)
"""A line of IMAP's LIST: flags, then the hierarchy's separator, then the mailbox's name.
Whatever a server writes there, each character is passed over once."""
POSTGRESQL_TABLES = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm', 'p') AND NOT c.relispartition AND n.nspname NOT LIKE 'pg\\_%'
  AND n.nspname <> 'information_schema' AND has_table_privilege(c.oid, 'SELECT')
ORDER BY 1, 2
"""
MARIADB_TABLES = """
SELECT table_schema, table_name FROM information_schema.tables
WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('mysql', 'sys', 'performance_schema', 'information_schema')
ORDER BY 1, 2
"""


def look(account: str, address: str) -> dict[str, Any]:
    """One look at the account on the server with this address. What cannot be seen is an {"error"} instead."""
    with little_memory():
        return _look(wanted_of(account), address)


def _look(wanted: dict[str, Any], address: str) -> dict[str, Any]:
    found: dict[str, Any] = {"urls": {url: _tried(site, url, address) for url in wanted.get("urls", [])}}
    if wanted.get("postgres_connection"):
        found["postgresql"] = _tried(postgresql, wanted["postgres_connection"], address)
    if wanted.get("mysql_connection"):
        found["mysql"] = _tried(mariadb, wanted["mysql_connection"], address)
    imap = wanted.get("imap") or []
    for entry in [imap] if isinstance(imap, dict) else imap:
        seen = _tried(mailboxes, entry["connection"], address, entry.get("mailboxes"))
        boxes = {"": seen} if "error" in seen else seen
        found.setdefault("imap", {}).update({f"{entry['connection']}/{box}": boxes[box] for box in boxes})
    return found


def wanted_of(account: str) -> dict[str, Any]:
    """What to look at: the extra of the connection `account_<name>`, under "look".

    {"urls": [...], "postgres_connection": id, "mysql_connection": id, "imap": [{"connection": id, "mailboxes":
    [...]}]}; each may be missing, and so may `mailboxes` (then all that exist are looked at). Without the
    connection, the account's domains are looked at over HTTPS.
    """
    try:
        return BaseHook.get_connection(f"account_{account}").extra_dejson["look"]
    except (AirflowNotFoundException, KeyError):
        with connections.registry_connection() as conn:
            return {"urls": [f"https://{domain}/" for domain in registry.account(conn, account).domains]}


def _tried(function: Callable[..., dict[str, Any]], *args: Any) -> dict[str, Any]:
    try:
        return function(*args)
    except fetch.NotRead as error:
        return {"error": str(error)}
    except Exception as error:
        # The kind alone: a driver's message may hold what the customer wrote, or a password.
        return {"error": type(error).__name__}


def site(url: str, address: str) -> dict[str, Any]:
    """The page's status, a digest of its title, and a digest of the certificate that the site presents."""
    parts = urlsplit(url)
    side = fetch.Side((parts.hostname or "",), address, parts.scheme, parts.port)
    page = asyncio.run(_page(side, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")))
    return {
        "status": page.status,
        "title": _digest(text.read(page.text).title.encode(errors="replace")),
        "certificate": None if page.certificate is None else _digest(page.certificate),
    }


async def _page(side: fetch.Side, path: str) -> fetch.Page:
    async with fetch.client() as client:
        return await fetch.fetch(client, side, path, SECONDS, redirects=0)


def postgresql(conn_id: str, address: str) -> dict[str, int]:
    """The rows of each table that the account may read in its database."""
    hook = PostgresHook(conn_id, connection=_at(conn_id, address))
    found = {}
    with closing(hook.get_conn()) as conn, conn.cursor() as cursor:
        for schema, table in cursor.execute(POSTGRESQL_TABLES).fetchall():
            counting = psycopg.sql.SQL("SELECT count(*) FROM {}").format(psycopg.sql.Identifier(schema, table))
            found[f"{schema}.{table}"] = cursor.execute(counting).fetchone()[0]
    return found


def mariadb(conn_id: str, address: str) -> dict[str, int]:
    """The rows of each table that the account may read in its databases."""
    hook = MySqlHook(mysql_conn_id=conn_id, connection=_at(conn_id, address))
    found = {}
    with closing(hook.get_conn()) as conn, closing(conn.cursor()) as cursor:
        cursor.execute(MARIADB_TABLES)
        tables: Any = cursor.fetchall()
        for schema, table in tables:
            cursor.execute(f"SELECT count(*) FROM {_quoted(schema)}.{_quoted(table)}")
            counted: Any = cursor.fetchone()
            found[f"{schema}.{table}"] = counted[0]
    return found


def mailboxes(conn_id: str, address: str, names: list[str] | None = None) -> dict[str, dict[str, Any]]:
    """Each mailbox's UIDVALIDITY, how many messages it holds, and their UIDs. `names`: all that exist if None."""
    account = BaseHook.get_connection(conn_id)
    port = account.port or 143
    reach = (
        imaplib.IMAP4_SSL(address, port, ssl_context=_tls(), timeout=SECONDS)
        if port == 993
        else imaplib.IMAP4(address, port, timeout=SECONDS)
    )
    with reach as imap:
        imap.login(account.login or "", account.password or "")
        return {name: _mailbox(imap, name) for name in (names or _listed(imap))}


def _listed(imap: imaplib.IMAP4) -> list[str]:
    """The names of the mailboxes that can be selected, as the server writes them."""
    _, lines = imap.list()
    names = []
    for line in lines:
        # A name that holds a quote or the like may come as a literal: a pair of what is before it and itself.
        before, literal = line if isinstance(line, tuple) else (line, None)
        found = LISTED.match(before or b"")
        if found is None or b"\\noselect" in found[1].lower():
            continue
        name = literal if literal is not None else found[2]
        if name.startswith(b'"') and literal is None:
            name = re.sub(rb"\\(.)", rb"\1", name[1:-1])
        names.append(name.decode())
    return names


def _mailbox(imap: imaplib.IMAP4, name: str) -> dict[str, Any]:
    quoted = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    answer, data = imap.select(quoted, readonly=True)
    if answer != "OK":
        return {"error": "NotSelected"}
    uids = imap.uid("SEARCH", "ALL")[1][0] or b""
    numbers = [int(uid) for uid in uids.split()]
    validity, messages = imap.response("UIDVALIDITY")[1][0], data[0]
    if validity is None or messages is None:
        return {"error": "NotNumbered"}
    return {
        "uidvalidity": int(validity),
        "messages": int(messages),
        "uids": uid_set(numbers),
    }


def _at(conn_id: str, address: str) -> Any:
    """The connection, leading to `address`; the one that Airflow keeps is left as it is."""
    found = copy(BaseHook.get_connection(conn_id))
    found.host = address
    return found


def _tls() -> ssl.SSLContext:
    """Takes any certificate: which one is compared before and after; who trusts it is the customer's affair."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
