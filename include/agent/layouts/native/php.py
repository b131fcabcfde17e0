"""What runs an account's sites: a php-fpm of its own, an app of its own if it has one, and the gate before both.

nginx may open the sockets of every account, so none of those that it opens lies where an account could put another
one: systemd makes them in a directory of root's and hands them to what answers there as the account. For PHP that is
php-fpm, for the app a proxy which reaches ~/app.sock with no more rights than the account has.

The gate is two links of root's to these sockets. Without them nginx reaches neither, whatever runs; what comes
meanwhile goes back to the front and waits there. So PHP may be started before its account is opened, and a hold shuts
the gate first.
"""

import os
import re
import select
import signal
import socket
import struct
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...account.accounts import Account
from ...host import processes
from ...host.system import refuse, run
from ...host.unix_sockets import Ages, connections

GATES = Path("/run/transhumance-gate")
SOCKETS = Path("/run/transhumance-web")
_STATUS_MOST, _STATUS_SECONDS = 1 << 20, 2.0
LONG_REQUEST = 0.5
"""Seconds that a hold gives a request that may be cut; it is not waited for when it has had them before."""
APP = "APP"
MAY_BE_CUT = frozenset({"GET", "HEAD", APP})
"""Methods whose requests may be begun a second time (RFC 9110, 9.2), and an app's connections: those that last are
WebSockets, which their visitors open again."""
UNKNOWN = "unknown"
_PHP, _PROXY = "php-fpm", "systemd-socket-"
"""How the names of the processes begin, as the kernel keeps them."""
_METHOD = re.compile(r"[A-Z][A-Z-]{0,30}")


def gate(account: Account) -> Path:
    """What nginx connects to for PHP."""
    return GATES / f"{account.name}.sock"


def app_gate(account: Account) -> Path:
    """What nginx connects to for the account's app."""
    return GATES / f"{account.name}.app"


def _mark(account: Account) -> Path:
    """While it exists systemd starts no PHP of the account."""
    return GATES / f"{account.name}.shut"


def _php_socket(account: Account) -> Path:
    return SOCKETS / f"{account.name}.php"


def _status_socket(account: Account) -> Path:
    return SOCKETS / f"{account.name}.status"


def _app_socket(account: Account) -> Path:
    return SOCKETS / f"{account.name}.app"


def _has_app(account: Account) -> bool:
    return any(site.app for site in account.sites)


def _unit(account: Account) -> str:
    return f"php-fpm@{account.name}.service"


def _app_unit(account: Account) -> str:
    return f"app@{account.name}.socket"


def pool(account: Account) -> str:
    """php-fpm's configuration for an account; its unit runs it as the account's user, with these sockets open."""
    return f"""; PHP of the account {account.name}; written by the agent.
[global]
daemonize = no
error_log = syslog
syslog.ident = php-{account.name}

[{account.name}]
listen = {_php_socket(account)}
pm = ondemand
pm.max_children = 20
pm.process_idle_timeout = 60s
pm.status_path = /status
pm.status_listen = {_status_socket(account)}
chdir = {account.home}
"""


# --- start and stop ---


def warm(account: Account) -> None:
    """Have PHP running behind a gate that stays as it is. It runs nothing of the customer's before a request comes."""
    if _mark(account).exists():
        _end(account)  # a stop that was cut off ends first
        _mark(account).unlink()
    units = [] if _runs(account) else [_unit(account)]
    if _has_app(account) and not _app_socket(account).exists():
        units.append(_app_unit(account))
    if units:
        run(["systemctl", "start", *units])


def start(account: Account) -> None:
    """Have PHP running and its gate open; cheap when it was warm."""
    warm(account)
    links = [(gate(account), _php_socket(account))]
    if _has_app(account):
        links.append((app_gate(account), _app_socket(account)))
    for link, target in links:
        fresh = GATES / f".{link.name}.{os.getpid()}"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(target)
        fresh.rename(link)


