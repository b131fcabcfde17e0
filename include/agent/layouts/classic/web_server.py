"""The web server of a host's own server: which one it is, what of its configuration no front can stand before, and how
it learns from ours who visits."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ...host.digest import printable
from ...host.system import PATH, Refused, refuse, run, write_if_changed
from .reading import apache, apache_sites, nginx, nginx_sites
from .reading.directives import Directive
from .reading.tree import Tree
from .reading.web import WebSite

PORTS = (80, 443)
PROGRAMS = ("haproxy", "nft", "systemd-sysusers")
"""What the front needs of the host."""
_REMOTEIP = Path("/usr/lib/apache2/modules/mod_remoteip.so")
_HEADER = "x-forwarded-for"


@dataclass(frozen=True)
class WebServer:
    """`check`: the command by which it looks at its own configuration; `visitors`: the file that says whom it believes
    who visits; `read`: all that it is told."""

    name: str
    check: tuple[str, ...]
    visitors: Path

    def read(self, tree: Tree) -> tuple[Directive, ...]:
        return (apache if self.name == "apache2" else nginx).read(tree)[0]

    def sites(self, tree: Tree) -> list[WebSite]:
        directives = self.read(tree)
        return (
            apache_sites.read(directives, tree).sites if self.name == "apache2" else nginx_sites.sites(directives, tree)
        )

    def reload(self) -> None:
        """Have it read its configuration again, if it takes it; requests that it works on go on."""
        run([*self.check])
        run(["systemctl", "reload", f"{self.name}.service"])


APACHE = WebServer("apache2", ("apache2ctl", "configtest"), Path("/etc/apache2/conf-enabled/transhumance.conf"))
NGINX = WebServer("nginx", ("nginx", "-t", "-q"), Path("/etc/nginx/conf.d/transhumance.conf"))


KNOWN = (APACHE, NGINX)


def here() -> WebServer:
    """Who has the ports of the web; refused where nobody that is known does."""
    owners = _owners()
    if not owners:
        refuse("no_web_server", "No web server listens on port 80 or 443 here; start it, then prepare again.")
    for server in KNOWN:
        if owners == {server.name}:
            return server
    refuse(
        "other_web_server",
        f"Ports 80 and 443 belong to {printable(' and '.join(sorted(owners)))} here, before which no front can stand;"
        " let one of apache2 and nginx have both.",
    )


def _owners() -> set[str]:
    """The programs that listen on the ports of the web."""
    lines = run(["ss", "--no-header", "--listening", "--tcp", "--numeric", "--processes"]).stdout.decode(
        errors="replace"
    )
    owners = set()
    for line in lines.splitlines():
        fields = line.split()
        if len(fields) > 4 and fields[3].rpartition(":")[2] in map(str, PORTS):
            owners.update(re.findall(r'\("([^"]+)",pid=', line) or ["nobody that is known"])
    return owners


def unfit(tree: Tree) -> Iterator[str]:
    """Why no front can stand before the web server, a sentence each."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
    if missing:
        yield f"A front needs {' and '.join(missing)}: install what brings them."
    try:
        server = here()
    except Refused as refused:
        yield refused.message
        return
    if server is APACHE and not _REMOTEIP.exists():
        yield f"Apache has no {_REMOTEIP}, by which it learns who visits: install apache2-bin again."
    for host, directive in _with_hosts(server.read(tree)):
        if Path(directive.place.file) != server.visitors and (why := _odd(directive, host)):
            yield f"{directive.place}: {why}"


def _with_hosts(directives: tuple[Directive, ...], host: bool = False) -> Iterator[tuple[bool, Directive]]:
    """Each directive, and whether it is one of a single site."""
    for directive in directives:
        yield host, directive
        yield from _with_hosts(directive.inside, host or directive.name in ("<virtualhost", "server"))


def _odd(directive: Directive, of_site: bool) -> str | None:
    """What a front before it would change."""
    name, first = directive.name, directive.first.lower()
    if name in ("sslverifyclient", "ssl_verify_client") and first not in ("none", "off"):
        return "a site asks its visitors for certificates, which no front can pass on; serve it from another server."
    if name == "remoteipproxyprotocol" and first != "off" or name == "listen" and "proxy_protocol" in directive.args:
        return (
            "who visits is told by the PROXY protocol, which the front does not read; have it told by X-Forwarded-For."
        )
    if name in ("remoteipheader", "real_ip_header") and first != _HEADER:
        header = printable(directive.first)
        return f"who visits is read from {header}, and there can be one such header; use X-Forwarded-For."
    if of_site and name in ("remoteipinternalproxy", "remoteiptrustedproxy", "set_real_ip_from"):
        return (
            f"{printable(directive.name)} is said for one site, which so believes nobody else; say it for all of them."
        )
    return None


def listened_at(ports: tuple[int, ...]) -> set[int]:
    """Those of the ports that somebody listens at."""
    lines = run(["ss", "--no-header", "--listening", "--tcp", "--numeric"]).stdout.decode(errors="replace").splitlines()
    taken = {line.split()[3].rpartition(":")[2] for line in lines if len(line.split()) > 3}
    return {port for port in ports if str(port) in taken}


# --- who visits ---


def tell_who_visits(files: Mapping[str, str]) -> None:
    """Have it believe the front who visits: whoever else is believed is so still. Nobody comes from there yet."""
    server = here()
    if write_if_changed(server.visitors, files[str(server.visitors)]):
        server.reload()


def tell_no_longer() -> None:
    """It reads no file of ours any more."""
    for server in KNOWN:
        if server.visitors.exists():
            server.visitors.unlink()
            server.reload()
