"""The host's Postfix, led to our tables: ours are looked at first, and everything else stays as the host has it.

`lead_here` changes five settings of main.cf and adds two services to master.cf; what stood there is kept word for word,
and `let_go` puts it back. What the host has changed meanwhile stays changed.
"""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ...host.digest import printable
from ...host.system import CONFIG, STATE, read_json, refuse, run, write_durably
from ..mail_queue import reload_postfix
from .reading.postfix import logical_lines

FOLDER = Path("/etc/postfix")
KEPT = STATE / "mail" / "postfix.json"
"""What stood in the two files, the values of the settings, and whether the host says by which address mail leaves."""
ONWARD = "transhumance"
INTO = "lmtp:unix:private/transhumance-lmtp"
_TABLES = f"texthash:{CONFIG}/mail"
_FIRST = {
    # A domain of ours is one of mailboxes for as long as it is held or away, whatever the host makes of it.
    "virtual_alias_domains": f"!{_TABLES}/domains",
    "virtual_alias_maps": f"{_TABLES}/aliases",
    "virtual_mailbox_domains": f"{_TABLES}/domains",
    "virtual_mailbox_maps": f"{_TABLES}/mailboxes",
    "transport_maps": f"{_TABLES}/transport",
}
"""What each of these settings begins with."""
_PORT = 26
"""Of `mail_tables.Transports.enter_again`."""
_NO_SECOND_LOOK = ("client", "helo", "sender", "recipient", "data", "end_of_data")
_SERVICES = {
    # Between servers mail goes by whatever address leads there.
    f"{ONWARD}/unix": f"{ONWARD} unix - - y - - smtp -o smtp_bind_address= -o smtp_bind_address6=",
    # A message that waited for a forwarder's address enters the queue again here. The host looked at it when it came.
    f"127.0.0.1:{_PORT}/inet": f"127.0.0.1:{_PORT} inet n - y - - smtpd"
    + "".join(f" -o smtpd_{each}_restrictions=" for each in _NO_SECOND_LOOK)
    + " -o smtpd_relay_restrictions=reject_unauth_destination -o smtpd_milters= -o content_filter="
    + " -o smtpd_sasl_auth_enable=no -o smtpd_tls_security_level=none",
}
_SENDS = {4: "smtp/unix/smtp_bind_address", 6: "smtp/unix/smtp_bind_address6"}
"""Options of the service by which mail goes to the world, by the IP version."""


def is_here() -> bool:
    return (FOLDER / "main.cf").exists()


def lead_here() -> None:
    """Make Postfix look at our tables first; they have to be there. Can be repeated: what the host has written anew
    since is led again."""
    main, master = FOLDER / "main.cf", FOLDER / "master.cf"
    kept, now = read_json(KEPT), {path: _read(path) for path in (main, master)}
    settings = _settings([*_FIRST, "virtual_transport", "smtp_bind_address", "smtp_bind_address6"])
    if kept and _has_services() and all(settings[name].startswith(first) for name, first in _FIRST.items()):
        return
    _require_that_mail_can_wait(settings)
    if not _has_services():
        _require_free_port()
    own = {name: _without(first, settings[name]) for name, first in _FIRST.items()}
    bare = _bare(now[main], kept)
    chosen = bool(settings["smtp_bind_address"] or settings["smtp_bind_address6"] or _options(_SENDS.values()))
    keep = {"sends_by_its_own": chosen, "master.cf": now[master], **(kept or {}), "main.cf": bare, "settings": own}
    KEPT.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_durably(KEPT, json.dumps(keep))
    try:
        text = bare
        for name, first in _FIRST.items():
            text = with_entry(text, name, f"{first}, {own[name]}" if own[name] else first)
        _write(main, text)
        _postconf("-M", *(f"{name}={line}" for name, line in _SERVICES.items()))
        check()
    except BaseException:
        for path, text in now.items():
            _write(path, text)
        if kept:
            write_durably(KEPT, json.dumps(kept))
        else:
            KEPT.unlink()
        raise
    reload_postfix()


def let_go() -> None:
    """Take our tables and services away again."""
    kept = read_json(KEPT)
    if kept is None:
        return
    main, master = FOLDER / "main.cf", FOLDER / "master.cf"
    bare = _bare(_read(main), kept)
    _write(main, kept["main.cf"] if bare.split() == kept["main.cf"].split() else bare)
    if not kept["sends_by_its_own"]:
        _set_options(dict.fromkeys(_SENDS.values(), ""))
    _postconf("-MX", *(name for name in _SERVICES if _postconf("-M", name)))
    # postconf aligns the columns of what it changes, and moves comments out of it.
    if _words(_read(master)) == _words(kept["master.cf"]):
        _write(master, kept["master.cf"])
    check()
    reload_postfix()
    KEPT.unlink()