def shut(account: Account) -> None:
    """Let no further request into PHP and the app; those in it go on."""
    gate(account).unlink(missing_ok=True)
    app_gate(account).unlink(missing_ok=True)


def stop(account: Account) -> None:
    """Shut the gate and end PHP at once; what it still works on is cut, so `drain` comes before."""
    shut(account)
    # With the mark there systemd starts nothing again, whatever it thinks of this end.
    _mark(account).touch()
    _end(account)


def _end(account: Account) -> None:
    """Master and workers at the same time: its own orderly way takes a worker's whole tidying up."""
    for number, patience in ((signal.SIGTERM, 1.0), (signal.SIGKILL, 5.0)):
        end = time.monotonic() + patience
        ending = [processes.tell(pid, number) for _, pid, _ in _processes(account)]
        for descriptor in filter(None, ending):
            select.select([descriptor], [], [], max(0.0, end - time.monotonic()))
            os.close(descriptor)


def spared(_account: Account, pids: Collection[int]) -> set[int]:
    """Which of these processes of an account that is held may run: none, PHP's own end with it."""
    return set()


def _runs(account: Account) -> bool:
    return any(name.startswith(_PHP) and parent == 1 for name, _, parent in _processes(account))


def _processes(account: Account) -> list[tuple[str, int, int]]:
    """The processes of the account's that are a php-fpm or one of our proxies: name, id and parent of each; that of a
    php-fpm's master is systemd."""
    workers = []
    for pid in processes.of_user(account.uid):
        try:
            # A process may give itself any name.
            stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        name, _, rest = stat.partition("(")[2].rpartition(")")
        if name.startswith((_PHP, _PROXY)):
            workers.append((name, pid, int(rest.split()[1])))
    return workers


def forget(account: Account) -> None:
    """Nothing stays of the PHP of an account that is removed."""
    shut(account)
    units = [f"{kind}@{account.name}.{part}" for kind in ("php-fpm", "app") for part in ("socket", "service")]
    run(["systemctl", "stop", *units], check=False)
    run(["systemctl", "reset-failed", *units], check=False)
    _mark(account).unlink(missing_ok=True)


# --- what runs in it ---


def told(account: Account, request: dict[str, Any]) -> str:
    """The beginning of a sentence that says what a hold would have to wait for."""
    if request["method"] == UNKNOWN:
        return f"PHP of {account.name} does not say what it works on, which may still run"
    where = "its program behind ~/app.sock" if request["method"] == APP else "PHP"
    kind = "request" if request["method"] == APP else f"{request['method']} request"
    return f"A {kind} of {account.name} has run in {where} for {request['seconds']:.1f} s"


def under_way(account: Account) -> int:
    """How many requests are in the account's PHP, or wait for it at its socket."""
    accepted, waiting = connections(_php_socket(account))
    return len(accepted) + waiting


