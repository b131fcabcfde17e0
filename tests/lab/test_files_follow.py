"""Files are followed: whatever changes while the account serves, the last pass and its comparison leave nothing out."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from include.agent import verbs
from lab.pairing import receive
from tests.lab.agents import Side, account_file, side
from tests.lab.handles import Lab, Running

DATA = Path(__file__).parent / "data_sets"
NAME, UID = "followed", 2451
WATCH = f"transhumance-watch-{NAME}.service"
TREE = r"""
mkdir -p site/deep/er mail; cd site
for i in $(seq 300); do echo "$i" > "f$i"; done
printf 'x' > "$(printf 'new\nline \377 -- \047"; $(touch escaped)')"; printf 'y' > ./-rf; echo z > '#x'; echo s > ' ; y'
printf 't' > "$(printf 'tab\tback\\slash')"
ln ./-rf hard; ln f1 deep/one; ln f1 deep/er/two; ln f2 apart
ln -s /etc/shadow out; ln -s nowhere dangling; mkfifo deep/fifo
truncate -s 50M sparse; echo end >> sparse
setfattr -n user.colour -v blue ./-rf; setfacl -m u:www-data:rx deep
"""


class Driven:
    """The source's store interface, as `switch` uses it, and the account's own hand (data_sets/files_drive.py)."""

    def __init__(self, old: Side, new: Side) -> None:
        self.old, self.new = old, new
        statement = account_file(NAME, UID)
        old.host.call(verbs.Create(account_file=statement))
        peer = receive("followed", 2, statement, old.end, new.end)
        self.given = {"account": NAME, "move": "followed", "peer": asdict(peer)}
        old.root("tee", "/run/files_stress.py", stdin=(DATA / "files_stress.py").read_bytes())
        old.root("chmod", "a+r", "/run/files_stress.py")

    def run(self, body: str) -> dict:
        """Run a body on the source after the driver; what it puts into `said`."""
        drive = "\n".join((DATA / name).read_text() for name in ("store_steps.py", "files_drive.py"))
        text = f"{drive}\nsaid = {{}}\n{body}\nprint(json.dumps(said))"
        return json.loads(self.old.root("python3", "-c", text, json.dumps(self.given)).splitlines()[-1])


@pytest.fixture(scope="module")
def driven(lab: Lab, pair: tuple[Running, Running]) -> Driven:
    return Driven(side(lab, pair[0]), side(lab, pair[1]))


def test_the_first_follow_copies_and_proves_everything(driven: Driven) -> None:
    said = driven.run(f"hand({TREE!r})\nsaid |= {{'first': follow(), 'again': follow(), 'whole': whole()}}")
    assert said["first"]["files"] > 300 and said["first"]["left"] and said["whole"] == []
    assert said["again"]["files"] == 0
    assert driven.old.root("systemctl", "is-active", WATCH).strip() == "active"


CHANGES = {
    "nothing": "true",
    "contents": "for i in $(seq 200); do echo more >> site/f$i; done; echo more >> site/-rf; echo more >> 'site/#x'",
    "names": r"echo a > site/$'new\nname'; echo b > 'site/; rm'; mv site/$'tab\tback\\slash' site/$'\xff'",
    "a renamed tree": "mkdir -p t/a/b/c; echo 1 > t/a/b/c/f; mv t/a t/z; mv site/deep moved; echo 2 > moved/er/new",
    "a tree in a tree's place": "mkdir q q2; echo 1 > q/old; echo 2 > q2/new; mv q aside; mv q2 q; rm -r aside",
    "hard links": "ln site/f10 site/g10; ln site/f11 h11; rm site/f11; rm site/apart; cp site/f2 site/apart",
    "a broken group": "cp -p moved/one moved/one.new; mv moved/one.new moved/one; echo other >> moved/er/two",
    "deletes": "rm site/f20 site/f21; rm -r t; rmdir mail",
    "attributes": "chmod 640 site/f30; chmod 2775 site; setfattr -n user.n -v 1 site/f31; setfacl -m u:33:r site/f32",
    "owners": "chgrp www-data site/f33; chown -h root site/dangling; setfattr -x user.colour site/-rf",
    "forged times": 't=$(stat -c %y site/f40); printf Z | dd of=site/f40 bs=1 conv=notrunc; touch -d "$t" site/f40',
    "links for directories": "mv moved real; ln -s real moved; echo behind > moved/behind; ln -s /etc w",
    "kinds": "rm site/f50; mkdir site/f50; echo in > site/f50/in; rm -r q; echo file > q; rm site/f51; mkfifo site/f51",
    "a hole": "truncate -s 60M site/sparse; echo end >> site/sparse; : > site/f60; truncate -s 5 site/f61",
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_between_rehearsal_and_hold_goes_over(driven: Driven, change: str) -> None:
    doer = "as_root" if change == "owners" else "hand"
    said = driven.run(f"follow(); files.rehearse()\n{doer}({CHANGES[change]!r})\nsaid['different'] = moved()")
    assert said["different"] == []


def test_everything_at_once_while_it_is_followed(driven: Driven) -> None:
    said = driven.run(
        "stress = begin('exec python3 /run/files_stress.py 7 8')\n"
        "import time; time.sleep(2); follow(); files.rehearse(); time.sleep(0.3)\n"
        "stress.kill(); stress.wait(); said['different'] = moved()"
    )
    assert said["different"] == []


def test_no_link_led_out_of_the_home(driven: Driven) -> None:
    for one in (driven.old, driven.new):
        assert one.root("sh", "-c", "ls -d /etc/behind /etc/in /tmp/behind 2>/dev/null || true") == ""


def test_a_writer_through_a_mapping(driven: Driven) -> None:
    program = (
        "import mmap, os, time; f = open('mapped', 'w+b'); f.truncate(9000)\n"
        "m = mmap.mmap(f.fileno(), 9000); f.close()\n"
        "while True: m[os.urandom(1)[0]] = os.urandom(1)[0]; time.sleep(0.01)"
    )
    said = driven.run(
        f"writer = start(['python3', '-c', {program!r}])\n"
        "import time; time.sleep(0.5); follow(); files.rehearse(); time.sleep(0.2)\n"
        "writer.kill(); writer.wait(); said['different'] = moved()"
    )
    assert said["different"] == []


def test_a_copy_that_was_tampered_with_is_put_right_by_the_second_pass(driven: Driven) -> None:
    driven.run("follow()\nhand('echo before > site/tampered')\nfollow()")
    said = driven.run(
        "follow(); files.rehearse(); hand('echo after1 > site/tampered; echo x > site/fine')\n"
        "files.final_pass()\n"
        "peer.call(peers.FilesRemove(paths=['site/tampered']))\n"
        "said['different'] = files.compare()[1]\nsaid['whole'] = whole()"
    )
    # What the comparison finds is brought over again and compared again before anything is committed.
    assert said["different"] == [] and said["whole"] == []


def test_too_many_changes_at_once_are_never_trusted(driven: Driven) -> None:
    said = driven.run(
        "hand('mkdir many'); follow(); files.rehearse()\n"
        f"as_root('systemctl kill --signal=STOP {WATCH}')\n"
        "hand('for i in $(seq 9000); do : > many/$i; done; echo x >> site/f70')\n"
        f"as_root('systemctl kill --signal=CONT {WATCH}')\n"
        "try: files.final_pass(); said['refused'] = None\n"
        "except files_changes.Lost as lost: said['refused'] = lost.message\n"
        "follow(); files.rehearse(); hand('rm -r many'); said['different'] = moved()"
    )
    assert "too much changed at once" in said["refused"]
    assert said["different"] == []


def test_a_watcher_that_died_is_not_trusted_either(driven: Driven) -> None:
    said = driven.run(
        f"follow(); as_root('systemctl kill -s KILL {WATCH}'); hand('echo unseen >> site/f80')\n"
        "try: files.final_pass(); said['refused'] = None\n"
        "except files_changes.Lost as lost: said['refused'] = lost.message\n"
        "follow(); said['different'] = moved()"
    )
    assert "does not answer" in said["refused"] and said["different"] == []


def test_a_home_that_cannot_be_watched_is_walked_in_the_hold(driven: Driven) -> None:
    said = driven.run(
        "def none_left(account): raise files_changes.Lost('no watch is left')\n"
        "files_changes.start = none_left; files.unfollow(account)\n"
        "said['left'] = follow()['left']; said['slow'] = files.rehearse()['slow']\n"
        "hand('echo x >> site/f90; rm site/f91'); said['different'] = moved()"
    )
    assert "no watch is left" in said["slow"][0]["why"]
    # Everything is carried all the same: it is not among what is left behind.
    assert not any("watch" in sentence for sentence in said["left"])
    assert said["different"] == []


def test_nothing_stays_of_the_following(driven: Driven) -> None:
    driven.run("follow(); files.unfollow(account); files.unfollow(account)")
    assert driven.old.root("systemctl", "is-active", WATCH, check=False).strip() != "active"
    left = f"ls /run/transhumance/watch/{NAME} /var/lib/transhumance/accounts/{NAME}/files.followed 2>&1 || true"
    assert driven.old.root("sh", "-c", left).count("No such file") == 2
