"""The file copy against a hostile other server and a hostile program in its place, with each infrastructure's rsync."""

from pathlib import Path

import pytest

from tests.lab import base_tree

# An account, and `serve`: a program that takes a copy as the target does, told what the arguments say.
SETTING = r"""
import ctypes, json, os, shutil, socket, stat, subprocess, sys, threading
from include.agent.stores.files import rsync as files_rsync, trees as files_trees
from include.agent.host import sandbox as files_sandbox
from include.agent.account.accounts import Account
ALICE = {"account": "alice", "uid": 1500, "gid": 1500, "home": "/home/alice"}
subprocess.run(["groupadd", "-g", "1500", "alice"], check=True)
subprocess.run(["useradd", "-u", "1500", "-g", "1500", "-M", "alice"], check=True)
os.mkdir("/root/other")
def home():
    subprocess.run(["rm", "-rf", "/home/alice"], check=True)
    os.mkdir("/home/alice", 0o710)
    os.chown("/home/alice", 1500, 1500)
home()
with open("/root/serve", "w") as file:
    file.write(f'''#!/usr/bin/python3
import json, os, sys
sys.path.insert(0, "/srv/checkout")
from include.agent.stores.files import rsync as files_rsync
from include.agent.account.accounts import Account
try:
    files_rsync.serve_rsync(Account.from_json({ALICE!r}), json.loads(os.environ["TOLD"]))
except BaseException as error:
    print("refused", error, file=sys.stderr)
    sys.exit(9)
''')
os.chmod("/root/serve", 0o755)
def client(options, words=None):
    told = {**os.environ, "TOLD": json.dumps(words)}
    argv = ["rsync", *options, "-e", "/root/serve", "/root/other/", "peer:/home/alice/"]
    return subprocess.run(argv, env=told, capture_output=True, text=True, timeout=20)
def plain():
    "Whether a file of root's gives its rights to the account that runs it, and whether a device is one."
    os.chown(shutil.copy("/usr/bin/id", "/home/alice/id"), 0, 0)
    os.chmod("/home/alice/id", 0o4755)
    os.mknod("/home/alice/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    said = subprocess.run(["/home/alice/id"], user=1500, group=1500, extra_groups=[], capture_output=True, text=True)
    try:
        open("/home/alice/null").close()
    except PermissionError:
        return "euid" not in said.stdout
    return False
def powers():
    "Whatever has come into the home that a copy must not bring."
    found = []
    for top, directories, files in os.walk("/home/alice"):
        for name in directories + files:
            path = os.path.join(top, name)
            info = os.lstat(path)
            if not (stat.S_ISREG(info.st_mode) or stat.S_ISDIR(info.st_mode) or stat.S_ISLNK(info.st_mode)):
                found.append(name)
            if info.st_mode & stat.S_ISUID or (stat.S_ISREG(info.st_mode) and info.st_mode & stat.S_ISGID):
                found.append(name)
            found += [f"{name} {one}" for one in os.listxattr(path, follow_symlinks=False)
                      if one.split(".")[0] in ("security", "trusted")]
    return found
"""

# Each kind of copy with the words that rsync itself would send, and what a hostile sender puts into it.
SENDS = (
    SETTING
    + r"""
open("/root/other/suid", "w").write("#!/bin/sh\n")
os.mkdir("/root/other/d")
os.mkdir("/root/other/gd")
for path, mode in (("suid", 0o4755), ("d", 0o6755), ("gd", 0o2775)):
    os.chmod("/root/other/" + path, mode)
open("/root/other/sgid", "w").write("x")
os.chmod("/root/other/sgid", 0o2755)
os.mkfifo("/root/other/fifo")
os.mknod("/root/other/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
os.symlink("/etc", "/root/other/link")
open("/root/other/capable", "w").write("x")
value = bytes.fromhex("0100000200040000000000000000000000000000")
os.setxattr("/root/other/capable", "security.capability", value)
os.setxattr("/root/other/capable", "trusted.x", b"1")
os.setxattr("/root/other/capable", "user.x", b"1")
# There is no systemd here to ask for the next boot.
os.makedirs("/etc/systemd/system", exist_ok=True)
os.symlink("/usr/bin/true", "/usr/local/bin/systemctl")
sent = {}
names = b"".join(b"./%s\0" % os.fsencode(name) for name in os.listdir("/root/other"))
for kind, words in files_rsync._SERVER_OPTIONS.items():
    home()
    options = ["-aHAXS", "--modify-window=-1", "-DD", "--filter=+x *"]
    options += ["--delete", "--ignore-errors", "--stats"] if kind.startswith("whole") else []
    options += ["--checksum"] if "content" in kind else []
    options += ["--files-from=/root/names", "--from0"] if kind.startswith("listed") else []
    options += ["--ignore-times"] if "again" in kind else []
    options += [] if kind.startswith("whole") else ["--inplace"] if "parts" in kind else ["--whole-file"]
    open("/root/names", "wb").write(names)
    for more in ([], ["--no-D"]):
        done = client(options + more, ["rsync", "--server", *words, ".", "/"])
        sent[kind + " ".join(more)] = [done.returncode, done.stderr[-300:], powers(), sorted(os.listdir("/home/alice"))]
print(json.dumps([plain(), sent]))
"""
)

