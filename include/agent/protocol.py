"""What answers the verbs that the orchestrator may call: one JSON request in and one JSON reply out.

A run of the agent answers one request: each handler loads what it needs, since to load all of the agent takes longer
than most requests do.
"""

import sys
import traceback
from collections.abc import Callable
from typing import Any, cast

from . import verbs
from .account.accounts import Account, State, load, state_of
from .host import operations, shapes
from .host.codec import decode, encode
from .host.digest import printable
from .host.shapes import Strange, parsed, record, tree
from .host.system import Refused, refuse
from .verbs import Standing, reports
from .verbs.described import Description
from .verbs.protocol_number import PROTOCOL, THE_ORCHESTRATOR, mismatch
from .verbs.verb import ORCHESTRATOR, Answers, LongVerb, Nothing, asked


def _standing(state: State) -> Standing:
    return Standing(state=state.state, epoch=state.epoch)


def _create(want: verbs.Create) -> Standing:
    from .move import shell

    return _standing(shell.create(Account.from_json(want.account_file), want.epoch, want.unix_password_hash))


def _adopt(want: verbs.Adopt) -> Standing:
    from .move import shell

    return _standing(shell.adopt(Account.from_json(want.account_file), want.epoch))


def _pair(want: verbs.Pair) -> verbs.Paired:
    from .channel import pairing
    from .move import hold

    load(want.account)
    if want.epoch is not None:
        hold.admit(want.account, want.move, want.epoch)
    return verbs.Paired(public_key=pairing.make_key(want.move, want.account, want.epoch))


def _receive(want: verbs.Receive) -> verbs.Received:
    from .channel import pairing
    from .move import shell

    account = Account.from_json(want.account_file)
    if account.name != want.account or account.part:
        refuse("bad_args", f"The account file is that of {account.name}, not of {want.account}.")
    if want.engine is not None:
        account = account.part_of(want.engine)
    shell.receive(account, want.move, want.epoch)
    keys = pairing.admit(want.move, account.name, want.source_address, want.public_key, want.epoch)
    return verbs.Received(host_keys=keys)


def _unpair(want: verbs.Unpair) -> Nothing:
    from .channel import pairing
    from .move import switch

    if want.epoch is None or not pairing.over(want.move, want.epoch):
        _require_released(want.move)
        operations.stop_all_of(want.move)
        # One that was stopped may have just committed.
        _require_released(want.move)
        switch.forget(want.move)
        pairing.forget(want.move)
    return Nothing()


def _require_released(move: str) -> None:
    """The path of a committed move is what opens the account on the other server: it stays until that is done."""
    from .channel import pairing
    from .move import fence

    name = pairing.account_of(move)
    if name is not None and fence.committed(state := state_of(name), move) and not fence.released(state, move):
        refuse(
            "not_released", f"The account {name} has left with this move, and the other server has not opened it yet."
        )


def _return(want: verbs.Return) -> Standing:
    from .move import hold

    if want.epoch is None:
        return _standing(hold.return_(want.account, want.move))
    return _standing(hold.give_up(want.account, want.move, want.epoch))


def _left(want: verbs.Left) -> Standing:
    from .move import forward

    return _standing(forward.learn(want.account, want.move, want.epoch, want.to))


def _remove(want: verbs.Remove) -> Nothing:
    from .move import shell

    shell.remove(want.account, want.move)
    return Nothing()


def _become_test_server(want: verbs.BecomeTestServer) -> verbs.TestServer:
    from .trial import server

    return verbs.TestServer(**server.become(want.domain, want.certificate))


def _open_test(want: verbs.OpenTest) -> verbs.TestOpened:
    from .trial import copy

    state = copy.open_test(want.account, want.move, want.epoch, want.names, want.stores)
    opened: verbs.TestOpened = decode(verbs.TestOpened, {"state": state.state, "epoch": state.epoch, **state.test})
    return opened


def _drop_left(want: verbs.DropLeft) -> Nothing:
    from .move import forward

    forward.drop_left(want.account, want.engine)
    return Nothing()