def send_from(first: dict[int, str]) -> None:
    """Let mail to the world leave by these addresses, one of each IP version or ""; not where the host has chosen."""
    kept = read_json(KEPT)
    if kept is None or kept["sends_by_its_own"]:
        return
    options = {_SENDS[family]: address for family, address in first.items()}
    if _options(_SENDS.values()) != {name: address for name, address in options.items() if address}:
        _set_options(options)
        reload_postfix()


def check() -> None:
    run(["postfix", "-c", str(FOLDER), "check"])


def _require_that_mail_can_wait(settings: dict[str, str]) -> None:
    by = settings["virtual_transport"]
    if _without(_FIRST["virtual_mailbox_maps"], settings["virtual_mailbox_maps"]) and not by.startswith("lmtp:unix:"):
        refuse(
            "mail_cannot_be_held",
            f"Postfix gives mail to mailboxes by {printable(by)!r:.80}, which cannot be told to wait: type postconf -e "
            "virtual_transport=lmtp:unix:private/dovecot-lmtp (Dovecot's LMTP), and prepare again.",
        )


def _words(text: str) -> list[list[str]]:
    return sorted(line.split() for line in _lines(text))


# --- main.cf ---


def entry_of(text: str, name: str) -> str:
    """The lines of a setting as they stand, the last where it stands twice; "" where it does not."""
    start, end = _place(text, name)
    return "".join(_lines(text)[start:end])


def with_entry(text: str, name: str, value: str) -> str:
    """The same with this value, in the place of the lines that have it, or at the end."""
    return _replaced(text, name, f"{name} = {value}\n")


def _bare(text: str, kept: dict[str, Any] | None) -> str:
    """main.cf without what we put into it: a setting stands as it stood before, or as the host has made it since."""
    for name, first in _FIRST.items() if kept else ():
        value = _value(entry_of(text, name))
        if kept and value.startswith(first):
            rest = _without(first, value)
            as_before = rest.split() == kept["settings"][name].split()
            text = _replaced(text, name, entry_of(kept["main.cf"], name) if as_before else f"{name} = {rest}\n")
    return text


def _without(first: str, value: str) -> str:
    return value.removeprefix(first).removeprefix(",").strip() if value.startswith(first) else value


def _replaced(text: str, name: str, entry: str) -> str:
    lines = _lines(text)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    start, end = _place(text, name)
    return "".join([*lines[:start], entry, *lines[end:]])


def _place(text: str, name: str) -> tuple[int, int]:
    """From which line to which a setting stands; the end of the text, where it does not."""
    lines = _lines(text)
    starts = [number for number, line in logical_lines(lines) if line.partition("=")[0].strip() == name]
    if not starts:
        return len(lines), len(lines)
    end = start = starts[-1] - 1
    for number, line in enumerate(lines[start + 1 :], start + 1):
        if line.strip() and line[0] in " \t":
            end = number  # what goes on with it, and the comments between
        elif line.strip() and not line.startswith("#"):
            break
    return start, end + 1


def _lines(text: str) -> list[str]:
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _value(entry: str) -> str:
    return " ".join(line for _, line in logical_lines(_lines(entry))).partition("=")[2].strip()


def _read(path: Path) -> str:
    """Byte for byte, whatever the host has written it in."""
    return os.fsdecode(path.read_bytes())


def _write(path: Path, text: str) -> None:
    """Whose it is, and who may read it, stays; so does a link."""
    real = path.resolve()
    status = real.stat()
    write_durably(real, os.fsencode(text), status.st_mode & 0o777, (status.st_uid, status.st_gid))


# --- what Postfix says ---


def _postconf(option: str, *words: str) -> list[str]:
    """With nothing to ask for it would tell everything."""
    argv = ["postconf", "-c", str(FOLDER), *([option] if option else []), *words]
    return run(argv).stdout.decode(errors="replace").splitlines() if words else []


def _settings(names: Iterable[str]) -> dict[str, str]:
    """What is set, or the default; names in it are not resolved."""
    pairs = (line.partition("=") for line in _postconf("", *names))
    return {name.strip(): value.strip() for name, _, value in pairs}


def _has_services() -> bool:
    return all(_postconf("-M", name) for name in _SERVICES)


def _options(names: Iterable[str]) -> dict[str, str]:
    """Those of the options of services that are set."""
    pairs = (line.partition("=") for line in _postconf("-P", *names))
    return {name.strip(): value.strip() for name, _, value in pairs}


def _set_options(options: dict[str, str]) -> None:
    _postconf("-P", *(f"{name}={value}" for name, value in options.items() if value))
    gone = {name for name, value in options.items() if not value} & {*_options(options)}
    _postconf("-PX", *sorted(gone))


def _require_free_port() -> None:
    """Postfix ends altogether where it cannot have a port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", _PORT))
        except OSError:
            refuse(
                "port_taken",
                f"Another program has port {_PORT} of 127.0.0.1, which mail needs: end it, and prepare again.",
            )
