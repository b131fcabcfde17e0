"""The messages of a mailbox: folders, UIDs and flags, compared as Dovecot keeps them."""

from pathlib import Path

from include.agent import mail


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
    return mail.read_messages({"info@alice.example": str(home)})


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
    for name, (messages, validity) in others.items():
        maildir(tmp_path / name, messages, validity)
        assert len(mail.differences(same, read(tmp_path / name))) == 1, name


def test_a_mailbox_without_mail_has_none(tmp_path: Path) -> None:
    assert read(tmp_path / "nothing")["messages"] == 0


def test_links_and_nonsense_are_no_messages(tmp_path: Path) -> None:
    maildir(tmp_path / "a", MESSAGES)
    cur = tmp_path / "a" / "Maildir" / "cur"
    (cur / "3.host:2,").symlink_to("/etc/passwd")
    (tmp_path / "a" / "Maildir" / ".Sent").write_text("no folder")
    (tmp_path / "a" / "Maildir" / "dovecot-uidlist").write_bytes(b"\xff :\n :\n\n3 V\n x:y\nnonsense :1.host\n")
    assert read(tmp_path / "a")["messages"] == 2
