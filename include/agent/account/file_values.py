"""What an account file may hold, value by value; the first thing wrong is refused in one sentence."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NoReturn

from ..host.digest import printable
from ..host.ours import PREFIX
from ..host.system import refuse

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
DOMAIN = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})+")
_ROOT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*){0,15}")
_APP = re.compile(r"(/[A-Za-z0-9_][A-Za-z0-9_.-]*){1,8}")


@dataclass(frozen=True)
class Site:
    """A site: its domain, the further names it answers to, and its document root relative to the home.

    Requests for `app` and what is below it go to a program of the account's own that listens at ~/app.sock.
    """

    domain: str
    aliases: tuple[str, ...]
    root: str
    app: str | None = None

    def to_json(self) -> dict[str, Any]:
        more = {"app": self.app} if self.app else {}
        return {"domain": self.domain, "aliases": list(self.aliases), "root": self.root, **more}


def bad(sentence: str) -> NoReturn:
    refuse("bad_account_file", sentence)


def mapping(value: Any, label: str, keys: Collection[str]) -> dict[str, Any]:
    """An object with some of these keys. Any other is refused: whoever wrote it meant something that would be lost."""
    if not isinstance(value, dict):
        bad(f"{label} must be a JSON object.")
    for key in value:
        if key not in keys:
            bad(
                f"{label} has the key {printable(f'{key!r:.80}')}, which this agent does not know and would lose; take"
                f" it out, or correct it to one of {', '.join(keys)}."
            )
    return value


def all_of(value: Any, label: str, check: Any) -> tuple[Any, ...]:
    if not isinstance(value, list):
        bad(f"{label} must be a list.")
    return tuple(check(item) for item in value)


def identifier(value: Any, label: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1000 <= value < 60000:
        bad(f"The {label} must be a number from 1000 to 59999, not {value!r}.")
    return value


def domain(value: Any) -> str:
    if not isinstance(value, str) or not DOMAIN.fullmatch(value):
        bad(f"{value!r} is no host name; give it in lower case, international names in their xn-- form.")
    return value


def site(item: Any) -> Site:
    item = mapping(item, "A site", ("domain", "aliases", "root", "app"))
    root = item.get("root", "public_html")
    if not isinstance(root, str) or not _ROOT.fullmatch(root):
        bad(f"The document root {root!r} must be a plain path below the home, such as public_html.")
    app = item.get("app")
    if app is not None and (not isinstance(app, str) or not _APP.fullmatch(app)):
        bad(f"The path {app!r} of the app must be a plain one that begins with /, such as /live.")
    return Site(domain(item.get("domain")), all_of(item.get("aliases", []), "aliases", domain), root, app)


def ports(value: Any, protocols: tuple[str, ...], allowed: range) -> dict[str, int]:
    for protocol, port in mapping(value, "ports", protocols).items():
        if not isinstance(port, int) or isinstance(port, bool) or port not in allowed:
            bad(f"The port for {protocol} must be from {allowed[0]} to {allowed[-1]}, not {port!r}.")
    if len({*value.values()}) < len(value):
        bad("The account file gives one port to two protocols; give each its own.")
    return dict(sorted(value.items()))


def text(value: Any, label: str, longest: int) -> str:
    if not isinstance(value, str) or not value or "\0" in value or len(value.encode()) > longest:
        bad(f"The {label} {value!r} must be text of 1 to {longest} bytes.")
    return value


def own_name(value: Any, label: str, longest: int) -> str:
    """A name that an account may have in an engine: any text, but for the names that the agent takes for itself."""
    name = text(value, label, longest)
    if name.lower().startswith(PREFIX):
        bad(f"The {label} {name!r} begins with {PREFIX}, as those of the agent do; rename it.")
    return name
