"""Back from a server that is lost: an account that has left serves here again, as it was when it left.

Only the orchestrator asks for this, for a server that it has switched off: what was written there since is lost. The
higher epoch fences whatever that server, should it ever be seen again, says of the account.
"""

import time
from dataclasses import replace

from ..account.accounts import State, guarded, load, put_state, state_of
from ..host.system import refuse
from ..layouts import mail, provisioning
from . import serving, stores


def take_back(name: str, epoch: int, because: str) -> State:
    """Let the account serve here again, at an epoch above all before; what was taken back from where, and why, stays in
    its state. Can be repeated."""
    with guarded(name):
        account, state = load(name), state_of(name)
        if state.state == "moved":
            if epoch <= state.epoch:
                refuse("stale_epoch", f"The account {name} is at epoch {state.epoch} here; epoch {epoch} is over.")
            record = {"taken_back": {"from": state.to, "because": because, "left_at": state.since}}
            # What has moved never serves again by itself: it is gone first, and that is written down.
            state = put_state(name, State("absent", epoch, saved=state.saved, figures=record, engines=state.engines))
        if "taken_back" not in state.figures or state.epoch != epoch:
            refuse("wrong_state", f"The account {name} is {state.state} here; only what has left is taken back.")
        if state.state == "absent":
            provisioning.expect_open(account)
            state = put_state(name, replace(state, state="serving", since=time.time()))
        for engine in stores.ENGINES:
            if engine.name not in state.engines:
                engine.unhold(account)
        serving.open_account(account)
        serving.let_in(account)
    mail.flush()
    return state


def lead_to(name: str, address: str) -> State:
    """Pass on what comes here for an account that has left to `address`: the server that it left for is lost, and it
    lives there by now."""
    with guarded(name):
        state = state_of(name)
        if state.state != "moved" or not state.released:
            refuse("wrong_state", f"The account {name} is {state.state} here; nothing is passed on for it.")
        state = put_state(name, replace(state, to=address))
        account = load(name)
        provisioning.expect_open(account)
        serving.show(account)
    return state
