"""An account that was found, as an account file says it; and what such a file cannot say."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ....account import file_values, mail_names
from ....account.accounts import Account
from ....host.digest import printable
from ....host.system import Refused
from ....verbs.discovered import Discovered, Mailbox, Site
from .. import extras
from ..judges.whose import Whose
from ..places import SHARED, kind_of
from . import boxes
from .programs import CARRIED, LINE_OF_CRON
from .tree import Notes, Tree
from .users import is_below

_APP = "app.sock"
_LOCATION = re.compile(r"(?:(?:=|\^~) ?)?(/\S*)")
"""Of nginx or Apache, where it is no pattern."""
_SHOWN = 5


class _File:
    """An account file in the making."""

    def __init__(self, account: Discovered, others: set[int]) -> None:
        self.account, self._others = account, others
        self._unfit = Notes()
        for sentence in account.unfit:
            self._cannot(sentence)
        self.content: dict[str, Any] = {
            "account": account.name,
            "uid": account.uid,
            "gid": account.gid,
            "home": account.home,
            "shell": account.shell,
        }

    def take(self, items: list[Any], check: Callable[[Any], Any]) -> list[Any]:
        """Those of the items that an account file may hold."""
        taken = []
        for item in items:
            try:
                check(item)
            except Refused as error:
                self._cannot(error.message)
            else:
                taken.append(item)
        return taken

    def sites(self) -> list[dict[str, Any]]:
        sites = [self._site(site) for site in self.account.sites]
        return self.take([site for site in sites if site], file_values.site)

    def _site(self, site: Site) -> dict[str, Any] | None:
        plain = [name for name in site.names if not file_values.is_wildcard(name)]
        called = printable(plain[0] if plain else (site.names or [site.place])[0])
        names = [name for name in site.names if not file_values.is_wildcard(name) or name[2:] in self._names()]
        for name in dict.fromkeys(site.names):
            if name not in names:
                self._cannot(
                    f"The site {called} answers to every name of {name}; give it the name {name[2:]} too, or list those"
                    " that are used."
                )
        if not plain:
            self._cannot(f"The site {called} of {site.place} has no plain name of its own; give it one.")
            return None
        file: dict[str, Any] = {"domain": plain[0], "aliases": [name for name in names if name != plain[0]]}
        for answered in site.behind:
            below, _, where = answered.rpartition(" at ")
            if where == f"http {self.account.home}/{_APP}":
                path = _path_of(below)
                file["app"] = path if file.get("app", path) == path else "/"
            elif not is_below(where.removeprefix("http "), self.account.home):
                self._cannot(
                    f"The site {called} passes {answered} on; a program is only reached at {self.account.home}/{_APP}."
                )
        if site.root and not is_below(site.root, self.account.home):
            self._cannot(
                f"The folder {site.root} of the site {called} is not below {self.account.home}; move it below the home."
            )
            return None
        # The home itself, nothing, or a name of spaces: then the web server's own file, an extra, says what is shown.
        file["root"] = site.root[len(self.account.home) + 1 :] or None
        try:
            file_values.site(file)
        except Refused:
            file["root"] = None
        return file

    def _names(self) -> set[str]:
        """The names that it has one by one."""
        return {*self.account.mail_domains}.union(*(site.names for site in self.account.sites))

    def mail(self) -> dict[str, Any]:
        account = self.account
        names = tuple(self.take(account.mail_domains, file_values.domain))
        mailboxes = [self._mailbox(box) for box in account.mailboxes]
        forwarders = [{"address": forwarder.address, "to": forwarder.to} for forwarder in account.forwarders]
        return {
            "domains": [*names],
            "mailboxes": self.take(mailboxes, lambda box: mail_names.Mailbox.from_json(box, names)),
            "forwarders": self.take(forwarders, lambda forwarder: mail_names.Forwarder.from_json(forwarder, names)),
        }

    def _mailbox(self, box: Mailbox) -> dict[str, Any]:
        place = boxes.place(box, self.account, self._others, self._cannot)
        quota = boxes.quota(box, self._cannot)
        return {
            "address": box.address,
            "password_hash": box.password_hash,
            **({"place": place} if place else {}),
            **({"quota": quota} if quota else {}),
        }

    def others(self) -> None:
        """What an account file has no place for."""
        account = self.account
        if len(versions := sorted({pool.version for pool in account.pools})) > 1:
            self._cannot(f"PHP of {account.name} runs as the versions {', '.join(versions)}; use one of them.")
        for program in account.programs:
            if program.kind not in CARRIED:
                to_do = (
                    f"give it to the user's own crontab (crontab -u {account.name} -e)"
                    if program.kind == LINE_OF_CRON
                    else "nothing starts it on another server yet"
                )
                self._cannot(f"{program.file} is {program.kind}; {to_do}.")

    def extras(self, tree: Tree) -> list[str]:
        """The extras that are carried, as the judges find; the others are told."""
        account = Account.from_json(self.content)
        described = dict.fromkeys(
            extra.path
            for extra in self.account.extras
            if extra.path not in SHARED and not any(is_below(extra.path, folder) for folder in account.mail_folders)
        )
        places = {path: kind_of(path, Whose.of(account)) for path in described}
        outside = [path for path, kind in places.items() if kind is None]
        if outside:
            more = f" and {len(outside) - _SHOWN} more" if len(outside) > _SHOWN else ""
            self._cannot(f"{', '.join(outside[:_SHOWN])}{more} lie outside of the home and are not carried yet.")
        named = replace(account, extras=tuple(path for path, kind in places.items() if kind is not None))
        carried = extras.carried(named, tree, self._cannot)
        self._of_no_extra({*described}, tree)
        return carried

    def _of_no_extra(self, described: set[str], tree: Tree) -> None:
        """Sites and pools whose file does not go over: it is several accounts', or lies in the home."""
        for part, place in [
            *((f"site {site.names[0] if site.names else ''}", site.place) for site in self.account.sites),
            *((f"pool {pool.name}", pool.place) for pool in self.account.pools),
        ]:
            file = place.rpartition(":")[0]
            if is_below(tree.settled(file), self.account.home):
                self._cannot(f"{file}, which has the {part}, lies in the home; lay it where the host's own files are.")
            elif file not in described:
                self._cannot(
                    f"{file}, which has the {part}, has those of other accounts too; give each a file of its own."
                )

    def _cannot(self, sentence: str, kind: str = "") -> None:
        self._unfit.add(sentence, kind)

    def unfit(self) -> list[str]:
        return self._unfit.sentences()


