"""The user that a host's server has for the messages of all mailboxes, by its own Postfix and Dovecot."""

from __future__ import annotations

import grp
import pwd
import re
from collections.abc import Iterator

from ...host.system import refuse, run

_USUAL = ("vmail", "virtual", "vpopmail", "mailuser")


def numbers() -> tuple[int, int]:
    """Its number, and its group's."""
    settings = run(["doveconf", "-n"], check=False).stdout.decode(errors="replace")
    least = _word(settings, "first_valid_uid")
    for name, group in _named(settings):
        user = _user(name)
        if user and user.pw_uid:
            if least.isdecimal() and user.pw_uid < int(least):
                refuse(
                    "bad_mail_user",
                    f"Dovecot lets no mailbox be of the user {user.pw_name} ({user.pw_uid}), as those outside of homes"
                    f" are: write first_valid_uid = {user.pw_uid} into its configuration, where {least} stands.",
                )
            return user.pw_uid, _group(group, user.pw_gid)
    refuse(
        "no_mail_user",
        "No user for messages is known here, as mailboxes outside of homes need one: type useradd --uid 900"
        " --user-group --home-dir /var/vmail --shell /usr/sbin/nologin vmail.",
    )


def _named(settings: str) -> Iterator[tuple[str, str]]:
    """User and group, as they are written: first what all mailboxes have, then as tutorials call them."""
    yield _word(settings, "mail_uid"), _word(settings, "mail_gid")
    for static in re.findall(r"userdb[^{]*\{([^{}]*driver\s*=\s*static[^{}]*(?:\{[^{}]*\})?[^{}]*)\}", settings):
        yield _word(static, "uid"), _word(static, "gid")
    yield tuple(_static(name) for name in ("virtual_uid_maps", "virtual_gid_maps"))  # type: ignore[misc]
    yield from ((name, "") for name in _USUAL)


def _word(settings: str, name: str) -> str:
    match = re.search(rf"(?:^|[\s=]){name}\s*=\s*([A-Za-z0-9_.-]+)", settings)
    return match[1] if match else ""


def _static(name: str) -> str:
    value = run(["postconf", "-h", name], check=False).stdout.decode(errors="replace").strip()
    return value.removeprefix("static:") if value.startswith("static:") else ""


def _user(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
    except (KeyError, OverflowError, ValueError):
        return None


def _group(name: str, usual: int) -> int:
    try:
        return (grp.getgrgid(int(name)) if name.isdecimal() else grp.getgrnam(name)).gr_gid
    except (KeyError, OverflowError, ValueError):
        return usual