# What rsync words for each kind of copy that `send` and `Listed` make, against what is told in its place.
WORDS = (
    SETTING
    + r"""
class Taken(Exception):
    pass
made = []
class Client:
    def __init__(self, home, argv, remote):
        # What it would copy, of messages, is only there in the sandbox.
        made.append((["/home/alice/" if word == "/messages/" else word for word in argv], remote))
    def finish(self, given=b""): raise Taken
files_sandbox.Client = Client
class Peer:
    def ssh_argv(self): return ["ssh", "root@peer"]
account = Account.from_json(ALICE)
files_rsync.links = lambda tree: {}
for tree in (files_trees.Tree(account), files_trees.Tree(account, ("/var/vmail/a.example",))):
    for checksum in (False, True):
        try: files_rsync.send(tree, Peer(), print, checksum=checksum)
        except Taken: pass
    for again in (False, True):
        for parts in (False, True):
            files_rsync.Listed(tree, Peer(), again=again, parts=parts)
with open("/root/tell", "w") as file:
    file.write("#!/bin/sh\nshift\necho \"$@\" > /root/told\nexit 1\n")
os.chmod("/root/tell", 0o755)
pairs = []
for argv, remote in made:
    argv[argv.index("/relay")] = "/root/tell"
    subprocess.run(argv, input=b"", capture_output=True)
    pairs.append([open("/root/told").read().strip(), remote[-1]])
print(json.dumps(pairs))
"""
)


@pytest.mark.parametrize("infrastructure", ["2022", "2026"])
def test_what_is_told_is_what_rsync_says(infrastructure: str, tmp_path: Path) -> None:
    pairs = base_tree.run(infrastructure, WORDS, tmp_path)
    assert len({told for told, _ in pairs}) == 12 and all(said == told for said, told in pairs), pairs


@pytest.mark.parametrize("infrastructure", ["2022", "2026"])
def test_a_hostile_sender_brings_no_power_into_the_home(infrastructure: str, tmp_path: Path) -> None:
    plain, sent = base_tree.run(infrastructure, SENDS, tmp_path)
    # Nor is anything one that gets there otherwise.
    assert plain
    assert len(sent) == 12
    for kind, (code, said, powers, names) in sent.items():
        assert powers == [], (kind, code, said, powers)
        if "--no-D" in kind:
            assert {"suid", "sgid", "link"} <= set(names), (kind, code, said, names)


# What somebody tries who has taken over the program in the sandbox, as root there and as the account.
TRIES = (
    SETTING
    + r"""
libc = ctypes.CDLL(None, use_errno=True)
segment = libc.shmget(0x7777, 4096, 0o600 | 0o1000)
def answer(line):
    line.listen()
    while True:
        line.accept()[0].sendall(b"hello")
abstract, port = socket.socket(socket.AF_UNIX), socket.socket()
abstract.bind("\0of-root")
port.bind(("127.0.0.1", 7777))
for line in (abstract, port):
    threading.Thread(target=answer, args=(line,), daemon=True).start()
outside = subprocess.Popen(["sleep", "100"])
code = '''
import json, sys
from include.agent.host.sandbox import enter
from tests.lab.sandbox_tries import tries
enter("/home/alice", writable=False, owner=%r)
print(json.dumps(tries(%d, %d)))
'''
reached = []
for owner in (None, (1500, 1500)):
    program = code % (owner, outside.pid, segment)
    done = subprocess.run(["python3", "-c", program], capture_output=True, text=True)
    reached.append(json.loads(done.stdout) | {"said": done.stderr})
assert outside.poll() is None
print(json.dumps(reached))
"""
)

# What `Client` starts outside when the program in the sandbox words its own command, more than once; and whether
# nothing of it goes on when the process that waits for it is killed.
RELAY = (
    SETTING
    + r"""
import time
hijacked = "import subprocess; [subprocess.call(['/relay', 'peer', '-oProxyCommand=id>/tmp/pwned', 'x'], close_fds=0)"
hijacked += " for _ in range(3)]"
remote = ["/usr/bin/python3", "-c", "import sys; open('/tmp/told', 'a').write(repr(sys.argv[1:]))", "rsync --server"]
done = files_sandbox.Client("/home/alice", ["/usr/bin/python3", "-c", hijacked], remote).finish()
client = files_sandbox.Client("/home/alice", ["/usr/bin/python3", "-c", "import time; time.sleep(97)"], remote)
def sleeping():
    lines = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout.splitlines()
    return any(line.endswith("time.sleep(97)") for line in lines)
time.sleep(1)
before = sleeping()
client.abandon()
time.sleep(1)
told = open("/tmp/told").read() if os.path.exists("/tmp/told") else ""
print(json.dumps([os.path.exists("/tmp/pwned"), told, before, sleeping(), done.stderr[-300:]]))
"""
)


@pytest.mark.parametrize("infrastructure", ["2022", "2026"])
def test_nothing_of_the_host_is_reached_from_the_sandbox(infrastructure: str, tmp_path: Path) -> None:
    as_root, as_account = base_tree.run(infrastructure, TRIES, tmp_path)
    for reached in (as_root, as_account):
        # Of its own processes it may do as it likes.
        reached.pop("SIGKILL to all", None)
        assert reached == {"tries": "39", "said": ""}


def test_the_relay_hears_nothing_and_all_ends_together(tmp_path: Path) -> None:
    pwned, told, before, after, said = base_tree.run("2026", RELAY, tmp_path)
    assert (pwned, told, before, after) == (False, "['rsync --server']", True, False), said
