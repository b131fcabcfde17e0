"""Judges of what is small: passwords of sites, what FTP lets an account do, a link."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .whose import Whose, at, strange_characters

_PASSWORD = re.compile(r"[^\s:#]{1,255}:(?:[^\s:#]{1,255}:)?[A-Za-z0-9$./=+{}_,-]{1,255}")
_GROUP = re.compile(r"[^\s:#]{1,255}:[ A-Za-z0-9@._-]{0,10000}")
_FTP = {
    "allow_writeable_chroot": r"YES|NO",
    "anon_world_readable_only": r"YES|NO",
    "dirlist_enable": r"YES|NO",
    "download_enable": r"YES|NO",
    "file_open_mode": r"0?[0-6]{3}",
    "hide_file": r"[A-Za-z0-9{}.,*_-]{0,200}",
    "local_max_rate": r"\d{1,12}",
    "local_umask": r"0?[0-7]{3}",
    "write_enable": r"YES|NO",
}


def nothing(path: str, text: str, _whose: Whose) -> Iterator[str]:
    """A link says nothing but where it leads."""
    if text:
        yield at(path, 1, "this is no link", "make it one")


def passwords(path: str, text: str, _whose: Whose) -> Iterator[str]:
    """Names with hashes of passwords, or with their groups, that a web server asks for."""
    yield from strange_characters(path, text)
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip() and not line.startswith("#") and not (_PASSWORD.fullmatch(line) or _GROUP.fullmatch(line)):
            yield at(path, number, "this is no name with a hash", "write it by htpasswd")


def vsftpd(path: str, text: str, whose: Whose) -> Iterator[str]:
    """What vsftpd is told for one user: where that is, within the home."""
    yield from strange_characters(path, text)
    for number, line in enumerate(text.split("\n"), 1):
        if not line or line.startswith("#"):
            continue
        name, _, value = line.partition("=")
        if name == "local_root" and whose.is_at_home(value):
            continue
        if name not in _FTP or not re.fullmatch(_FTP[name], value):
            yield at(
                path, number, f"{line!r:.80} is not carried for an account", f"take it out, or stay in {whose.home}"
            )
