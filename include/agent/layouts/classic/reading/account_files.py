"""An account that was found, as an account file says it; and what such a file cannot say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ....account import file_values, mail_names
from ....account.accounts import Account
from ....host.digest import printable
from ....host.system import Refused
from ....verbs.discovered import Discovered, Site
from .programs import CARRIED
from .tree import Notes
from .users import is_below

_APP = "app.sock"
_SHOWN = 5


class _File:
    """An account file in the making."""

    def __init__(self, account: Discovered) -> None:
        self.account = account
        self._unfit = Notes()
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
        plain = [name for name in site.names if not name.startswith("*.")]
        called = printable(plain[0] if plain else (site.names or [site.place])[0])
        for name in site.names:
            if name.startswith("*."):
                self._cannot(f"The site {called} answers to every name of {name}; list those that are used.")
        if not plain:
            self._cannot(f"The site {called} of {site.place} has no plain name of its own; give it one.")
            return None
        if not site.root and not site.behind:
            self._cannot(f"The site {called} of {site.place} only leads elsewhere; that is not carried yet.")
            return None
        file: dict[str, Any] = {"domain": plain[0], "aliases": plain[1:]}
        for answered in site.behind:
            below, _, where = answered.rpartition(" at ")
            if where == f"http {self.account.home}/{_APP}" and "app" not in file:
                file["app"] = below
            else:
                self._cannot(
                    f"The site {called} passes {answered} on; a program is only reached at {self.account.home}/{_APP}."
                )
        if site.root:
            if not is_below(site.root, self.account.home) or site.root == self.account.home:
                where = "is the home itself" if site.root == self.account.home else f"is not below {self.account.home}"
                self._cannot(f"The folder {site.root} of the site {called} {where}; move it below the home.")
                return None
            file["root"] = site.root[len(self.account.home) + 1 :]
        return file

    def mail(self) -> dict[str, Any]:
        account = self.account
        names = tuple(self.take(account.mail_domains, file_values.domain))
        boxes = [{"address": box.address, "password_hash": box.password_hash} for box in account.mailboxes]
        forwarders = [{"address": forwarder.address, "to": forwarder.to} for forwarder in account.forwarders]
        for box in account.mailboxes:
            local, _, domain = box.address.partition("@")
            usual = f"{account.home}/mail/{domain}/{local}"
            if box.folder and not is_below(box.folder.partition(":")[2] or box.folder, usual):
                self._cannot(
                    f"The messages of {box.address} lie in {box.folder}, not in {usual}/Maildir; move them.", "folder"
                )
            if box.owner is not None and box.owner != account.uid:
                self._cannot(
                    f"The messages of {box.address} belong to the user {box.owner}, not to {account.name}.", "owner"
                )
            if box.quota:
                self._cannot(f"The mailbox {box.address} has a quota ({box.quota}); that is not carried yet.", "quota")
        return {
            "domains": [*names],
            "mailboxes": self.take(boxes, lambda box: mail_names.Mailbox.from_json(box, names)),
            "forwarders": self.take(forwarders, lambda forwarder: mail_names.Forwarder.from_json(forwarder, names)),
        }

    def others(self) -> None:
        """What an account file has no place for."""
        account = self.account
        if len(versions := sorted({pool.version for pool in account.pools})) > 1:
            self._cannot(f"PHP of {account.name} runs as the versions {', '.join(versions)}; use one of them.")
        for program in account.programs:
            if program.kind not in CARRIED:
                self._cannot(f"{program.file} is {program.kind}; nothing starts it on another server yet.")
        outside = [extra.path for extra in account.extras]
        if outside:
            more = f" and {len(outside) - _SHOWN} more" if len(outside) > _SHOWN else ""
            self._cannot(f"{', '.join(outside[:_SHOWN])}{more} lie outside of the home and are not carried yet.")

    def _cannot(self, sentence: str, kind: str = "") -> None:
        self._unfit.add(sentence, kind)

    def unfit(self) -> list[str]:
        return self._unfit.sentences()


def with_account_file(account: Discovered, sharing: list[str]) -> Discovered:
    """The same, with its account file as far as that can say it; with none where it cannot say who the account is.
    `sharing`: who else has its group."""
    if sharing:
        who = ", ".join(sharing[:_SHOWN])
        cannot = f"The group {account.gid} of {account.name} is that of {who} too; give each a group of its own."
        return replace(account, unfit=[printable(cannot)])
    file = _File(account)
    try:
        Account.from_json(file.content)
    except Refused as error:
        return replace(account, unfit=[error.message])
    file.content |= {"sites": file.sites(), "mail": file.mail()}
    for engine, lists in account.databases.items():
        if file.take([{**file.content, engine: lists}], Account.from_json):
            file.content[engine] = lists
    file.others()
    (content,) = file.take([file.content], Account.from_json) or [None]
    return replace(account, account_file=content, unfit=file.unfit())
