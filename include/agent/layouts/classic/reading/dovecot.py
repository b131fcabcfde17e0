"""What Dovecot is told of mailboxes: their passwords, and where the messages lie."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ....host.system import CONFIG
from .asking import KEY, Answer, Database, for_all
from .tree import Included, Place, Tree
from .users import User, is_number

MAIN = "/etc/dovecot/dovecot.conf"
_BLOCK = re.compile(r"([\w_]+)(?:\s+(\S+?))?\s*\{")
_BATCH = 200
_PARTS = re.compile(r"%(?:([0-9.]*)([LU]?)([undh])|\{(\w+)((?:\s*\|\s*\w+)*)\})")


@dataclass
class Box:
    """`owner`: the number of the user that the messages belong to."""

    address: str
    password_hash: str = ""
    home: str = ""
    folder: str = ""
    owner: int | None = None
    quota: str = ""


@dataclass
class _Block:
    name: str
    settings: dict[str, str] = field(default_factory=dict)
    inside: list[_Block] = field(default_factory=list)


def read(tree: Tree, ask: Answer, addresses: list[str], users: dict[str, User]) -> dict[str, Box]:
    """The mailboxes of this server by address: those that Dovecot lists, and those that are known already."""
    if not tree.is_there(MAIN):
        return {}
    output = ask(["doveconf", "-nP"])
    main = _Block("")
    _Parser(tree).read(main, output.split("\n") if output is not None else tree.lines(MAIN), MAIN)
    reader = _Reader(tree, ask, main, users)
    for block in main.inside:
        if block.name.partition(" ")[0] in ("passdb", "userdb"):
            reader.take(block)
    boxes = {address: box for address, box in reader.boxes.items() if "@" in address}
    for address in addresses:
        boxes.setdefault(address, Box(address))
    for box in boxes.values():
        reader.complete(box)
    reader.ask_doveadm(boxes)
    return boxes


class _Parser:
    """The blocks and settings of Dovecot's files, and of what doveconf prints."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.included = Included(tree)

    def read(self, into: _Block, lines: list[str], path: str) -> None:
        stack = [into]
        for number, line in enumerate(lines, 1):
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            if line.startswith("!include"):
                self._include(stack[-1], line.split(None, 1)[1:], Place(path, number))
            elif line.startswith("}"):
                stack = stack[:-1] or stack
            elif match := _BLOCK.fullmatch(line.split(" #")[0].strip()):
                block = _Block(f"{match[1]} {match[2] or ''}".strip())
                stack[-1].inside.append(block)
                stack.append(block)
            elif "=" in line:
                name, _, value = line.partition("=")
                stack[-1].settings[name.strip()] = re.sub(r"\s+#.*$", "", value.strip()[:4000]).strip('"')

    def _include(self, into: _Block, words: list[str], place: Place) -> None:
        for pattern in words:
            full = pattern if pattern.startswith("/") else f"{place.file.rpartition('/')[0]}/{pattern}"
            for file in self.tree.matching(full):
                with self.included.once(file, place) as allowed:
                    if allowed:
                        self.read(into, self.tree.lines(file), file)


