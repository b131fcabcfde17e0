"""What runs an account's sites: a php-fpm of its own, an app of its own if it has one, and the gate before both.

The gate is two links of root's to their sockets. Without them nginx reaches neither, whatever runs; what comes
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
from pathlib import Path
from typing import Any

from . import processes
from .accounts import Account
from .system import refuse, run

GATES = Path("/run/transhumance-gate")
_STATUS_MOST = 1 << 20
PATIENCE = 0.5
"""Seconds that a hold gives a request that may be cut; it is not waited for when it has had them before."""
APP = "APP"
MAY_BE_CUT = frozenset({"GET", "HEAD", APP})
"""Methods whose requests may be begun a second time (RFC 9110, 9.2), and an app's connections: those that last are
WebSockets, which their visitors open again."""
_seen: dict[tuple[str, int], float] = {}
"""Since when this process knows a connection to an app, by account and inode."""


def gate(account: Account) -> Path:
    """What nginx connects to for PHP."""
    return GATES / f"{account.name}.sock"


def app_gate(account: Account) -> Path:
    """What nginx connects to for the account's app."""
    return GATES / f"{account.name}.app"


def _mark(account: Account) -> Path:
    """While it exists systemd starts no PHP of the account."""
    return GATES / f"{account.name}.shut"


def _directory(account: Account) -> str:
    return f"/run/transhumance-php-{account.name}"


def _php_socket(account: Account) -> str:
    return f"{_directory(account)}/php.sock"


def _app_socket(account: Account) -> str:
    return f"{account.home}/app.sock"


def _unit(account: Account) -> str:
    return f"php-fpm@{account.name}.service"


def pool(account: Account) -> str:
    """php-fpm's configuration for an account; its unit runs it as the account's user."""
    return f"""; PHP of the account {account.name}; written by the agent.
[global]
daemonize = no
error_log = syslog
syslog.ident = php-{account.name}

[{account.name}]
listen = {_directory(account)}/php.sock
listen.mode = 0660
pm = ondemand
pm.max_children = 20
pm.process_idle_timeout = 60s
pm.status_path = /status
pm.status_listen = {_directory(account)}/status.sock
chdir = {account.home}
"""


# --- start and stop ---


def warm(account: Account) -> None:
    """Have PHP running behind a gate that stays as it is. It runs nothing of the customer's before a request comes."""
    if _mark(account).exists():
        _end(account)  # a stop that was cut off ends first
        _mark(account).unlink()
    if not _runs(account):
        run(["systemctl", "start", _unit(account)])


def start(account: Account) -> None:
    """Have PHP running and its gate open; cheap when it was warm."""
    warm(account)
    for link, target in ((gate(account), _php_socket(account)), (app_gate(account), _app_socket(account))):
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
        told = [_tell(pid, number) for pid, _ in _processes(account)]
        for descriptor in filter(None, told):
            select.select([descriptor], [], [], max(0.0, end - time.monotonic()))
            os.close(descriptor)


def _tell(pid: int, number: signal.Signals) -> int | None:
    """Send the signal; a descriptor that tells when the process has ended, None when it has."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    try:
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        pass
    return descriptor


def _runs(account: Account) -> bool:
    return any(parent == 1 for _, parent in _processes(account))


def _processes(account: Account) -> list[tuple[int, int]]:
    """The processes of the account's that are a php-fpm, and the parent of each; a master's is systemd."""
    found = []
    for pid in processes.of_user(account.uid):
        try:
            name, _, rest = Path(f"/proc/{pid}/stat").read_text().partition("(")[2].rpartition(")")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if name.startswith("php-fpm"):
            found.append((pid, int(rest.split()[1])))
    return found


def forget(account: Account) -> None:
    """Nothing stays of the PHP of an account that is removed."""
    shut(account)
    run(["systemctl", "stop", _unit(account)], check=False)
    run(["systemctl", "reset-failed", _unit(account)], check=False)
    _mark(account).unlink(missing_ok=True)


# --- what runs in it ---


def drain(account: Account, seconds: float) -> int:
    """Wait until no request is in PHP or the app; the gate must be shut. Gives how many are left that may be cut.

    Those are cut by what ends the account's processes. A long poll waits at the front then, and is begun again where
    the account is; a WebSocket is closed. Where another one is left this is refused: the hold must be undone, so that
    it can end.
    """
    end = time.monotonic() + seconds
    while waited_for := _waited_for(account):
        if time.monotonic() > end:
            refuse(
                "php_busy",
                f"A {waited_for[0]['method']} request of {account.name} has run in PHP for "
                f"{waited_for[0]['seconds']:.1f} s and would be cut; wait until it has ended and try again.",
            )
        time.sleep(0.002)
    return under_way(account) + len(_in_the_app(account))


def not_to_be_cut(account: Account, older: float) -> list[dict[str, Any]]:
    """The requests, older than so many seconds, that a hold has to wait for; the oldest first."""
    return [request for request in _waited_for(account) if request["seconds"] > older]


def _waited_for(account: Account) -> list[dict[str, Any]]:
    """The requests that a hold lets end: all but those that may be begun again and have had their time."""
    requests = busy(account)
    # A request whose visitor has got the answer already cannot be begun again by anybody.
    answered = sum(r["method"] != APP for r in requests) > under_way(account)
    return [r for r in requests if answered or r["method"] not in MAY_BE_CUT or r["seconds"] < PATIENCE]


def under_way(account: Account) -> int:
    """How many requests are in the account's PHP, or wait for it at its socket."""
    path = _php_socket(account).encode()
    return sum(waiting for name, waiting, _ in _unix_streams() if name == path)


