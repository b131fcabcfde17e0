"""Shell of an account: its Unix user, home and settings on a server, made before its data, removed when it left."""

import time
from dataclasses import replace

from ..account.accounts import (
    PART_PORTS,
    Account,
    State,
    account_path,
    all_accounts,
    guarded,
    load,
    put_state,
    save,
    state_of,
    unreadable,
    whole,
)
from ..account.engines import DECLARED
from ..channel import pairing
from ..host import homes, processes, server_role, system
from ..host.digest import printable
from ..host.system import Refused, refuse
from ..layouts import extras, front, mail, mail_folders, php, provisioning, reboot_lines
from . import serving, stores


def create(account: Account, epoch: int, password_hash: str | None) -> State:
    """Make an account that serves here. Again with another account file: what changed is taken over."""
    server_role.refuse_to_serve(account.name)
    with guarded(account.name):
        state = state_of(account.name)
        if account.part and state.state == "absent":
            refuse("is_part", f"{account.name} is a part of an account; it comes by a move.")
        if state.state not in ("absent", "serving"):
            refuse(
                "wrong_state",
                f"The account {account.name} is {state.state} here; only a serving one is changed.",
            )
        _make_shell(account)
        if password_hash is not None:
            system.set_password_hash(account.name, password_hash)
        if state.state == "absent":
            provisioning.expect_open(account)
            state = put_state(account.name, State("serving", epoch=max(epoch, state.epoch), since=time.time()))
        front.load_certificates(account)
        serving.open_account(account)
        mail.render(certificates=True)
        serving.let_in(account)
        return state


def adopt(account: Account, epoch: int) -> State:
    """Register an account that the host itself made: it serves here from now on. Nothing of it is changed, and nothing
    is started again. Again with another account file: what changed is taken over."""
    server_role.refuse_to_serve(account.name)
    with guarded(account.name):
        state = state_of(account.name)
        if account.part:
            refuse("is_part", f"{account.name} is a part of an account; it comes by a move.")
        if state.state not in ("absent", "serving") or (state.state == "serving" and not account.adopted.exists()):
            refuse(
                "wrong_state", f"The account {account.name} is {state.state} here already; nothing is to be adopted."
            )
        extras.refuse_unfit(account)
        _refuse_others(account)
        system.require_user(account.name, account.uid, account.gid, account.home)
        extras.adopt(account)
        system.write_durably(account.adopted, "")
        save(account)
        if state.state == "absent":
            state = put_state(account.name, State("serving", epoch=max(epoch, state.epoch), since=time.time()))
        front.render_maps()
        mail.render()
        return state


def receive(account: Account, move: str, epoch: int) -> State:
    """Make the inert shell of an account, or of a part of one, that will come here in this move."""
    with guarded(account.name):
        state = state_of(account.name)
        if state.state in ("receiving", "test") and (state.move, state.epoch) == (move, epoch):
            # By now the other server may hold the account: nothing is waited for that has been done.
            _make_shell(account, provisioned=whole(account.name) == account)
            return state
        if epoch < state.epoch or (epoch == state.epoch and state.state != "absent"):
            refuse(
                "stale_epoch",
                f"The account {account.name} is {state.state} here at epoch {state.epoch}; "
                f"a move of epoch {epoch} is over.",
            )
        if state.state in ("serving", "held", "test"):
            refuse("wrong_state", f"The account {account.name} is {state.state} here; it cannot be received.")
        _make_shell(account)
        if not account.part:
            system.set_expiry(account.name, "1")
        # `to` stays: an account that comes back is still forwarded until it is released here.
        fresh = State("receiving", epoch=epoch, move=move, to=state.to, since=time.time())
        # What still writes for an attempt before this one ends first.
        with pairing.no_data_session(account.name):
            state = put_state(account.name, fresh)
        # What the host's own tables say of it is old by now.
        account.adopted.unlink(missing_ok=True)
        front.render_sites()
        front.render_maps()
        mail.render()
        if not account.part:
            php.warm(account)
        return state


def _with_port(account: Account, engine: str) -> Account:
    """The part with the port of the front at which the account's programs arrive: that which it has, or a free one."""
    taken = {a.name: a.ports for a in all_accounts() if a.part}
    if account.name in taken:
        return replace(account, ports=taken[account.name])
    used = {port for ports in taken.values() for port in ports.values()}
    free = next((port for port in PART_PORTS if port not in used), None)
    if free is None:
        refuse("no_port", f"All {len(PART_PORTS)} ports for databases of other servers' accounts are in use here.")
    return replace(account, ports={engine: free})


def _make_shell(account: Account, *, provisioned: bool = False) -> None:
    """Unix user, home and the account file; refused where another account has a name, a uid or a domain.

    `provisioned`: what the host itself makes of it is there already."""
    extras.refuse_unfit(account)
    _refuse_others(account)
    if account.part:
        with system.locked(system.RUNTIME / "parts.lock"):
            save(_with_port(account, account.part))
    else:
        if other_user := processes.whose_subordinate(account.uid):
            refuse(
                "uid_taken",
                f"The uid {account.uid} of {account.name} is one that {printable(other_user)} may use (/etc/subuid);"
                " take it away there first.",
            )
        if not provisioned:
            _make_user(account)
        mail.make_folders(account)
        save(account)
    account.directory.mkdir(mode=0o700, parents=True, exist_ok=True)


