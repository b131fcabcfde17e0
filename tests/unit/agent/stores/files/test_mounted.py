"""What is mounted below a home is refused wherever the home is copied or compared: from the sandbox it is not seen."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from include.agent.host import mounts
from include.agent.stores.files import walk

INSIDE = """
import json, sys
from dataclasses import replace
from types import SimpleNamespace
from pathlib import Path
from include.agent.account.accounts import Account
from include.agent.host import homes, sandbox
from include.agent.host.system import Refused
from include.agent.stores.files import digest, follow, rsync, trees, walk
home = sys.argv[1]
account = SimpleNamespace(
    name="shop", uid=59998, home=home, directory=Path(home).parent / "kept", mail_folders=(), mailboxes=()
)
tree = trees.Tree(account)
peer = SimpleNamespace(ssh_argv=lambda: ["false"])
homes.keep_plain = lambda _folder: None
ways = {
    "send": lambda: rsync.send(tree, peer, lambda **_: None),
    "listed": lambda: rsync.Listed(tree, peer).abandon(),
    "serve": lambda: rsync.serve_rsync(account, ["rsync", "--server", *rsync._SERVER_OPTIONS["whole"], ".", home]),
    "digest": lambda: digest.digest(tree),
    "left_behind": lambda: digest.left_behind(account),
    "hold": lambda: follow.Watched.final_pass(SimpleNamespace(tree=tree)),
}
said = {}
for name in sys.argv[2:] or ways:
    try:
        ways[name]()
    except Refused as refused:
        said[name] = [refused.code, refused.message]
seen = json.loads(sandbox.call(home, walk.__name__, request={}))
print(json.dumps([said, seen]))
"""


def in_private(home: Path, *ways: str, mount: str) -> Any:
    """What each way to read or write the home says, or these, and what the walk in the sandbox sees of it."""
    script = f'mount -t tmpfs none "$2" && echo x > "$2/kept.txt" && shift 2 && exec {sys.executable} -c "$inside" "$@"'
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script, "sh", "-", mount, str(home), *ways],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[5]), "inside": INSIDE},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", ["data", "two words", "line\nbreak", "a;$(touch x)'b"])
def test_what_is_mounted_below_is_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    home = tmp_path / "shop"
    (home / "deep" / name).mkdir(parents=True)
    said, seen = in_private(home, mount=str(home / "deep" / name))
    assert seen == {"left": {}, "links": {}}, "from the sandbox it is not seen, so it has to be refused outside"
    assert {*said} == {"send", "listed", "serve", "digest", "left_behind", "hold"}
    for code, sentence in said.values():
        assert code == "mounted_below" and "is mounted below the home of shop" in sentence
        assert sentence.isprintable() and "umount -- " in sentence


def test_a_home_that_is_mounted_itself_is_as_good_as_any(tmp_path: Path) -> None:
    home = tmp_path / "shop"
    home.mkdir()
    (tmp_path / "shop-2").mkdir()
    for mount in (home, tmp_path / "shop-2"):
        assert in_private(home, "digest", "left_behind", mount=str(mount))[0] == {}


def test_the_kernels_way_to_write_a_path_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(mounts, "MOUNTS", tmp_path / "mountinfo")
    mounts.MOUNTS.write_bytes(
        b"30 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n"
        b"44 30 0:40 /sub /home/shop/a\\040b\\134\\011\xff rw,nosuid - fuse.sshfs me@h:/x\\040y rw\n"
    )
    assert mounts.all_mounts()[1] == mounts.Mount("/home/shop/a b\\\t\udcff", "fuse.sshfs", "me@h:/x y", "/sub")
    assert mounts.below("/home/shop") == ["/home/shop/a b\\\t\udcff"] and mounts.below("/home/sho") == []


def test_a_file_system_that_begins_without_a_mount_ends_the_walk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "sub").mkdir()
    found = walk.Walk({})
    top = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(walk.Unread, match="sub: a file system of its own begins there"):
            found.directory(top, b"", on={os.fstat(top).st_dev + 1})
    finally:
        os.close(top)
