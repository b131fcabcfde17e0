"""Following of files without servers: the index of what was proven, and which paths a pass takes together."""

import os

import pytest

from include.agent.account.accounts import Account
from include.agent.layouts.native import mail
from include.agent.stores.files import digest
from include.agent.stores.files import index as files_index
from include.agent.stores.files import walk as files_walk

ACCOUNT = Account.from_json(
    {
        "account": "alice",
        "uid": 2001,
        "gid": 2001,
        "home": "/home/alice",
        "mail": {"domains": ["a.example"], "mailboxes": [{"address": "info@a.example", "password_hash": "{CRYPT}x"}]},
    }
)


@pytest.fixture
def index(tmp_path) -> files_index.Index:
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "one").write_text("1")
    (tmp_path / "d" / "e" / "two").hardlink_to(tmp_path / "d" / "one")
    (tmp_path / "alone").write_text("alone")
    with open(os.fsencode(tmp_path) + b"/new\nline\t\\\xff", "wb"):
        pass
    walk = files_walk.Walk({})
    walk.tree(os.fsencode(tmp_path))
    return files_index.load(b"%d\t%s" % row for row in walk.rows())


def test_the_index_knows_what_belongs_together(index: files_index.Index) -> None:
    assert (index.files, index.bytes) == (4, 7)
    assert set(index.below(b"d")) == {b"d/one", b"d/e", b"d/e/two"}
    assert b"new\nline\t\\\xff" in set(index.below(b"."))
    assert index.group(b"d/one") == index.group(b"d/e/two") == {b"d/one", b"d/e/two"}
    assert index.group(b"alone") == {b"alone"} and index.group(b"unknown") == {b"unknown"}
    assert index.named[index.inodes[b"d/one"]] in (b"d/one", b"d/e/two")
    assert [index.kind(path) for path in (b"d", b"alone", b"unknown")] == ["d", "f", None]


def test_the_index_follows_changes_and_comes_back_from_disk(index: files_index.Index, tmp_path) -> None:
    rest = index.rest[b"alone"].split(b"\t")
    index.put(b"alone", 77, b"\t".join([*rest[:5], b"50", *rest[6:]]))
    index.drop(b"d/e/two")
    assert (index.files, index.bytes) == (3, 51)
    assert index.group(b"d/one") == {b"d/one"} and set(index.below(b"d/e")) == set()
    index.save(tmp_path / "kept", {"token": "t"})
    with open(tmp_path / "kept", "rb") as file:
        assert file.readline() == b'{"token": "t"}\n'
        again = files_index.load(file)
    assert (again.rest, again.inodes, again.files, again.bytes) == (index.rest, index.inodes, 3, 51)


def test_a_name_outside_of_the_home_is_no_difference(tmp_path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "f").write_text("x")
    before = files_walk.Walk({})
    before.tree(os.fsencode(tmp_path / "home"))
    (tmp_path / "outside").hardlink_to(tmp_path / "home" / "f")
    after = files_walk.Walk({})
    after.tree(os.fsencode(tmp_path / "home"))
    assert before.lines() == after.lines()


@pytest.mark.parametrize("name", [b"plain", b"a\tb\nc\\d", b"\\t", b"\\\\n\n", b"\xff\\"])
def test_a_name_in_a_line_comes_back(name: bytes) -> None:
    field = files_walk.escaped(name)
    assert b"\t" not in field and b"\n" not in field and files_walk.unescaped(field) == name


def test_a_sentence_names_what_differs() -> None:
    here = "f\t644\talice\talice\t5\t3\tabc\t\t-"
    there = "f\t600\talice\talice\t5\t3\tabc\td/one\t-"
    assert digest.sentence("x\ny", here, there) == (
        "x\\ny: permissions 644 / 600, hard links  / d/one (source / target)."
    )
    assert digest.sentence("x", None, there) == "x: only on the target."
    assert digest.without_names(here) != digest.without_names(there)
    assert digest.without_names(here) == digest.without_names(here.replace("\t\t-", "\td/one\t-"))


def test_messages_are_counted_by_their_paths() -> None:
    box = b"mail/a.example/info/Maildir/"
    paths = [
        box + b"cur/1.x:2,S",
        box + b"new/2.x",
        box + b".Sent/cur/3.x:2,",
        box + b"tmp/4.x",
        box + b"cur/.hidden",
        box + b"dovecot-uidlist",
        box + b".Sent/dovecot-uidlist",
        box + b"sub/cur/5.x",
        b"mail/a.example/other/Maildir/cur/6.x",
        b"mail/b.example/info/Maildir/cur/7.x",
        b"cur",
        b".",
    ]
    assert mail.count(ACCOUNT, paths) == 3