def _in_the_app(account: Account) -> list[dict[str, Any]]:
    """The connections to the account's app, as `busy` gives them; how long they have been known here."""
    if not any(site.app for site in account.sites):
        return []
    path, now = _app_socket(account).encode(), time.monotonic()
    there = {(account.name, inode) for name, _, inode in _unix_streams() if name == path and inode}
    for key in [key for key in _seen if key[0] == account.name and key not in there]:
        del _seen[key]
    return [{"method": APP, "seconds": now - _seen.setdefault(key, now)} for key in there]


_SOCK_DIAG, _DUMP_REQUEST, _DONE = 20, 0x301, 3
_ESTABLISHED, _LISTENING = 1, 10
_NAME, _QUEUE = 0, 4


def _unix_streams() -> list[tuple[bytes, int, int]]:
    """Each named Unix socket: its path; 1 when it is connected and the connections nobody has accepted yet when it
    listens; its inode when it is connected, else 0.

    Asked of the kernel itself: in /proc/net/unix a customer's path may hold a newline, and then lie about others.
    """
    states, show = 1 << _ESTABLISHED | 1 << _LISTENING, 1 << _NAME | 1 << _QUEUE
    body = struct.pack("=BBHIIIII", socket.AF_UNIX, 0, 0, states, 0, show, 0xFFFFFFFF, 0xFFFFFFFF)
    header = struct.pack("=IHHII", 16 + len(body), _SOCK_DIAG, _DUMP_REQUEST, 0, 0)
    found = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4) as kernel:
        kernel.settimeout(5)
        kernel.send(header + body)
        while True:
            data = kernel.recv(1 << 20)
            while data:
                length, kind = struct.unpack_from("=IH", data)
                if kind == _DONE:
                    return found
                if kind != _SOCK_DIAG:
                    refuse("no_sock_diag", "The kernel does not tell its Unix sockets; load the module unix_diag.")
                state, attributes = data[18], data[32:length]
                told = {}
                while len(attributes) >= 4:
                    size, name = struct.unpack_from("=HH", attributes)
                    told[name] = attributes[4:size]
                    attributes = attributes[(size + 3) & ~3 :]
                if path := told.get(_NAME):
                    queued, inode = struct.unpack_from("=I", told[_QUEUE])[0], 0
                    if state == _ESTABLISHED:
                        queued, inode = 1, struct.unpack_from("=I", data, 20)[0]
                    found.append((path.rstrip(b"\0"), queued, inode))
                data = data[(length + 3) & ~3 :]


def busy(account: Account) -> list[dict[str, Any]]:
    """The requests that PHP and the app work on, the oldest first: [{"method", "seconds"}]; also those that PHP has
    answered already but goes on with.

    PHP that does not run is not busy; PHP that does not say is. A connection to the app is as old as this process
    knows, so it should look (here or by `quiet`) half a second before a hold.
    """
    found = _in_the_app(account)
    if not _runs(account):
        return found
    try:
        text = _status(account)
    except (OSError, struct.error):
        return [{"method": "unknown", "seconds": 0.0}]
    for block in text.split("*" * 24)[1:]:
        fields = dict(re.findall(r"^([a-z ]+):[ \t]*(.*?)\r?$", block, re.MULTILINE))
        if fields.get("state") not in ("Idle", None):
            taken = fields.get("request duration", "")
            seconds = int(taken) / 1e6 if taken.isdigit() else 0.0
            found.append({"method": fields.get("request method", "unknown"), "seconds": seconds})
    return sorted(found, key=lambda request: -request["seconds"])


def _status(account: Account) -> str:
    """php-fpm's own list of its processes, asked at a socket that is free when all of them are busy."""

    def record(kind: int, content: bytes) -> bytes:
        return struct.pack(">BBHHBB", 1, kind, 1, len(content), 0, 0) + content

    words = {"SCRIPT_NAME": "/status", "SCRIPT_FILENAME": "/status", "REQUEST_METHOD": "GET", "QUERY_STRING": "full"}
    params = b"".join(bytes((len(k), len(v))) + k.encode() + v.encode() for k, v in words.items())
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(2)
        connection.connect(f"{_directory(account)}/status.sock")
        connection.sendall(record(1, struct.pack(">HB5x", 1, 0)) + record(4, params) + record(4, b"") + record(5, b""))
        answer = b""
        while len(answer) < _STATUS_MOST and (part := connection.recv(65536)):
            answer += part
    text = b""
    while len(answer) >= 8:
        _, kind, _, length, padding = struct.unpack_from(">BBHHB", answer)
        text += answer[8 : 8 + length] if kind == 6 else b""
        answer = answer[8 + length + padding :]
    return text.decode(errors="replace")
