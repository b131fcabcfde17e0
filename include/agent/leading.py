"""Programs of an account are led to its databases on another server, by the host name, port and socket that they know.

Connections that a program of the account makes to this server's port of the engine are turned by the firewall to a port
of the front that is this account's and this engine's alone, and that nobody else may connect to. The front goes on to
the front of the other server and tells it the address that they came from, as it would for a visitor. A socket that
stands where PHP looks for the engine's leads into the same way.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from . import front
from .accounts import LEAD_PORTS, Account, all_accounts, state_of
from .system import CONFIG, RUNTIME, locked, refuse, run, write_if_changed

PORTS = {"postgresql": 5432, "mariadb": 3306}
"""The servers' common ports of the engines."""
_RULES = CONFIG / "front" / "led.nft"


def begin(account: Account) -> None:
    """Lead the programs of the account that start from now on; can be repeated. Needs its state to say where."""
    front.render_maps()
    _render_rules()
    open_sockets(account)


def open_sockets(account: Account) -> None:
    """Before PHP starts: what stands in the place of the engines' own sockets. Nothing where all is here."""
    units = [f"led-{engine}@{account.name}.socket" for engine in state_of(account.name).engines]
    if units:
        run(["systemctl", "start", *units])


def restore() -> None:
    """At a boot: the firewall leads whom it led before."""
    _render_rules()


def end(account: Account) -> None:
    """Nothing leads anywhere for an account that is removed; its state says so already."""
    units = [f"led-{engine}@{account.name}.{kind}" for engine in PORTS for kind in ("socket", "service")]
    run(["systemctl", "stop", *units], check=False)
    run(["rm", "-rf", "--", f"/run/transhumance-led/{account.name}"])
    _render_rules()


@contextmanager
def allotted(account: Account, engine: str) -> Iterator[int]:
    """A port of the front for this account and engine, which the state must name by the end of the block."""
    with locked(RUNTIME / "lead.lock"):
        engines = [(name, there) for name, there in _led()]
        mine = [there["lead_port"] for name, there in engines if name == (account.name, engine)]
        taken = {there["lead_port"] for _, there in engines}
        free = [*mine, *(port for port in LEAD_PORTS if port not in taken)]
        if not free:
            refuse("no_lead_port", f"All {len(LEAD_PORTS)} ports that lead to databases elsewhere are in use here.")
        yield free[0]


def _led() -> Iterator[tuple[tuple[str, str], dict[str, Any]]]:
    for account in all_accounts():
        for engine, there in state_of(account.name).engines.items():
            yield (account.name, engine), there


# --- the firewall ---


def rules(led: list[tuple[int, int, int]]) -> str:
    """The firewall's table for these (uid, port that programs know, port of the front)."""
    to = ", ".join(f"{uid} . {port} : {lead}" for uid, port, lead in sorted(led))
    own = ", ".join(f"{uid} . {lead}" for uid, _, lead in sorted(led))
    known = ", ".join(str(port) for port in sorted(PORTS.values()))
    return f"""# Whose programs are led to databases on another server; written by the agent.
table inet led
delete table inet led
table inet led {{
  map leads {{
    type uid . inet_service : inet_service
    {f"elements = {{ {to} }}" if to else ""}
  }}
  set own {{
    type uid . inet_service
    {f"elements = {{ {own} }}" if own else ""}
  }}
  chain lead {{
    type nat hook output priority -100; policy accept;
    oifname "lo" tcp dport {{ {known} }} redirect to :meta skuid . tcp dport map @leads
  }}
  chain guard {{
    type filter hook output priority filter; policy accept;
    tcp dport {LEAD_PORTS[0]}-{LEAD_PORTS[-1]} meta skuid . tcp dport != @own reject with tcp reset
  }}
}}
"""


def _render_rules() -> None:
    with locked(RUNTIME / "lead.lock"):
        uids = {account.name: account.uid for account in all_accounts()}
        led = [(uids[name], PORTS[engine], there["lead_port"]) for (name, engine), there in _led()]
        # The file is what the firewall begins with at a boot.
        if write_if_changed(_RULES, rules(led)) or not _in_force():
            run(["nft", "--file", str(_RULES)])


def _in_force() -> bool:
    return run(["nft", "list", "table", "inet", "led"], check=False).returncode == 0


# --- before a hold ---


def rehearse(account: Account, engine: str, address: str, port: int) -> None:
    """Refuse what could not be led, while everything can still stay as it is."""
    units = [f"led-{engine}@{account.name}.socket", f"led-{engine}@{account.name}.service"]
    if run(["systemctl", "cat", *units], check=False).returncode != 0:
        refuse("not_led", f"This server has no units led-{engine}@; install them, then perform again.")
    try:
        socket.create_connection((address, port), 5).close()
    except OSError as error:
        refuse("not_led", f"The front of {address} is not reached at its port {port} ({error}); open it, then perform.")


__all__ = ["PORTS", "allotted", "begin", "end", "open_sockets", "rehearse", "restore", "rules"]
