"""Names follow their accounts: where each one leads, with which TTL, and what the host's DNS does not lead.

Everything here asks the registry where an account lives and brings its names there, so that every step of the two
DAGs that has to do with names is the same call, and a repeated one changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import psycopg

from include import registry
from include.facts import MoveFacts
from include.moves.network import own_addresses
from include.network.names import NameChanged, Names, NotInZone
from include.registry.states import MigrationState

LOWERED = (
    MigrationState.INSTALLING_TRANSIT,
    MigrationState.HANDED_OVER,
    MigrationState.ACCOUNTS_MOVED,
    MigrationState.REROUTED,
    MigrationState.ORIGINAL_EMPTY,
    MigrationState.REINSTALLING,
)
"""While a migration is one of these, an account may leave its server at any moment: TTLs are low. Afterwards only
those of the accounts that are still away."""

MAX_TTL = 604_800


def repoint(conn: psycopg.Connection, names: Names, server: str, account: str | None = None) -> list[str]:
    """Lets the names of the accounts that belong to `server` (or of one of them) lead to where these live now.

    TTLs are lowered while accounts may leave, and what they were is restored when an account is home for good. Gives a
    sentence for its customer on each name that does not follow: somebody has changed it, or it is not in our DNS. A
    name of a type that the transit has no address for stays.
    """
    migration = registry.migration_of(conn, server)
    accounts = [each for each in registry.accounts_of(conn, server) if account in (None, each.name)]
    sentences = []
    if migration is not None and migration.state in LOWERED:
        for owner in accounts:
            sentences += learn(conn, names, migration, owner)
    away = own_addresses(conn, migration.transit) if migration is not None and migration.transit else {}
    for owner in accounts:
        gone = owner.server != server
        low = gone or (migration is not None and migration.state in LOWERED)
        for name in registry.names_of_account(conn, owner.name):
            address = away.get(name.type, name.address) if gone else name.address
            sentences += _point(conn, names, name, address, low)
    return sentences


def _point(conn: psycopg.Connection, names: Names, name: registry.Name, address: str, low: bool) -> list[str]:
    if not low and not name.lowered and name.points_at == address:
        return []  # no migration has touched it
    try:
        held, ttl = names.held(name.fqdn, name.type)
        if low and not name.lowered and held in (name.points_at, address):
            # Remembered before it is lowered: whoever comes after a crash must not take ours for the customer's.
            name = registry.lower_name(conn, name.fqdn, name.type, min(max(ttl or 0, 1), MAX_TTL))
        new_ttl = min(names.lowered_ttl, name.ttl) if low else name.ttl
        names.point(name.fqdn, name.type, name.points_at, address, new_ttl)
    except (NameChanged, NotInZone) as error:
        reason = f"{str(error).partition(':')[0]}, so it does not follow {name.account}"
        because = f"{reason}: it is left to whoever changed it; tell us if that was not meant."
        registry.name_left(conn, name.fqdn, name.type, because)
        return [because]
    replaced = None if held is None or ttl is None else (held, ttl)
    registry.name_points(conn, name.fqdn, name.type, address, new_ttl, low, replaced)
    return []


def learn(
    conn: psycopg.Connection, names: Names, migration: registry.Migration, account: registry.Account
) -> list[str]:
    """Takes names of the account that the host's DNS leads to its server into the registry (the customer added them
    since), and lists the others; gives a sentence on each of those."""
    home = own_addresses(conn, migration.server)
    through = _and(home.values()) or "the server's own IPs"
    sentences = _take_in(
        conn,
        names,
        account,
        migration.server,
        away={*own_addresses(conn, migration.transit or "").values()},
        stays=f"it goes on arriving through {through}, which we pass on and then reroute; change nothing.",
        moves=f"leads to the transit, which others will have after you: point it at {through}.",
    )
    addresses = own_addresses(conn, migration.transit or "").values()
    sentences |= _senders(names, account, home.values(), addresses, "before it moves, and take it out once it is home")
    registry.list_elsewhere(conn, migration.id, account.name, sentences)
    return [*sentences.values()]


def left_to_customer(conn: psycopg.Connection, names: Names, move: MoveFacts) -> list[str]:
    """Before an account moves over, for good: like `learn`, except that IPs do not follow it, so that what our DNS
    does not lead is its customer's to point. Not once it has moved, nor where no more than one engine's databases
    move."""
    account = registry.account(conn, move.account)
    if move.engine or account.server != move.from_server:
        return []
    to = _and(own_addresses(conn, move.to_server).values()) or "the new server's IPs"
    sentences = _take_in(
        conn,
        names,
        account,
        move.from_server,
        away=set(),
        stays=f"point it at {to} once the account has moved; until then and for a while after we pass it on.",
        moves="",
    )
    old, new = (own_addresses(conn, server).values() for server in (move.from_server, move.to_server))
    sentences |= _senders(names, account, old, new, "before it moves, and take the old address out after it")
    return [*sentences.values()]


def _take_in(
    conn: psycopg.Connection,
    names: Names,
    account: registry.Account,
    server: str,
    away: set[str],
    stays: str,
    moves: str,
) -> dict[str, str]:
    """`stays`: what is said of a name that our DNS does not lead, `moves`: of one that leads to `away`."""
    ours = {ip.address for ip in registry.ips_of(conn, server)}
    recorded = {name.fqdn for name in registry.names_of(conn, server)}
    sentences: dict[str, str] = {}
    for fqdn in sorted({*account.domains, *_mail_domains(account)} - recorded):
        if not names.has(fqdn):
            sentences[fqdn] = f"{fqdn} is not in our DNS: {stays}"
            continue
        resolved = names.resolve(fqdn)
        hosts = [] if resolved.records or resolved.name != fqdn else names.mail_hosts(fqdn)
        if resolved.name != fqdn:
            if resolved.name not in recorded:
                sentences[fqdn] = f"{fqdn} is an alias of {resolved.name}, which is not the account's: {stays}"
        elif mine := [record for record in resolved.records if record[1] in ours]:
            for rdtype, address, ttl in mine:
                registry.add_name(conn, fqdn, rdtype, account.name, address, min(max(ttl, 1), MAX_TTL))
        elif {address for _, address, _ in resolved.records} & away:
            # Not taken for the account's: it may be the host's own name of the transit.
            sentences[fqdn] = f"{fqdn} {moves}"
        elif resolved.records:
            sentences[fqdn] = (
                f"{fqdn} leads to {_and(address for _, address, _ in resolved.records)}, which is not its server: it "
                "is left as it is; change nothing."
            )
        elif hosts:
            if not {*hosts} & recorded:
                sentences[fqdn] = (
                    f"Mail for {fqdn} goes to {_and(hosts)}, which is not the account's: it is left as it is."
                )
        else:
            sentences[fqdn] = f"{fqdn} has no address in our DNS: nobody reaches it by that name; add it if it is used."
    return sentences


def _senders(
    names: Names, account: registry.Account, old: Iterable[str], new: Iterable[str], until: str
) -> dict[str, str]:
    """A sentence on each domain in our DNS whose SPF record allows the `old` addresses by number, and not the `new`."""
    sentences = {}
    for fqdn in sorted({*account.domains, *_mail_domains(account)}):
        record = names.senders(fqdn) if names.has(fqdn) else None
        allowed = _allowed(record or "")
        if missing := [address for address in sorted(new) if not _within(address, allowed)]:
            if any(_within(address, allowed) for address in old):
                words = " ".join(f"ip{ip_address(address).version}:{address}" for address in missing)
                sentences[f"{fqdn} SPF"] = (
                    f"The SPF record of {fqdn} names its server's address and not the next one's, so mail that the"
                    f" account's programs send from there would be refused: add {words} {until}."
                )
    return sentences


def _allowed(record: str) -> list[IPv4Network | IPv6Network]:
    """The addresses that an SPF record allows by number."""
    networks = []
    for word in record.lower().split():
        kind, _, address = word.lstrip("+").partition(":")
        if kind in ("ip4", "ip6"):
            with suppress(ValueError):
                networks.append(ip_network(address, strict=False))
    return networks


def _within(address: str, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    return any(ip_address(address) in network for network in networks)


def _mail_domains(account: registry.Account) -> set[str]:
    description = account.description or {}
    addresses = [*description.get("mailboxes", []), *description.get("forwarders", [])]
    return {address.rpartition("@")[2].lower() for address in addresses}


def _and(words: Iterable[str]) -> str:
    return " and ".join(sorted(words))
