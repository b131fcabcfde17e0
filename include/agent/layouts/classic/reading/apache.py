"""Apache's configuration, taken apart as Apache does: what it includes, defines and has modules for."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .directives import Directive
from .tree import Included, Place, Tree

MAIN = "/etc/apache2/apache2.conf"
_ENVIRONMENT = "/etc/apache2/envvars"
_DEEPEST = 32
_BUILT_IN = {"core.c", "http_core.c", "mod_so.c", "mod_watchdog.c", "mod_log_config.c", "mod_logio.c", "mod_unixd.c"}
_VERSION = (2, 4)
_SIGNS = ("=", "==", ">", ">=", "<", "<=")
_CONDITIONS = ("<ifmodule", "<ifdefine", "<ifversion", "<iffile")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_WORD = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"?|'((?:[^'\\]|\\.)*)'?|(\S+))""", re.DOTALL)


def words(text: str) -> tuple[str, ...]:
    """The arguments of a directive: each is a word, or stands in quotes."""
    arguments = []
    for double, single, bare in _WORD.findall(text.strip()):
        arguments.append(re.sub(r"\\([\"'\\])", r"\1", double or single) if not bare else bare)
    return tuple(arguments)


def logical_lines(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Each line with its number, those that a backslash continues as one; a comment's too."""
    whole: list[str] = []
    for number, line in enumerate(lines, 1):
        continued = line.endswith("\\")
        whole.append(line[:-1] if continued else line)
        if not continued:
            yield number - len(whole) + 1, "".join(whole).strip()
            whole = []
    if whole:
        yield len(lines) - len(whole) + 1, "".join(whole).strip()


def _skip(lines: Iterator[tuple[int, str]]) -> None:
    """Pass over a section."""
    deep = 1
    for _, line in lines:
        deep += line.startswith("<") - 2 * line.startswith("</")
        if not deep:
            return


class _Reader:
    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.root = "/etc/apache2"
        self.defined = _environment(tree)
        self.modules = {*_BUILT_IN}
        self.files: set[str] = set()
        self.included = Included(tree)

    def read(self, path: str, depth: int = 0) -> list[Directive]:
        """What a file says, and what it includes."""
        self.files.add(path)
        return self._block(path, logical_lines(self.tree.lines(path)), None, depth)

    def _block(self, path: str, lines: Iterator[tuple[int, str]], closing: str | None, depth: int) -> list[Directive]:
        """What stands in a section, up to its end."""
        directives: list[Directive] = []
        number = 0
        for number, line in lines:
            if not line or line.startswith("#"):
                continue
            name, _, rest = line.partition(" ") if " " in line else line.partition("\t")
            name, place = name.lower(), Place(path, number)
            if name.startswith("</"):
                if name.rstrip(">") == closing:
                    return directives
                self.tree.notes.add(f"{place}: {line!r:.80} ends a section that was not begun.")
                continue
            if name.startswith("<"):
                name, rest = name.rstrip(">"), rest.rstrip().removesuffix(">")
            if name.startswith("<"):
                directives += self._section(name, rest, place, lines, depth)
            else:
                directives += self._directive(name, rest, place, depth)
        if closing:
            self.tree.notes.add(f"{Place(path, number)}: the section {closing[2:]!r:.80} has no end.")
        return directives

    def _section(
        self, name: str, rest: str, place: Place, lines: Iterator[tuple[int, str]], depth: int
    ) -> list[Directive]:
        args = words(self._resolved(rest))
        if depth > _DEEPEST:
            self.tree.notes.add(f"{place}: sections and files are nested more than {_DEEPEST} deep.", "deep")
        if depth > _DEEPEST or name == "<macro" or (name in _CONDITIONS and not self._is_met(name, args, place)):
            _skip(lines)
            return []
        inside = self._block(place.file, lines, "</" + name[1:], depth + 1)
        return inside if name in _CONDITIONS else [Directive(name, args, place, tuple(inside))]

    def _is_met(self, name: str, args: tuple[str, ...], place: Place) -> bool:
        first = args[0] if args else ""
        expected, subject = not first.startswith("!"), first.removeprefix("!")
        if name == "<ifmodule":
            return (subject in self.modules) == expected
        if name == "<ifdefine":
            return (subject in self.defined) == expected
        if name == "<iffile":
            return self.tree.is_there(self._path(subject)) == expected
        return self._is_version(args, place)

    def _is_version(self, args: tuple[str, ...], place: Place) -> bool:
        sign, number = args if len(args) == 2 else ("=", args[0] if args else "")
        if not re.fullmatch(r"\d{1,3}(\.\d{1,3}){0,2}", number) or sign.lstrip("!") not in _SIGNS:
            self.tree.notes.add(f"{place}: the condition on Apache's version is not understood; it is taken as met.")
            return True
        asked = tuple(int(part) for part in number.split("."))[:2]
        so = {
            "=": asked == _VERSION,
            "==": asked == _VERSION,
            ">": _VERSION > asked,
            ">=": _VERSION >= asked,
            "<": _VERSION < asked,
            "<=": _VERSION <= asked,
        }[sign.lstrip("!")]
        return so != sign.startswith("!")

    def _directive(self, name: str, rest: str, place: Place, depth: int) -> list[Directive]:
        args = words(self._resolved(rest))
        first = args[0] if args else ""
        if name in ("include", "includeoptional"):
            return self._included(first, place, depth, optional=name == "includeoptional")
        if name == "define":
            self.defined[first] = args[1] if len(args) > 1 else ""
        elif name == "undefine":
            self.defined.pop(first, None)
        elif name == "loadmodule" and len(args) > 1:
            file = args[1].rpartition("/")[2].removesuffix(".so")
            self.modules |= {first, f"{file}.c", f"mod_{first.removesuffix('_module')}.c"}
        elif name == "serverroot":
            self.root = first
        return [Directive(name, args, place)]

    def _included(self, pattern: str, place: Place, depth: int, optional: bool) -> list[Directive]:
        paths = self.tree.matching(self._path(pattern))
        if not paths and not optional:
            self.tree.notes.add(f"{place}: {pattern!r:.200} is included and is not there.")
        directives = []
        for path in paths:
            for file in self._files_of(path):
                with self.included.once(file, place) as allowed:
                    directives += self.read(file, depth + 1) if allowed else []
        return directives

    def _files_of(self, path: str, depth: int = 0) -> list[str]:
        """The file, or all below the folder."""
        if depth > _DEEPEST or not self.tree.is_folder(path):
            return [path]
        path = path.rstrip("/")
        return [file for name in self.tree.names(path) for file in self._files_of(f"{path}/{name}", depth + 1)]

    def _path(self, path: str) -> str:
        return path if path.startswith("/") else f"{self.root}/{path}"

    def _resolved(self, text: str) -> str:
        """With what the names in ${} stand for."""
        return _VARIABLE.sub(lambda match: self.defined.get(match[1], match[0]), text)


def _environment(tree: Tree) -> dict[str, str]:
    """The variables that Debian's start of Apache sets, as far as they are plain."""
    variables = {"SUFFIX": ""}
    for line in tree.lines(_ENVIRONMENT):
        if match := re.match(r"\s*(?:export\s+)?([A-Z_]+)=(['\"]?)([\w./$-]*)\2\s*$", line):
            value = re.sub(r"\$(\w+)", lambda name: variables.get(name[1], ""), match[3])
            variables[match[1]] = value
    return variables


def read(tree: Tree) -> tuple[tuple[Directive, ...], set[str]]:
    """All that Apache is told on this server, and the files that say it; nothing where there is no Apache."""
    if not tree.is_there(MAIN):
        return (), set()
    reader = _Reader(tree)
    return tuple(reader.read(MAIN)), reader.files
