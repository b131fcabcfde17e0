"""The front: HAProxy and nginx of a server; it passes on an account's requests, or keeps them waiting in a hold.

HAProxy's maps and nginx's server blocks are written here; the accounts' PHP is in php.py.
"""

from pathlib import Path

from ...account.accounts import Account, Site, all_accounts, standing
from ...host.system import CONFIG, locked, run, write_if_changed
from .. import trial_names
from ..certificates import CERTIFICATES, Shown, certificates
from ..haproxy import LOCK, HAProxy, believed, entry, hosts, parse_map
from . import php

PORTS_MAP = CONFIG / "front" / "ports.map"
PROTOCOLS_MAP = CONFIG / "front" / "protocols.map"
ENGINES_MAP = CONFIG / "front" / "engines.map"
_BOTH = (0, 1000)
"""An account's port is for visitors; the one a thousand higher is for the front that the account has left."""
WEB_SERVER = ("127.0.0.1", 8080)
"""Where nginx answers what the front passes on."""
_FRONT = HAProxy(Path("/run/haproxy/admin.sock"), "haproxy.service")
_SHOWN = Shown(_FRONT)
command, set_entry = _FRONT.command, _FRONT.set_entry
put_certificate, load_certificates = _SHOWN.put_certificate, _SHOWN.load_certificates
drop_certificates = _SHOWN.drop_certificates
__all__ = [
    "CERTIFICATES",
    "WEB_SERVER",
    "believed",
    "certificates",
    "command",
    "drop_certificates",
    "entry",
    "hold",
    "hosts",
    "load_certificates",
    "parse_map",
    "put_certificate",
    "render_maps",
    "render_sites",
    "server_block",
    "set_entry",
]


_FILES = """    location / {
        try_files $uri $uri/ /index.php?$args;
    }
"""


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
{_FILES if site.app != "/" else ""}    location ~ /\\.(?!well-known/) {{
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
    with locked(LOCK):
        accounts = [account for account in all_accounts() if not account.part]
        _write_each(CONFIG / "php", {a.name: php.pool(a) for a in accounts})
        if _write_each(CONFIG / "nginx", {a.name: _blocks(a) for a in accounts}):
            _reload_nginx()


def _blocks(account: Account) -> str:
    test = standing(account.name).test
    return server_block(account) + (trial_names.blocks(account, test) if test else "")


def render_maps() -> None:
    """Make the front follow all accounts and their states: after a boot, and when an account comes, goes or changes."""
    with locked(LOCK):
        accounts = all_accounts()
        _FRONT.sync_accounts(accounts)
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
        _FRONT.sync(
            ENGINES_MAP,
            {f"{name}/{engine}": f"{engine_state['to']}@{engine_state['port']}" for name, engine, engine_state in led},
        )
        _FRONT.sync(PORTS_MAP, {port: account for port, account, _ in ports})
        _FRONT.sync(PROTOCOLS_MAP, {port: protocol for port, _, protocol in ports})


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
