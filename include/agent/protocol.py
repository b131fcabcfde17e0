"""Verbs: what the orchestrator may ask of an agent, one JSON request in and one JSON reply out."""

import sys
import traceback
from collections.abc import Callable
from typing import Any

from . import describe
from .account.accounts import Account, check_move, check_name, load, state_of
from .account.engines import check_engine
from .channel import pairing
from .checks import account as checks
from .checks import obstacles
from .host import addresses, operations, shapes
from .host.digest import printable
from .host.shapes import Strange, parsed, record, tree
from .host.system import Refused, refuse
from .move import fence, forward, hold, shell, switch, take_back
from .trial import copy, duplicate, server

_LONGEST_WORD = 16 << 20
"""Characters of one text in a request: a certificate, a crontab, a reason."""

LONG_VERBS: dict[str, operations.LongVerb] = {
    "check": checks.check,
    "copy": switch.copy,
    "duplicate": duplicate.duplicate,
    "obstacles": obstacles.obstacles,
    "switch": switch.switch,
    "verify": switch.verify,
}


def _take(args: dict[str, Any], /, **kinds: type) -> list[Any]:
    """The named arguments in order, each of its kind."""
    taken = []
    for name, kind in kinds.items():
        value = args.get(name)
        numeric = kind is float and isinstance(value, int)
        if isinstance(value, bool) or not (numeric or isinstance(value, kind)):
            refuse("bad_args", f"The argument {name} must be {_KINDS[kind]}, not {value!r:.60}.")
        taken.append(value)
    return taken


_KINDS = {str: "text", int: "a whole number", float: "a number", dict: "an object", list: "a list"}


def _named(args: dict[str, Any]) -> tuple[str, str]:
    return check_name(args.get("account")), check_move(args.get("move"))


def _epoch(args: dict[str, Any]) -> int | None:
    """The attempt that is meant, where the caller names one."""
    return None if args.get("epoch") is None else _take(args, epoch=int)[0]


def _create(args: dict[str, Any]) -> dict[str, Any]:
    account = Account.from_json(args.get("account_file"))
    state = shell.create(account, args.get("epoch", 1), args.get("unix_password_hash"))
    return {"state": state.state, "epoch": state.epoch}


def _pair(args: dict[str, Any]) -> dict[str, Any]:
    """With an `epoch` it begins that attempt of a move away; a test copies and begins none."""
    name, move = _named(args)
    epoch = _epoch(args)
    load(name)
    if epoch is not None:
        hold.admit(name, move, epoch)
    return {"public_key": pairing.make_key(move, name, epoch)}


def _receive(args: dict[str, Any]) -> dict[str, Any]:
    name, move = _named(args)
    (epoch,) = _take(args, epoch=int)
    account = Account.from_json(args.get("account_file"))
    if account.name != name or account.part:
        refuse("bad_args", f"The account file is that of {account.name}, not of {name}.")
    if args.get("engine") is not None:
        account = account.part_of(check_engine(args["engine"]))
    shell.receive(account, move, epoch)
    keys = pairing.admit(move, account.name, args.get("source_address"), args.get("public_key"), epoch)
    return {"host_keys": keys}


def _unpair(args: dict[str, Any]) -> dict[str, Any]:
    """`epoch`: of the attempt whose end this is; when a later one has begun, it is that one's path and stays."""
    move, epoch = check_move(args.get("move")), _epoch(args)
    if epoch is None or not pairing.over(move, epoch):
        _require_released(move)
        operations.stop_all_of(move)
        # One that was stopped may have just committed.
        _require_released(move)
        switch.forget(move)
        pairing.forget(move)
    return {}


def _require_released(move: str) -> None:
    """The path of a committed move is what opens the account on the other server: it stays until that is done."""
    name = pairing.account_of(move)
    if name is not None and fence.committed(state := state_of(name), move) and not fence.released(state, move):
        refuse(
            "not_released", f"The account {name} has left with this move, and the other server has not opened it yet."
        )


def _return(args: dict[str, Any]) -> dict[str, Any]:
    """With an `epoch` that attempt is over as well: nothing of it holds or commits from here on."""
    name, move = _named(args)
    epoch = _epoch(args)
    state = hold.return_(name, move) if epoch is None else hold.give_up(name, move, epoch)
    return {"state": state.state, "epoch": state.epoch}


