"""The front of a host's own server: HAProxy before the web server, which stays as the host has it.

Its files are those of infrastructure/classic, laid down by `prepare`. What is shown, and by which PHP, the web server's
own configuration says; here is only whose a name is and what happens to its requests.
"""

import re
from pathlib import Path

from ...account.accounts import Account, all_accounts, standing
from ...host.system import CONFIG, locked
from ..certificates import CERTIFICATES, Shown, certificates
from ..haproxy import LOCK, HAProxy, believed, entry, hosts
from . import trial_pages

TRIAL_HOSTS_MAP = CONFIG / "front" / "trial_hosts.map"
"""As what a test name's site is asked for."""
TRIAL_NAMES_MAP = CONFIG / "front" / "trial_names.map"
"""The test name by each name of a copy's sites."""
APPS_MAP = CONFIG / "front" / "apps.map"
"""Programs of accounts' own that do not listen yet."""
UNIT = "transhumance-front.service"
WEB_SERVER = ("127.0.0.1", 80)
"""Where the web server answers what is asked for on this machine."""
FRONT = HAProxy(Path("/run/transhumance-front/admin.sock"), UNIT)
SHOWN = Shown(FRONT)
command, set_entry = FRONT.command, FRONT.set_entry
put_certificate, load_certificates = SHOWN.put_certificate, SHOWN.load_certificates
drop_certificates = SHOWN.drop_certificates
__all__ = [
    "CERTIFICATES",
    "WEB_SERVER",
    "believed",
    "certificates",
    "command",
    "drop_certificates",
    "entry",
    "hold",
    "hold_app",
    "hosts",
    "in_flight",
    "let_app_go",
    "load_certificates",
    "put_certificate",
    "render_maps",
    "render_sites",
    "set_entry",
]


def render_sites() -> None:
    """The web server's own configuration says what is shown; what of it came with an account is one of its extras. But
    sites of copies for tests are led back to their test names."""
    with locked(LOCK):
        _lead_back()


def render_maps() -> None:
    """Make the front follow all accounts and their states: after a boot, and when an account comes, goes or changes."""
    with locked(LOCK):
        FRONT.sync_accounts([account for account in all_accounts() if not account.part])
        _lead_back()


def _lead_back() -> None:
    hosts_by_name: dict[str, str] = {}
    names_by_host: dict[str, str] = {}
    for account in all_accounts():
        test = standing(account.name).test
        for site in account.sites if test else ():
            if name := test["names"].get(site.domain):
                hosts_by_name[name] = test.get("hosts", {}).get(site.domain, site.domain)
                names_by_host |= dict.fromkeys(site.names, name)
    FRONT.sync(TRIAL_HOSTS_MAP, hosts_by_name)
    FRONT.sync(TRIAL_NAMES_MAP, names_by_host)
    trial_pages.render(names_by_host)


def hold(account: Account) -> None:
    """Keep new requests of an account whose state is held; PHP is shut when those that were let in have reached it."""
    set_entry(account)


def hold_app(account: Account) -> None:
    """Keep what is for a program of the account's own waiting, 25 s at most: it was started a moment ago."""
    for path in _app_paths(account):
        command(f"add map {APPS_MAP} {path} {account.name}")


def let_app_go(account: Account) -> None:
    for path in _app_paths(account):
        command(f"del map {APPS_MAP} {path}")


def _app_paths(account: Account) -> list[str]:
    """How what is asked for begins. Not written down: when the front begins anew nobody waits."""
    return [f"{host}{site.app}" for site in account.sites if site.app for host in site.names]


def in_flight(account: Account) -> int:
    """How many requests of the account the front has let in to which no answer has begun."""
    rows = command("show table in_flight data.gpc0 eq 0 data.conn_cur gt 0")
    return len(re.findall(rf"^0x[0-9a-f]+: key={re.escape(account.name)}/", rows, re.MULTILINE))
