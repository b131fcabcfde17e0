"""What an account that serves has open and running here: a hold ends it, a return and a release begin it again."""

import time
from dataclasses import replace
from functools import partial

from ..account.accounts import Account, State, guarded, load, put_state, state_of
from ..host import lingering, processes, system
from ..host.system import refuse
from ..layouts import front, mail, php, provisioning, reboot_lines
from . import deadline, redirect, stores

AGAIN = 2.0
"""Seconds after which a server lets in by itself who still waits there."""

# --- ended ---


def stop_processes(account: Account) -> int:
    """Mail, PHP, cron and logins end; how many processes had to be ended."""
    mail.follow(account)
    mail.drain(account)
    return end_programs(account)


def end_programs(account: Account) -> int:
    php.stop(account)
    system.set_crontab_aside(account.name, account.directory / "crontab")
    lingering.set_aside(account.name, account.lingers_aside)
    system.set_expiry(account.name, "1")
    return processes.end_all(account.name, account.uid, spared=partial(php.spared, account))


# --- begun ---


def show_all() -> None:
    """The servers in front of the accounts send everybody where each account's state says: at a boot, once for all,
    since each of these reads what every account has."""
    front.render_sites()
    front.render_maps()
    mail.render()


def open_account(account: Account) -> None:
    """Everything an account that serves here needs; each step may have been done before."""
    front.render_sites()
    if not account.part:
        start_processes(account)
    front.render_maps()
    mail.follow(account)


def reopen(account: Account) -> State:
    """Let everybody in again where the account is; what is to be done after that is in nobody's way (`rest`)."""
    state = state_of(account.name)
    # From here on no commit can come between, not even by a process that slept.
    state = put_state(account.name, replace(state, returning=True))
    for engine in stores.ENGINES:
        # Databases that have left stay locked here.
        if engine.name not in state.engines:
            engine.unhold(account)
    system.set_expiry(account.name, state.saved.get("expiry", ""))
    serving = State("serving", state.epoch, state.move, since=time.time(), engines=state.engines)
    redirect.open_sockets(account)
    php.start(account)
    _start_own(account)
    provisioning.expect_open(account)
    state = put_state(account.name, serving)
    show(account)
    return state


def rest(name: str) -> None:
    """What waited during a hold is tried again, and nothing more has to happen by itself: or the deadline comes, at
    which the server lets in who still waits."""
    mail.flush()
    if not provisioning.waits(load(name)):
        deadline.disarm(name)


def show(account: Account) -> None:
    """Everybody is sent where the account's state says."""
    send_on(account)
    mail.follow(account)


def send_on(account: Account) -> None:
    """Visitors are sent where the account's state says: those at our front, then those who wait before it, where the
    host keeps them."""
    front.set_entry(account)
    if provisioning.waits(account):
        state = state_of(account.name)
        provisioning.let_in(account, state.to if state.state == "moved" else None)


def let_in(account: Account) -> None:
    """The same where no deadline runs: what the host does not do now is tried again in a moment."""
    send_on(account)
    if provisioning.waits(account):
        deadline.arm(account.name, AGAIN)


def let_in_by_itself(name: str) -> None:
    """Who still waits although the account is not held: refused while that lasts, so that it is tried again."""
    with guarded(name):
        state = state_of(name)
        if state.state != "serving" and not (state.state == "moved" and state.released):
            return
        account = load(name)
        if provisioning.waits(account):
            show(account)
            rest(name)
        if provisioning.waits(account):
            refuse("not_opened", f"Visitors of {name} may still be kept waiting by the host; it is tried again.")


def start_processes(account: Account) -> None:
    system.set_expiry(account.name, state_of(account.name).saved.get("expiry", ""))
    redirect.open_sockets(account)
    php.start(account)
    _start_own(account)


def _start_own(account: Account) -> None:
    """systemd and cron have what is the account's again; what runs since the boot was ended or has never begun here, so
    it is begun.

    One that was not set aside is cron's own matter: nothing of it was ended, or this is a boot."""
    lingering.bring_back(account.name, account.uid, account.lingers_aside)
    crontab = system.bring_crontab_back(account.name, account.uid, account.directory / "crontab")
    if crontab is not None:
        reboot_lines.start(account, crontab)
