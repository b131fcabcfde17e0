"""Messages outside of homes: what the sandbox shows of them, what is compared, and that no link leads out of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from include.agent.account.accounts import Account
from include.agent.host import sandbox
from include.agent.host.system import Refused
from include.agent.stores.files import rsync, trees
from include.agent.stores.files.trees import Tree
from tests.support.account_files import FILE, changed

# Everything that an account's two trees go through, as root, in a mount namespace of its own with a /var/vmail.
INSIDE = """
import json, os, subprocess, sys
from pathlib import Path
subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "none", "/srv"], check=True)
from include.agent.account import accounts
from include.agent.host import sandbox
from include.agent.host.kept import Kept
from include.agent.host.system import Refused
from include.agent.layouts import mail_folders
from include.agent.stores.files import digest, look, rsync, walk
from include.agent.stores.files.trees import Tree
accounts.STATE = Path("/srv/state")
account = accounts.Account.from_json(json.loads(sys.argv[1]))
def side(owner):
    "The account's folders as a server of that owner has them."
    os.umask(0o022)
    mail_folders.make(account, lambda: owner)
tree = Tree(account, account.mail_folders)
def lines():
    found = digest.digest(tree)
    return found, {line.split("\\t", 1)[0]: line.split("\\t", 1)[1] for line in digest.listed(tree, [*range(4096)])}
