"""A move's key opens one door: the verbs of its peer, for its account, while that account is receiving."""

import json
import subprocess
from pathlib import Path

import pytest

from include.agent import verbs
from include.hosts import AgentError, Host
from tests.lab.agents import Move, Side, side
from tests.lab.handles import Lab, Running


@pytest.fixture(scope="module")
def sides(lab: Lab, pair: tuple[Running, Running]) -> tuple[Side, Side]:
    return side(lab, pair[0]), side(lab, pair[1])


@pytest.fixture(scope="module")
def move(sides: tuple[Side, Side]) -> Move:
    old, new = sides
    return Move("pairing", 2, old.create("paired", 2201), old, new).prepare()


def knock(move: Move, *command: str, stdin: bytes = b"", options: tuple[str, ...] = ()) -> str:
    """What the source could do with the move's key, had somebody taken it over; run there as root."""
    known = ["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "HostKeyAlias=peer"]
    pair = f"/var/lib/transhumance/pairs/{move.key}"
    script = 'exec 2>&1; "$@"; echo "exit $?"'
    argv = ["ssh", "-i", f"{pair}/key", "-o", f"UserKnownHostsFile={pair}/known_hosts", *known]
    argv += [*options, f"root@{move.target.address}", *command]
    return move.source.root("sh", "-c", script, "sh", *argv, stdin=stdin)


def ask(move: Move, verb: str, args: dict) -> dict:
    said = knock(move, "call", stdin=json.dumps({"verb": verb, "args": args}).encode() + b"\n")
    return json.loads(said.splitlines()[0])


@pytest.mark.parametrize("command", ["id", "bash -i", "serve", "push 0", "rsyncd", "scp -t /root", "streams 1"])
def test_the_key_gives_no_shell(move: Move, command: str) -> None:
    said = knock(move, command)
    assert "not admitted" in said and "exit 1" in said


def test_a_peer_calls_peers_verbs_only(move: Move) -> None:
    for verb in ("create", "remove", "describe", "hold", "accept_ips", "start"):
        assert ask(move, verb, {})["error"]["code"] == "unknown_verb"


@pytest.mark.parametrize("slot", ["", "x", "th_keys_1", "th_follow_1/../../x", "th_follow_"])
def test_a_stream_is_one_of_a_slot(move: Move, slot: str) -> None:
    said = knock(move, f"stream {slot}")
    assert "is no slot of a database that is followed" in said and "exit 1" in said


def test_a_peer_sends_no_certificate_of_another_domain(move: Move) -> None:
    kept = {"password_hash": "!", "expiry": "", "crontab": None, "lingers": False}
    identity = {**kept, "certificates": {"bank.example": "pem"}}
    assert ask(move, "identity", identity)["error"]["code"] == "foreign_certificate"


def test_rsync_reads_nothing_from_the_target(move: Move) -> None:
    said = knock(move, "rsync --server --sender -logDtpre.iLsfxCIvu . /etc/")
    assert "exit 0" not in said


@pytest.mark.parametrize("door", ["2222:127.0.0.1:22", "2222:127.0.0.1:3306", "/run/x.sock:/run/mysqld/mysqld.sock"])
def test_nothing_of_the_target_is_reached_by_a_forwarding(move: Move, door: str) -> None:
    # A forwarding is opened before it is used: what tells is whether the server behind it greets.
    here = door.partition(":")[0]
    family, address = ("AF_UNIX", repr(here)) if here.startswith("/") else ("AF_INET", f"('127.0.0.1', {here})")
    use = f"import socket; s = socket.socket(socket.{family}); s.settimeout(2); s.connect({address}); print(s.recv(80))"
    key = f"/var/lib/transhumance/pairs/{move.key}"
    script = (
        f"rm -f /run/x.sock; ssh -N -L {door} -i {key}/key -o UserKnownHostsFile={key}/known_hosts -o HostKeyAlias=peer"
        f' root@{move.target.address} & sleep 1; python3 -c "{use}"; kill $!'
    )
    said = move.source.root("bash", "-c", script, check=False)
    assert "SSH" not in said and "MariaDB" not in said


@pytest.mark.parametrize("door", ["0.0.0.0:2222", "127.0.0.1:2222", "/run/theirs.sock"])
def test_no_port_and_no_socket_is_opened_on_the_target(move: Move, door: str) -> None:
    said = knock(move, options=("-N", "-o", "ExitOnForwardFailure=yes", "-R", f"{door}:127.0.0.1:22"))
    assert "remote port forwarding failed" in said.lower() and "exit 255" in said


def test_the_key_works_from_the_source_only(move: Move, lab: Lab, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(move.source.root("cat", f"/var/lib/transhumance/pairs/{move.key}/key"))
    key.chmod(0o600)
    assert move.peer
    with pytest.raises(AgentError) as error:
        Host.connect(move.target.address, str(key), move.peer.host_keys[0]).call(verbs.Describe())
    assert error.value.code == "key_refused"


def test_another_host_key_stops_the_copy(move: Move) -> None:
    strange = verbs.PeerAt(address=move.target.address, host_keys=["ssh-ed25519 " + "A" * 68])
    with pytest.raises(AgentError) as error:
        move.source.host.run("strange-copy", verbs.Copy(**{**move.args(), "peer": strange}))
    assert error.value.code == "peer_unreachable"


def test_an_account_that_serves_takes_no_data(move: Move, sides: tuple[Side, Side]) -> None:
    old, new = sides
    # What a connection that was cut may have left there: it could write behind the back of the comparison.
    hold = "import fcntl, time; f = open('/run/transhumance/accounts/paired.data'); fcntl.flock(f, fcntl.LOCK_SH)"
    new.root("sh", "-c", f'setsid python3 -c "{hold}; time.sleep(900)" >/dev/null 2>&1 & sleep 1')
    assert new.root("pgrep", "-f", "time.sleep.900").strip()
    move.switch()
    assert new.root("pgrep", "-f", "time.sleep.900", check=False).strip() == ""
    assert new.state("paired") == "serving"
    assert ask(move, "identity_digest", {})["error"]["code"] == "not_receiving"
    said = knock(move, "rsync --server -logDtpre.iLsfxCIvu . /home/paired/")
    assert "is serving here" in said


def test_after_unpair_the_door_is_gone(move: Move, sides: tuple[Side, Side]) -> None:
    old, new = sides
    new.host.call(verbs.Unpair(move=move.key))
    assert "Permission denied" in knock(move, "call")
    old.host.call(verbs.Unpair(move=move.key))
    assert old.root("ls", "/var/lib/transhumance/pairs") == ""
    old.host.call(verbs.Unpair(move=move.key))


def test_the_orchestrators_key_runs_the_agent_and_nothing_else(lab: Lab, pair: tuple[Running, Running]) -> None:
    running = pair[0]
    argv = ["ssh", "-i", str(lab.ops_key), "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"]
    argv += ["-o", "UserKnownHostsFile=/dev/null", f"root@{running.address}", "cat /etc/shadow"]
    done = subprocess.run(argv, input="", capture_output=True, text=True, timeout=30)
    assert json.loads(done.stdout)["error"]["code"] == "bad_request"
