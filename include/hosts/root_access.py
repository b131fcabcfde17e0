"""A server over the access as root that its host has: used once, to let the orchestrator's own key in.

Whatever the server says here is text that is measured, and shown as such.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

import paramiko

from include.agent.host import entrance
from include.agent.host.digest import printable
from include.agent.host.needs import PYTHON, release, short_of
from include.agent.host.shapes import Strange, each, flag, named, parsed, record, text

from .host import AgentError, parse_host_key
from .package import authorized_line, launcher

_PROBE = "/usr/bin/python3 -I -c 'import os, sys; print(os.geteuid(), sys.version.split()[0])'"
_RUN = "/usr/bin/python3 -I -"
_LONGEST, _SECONDS = 1 << 16, 120
_OTHER_KINDS = (
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-256",
    "rsa-sha2-512",
    "ssh-dss",
    "ssh-rsa",
)
_LOOKED = record(
    {
        "python": text(100),
        "systemd": flag,
        "sshd": named(text(1000), 50, text(40, "[a-z]*")),
        "no_room": each(text(100), 10),
    }
)
_LET_IN = record({}, failed=text(200), where=text(1000), changed=each(text(1000), 10))
_WHY = {
    "read_only": "{name} has a read-only file system at {where}: see why, mount it for writing, and try again.",
    "no_room": "{name} has no room for {where}: make some, and try again.",
    "forbidden": "{name} lets not even root write {where}: take its immutable flag off (chattr -i), and try again.",
    "key_there": "The orchestrator's key is known to {name} with other rights ({where}): take that line out, since the "
    "key may run the agent and nothing else, and try again.",
}
_OTHERWISE = "{name} cannot write {where} ({why}): see what stands in the way there, and try again."


class NotEnrolled(AgentError):
    """Why a server cannot be enrolled, and what to do: one sentence."""

    def __init__(self, message: str) -> None:
        super().__init__("not_enrolled", message)


@dataclass(frozen=True)
class Access:
    """How the host itself gets in as root. Nothing of it is kept."""

    address: str
    user: str = "root"
    port: int = 22
    password: str | None = field(default=None, repr=False)
    key: paramiko.PKey | None = field(default=None, repr=False)
    key_file: str | None = None


def fingerprint(host_key: str) -> str:
    """A host key as ssh-keygen -l shows it."""
    digest = hashlib.sha256(base64.b64decode(host_key.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


class _Met(paramiko.MissingHostKeyPolicy):
    """Asks whether the key that a server shows is its own, before anything is told to it."""

    def __init__(self, judge: Callable[[str], None]) -> None:
        self.judge = judge

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        self.judge(f"{key.get_name()} {key.get_base64()}")


class RootAccess:
    """A connection as root. `judge` is given the host key before anything is told to the server, and raises where it
    is not to be trusted."""

    def __init__(self, name: str, access: Access, judge: Callable[[str], None]) -> None:
        self.name = name
        self.host_key = ""
        self._client = self._connected(access, judge)

    def __enter__(self) -> RootAccess:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._client.close()

    def _connected(self, access: Access, judge: Callable[[str], None]) -> paramiko.SSHClient:
        def keep(host_key: str) -> None:
            judge(host_key)
            self.host_key = host_key

        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(_Met(keep))
        if not (access.password or access.key or access.key_file):
            self._give_up(client, f"The access to {self.name} has neither key nor password: give its connection one.")
        try:
            client.connect(
                access.address,
                port=access.port,
                username=access.user,
                password=access.password,
                pkey=access.key,
                key_filename=access.key_file,
                timeout=10,
                allow_agent=False,
                look_for_keys=False,
                banner_timeout=15,
                auth_timeout=15,
                # The servers of a move know each other by this kind, so it is the one that is pinned.
                disabled_algorithms={"keys": _OTHER_KINDS},
            )
            return client
        except NotEnrolled:
            client.close()
            raise
        except paramiko.AuthenticationException:
            self._give_up(
                client,
                f"{self.name} does not take the access of {printable(access.user)!r}: see that its key or password is "
                "right, and that sshd there lets it in (PermitRootLogin, AllowUsers).",
            )
        except paramiko.ssh_exception.IncompatiblePeer:
            self._give_up(client, f"{self.name} has no ed25519 host key: type ssh-keygen -A there, and restart ssh.")
        except (paramiko.SSHException, OSError, EOFError) as error:
            reached = f"{self.name} cannot be reached at {access.address}, port {access.port}"
            self._give_up(client, f"{reached}: {_why(error)}. See to the route there, the port and its firewall.")

    def _give_up(self, client: paramiko.SSHClient, sentence: str) -> NoReturn:
        client.close()
        raise NotEnrolled(sentence) from None

    def look(self) -> dict[str, Any]:
        """What an agent's description would say of python and sshd (`versions`, `readiness`); refused where nobody is
        root there, or no agent could run."""
        self._require_root()
        facts = self._ask({}, _LOOKED)
        if not facts["systemd"]:
            raise NotEnrolled(f"{self.name} does not run systemd, which runs the agent's operations: it must.")
        if facts["no_room"]:
            raise NotEnrolled(f"{self.name} has no room in {printable(', '.join(facts['no_room']))}: make some there.")
        return {"versions": {"python": printable(facts["python"])}, "readiness": {"sshd": facts["sshd"]}}

    def _require_root(self) -> None:
        code, output = self._run(_PROBE, b"")
        words = [printable(word) for word in output.decode(errors="replace").split()]
        if code == 127 or (code == 0 and not words):
            raise NotEnrolled(f"{self.name} has no /usr/bin/python3: type apt-get install python3 there.")
        if code != 0 or len(words) != 2 or not words[0].isdigit():
            raise NotEnrolled(
                f"{self.name} ran something else than it was asked to: the access must be root's own, with a shell and "
                "without a forced command."
            )
        if words[0] != "0":
            raise NotEnrolled(f"The access to {self.name} is not root's: name a connection that logs in as root.")
        if short_of(PYTHON, words[1]):
            python = f"Python {words[1][:40]}, and the agent needs {release(PYTHON)} or later"
            raise NotEnrolled(f"{self.name} has {python}: install python3 of it.")

    def let_in(self, public_key: str) -> list[str]:
        """Lets the orchestrator's key run the launcher and nothing else; gives what was changed."""
        key = " ".join(public_key.split()[:2])
        answer = self._ask({"launcher": launcher(), "line": authorized_line(key)}, _LET_IN)
        if "failed" in answer:
            why, where = printable(answer["failed"]), printable(answer.get("where", ""))[:200]
            raise NotEnrolled(_WHY.get(answer["failed"], _OTHERWISE).format(name=self.name, where=where, why=why))
        return [printable(path) for path in answer.get("changed", [])]

    def _ask(self, request: dict[str, Any], shape: Callable[[Any], Any]) -> dict[str, Any]:
        """Runs `entrance` there, alone, and takes its answer apart."""
        source = Path(entrance.__file__).read_text()
        script = f"{source}\nmain(json.loads({json.dumps(request)!r}))\n"
        code, output = self._run(_RUN, script.encode())
        try:
            answer: dict[str, Any] = shape(parsed(output))
        except Strange as strange:
            raise NotEnrolled(
                f"{self.name} answers what no enrolment asks for{strange} (exit {code}): see what runs as root's shell "
                "and as /usr/bin/python3 there."
            ) from None
        return answer

    def _run(self, command: str, data: bytes) -> tuple[int, bytes]:
        """Exit status, and what was said of it: more than `_LONGEST` is nobody's answer."""
        try:
            transport = self._client.get_transport()
            assert transport is not None
            channel = transport.open_session(timeout=20)
            end = time.monotonic() + _SECONDS
            channel.settimeout(_SECONDS)
            channel.exec_command(command)
            with suppress(OSError):  # it may not listen, and say why
                channel.sendall(data)
                channel.shutdown_write()
            output = bytearray()
            while len(output) <= _LONGEST and (block := channel.recv(_LONGEST)):
                output += block
                channel.settimeout(max(0.01, end - time.monotonic()))
            if len(output) <= _LONGEST and not channel.status_event.wait(max(0.01, end - time.monotonic())):
                raise TimeoutError
            code = channel.recv_exit_status() if len(output) <= _LONGEST else 0
            channel.close()
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise NotEnrolled(f"The connection to {self.name} was lost: {_why(error)}. Try again.") from None
        return code, bytes(output)


def _why(error: Exception) -> str:
    """In words, as far as somebody has put it into some."""
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    text = getattr(error, "strerror", None) or str(error) or "it has ended the connection"
    return printable(text).rstrip(".")[:200]


def require_key(name: str, pinned: str | None, given: str | None) -> Callable[[str], None]:
    """Judges the host key that a server shows: it is the pinned one, or the one that was `given` (a key, or its
    fingerprint); where neither is known, the first that is met is taken."""

    def judge(shown: str) -> None:
        if given is not None:
            if given.strip() not in (fingerprint(shown), shown) and given.split()[:2] != shown.split():
                raise NotEnrolled(
                    f"{name} shows the host key {fingerprint(shown)}, and not the one that was given: find out which "
                    "server that is before anything is told to it."
                )
        elif pinned is not None and pinned != shown:
            raise NotEnrolled(
                f"{name} shows the host key {fingerprint(shown)}, and the registry has {_fingerprint_or_none(pinned)}."
                " If it is right (type ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub there), give "
                f"{fingerprint(shown)} as its host key."
            )

    return judge


def _fingerprint_or_none(host_key: str) -> str:
    try:
        parse_host_key(host_key)
    except ValueError:
        return "one that is none"
    return fingerprint(host_key)
