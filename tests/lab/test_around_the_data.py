"""What lies around an account's data: owners and flags of files, odd times and paths, what starts itself, and mail."""

from __future__ import annotations

import time

import pytest

from include.agent import verbs
from tests.lab import post
from tests.lab.agents import Move, Side, account_file, measured, side
from tests.lab.handles import Lab, Running

NAME, UID, NEIGHBOUR = "around", 2461, 2402
DAEMON = """#!/usr/bin/python3
import os, time
with open(os.path.expanduser("~/started"), "a") as file:
    print(os.environ["KIND"], os.environ["SHELL"], os.environ["LOGNAME"], os.getcwd(), file=file)
time.sleep(1000)
"""
CRONTAB = "KIND=worker\n@reboot $HOME/bin/worker\n@reboot $HOME/bin/worker & # and a shell that ends at once\n"
FILES = f"""
echo x > usual; echo y > far; touch -d '2300-01-01 00:00:00.123456789 UTC' far
touch -d '1901-12-14 00:00:00.5 UTC' long-ago
mkdir shared logs; echo x > shared/list; setfacl -m u:{NEIGHBOUR}:rx,d:u:{NEIGHBOUR}:rx shared; mkdir -m 2777 drop
setfacl -m g:4711:r shared/list
echo deny > .htaccess; echo line > logs/audit
python3 -c "
import os
for _ in range(30):
    os.mkdir('d' * 200); os.chdir('d' * 200)
open('deep', 'w').write('deep')
"
"""
QUESTIONS = """
cd /home/around; stat -c '%n %u %g %Y %y' far long-ago drop/from-neighbour; getfacl -n --omit-header shared shared/list
cat usual; ls -d ddd*
"""


class World:
    """The account on the old server, and the two ends of its move."""

    def __init__(self, old: Side, new: Side) -> None:
        self.old, self.new = old, new
        self.statement = account_file(NAME, UID)
        old.root("useradd", "-u", str(NEIGHBOUR), "-U", "-M", "neighbour")
        old.host.call(verbs.Create(account_file=self.statement))
        old.root(
            "sh", "-c", f"cd /home/{NAME}; mkdir bin; cat > bin/worker; chmod 755 bin/worker", stdin=DAEMON.encode()
        )
        self.hand(FILES)
        old.root("install", "-o", "neighbour", "-g", "neighbour", "/etc/hostname", f"/home/{NAME}/drop/from-neighbour")
        old.root("sh", "-c", f"cd /home/{NAME}; chattr +i .htaccess; chattr +a logs/audit; chattr +A logs")
        old.root("crontab", "-u", NAME, "-", stdin=CRONTAB.encode())

    def hand(self, script: str) -> str:
        as_account = ("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "env", f"HOME=/home/{NAME}")
        return self.old.root(*as_account, "bash", "-ec", f"cd /home/{NAME}; {script}")

    def workers(self, on: Side, expected: int) -> int:
        """How many run there, once they are as many as are expected, or after a while."""
        for _ in range(60):
            count = int(on.root("sh", "-c", f"pgrep -cu {UID} -f 'python3 .*bin/worker$' || true"))
            if count == expected:
                break
            time.sleep(0.25)
        return count

    def answers(self, on: Side) -> str:
        return on.root("sh", "-c", QUESTIONS)


@pytest.fixture(scope="module")
def world(lab: Lab, pair: tuple[Running, Running]) -> World:
    return World(side(lab, pair[0]), side(lab, pair[1]))


def test_a_hold_ends_what_the_crontab_started_and_a_return_starts_it_again(world: World) -> None:
    move = Move("around-back", 2, world.statement, world.old, world.new).prepare()
    assert world.workers(world.old, 0) == 0
    world.old.fence("hold", name=NAME, move=move.key, epoch=move.epoch, seconds=30)
    assert world.workers(world.old, 0) == 0
    world.old.host.call(verbs.Return(account=NAME, move=move.key))
    assert world.workers(world.old, 2) == 2
    assert world.old.root("cat", f"/home/{NAME}/started") == f"worker /bin/sh {NAME} /home/{NAME}\n" * 2
    for one in (world.old, world.new):
        one.host.call(verbs.Unpair(move=move.key))
    # What was given up takes no mail, and no room.
    assert world.new.state(NAME) == "absent" and world.old.state(NAME) == "serving"
    assert NAME not in world.new.root("sh", "-c", "cat /etc/transhumance/mail/* ; ls /home")


def test_what_is_odd_comes_over_or_is_told(world: World) -> None:
    before = world.answers(world.old)
    move = Move("around-out", 3, world.statement, world.old, world.new).prepare()
    left = world.old.host.run("around-left", verbs.Copy(**move.args())).left
    left += world.old.host.run("around-out-copy", verbs.Copy(**move.args())).left
    told = "\n".join(left)
    for words in ("immutable (chattr +i)) are not carried as they are: .htaccess", "append only", "path of more than"):
        assert words in told, told
    assert "access times" in told
    moved = move.switch()
    assert measured(moved.verified).equal
    assert world.answers(world.new) == before
    assert world.workers(world.new, 2) == 2 and world.workers(world.old, 0) == 0
    # What is immutable does not keep the account on the server that it has left.
    world.old.host.call(verbs.Remove(account=NAME))
    assert world.old.state(NAME) == "absent"
    assert NAME not in world.old.root("ls", "/home").split()


def test_mail_to_every_name_arrives_once_before_a_move_and_after_it(world: World) -> None:
    old, new, statement = world.old, world.new, post.statement()
    old.host.call(verbs.Create(account_file=statement))
    post.send(old, "before")
    assert post.all_lie_in(old, "before") == post.expected("before")
    back = Move("names-back", 2, statement, old, new).prepare()
    old.fence("hold", name=post.NAME, move=back.key, epoch=2, seconds=60)
    post.submit(old, "held")
    assert post.lie_in(old) == post.expected("before")
    old.host.call(verbs.Return(account=post.NAME, move=back.key))
    assert post.all_lie_in(old, "before", "held") == post.expected("before", "held")
    for one in (old, new):
        one.host.call(verbs.Unpair(move=back.key))

    post.fill(old)
    seen = post.look(old)
    assert len(seen["flags of INBOX"][0]) > 40
    assert post.went_elsewhere(old, 4) == 4
    moved = Move("names-out", 3, statement, old, new).prepare().switch()
    assert measured(moved.verified).equal
    assert post.look(new) == seen

    post.send(new, "after")
    # From a server that still has the address of the old one, and from a program on that.
    post.send(old, "late")
    post.submit(old, "local")
    every = ("before", "held", "after", "late", "local")
    assert post.all_lie_in(new, *every) == post.expected(*every)
    # The two addresses that lead elsewhere do so once for each message, and only where the account is.
    assert (post.went_elsewhere(new, 6), post.went_elsewhere(old, 4)) == (6, 4)
    [described] = [one for one in new.host.call(verbs.Describe()).accounts if one["account"] == post.NAME]
    assert sorted(described["forwarders"]) == sorted(each["address"] for each in statement["mail"]["forwarders"])
