"""The long verb `duplicate`: an account's stores copied for a test, while the account serves and is not followed.

What the new version refuses is told with its object, and the rest comes over all the same: that is what a test is for.
"""

import time
from functools import partial
from typing import Any

from .. import verbs
from ..account.accounts import Account, state_of
from ..channel.peer import Peer
from ..host.operations import Report
from ..host.system import Refused, refuse, side_by_side
from ..layouts import reboot_lines
from ..move import identity
from ..move.stores import FILES, engine_named
from ..move.switch import _require_serving, _sides, begin_alone
from ..stores.files import digest, rsync
from ..verbs.peers import Identity
from .copy import check_stores

Done = dict[str, Any]
_LISTS = ("said", "waits", "missing")
"""What is told of databases, each with its store."""

# Refusals that speak of the account, and not of servers or the way between them: they are the test's result.
_OF_THE_ACCOUNT = frozenset(
    {
        "bad_grant",
        "bad_name",
        "engine_blocked",
        "event_failed",
        "extension_blocked",
        "files_walk_failed",
        "foreign_definer",
        "foreign_member",
        "foreign_owner",
        "foreign_role",
        "history_blocked",
        "locale_missing",
        "mariadb_failed",
        "mixed_charsets",
        "no_such_database",
        "no_such_role",
        "no_such_user",
        "plugin_blocked",
        "postgresql_failed",
        "table_too_wide",
        "too_many_tables",
        "unclear_user",
    }
)


def duplicate(want: verbs.Duplicate, report: Report) -> dict[str, Any]:
    """Copy these stores into the copy that is being received; nothing of it stays here but the key, until `unpair`.

    {"files", "bytes", "seconds", "stores": {store: seconds}, "left": [sentences on what is not carried],
    "said": [{"store", "database", "severity": error|warning, "object", "message"}],
    "waits": [{"store", "database", "message"}: a database that a move would copy while visitors wait],
    "missing": [{"store", "database", "object"}]}.
    """
    account, peer = _sides(want)
    store_names = check_stores(want.stores)
    _require_serving(account, want)
    if state_of(account.name).state == "held":
        refuse("wrong_state", f"The account {account.name} is held for a move; test it when that is over.")
    began = time.monotonic()
    begin_alone(account, peer, store_names)
    results = dict(
        zip(
            store_names,
            side_by_side(*(partial(_tolerant, store, account, peer, report) for store in store_names)),
            strict=True,
        )
    )
    return {
        "files": results.get("files", {}).get("files", 0),
        "bytes": sum(result["bytes"] for result in results.values()),
        "seconds": round(time.monotonic() - began, 3),
        "stores": {store: result["seconds"] for store, result in results.items()},
        "left": [sentence for result in results.values() for sentence in result["left"]],
        **{key: [{"store": s, **entry} for s, result in results.items() for entry in result[key]] for key in _LISTS},
    }


def _tolerant(store: str, account: Account, peer: Peer, report: Report) -> Done:
    began = time.monotonic()
    done: Done = {"bytes": 0, "left": [], "said": [], "waits": [], "missing": []}
    try:
        if store == FILES.name:
            _files(account, peer, report, done)
        else:
            engine_named(store).duplicate(account, peer, report, done)
    except Refused as error:
        if error.code not in _OF_THE_ACCOUNT:
            raise
        done["said"].append({"database": None, "severity": "error", "object": None, "message": error.message})
    return {**done, "seconds": round(time.monotonic() - began, 3)}


def _files(account: Account, peer: Peer, report: Report, done: Done) -> None:
    # A test has names of its own: the original's certificates stay where they are.
    peer.call(Identity(**identity.read(account) | {"certificates": {}}))
    sent = rsync.send(account, peer, report)
    done |= {
        "files": sent["files"],
        "bytes": sent["bytes"],
        "left": [*digest.left_behind(account), *reboot_lines.left_behind(account)],
    }