class _Reader:
    def __init__(self, tree: Tree, ask: Answer, main: _Block, users: dict[str, User]) -> None:
        self.tree, self.ask, self.main, self.users = tree, ask, main, users
        self.boxes: dict[str, Box] = {}
        self.usual: dict[str, str] = {}
        """What a static userdb says of every mailbox."""
        location = main.settings.get("mail_location", "")
        self.location = location or (
            f"{main.settings.get('mail_driver', 'maildir')}:{main.settings['mail_path']}"
            if "mail_path" in main.settings
            else ""
        )

    def take(self, block: _Block) -> None:
        section, _, driver = block.name.partition(" ")
        driver = block.settings.get("driver", driver)
        args = block.settings.get("args", "")
        if f"{CONFIG}/mail/" in block.settings.get("passwd_file_path", args):
            return  # what a server that is prepared asks first (`led_dovecot`)
        if driver == "passwd-file":
            path = block.settings.get("passwd_file_path") or (args.split() or [""])[-1]
            scheme = re.search(r"(?:^|\s)scheme=(\S+)", args)
            usual = scheme[1] if scheme else block.settings.get("default_password_scheme", "")
            given, fixed = (_words(block.settings.get(name, "")) for name in ("default_fields", "override_fields"))
            self._passwd_file(path, section, usual, given, fixed)
        elif driver == "sql":
            self._sql(block, section)
        elif driver == "static":
            self.usual |= _words(args) | {
                name: value
                for inner in block.inside
                if inner.name == "fields"
                for name, value in inner.settings.items()
            }
        elif driver not in ("prefetch", "pam", "passwd"):
            self.tree.notes.add(f"Dovecot's {section} {driver!r:.60} is not understood; use files or SQL.")

    def _box(self, address: str) -> Box:
        return self.boxes.setdefault(address.lower(), Box(address.lower()))

    def _passwd_file(self, path: str, section: str, scheme: str, given: dict[str, str], fixed: dict[str, str]) -> None:
        """`given` and `fixed`: what counts where the file says nothing, and what counts whatever it says."""
        path = path.partition(":")[2] if re.match(r"\w+:/", path) else path
        if "%" in path:
            self.tree.notes.add(
                f"Dovecot's {section} {path!r:.120} is another file for each domain; that is not understood."
            )
            return
        if not self.tree.is_there(path):
            self.tree.notes.add(f"Dovecot's {section} {path!r:.120} is not there.")
        for line in self.tree.lines(path):
            fields = line.split(":", 7)
            if not fields[0] or line.startswith("#") or len(fields) < 2:
                continue
            box = self._box(fields[0].replace("\\'", "'"))  # as Dovecot has it looked up
            fields += [""] * (8 - len(fields))
            if section == "passdb" and fields[1]:
                box.password_hash = _with_scheme(fields[1], scheme)
            extra = _words(fields[7])
            row = {"uid": fields[2], "home": fields[5]} if section == "userdb" else {}
            filled = {name: value for name, value in row.items() if value}
            self._set(
                box,
                {**given, **filled, **{name.removeprefix("userdb_"): value for name, value in extra.items()}, **fixed},
            )

    def _sql(self, block: _Block, section: str) -> None:
        path = block.settings.get("args", "")
        settings = _settings(self.tree.lines(path)) if path else {}
        kind = settings.get("driver", self.main.settings.get("sql_driver", "mysql"))
        query = settings.get("password_query" if section == "passdb" else "user_query", "")
        scheme = settings.get("default_pass_scheme", "")
        database = _database(kind, settings.get("connect", ""))
        if "query" in block.settings:  # as of 2.4 it stands with all else
            path, query = MAIN, _of_old(block.settings["query"])
            scheme = block.settings.get("default_password_scheme", "")
            database = self._database_of_all(kind)
        if not query:
            self.tree.notes.add(
                f"Dovecot's {section} from SQL ({path!r:.120}) is not understood; put it into a file of its own."
            )
            return
        turned = for_all(query, kind, whole_user=True)
        if not turned:
            self.tree.notes.add(f"{path}: the query {query!r:.300} cannot be asked for all; write it as column = '%u'.")
            return
        rows = database.rows(turned, self.tree, self.ask)
        if rows is None:
            self.tree.notes.add(f"{path}: its database does not answer; look at it and try again.")
            return
        for row in rows:
            box = self._box(row.get(KEY, ""))
            if section == "passdb":
                box.password_hash = _with_scheme(row.get("password", ""), scheme)
                row = {name.removeprefix("userdb_"): value for name, value in row.items() if name.startswith("userdb_")}
            self._set(box, row)

    def _database_of_all(self, kind: str) -> Database:
        """The first that Dovecot is told of for all its queries."""
        for block in self.main.inside:
            driver, _, where = block.name.partition(" ")
            if driver == kind:
                names = ("dbname", "user", "password")
                name, user, password = (
                    block.settings.get(word, block.settings.get(f"{kind}_{word}", "")) for word in names
                )
                return Database(kind, where if kind == "sqlite" else name, user, password, where)
        return Database(kind, "")

    def _set(self, box: Box, row: dict[str, str]) -> None:
        """Take what a userdb says of a mailbox."""
        box.home = row.get("home") or box.home
        path = row.get("mail_path")
        box.folder = row.get("mail") or (f"{row.get('mail_driver', 'maildir')}:{path}" if path else box.folder)
        box.quota = row.get("quota_rule") or row.get("quota_storage_size") or box.quota
        owner = row.get("uid", "")
        if is_number(owner):
            box.owner = int(owner)
        elif owner in self.users:
            box.owner = self.users[owner].uid

    def complete(self, box: Box) -> None:
        """With what is set for all, and the address put in."""
        usual = dict(self.usual)
        for name in ("mail_home", "mail_uid"):
            usual.setdefault(name.removeprefix("mail_"), self.main.settings.get(name, ""))
        named = {"home": box.home, "mail": box.folder, "uid": str(box.owner) if box.owner is not None else ""}
        self._set(box, {**usual, **{name: value for name, value in named.items() if value}})
        self._expand(box)

    def _expand(self, box: Box) -> None:
        box.home = _expanded(box.home, box.address, "")
        box.folder = _expanded(box.folder or self.location, box.address, box.home)

    def ask_doveadm(self, boxes: dict[str, Box]) -> None:
        """Dovecot itself knows best; where it does not answer, its configuration has told."""
        addresses = sorted(address for address in boxes if not re.search(r"^-|[*?]", address))
        for start in range(0, len(addresses), _BATCH):
            output = self.ask(["doveadm", "user", *addresses[start : start + _BATCH]], partly=True)
            for address, row in _users_of_doveadm(output or "").items():
                if address in boxes:
                    self._set(boxes[address], row)
                    self._expand(boxes[address])