with Kept():
"""


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes mounts")


def account_with(*places: str, home: str = "/srv/home/alice", **more: Any) -> dict[str, Any]:
    boxes = [
        {
            "address": f"box{number}@alice.example",
            "password_hash": "{CRYPT}x",
            "place": {"maildir": f"{place}/Maildir", "home": place},
        }
        for number, place in enumerate(places)
    ]
    return changed(home=home, mail={"domains": ["alice.example"], "mailboxes": boxes}, **more)


FOLDERS = account_with("/srv/vmail/alice.example/box0", "/srv/mail/box1@alice.example")


def alone(body: str, file: dict[str, Any] = FOLDERS) -> Any:
    """What the body prints, as JSON."""
    code = INSIDE + "".join(f"    {line}\n" for line in body.splitlines())
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", sys.executable, "-c", code, json.dumps(file)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[5])},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_trees_of_an_account_are_its_home_and_its_messages_outside() -> None:
    account = Account.from_json(FOLDERS)
    home, messages = trees.of(account)
    assert (home.root, messages.root) == ("/srv/home/alice", "/messages")
    assert messages.folders == ("/srv/mail/box1@alice.example", "/srv/vmail/alice.example")
    assert (messages.name, messages.directory) == ("alice.messages", account.directory / "messages")
    assert home.relative(b"/srv/home/alice/a") == b"a" and home.relative(b"/srv/home/alice2/a") is None
    assert messages.relative(b"/srv/vmail/alice.example/x") == b"srv/vmail/alice.example/x"
    assert messages.relative(b"/srv/vmail/other.example/x") is None
    assert trees.of(Account.from_json(FILE)) == (Tree(Account.from_json(FILE)),)
    with pytest.raises(Refused, match="no messages outside"):
        trees.chosen(Account.from_json(FILE), messages=True)


@needs_root
def test_two_servers_with_other_users_for_messages_have_the_same_lines() -> None:
    fill = (
        "Path('/srv/vmail/alice.example/box0/Maildir/cur').mkdir(parents=True)\n"
        "Path('/srv/vmail/alice.example/box0/Maildir/cur/1.x:2,S').write_text('one')\n"
        "os.symlink('sieve/a.sieve', '/srv/vmail/alice.example/box0/.dovecot.sieve')\n"
        "os.link('/srv/vmail/alice.example/box0/Maildir/cur/1.x:2,S', '/srv/mail/box1@alice.example/2.x')\n"
        "for top, folders, files in os.walk('/srv'):\n"
        "    for name in (*folders, *files):\n"
        "        os.lchown(os.path.join(top, name), *owner) if 'alice.example' in f'{top}/{name}' else None\n"
        "        if not os.path.islink(f'{top}/{name}'): os.utime(f'{top}/{name}', (7, 7))\n"
        "found, told = lines()\n"
        "print(json.dumps([found['digest'], found['files'], found['_left'], told]))"
    )
    (one, files, left, told), (other, *_) = (
        alone(f"owner = {owner}\nside(owner)\n{fill}") for owner in ((5000, 5000), (812, 8))
    )
    assert one == other and files == 2 and left == {}
    assert told["srv/vmail/alice.example"].split("\t")[:4] == ["d", "700", "messages", "messages"]
    link = told["srv/vmail/alice.example/box0/.dovecot.sieve"].split("\t")
    assert link[:4] == ["l", "777", "-", "-"] and link[6] == "sieve/a.sieve"
    assert {path.split("/")[1] for path in told if "/" in path} == {"vmail", "mail"}


@pytest.mark.parametrize("leads", ["/srv/vmail/other.example", "../../other.example", "a/../../x", ".."])
@needs_root
def test_a_link_out_of_its_folder_is_told_and_never_made(leads: str) -> None:
    told, made = alone(
        "side((5000, 5000))\n"
        "Path('/srv/vmail/alice.example/box0').mkdir()\n"
        f"os.symlink({leads!r}, '/srv/vmail/alice.example/box0/out')\n"
        "found, told = lines()\n"
        "assert 'srv/vmail/alice.example/box0/out' not in told\n"
        "os.unlink('/srv/vmail/alice.example/box0/out')\n"
        f"words = ['srv/vmail/alice.example/box0/out', {leads!r}, 'srv/vmail/alice.example/box0/in', 'deep/a']\n"
        "look.ask(tree, 'link', map(os.fsencode, words), writable=True)\n"
        "print(json.dumps([found['_left'], rsync.links(tree)]))"
    )
    assert told == {"link that leads elsewhere": {"count": 1, "first": ["srv/vmail/alice.example/box0/out"]}}
    assert made == {"srv/vmail/alice.example/box0/in": "deep/a"}


@needs_root
def test_what_copies_messages_cannot_make_a_link_there_and_sees_no_others() -> None:
    said = alone(
        "side((5000, 5000))\n"
        "os.makedirs('/srv/vmail/other.example')\n"
        "import textwrap\n"
        "code = textwrap.dedent('''\n"
        "import os, sys, json\n"
        "from include.agent.host import sandbox\n"
        "sandbox.enter(sys.argv[1], writable=True)\n"
        "try: os.symlink('x', '/messages/srv/vmail/alice.example/x'); made = True\n"
        "except PermissionError: made = False\n"
        "open('/messages/srv/vmail/alice.example/y', 'w').close()\n"
        "print(json.dumps([made, os.listdir('/messages/srv/vmail'), os.path.exists('/srv')]))\n"
        "''')\n"
        "subprocess.run([sys.executable, '-c', code, tree.home], check=True)"
    )
    assert said == [False, ["alice.example"], False]


@needs_root
def test_a_folder_that_was_swapped_for_a_link_is_not_entered() -> None:
    said = alone(
        "side((5000, 5000))\n"
        "os.rmdir('/srv/vmail/alice.example')\n"
        "os.symlink('/etc', '/srv/vmail/alice.example')\n"
        "try: digest.digest(tree); said = 'read'\n"
        "except Refused as refused: said = refused.message\n"
        "print(json.dumps(said))"
    )
    assert "Not a directory" in said and "alice.example" in said


@needs_root
def test_they_are_removed_with_the_account_and_no_others() -> None:
    left = alone(
        "from include.agent.stores.files import store\n"
        "side((5000, 5000))\n"
        "Path('/srv/vmail/alice.example/a/b').mkdir(parents=True)\n"
        "Path('/srv/vmail/alice.example/a/b/c').write_text('x')\n"
        "Path('/srv/vmail/other.example').mkdir()\n"
        "mail_folders.remove(account, store._empty)\n"
        "mail_folders.remove(account, store._empty)\n"
        "print(json.dumps([sorted(os.listdir('/srv/vmail')), os.listdir('/srv/mail')]))"
    )
    assert left == [["other.example"], []]


@needs_root
def test_the_watcher_tells_what_changes_in_each_folder_and_when_one_is_swapped() -> None:
    changed_paths, lost = alone(
        "side((5000, 5000))\n"
        "Path('/srv/vmail/alice.example/box0/new').mkdir(parents=True)\n"
        "import textwrap\n"
        "code = textwrap.dedent('''\n"
        "import json, os, sys\n"
        "from include.agent.host import sandbox\n"
        "from include.agent.stores.files.watch import Watch\n"
        "sandbox.enter(sys.argv[1], writable=False)\n"
        "watch = Watch(sys.argv[1])\n"
        "for line in sys.stdin:\n"
        "    paths = [os.fsdecode(path) for path, _ in watch.since(0)[1]]\n"
        "    print(json.dumps([sorted(paths), watch.lost]), flush=True)\n"
        "''')\n"
        "watcher = subprocess.Popen([sys.executable, '-c', code, tree.home], stdin=-1, stdout=-1, text=True)\n"
        "def asked():\n"
        "    watcher.stdin.write('?\\n'); watcher.stdin.flush()\n"
        "    return json.loads(watcher.stdout.readline())\n"
        "assert asked() == [[], None]\n"
        "Path('/srv/vmail/alice.example/box0/new/1.x').write_text('one')\n"
        "Path('/srv/mail/box1@alice.example/uids').write_text('1')\n"
        "Path('/srv/vmail/other.example').mkdir()\n"
        "said = asked()[0]\n"
        "os.rename('/srv/vmail/alice.example', '/srv/vmail/moved')\n"
        "print(json.dumps([said, asked()[1]])); watcher.kill()"
    )
    box = "srv/vmail/alice.example/box0/new"
    mail = "srv/mail/box1@alice.example"
    assert changed_paths == [mail, f"{mail}/uids", box, f"{box}/1.x"]
    assert lost == "a folder of messages was moved or deleted"


def test_rsync_is_told_to_bring_neither_links_nor_further_names() -> None:
    for kind in rsync._SERVER_OPTIONS:
        home, messages = (rsync._server_options(kind, which) for which in (False, True))
        assert home[0].startswith(("-lH", "-lWH")) and messages[0] == home[0].replace("l", "", 1).replace("H", "", 1)
        assert home[1:] == messages[1:]


def test_only_what_is_meant_for_messages_is_taken_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    account = Account.from_json(FOLDERS)
    for words, where in (
        (rsync._server_options("whole", messages=False), "/messages/"),
        (rsync._server_options("whole", messages=True), "/srv/home/alice/"),
    ):
        with pytest.raises(Refused, match="none of those that a move uses"):
            rsync.serve_rsync(account, ["rsync", "--server", *words, ".", where])


def test_sentences_name_the_folders() -> None:
    home = Tree(Account.from_json(FOLDERS), ("/srv/vmail/alice.example",)).home
    assert sandbox.shown(home) == "/srv/vmail/alice.example"
