"""nginx's configuration, taken apart as nginx does."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .directives import Directive
from .tree import Included, Place, Tree

MAIN = "/etc/nginx/nginx.conf"
_FOLDER = "/etc/nginx"
_DEEPEST = 32
_TOKEN = re.compile(
    r"""(?P<space>\s+)|(?P<comment>\#[^\n]*)|(?P<sign>[{};])
    |"(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>(?:[^'\\]|\\.)*)'|(?P<word>(?:\$\{[^}\s]*\}|[^\s;{\\]|\\.)+)|(?P<odd>.)""",
    re.DOTALL | re.VERBOSE,
)
_ESCAPED = re.compile(r"\\([\"'\\ ])")

Token = tuple[int, str, str]
"""The number of its line, its kind (sign, word) and its text."""


def tokens(text: str) -> Iterator[Token]:
    line = 1
    for match in _TOKEN.finditer(text):
        kind, token = match.lastgroup or "", match[0]
        if kind == "sign":
            yield line, "sign", token
        elif kind not in ("space", "comment"):
            yield line, "word", _ESCAPED.sub(r"\1", match[kind])
        line += token.count("\n")


class _Reader:
    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.files: set[str] = set()
        self.included = Included(tree)

    def read(self, path: str, depth: int = 0) -> list[Directive]:
        """What a file says, and what it includes."""
        self.files.add(path)
        text = self.tree.text(path)
        return self._block(path, tokens(text or ""), depth, top=True)

    def _block(self, path: str, given: Iterator[Token], depth: int, top: bool = False) -> list[Directive]:
        """What stands up to the brace that ends it, or to the end of the file."""
        directives: list[Directive] = []
        words: list[str] = []
        first = line = 0
        for line, kind, text in given:
            if kind == "word":
                first = first if words else line
                words.append(text)
            elif text == "}":
                if top or words:
                    self.tree.notes.add(f"{Place(path, line)}: a brace stands here that ends nothing.")
                if not top:
                    return directives
            elif words:
                place = Place(path, first)
                if text == "{" and words[0].endswith("_by_lua_block"):
                    self.tree.notes.add(f"{place}: the program in Lua is not looked at.", "lua")
                    _skip(given)
                elif text == "{":
                    directives += self._section(path, given, words, place, depth)
                else:
                    directives += self._directive(words, place, depth)
                words = []
            elif text == "{":
                _skip(given)
        if words or not top:
            self.tree.notes.add(f"{Place(path, line)}: the file ends in the middle of what it says.")
        return directives

    def _section(
        self, path: str, given: Iterator[Token], words: list[str], place: Place, depth: int
    ) -> list[Directive]:
        if depth > _DEEPEST:
            self.tree.notes.add(f"{place}: blocks and files are nested more than {_DEEPEST} deep.", "deep")
            _skip(given)
            return []
        inside = self._block(path, given, depth + 1)
        return [Directive(words[0].lower(), tuple(words[1:]), place, tuple(inside))]

    def _directive(self, words: list[str], place: Place, depth: int) -> list[Directive]:
        name, args = words[0].lower(), tuple(words[1:])
        if name != "include" or len(args) != 1:
            return [Directive(name, args, place)]
        pattern = args[0] if args[0].startswith("/") else f"{_FOLDER}/{args[0]}"
        paths = self.tree.matching(pattern)
        if not paths and not re.search(r"[*?\[]", pattern):
            self.tree.notes.add(f"{place}: {pattern!r:.200} is included and is not there.")
        directives = []
        for file in paths:
            with self.included.once(file, place) as allowed:
                directives += self.read(file, depth + 1) if allowed else []
        return directives


def _skip(given: Iterator[Token]) -> None:
    """Pass over a block."""
    deep = 1
    for _, kind, text in given:
        deep += (text == "{") - (text == "}") if kind == "sign" else 0
        if not deep:
            return


def read(tree: Tree) -> tuple[tuple[Directive, ...], set[str]]:
    """All that nginx is told on this server, and the files that say it; nothing where there is no nginx."""
    if not tree.is_there(MAIN):
        return (), set()
    reader = _Reader(tree)
    return tuple(reader.read(MAIN)), reader.files
