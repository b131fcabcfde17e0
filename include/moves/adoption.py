"""A host's own accounts: found on a server by its own configuration, and adopted there as they are."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import psycopg

from include import registry
from include.agent import verbs
from include.agent.host.codec import decode
from include.agent.host.shapes import Strange
from include.agent.verbs.discovered import Discovered, Inhabitants
from include.hosts import AgentError, Host
from include.moves import servers, unclaimed

MOST_SENTENCES = 20
"""That are kept of an account, or of a server: more are as one."""


def discover(conn: psycopg.Connection, server: str, host: Host, run_id: str) -> list[str]:
    """Has the server's own configuration read, and keeps who was found; gives a sentence on each account and on what is
    not understood. The same run is given the same answer."""
    inhabitants = _inhabitants(host, run_id)
    accounts = [
        registry.DiscoveredAccount(
            name=account.name,
            home=account.home,
            hosts=[name for site in account.sites for name in site.names],
            unfit=_unfit(account),
        )
        for account in inhabitants.accounts
    ]
    registry.record_discovery(conn, server, accounts, inhabitants.unclear)
    sentences = [f"{each.name}: {each.unfit[0] if each.unfit else 'it can be adopted.'}" for each in accounts]
    return [*sentences, *inhabitants.unclear]


def adopt(conn: psycopg.Connection, server: str, names: Sequence[str], host: Host, run_id: str) -> list[str]:
    """Registers these accounts of the server as they were found in this run; nothing of them is changed or started
    again. Then what is still no account's there is known. Refused, all of it, where one was not found, or something of
    it cannot go over."""
    if not names:
        return []
    accounts = {account.name: account for account in _inhabitants(host, run_id).accounts}
    for name in names:
        if name not in accounts:
            raise registry.RegistryRefused(
                f"No account {name} was found on {server}: type python -m cli discover {server} for those there are."
            )
        for sentence in _unfit(accounts[name]):
            raise registry.RegistryRefused(f"{name} cannot be adopted yet. {sentence}")
    for name in names:
        host.call(verbs.Adopt(account_file=registry.certain(accounts[name].account_file)))
    sentences = [*(f"{name} is adopted on {server}." for name in names), *servers.refresh(conn, server, host)]
    return [*sentences, *(each.sentence for each in unclaimed.look(conn, server, host) if each.signed_by is None)]


def _inhabitants(host: Host, run_id: str) -> Inhabitants:
    operation = f"discover-{hashlib.sha256(run_id.encode()).hexdigest()[:24]}"
    answer = host.run(operation, verbs.Discover())
    try:
        inhabitants: Inhabitants = decode(Inhabitants, answer)
    except Strange as strange:
        raise AgentError(
            "strange_reply", f"What answers discover on this server is not its agent{strange}; find out what it is."
        ) from None
    return inhabitants


def _unfit(account: Discovered) -> list[str]:
    """What keeps an account from being adopted, a sentence each."""
    if account.account_file is None and not account.unfit:
        return [f"What {account.name} is cannot be said in an account file."]
    more = len(account.unfit) - MOST_SENTENCES
    return account.unfit[:MOST_SENTENCES] + ([f"There are {more} more such sentences."] if more > 0 else [])
