"""What PostgreSQL's programs say of what they could not do, as sentences that name the object and what to type."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...host.digest import printable

IGNORED = re.compile(r"^pg_restore: warning: errors ignored on restore: \d+$", re.MULTILINE)
_BEGUN = re.compile(r"(?:creating ([A-Z ]+) |(processing data for table) |executing ([A-Z ]+) )\"?(.*?)\"?")
_ENTRY = re.compile(r"from TOC entry \d+; \d+ \d+ ((?:[A-Z]+ )+)(.*) \S+")
_REPORTED = re.compile(r"(?:(error|warning): |(WARNING):  )(.*)")
_ON = re.compile(r'(?:\bON(?: ONLY)?|^ALTER TABLE(?: ONLY)?) ((?:"(?:[^"]|"")*"|\w+)(?:\.(?:"(?:[^"]|"")*"|\w+))?)')


@dataclass
class ToolMessage:
    """An error or a warning: of which object, in the server's words, and what it adds to them."""

    object: str | None
    error: bool
    message: str
    detail: str = ""
    context: str = ""
    command: str = ""

    @property
    def sentence(self) -> str:
        """The whole of it for a customer, with its object."""
        return printable(f"{self.object}: {self.explained}" if self.object else self.explained)

    @property
    def explained(self) -> str:
        """What is wrong, and what can be typed where that is known."""
        sentence = f"{self.message}. {self.detail}" if self.detail else self.message
        table = (
            match[1].replace('"public".', "").replace('"', "") if (match := _ON.search(self.command)) else "its table"
        )
        if self.message.startswith("could not create unique index"):
            return (
                f"{sentence} Two rows of {table} have the same key, which only an index that is damaged lets in (that "
                "happens when the sorting rules of the system change). Look at them with SELECT ctid, * and SET "
                "enable_indexscan = off, enable_indexonlyscan = off and enable_bitmapscan = off, delete or change one "
                f"of them, type REINDEX TABLE {table}; and test again."
            )
        if match := re.search(r'(?:SQL|PL/pgSQL) function "?([^"(\s]+)"?', self.context):
            if "does not exist" in self.message:
                return (
                    f"{sentence}. The function {match[1]} does not find what it names while it is called from here: "
                    f"type ALTER FUNCTION {match[1]} SET search_path = public, pg_temp (with your schemas) and test "
                    "again."
                )
        return sentence


def messages(text: str) -> list[ToolMessage]:
    """What pg_restore says, verbose or not, of each object.

    Of an object the first error alone is told: that it cannot be given an owner follows from its not being there."""
    entries: list[ToolMessage] = []
    entry, failed = None, False
    for line in text.splitlines():
        words = line.removeprefix("pg_restore: ")
        if words == line:
            _add(entries, line)
        elif IGNORED.match(line):
            continue
        elif begun := _BEGUN.fullmatch(words):
            entry, failed = f"{begun[1] or begun[3] or 'rows of'} {begun[4]}", False
        elif (named := _ENTRY.fullmatch(words)) and not (entry or "").endswith(named[2]):
            kind = "rows of" if named[1] == "TABLE DATA " else named[1].strip()
            entry, failed = f"{kind} {named[2]}", False
        elif reported := _REPORTED.fullmatch(words):
            error = reported[1] == "error"
            if error and entry and failed:
                entries.append(ToolMessage(None, False, ""))  # takes what is added to it
                continue
            message = re.sub(r"^could not execute query: |\bERROR:\s+", "", reported[3])
            entries.append(ToolMessage(entry, error, message))
            failed = failed or error
    return [told_entry for told_entry in entries if told_entry.message]


_ADDED = {"DETAIL:  ": "detail", "CONTEXT:  ": "context", "Command was: ": "command"}


def _add(entries: list[ToolMessage], line: str) -> None:
    """A line that goes with what was told last."""
    for begin, part in _ADDED.items():
        if entries and line.startswith(begin) and not getattr(entries[-1], part):
            setattr(entries[-1], part, line.removeprefix(begin).strip())


def of_pg_dump(database: str, message: str) -> str | None:
    """What stands in the way of reading a database, as a sentence; None when it is nothing that is known."""
    at = f"The database {printable(database)}"
    table = re.search(r'table (?:contents of )?"?([^"]+)"?(?: failed)?', message)
    if "out of shared memory" in message or "max_locks_per_transaction" in message:
        return (
            f"{at} has more tables than this server can lock at once: its administrator has to raise "
            "max_locks_per_transaction (ALTER SYSTEM SET max_locks_per_transaction = 1024, and a restart)."
        )
    if "invalid memory alloc request size" in message or "out of memory" in message:
        which = f" (table {printable(table[1])})" if table else ""
        return (
            f"{at} has a value that is too large to be read as text{which}: a bytea of more than 500 MB takes more "
            "than 1 GB there. Find it with SELECT * ... WHERE octet_length(column) > 500000000, keep it in a file or "
            "in parts, and test again."
        )
    if "invalid byte sequence for encoding" in message:
        return (
            f"{at} holds text that is not valid in its encoding; pg_dump says: {printable(message)}. Mend the rows "
            "that it names, and test again."
        )
    if "lock timeout" in message:
        return f"{at} has a table that another session has locked for more than 15 s; end that session, and try again."
    return None
