"""Runs as root on the source, before the body of a test: the files' store interface, and the account's own hand."""

import glob
import json
import os
import subprocess
import sys

sys.path.insert(0, max(glob.glob("/usr/local/lib/transhumance/unpacked/*"), key=os.path.getmtime))
os.umask(0o077)
from agent.account.accounts import load  # noqa: E402
from agent.channel.peer import Peer  # noqa: E402
from agent.stores.files import changes as files_changes  # noqa: E402, F401
from agent.stores.files.store import FILES  # noqa: E402
from agent.verbs import peers  # noqa: E402

GIVEN = json.loads(sys.argv[1])
account = load(GIVEN["account"])
peer = Peer(GIVEN["move"], GIVEN["peer"]["address"], GIVEN["peer"]["host_keys"])
files = Steps(FILES, account, peer)  # noqa: F821 (store_steps.py stands before this)
IDS = {"user": account.uid, "group": account.gid, "extra_groups": [], "cwd": account.home}


def begin(script: str) -> subprocess.Popen:
    """Start a shell script in the home, with the account's own rights."""
    return subprocess.Popen(["bash", "-ec", script], umask=0o022, **IDS)


def hand(script: str) -> None:
    """Run one, to its end."""
    assert begin(script).wait() == 0, script


def as_root(script: str) -> None:
    subprocess.run(["bash", "-ec", script], cwd=account.home, check=True)


def follow() -> dict:
    return files.follow()


def moved() -> list:
    """The hold's part: the last pass and its comparison; what differs by it, and by a comparison of everything."""
    files.final_pass()
    return [*files.compare()[1], *whole()]


def whole() -> list:
    return files.differences(account, peer, files.digest(account), peer.call(peers.FilesDigest()))