def _make_user(account: Account) -> None:
    """Unix user and home; made by the host where it does that itself, and looked at then."""
    homes.make_way(account.home)
    if not provisioning.has("provision"):
        if account.provisioned:
            refuse(
                "not_provisioned",
                f"What serves {account.name} is made by the host's own program, and this server has none: put it at"
                f" {provisioning.STEPS}/provision, or choose another server.",
            )
        system.create_user(account.name, account.uid, account.gid, account.home, account.shell)
        return
    provisioning.provision(account)
    try:
        system.require_user(account.name, account.uid, account.gid, account.home)
        homes.require_home(account.home, account.uid)
    except Refused as error:
        refuse(
            "not_provisioned",
            f"The host's own provision says it is done, and there is no user {account.name} with the uid {account.uid},"
            f" the gid {account.gid} and {account.home}, which belongs to it: correct it ({error.code}).",
        )


def _refuse_others(account: Account) -> None:
    """Refuse an account of whose another one here has a name, a uid, a home, a domain or a port."""
    for damaged in {*unreadable()} - {account.name}:
        # What it has could be this one's as well.
        whole(damaged)
    for other in all_accounts():
        if other.name == account.name:
            continue
        kin = account.name.partition(".")[0] == other.name.partition(".")[0]
        if not kin and (other.uid == account.uid or other.gid == account.gid):
            refuse(
                "uid_taken",
                f"The uid or gid of {account.name} is that of {other.name} here; change one of them.",
            )
        if not kin and (f"{account.home}/".startswith(f"{other.home}/") or other.home.startswith(f"{account.home}/")):
            refuse("home_taken", f"The home of {account.name} and that of {other.name} lie in each other; move one.")
        if not kin:
            mail_folders.require_apart(account, other)
        if both := sorted({*account.domains} & {*other.domains}):
            refuse(
                "domain_taken",
                f"The domain {both[0]} belongs to the account {other.name} here; take it away first.",
            )
        if taken := sorted(_in_databases(account) & _in_databases(whole(other.name))):
            refuse(
                "name_taken",
                f"The {taken[0][0]} {printable(taken[0][1])} belongs to the account {other.name} here; rename one.",
            )
        if extras_of_both := sorted({*account.extras} & {*other.extras}):
            refuse(
                "extra_taken",
                f"The file {extras_of_both[0]} is the account {other.name}'s here; rename it on one of the servers.",
            )
        if ports := sorted({*account.ports.values()} & {*other.ports.values()}):
            refuse(
                "port_taken",
                f"The port {ports[0]} belongs to the account {other.name} here; give {account.name} another one.",
            )


def _in_databases(account: Account) -> set[tuple[str, str]]:
    """What of an account has a name in the servers' engines: whoever is removed takes these with it."""
    return {
        (names.what, names.told(item))
        for engine in DECLARED
        for key, names in engine.lists.items()
        for item in account.names(engine.name, key)
    }


def remove(name: str, move: str | None = None) -> None:
    """Take away everything of an account that has left, whose coming was given up, or that is here for a test.

    `move`: only if that is the move (or the test) that it is here by."""
    with guarded(name):
        state = state_of(name)
        if move is not None and state.state != "absent" and state.move != move:
            refuse("wrong_move", f"The account {name} is {state.state} here by {state.move}, not by {move}: it stays.")
        if state.state == "absent" and not account_path(name).exists():
            return
        left = state.state == "moved" and state.released
        if not left and state.state not in ("receiving", "test", "absent"):
            refuse("wrong_state", f"The account {name} is {state.state} here; only one that has left is removed.")
        account = load(name)
        with pairing.no_data_session(name):
            if account.part:
                stores.engine_named(account.part).discard(account)
            else:
                _discard_whole(account)
            put_state(name, State("absent", epoch=state.epoch, since=time.time()))
            account_path(name).unlink()
        front.render_maps()
        if account.part:
            return
        front.render_sites()
        php.forget(account)
        mail.render(certificates=True)


def _discard_whole(account: Account) -> None:
    php.stop(account)
    processes.end_all(account.name, account.uid)
    for store in stores.STORES:
        store.discard(account)
    front.drop_certificates(account)
    provisioning.take_away(account)
    extras.remove(account)
    system.remove_user(account.name, account.uid, account.home)
    for kept in (account.directory / "crontab", account.lingers_aside, account.adopted, account.shut):
        kept.unlink(missing_ok=True)
    reboot_lines.forget(account)


def expect_expiry(name: str, expiry: str) -> None:
    """On the target: the expiry that the Unix user gets at the release."""
    with guarded(name):
        state = state_of(name)
        if state.state == "receiving" and state.saved.get("expiry", "") != expiry:
            put_state(name, replace(state, saved={**state.saved, "expiry": expiry}))
