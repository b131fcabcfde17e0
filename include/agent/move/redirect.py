"""Programs of an account are led to its databases on another server, by the host name, port and socket that they know.

Connections that a program of the account makes to this server's port of the engine are turned by the firewall to a port
of the front that is this account's and this engine's alone, and that nobody else may connect to. The front goes on to
the front of the other server and tells it the address that they came from, as it would for a visitor. In the place of
the engine's own sockets the account's PHP (by its unit), cron jobs and logins (by PAM) see one that leads there too.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..account.accounts import LEAD_PORTS, Account, all_accounts, standing, state_of
from ..host.system import CONFIG, CRONTABS, RUNTIME, locked, refuse, run, write_if_changed
from ..layouts import front
from . import stores

_RULES = CONFIG / "front" / "led.nft"
_NAMESPACES = Path("/etc/security/namespace.d/transhumance.conf")
_INSTEAD = Path("/run/transhumance-led")


def begin(account: Account) -> None:
    """Lead the programs of the account that start from now on; can be repeated. Needs its state to say where."""
    front.render_maps()
    restore()
    open_sockets(account)


def restore() -> None:
    """Firewall and PAM lead whom the states say; nothing happens where nothing changed."""
    with locked(RUNTIME / "lead.lock"):
        led = list(_led())
        ports = [(account.uid, stores.engine_named(engine).port, moved["lead_port"]) for account, engine, moved in led]
        # The file is what the firewall begins with at a boot.
        if write_if_changed(_RULES, rules(ports)) or not _in_force():
            run(["nft", "--file", str(_RULES)])
        write_if_changed(_NAMESPACES, namespaces([(account.name, engine) for account, engine, _ in led]))


def open_sockets(account: Account) -> None:
    """Before its programs start: what stands in the place of the engines' own sockets. Nothing where all is here."""
    units = [f"led-{engine}@{account.name}.socket" for engine in state_of(account.name).engines]
    if units:
        run(["systemctl", "start", *units])


@contextmanager
def allotted(account: Account, engine: str) -> Iterator[int]:
    """A port of the front for this account and engine, which the state must name by the end of the block."""
    with locked(RUNTIME / "lead.lock"):
        taken = {moved["lead_port"] for _, _, moved in _led()}
        port = next((port for port in LEAD_PORTS if port not in taken), None)
        if port is None:
            refuse("no_lead_port", f"All {len(LEAD_PORTS)} ports that lead to databases elsewhere are in use here.")
        yield port


def _led() -> Iterator[tuple[Account, str, dict[str, Any]]]:
    for account in all_accounts():
        for engine, moved in standing(account.name).engines.items():
            yield account, engine, moved


def rules(led: list[tuple[int, int, int]]) -> str:
    """The firewall's table for these (uid, port that programs know, port of the front)."""
    to = ", ".join(f"{uid} . {port} : {lead}" for uid, port, lead in sorted(led))
    own = ", ".join(f"{uid} . {lead}" for uid, _, lead in sorted(led))
    known = ", ".join(str(port) for port in sorted(engine.port for engine in stores.ENGINES))
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
  chain outside {{
    type filter hook input priority filter; policy accept;
    iifname != "lo" tcp dport {LEAD_PORTS[0]}-{LEAD_PORTS[-1]} reject with tcp reset
  }}
}}
"""


def _in_force() -> bool:
    return run(["nft", "list", "table", "inet", "led"], check=False).returncode == 0


def namespaces(led: list[tuple[str, str]]) -> str:
    """pam_namespace's lines for these (account, engine)."""
    lines = ["# Whose sessions are led to databases on another server; written by the agent.\n"]
    for engine in sorted(stores.ENGINES, key=lambda engine: engine.name):
        if names := sorted(name for name, led_to in led if led_to == engine.name):
            lines.append(f"{engine.socket.parent} {_INSTEAD}/{engine.name}/ user:noinit ~{','.join(names)}\n")
    return "".join(lines)


# --- before a hold ---


def require_leadable(account: Account, engine: str) -> None:
    """Refuse an account whose programs could not be led to databases of an engine elsewhere, or that has none."""
    if not account.has(engine):
        refuse("nothing_to_move", f"The account {account.name} has no {engine} databases and no users of them.")
    stores.engine_named(engine).require_passwords(account)
    units = [f"led-{engine}@{account.name}.socket", f"led-{engine}@{account.name}.service"]
    if run(["systemctl", "cat", *units], check=False).returncode != 0:
        refuse("not_led", f"This server has no units led-{engine}@; install them, then perform again.")
    if missing := [name for name in _sessions(account) if "pam_namespace.so" not in _pam(name)]:
        refuse(
            "not_led",
            f"Sessions of {account.name} begin without pam_namespace (/etc/pam.d/{missing[0]}), so they would go on "
            f"using this server's {engine} socket; add it there, then perform again.",
        )


def rehearse(account: Account, engine: str, address: str, port: int) -> None:
    """Refuse what could not be led, while everything can still stay as it is."""
    require_leadable(account, engine)
    try:
        socket.create_connection((address, port), 5).close()
    except OSError as error:
        refuse("not_led", f"The front of {address} is not reached at its port {port} ({error}); open it, then perform.")


def _sessions(account: Account) -> list[str]:
    """What PAM calls the ways in which programs of the account start, besides PHP's unit."""
    crontabs = (CRONTABS / account.name, account.directory / "crontab")
    cron = account.has_cron_file or any(path.is_file() for path in crontabs)
    login = account.shell not in ("/bin/false", "/usr/sbin/nologin")
    return [name for name, used in (("common-session-noninteractive", cron), ("common-session", login)) if used]


def _pam(name: str) -> str:
    """What PAM does for these sessions, without comments."""
    lines = (Path("/etc/pam.d") / name).read_text().splitlines()
    return "\n".join(line.partition("#")[0] for line in lines)


def receivable(account: Account) -> None:
    """On the other server: refuse a part whose users could not log in through its front."""
    stores.engine_named(account.part or "").require_front(account)
