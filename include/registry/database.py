"""One transaction a function, rows as dataclasses, and the database's refusals as sentences."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import psycopg
from psycopg.rows import kwargs_row, scalar_row

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
Params = Mapping[str, Any]

REFUSED = "TH001"
"""The SQLSTATE with which the schema's own triggers refuse."""
BUSY = "TH002"
"""The same, when it is a matter of waiting for something else to end."""

# What to tell when a constraint, and not a trigger, refuses. A test compares this with the schema.
SENTENCES = {
    "servers_name_is_a_label": "A server's name is lower-case letters, digits and '-': choose another name.",
    "servers_kind": "A server's kind is shared, dedicated, vps, transit, test or database: give one of these.",
    "servers_customer": "A dedicated server or VPS has one customer, other servers have none: correct it.",
    "servers_state_fits_kind": "A transit is free, assigned, handed_over or wiped, another server serving or"
    " reinstalling, and a shared one wiped, too: give a state that fits the server's kind.",
    "sites_name": "A site needs a name of 1 to 64 printable characters: choose another.",
    "zones_name": "This is not the name of a zone: correct it.",
    "zones_primary": "A zone's primary is a host name or an address: correct it.",
    "zones_key_connection": "A zone's key is the name of a connection of Airflow's: give that, never the key itself.",
    "servers_addresses_are_hosts": "A server's addresses are single ones, without a prefix: correct them.",
    "servers_reserved_is_transit": "Only a transit can be reserved: give the name of a transit.",
    "servers_management_address_key": "Another server has this management address: give each its own.",
    "servers_lan_address_key": "Another server has this LAN address: give each its own.",
    "servers_site_fkey": "There is no such site: add the site first.",
    "servers_lan_address6_key": "Another server has this IPv6 LAN address: give each its own.",
    "servers_plan_fkey": "There is no such plan: add the plan first.",
    "servers_host_key": "A host key is 'TYPE BASE64', such as 'ssh-ed25519 AAAA...': give the whole key.",
    "plans_name": "A plan needs a name of 1 to 64 printable characters: choose another.",
    "plans_sizes": "A plan has at least one CPU, some memory and some disk: correct its sizes.",
    "plan_prices_price": "A price is 0 or more, in a currency of three capital letters: correct it.",
    "plan_prices_currency_fkey": "The currency is not known: give an ISO 4217 code, such as EUR.",
    "plan_prices_plan_fkey": "There is no such plan: add the plan first.",
    "accounts_login": "An account's login is a lower-case letter and up to 31 letters, digits, '_' or '-': correct it.",
    "accounts_name": "An account's name is its login, or its login, a dot and its server's name: correct it.",
    "one_login_a_server": "Another account of that server has this login: give each its own.",
    "accounts_domains": "An account's domain is not a host name: correct the account's sites.",
    "accounts_epoch": "An epoch is 0 or more: correct it.",
    "accounts_server_fkey": "There is no such server: add the server first.",
    "accounts_home_server_fkey": "There is no such server: add the server first.",
    "accounts_customer": "A customer's name is not empty: give it, or none.",
    "account_engines_engine_fkey": "There is no such engine: check its name.",
    "account_engines_account_fkey": "There is no such account: check its name.",
    "unclaimed_kind": "The kind of what is no account's is a word: give it as it is told.",
    "unclaimed_name": "The name of what is no account's has 1 to 500 characters: give it as it is told.",
    "unclaimed_reason": "What is signed for may be lost: give the reason.",
    "unclaimed_server_fkey": "There is no such server: check its name.",
    "unclaimed_signed": "Who signs for what is no account's says who they are and why: give both.",
    "account_engines_server_fkey": "There is no such server: check its name.",
    "catalogue_name": "A catalogue entry is named in lower-case letters, digits, '-' and '.': correct it.",
    "catalogue_changes_something": "A catalogue entry leads to another version: give two that differ.",
    "catalogue_title": "A catalogue entry has a title: give it.",
    "catalogue_dates": "A catalogue entry opens before its deadline: correct its dates.",
    "catalogue_mandatory": "A mandatory catalogue entry has a deadline: give it.",
    "migrations_taken_back": "Taking a server back leaves what was written on its transit: give the reason.",
    "migrations_disk": "Only a disk that is kept can be discarded: wait for the reinstall.",
    "migrations_gate_reason": "Lifting the gate lets untested accounts be performed: give the reason.",
    "migrations_server_fkey": "There is no such server: check its name.",
    "migrations_entry_fkey": "There is no such catalogue entry: check its name.",
    "migrations_transit_fkey": "There is no such transit: check its name.",
    "migrations_run_id_key": "Another migration has this run id: give each run its own.",
    "migrations_transit_is_known": "A migration without a transit cannot go on: wait until one is assigned.",
    "migrations_transit_is_another": "A server cannot be its own transit: assign another.",
    "one_live_migration_a_server": "The server is being migrated already: let that migration end first.",
    "transit_requests_migration_fkey": "There is no such migration: check its id.",
    "transit_requests_plan_fkey": "There is no such plan: add the plan first.",
    "transit_requests_transit_fkey": "There is no such transit: check its name.",
    "transit_requests_transit_is_known": "A request is assigned together with its transit: name the transit.",
    "one_live_request_a_migration": "The migration has asked for a transit already: wait for that request.",
    "one_assignment_a_transit": "The transit is assigned to another migration: take another.",
    "leases_migration_fkey": "There is no such migration: check its id.",
    "leases_transit_fkey": "There is no such transit: check its name.",
    "leases_server_fkey": "There is no such server: check its name.",
    "leases_plan_fkey": "There is no such plan: add the plan first.",
    "leases_migration_key": "The migration has a lease already: it is handed over once.",
    "leases_free_days": "A lease's free days are 0 to 365: correct them.",
    "leases_times": "A lease cannot end before its hand-over: check the time.",
    "one_live_lease_a_transit": "The transit is under another lease: that one has to end first.",
    "moves_account_fkey": "There is no such account: check its name.",
    "moves_migration_fkey": "There is no such migration: check its id.",
    "moves_original_fkey": "There is no such server: check its name.",
    "moves_from_server_fkey": "There is no such server: check its name.",
    "moves_to_server_fkey": "There is no such server: check its name.",
    "moves_direction": "A move goes out, home or over: give one of these.",
    "moves_entry_fkey": "There is no such catalogue entry: check its name.",
    "moves_engine_fkey": "There is no such engine: check its name.",
    "moves_gate_reason": "Lifting the gate lets an untested account be performed: give the reason.",
    "moves_over": "A move out or home is a migration's, one over a catalogue entry's: give the one that fits.",
    "moves_servers_differ": "The account lives on that server already: there is nothing to move.",
    "moves_key": "Another move has this key: give each move its own.",
    "moves_run_id_key": "Another move has this run id: give each run its own.",
    "one_live_move_an_account": "The account is being moved already: wait until that move has ended.",
    "one_live_move_a_server": "Another account of the server is being moved: wait until that move has ended.",
    "tests_account_fkey": "There is no such account: check its name.",
    "tests_entry_fkey": "There is no such catalogue entry: check its name.",
    "tests_server_fkey": "There is no such server: check its name.",
    "tests_key": "Another test has this key: give each test its own.",
    "tests_run_id_key": "Another test has this run id: give each run its own.",
    "tests_ready_expires": "A test copy that is ready expires at a time: give it.",
    "tests_report": "A report comes with its numbers of blockers and warnings: give all of them.",
    "tests_counts": "A number of blockers or warnings is 0 or more: correct it.",
    "one_live_test_an_account": "The account has another test copy: let that be removed first.",
    "campaigns_entry_fkey": "There is no such catalogue entry: check its name.",
    "campaigns_run_id_key": "Another campaign has this run id: give each run its own.",
    "campaigns_settings": "A campaign's waves have 1 account or more, a server takes part in 1 or 2 moves,"
    " and 0 to 100 % may fail: correct its settings.",
    "one_live_campaign_an_entry": "Another campaign performs this entry: let that one end, or stop it.",
    "campaign_accounts_campaign_fkey": "There is no such campaign: check its id.",
    "campaign_accounts_account_fkey": "There is no such account: check its name.",
    "campaign_accounts_wave": "Waves are counted from 1: correct it.",
    "campaign_accounts_reason": "An account that failed or is left has a reason: give it.",
    "customers_name": "A customer's name is not empty: give it.",
    "customers_mail": "This is not a mail address: correct it.",
    "entry_reminders_entry_fkey": "There is no such catalogue entry: check its name.",
    "entry_reminders_account_fkey": "There is no such account: check its name.",
    "entry_reminders_kind": "A reminder is for the opening, for days before the end, or for the end: correct it.",
    "ips_are_hosts": "An IP is a single address, without a prefix: correct it.",
    "ips_home_server_fkey": "There is no such server: add the server first.",
    "ips_routed_to_fkey": "There is no such server: check its name.",
    "names_fqdn": "This is not a host name: correct it.",
    "names_type": "A name's type is A or AAAA, with an address of that family: correct it.",
    "names_ttl": "A TTL is 1 second to a week: correct it.",
    "names_ttl_now": "A TTL is lowered, never raised: give at most the name's own.",
    "names_account_fkey": "There is no such account: add the account first.",
    "events_kind": "An event's kind is words of lower-case letters joined by '.' or '_': correct it.",
    "events_migration_fkey": "There is no such migration: check its id.",
    "events_account_fkey": "There is no such account: check its name.",
    "event_cursors_name": "A reader's name is lower-case letters, digits, '_', '.' and '-': correct it.",
    "event_cursors_last_event": "Events are counted from 1: give 0 to read all of them.",
    "events_server_fkey": "There is no such server: check its name.",
    "events_move_fkey": "There is no such move: check its id.",
}


