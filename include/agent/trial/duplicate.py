"""The long verb `duplicate`: an account's stores copied for a test, while the account serves and is not followed.

What the new version refuses is told with its object, and the rest comes over all the same: that is what a test is for.
"""

import time
from dataclasses import replace
from functools import partial

from .. import verbs
from ..account.accounts import Account, state_of
from ..channel.peer import Peer
from ..host.operations import Report
from ..host.system import Refused, refuse, side_by_side
from ..layouts import extras, mail
from ..move import identity
from ..move.stores import FILES, engine_named
from ..move.switch import _require_serving, _sides, begin_alone
from ..stores.duplicated import StoreCopy, note
from ..stores.files import digest, rsync, trees
from ..verbs.peers import Extras, Identity
from ..verbs.reports import Duplicated
from .copy import check_stores

# Refusals that speak of the account, and not of servers or the way between them: they are the test's result.
_OF_THE_ACCOUNT = frozenset(
    {
        "bad_extra",
        "bad_grant",
        "bad_name",
        "engine_blocked",
        "event_failed",
        "extension_blocked",
        "extra_taken",
        "extra_unread",
        "extras_not_taken",
        "extras_too_large",
        "files_walk_failed",
        "foreign_definer",
        "foreign_member",
        "foreign_owner",
        "foreign_role",
        "history_blocked",
        "locale_missing",
        "mariadb_failed",
        "mixed_charsets",
        "mounted_below",
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


def duplicate(want: verbs.Duplicate, report: Report) -> Duplicated:
    """Copy these stores into the copy that is being received; nothing of it stays here but the key, until `unpair`."""
    account, peer = _sides(want)
    store_names = check_stores(want.stores)
    _require_serving(account, want)
    if state_of(account.name).state == "held":
        refuse("wrong_state", f"The account {account.name} is held for a move; test it when that is over.")
    began = time.monotonic()
    begin_alone(account, peer, store_names)
    works = (partial(_tolerant, store, account, peer, report) for store in store_names)
    copies: list[tuple[StoreCopy, float]] = side_by_side(*works)
    return Duplicated(
        files=sum(copy.files for copy, _ in copies),
        bytes=sum(copy.bytes for copy, _ in copies),
        seconds=round(time.monotonic() - began, 3),
        stores={copy.store: seconds for copy, seconds in copies},
        left=[sentence for copy, _ in copies for sentence in copy.left],
        said=[replace(remark, store=copy.store) for copy, _ in copies for remark in copy.said],
        waits=[wait for copy, _ in copies for wait in copy.waits],
        missing=[missing for copy, _ in copies for missing in copy.missing],
    )


def _tolerant(store: str, account: Account, peer: Peer, report: Report) -> tuple[StoreCopy, float]:
    """What came over of a store, and the seconds that it took; a refusal that speaks of the account is told with it."""
    began, done = time.monotonic(), StoreCopy(store)
    try:
        if store == FILES.name:
            _files(account, peer, report, done)
        else:
            engine_named(store).duplicate(account, peer, report, done)
    except Refused as error:
        if error.code not in _OF_THE_ACCOUNT:
            raise
        done.said.append(note(None, None, error.message))
    return done, round(time.monotonic() - began, 3)


def _files(account: Account, peer: Peer, report: Report, done: StoreCopy) -> None:
    # A test has names of its own: the original's certificates stay where they are.
    # Nor does anything run there without a login.
    kept = identity.read(account)
    peer.call(Identity(**kept | {"certificates": {}, "lingers": False}))
    mail.make_folders(account)
    for tree in trees.of(account):
        sent = rsync.send(tree, peer, report)
        done.files, done.bytes = done.files + sent["files"], done.bytes + sent["bytes"]
    done.left += digest.left_behind(account)
    if kept["lingers"]:
        done.left.append(
            f"Services of {account.name}'s own (systemctl --user) run without a login, and do so after a move; in a"
            " test they do not run."
        )
    if account.extras:
        peer.call(Extras(extras=extras.read(account, only_for_tests=True)))
