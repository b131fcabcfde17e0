"""Comparing two copies of an account.

The data modules make digests: nested dicts whose leaves are numbers and strings, equal on both servers exactly when the
copies are equal. `differences` names where two digests part.
"""

from __future__ import annotations

from typing import Any

MOST = 20


def differences(mine: Any, theirs: Any, at: str = "") -> list[str]:
    """The first 20 places where two digests differ, as sentences: `mine` is the source, `theirs` the target.

    A key that starts with `_` (a path of a listing, a time taken) is no part of the comparison."""
    sentences: list[str] = []
    _compare(mine, theirs, at, sentences)
    return sentences


def _compare(mine: Any, theirs: Any, at: str, sentences: list[str]) -> None:
    if len(sentences) >= MOST or mine == theirs:
        return
    if isinstance(mine, dict) and isinstance(theirs, dict):
        for key in sorted({*mine, *theirs}, key=str):
            if str(key).startswith("_"):
                continue
            where = f"{at} > {printable(str(key))}" if at else printable(str(key))
            if key not in theirs:
                sentences.append(f"{where}: only on the source.")
            elif key not in mine:
                sentences.append(f"{where}: only on the target.")
            else:
                _compare(mine[key], theirs[key], where, sentences)
            if len(sentences) >= MOST:
                return
        return
    sentences.append(f"{at or 'digest'}: {_short(mine)} on the source, {_short(theirs)} on the target.")


def _short(value: Any) -> str:
    text = printable(str(value))
    return text if len(text) <= 80 else text[:77] + "..."


def printable(text: str) -> str:
    """A customer's name made safe to put into a message: no control characters, no lone surrogates."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