def with_account_file(account: Discovered, sharing: list[str], others: set[int], tree: Tree) -> Discovered:
    """The same, with its account file as far as that can say it; with none where it cannot say who the account is.
    `sharing`: who else has its group; `others`: the users of the other accounts."""
    if sharing:
        who = ", ".join(sharing[:_SHOWN])
        cannot = f"The group {account.gid} of {account.name} is that of {who} too; give each a group of its own."
        return replace(account, unfit=[printable(cannot), *account.unfit])
    file = _File(account, others)
    try:
        Account.from_json(file.content)
    except Refused as error:
        return replace(account, unfit=[error.message, *account.unfit])
    file.content |= {"sites": file.sites(), "mail": file.mail()}
    for engine, lists in account.databases.items():
        if file.take([{**file.content, engine: lists}], Account.from_json):
            file.content[engine] = lists
    file.others()
    if carried := file.extras(tree):
        file.content["extras"] = carried
    (content,) = file.take([file.content], Account.from_json) or [None]
    return replace(account, account_file=content, unfit=file.unfit())


def _path_of(below: str) -> str:
    """The path whose requests go to a program; all of the site's where it is a pattern, or not a plain one."""
    match = _LOCATION.fullmatch(below)
    path = (match[1].rstrip("/") or "/") if match else "/"
    return path if file_values.may_be_app(path) else "/"
