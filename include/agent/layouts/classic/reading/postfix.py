"""What Postfix is told of virtual domains: which there are, their mailboxes, and where mail goes on to."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ....host.digest import printable
from ....host.system import CONFIG
from .asking import KEY, Answer, Database, for_all
from .tree import Place, Tree

MAIN = "/etc/postfix/main.cf"
_FOLDER = "/etc/postfix"
_INDEXED = ("hash", "btree", "lmdb", "cdb", "dbm", "texthash")
_SQL = ("mysql", "pgsql", "sqlite")
_NAME = re.compile(r"\$(?:\{(\w+)\}|\((\w+)\)|(\w+))")
_OURS = re.compile(rf"!?texthash:{CONFIG}/mail/\w+(?:,\s*|\s+|\Z)")
"""What a server that is prepared looks at before its own tables (`led_postfix`)."""
_DEEPEST = 32
_LONGEST = 1_000_000
_NOT_CARRIED = (
    *("transport_maps", "relay_domains", "recipient_bcc_maps", "sender_bcc_maps", "canonical_maps", "luser_relay"),
    *("recipient_canonical_maps", "sender_canonical_maps", "relocated_maps", "sender_dependent_relayhost_maps"),
)
_SQL_HOSTS = {"mysql": "localhost", "pgsql": "/run/postgresql", "sqlite": ""}


@dataclass
class Postfix:
    """`aliases`: for each address (or @domain) where its mail goes; `boxes`: the addresses of mailboxes, with what the
    table says of each."""

    domains: list[str] = field(default_factory=list)
    boxes: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, list[str]] = field(default_factory=dict)
    owners: str = ""
    """The number of the user that mailboxes belong to, where it is one for all."""
    base: str = ""
    files: list[str] = field(default_factory=list)
    """What it looks things up in."""


def read(tree: Tree, ask: Answer) -> Postfix:
    """Of this server; nothing where there is no Postfix."""
    if not tree.is_there(MAIN):
        return Postfix()
    settings = _Settings(tree, ask)
    postfix = Postfix(base=settings.value("virtual_mailbox_base"))
    domains = {
        **settings.table("virtual_mailbox_domains"),
        **settings.table("virtual_alias_domains", "virtual_alias_maps"),
    }
    postfix.boxes = settings.table("virtual_mailbox_maps")
    maps = settings.table("virtual_alias_maps")
    # A table of aliases may name the domain itself, with anything behind it.
    postfix.aliases = {key: _addresses(value) for key, value in maps.items() if "@" in key}
    postfix.domains = sorted({name for name in domains if "@" not in name and "." in name})
    owners = settings.value("virtual_uid_maps")
    postfix.owners = owners.removeprefix("static:") if owners.startswith("static:") else ""
    postfix.files = settings.files
    settings.note_the_rest()
    return postfix


def _addresses(text: str) -> list[str]:
    return [word for word in re.split(r"[\s,]+", text) if word]


class _Settings:
    def __init__(self, tree: Tree, ask: Answer) -> None:
        self.tree, self.ask = tree, ask
        self.files: list[str] = []
        self._values: dict[str, str] = {}
        self._deep = 0
        self.given: dict[str, tuple[str, Place]] = {}
        for number, line in logical_lines(tree.lines(MAIN)):
            name, sign, value = line.partition("=")
            if sign:
                self.given[name.strip()] = (_OURS.sub("", value).strip(), Place(MAIN, number))

    def value(self, name: str) -> str:
        """A setting with what the names in it stand for; one that stands for itself is empty."""
        if name not in self._values:
            self._values[name] = ""
            text = self.given[name][0] if name in self.given and self._deep < _DEEPEST else ""
            self._deep += 1
            self._values[name] = self._resolved(text)
            self._deep -= 1
        return self._values[name]

    def _resolved(self, text: str) -> str:
        resolved, at = "", 0
        for match in _NAME.finditer(text):
            if len(resolved) > _LONGEST:
                break
            resolved += text[at : match.start()] + self.value(match[1] or match[2] or match[3])
            at = match.end()
        return (resolved + text[at:])[:_LONGEST]

    def table(self, name: str, usual: str = "") -> dict[str, str]:
        """All that a setting's lists and tables say, by what is looked up."""
        rows: dict[str, str] = {}
        place = self.given[name][1] if name in self.given else Place(MAIN, 0)
        for word in _addresses(self.value(name)) if name in self.given else []:
            for key, value in self._rows(word.removeprefix("proxy:"), place).items():
                rows.setdefault(key.lower(), value)
        return rows

    def _rows(self, word: str, place: Place) -> dict[str, str]:
        kind, colon, path = word.partition(":")
        if not colon:
            return (
                {line: "" for line in self.tree.lines(word) if line[:1] not in ("", "#")}
                if word[:1] == "/"
                else {word: ""}
            )
        if kind in ("static", "inline", "unix"):
            path = ""
        self.files += [path] if path else []
        rows: dict[str, str] | None = None
        if kind in _INDEXED and path:
            rows = self._indexed(kind, path)
        elif kind in _SQL and path:
            rows = self._of_sql(kind, path, place)
        if rows is None:
            self.tree.notes.add(
                f"{place}: the table {printable(word)} is not understood; use one of {', '.join(_INDEXED)}."
            )
        return rows or {}

    def _indexed(self, kind: str, path: str) -> dict[str, str] | None:
        """As postmap lists it, or as its text says."""
        listing = self.ask(["postmap", "-s", f"{kind}:{path}"])
        if listing is None:
            if not self.tree.is_there(path):
                return None
            listing = "\n".join(line for _, line in logical_lines(self.tree.lines(path)))
        rows = (line.split(None, 1) for line in listing.splitlines())
        return {row[0].lower(): row[1].strip() if len(row) > 1 else "" for row in rows if row}

    def _of_sql(self, kind: str, path: str, place: Place) -> dict[str, str] | None:
        settings = {
            name.strip(): value.strip()
            for _, line in logical_lines(self.tree.lines(path))
            for name, _, value in [line.partition("=")]
        }
        query = settings.get("query") or _query_of_old(settings)
        turned = for_all(query, kind, whole_user=False)
        if not turned:
            self.tree.notes.add(
                f"{path}: the query {printable(query)} cannot be asked for all; write it as column = '%s'."
            )
            return {}
        host = settings.get("hosts", _SQL_HOSTS[kind]).split()[:1] or [""]
        where = host[0].removeprefix("unix:").removeprefix("inet:")
        name = settings.get("dbname", settings.get("dbpath", ""))
        database = Database(kind, name, settings.get("user", ""), settings.get("password", ""), where)
        rows = database.rows(turned, self.tree, self.ask)
        if rows is None:
            self.tree.notes.add(f"{path}: its database does not answer; look at it and try again.")
            return {}
        return _joined(rows)

    def note_the_rest(self) -> None:
        """What Postfix does with mail that no account has a place for."""
        for name in _NOT_CARRIED:
            if self.value(name):
                self.tree.notes.add(f"{self.given[name][1]}: what {name} does to mail belongs to no account.")
        local = {*_addresses(self.value("mydestination"))} - {"localhost", self.value("myhostname")}
        if own := sorted(name for name in local if not name.startswith("localhost.") and "." in name):
            place = self.given["mydestination"][1]
            self.tree.notes.add(
                f"{place}: mail for {', '.join(own[:5])} goes to Unix users' own mailboxes; that is not understood."
            )


def _joined(rows: list[dict[str, str]]) -> dict[str, str]:
    """All values of a key, as Postfix joins them."""
    values: dict[str, str] = {}
    for row in rows:
        key, value = row.get(KEY, "").lower(), next((row[name] for name in row if name != KEY), "")
        values[key] = f"{values[key]},{value}" if key in values else value
    return values


def _query_of_old(settings: dict[str, str]) -> str:
    """The query that Postfix makes of a table's older form."""
    names = [settings.get(name, "") for name in ("select_field", "table", "where_field")]
    more = settings.get("additional_conditions", "")
    return f"SELECT {names[0]} FROM {names[1]} WHERE {names[2]} = '%s' {more}" if all(names) else ""


def logical_lines(lines: list[str]) -> list[tuple[int, str]]:
    """The lines of one of Postfix's files with their numbers: one that begins with a space goes on with the last."""
    logical: list[tuple[int, str]] = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line[0] in " \t" and logical:
            logical[-1] = (logical[-1][0], f"{logical[-1][1]} {line.strip()}")
        else:
            logical.append((number, line.strip()))
    return logical
