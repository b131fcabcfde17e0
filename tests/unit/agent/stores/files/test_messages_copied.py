"""Messages outside of homes, copied by the real rsync from one mount namespace, as one server, to another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.account_files import changed

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root makes mounts"),
    pytest.mark.skipif(not Path("/usr/bin/rsync").exists(), reason="rsync is missing"),
]
TARGET = Path(__file__).with_name("target_of_messages.py")
FOLDERS = ("/srv/mail/box1@alice.example", "/srv/vmail/alice.example")
FILE = changed(
    home="/srv/home/alice",
    mail={
        "domains": ["alice.example"],
        "mailboxes": [
            {"address": f"box{number}@alice.example", "password_hash": "{CRYPT}x", "place": {"maildir": place}}
            for number, place in enumerate(("/srv/vmail/alice.example/box0", FOLDERS[0]))
        ],
    },
)

# The source, told the process in whose mount namespace the target is.
SOURCE = """
import json, os, subprocess, sys
from pathlib import Path
from types import SimpleNamespace
from include.agent.account import accounts
from include.agent.host.codec import plain
from include.agent.host.kept import Kept
from include.agent.host.system import Refused
from include.agent.stores.files import digest, follow, look, rsync
from include.agent.stores.files.trees import Tree
accounts.STATE = Path("/srv/state")
file, target, elsewhere = sys.argv[1], sys.argv[2], sys.argv[3]
account = accounts.Account.from_json(json.loads(file))
tree = Tree(account, account.mail_folders)
class Peer:
    move = "m"
    def ssh_argv(self): return ["nsenter", "-t", elsewhere, "-m", "--", sys.executable, target, file]
    def call(self, verb):
        argv = [*self.ssh_argv(), "verb", verb.name, json.dumps(plain(verb))]
        done = subprocess.run(argv, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        return SimpleNamespace(**answer) if verb.name == "files_listed" else answer
    def apart(self): return self
peer = Peer()
def there(script): subprocess.run(["nsenter", "-t", elsewhere, "-m", "--", "bash", "-ec", script], check=True)
def here(script): subprocess.run(["bash", "-ec", script], check=True)
def send(): return rsync.send(tree, peer, lambda **_: None)["files"]
def different():
    return digest.differences(tree, peer, digest.digest(tree), peer.call(rsync.verbs.FilesDigest(messages=True)))
box = "/srv/vmail/alice.example/box0"
with Kept():
"""
FURNISHED = "mkdir -p {folders}; chmod 755 /srv; chown {owner} {folders}; chmod 700 {folders}"
MAIL = f"""
cd /srv/vmail/alice.example; mkdir -p box0/cur box0/new box0/tmp box0/sieve; umask 077
echo one > box0/cur/1.x:2,S; echo two > box0/new/2.x; echo uids > box0/dovecot-uidlist
ln box0/cur/1.x:2,S {FOLDERS[0]}/linked; setfattr -n user.x -v y box0/new/2.x 2>/dev/null || true
echo keep > box0/sieve/a.sieve; ln -s sieve/a.sieve box0/.dovecot.sieve; ln -s /etc/passwd box0/out
find /srv/vmail/alice.example {FOLDERS[0]} -exec chown -h 5000:5000 {{}} +
"""


def furnished(owner: str) -> list[str]:
    script = "mount -t tmpfs -o mode=755 none /srv; " + FURNISHED.format(folders=" ".join(FOLDERS), owner=owner)
    return ["unshare", "--mount", "--propagation", "private", "sh", "-ec", f'{script}; exec "$@"', "sh"]


def copied(body: str) -> Any:
    """What the body prints at the source, as JSON."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[5])}
    with subprocess.Popen(
        [*furnished("812:8"), "sh", "-c", "echo; exec sleep 60"], stdout=-1, text=True, env=environment
    ) as target:
        try:
            assert target.stdout and target.stdout.readline() == "\n"
            code = SOURCE + "".join(f"    {line}\n" for line in body.splitlines())
            argv = [*furnished("5000:5000"), sys.executable, "-c", code, json.dumps(FILE), str(TARGET), str(target.pid)]
            done = subprocess.run(argv, capture_output=True, text=True, env=environment)
        finally:
            target.kill()
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_they_arrive_as_the_other_servers_users_and_equal() -> None:
    sent, left, first, second = copied(
        f"here({MAIL!r})\n"
        "sent = send()\n"
        "left = different()\n"
        "there(f'test $(stat -c %u:%g {box}/cur/1.x:2,S) = 812:8; test ! -e {box}/out; test -L {box}/.dovecot.sieve')\n"
        "first = left\n"
        "send()\n"
        "print(json.dumps([sent, digest.left_of(tree), first, different()]))"
    )
    assert sent == 5
    assert left == [
        "Of the files, 1 (link that leads elsewhere) are not carried as they are: srv/vmail/alice.example/box0/out."
    ]
    # The folder of a link that was made last has another time, which the next pass sets.
    assert [text.split(":")[0] for text in first] in ([], ["srv/vmail/alice.example/box0"])
    assert second == []


def test_what_changed_is_brought_over_by_name_and_the_copy_stays_within() -> None:
    said = copied(
        f"here({MAIL!r})\n"
        "send(); send()\n"
        "here(f'rm {box}/new/2.x; mv {box}/cur/1.x:2,S {box}/cur/1.x:2,RS; echo three > {box}/new/3.x')\n"
        "paths = {f'srv/vmail/alice.example/box0{path}'.encode() for path in ('', '/cur', '/new', '/cur/1.x:2,RS',"
        " '/new/3.x')}\n"
        "paths |= {b'srv', b'srv/vmail', b'srv/vmail/alice.example', b'.'}\n"
        "gone = ['srv/vmail/alice.example/box0/new/2.x', 'srv/vmail/alice.example/box0/cur/1.x:2,S']\n"
        "peer.call(rsync.verbs.FilesRemove(paths=gone, messages=True))\n"
        "said = rsync.Listed(tree, peer, again=True).copy(paths, held=True)\n"
        "peer.call(rsync.verbs.FilesSettle(paths=[os.fsdecode(path) for path in paths], messages=True))\n"
        "peer.call(rsync.verbs.FilesSettleAll(messages=True))\n"
        "print(json.dumps([said, different()]))"
    )
    assert said == ["", []]


def test_a_hostile_source_makes_no_link_there() -> None:
    said, made = copied(
        f"here({MAIL!r})\n"
        "send()\n"
        "links = {'srv/vmail/alice.example/box0/a': '../../bob.example', 'srv/vmail/alice.example/box0/b': '/etc'}\n"
        "peer.call(rsync.verbs.FilesLinks(links=links))\n"
        # One that has rsync send links all the same, in the place of what a copy is.
        "rsync._OF_MESSAGES = ('--links',)\n"
        "said = []\n"
        "try: send()\n"
        "except (Refused, AssertionError) as error: said.append(str(error))\n"
        "there(f'find /srv -type l > /srv/found')\n"
        "found = subprocess.run(['nsenter', '-t', elsewhere, '-m', 'cat', '/srv/found'], capture_output=True)\n"
        "print(json.dumps([said, found.stdout.decode().split()]))"
    )
    assert made == ["/srv/vmail/alice.example/box0/.dovecot.sieve"], said


def test_a_pass_brings_over_what_the_watcher_tells_links_too() -> None:
    differs, carried, unequal, equal = copied(
        f"here({MAIL!r})\n"
        "send(); send()\n"
        "from include.agent.stores.files import changes, index, store\n"
        "from include.agent.stores.files.watch import DATA, DEEP\n"
        "from include.agent.stores.store import Followed\n"
        "changes.mapped = lambda tree: set()\n"
        "with open(digest.digest(tree)['_listing'], 'rb') as listing: known = index.load(listing)\n"
        "following = follow.Watched(store.FILES, tree, peer, Followed(), 't', 0, known)\n"
        "here(f'''cd {box}; mv new/2.x cur/2.x:2,; echo three > new/3.x; rm sieve/a.sieve; echo b > sieve/b.sieve\n"
        "ln -sfn sieve/b.sieve .dovecot.sieve; ln -s /etc/passwd more; chown -Rh 5000:5000 .''')\n"
        "told = ['new', 'cur', 'sieve', 'new/2.x', 'cur/2.x:2,', 'new/3.x', 'sieve/a.sieve', 'sieve/b.sieve',"
        " '.dovecot.sieve', 'more', '']\n"
        "paths = {f'srv/vmail/alice.example/box0/{path}'.rstrip('/').encode(): DATA | DEEP for path in told}\n"
        "changes.since = lambda *_, **__: changes.Changes('t', 9, paths)\n"
        "differs = len(different()) > 0\n"
        "carried = len(follow.carry(following, held=True))\n"
        "unequal = [each.sentence for each in follow.prove(following).values()]\n"
        "print(json.dumps([differs, carried > len(told), unequal, different()]))"
    )
    assert (differs, carried, unequal, equal) == (True, True, [], [])
