"""The messages of a mailbox: folders, UIDs and flags, compared as Dovecot keeps them."""

import os
import resource
import socket
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from include.agent.layouts import messages


def maildir(home: Path, messages: dict[str, tuple[int, bytes]], validity: int = 7) -> None:
    folder = home / "Maildir"
    for part in ("cur", "new", "tmp"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    lines = [f"3 V{validity} N{len(messages) + 1} G0123456789abcdef"]
    for name, (uid, content) in messages.items():
        (folder / "cur" / name).write_bytes(content)
        lines.append(f"{uid} :{name.partition(':2,')[0]}")
    (folder / "dovecot-uidlist").write_text("\n".join(lines) + "\n")


MESSAGES = {"1.host:2,S": (1, b"one"), "2.host:2,": (2, b"two")}


def read(home: Path) -> dict:
    return messages.read_messages({"info@alice.example": str(home / "Maildir")})


def test_equal_mailboxes_have_equal_digests(tmp_path: Path) -> None:
    for side in ("a", "b"):
        maildir(tmp_path / side, MESSAGES)
    assert read(tmp_path / "a") == read(tmp_path / "b")
    assert read(tmp_path / "a")["messages"] == 2


def test_what_an_owner_would_notice_is_a_difference(tmp_path: Path) -> None:
    maildir(tmp_path / "same", MESSAGES)
    same = read(tmp_path / "same")
    others = {
        "uid": ({"1.host:2,S": (1, b"one"), "2.host:2,": (3, b"two")}, 7),
        "flag": ({"1.host:2,": (1, b"one"), "2.host:2,": (2, b"two")}, 7),
        "size": ({"1.host:2,S": (1, b"once"), "2.host:2,": (2, b"two")}, 7),
        "lost": ({"1.host:2,S": (1, b"one")}, 7),
        "uidvalidity": (MESSAGES, 8),
    }
    for name, (kept, validity) in others.items():
        maildir(tmp_path / name, kept, validity)
        assert len(messages.differences(same, read(tmp_path / name))) == 1, name


def test_a_mailbox_without_mail_has_none(tmp_path: Path) -> None:
    assert read(tmp_path / "nothing")["messages"] == 0


def test_links_and_nonsense_are_no_messages(tmp_path: Path) -> None:
    maildir(tmp_path / "a", MESSAGES)
    cur = tmp_path / "a" / "Maildir" / "cur"
    (cur / "3.host:2,").symlink_to("/etc/passwd")
    (tmp_path / "a" / "Maildir" / ".Sent").write_text("no folder")
    (tmp_path / "a" / "Maildir" / "dovecot-uidlist").write_bytes(b"\xff :\n :\n\n3 V\n x:y\nnonsense :1.host\n")
    assert read(tmp_path / "a")["messages"] == 2


def _read_with_little_memory(home: str, sent: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    try:
        sent.send(read(Path(home))["messages"])
    except Exception as error:
        sent.send(str(error))


def read_apart(home: Path) -> int | str:
    """What a child says within half a minute and a gigabyte."""
    here, there = get_context("fork").Pipe()
    child = get_context("fork").Process(target=_read_with_little_memory, args=(str(home), there))
    child.start()
    try:
        return here.recv() if here.poll(30) else "still at it"
    finally:
        child.kill()
        child.join()


@pytest.mark.parametrize("what", ["zero", "pipe", "directory", "socket", "loop", "one long line", "many lines"])
def test_a_list_of_uids_may_be_anything(tmp_path: Path, what: str) -> None:
    maildir(tmp_path / "a", MESSAGES)
    listed = tmp_path / "a" / "Maildir" / "dovecot-uidlist"
    listed.unlink()
    match what:
        case "zero":
            listed.symlink_to("/dev/zero")
        case "pipe":
            os.mkfifo(listed)
        case "directory":
            listed.mkdir()
        case "socket":
            with socket.socket(socket.AF_UNIX) as bound:
                bound.bind(str(listed))
        case "loop":
            listed.symlink_to(listed.name)
        case "one long line":
            with listed.open("wb") as file:
                file.truncate(400 << 20)
        case "many lines":
            listed.write_bytes(b"3 V7\n" + b"".join(b"%d :%d.other\n" % (n, n) for n in range(1_000_000)))
    assert read_apart(tmp_path / "a") == 2


def test_a_list_that_nobody_wrote_is_told_with_its_place(tmp_path: Path) -> None:
    maildir(tmp_path / "a", MESSAGES)
    with (tmp_path / "a" / "Maildir" / "dovecot-uidlist").open("wb") as file:
        file.truncate(1 << 40)
    said = read_apart(tmp_path / "a")
    assert isinstance(said, str) and "Maildir/dovecot-uidlist is larger than 512 MB" in said and "remove it" in said
