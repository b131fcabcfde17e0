"""The host's DNS: BIND as the primary of the zone `example`, and a caching resolver that visitors ask."""

from __future__ import annotations

import base64
import secrets
import shutil
import subprocess
import time

from include.network.names import Names
from lab.say import LabError
from lab.state import KEYS, LOGS, STATE, alive, in_ns, run, spawn
from lab.topology import DNS, NAME_SERVER, NAME_SERVER6, RESOLVER, RESOLVER6, VISITOR_ADDRESS

HOME = STATE / "dns"
ZONE = "example"
TEST_DOMAIN = "test.example"  # in the same zone; test names are put there by the same updates
KEY = "transhumance"
NAMED = """\
options {{
    directory "{home}";
    pid-file none;
    session-keyfile none;
    listen-on {{ {address}; }};
    listen-on-v6 {{ {address6}; }};
    recursion no;
    allow-transfer {{ none; }};
    notify no;
}};
controls {{ }};
key "{key}" {{ algorithm hmac-sha256; secret "{secret}"; }};
zone "{zone}" {{ type primary; file "{home}/{zone}.zone"; update-policy {{ grant {key} zonesub A AAAA; }}; }};
"""
ZONE_FILE = """\
$ORIGIN {zone}.
$TTL 300
@ SOA ns hostmaster 1 3600 600 86400 5
@ NS ns
ns A {address}
ns AAAA {address6}
resolver A {resolver}
visitor A {visitor}
"""
# only our zone: a resolver that went out to ask others would make visitors wait for the Internet
UNBOUND = """\
server:
    directory: "{home}"
    chroot: ""
    username: "unbound"
    pidfile: ""
    use-syslog: no
    do-daemonize: no
    num-threads: 1
    interface: {resolver}
    interface: {resolver6}
    access-control: 0.0.0.0/0 allow
    access-control: ::/0 allow
    module-config: "iterator"
    local-zone: "." static
    local-zone: "{zone}." transparent
    cache-max-negative-ttl: 5
remote-control:
    control-enable: no
stub-zone:
    name: "{zone}."
    stub-addr: {address}
"""


def tsig_secret() -> str:
    """The key that may update the zone, in base64; made when first asked for."""
    path = KEYS / "tsig"
    if not path.exists():
        path.touch(0o600)
        path.write_text(base64.b64encode(secrets.token_bytes(32)).decode())
    return path.read_text()


def client() -> Names:
    """What changes names in the lab's zone; use it in a process inside the namespace th-ops."""
    return Names(server=NAME_SERVER, zone=ZONE, key_name=KEY, secret=tsig_secret())


def up() -> None:
    """Start both; a zone that is already there is kept with what updates have made of it."""
    HOME.mkdir(mode=0o755, exist_ok=True)
    values = {
        "home": HOME,
        "zone": ZONE,
        "key": KEY,
        "secret": tsig_secret(),
        "address": NAME_SERVER,
        "address6": NAME_SERVER6,
        "resolver": RESOLVER,
        "resolver6": RESOLVER6,
        "visitor": VISITOR_ADDRESS,
    }
    if not (HOME / f"{ZONE}.zone").exists():
        (HOME / f"{ZONE}.zone").write_text(ZONE_FILE.format(**values))
    for name, text in (("named.conf", NAMED), ("unbound.conf", UNBOUND)):
        (HOME / name).touch(0o600)
        (HOME / name).write_text(text.format(**values))
    shutil.chown(HOME, "bind", "bind")
    for path in HOME.iterdir():
        if path.suffix in (".zone", ".jnl") or path.name == "named.conf":
            shutil.chown(path, "bind", "bind")
    # copies: AppArmor's profiles know these programs by their path and confine them to /etc and /var/lib/bind
    programs = {name: HOME / name for name in ("named", "unbound")}
    for name, copy in programs.items():
        if not alive(name):
            copy.unlink(missing_ok=True)
            shutil.copy(f"/usr/sbin/{name}", copy)
    spawn("named", [str(programs["named"]), "-g", "-u", "bind", "-c", str(HOME / "named.conf")], netns=DNS)
    spawn("unbound", [str(programs["unbound"]), "-d", "-c", str(HOME / "unbound.conf")], netns=DNS)
    until = time.monotonic() + 20
    while resolve(f"ns.{ZONE}") != NAME_SERVER:
        if time.monotonic() > until:
            raise LabError(f"The lab's name servers do not answer: see {LOGS}/named.log and unbound.log.")
        time.sleep(0.1)


def resolve(name: str, rdtype: str = "A") -> str:
    """What the caching resolver says, one record a line."""
    command = ["dig", "+short", "+time=1", "+tries=1", f"@{RESOLVER}", name, rdtype]
    try:
        return run(in_ns(DNS, command)).strip()
    except (LabError, subprocess.TimeoutExpired):
        return ""
