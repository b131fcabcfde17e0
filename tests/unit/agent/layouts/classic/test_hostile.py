"""A host's configuration holds customers' text, and may lie where customers write: root is led nowhere by it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from include.agent.layouts.classic.reading import apache, dovecot, nginx, tree
from include.agent.layouts.classic.reading.inhabitants import accounts, inhabitants, read_server
from include.agent.layouts.classic.reading.tree import Tree

from .laid import laid, silent


def test_files_that_include_themselves_or_each_other_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "MAX_ALL", 1 << 20)
    files = {
        "etc/apache2/apache2.conf": "Include apache2.conf\nInclude level0",
        "etc/nginx/nginx.conf": "http { include nginx.conf; include level0; }",
        "etc/dovecot/dovecot.conf": "!include dovecot.conf\n!include level0",
    }
    for level in range(30):  # 2 to the power of 30 files, if each were read
        files[f"etc/apache2/level{level}"] = f"Include level{level + 1}\n" * 2
        files[f"etc/nginx/level{level}"] = f"include level{level + 1};" * 2
        files[f"etc/dovecot/level{level}"] = f"!include level{level + 1}\n" * 2
    server = laid(tmp_path, **files)
    reads: tuple[tuple[str, Callable[[Tree], object]], ...] = (
        (apache.MAIN, apache.read),
        (nginx.MAIN, nginx.read),
        (dovecot.MAIN, lambda server: dovecot.read(server, silent, [], {})),
    )
    for main, read in reads:
        read(server)
        assert any("too many files are included" in note for note in server.notes.sentences())
        assert any(f"{main} is included in itself" in note for note in server.notes.sentences())
    assert len(server.notes.sentences()) < 10


@pytest.mark.parametrize("deep", [100, 10_000])
def test_no_depth_of_sections_ends_the_reading(tmp_path: Path, deep: int) -> None:
    after = "<VirtualHost *:80>\nServerName x.example\n</VirtualHost>\n"
    sections = "<IfModule x>\n<Location />\n" * deep + "</Location>\n</IfModule>\n" * deep
    braces = "http {" + "location / {" * deep + "}" * deep + "server { server_name x.example; } }"
    server = laid(
        tmp_path,
        **{
            "etc/apache2/apache2.conf": sections.replace("IfModule x", "Location /") + after,
            "etc/nginx/nginx.conf": braces,
            "etc/passwd": "",
        },
    )
    assert [site.names for site in read_server(server, silent).sites] == [("x.example",)] * 2


def test_a_file_without_end_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "MAX_FILE", 1000)
    server = laid(tmp_path, **{"etc/apache2/apache2.conf": "#" * 1001, "etc/passwd": "x" * 999})
    assert server.text("/etc/apache2/apache2.conf") is None
    assert server.notes.sentences() == ["/etc/apache2/apache2.conf could not be read: it has more than 0 MB."]


def test_pipes_devices_and_loops_are_not_read(tmp_path: Path) -> None:
    server = laid(tmp_path, **{"etc/x": ""})
    os.mkfifo(tmp_path / "server/etc/pipe", 0o600)
    (tmp_path / "server/etc/loop").symlink_to("/etc/loop")
    (tmp_path / "server/etc/out").symlink_to("../../../../etc/x")
    assert [server.text(f"/etc/{name}") for name in ("pipe", "loop", "x/y", "", "a\0b")] == [None] * 5
    assert server.text("/etc/out") == ""  # nothing is above the root
    assert len(server.notes.sentences()) == 5


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_a_customer_could_put_there_is_not_read(tmp_path: Path) -> None:
    """A panel includes a folder of each customer's: a link in it leads to nothing that root reads."""
    secret = "root:secret"
    included = "Include /home/*/apache/*.conf\n"
    server = laid(tmp_path, **{"etc/shadow": secret, "etc/apache2/apache2.conf": included, "home/eve/apache/x": ""})
    home = tmp_path / "server/home/eve"
    (home / "apache/x.conf").symlink_to("/etc/shadow")
    for path in (home, home / "apache"):
        os.chown(path, 2000, 2000)
    apache.read(server)
    assert secret not in server.files.values()
    open_to_all = tmp_path / "server/etc/open.conf"
    open_to_all.write_text(secret)
    open_to_all.chmod(0o666)
    assert server.text("/etc/open.conf") is None
    theirs = tmp_path / "server/etc/theirs.conf"
    theirs.write_text(secret)
    for owner, group, mode, who in (
        (2000, 0, 0o600, "the user with number 2000, whose"),
        (33, 0, 0o600, "the user with number 33, whose"),
        (0, 2000, 0o660, "the group with number 2000, which may write"),
    ):
        os.chown(theirs, owner, group)
        theirs.chmod(mode)
        again = Tree(tmp_path / "server")
        assert again.text("/etc/theirs.conf") is None
        assert again.notes.sentences() == [
            f"/etc/theirs.conf is not read, because {who} /etc/theirs.conf{' is' * (owner > 0)}, may change it; make it"
            " root's alone."
        ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_of_the_hosts_in_a_home_is_read_if_no_link_leads_there(tmp_path: Path) -> None:
    """Some panels keep what they include in the customers' homes."""
    conf, secret = "home/eve/conf/web", "ServerName secret"
    server = laid(
        tmp_path,
        **{
            "etc/apache2/apache2.conf": "Include conf.d/*.conf\nIncludeOptional /home/*/conf/web/more_*\n",
            f"{conf}/apache2.conf": "ServerName theirs",
            f"{conf}/more_1": "ServerName more",
            f"{conf}/more_2": secret,
            "etc/secret/conf/web/more_5": secret,
        },
    )
    root = tmp_path / "server"
    (root / "etc/apache2/conf.d").mkdir()
    (root / "etc/apache2/conf.d/eve.conf").symlink_to("/home/eve/conf/web/apache2.conf")
    (root / conf / "more_3").symlink_to("/etc/secret/conf/web/more_5")
    os.link(root / "etc/secret/conf/web/more_5", root / conf / "more_4")
    (root / "home/mallory").symlink_to(root / "etc/secret")
    os.lchown(root / "home/mallory", 2001, 2001)
    os.chown(root / "home/eve", 2000, 2000)
    os.chown(root / conf / "more_2", 2000, 2000)
    said, _ = apache.read(server)
    assert [one.first for one in said] == ["theirs", "more"]
    assert sorted(note.partition(" ")[0] for note in server.notes.sentences() if "/home/eve" in note) == [
        f"/home/eve/conf/web/more_{number}" for number in (2, 3, 4)
    ]
    assert any("mallory" in note for note in server.notes.sentences())


def test_links_in_a_home_are_not_followed(tmp_path: Path) -> None:
    server = laid(tmp_path, **{"root/.ssh/id": "", "home/eve/x": ""})
    (tmp_path / "server/home/eve/.config").symlink_to(tmp_path / "server/root")
    assert server.names_beneath("/home/eve", ".config/.ssh") == []
    assert server.names_beneath("/home/eve", "../../root") == []
    assert server.names_beneath("/home/eve", ".") == [".config", "x"]


def test_no_note_has_a_character_that_a_terminal_obeys(tmp_path: Path) -> None:
    odd = "\x1b[2J\u202e\udc80"
    said = f'<VirtualHost *:80>\nServerName "a{odd}b"\nDocumentRoot "/srv/{odd}"\n{odd} x\n</VirtualHost>\n'
    braces = f"http {{ server {{ server_name a{odd}b; {odd} x; root /srv/{odd}; }} }}"
    passwd = f"{odd}\nx{odd}:x:1000:1000::/srv/{odd}:/bin/sh\n"
    server = laid(
        tmp_path,
        **{"etc/apache2/apache2.conf": said, "etc/nginx/nginx.conf": braces, "etc/passwd": passwd},
    )
    accounts(read_server(server, silent), {})
    notes = server.notes.sentences()
    assert len(notes) == 4
    assert all(note.isprintable() and note.endswith((".", ")")) for note in notes)


def test_notes_without_end_are_counted(tmp_path: Path) -> None:
    notes = tree.Notes()
    for number in range(tree.MAX_NOTES + 500):
        notes.add(f"This is number {number}.")
    assert len(notes.sentences()) == tree.MAX_NOTES + 1
    assert notes.sentences()[-1] == "There is more that is not understood than can be told. (500 more of these)"


def test_what_is_too_long_to_be_told_costs_nobody_else_anything(tmp_path: Path) -> None:
    long = "/srv/" + "x" * 5000
    hosts = [f"<VirtualHost *>\nServerName {name}.example\nAssignUserId {name}\n{more}\n</VirtualHost>\n"
             for name, more in (("alice", f"DocumentRoot {long}"), ("bob", "DocumentRoot /home/bob/www"))]  # fmt: skip
    users = "".join(f"{name}:x:{uid}:{uid}::/home/{name}:/bin/sh\n" for uid, name in ((1001, "alice"), (1002, "bob")))
    found = inhabitants(laid(tmp_path, **{"etc/apache2/apache2.conf": "".join(hosts), "etc/passwd": users}), {}, silent)
    assert [account.name for account in found.accounts] == ["bob"]
    assert any(
        note.startswith("What is said of the user alice cannot be told: it is .sites[0].root: text")
        for note in found.unclear
    )


def test_as_many_mailboxes_as_there_are_fit_into_an_answer(tmp_path: Path) -> None:
    users = "".join(
        f"box{number}@shop.example:{{PLAIN}}x::::::userdb_quota_rule=*:ignore\n" for number in range(20_000)
    )
    found = inhabitants(
        laid(
            tmp_path,
            **{
                "etc/passwd": "shop:x:1001:1001::/home/shop:/bin/sh\n",
                "etc/apache2/apache2.conf": "<VirtualHost *>\nServerName shop.example\nDocumentRoot /home/shop/w\n"
                "</VirtualHost>",
                "etc/dovecot/dovecot.conf": "passdb {\n driver = passwd-file\n args = /etc/dovecot/users\n}\n",
                "etc/dovecot/users": users,
            },
        ),
        {},
        silent,
    )
    (shop,) = found.accounts
    assert len(shop.mailboxes) == 20_000
    assert sum("(19999 more of these)" in sentence for sentence in shop.unfit) == 1


def test_a_number_without_end_is_none(tmp_path: Path) -> None:
    long = "1" * 5000
    users = f"a@x.example:{{PLAIN}}x:{long}:{long}::/home/a::\n\\'o@x.example:{{PLAIN}}y\n"
    server = laid(
        tmp_path,
        **{
            "etc/passwd": f"a:x:{long}:1::/home/a:/bin/sh\nb:x:\u0661:1::/home/b:/bin/sh\n",
            "etc/postfix/main.cf": f"virtual_uid_maps = static:{long}\n",
            "etc/dovecot/dovecot.conf": "passdb {\n driver = passwd-file\n args = /etc/dovecot/users\n}\n"
            "userdb {\n driver = passwd-file\n args = /etc/dovecot/users\n override_fields = uid=12\n}\n",
            "etc/dovecot/users": users,
        },
    )
    found = read_server(server, silent)
    assert found.users == {}
    assert [(box.address, box.owner) for box in found.mail.boxes.values()] == [
        ("a@x.example", 12),
        ("'o@x.example", 12),
    ]
