"""An account's copy for a test, on a test server: opened with its own credentials under names of its own.

It never becomes the account: from the state `test` the only way is to be removed.
"""

import time
from dataclasses import replace
from typing import Any

from ..account.accounts import Account, State, all_accounts, guarded, load, put_state, state_of
from ..channel import pairing
from ..host import server_role, system
from ..host.system import failpoint, refuse
from ..layouts import front, mail, php, reboot_lines, trial_names
from ..move import stores
from . import server


def check_stores(value: Any) -> list[str]:
    """Which of an account's stores are meant, or a refusal."""
    store_names = [store.name for store in stores.STORES]
    if not isinstance(value, list) or not value or any(name not in store_names for name in value):
        refuse("bad_args", f"The stores must be some of {', '.join(store_names)}, not {value!r:.60}.")
    return [name for name in store_names if name in value]


def open_test(name: str, move: str, epoch: int, names: Any, copied: Any) -> State:
    """Open what was copied of these stores, and let each site answer to its test name. Can be repeated."""
    domain, copied = server_role.require(), check_stores(copied)
    with guarded(name):
        account, state = load(name), state_of(name)
        if (state.move, state.epoch) != (move, epoch) or state.state not in ("receiving", "test"):
            refuse("wrong_move", f"The account {name} is {state.state} here, at epoch {state.epoch} of {state.move}.")
        _check_names(account, names, domain)
        if names and "files" not in copied:
            refuse("bad_args", "Without its files no site answers; give no test names, or copy the files too.")
        server.keep_in()
        test = {"names": names, "stores": copied}
        if state.state == "receiving":
            with pairing.no_data_session(name):
                opened = State("test", epoch, move, saved=state.saved, test=test, since=time.time())
                state = put_state(name, opened)
        else:
            state = put_state(name, replace(state, test={**state.test, **test}))
        failpoint("test_open")
        reopen(account)
        if "files" in copied:
            sites = [site for site in account.sites if site.domain in names]
            hosts = {site.domain: trial_names.asked_as(site, front.WEB_SERVER) for site in sites}
            state = put_state(name, replace(state, test={**test, "hosts": hosts}))
            front.render_sites()
        return state


def _check_names(account: Account, names: Any, domain: str) -> None:
    """Each site of the account at most one name, directly below the test domain, that is nobody else's."""
    taken = {host for other in all_accounts() if other.name != account.name for host in front.hosts(other)}
    if not isinstance(names, dict):
        refuse("bad_args", "The names must be an object: each site's domain and its test name.")
    for site, name in names.items():
        if site not in [own_site.domain for own_site in account.sites]:
            refuse("no_such_site", f"{site!r:.80} is no site of {account.name}; give the domains of its sites.")
        label, _, below = name.partition(".") if isinstance(name, str) else ("", "", "")
        if below != domain or not trial_names.LABEL.fullmatch(label):
            refuse("bad_test_name", f"{name!r:.80} is no name directly below {domain}; give the site another one.")
        if name in taken or list(names.values()).count(name) > 1:
            refuse("name_taken", f"The test name {name} is that of another site; give this one another.")


def reopen(account: Account) -> None:
    """Everything that a test copy needs to be seen; each step may have been done before.

    Its crontab stays aside, but for the programs that run from the boot on: its pages may be theirs."""
    state = state_of(account.name)
    copied = state.test["stores"]
    for store in stores.STORES:
        if store.name in copied:
            store.finish(account)
    if "files" in copied:
        system.set_expiry(account.name, state.saved.get("expiry", ""))
        front.render_sites()
        php.start(account)
        if (crontab := account.directory / "crontab").is_file():
            reboot_lines.start_once(account, crontab.read_bytes())
    else:
        front.render_sites()
    front.render_maps()
    mail.render()
