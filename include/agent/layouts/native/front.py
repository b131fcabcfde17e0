"""The front: HAProxy and nginx of a server; it passes on an account's requests, or keeps them waiting in a hold.

HAProxy's maps and certificates and nginx's server blocks are written here; the accounts' PHP is in php.py.
"""

import contextlib
import ipaddress
import re
import socket
import ssl
import tempfile
from pathlib import Path

from ...account.accounts import Account, Site, State, all_accounts, standing, state_of
from ...host.digest import printable
from ...host.system import CONFIG, RUNTIME, locked, refuse, run, write_if_changed
from .. import trial_names
from . import php

_SOCKET = Path("/run/haproxy/admin.sock")
DOMAINS_MAP = CONFIG / "front" / "domains.map"
ACCOUNTS_MAP = CONFIG / "front" / "accounts.map"
PORTS_MAP = CONFIG / "front" / "ports.map"
PROTOCOLS_MAP = CONFIG / "front" / "protocols.map"
ENGINES_MAP = CONFIG / "front" / "engines.map"
PEERS = CONFIG / "front" / "peers.lst"
_BOTH = (0, 1000)
"""An account's port is for visitors; the one a thousand higher is for the front that the account has left."""
CERTIFICATES = CONFIG / "certificates"
WEB_SERVER = ("127.0.0.1", 8080)
"""Where nginx answers what the front passes on."""


def believed() -> list[str]:
    """The networks of the fronts whose word on their visitors this one takes."""
    networks = []
    for line in PEERS.read_text(errors="replace").splitlines() if PEERS.is_file() else ():
        with contextlib.suppress(ValueError):
            networks.append(str(ipaddress.ip_network(line.partition("#")[0].strip(), strict=False)))
    return networks[:1000]


def entry(state: State) -> str:
    """What the front does with an account's requests: serve, hold, closed, or the address they go to."""
    if state.state in ("serving", "test"):
        return "serve"
    if state.state == "held" or (state.state == "moved" and not state.released):
        return "hold"
    if state.state in ("moved", "receiving") and state.to:
        return state.to
    return "closed"


def hosts(account: Account) -> list[str]:
    """The host names under which an account is asked for here: a test copy's are names of its own."""
    state = standing(account.name)
    return sorted(state.test["names"].values()) if state.state == "test" else account.hosts


def server_block(account: Account) -> str:
    """nginx's server blocks of an account. Every value in it was checked when its file was read."""
    blocks = [f"# Sites of the account {account.name}; written by the agent.\n"]
    for site in account.sites:
        blocks.append(
            f"""server {{
    listen 127.0.0.1:8080;
    server_name {" ".join((site.domain, *site.aliases))};
    root {account.home}/{site.root};
    index index.php index.html;
    absolute_redirect off;
    location / {{
        try_files $uri $uri/ /index.php?$args;
    }}
    location ~ /\\.(?!well-known/) {{
        return 404;
    }}
    location ~ \\.php$ {{
        try_files $uri =404;
        include /etc/nginx/fastcgi_params;
        fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
        fastcgi_param SERVER_PORT $visitor_port;
        fastcgi_param HTTPS $visitor_https if_not_empty;
        fastcgi_param HTTP_PROXY "";
        fastcgi_read_timeout 300s;
        fastcgi_pass unix:{php.gate(account)};
        error_page 502 = @again;
    }}
{_app(account, site)}    location @again {{
        if ($again = "") {{
            return 502;
        }}
        proxy_pass http://again$request_uri;
        proxy_set_header Host $http_host;
        proxy_set_header X-Transhumance-Again $again;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_read_timeout 400s;
        proxy_buffering off;
    }}
}}
"""
        )
    return "".join(blocks)


def _app(account: Account, site: Site) -> str:
    if not site.app:
        return ""
    return f"""    location ^~ {site.app} {{
        proxy_pass http://unix:{php.app_gate(account)};
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $app_connection;
        proxy_set_header Proxy "";
        proxy_read_timeout 300s;
        error_page 502 = @again;
    }}
"""


