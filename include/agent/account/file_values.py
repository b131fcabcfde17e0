"""What an account file may hold, value by value; the first thing wrong is refused in one sentence."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NoReturn

from ..host.digest import printable
from ..host.homes import may_be_home
from ..host.ours import PREFIX
from ..host.system import refuse

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
DOMAIN = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})+")
_ROOT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*){0,15}")
_SHELL = re.compile(r"/(usr/(local/)?)?s?bin/[A-Za-z0-9_][A-Za-z0-9_.+-]{0,60}")
_EXTRA = re.compile(r"(?=.{1,1000}\Z)(/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._@+%:=-]{1,255}){2,12}")
_APP = re.compile(r"/|(/[A-Za-z0-9_][A-Za-z0-9_.-]*){1,8}")


@dataclass(frozen=True)
class Site:
    """A site: its domain, the further names it answers to (*.name: all below that one), and its document root relative
    to the home; None where the web server's own file of the site, one of the account's extras, says what is shown.

    Requests for `app` and what is below it go to a program of the account's own that listens at ~/app.sock; "/" is the
    whole site.
    """

    domain: str
    aliases: tuple[str, ...]
    root: str | None
    app: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names it has one by one."""
        return tuple(name for name in (self.domain, *self.aliases) if not is_wildcard(name))

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


def truth(value: Any, label: str) -> bool:
    if not isinstance(value, bool):
        bad(f"{label} must be true or false.")
    return value


def is_number(value: int) -> bool:
    """Whether a person may have it as uid or gid: Debian gives out those between for services, some while they run."""
    return 1000 <= value < 60000 or 65536 <= value < 1 << 31


def identifier(value: Any, label: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not is_number(value):
        bad(f"The {label} must be a number from 1000 to 59999 or from 65536 on, not {value!r}.")
    return value


def shell(value: Any) -> str:
    if not isinstance(value, str) or not _SHELL.fullmatch(value):
        bad(f"The shell {value!r} must be a program in one of the system's folders, such as /bin/bash.")
    return value


def home(value: Any) -> str:
    if not isinstance(value, str) or not may_be_home(value):
        bad(
            f"The home {value!r} must be a plain path such as /home/name or /var/www/clients/name, in no folder of the"
            " operating system's."
        )
    return value


def domain(value: Any) -> str:
    if not isinstance(value, str) or not DOMAIN.fullmatch(value):
        bad(f"{value!r} is no host name; give it in lower case, international names in their xn-- form.")
    return value


def is_wildcard(name: str) -> bool:
    """Whether it stands for all names below another."""
    return name.startswith("*.")


def alias(value: Any) -> str:
    if isinstance(value, str) and is_wildcard(value):
        return f"*.{domain(value[2:])}"
    return domain(value)


def site(item: Any) -> Site:
    item = mapping(item, "A site", ("domain", "aliases", "root", "app"))
    root = item.get("root", "public_html")
    if root is not None and (not isinstance(root, str) or not _ROOT.fullmatch(root)):
        bad(
            f"The document root {root!r} must be a plain path below the home, such as public_html, or null where the"
            " web server's own file of the site says it."
        )
    app = item.get("app")
    if app is not None and (not isinstance(app, str) or not may_be_app(app)):
        bad(f"The path {app!r} of the app must be a plain one that begins with /, such as /live.")
    return Site(domain(item.get("domain")), all_of(item.get("aliases", []), "aliases", alias), root, app)


def may_be_app(path: str) -> bool:
    return _APP.fullmatch(path) is not None


def extra(value: Any) -> str:
    if not isinstance(value, str) or not _EXTRA.fullmatch(value):
        bad(
            f"The extra {value!r} must be the plain path of one of the host's own files, such as"
            " /etc/apache2/sites-available/shop.example.conf."
        )
    return value


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
