"""What an account has in files of the host's own: nothing, in a layout that writes them all itself."""

from collections.abc import Collection

from ...account.accounts import Account
from ...host.system import refuse
from ...verbs.extras import Extra


def refuse_unfit(account: Account) -> None:
    """Refuse an account that this layout has no place for, or cannot show."""
    if account.extras:
        refuse(
            "bad_extra",
            f"{account.extras[0]} of {account.name} is a file of a classic server's, which this one has no place for;"
            " choose a server of that layout.",
        )
    if account.wildcards:
        refuse(
            "wildcard",
            f"{account.name} answers to every name of {account.wildcards[0]}, which only servers of the classic layout"
            " do; choose one of those, or list the names that are used.",
        )
    for site in account.sites:
        if site.root is None:
            refuse(
                "no_root",
                f"The site {site.domain} of {account.name} has no document root in the account file, which this server"
                " needs; write it there.",
            )


def unfit(_account: Account) -> list[str]:
    return []


def read(_account: Account, only_for_tests: bool = False) -> list[Extra]:
    return []


def paths(_account: Account) -> list[str]:
    return []


def install(account: Account, extras: Collection[Extra]) -> None:
    if extras:
        refuse("bad_extra", f"This server has no place for files of the host's about {account.name}; choose another.")


def remove(_account: Account) -> None:
    """There are none."""


def adopt(account: Account) -> None:
    refuse(
        "not_adopted",
        f"This server's layout makes its accounts itself, so {account.name} cannot be adopted here; prepare the server"
        " that it lives on, and adopt it there.",
    )
