"""Runs as root on the source, before the body of a test: the files' store interface, and the account's own hand."""

import glob
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

sys.path.insert(0, max(glob.glob("/usr/local/lib/transhumance/unpacked/*"), key=os.path.getmtime))
os.umask(0o077)
if TYPE_CHECKING:
    from include.agent.account.accounts import load
    from include.agent.channel.peer import Peer
    from include.agent.stores.files.store import FILES
    from include.agent.verbs import peers
    from tests.lab.data_sets.store_steps import Steps
else:  # as the server has them; store_steps.py stands before this
    from agent.account.accounts import load
    from agent.channel.peer import Peer
    from agent.stores.files import changes as files_changes  # noqa: F401
    from agent.stores.files.store import FILES
    from agent.verbs import peers

GIVEN = json.loads(sys.argv[1])
account = load(GIVEN["account"])
peer = Peer(GIVEN["move"], GIVEN["peer"]["address"], GIVEN["peer"]["host_keys"])
files = Steps(FILES, account, peer)


def start(argv: list[str], umask: int = -1) -> subprocess.Popen[bytes]:
    """Start a program in the home, with the account's own rights."""
    return subprocess.Popen(argv, umask=umask, user=account.uid, group=account.gid, extra_groups=[], cwd=account.home)


def begin(script: str) -> subprocess.Popen[bytes]:
    """Start a shell script so."""
    return start(["bash", "-ec", script], 0o022)


def hand(script: str) -> None:
    """Run one, to its end."""
    assert begin(script).wait() == 0, script


def as_root(script: str) -> None:
    subprocess.run(["bash", "-ec", script], cwd=account.home, check=True)


def follow() -> dict[str, Any]:
    return files.follow()


def moved() -> list[str]:
    """The hold's part: the last pass and its comparison; what differs by it, and by a comparison of everything."""
    files.final_pass()
    return [*files.compare()[1], *whole()]


def whole() -> list[str]:
    return files.differences(account, peer, files.digest(account), peer.call(peers.FilesDigest()))
