"""What the other server of a move may ask of this one, over the channel of that move alone."""

from typing import IO, Any

from .account.accounts import Account, state_of
from .channel import pairing
from .host import digest
from .host.system import refuse
from .layouts.native import mail, php
from .move import forward, identity, redirect, stores
from .move.steps import Steps


def _release(account: Account, args: dict[str, Any], _stdin: IO[bytes]) -> dict[str, Any]:
    steps = Steps()
    state = forward.release(account.name, args["move"], args.get("epoch", -1), args.get("commit_record"), steps)
    return {"state": state.state, "steps": steps.taken}


def _alone(account: Account, args: dict[str, Any], _stdin: IO[bytes]) -> dict[str, Any]:
    """End what a connection that was lost has left at work here: it could write after the copies were compared."""
    pairing.require_same_protocol(args)
    state = state_of(account.name)
    if (state.state, state.move) != ("receiving", args["move"]):
        refuse("not_receiving", f"The account {account.name} is {state.state} here and takes no data in this move.")
    with pairing.no_data_session(account.name):
        for engine in stores.ENGINES:
            engine.end_sessions(account)
    engines = [engine for engine in stores.ENGINES if account.part in (None, engine.name)]
    return {"protocol": pairing.PROTOCOL, "versions": {engine.name: list(engine.version()) for engine in engines}}


def _standing(account: Account, args: dict[str, Any], _stdin: IO[bytes]) -> dict[str, Any]:
    """What a source asks that has just booted: its disk may be older than the account's departure."""
    state = state_of(account.name)
    proof = pairing.proof(args["move"])
    return {"account": account.name, "state": state.state, "epoch": state.epoch, "proof": proof}


def _warm(account: Account, _args: dict[str, Any], _stdin: IO[bytes]) -> dict[str, Any]:
    """What the release would start runs already; nobody is let in."""
    if not account.part:
        php.warm(account)
    return {}


def _part_port(account: Account, _args: dict[str, Any], _stdin: IO[bytes]) -> dict[str, Any]:
    """Where this server's front takes what is led to the part; refused when nobody could log in there."""
    redirect.receivable(account)
    return {"port": account.ports[account.part or ""]}


PEER_VERBS: dict[str, pairing.PeerVerb] = {
    **{verb: answer for store in stores.STORES for verb, answer in store.peer_verbs.items()},
    **identity.PEER_VERBS,
    "messages_digest": digest.as_peer_verb(mail.messages),
    "alone": _alone,
    "warm": _warm,
    "part_port": _part_port,
    "release": _release,
    "standing": _standing,
}
# Release ends the receiving, and may be repeated after it; alone ends what holds the data open; standing only tells.
ALWAYS = frozenset({"release", "alone", "standing"})
