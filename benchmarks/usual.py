"""The usual way to move an account: stop it, rsync, dump, restore, start it. And the SSH key that this needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.stage import Machine, next_hop
from include.agent import verbs
from include.network import routes

KEY = "/root/.ssh/bench"
OPTIONS = f"-F none -i {KEY} -o BatchMode=yes -o IdentitiesOnly=yes -o UserKnownHostsFile={KEY}.hosts -o LogLevel=ERROR"


@contextmanager
def trust(source: Machine, target: Machine) -> Iterator[str]:
    """Lets root of `source` into `target` while the block lasts; gives the words of the command: ssh ... root@..."""
    source.script(f"test -f {KEY} || ssh-keygen -q -t ed25519 -N '' -C bench -f {KEY}")
    source.root(["tee", f"{KEY}.hosts"], f"{target.address} {target.host_key}\n".encode())
    target.root(["tee", "-a", "/root/.ssh/authorized_keys"], source.root(["cat", f"{KEY}.pub"]))
    try:
        yield f"ssh {OPTIONS} root@{target.address}"
    finally:
        target.root(["sed", "-i", "/ bench$/d", "/root/.ssh/authorized_keys"])


def prepare(statement: dict[str, Any], source: Machine, target: Machine, ssh: str) -> None:
    """What can be done while the account serves: the account, its certificate, roles and databases, all empty."""
    name, login = statement["account"], ssh.rpartition(" ")[2]
    shell = ssh.rpartition(" ")[0]
    source.script(f"rsync -a -e '{shell}' /etc/transhumance/certificates/{name}.example.pem {login}:{_CERTIFICATES}")
    target.agent.call(verbs.Create(account_file=statement, epoch=1))
    source.script(
        f"""
{{ runuser -u postgres -- pg_dumpall --roles-only | grep -E ' {name}( |;)'
   echo 'CREATE DATABASE {name} OWNER {name};'; }} | {ssh} runuser -u postgres -- psql -Xq
{{ echo 'CREATE DATABASE {name};'; mariadb -N -e "SHOW GRANTS FOR {name}@'%'" | sed 's/$/;/'; }} | {ssh} mariadb
"""
    )


_CERTIFICATES = "/etc/transhumance/certificates/"


def move(
    statement: dict[str, Any], source: Machine, target: Machine, ssh: str, run: Callable[[list[str]], str]
) -> None:
    """Stops the account, copies it, and lets its visitors in at the target: no DNS is waited for, the IPs go along."""
    name = statement["account"]
    shell, _, login = ssh.rpartition(" ")
    source.root(["systemctl", "stop", f"php-fpm@{name}.socket"])
    source.script(
        f"""
rsync -aHAX --delete -e '{shell}' /home/{name}/ {login}:/home/{name}/
runuser -u postgres -- pg_dump -Fc {name} | {ssh} runuser -u postgres -- pg_restore -d {name}
mariadb-dump --single-transaction --routines --events --triggers {name} | {ssh} mariadb {name}
"""
    )
    route(source.ips, target, run)


def start_again(statement: dict[str, Any], source: Machine, run: Callable[[list[str]], str]) -> None:
    """The account serves at the source again, as if nothing had been."""
    source.root(["systemctl", "start", f"php-fpm@{statement['account']}.service"])
    route(source.ips, source, run)


def route(ips: tuple[str, ...], to: Machine, run: Callable[[list[str]], str]) -> None:
    """Routes IPs to a server, which accepts them first."""
    to.agent.call(verbs.AcceptIps(ips=list(ips)))
    for ip in ips:
        run(routes.replace_argv(ip, next_hop(to.name, ip)))
