"""The character set in which the server reads a statement, where it is another than UTF-8.

An object remembers the set of the session that made it, and is made anew in it. The server prints some parts of its
statement in that set and others always in UTF-8: read otherwise than it was written, a letter's last byte and the quote
after it may be one letter, and the rest of the text is a statement of somebody's own. Those parts are plain there."""

from __future__ import annotations

import re
from typing import Any

from ...host.digest import printable
from ...host.system import refuse

_UTF8 = frozenset({"utf8", "utf8mb3", "utf8mb4"})
# What every set reads alike, and what swe7, in which brackets and `@` are letters, does.
_PLAIN, _PLAIN_IN_SWE7 = re.compile(r"[ -~\s]*"), re.compile(r"[ -?A-Z_a-z\s]*")


def is_plain(text: str, charset: str) -> bool:
    """Whether a text in UTF-8 is read as it is by a session of this character set."""
    if charset in _UTF8:
        return True
    return (_PLAIN_IN_SWE7 if charset == "swe7" else _PLAIN).fullmatch(text) is not None


def refuse_mixed(item: dict[str, Any], runs_as: str) -> None:
    """Refuse an object whose statement would be printed in two character sets."""
    kind, charset = str(item["kind"]), str(item["charset"])
    definer, _, host = runs_as.rpartition("@")
    parts = {"definer": definer, "definer's host": host, "comment": str(item.get("comment") or "")}
    if kind == "EVENT":
        parts["name"] = str(item["name"])
    for part, text in parts.items():
        if not is_plain(text, charset):
            name = f"{printable(item['database'])}.{printable(item['name'])}"
            refuse(
                "mixed_charsets",
                f"The {kind.lower()} {name} was made in a session whose character set is {printable(charset)}, and its"
                f" {part} has letters that other sets read otherwise, so it cannot be carried as it is; make it anew"
                " after SET NAMES utf8mb4, or take those letters out.",
            )