class RegistryRefused(Exception):
    """The registry refuses; nothing was changed. The text is one sentence that says why and what to do."""


class Busy(RegistryRefused):
    """Refused only because something else is under way: the same call can be made again when that has ended."""


def sentence_of(error: psycopg.Error) -> str | None:
    """The sentence for a refusal of the schema; None when the error is something else (a lost connection,
    a deadlock: the caller may try again)."""
    if error.sqlstate in (REFUSED, BUSY):
        return error.diag.message_primary
    if error.diag.constraint_name in SENTENCES:
        return SENTENCES[error.diag.constraint_name]
    if error.diag.constraint_name is not None:
        return f"The rule {error.diag.constraint_name} refuses this: {error.diag.message_primary}."
    if error.sqlstate is not None and error.sqlstate.startswith("22"):
        return f"A value is not what it should be ({error.diag.message_primary}): correct it."
    if error.sqlstate == "23502":
        return f"A value is missing ({error.diag.table_name}.{error.diag.column_name}): give it."
    return None


@contextmanager
def transaction(conn: psycopg.Connection) -> Iterator[None]:
    """A transaction, or a savepoint when the caller has one open; refusals come out as `RegistryRefused`."""
    try:
        with conn.transaction():
            yield
    except psycopg.Error as error:
        sentence = sentence_of(error)
        if sentence is None:
            raise
        raise (Busy if error.sqlstate == BUSY else RegistryRefused)(sentence) from error


