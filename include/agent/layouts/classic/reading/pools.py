"""php-fpm's pools, of as many versions as there are."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from .tree import Place, Tree

_MAINS = "/etc/php/*/fpm/php-fpm.conf"
_UNITS = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
_DEEPEST = 8
_OWN_CONFIG = re.compile(r"--fpm-config[= ](\S+)|\s-y[= ]?(\S+)")


@dataclass(frozen=True)
class Pool:
    """`listen`: the path of its socket, or its address."""

    name: str
    user: str
    group: str
    listen: str
    version: str
    place: Place
    settings: dict[str, str] = field(hash=False)


def read(tree: Tree) -> list[Pool]:
    """The pools of every php-fpm that Debian's packages or a unit of systemd's run."""
    pools: list[Pool] = []
    for main in dict.fromkeys([*tree.matching(_MAINS), *_of_units(tree)]):
        parser = _Parser(tree, _version(main))
        parser.read(main)
        pools += parser.pools()
    return pools


def _version(main: str) -> str:
    """The version of PHP whose configuration lies there; empty where the path does not tell."""
    numbers = re.search(r"/(?:php[/-]?)?(\d\.\d{1,2})(?=[/.])", main)
    return numbers[1] if numbers else ""


def _of_units(tree: Tree) -> list[str]:
    """The configurations that units name themselves, such as those of a PHP that the host built."""
    paths = []
    for folder in _UNITS:
        for name in tree.names(folder):
            if "php" not in name or not name.endswith(".service"):
                continue
            for line in tree.lines(f"{folder}/{name}"):
                match = _OWN_CONFIG.search(line) if line.startswith("ExecStart=") else None
                if match:
                    path = (match[1] or match[2]).strip("\"'")
                    paths += [path] if tree.is_there(path) else []
    return paths


class _Parser:
    def __init__(self, tree: Tree, version: str) -> None:
        self.tree, self.version = tree, version
        self.sections: dict[str, tuple[Place, dict[str, str]]] = {}
        self.section = "global"

    def read(self, path: str, depth: int = 0) -> None:
        for number, line in enumerate(self.tree.lines(path), 1):
            line = line.strip()
            if not line or line[0] in ";#":
                continue
            place = Place(path, number)
            if line.startswith("["):
                self.section = line[1:].partition("]")[0].strip()
                self.sections.setdefault(self.section, (place, {}))
                continue
            key, sign, value = line.partition("=")
            key, value = key.strip(), _value(value)
            if not sign:
                self.tree.notes.add(f"{place}: {line!r:.80} is no setting of php-fpm's.")
            elif key == "include" and depth < _DEEPEST:
                for file in self.tree.matching(value):
                    self.read(file, depth + 1)
            else:
                self.sections.setdefault(self.section, (place, {}))[1][key] = value

    def pools(self) -> list[Pool]:
        pools = []
        for name, (place, given) in self.sections.items():
            if name == "global":
                continue
            settings = {key: value.replace("$pool", name) for key, value in given.items()}
            user, listen = settings.get("user", ""), settings.get("listen", "")
            if listen and not listen.startswith("/") and "/" in listen:
                listen = f"{settings.get('prefix', '').rstrip('/')}/{listen}"
            if not listen:
                self.tree.notes.add(f"{place}: the pool {name!r:.80} listens nowhere.")
                continue
            pools.append(Pool(name, user, settings.get("group", ""), listen, self.version, place, settings))
        return pools


def _value(text: str) -> str:
    """What stands behind the sign, without its quotes and without a comment."""
    text = text.strip()
    if text[:1] in ("'", '"'):
        return text[1:].partition(text[0])[0]
    return text.partition(";")[0].strip()
