"""What a server does after a boot: held accounts return, serving ones are opened, those that have left go forward."""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from .account.accounts import UNREADABLE, Account, all_accounts, guarded, standing, state_of, unreadable, whole
from .channel import pairing
from .channel.peer import Peer, known_peer
from .host import addresses, server_role, system
from .host.system import refuse
from .layouts import provisioning
from .move import deadline, fence, forward, hold, redirect, serving, stores
from .trial import copy, server
from .verbs.peers import HowItStands, Stands

_AT_ONCE = 4
"""Of how many accounts the programs are started at a time: most of it is waiting for systemd."""


def boot() -> None:
    """After a boot: held accounts return, serving ones get their PHP, addresses are accepted again.

    None waits for another one: neither for its damaged files nor for a server that does not answer."""
    addresses.accept_known()
    if server_role.domain() is not None:
        server.keep_in()
    redirect.restore()
    for name, why in unreadable().items():
        print(f"{name} stays shut: {why}", file=sys.stderr)
    accounts = [account for account in all_accounts() if standing(account.name).state != UNREADABLE]
    alone = [account for account in accounts if not _may_have_left(account)]
    shown = _succeeds(serving.show_all)
    bringing_up = [partial(_succeeds, partial(_bring_up, account)) for account in alone]
    asking = [partial(_succeeds, partial(_ask_and_bring_up, account)) for account in accounts if account not in alone]
    up = system.side_by_side(*bringing_up, at_once=_AT_ONCE) + system.side_by_side(*asking)
    if not all([shown, *up]):
        refuse("not_all_up", "Not every account could be brought up; the journal says why. It is tried again.")


def _succeeds(work: Callable[[], Any]) -> bool:
    """Whether it could be done; what was in the way is told."""
    try:
        work()
    except Exception as error:  # the others are not to wait for this one
        print(error, file=sys.stderr)
        return False
    return True


def _bring_up(account: Account) -> None:
    """What the account's own state asks for at a boot."""
    state = state_of(account.name)
    if state.state == "serving":
        with guarded(account.name):
            _tidy(account)
            if not account.part:
                serving.start_processes(account)
    elif state.state == "test":
        with guarded(account.name):
            copy.reopen(account)
    elif fence.leaving(state) or (state.state == "moved" and not state.released):
        # The other server may be away: the timer goes on until it is back, and nobody else waits for it.
        deadline.arm(account.name, 0.1)
    else:
        hold.return_(account.name)
    if provisioning.waits(account):
        # By the host's own program: nobody else waits for it.
        deadline.arm(account.name, 0.1)


def _may_have_left(account: Account) -> bool:
    """Whether a move of this account away from here is open: then its end may not be on this disk, which can be that
    of a snapshot or a backup."""
    state = standing(account.name)
    return state.state in ("serving", "held") and not fence.leaving(state) and bool(pairing.moves_of(account.name))


def _ask_and_bring_up(account: Account) -> None:
    """The servers that the account may have gone to are asked first. One that does not answer is no reason to stay
    shut: so it looks after an ordinary boot, too."""
    for move in pairing.moves_of(account.name):
        try:
            contact = known_peer(move)
            peer = Peer(move, contact["address"], contact["host_keys"])
            stands = peer.call(HowItStands())
            peer.close()
        except system.Refused:
            continue
        # Without the proof it never got the account: a server that was taken over could say so to have it.
        left = stands.proof is not None and stands.proof == pairing.proof(move)
        if left and stands.state in ("serving", "held", "moved") and stands.epoch >= state_of(account.name).epoch:
            _learn(account.name, move, contact, stands)
    _bring_up(account)


def _learn(name: str, move: str, contact: dict[str, Any], stands: Stands) -> None:
    """This disk is older than the account's departure: what the other server says is written down."""
    if stands.account != name:
        refuse(
            "older_disk",
            f"{stands.account} lives on {contact['address']}, which the disk of this server does not know: it is that"
            f" of a snapshot or backup. {name} stays shut; restore what was on the disk after the move.",
        )
    forward.learn(name, move, stands.epoch, contact["address"], contact)


def _tidy(account: Account) -> None:
    """End what a crash has left: of a release here, and of a following that no move goes on with."""
    for store in stores.STORES:
        store.finish(account)
        if not pairing.leaves(account.name):
            store.unfollow(whole(account.name))
