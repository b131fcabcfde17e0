"""What an account can put in the place of what it owns leads nobody of more power than its own to a neighbour."""

import http.client
import time

import pytest

from include.agent import verbs
from tests.lab.agents import PAGE, Side, account_file, side, visitors
from tests.lab.handles import Lab, Running

WOLF, LAMB = ("wolf", 3501), ("lamb", 3502)
SECRET = "lambs-secret"
WHO = b"<?php echo posix_getpwuid(posix_geteuid())['name'] ?? posix_geteuid();"
APP = b"""
import getpass, http.server, os, socketserver
class App(http.server.BaseHTTPRequestHandler):
    def address_string(self):
        return "visitor"
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(getpass.getuser().encode())
    do_POST = do_GET
class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 50
path = os.path.expanduser("~/app.sock")
if os.path.lexists(path):
    os.unlink(path)
Server(path, App).serve_forever()
"""
# Whatever comes is given back to the front as it is.
CIRCLE = b"""
import os, socket, threading
path = os.path.expanduser("~/app.sock")
os.unlink(path)
server = socket.socket(socket.AF_UNIX)
server.bind(path)
server.listen(100)
def pump(one, other):
    while part := one.recv(65536):
        other.sendall(part)
    other.shutdown(socket.SHUT_WR)
while True:
    here, there = server.accept()[0], socket.create_connection(("127.0.0.1", 80))
    for way in ((here, there), (there, here)):
        threading.Thread(target=pump, args=way, daemon=True).start()
"""
# In namespaces of its own a customer binds any path, and has connections there that never end.
PRETENDED = b"""
import ctypes, os, socket, time
libc = ctypes.CDLL(None, use_errno=True)
uid, gid = os.getuid(), os.getgid()
assert libc.unshare(0x10000000 | 0x20000) == 0, ctypes.get_errno()
for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
    with open(f"/proc/self/{name}", "w") as file:
        file.write(text)
libc.mount(None, b"/", None, 16384 | 1 << 18, None)
for place in (b"/home", b"/run"):
    assert libc.mount(b"t", place, b"tmpfs", 0, None) == 0
kept = []
for path in ("/home/lamb/app.sock", "/run/transhumance-web/lamb.app", "/run/transhumance-web/lamb.php"):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen(50)
    for _ in range(3):
        client = socket.socket(socket.AF_UNIX)
        client.connect(path)
        kept += [client, server.accept()[0] if len(kept) % 2 else None]
    kept.append(server)
print("bound", flush=True)
time.sleep(600)
"""


def as_account(here: Side, who: tuple[str, int], *argv: str, stdin: bytes | None = None, check: bool = True) -> str:
    ids = (f"--reuid={who[1]}", f"--regid={who[1]}", "--clear-groups")
    return here.root("env", f"HOME=/home/{who[0]}", "setpriv", *ids, *argv, stdin=stdin, check=check)


def put(here: Side, who: tuple[str, int], path: str, content: bytes) -> None:
    as_account(here, who, "tee", f"/home/{who[0]}/{path}", stdin=content)


def run_app(here: Side, who: tuple[str, int], program: bytes) -> None:
    """A program of the account's own takes the place of the one before."""
    put(here, who, "app.py", program)
    here.root("systemctl", "stop", f"own-{who[0]}", check=False)
    user = (f"--uid={who[1]}", f"--gid={who[1]}", f"--setenv=HOME=/home/{who[0]}")
    here.root("systemd-run", "--quiet", *user, f"--unit=own-{who[0]}", "python3", f"/home/{who[0]}/app.py")
    wait = "import os, socket, time\nwhile socket.socket(socket.AF_UNIX).connect_ex('%s'): time.sleep(0.05)"
    as_account(here, who, "python3", "-c", wait % f"/home/{who[0]}/app.sock")


def ask(here: Side, who: tuple[str, int], path: str, method: str = "GET") -> tuple[int, str]:
    connection = http.client.HTTPConnection(here.address, 80, timeout=60)
    try:
        connection.request(method, path, headers={"Host": f"{who[0]}.example"})
        response = connection.getresponse()
        return response.status, response.read().decode(errors="replace")
    finally:
        connection.close()


def with_app(who: tuple[str, int]) -> dict:
    statement = account_file(*who)
    statement["sites"][0]["app"] = "/live"
    return statement


@pytest.fixture(scope="module")
def sides(lab: Lab, pair: tuple[Running, Running]) -> tuple[Side, Side]:
    both = side(lab, pair[0]), side(lab, pair[1])
    for here in both:
        for who in (WOLF, LAMB):
            here.host.call(verbs.Create(account_file=with_app(who)))
            as_account(here, who, "mkdir", "-p", f"/home/{who[0]}/public_html")
            put(here, who, "public_html/who.php", WHO)
            run_app(here, who, APP)
        put(here, LAMB, "public_html/index.php", PAGE)
        put(here, LAMB, "public_html/secret.txt", SECRET.encode())
        as_account(here, LAMB, "chmod", "-R", "a+rX", "/home/lamb/public_html")
        for who in (WOLF, LAMB):
            assert ask(here, who, "/who.php") == (200, who[0])
            assert ask(here, who, "/live") == (200, who[0])
    return both


