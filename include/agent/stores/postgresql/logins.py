"""Whether an account's roles log in by password: nothing else gets through the fronts of two servers.

A Unix user (peer, ident) or an address that is trusted is known to this server alone.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from ...account.accounts import Account
from ...host.digest import printable
from ...host.system import refuse
from .sql import kept

_PASSWORDS = frozenset({"scram-sha-256", "md5", "password"})
_RULES = """SELECT json_build_object('type', type, 'databases', database, 'users', user_name, 'address', address,
 'netmask', netmask, 'method', auth_method, 'options', coalesce(options, '{}')) FROM pg_hba_file_rules
 WHERE error IS NULL;
"""


def require_passwords(account: Account, clients: list[str | None]) -> None:
    """Refuse an account one of whose roles comes in by something else from these addresses (None: a socket)."""
    rules = kept().query(_RULES)
    for role in account.postgresql_roles:
        for database in account.postgresql_databases:
            for client in clients:
                if method := other_method(rules, account.name, role, database, client):
                    where = f"from {client}" if client else "by the socket"
                    refuse(
                        "not_led",
                        f"The PostgreSQL role {printable(role)} may log in {where} by {printable(method)}, which no "
                        "other server can check; let pg_hba.conf ask it for a password, then perform again.",
                    )


def other_method(
    rules: list[dict[str, Any]], unix_user: str, role: str, database: str, client: str | None
) -> str | None:
    """By what else than a password a program of the Unix user may log in, as pg_hba's first rule that fits says.

    Lists of users that are not plain (groups, patterns) may fit: they count where they ask for no password."""
    for rule in rules:
        if not _is_from(rule, client) or not _has(rule["databases"], database, role):
            continue
        plain = _has(rule["users"], role)
        if not plain and not any(user.startswith(("+", "/")) for user in rule["users"]):
            continue
        usable = rule["method"] not in _PASSWORDS | {"reject"}
        if rule["method"] in ("peer", "ident") and role != unix_user:
            # Without a map it lets in nobody but the user of that name.
            usable = any(option.startswith("map=") for option in rule["options"])
        if usable:
            return rule["method"]
        if plain:
            return None
    return None


def _has(names: list[str], name: str, role: str | None = None) -> bool:
    return name in names or "all" in names or (role == name and "sameuser" in names)


def _is_from(rule: dict[str, Any], client: str | None) -> bool:
    if client is None or rule["type"] == "local":
        return client is None and rule["type"] == "local"
    if rule["type"] == "hostgssenc":
        return False
    if rule["address"] in ("all", "samehost", "samenet"):
        return True
    try:
        network = ipaddress.ip_network(f"{rule['address']}/{_bits(rule['netmask'])}", strict=False)
    except ValueError:
        return rule["address"] == "localhost"
    return ipaddress.ip_address(client) in network


def _bits(mask: str) -> int:
    """The number of ones that a netmask of either family begins with."""
    return bin(int(ipaddress.ip_address(mask))).count("1")