def in_transaction(
    function: Callable[Concatenate[psycopg.Connection, P], R],
) -> Callable[Concatenate[psycopg.Connection, P], R]:
    """Make a function of a connection one transaction."""

    @wraps(function)
    def wrapped(conn: psycopg.Connection, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with transaction(conn):
            return function(conn, *args, **kwargs)

    return wrapped


def rows(conn: psycopg.Connection, make: Callable[..., T], sql: str, params: Params | None = None) -> list[T]:
    """Every row, as a class, or what else takes its columns by name, makes of it."""
    with conn.cursor(row_factory=kwargs_row(make)) as cursor:
        return cursor.execute(sql, params).fetchall()


def row(conn: psycopg.Connection, make: Callable[..., T], sql: str, params: Params | None = None) -> T | None:
    """The first row, in the same way."""
    with conn.cursor(row_factory=kwargs_row(make)) as cursor:
        return cursor.execute(sql, params).fetchone()


def column(conn: psycopg.Connection, sql: str, params: Params | None = None) -> list[Any]:
    """The first column of every row."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(sql, params).fetchall()


def value(conn: psycopg.Connection, sql: str, params: Params | None = None) -> Any:
    """The first column of the first row; None without a row."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(sql, params).fetchone()


def certain(optional: T | None) -> T:
    """What the registry's own rules promise to be there."""
    if optional is None:
        raise LookupError("The registry lacks what its own rules promise; restore it from its backup.")
    return optional


def execute(conn: psycopg.Connection, sql: str, params: Params | None = None) -> int:
    """Run a statement; the number of rows it touched."""
    with conn.cursor() as cursor:
        return cursor.execute(sql, params).rowcount


def names(items: list[str], most: int = 10) -> str:
    """'a, b and 3 more', for a sentence."""
    if len(items) <= most:
        return ", ".join(items)
    return f"{', '.join(items[:most])} and {len(items) - most} more"