# What a program of root's or of a service's opens by a name that stands in one of these.
OPENED = """
nginx -T 2>/dev/null; cat /etc/haproxy/haproxy.cfg /etc/transhumance/php/wolf.conf; postconf -n; doveconf -n
systemctl cat 'php-fpm@wolf.*' 'app@wolf.*' 'led-mariadb@wolf.*' 'led-postgresql@wolf.*' | sed s/%i/wolf/g
cat /etc/security/namespace.conf
"""
OWNED = """
import os, re, sys
found = set()
for path in re.findall(r"(?<![\\w.~$])/[\\w./@~-]+", sys.stdin.read()):
    path = os.path.normpath("/" + path.strip("/"))
    while path != "/":
        try:
            status = os.lstat(path)
        except OSError:
            pass
        else:
            # Also what it could replace as a member of a directory that others may write.
            below = os.stat(os.path.dirname(path))
            if status.st_uid == 3501 or below.st_uid == 3501 or below.st_mode & 0o1022 in (0o22, 0o2):
                found.add(path)
        path = os.path.dirname(path)
print("\\n".join(sorted(found)))
"""


def test_nothing_that_is_opened_by_name_is_the_accounts_but_its_home(sides: tuple[Side, Side]) -> None:
    for here in sides:
        opened = here.root("sh", "-c", OPENED)
        assert "/run/transhumance-gate/wolf.sock" in opened and "/run/transhumance-web/wolf.status" in opened
        owned = here.root("python3", "-c", OWNED, stdin=opened.encode()).split()
        # nginx reads files there and follows no link that is not of the file's owner; the app's proxy is the account.
        assert [path for path in owned if path.startswith("/home/")] == owned, owned
        assert owned[0] == "/home/wolf" and {*owned[1:]} <= {f"/home/wolf/{one}" for one in ("app.sock", "public_html")}


def test_whatever_stands_in_the_place_of_its_socket_leads_to_no_neighbour(sides: tuple[Side, Side]) -> None:
    for here in sides:
        of_lamb = [f"/run/transhumance-web/lamb.{kind}" for kind in ("php", "status", "app")]
        of_lamb += ["/run/transhumance-gate/lamb.sock", "/run/transhumance-gate/lamb.app", "/home/lamb/app.sock"]
        powerful = ["/run/haproxy/again.sock", "/run/haproxy/admin.sock", "/run/systemd/private"]
        tried = "import socket, sys; print(socket.socket(socket.AF_UNIX).connect_ex(sys.argv[1]))"
        for path in (*of_lamb, *powerful):
            assert as_account(here, WOLF, "python3", "-c", tried, path).strip() == "13", path
            as_account(here, WOLF, "ln", "-sfn", path, "/home/wolf/app.sock")
            for method in ("GET", "POST"):
                assert (path, ask(here, WOLF, "/live", method)[0]) == (path, 502)
        for path in of_lamb[:4] + ["/run/transhumance-web/wolf.php", "/run/transhumance-web/wolf.app"]:
            for argv in (("rm", "-f", path), ("ln", "-sfn", of_lamb[0], path), ("mv", path, f"{path}.old")):
                assert as_account(here, WOLF, *argv, check=False) == ""
        assert [ask(here, who, "/who.php") for who in (WOLF, LAMB)] == [(200, "wolf"), (200, "lamb")]
        assert ask(here, LAMB, "/live") == (200, "lamb")
        as_account(here, WOLF, "mv", "/home/wolf/public_html", "/home/wolf/kept")
        as_account(here, WOLF, "ln", "-s", "/home/lamb/public_html", "/home/wolf/public_html")
        for page in ("/secret.txt", "/who.php"):
            status, text = ask(here, WOLF, page)
            assert status in (403, 404) and SECRET not in text, (page, status, text)
        as_account(here, WOLF, "sh", "-c", "cd && rm public_html && mv kept public_html")
        run_app(here, WOLF, APP)
        assert ask(here, WOLF, "/live") == (200, "wolf")


def test_a_request_that_an_app_gives_back_to_the_front_ends(sides: tuple[Side, Side]) -> None:
    here = sides[0]
    run_app(here, WOLF, CIRCLE)
    with visitors(here.address, "lamb.example", 0) as crowd:
        asked = [ask(here, WOLF, "/live", method)[0] for method in ("GET", "POST") for _ in range(5)]
    assert asked == [508] * 10
    assert crowd.failed == [] and len(crowd.answers) > 5
    run_app(here, WOLF, APP)


def test_sockets_that_pretend_to_be_a_neighbours_are_not_counted_as_its(sides: tuple[Side, Side]) -> None:
    here = sides[0]
    put(here, WOLF, "pretend.py", PRETENDED)
    user = (f"--uid={WOLF[1]}", f"--gid={WOLF[1]}")
    here.root("systemd-run", "--quiet", *user, "--unit=pretends", "python3", "/home/wolf/pretend.py")
    while here.root("ss", "-xl").count("/lamb.app ") < 2:
        time.sleep(0.1)
    here.fence("hold", name="lamb", move="m1", epoch=2, seconds=30)
    here.host.call(verbs.Return(account="lamb", move="m1"))
    assert here.root("ss", "-xl").count("/lamb.app ") == 2
    here.root("systemctl", "stop", "pretends")
    assert here.state("lamb") == "serving"
