"""A server reached over SSH with a pinned host key, and the agent's verbs on it."""

import base64
import hashlib
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import paramiko
from paramiko.pkey import UnknownKeyType

from include.agent import verbs
from include.agent.host.codec import decode
from include.agent.host.digest import printable
from include.agent.host.shapes import Strange
from include.agent.host.system import Refused
from include.agent.verbs.verb import LongVerb, Result, Verb, answer, request

from .package import build_agent

Connect = Callable[[], paramiko.SSHClient]
Progress = Callable[[verbs.Progress], None]


NO_AGENT = "none"
"""What a launcher says where no agent was pushed to it."""


class HostUnreachable(Exception):
    """No connection, or one that was lost: the verb may or may not have run, and can be repeated."""


class AgentError(Exception):
    """What the agent refused or failed to do: `code` in snake_case, `message` one sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message} [{code}]")
        self.code = code
        self.message = message


class Host:
    """The agent of one server. `connect` gives a connected paramiko client (Airflow: `SSHHook(...).get_conn`).

    The connection is made at the first call, kept, and made again once when it turns out to be lost.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._client: paramiko.SSHClient | None = None

    @classmethod
    def connect(
        cls, address: str, key_file: str, host_key: str, *, port: int = 22, source: str | None = None
    ) -> "Host":
        """A host at `address`, as root with `key_file`, whose host key must be `host_key` ("ssh-ed25519 AAAA...")."""
        return cls(lambda: open_client(address, key_file, host_key, port=port, source=source))

    def __enter__(self) -> "Host":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def call(self, verb: Verb[Result], *, timeout: float = 300) -> Result:
        """One short verb; its result. Raises AgentError, or HostUnreachable without an answer for `timeout` s."""
        code, output, errors = self._run("serve", request(verb), timeout, verb.longest)
        if not output.strip():
            raise AgentError("no_answer", f"The agent gave no answer to {verb.name} (exit {code}): {_last(errors)}")
        try:
            return answer(verb, output)
        except Refused as refused:
            raise AgentError(refused.code, refused.message) from None
        except Strange as strange:
            raise _strange(verb, strange, f" (exit {code}: {_last(errors)})") from None

    def push_agent(self) -> bool:
        """Install this version of the agent unless the server has it; True when it was sent."""
        agent = build_agent()
        digest = hashlib.sha256(agent).hexdigest()
        if self.agent_digest() == digest:
            return False
        code, output, errors = self._run(f"push {digest}", agent, 120)
        if code != 0 or output.strip() != digest.encode():
            raise AgentError("push_failed", f"The server did not take the agent: {_last(errors)}")
        return True

    def agent_digest(self) -> str:
        """SHA-256 of the agent that is installed there, or NO_AGENT."""
        code, output, errors = self._run("digest", b"", 30)
        if code != 0:
            raise AgentError(
                "no_launcher", f"The server has no launcher for this key ({_last(errors)}); install it again."
            )
        return printable(output.decode(errors="replace").strip())

    def run(
        self,
        operation: str,
        verb: LongVerb[Result],
        *,
        timeout: float = 3600,
        poll: float = 0.5,
        progress: Progress | None = None,
    ) -> Result:
        """A long verb from start to end, or from wherever it is: the same operation id finds it again.

        A lost connection is waited out; raises AgentError when it fails or vanishes, HostUnreachable after `timeout` s.
        """
        end = time.monotonic() + timeout
        started = False
        while True:
            try:
                if started:
                    status = self.call(verbs.Status(operation=operation), timeout=30)
                else:
                    status = self.call(verbs.start(operation, verb), timeout=60)
                    started = True
            except HostUnreachable:
                if time.monotonic() > end:
                    raise
                time.sleep(2)
                continue
            if progress:
                progress(status.progress)
            if status.state != "running":
                return ended(operation, type(verb), status)
            if time.monotonic() > end:
                raise HostUnreachable(
                    f"The operation {operation} still runs after {timeout:.0f} s; attach to it again."
                )
            time.sleep(poll)

    def _run(self, command: str, data: bytes, timeout: float, longest: int = 4096) -> tuple[int, bytes, bytes]:
        """Exit status, and what was said: one byte more than the longest of it at most."""
        with _as_unreachable():
            kept = self._client is not None
            try:
                channel = self._open(timeout)
            except (paramiko.SSHException, OSError, EOFError):
                if not kept:
                    raise
                # The kept connection is dead and nothing was sent yet: a new one is tried once.
                self.close()
                channel = self._open(timeout)
            try:
                channel.settimeout(timeout)
                channel.exec_command(command)
                channel.sendall(data)
                channel.shutdown_write()
                end = time.monotonic() + timeout
                output = _read(channel, channel.recv, longest + 1, end)
                errors = b""
                if len(output) <= longest:
                    errors = _read(channel, channel.recv_stderr, 1 << 16, end)
                    code = channel.recv_exit_status()
                else:
                    code = 0
                    self.close()  # the rest of it may be without end
            except BaseException:
                self.close()
                raise
            channel.close()
        if code == -1:
            self.close()
            raise HostUnreachable("The connection was lost while the agent ran; try again.")
        return code, output, errors

    def _open(self, timeout: float) -> paramiko.Channel:
        if self._client is None:
            self._client = self._connect()
        transport = self._client.get_transport()
        if transport is None:
            raise paramiko.SSHException("the connection is closed")
        transport.set_keepalive(10)
        return transport.open_session(timeout=min(timeout, 20))


