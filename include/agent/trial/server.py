"""A server that holds test copies and nothing else: no program of an account reaches another machine from it.

Whoever runs on it speaks to this machine alone: by the firewall, by user, whatever a copy's code or database tries.
Mail for the copies' own mailboxes is delivered; all other is refused at once, with words that say why: mail that is
dropped in silence looks as if it had been sent.
"""

import grp
import pwd
from pathlib import Path
from typing import Any

from ..account.accounts import PORT_RANGE, all_accounts
from ..account.mail_names import DOMAIN
from ..host import server_role
from ..host.system import CONFIG, refuse, run, write_if_changed
from ..layouts import front
from ..move.stores import ENGINES
from ..stores.mariadb import sql

_RULES = CONFIG / "test-server.nft"
_UNIT = "transhumance-test-server.service"
_NOT_SENT = "5.7.1 This is a test copy: mail to other places is not sent from here"

# By list, out and in. Connections that come from outside to what the server itself offers are answered; that is how a
# copy is looked at. Root speaks to other machines, but asks for no names: a resolver or a cache of names that runs as
# root would ask in a copy's name. Whoever else runs here (accounts, users of their namespaces, databases, daemons that
# can be told to connect) does not. What is sent for no process is the kernel's own: neighbours, errors, resets.
_FIREWALL = """table inet test_server
delete table inet test_server
table inet test_server {
  set own {
    type uid
  }
  chain output {
    type filter hook output priority filter; policy accept;
    oifname "lo" accept
    ct state established,related accept
    meta skuid @own meta l4proto { tcp, udp } th dport { 53, 67, 123, 547 } accept
    meta skuid @own meta l4proto icmpv6 accept
    meta l4proto { tcp, udp } th dport { 53, 853, 5353, 5355 } reject with icmpx admin-prohibited
    meta skuid != 0 reject with icmpx admin-prohibited
  }
  chain input {
    type filter hook input priority filter; policy accept;
    iifname "lo" accept
    ct state established,related accept
    meta l4proto { icmp, icmpv6 } accept
    udp dport { 68, 546 } accept
    tcp dport { PORTS } accept
    reject with icmpx admin-prohibited
  }
}
""".replace(
    "PORTS",
    # SSH, the web, mailboxes, databases, and what the front offers for one account each.
    f"22, 80, 110, 143, 443, 465, 587, 993, 995, 4190, {', '.join(str(engine.port) for engine in ENGINES)}, "
    f"{PORT_RANGE.start}-{PORT_RANGE.stop - 1}",
)
_OWN = ("_chrony", "ntpsec", "systemd-network", "systemd-timesync")
"""Users of the system's own that keep its clock and its addresses, where there are such."""
# Before the network: a database or a login must not be quicker than the rules.
_SERVICE = f"""[Unit]
Description=No program of a test copy reaches another machine
DefaultDependencies=no
After=local-fs.target nftables.service
Before=network-pre.target shutdown.target
Wants=network-pre.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft -f {_RULES}

[Install]
WantedBy=sysinit.target
"""
_LINGER = Path("/var/lib/systemd/linger")
_NO_LINGERING = """// No user of a test server has services that run without a login.
polkit.addRule(function(action) {
    if (action.id.indexOf("org.freedesktop.login1.set-") == 0 && action.id.indexOf("linger") > 0)
        return polkit.Result.NO;
});
"""
_POSTFIX = {
    # Nobody outside delivers mail to a copy, and Postfix leaves this machine by no address of its own.
    "inet_interfaces": "loopback-only",
    "default_transport": f"error:{_NOT_SENT}",
    "relay_transport": f"error:{_NOT_SENT}",
}


def become(name: Any, certificate: Any) -> dict[str, Any]:
    """Make this a test server for names below a domain. Can be repeated; what was changed is taken over.

    `certificate`: key and chain for *.DOMAIN, or None to leave what is there."""
    if not isinstance(name, str) or not DOMAIN.fullmatch(name):
        refuse("bad_domain", f"{name!r:.80} is no domain; give the one that the test names stand below.")
    before = server_role.domain()
    for account in all_accounts():
        if before is None:
            refuse("not_empty", f"The account {account.name} is on this server; a test server begins without any.")
        if before != name:
            refuse("not_empty", f"Test copies here have names below {before}; remove them before it is changed.")
    if certificate is not None:
        _require_names(certificate, name)
    # First what keeps copies in, then the mark that lets them come.
    keep_in()
    server_role.mark(name)
    if certificate is not None:
        front.put_certificate(name, certificate)
    return {"test_server": name}


def _require_names(certificate: Any, name: str) -> None:
    if not isinstance(certificate, str) or "PRIVATE KEY" not in certificate:
        refuse("bad_certificate", "The certificate must be text: the private key and the chain in PEM.")
    done = run(["openssl", "x509", "-noout", "-checkhost", f"a.{name}"], input=certificate, check=False)
    if done.returncode != 0 or b"does match" not in done.stdout:
        refuse("bad_certificate", f"The certificate is none for *.{name}; give one with that name.")


def keep_in() -> None:
    """Firewall, mail, cron and events: all that keeps a copy to itself, here and after every boot."""
    write_if_changed(_RULES, _firewall())
    if write_if_changed(Path("/etc/systemd/system") / _UNIT, _SERVICE):
        run(["systemctl", "daemon-reload"])
        run(["systemctl", "enable", "--quiet", _UNIT])
    run(["nft", "-f", str(_RULES)])
    # A copy's crontab is set aside; nobody writes another one, or a job of at, or lets services run without a login.
    write_if_changed(Path("/etc/cron.allow"), "root\n", 0o640, (0, grp.getgrnam("crontab").gr_gid))
    write_if_changed(Path("/etc/at.allow"), "root\n")
    write_if_changed(Path("/etc/polkit-1/rules.d/00-test-server.rules"), _NO_LINGERING)
    for user in _LINGER.glob("*"):
        user.unlink()
    _keep_mail_in()
    write_if_changed(Path("/etc/mysql/mariadb.conf.d/92-test-server.cnf"), "[mariadbd]\nevent_scheduler = OFF\n")
    if sql.query(["@@GLOBAL.event_scheduler"], "")[0][0] in ("ON", "1"):
        sql.queries(["SET GLOBAL event_scheduler = OFF"])


def _firewall() -> str:
    users = {user.pw_name: user.pw_uid for user in pwd.getpwall()}
    own = sorted(users[name] for name in _OWN if name in users)
    return _FIREWALL + "".join(f"add element inet test_server own {{ {uid} }}\n" for uid in own)


def _keep_mail_in() -> None:
    lines = [f"{key} = {value}" for key, value in _POSTFIX.items()]
    if {*run(["postconf", *_POSTFIX]).stdout.decode().splitlines()} != {*lines}:
        run(["postconf", "-e", *lines])
        # What it listens at and leaves by, it learns at its start only.
        run(["systemctl", "restart", "postfix.service"])
