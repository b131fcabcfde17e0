"""Digests: equal when copies are, and telling where they part."""

import os
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.agent.account.accounts import Account
from include.agent.host import digest
from include.agent.host.system import Refused
from include.agent.stores.files import rsync
from include.agent.stores.files import walk as files_walk
from include.agent.stores.postgresql import digest as postgres_digest


def walked(root) -> files_walk.Walk:
    walk = files_walk.Walk({})
    walk.tree(os.fsencode(root))
    return walk


def tree(root) -> None:
    (root / "site").mkdir()
    (root / "site" / "index.php").write_text("<?php")
    (root / "site" / "copy").hardlink_to(root / "site" / "index.php")
    (root / "away").symlink_to("/etc/shadow")
    with open(os.fsencode(root) + b"/\xff new\nline", "wb") as file:
        file.write(b"x")
    for path in (root / "site" / "index.php", root / "site", root):
        os.utime(path, ns=(1, 1_000_000_000_123_456_789))
    for path in (b"/\xff new\nline", b"/away"):
        os.utime(os.fsencode(root) + path, ns=(1, 5), follow_symlinks=False)
    os.utime(root, ns=(1, 6))


@pytest.fixture
def pair(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        tree(tmp_path / name)
    return tmp_path / "a", tmp_path / "b"


def test_equal_trees_have_equal_lines(pair) -> None:
    a, b = pair
    assert walked(a).lines() == walked(b).lines()
    assert walked(a).files == 3 and b"/etc/shadow" in b"".join(walked(a).lines())


@pytest.mark.parametrize("change", ["content", "mode", "time", "link", "target", "name"])
def test_every_difference_shows(pair, change: str) -> None:
    a, b = pair
    index = b / "site" / "index.php"
    if change == "content":
        index.write_text("<?PHP")
        os.utime(index, ns=(1, 1_000_000_000_123_456_789))
    elif change == "mode":
        index.chmod(0o600)
    elif change == "time":
        os.utime(index, ns=(1, 1_000_000_000_123_456_788))
    elif change == "link":
        (b / "site" / "copy").unlink()
        (b / "site" / "copy").write_text("<?php")
        os.utime(b / "site" / "copy", ns=(1, 1_000_000_000_123_456_789))
        os.utime(b / "site", ns=(1, 1_000_000_000_123_456_789))
    elif change == "target":
        (b / "away").unlink()
        (b / "away").symlink_to("/etc/passwd")
        os.utime(b / "away", ns=(1, 5), follow_symlinks=False)
        os.utime(b, ns=(1, 6))
    else:
        (b / "site").rename(b / "sites")
        os.utime(b, ns=(1, 6))
    assert walked(a).lines() != walked(b).lines()


def test_what_a_move_strips_is_equal_and_reported(pair) -> None:
    a, b = pair
    (a / "site" / "index.php").chmod(0o4755)
    (b / "site" / "index.php").chmod(0o755)
    os.mkfifo(a / "site" / "fifo")
    os.utime(a / "site", ns=(1, 1_000_000_000_123_456_789))
    one, two = walked(a), walked(b)
    assert one.lines() == two.lines()
    assert one.left["set-user-id or set-group-id bit of a file"]["count"] == 2
    assert one.left["device or named pipe"]["first"] == ["site/fifo"]


def test_a_file_that_did_not_change_is_not_read_again(pair) -> None:
    a, _ = pair
    first = files_walk.Walk({})
    first.started += 10_000_000_000
    first.tree(os.fsencode(a))
    again = files_walk.Walk(files_walk._cached(bytes(first.kept)))
    again.tree(os.fsencode(a))
    assert again.lines() == first.lines() and first.read_bytes > 0 and again.read_bytes == 0


@given(st.lists(st.binary(max_size=30).filter(lambda row: b"\n" not in row), max_size=50), st.randoms())
def test_the_order_of_rows_does_not_matter(rows: list[bytes], shuffle: random.Random) -> None:
    other = list(rows)
    shuffle.shuffle(other)
    assert postgres_digest._add(rows) == postgres_digest._add(other)
    assert postgres_digest._add([*rows, b"more"]) != postgres_digest._add(other)


def test_differences_are_sentences_and_few() -> None:
    mine = {"tables": {f"t\n{n}": [n, n] for n in range(50)}, "_seconds": 1}
    theirs = {"tables": {f"t\n{n}": [n, 0] for n in range(49)}, "_seconds": 2}
    found = digest.differences(mine, theirs)
    assert len(found) == digest.MOST and not any("\n" in sentence for sentence in found)
    assert digest.differences(mine, {**mine, "_seconds": 3}) == []
    assert digest.differences({"a": 1}, {"b": 1}) == ["a: only on the source.", "b: only on the target."]


ACCOUNT = Account.from_json({"account": "alice", "uid": 2001, "gid": 2001, "home": "/home/alice"})


@pytest.mark.parametrize(
    "argv",
    [
        ["rsync", "--server", "--sender", "-logDtpre.iLsfxCIvu", ".", "/"],
        ["rsync", "--server", "--log-file=/etc/x", "-logDtpre.iLsfxCIvu", ".", "/home/alice/"],
        ["rsync", "--daemon", "--server", ".", "."],
        ["rsync", "--server"],
        ["sh", "-c", "x"],
    ],
)
def test_rsync_serves_nothing_but_a_copy_into_the_home(argv: list[str]) -> None:
    with pytest.raises(Refused) as error:
        rsync.serve_rsync(ACCOUNT, argv)
    assert error.value.code == "rsync_refused"


_MORE = [
    *(f"--{word}" for word in "daemon sender secluded-args protect-args old-args devices specials copy-links".split()),
    *(f"--{word}" for word in "copy-unsafe-links keep-dirlinks munge-links fake-super super owner log-file=/x".split()),
    *(f"--{word}" for word in "chmod=Fu+s backup backup-dir=/x temp-dir=/x partial-dir=/x compare-dest=/x".split()),
    *(
        f"--{word}"
        for word in "copy-dest=/x link-dest=/x usermap=*:0 groupmap=*:0 chown=0:0 copy-as=0 trust-sender".split()
    ),
    *(f"--{word}" for word in "remove-source-files write-devices copy-devices files-from=/x password-file=/x".split()),
    *(f"--{word}" for word in "rsync-path=/x rsh=/x write-batch=/x only-write-batch=/x read-batch=/x iconv=x".split()),
    *("-s", "-D", "-M--chmod=Fu+s", "-e/x", "-T/x", "-@-2", "/", ".", "", "-", "--"),
]


@pytest.mark.parametrize("told", rsync._SERVER_OPTIONS.values(), ids=list(rsync._SERVER_OPTIONS))
def test_no_word_or_letter_more_is_let_through_to_rsync(told: tuple[str, ...], monkeypatch) -> None:
    entered = []
    monkeypatch.setattr(rsync.homes, "keep_plain", lambda: entered.append("plain"))
    monkeypatch.setattr(rsync.sandbox, "enter", lambda *_, **__: entered.append("enter"))
    monkeypatch.setattr(rsync.os, "execve", lambda *_: entered.append("rsync"))
    rsync.serve_rsync(ACCOUNT, ["rsync", "--server", *told, ".", "/"])
    assert entered == ["plain", "enter", "rsync"]
    letters = [chr(code) for code in range(33, 127)]
    others = [[told[0][:at] + one + told[0][at:], *told[1:]] for one in letters for at in range(len(told[0]) + 1)]
    others += [[*told[:at], word, *told[at:]] for word in _MORE for at in range(len(told) + 1)]
    others += [[word if n == at else one for n, one in enumerate(told)] for word in _MORE for at in range(len(told))]
    others = [words for words in others if tuple(words) not in rsync._SERVER_OPTIONS.values()]
    assert len(others) > 1000
    for words in others:
        with pytest.raises(Refused):
            rsync.serve_rsync(ACCOUNT, ["rsync", "--server", *words, ".", "/"])
    assert entered == ["plain", "enter", "rsync"]