def _of_old(query: str) -> str:
    """A query with what is asked for as Dovecot wrote it before 2.4."""
    for pattern, word in ((r"user", "%u"), (r"user\s*\|\s*username", "%n"), (r"user\s*\|\s*domain", "%d")):
        query = re.sub(rf"%\{{\s*{pattern}(?:\s*\|\s*lower)?\s*\}}", word, query)
    return query


def _words(text: str) -> dict[str, str]:
    """name=value, as often as it stands there."""
    pairs = (word.partition("=") for word in text.split())
    return {name: value for name, _, value in pairs}


def _with_scheme(password_hash: str, usual: str) -> str:
    return f"{{{usual.upper()}}}{password_hash}" if usual and password_hash[:1] not in ("{", "") else password_hash


def _users_of_doveadm(text: str) -> dict[str, dict[str, str]]:
    """What `doveadm user` prints of several."""
    rows: dict[str, dict[str, str]] = {}
    row: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("userdb: "):
            row = rows.setdefault(line.removeprefix("userdb: ").strip().lower(), {})
        elif match := re.match(r"\s+(\S+)\s*:\s(.*)", line):
            row[match[1]] = match[2]
    return rows


def _expanded(text: str, address: str, home: str) -> str:
    """A path with the address and the home in the place of Dovecot's signs."""
    local, _, domain = address.partition("@")
    words = {"u": address, "n": local, "d": domain, "h": home, "user": address, "username": local, "domain": domain}
    words["home"] = home

    def word(match: re.Match[str]) -> str:
        value = words.get(match[3] or match[4], match[0])
        for turned in re.findall(r"\w+", match[5] or ""):
            parts = {"lower": value.lower(), "username": value.partition("@")[0], "domain": value.rpartition("@")[2]}
            value = parts.get(turned, value)
        offset, _, width = (match[1] or "").rpartition(".")
        if width.isdecimal() and len(match[1]) < 8:
            value = value[int(offset) if offset.isdecimal() else 0 :][: int(width)]
        return value.lower() if match[2] == "L" else value

    path = _PARTS.sub(word, text)
    return re.sub(r"(^|:)~(?=/|$)", lambda match: match[1] + home, path)


def _settings(lines: list[str]) -> dict[str, str]:
    """The settings of a file for SQL; a backslash continues one."""
    whole: list[str] = []
    goes_on = False
    for line in lines:
        text = line.strip()
        if goes_on:
            whole[-1] += " " + text.removesuffix("\\").strip()
        elif text and not text.startswith("#"):
            whole.append(text.removesuffix("\\").strip())
        goes_on = text.endswith("\\") and (goes_on or not text.startswith("#"))
    pairs = (line.partition("=") for line in whole)
    return {name.strip(): value.strip().strip('"') for name, _, value in pairs}


def _database(kind: str, connect: str) -> Database:
    if kind == "sqlite":
        return Database(kind, connect)
    words = _words(connect)
    host = words.get("host", "")
    where = f"{host}:{words['port']}" if host and "port" in words else host
    return Database(kind, words.get("dbname", ""), words.get("user", ""), words.get("password", ""), where)
