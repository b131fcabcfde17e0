"""The long verb `obstacles`: what would refuse a move of an account, looked for beforehand, and what would stay behind.

It asks the very functions that refuse in a move, reads names and definitions only, and changes nothing. What only shows
while data is restored on the new version is a test's to find.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .. import verbs
from ..account.accounts import Account, load, state_of
from ..host.digest import printable
from ..host.operations import Report
from ..host.system import Refused, refuse
from ..layouts import extras
from ..move import fence, redirect
from ..move.stores import FILES, engine_named
from ..stores.files import digest
from ..trial.copy import check_stores

MOST = 20
"""Obstacles that are told of an account: who has that many begins with them."""
_LONGEST = 1000

CUSTOMER: verbs.Who = "customer"
HOST: verbs.Who = "host"
NOBODY: verbs.Who = "nobody"
WHOSE: dict[str, verbs.Who] = {
    "bad_account_file": HOST,
    "bad_extra": HOST,
    "bad_name": CUSTOMER,
    "damaged_file": HOST,
    "engine_blocked": CUSTOMER,
    "engine_elsewhere": HOST,
    "extra_unread": HOST,
    "extras_too_large": HOST,
    "files_walk_failed": CUSTOMER,
    "foreign_definer": HOST,
    "foreign_member": HOST,
    "foreign_owner": HOST,
    "foreign_reference": CUSTOMER,
    "foreign_role": HOST,
    "foreign_writer": HOST,
    "history_blocked": CUSTOMER,
    "is_part": HOST,
    "mariadb_failed": HOST,
    "mixed_charsets": CUSTOMER,
    "mounted_below": HOST,
    "newer_state": HOST,
    "no_such_database": HOST,
    "no_such_role": HOST,
    "no_such_user": HOST,
    "not_led": HOST,
    "nothing_to_move": NOBODY,
    "plugin_blocked": CUSTOMER,
    "postgresql_failed": HOST,
    "prepared_transaction": CUSTOMER,
    "too_many_tables": HOST,
    "unclear_user": HOST,
    "wrong_state": HOST,
}
"""Whose it is to mend, by the code of the refusal. Any other code speaks of the server, not of the account: then nobody
has looked, and the verb is refused with it."""


class ObstacleList:
    """The obstacles of one account, each told once."""

    def __init__(self) -> None:
        self.obstacles: list[verbs.Obstacle] = []

    def add(self, code: str, sentence: str) -> None:
        obstacle = verbs.Obstacle(sentence=printable(sentence)[:_LONGEST], who=WHOSE[code])
        if obstacle not in self.obstacles and len(self.obstacles) < MOST:
            self.obstacles.append(obstacle)

    @contextmanager
    def noting(self) -> Iterator[None]:
        """A refusal inside is an obstacle, and ends no more than this block."""
        try:
            yield
        except Refused as error:
            if error.code not in WHOSE:
                raise
            self.add(error.code, error.message)


def obstacles(want: verbs.Obstacles, report: Report) -> verbs.LookedAhead:
    """What would refuse a move of these stores, and what of them it would not carry. It only reads."""
    name, stores = want.account, check_stores(want.stores)
    noted, left = ObstacleList(), []
    with noted.noting():
        account = _serving(name, stores)
        for store in stores:
            report(step=store)
            left += _files(account, noted) if store == FILES.name else engine_named(store).obstacles(account, noted)
        for engine in stores if "files" not in stores else []:
            with noted.noting():
                redirect.require_leadable(account, engine)
    return verbs.LookedAhead(
        obstacles=noted.obstacles, left=[printable(sentence)[:_LONGEST] for sentence in left[:MOST]]
    )


def _serving(name: str, stores: list[str]) -> Account:
    """The account, if it is one that could leave at all."""
    account, state = load(name), state_of(name)
    if account.part:
        refuse("is_part", f"{name} is the part of an account that lives elsewhere; it does not move by itself.")
    if state.state not in ("serving", "held"):
        refuse("wrong_state", f"The account {name} is {state.state} here; only one that serves can leave.")
    if "files" in stores or {*stores} & {*state.engines}:
        fence.require_whole(name)
    return account


def _files(account: Account, noted: ObstacleList) -> list[str]:
    with noted.noting():
        for sentence in extras.unfit(account):
            noted.add("bad_extra", sentence)
    with noted.noting():
        return digest.left_behind(account)
    return []