def _take_back(want: verbs.TakeBack) -> Standing:
    from .move import take_back

    return _standing(take_back.take_back(want.account, want.epoch, want.because[:500]))


def _lead_to(want: verbs.LeadTo) -> verbs.Led:
    from .move import take_back

    state = take_back.lead_to(want.account, want.address)
    return verbs.Led(state=state.state, to=state.to)


def _describe(_want: verbs.Describe) -> Description:
    from . import describe

    return describe.describe()


def _prove_empty(want: verbs.ProveEmpty) -> verbs.Emptiness:
    from . import describe

    return describe.prove_empty(want.signed)


def _accept_ips(want: verbs.AcceptIps) -> Nothing:
    from .host import addresses

    addresses.accept(want.ips)
    return Nothing()


def _send_mail_from(want: verbs.SendMailFrom) -> Nothing:
    from .layouts import mail

    mail.send_from(want.ips)
    return Nothing()


def _drop_ips(want: verbs.DropIps) -> Nothing:
    from .host import addresses

    addresses.drop(want.ips)
    return Nothing()


def _drain_ips(want: verbs.DrainIps) -> verbs.Drained:
    from .host import addresses

    return verbs.Drained(still_open=addresses.drain(want.ips, want.seconds))


def _reset_ips(want: verbs.ResetIps) -> verbs.Reset:
    from .host import addresses

    return verbs.Reset(reset=addresses.reset(want.ips))


def _run_hook(want: verbs.RunHook) -> verbs.HookRun:
    from .host import hooks

    about = want.about
    told = {"account": about.account, "direction": about.direction, "from": about.source, "to": about.target}
    return verbs.HookRun(ran=hooks.run(want.hook, {**told, "move": about.move, "engine": about.engine}))


def _start(want: verbs.Start) -> verbs.OperationStatus:
    # What is wrong is refused now, and not found in the operation's end.
    verb, _ = _long(want.verb, want.args)
    manner = operations.Manner(yields=not verb.visitors_wait, bounded=verb.bounded)
    return _shown(operations.start(want.operation, want.verb, want.args, manner))


def _status(want: verbs.Status) -> verbs.OperationStatus:
    return _shown(operations.status(want.operation))


def _shown(status: dict[str, Any]) -> verbs.OperationStatus:
    shown: verbs.OperationStatus = decode(verbs.OperationStatus, status)
    return shown


VERBS = Answers(
    verbs.AcceptIps.answered_by(_accept_ips),
    verbs.Adopt.answered_by(_adopt),
    verbs.BecomeTestServer.answered_by(_become_test_server),
    verbs.Create.answered_by(_create),
    verbs.Describe.answered_by(_describe),
    verbs.DrainIps.answered_by(_drain_ips),
    verbs.DropIps.answered_by(_drop_ips),
    verbs.DropLeft.answered_by(_drop_left),
    verbs.LeadTo.answered_by(_lead_to),
    verbs.Left.answered_by(_left),
    verbs.OpenTest.answered_by(_open_test),
    verbs.Pair.answered_by(_pair),
    verbs.ProveEmpty.answered_by(_prove_empty),
    verbs.Receive.answered_by(_receive),
    verbs.Remove.answered_by(_remove),
    verbs.ResetIps.answered_by(_reset_ips),
    verbs.Return.answered_by(_return),
    verbs.RunHook.answered_by(_run_hook),
    verbs.SendMailFrom.answered_by(_send_mail_from),
    verbs.Start.answered_by(_start),
    verbs.Status.answered_by(_status),
    verbs.TakeBack.answered_by(_take_back),
    verbs.Unpair.answered_by(_unpair),
)


def _check(want: verbs.Check, report: operations.Report) -> reports.Checked:
    from .checks import account

    return account.check(want, report)


def _copy(want: verbs.Copy, report: operations.Report) -> reports.Copied:
    from .move import switch

    return switch.copy(want, report)


def _discover(want: verbs.Discover, report: operations.Report) -> dict[str, Any]:
    from . import discover

    return discover.discover(want, report)