@dataclass
class Requests:
    """What runs in PHP and the app of an account, seen again and again: a connection to the app is as old as it has
    been seen, so one looks half a second before a hold."""

    account: Account
    ages: Ages = field(default_factory=Ages)
    """Of the connections to the app."""

    def busy(self) -> list[dict[str, Any]]:
        """The requests that PHP and the app work on, the oldest first: [{"method", "seconds"}]; also those that PHP has
        answered already but goes on with.

        PHP that does not run is not busy; PHP that does not say is."""
        requests = self._in_the_app()
        if not _runs(self.account):
            return requests
        try:
            text = _status(self.account)
        except (OSError, struct.error):
            return [{"method": UNKNOWN, "seconds": float("inf")}]
        return sorted(requests + _in_php(text), key=lambda request: -request["seconds"])

    def not_to_be_cut(self, older: float) -> list[dict[str, Any]]:
        """The requests, older than so many seconds, that a hold has to wait for; the oldest first."""
        return [request for request in self._waited_for() if request["seconds"] > older]

    def drain(self, seconds: float) -> int:
        """Wait until no request is in PHP or the app; the gate must be shut. Gives how many are left that may be cut.

        Those are cut by what ends the account's processes. A long poll waits at the front then, and is begun again
        where the account is; a WebSocket is closed. Where another one is left this is refused: the hold must be undone,
        so that it can end.
        """
        end = time.monotonic() + seconds
        while waited_for := self._waited_for():
            if time.monotonic() > end:
                request = told(self.account, waited_for[0])
                refuse("php_busy", f"{request} and would be cut; wait until it has ended, try again.")
            time.sleep(0.002)
        return under_way(self.account) + len(self._in_the_app())

    def _waited_for(self) -> list[dict[str, Any]]:
        """The requests that a hold lets end: all but those that may be begun again and have had their time."""
        requests = self.busy()
        told_by_php, connected = sum(r["method"] != APP for r in requests), under_way(self.account)
        # One that PHP has been given this moment, or is about to be, and does not tell yet may be of any method.
        requests += [{"method": UNKNOWN, "seconds": 0.0}] * (connected - told_by_php)
        # A request whose visitor has got the answer already cannot be begun again by anybody.
        answered = told_by_php > connected
        return [r for r in requests if answered or r["method"] not in MAY_BE_CUT or r["seconds"] < LONG_REQUEST]

    def _in_the_app(self) -> list[dict[str, Any]]:
        """The connections to the account's app, as `busy` gives them."""
        if not _has_app(self.account):
            return []
        (accepted, waiting), now = connections(_app_socket(self.account)), time.monotonic()
        return [{"method": APP, "seconds": now - since} for since in self.ages.look(accepted, waiting, now)]


def _in_php(text: str) -> list[dict[str, Any]]:
    """The requests that php-fpm's list of its processes tells."""
    requests = []
    for block in text.split("*" * 24)[1:]:
        fields = dict(re.findall(r"^([a-z ]+):[ \t]*(.*?)\r?$", block, re.MULTILINE))
        if fields.get("state") not in ("Idle", None):
            method, duration = fields.get("request method", ""), fields.get("request duration", "")
            seconds = int(duration) / 1e6 if re.fullmatch(r"[0-9]{1,15}", duration) else 0.0
            requests.append({"method": method if _METHOD.fullmatch(method) else UNKNOWN, "seconds": seconds})
    return requests


def _status(account: Account) -> str:
    """php-fpm's own list of its processes, asked at a socket that is free when all of them are busy.

    It is the account that answers: it gets two seconds for all of it."""

    def record(kind: int, content: bytes) -> bytes:
        return struct.pack(">BBHHBB", 1, kind, 1, len(content), 0, 0) + content

    words = {"SCRIPT_NAME": "/status", "SCRIPT_FILENAME": "/status", "REQUEST_METHOD": "GET", "QUERY_STRING": "full"}
    params = b"".join(bytes((len(k), len(v))) + k.encode() + v.encode() for k, v in words.items())
    answer = _exchange(
        _status_socket(account),
        record(1, struct.pack(">HB5x", 1, 0)) + record(4, params) + record(4, b"") + record(5, b""),
    )
    text, at = bytearray(), 0
    while len(answer) - at >= 8:
        _, kind, _, length, padding = struct.unpack_from(">BBHHB", answer, at)
        text += answer[at + 8 : at + 8 + length] if kind == 6 else b""
        at += 8 + length + padding
    return text.decode(errors="replace")


def _exchange(path: Path, asked: bytes) -> bytes:
    """What is answered at a socket until it is closed, within bounds of time and size."""
    end, answer = time.monotonic() + _STATUS_SECONDS, bytearray()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_STATUS_SECONDS)
        connection.connect(str(path))
        connection.sendall(asked)
        while len(answer) < _STATUS_MOST:
            if (left := end - time.monotonic()) <= 0:
                raise TimeoutError(f"{path} has not answered within {_STATUS_SECONDS} s")
            connection.settimeout(left)
            if not (part := connection.recv(65536)):
                break
            answer += part
    return bytes(answer)