def _left(args: dict[str, Any]) -> dict[str, Any]:
    """What the registry knows and this server does not (its disk is that of a backup): where the account has gone."""
    name, move = _named(args)
    (epoch,) = _take(args, epoch=int)
    state = forward.learn(name, move, epoch, pairing.check_address(args.get("to")))
    return {"state": state.state, "epoch": state.epoch}


def _remove(args: dict[str, Any]) -> dict[str, Any]:
    move = args.get("move")
    shell.remove(check_name(args.get("account")), None if move is None else check_move(move))
    return {}


def _become_test_server(args: dict[str, Any]) -> dict[str, Any]:
    return server.become(args.get("domain"), args.get("certificate"))


def _open_test(args: dict[str, Any]) -> dict[str, Any]:
    name, move = _named(args)
    epoch, names, stores = _take(args, epoch=int, names=dict, stores=list)
    state = copy.open_test(name, move, epoch, names, stores)
    return {"state": state.state, "epoch": state.epoch, **state.test}


def _drop_left(args: dict[str, Any]) -> dict[str, Any]:
    forward.drop_left(check_name(args.get("account")), check_engine(args.get("engine")))
    return {}


def _take_back(args: dict[str, Any]) -> dict[str, Any]:
    epoch, because = _take(args, epoch=int, because=str)
    state = take_back.take_back(check_name(args.get("account")), epoch, because[:500])
    return {"state": state.state, "epoch": state.epoch}


def _lead_to(args: dict[str, Any]) -> dict[str, Any]:
    state = take_back.lead_to(check_name(args.get("account")), pairing.check_address(args.get("address")))
    return {"state": state.state, "to": state.to}


def _accept_ips(args: dict[str, Any]) -> dict[str, Any]:
    addresses.accept(*_take(args, ips=list))
    return {}


def _drop_ips(args: dict[str, Any]) -> dict[str, Any]:
    addresses.drop(*_take(args, ips=list))
    return {}


def _drain_ips(args: dict[str, Any]) -> dict[str, Any]:
    return {"still_open": addresses.drain(*_take(args, ips=list, seconds=float))}


def _reset_ips(args: dict[str, Any]) -> dict[str, Any]:
    return {"reset": addresses.reset(*_take(args, ips=list))}


def _start(args: dict[str, Any]) -> dict[str, Any]:
    operation, verb, given = _take(args, operation=str, verb=str, args=dict)
    return operations.start(operation, verb, given, LONG_VERBS)


def _status(args: dict[str, Any]) -> dict[str, Any]:
    return operations.status(*_take(args, operation=str))


VERBS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "accept_ips": _accept_ips,
    "become_test_server": _become_test_server,
    "create": _create,
    "describe": lambda _args: describe.describe(),
    "drain_ips": _drain_ips,
    "reset_ips": _reset_ips,
    "drop_ips": _drop_ips,
    "drop_left": _drop_left,
    "lead_to": _lead_to,
    "left": _left,
    "open_test": _open_test,
    "pair": _pair,
    "prove_empty": lambda _args: describe.prove_empty(),
    "receive": _receive,
    "remove": _remove,
    "return": _return,
    "start": _start,
    "status": _status,
    "take_back": _take_back,
    "unpair": _unpair,
}


_REQUEST = record({"verb": shapes.text(100), "args": tree(_LONGEST_WORD)})


def answer(text: bytes) -> dict[str, Any]:
    """The reply to one request; no request, however wrong, makes this raise."""
    try:
        try:
            request = _REQUEST(parsed(text))
        except Strange:
            refuse("bad_request", 'The request is not {"verb": ..., "args": {...}}; send one JSON object.')
        verb, args = request["verb"], request["args"]
        if verb not in VERBS:
            refuse("unknown_verb", f"There is no verb {verb!r:.60}; there are {', '.join(VERBS)}.")
        if not isinstance(args, dict):
            refuse("bad_args", "The arguments must be a JSON object.")
        return {"ok": True, "result": VERBS[verb](args)}
    except Refused as error:
        return {"ok": False, "error": {"code": error.code, "message": error.message}}
    except Exception as error:  # the caller must get an answer; what happened goes to stderr whole
        traceback.print_exc(file=sys.stderr)
        said = printable(f"{type(error).__name__}: {error}"[:1000])
        message = f"The agent failed: {said}. This is a fault of the agent; report it."
        return {"ok": False, "error": {"code": "internal_error", "message": message}}