def render_sites() -> None:
    """Make nginx's blocks and PHP's pools follow the accounts; nothing happens where nothing changed."""
    with locked(RUNTIME / "front.lock"):
        accounts = [account for account in all_accounts() if not account.part]
        _write_each(CONFIG / "php", {a.name: php.pool(a) for a in accounts})
        if _write_each(CONFIG / "nginx", {a.name: _blocks(a) for a in accounts}):
            _reload_nginx()


def _blocks(account: Account) -> str:
    test = standing(account.name).test
    return server_block(account) + (trial_names.blocks(account, test) if test else "")


def render_maps() -> None:
    """Make the front follow all accounts and their states: after a boot, and when an account comes, goes or changes."""
    with locked(RUNTIME / "front.lock"):
        accounts = all_accounts()
        _sync(DOMAINS_MAP, {host: a.name for a in accounts for host in hosts(a)})
        _sync(ACCOUNTS_MAP, {a.name: entry(standing(a.name)) for a in accounts})
        ports = [
            (str(port + more), a.name, name)
            for a in accounts
            for name, port in a.ports.items()
            for more in (_BOTH if not a.part else (0,))
        ]
        led = [
            (a.name, engine, engine_state)
            for a in accounts
            for engine, engine_state in standing(a.name).engines.items()
        ]
        ports += [(str(engine_state["lead_port"]), name, engine) for name, engine, engine_state in led]
        _sync(
            ENGINES_MAP,
            {f"{name}/{engine}": f"{engine_state['to']}@{engine_state['port']}" for name, engine, engine_state in led},
        )
        _sync(PORTS_MAP, {port: account for port, account, _ in ports})
        _sync(PROTOCOLS_MAP, {port: protocol for port, _, protocol in ports})


def set_entry(account: Account) -> None:
    """Make the front follow the state of this account: what a hold, a return or a release changes of it."""
    value = entry(state_of(account.name))
    with locked(RUNTIME / "front.lock"):
        lines = [line for line in ACCOUNTS_MAP.read_text().splitlines() if line.split(" ")[0] != account.name]
        # The file first: a restart in between reads the new one.
        write_if_changed(ACCOUNTS_MAP, "".join(f"{line}\n" for line in sorted([*lines, f"{account.name} {value}"])))
        _expect_silence(f"set map {ACCOUNTS_MAP} {account.name} {value}")


def hold(account: Account) -> None:
    """Keep new requests of an account whose state is held, and pass none of those that were let in to its PHP."""
    set_entry(account)
    php.shut(account)


def _write_each(directory: Path, contents: dict[str, str]) -> bool:
    changed = False
    for name, content in contents.items():
        changed |= write_if_changed(directory / f"{name}.conf", content)
    for path in directory.glob("*.conf"):
        if path.stem not in contents:
            path.unlink()
            changed = True
    return changed


def _reload_nginx() -> None:
    run(["nginx", "-t", "-q"])
    run(["systemctl", "reload-or-restart", "nginx.service"])


# --- the running front ---