def _duplicate(want: verbs.Duplicate, report: operations.Report) -> reports.Duplicated:
    from .trial import duplicate

    return duplicate.duplicate(want, report)


def _inspect(want: verbs.Inspect, report: operations.Report) -> verbs.Inspected:
    from .unclaimed import look

    return look.inspect(want, report)


def _obstacles(want: verbs.Obstacles, report: operations.Report) -> verbs.LookedAhead:
    from .checks import obstacles

    return obstacles.obstacles(want, report)


def _prepare(want: verbs.Prepare, report: operations.Report) -> verbs.Prepared:
    from . import layouts

    report(text="puts a front before the web server")
    return verbs.Prepared(to_do=layouts.prepare(want.files, want.fronts))


def _unprepare(_want: verbs.Unprepare, report: operations.Report) -> Nothing:
    from . import layouts

    report(text="takes the front away")
    layouts.unprepare()
    return Nothing()


def _switch(want: verbs.Switch, report: operations.Report) -> reports.Switched:
    from .move import switch

    return switch.switch(want, report)


def _verify(want: verbs.Verify, report: operations.Report) -> reports.Compared:
    from .move import switch

    return switch.verify(want, report)


LONG_VERBS = Answers(
    verbs.Check.run_by(_check),
    verbs.Copy.run_by(_copy),
    verbs.Discover.run_by(_discover),
    verbs.Duplicate.run_by(_duplicate),
    verbs.Inspect.run_by(_inspect),
    verbs.Obstacles.run_by(_obstacles),
    verbs.Prepare.run_by(_prepare),
    verbs.Switch.run_by(_switch),
    verbs.Unprepare.run_by(_unprepare),
    verbs.Verify.run_by(_verify),
)
"""What `start` starts; each runs as an operation."""


_REQUEST = record({"verb": shapes.text(100), "args": tree(verbs.LONGEST_TEXT)}, protocol=tree(100))


def answer(text: bytes) -> str:
    """The reply to one request; no request, however wrong, makes this raise."""
    try:
        try:
            request = _REQUEST(parsed(text))
        except Strange:
            refuse("bad_request", 'The request is not {"verb": ..., "args": {...}}; send one JSON object.')
        if why := mismatch("the agent of this server", THE_ORCHESTRATOR, request.get("protocol")):
            refuse("other_protocol", why)
        return _reply(ok=True, result=perform(request["verb"], request["args"]))
    except Refused as error:
        return _reply(ok=False, error={"code": error.code, "message": error.message})
    except Exception as error:  # the caller must get an answer; what happened goes to stderr whole
        traceback.print_exc(file=sys.stderr)
        why = printable(f"{type(error).__name__}: {error}"[:1000])
        message = f"The agent failed: {why}. This is a fault of the agent; report it."
        return _reply(ok=False, error={"code": "internal_error", "message": message})


def _reply(**outcome: Any) -> str:
    return encode({"protocol": PROTOCOL, **outcome})


def perform(name: str, args: Any) -> Any:
    """What a short verb gives that the orchestrator calls."""
    known = VERBS.open_to(ORCHESTRATOR)
    if name not in known:
        refuse("unknown_verb", f"There is no verb {name!r:.60}; there are {', '.join(known)}.")
    verb, handler = known[name]
    return handler(asked(verb, args))


def run_operation(operation: str) -> int:
    """What the unit of an operation runs."""

    def work(name: str, args: Any, report: operations.Report) -> Any:
        want, handler = _long(name, args)
        return handler(want, report)

    return operations.run_operation(operation, work)


def _long(name: str, args: Any) -> tuple[LongVerb[Any], Callable[..., Any]]:
    """A long verb with what was asked for, and what does it."""
    known = LONG_VERBS.open_to(ORCHESTRATOR)
    if name not in known:
        refuse("unknown_verb", f"{name!r:.60} is no long verb; there are {', '.join(sorted(known))}.")
    verb, handler = known[name]
    return cast(LongVerb[Any], asked(verb, args)), handler
