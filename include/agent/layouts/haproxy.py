"""HAProxy as the front of a server: whom it knows, and what it does with the requests of each account."""

import contextlib
import ipaddress
import socket
from dataclasses import dataclass
from pathlib import Path

from ..account.accounts import Account, State, standing, state_of
from ..host.system import CONFIG, RUNTIME, locked, refuse, write_if_changed

DOMAINS_MAP = CONFIG / "front" / "domains.map"
ACCOUNTS_MAP = CONFIG / "front" / "accounts.map"
PEERS = CONFIG / "front" / "peers.lst"
LOCK = RUNTIME / "front.lock"


def believed() -> list[str]:
    """The networks of the fronts whose word on their visitors this one takes."""
    networks = []
    for line in PEERS.read_text(errors="replace").splitlines() if PEERS.is_file() else ():
        with contextlib.suppress(ValueError):
            networks.append(str(ipaddress.ip_network(line.partition("#")[0].strip(), strict=False)))
    return networks[:1000]


def entry(state: State) -> str:
    """What the front does with an account's requests: serve, hold, closed, or the address they go to."""
    if state.state in ("serving", "test"):
        return "serve"
    if state.state == "held" or (state.state == "moved" and not state.released):
        return "hold"
    if state.state in ("moved", "receiving") and state.to:
        return state.to
    return "closed"


def hosts(account: Account) -> list[str]:
    """The host names under which an account is asked for here: a test copy's are names of its own."""
    state = standing(account.name)
    return sorted(state.test["names"].values()) if state.state == "test" else account.hosts


def parse_map(answer: str) -> dict[str, str]:
    """What `show map` says, as key and value."""
    rows = (line.split(" ", 2) for line in answer.splitlines() if line.strip())
    return {row[1]: row[2] if len(row) > 2 else "" for row in rows if len(row) > 1}


@dataclass(frozen=True)
class HAProxy:
    """The one that runs as the front: where it takes commands, and its unit."""

    socket: Path
    unit: str

    def runs(self) -> bool:
        """Whether it takes commands; the socket of one that has ended may still lie there."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            return connection.connect_ex(str(self.socket)) == 0

    def command(self, text: str) -> str:
        """One command to it; its answer. Refused when it does not run."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(10)
                connection.connect(str(self.socket))
                connection.sendall(text.encode() + b"\n")
                answer = b""
                while part := connection.recv(65536):
                    answer += part
        except OSError as error:
            refuse("front_down", f"HAProxy does not answer ({error}); start {self.unit} and try again.")
        return answer.decode(errors="replace").strip()

    def sync(self, path: Path, entries: dict[str, str]) -> None:
        """Make the file and the running map say these `entries`. The file first: a restart in between reads the new
        one."""
        write_if_changed(path, "".join(f"{key} {value}\n" for key, value in sorted(entries.items())))
        running = parse_map(self.command(f"show map {path}"))
        for key, value in entries.items():
            if key not in running:
                self._expect_silence(f"add map {path} {key} {value}")
            elif running[key] != value:
                self._expect_silence(f"set map {path} {key} {value}")
        for key in running.keys() - entries.keys():
            self._expect_silence(f"del map {path} {key}")

    def sync_accounts(self, accounts: list[Account]) -> None:
        """Make it know these accounts, by their names, and do what their states say."""
        self.sync(DOMAINS_MAP, {host: account.name for account in accounts for host in hosts(account)})
        self.sync(ACCOUNTS_MAP, {account.name: entry(standing(account.name)) for account in accounts})

    def set_entry(self, account: Account) -> None:
        """Make it follow the state of this account: what a hold, a return or a release changes of it."""
        value = entry(state_of(account.name))
        with locked(LOCK):
            lines = [line for line in ACCOUNTS_MAP.read_text().splitlines() if line.split(" ")[0] != account.name]
            # The file first: a restart in between reads the new one.
            write_if_changed(ACCOUNTS_MAP, "".join(f"{line}\n" for line in sorted([*lines, f"{account.name} {value}"])))
            self._expect_silence(f"set map {ACCOUNTS_MAP} {account.name} {value}")

    def _expect_silence(self, text: str) -> None:
        if answer := self.command(text):
            refuse("front_refused", f"HAProxy answered {answer!r} to {text!r}; look at its log and try again.")