def command(text: str) -> str:
    """One command to the running HAProxy; its answer. Refused when it does not run."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(10)
            connection.connect(str(_SOCKET))
            connection.sendall(text.encode() + b"\n")
            answer = b""
            while part := connection.recv(65536):
                answer += part
    except OSError as error:
        refuse("front_down", f"HAProxy does not answer ({error}); start haproxy.service and try again.")
    return answer.decode(errors="replace").strip()


def parse_map(answer: str) -> dict[str, str]:
    """What `show map` says, as key and value."""
    rows = (line.split(" ", 2) for line in answer.splitlines() if line.strip())
    return {row[1]: row[2] if len(row) > 2 else "" for row in rows if len(row) > 1}


def _sync(path: Path, entries: dict[str, str]) -> None:
    """Make the file and the running map say these `entries`. The file first: a restart in between reads the new one."""
    write_if_changed(path, "".join(f"{key} {value}\n" for key, value in sorted(entries.items())))
    running = parse_map(command(f"show map {path}"))
    for key, value in entries.items():
        if key not in running:
            _expect_silence(f"add map {path} {key} {value}")
        elif running[key] != value:
            _expect_silence(f"set map {path} {key} {value}")
    for key in running.keys() - entries.keys():
        _expect_silence(f"del map {path} {key}")


def _expect_silence(text: str) -> None:
    if answer := command(text):
        refuse("front_refused", f"HAProxy answered {answer!r} to {text!r}; look at its log and try again.")


# --- certificates ---


def put_certificate(domain: str, pem: str) -> None:
    """Have the front use this key and chain for a domain, and keep them.

    What the running front does not take is not kept: a file that it cannot read would let it start no more."""
    CERTIFICATES.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(RUNTIME / "certificates.lock"):
        _require_pair(domain, pem)
        _load_certificate(domain, pem)
        write_if_changed(CERTIFICATES / f"{domain}.pem", pem, 0o600)


def _require_pair(domain: str, pem: str) -> None:
    """The text is a key, its certificate and chain, and names no host of another account here: the front picks a
    certificate by the names in it."""
    with tempfile.NamedTemporaryFile("w", prefix="certificate.", dir=RUNTIME) as file:
        file.write(pem)
        file.flush()
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(file.name, password=lambda: "")
        except (ssl.SSLError, ValueError, OSError):
            refuse(
                "bad_certificate",
                f"What came as the certificate of {domain} is not a key without a password, long enough for today, "
                "with its certificate and chain; install it again on the old server, or remove it there.",
            )
    named = run(
        ["openssl", "x509", "-noout", "-subject", "-ext", "subjectAltName", "-nameopt", "sep_multiline,utf8"],
        input=pem,
        check=False,
    )
    names = {name.lower() for name in _CERTIFIED.findall(named.stdout.decode(errors="replace"))}
    for account in all_accounts():
        foreign_hosts = [
            host for host in account.domains if domain not in account.domains and {host, _any_beside(host)} & names
        ]
        if foreign_hosts:
            refuse(
                "foreign_certificate",
                f"The certificate of {domain} is also one for {foreign_hosts[0]}, which is {account.name}'s here; "
                f"install one without that name on the old server.",
            )


_CERTIFIED = re.compile(r"(?:DNS:|CN ?= ?)([^\s,]+)")


def _any_beside(host: str) -> str:
    return f"*.{host.partition('.')[2]}"


def certificates(account: Account) -> dict[str, str]:
    """Key and chain of each of the account's domains that has one here."""
    paths = ((domain, CERTIFICATES / f"{domain}.pem") for domain in account.domains)
    return {domain: path.read_text() for domain, path in paths if path.is_file()}


def load_certificates(account: Account) -> None:
    """Make the running front use the account's certificates."""
    for domain in certificates(account):
        load_certificate(domain)


def load_certificate(domain: str) -> None:
    """Make the running front use what is stored for a domain, with no reload: a reload would part held requests."""
    with locked(RUNTIME / "certificates.lock"):
        _load_certificate(domain, (CERTIFICATES / f"{domain}.pem").read_text())


def _load_certificate(domain: str, pem: str) -> None:
    """HAProxy takes one certificate at a time."""
    path = f"{CERTIFICATES}/{domain}.pem"
    listed = path in command(f"show ssl crt-list {CERTIFICATES}/").splitlines()
    if not listed:
        command(f"new ssl cert {path}")
    lines = "\n".join(line for line in pem.splitlines() if line.strip())
    command(f"set ssl cert {path} <<\n{lines}\n")
    if "Success" not in (answer := command(f"commit ssl cert {path}")):
        command(f"abort ssl cert {path}")
        if not listed:
            command(f"del ssl cert {path}")
        refuse("bad_certificate", f"HAProxy does not take the certificate of {domain}: {printable(answer[-200:])}")
    if not listed and "Success" not in (answer := command(f"add ssl crt-list {CERTIFICATES}/ {path}")):
        refuse("bad_certificate", f"HAProxy does not list the certificate of {domain}: {printable(answer[-200:])}")


def drop_certificates(account: Account) -> None:
    """Take the account's certificates out of the running front and off the disk."""
    for domain in certificates(account):
        path = f"{CERTIFICATES}/{domain}.pem"
        command(f"del ssl crt-list {CERTIFICATES}/ {path}")
        command(f"del ssl cert {path}")
        Path(path).unlink()
