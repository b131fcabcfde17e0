"""What serves the verbs that the other server of a move may call, over the channel of that move alone."""

from .account.accounts import Account, state_of
from .channel import pairing
from .host.system import refuse
from .layouts import mail, php, provisioning
from .move import forward, identity, redirect, stores
from .move.steps import Steps
from .verbs import peers
from .verbs.protocol_number import PROTOCOL
from .verbs.verb import Answers, Asking


def _release(account: Account, want: peers.Release, asking: Asking) -> peers.Released:
    steps = Steps()
    state = forward.release(account.name, asking.move, want.epoch, want.commit_record, steps)
    return peers.Released(state=state.state, steps=steps.taken)


def _alone(account: Account, want: peers.Alone, asking: Asking) -> peers.Versions:
    """End what a connection that was lost has left at work here: it could write after the copies were compared."""
    pairing.require_same_protocol(want.protocol)
    state = state_of(account.name)
    if (state.state, state.move) != ("receiving", asking.move):
        refuse("not_receiving", f"The account {account.name} is {state.state} here and takes no data in this move.")
    with pairing.no_data_session(account.name):
        for engine in stores.ENGINES:
            engine.end_sessions(account)
    engines = [engine for engine in stores.ENGINES if account.part in (None, engine.name)]
    versions = {engine.name: list(engine.version()) for engine in engines}
    return peers.Versions(protocol=PROTOCOL, versions=versions)


def _standing(account: Account, _want: peers.HowItStands, asking: Asking) -> peers.Stands:
    """What a source asks that has just booted: its disk may be older than the account's departure."""
    state = state_of(account.name)
    proof = pairing.proof(asking.move)
    return peers.Stands(account=account.name, state=state.state, epoch=state.epoch, proof=proof)


def _warm(account: Account, _want: peers.Warm, _asking: Asking) -> peers.Warmed:
    """What the release would start runs already; nobody is let in."""
    if account.part:
        return peers.Warmed()
    php.warm(account)
    return peers.Warmed(open_seconds=provisioning.rehearse(account, "open"))


def _part_port(account: Account, _want: peers.PartPort, _asking: Asking) -> peers.Port:
    """Where this server's front takes what is led to the part; refused when nobody could log in there."""
    redirect.receivable(account)
    return peers.Port(port=account.ports[account.part or ""])


PEER_VERBS = Answers(
    *(answer for store in stores.STORES for answer in store.peer_verbs),
    *identity.PEER_VERBS,
    peers.MessagesDigest.told_by(mail.messages),
    peers.Alone.served_by(_alone),
    peers.Warm.served_by(_warm),
    peers.PartPort.served_by(_part_port),
    peers.Release.served_by(_release),
    peers.HowItStands.served_by(_standing),
)