def ended(operation: str, verb: type[LongVerb[Result]], status: verbs.OperationStatus) -> Result:
    """What a long verb has given; AgentError where it gave nothing."""
    if status.error is not None:
        raise AgentError(status.error.code, status.error.message)
    if status.state != "succeeded":
        raise AgentError("vanished", f"The operation {operation} was killed on the server; start it again.")
    try:
        result: Result = decode(verb.result, status.result)
    except Strange as strange:
        raise _strange(verb, strange) from None
    return result


def _strange(verb: Verb[Any] | type[Verb[Any]], strange: Strange, more: str = "") -> AgentError:
    return AgentError(
        "strange_reply",
        f"What answers {verb.name} on this server is not its agent{strange}{more}; find out what it is before anything "
        "else is done there.",
    )


def _read(channel: paramiko.Channel, receive: Callable[[int], bytes], most: int, end: float) -> bytes:
    """What a channel gives up to its end, `most` bytes of it, until `end`."""
    found = bytearray()
    while len(found) < most:
        channel.settimeout(max(0.01, end - time.monotonic()))
        if not (block := receive(min(1 << 16, most - len(found)))):
            break
        found += block
    return bytes(found)


def _last(errors: bytes) -> str:
    return printable(errors.decode(errors="replace").strip()[-400:]) or "it said nothing"


def open_client(
    address: str, key_file: str, host_key: str, *, port: int = 22, source: str | None = None
) -> paramiko.SSHClient:
    """A connected client that accepts this host key and no other."""
    with _as_unreachable():
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        kind, key = parse_host_key(host_key)
        client.get_host_keys().add(address if port == 22 else f"[{address}]:{port}", kind, key)
        sock = socket.create_connection((address, port), 10, (source, 0) if source else None)
        try:
            client.connect(
                address,
                port,
                "root",
                key_filename=key_file,
                sock=sock,
                allow_agent=False,
                look_for_keys=False,
                banner_timeout=15,
                auth_timeout=15,
            )
        except BaseException:
            sock.close()
            raise
        return client


def parse_host_key(text: str) -> tuple[str, paramiko.PKey]:
    """The kind and key of "ssh-ed25519 AAAA..."; ValueError where it is none."""
    words = text.split()
    try:
        return words[0], paramiko.PKey.from_type_string(words[0], base64.b64decode(words[1], validate=True))
    except (IndexError, ValueError, paramiko.SSHException, UnknownKeyType) as error:
        raise ValueError(f"{text[:60]!r} is no SSH host key; give it as 'ssh-ed25519 AAAA...'.") from error


@contextmanager
def _as_unreachable() -> Iterator[None]:
    try:
        yield
    except paramiko.BadHostKeyException as error:
        raise AgentError(
            "host_key_changed",
            f"The server {error.hostname} shows another host key than the pinned one; find out why, and enrol it "
            "again only if it was reinstalled.",
        ) from error
    except paramiko.AuthenticationException as error:
        raise AgentError("key_refused", f"The server does not take the orchestrator's key: {error}.") from error
    except paramiko.SSHException as error:
        if "not found in known_hosts" in str(error):
            raise AgentError("host_key_unknown", f"{error}; enrol the server first.") from error
        raise HostUnreachable(f"The server cannot be reached: {error}.") from error
    except (OSError, EOFError) as error:
        raise HostUnreachable(f"The server cannot be reached: {error or type(error).__name__}.") from error
