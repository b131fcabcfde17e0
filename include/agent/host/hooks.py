"""Programs of the host's own, which the agent runs at a step: the one place where a hook is run.

A hook is an executable of root's in HOOKS, named as its step. It gets one JSON object on standard input, agrees by
exit status 0, and refuses by any other with one line. docs/hooks.md is the contract.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path
from typing import Any

from . import bounded
from .digest import printable
from .system import CONFIG, ENVIRONMENT, refuse

HOOKS = CONFIG / "hooks"
SECONDS = 60.0
"""How long a hook may take: a person or an API of the host's may be slow, and nobody's visitors wait for it."""
MAX_BYTES = 64 << 10
"""How much it may say. Only the first line is used."""
MAX_LINE = 300


def run(name: str, given: dict[str, Any], seconds: float = SECONDS) -> bool:
    """Run the hook of this name with what it is given; False where the host has none. A refusal has its line, as a
    quoted word of the host's: the hook's own, or why it could not be asked."""
    path = HOOKS / name
    if not os.path.lexists(path):
        return False
    _require_roots(path)
    try:
        done = bounded.answer(
            [str(path)],
            json.dumps(given).encode() + b"\n",
            timeout=seconds,
            most=MAX_BYTES,
            env=ENVIRONMENT,
            cwd="/",
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        refuse("hook_failed", f"The host's hook {path} did not end within {seconds:g} s and was ended: see why.")
    except bounded.TooMuch:
        refuse("hook_failed", f"The host's hook {path} said more than {MAX_BYTES >> 10} KB and was ended: see why.")
    except OSError as error:
        refuse("hook_failed", f"The host's hook {path} cannot be started ({error.strerror}): see its first line.")
    if done.returncode != 0:
        refuse("hook_refused", f'The host\'s hook {path} says: "{_line(done)}"')
    return True


def _line(done: subprocess.CompletedProcess[bytes]) -> str:
    """The first line that it has written, on standard output before the other; how it ended where it wrote none."""
    for output in (done.stdout, done.stderr):
        for line in output.decode(errors="replace").splitlines():
            if line.strip():
                return printable(line.strip()[:MAX_LINE]).replace('"', "'")
    return f"(nothing; it ended with {done.returncode})"


def _require_roots(path: Path) -> None:
    """Refuse what anybody but root could have put there: root runs it."""
    for part in (*reversed(path.parents), path):
        status = os.lstat(part)
        why = None
        if not (stat.S_ISDIR(status.st_mode) if part != path else stat.S_ISREG(status.st_mode)):
            why = "is no directory" if part != path else "is no ordinary file"
        elif status.st_uid != 0:
            why = "is not root's"
        elif status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            why = "can be written by others than root"
        elif part == path and not status.st_mode & stat.S_IXUSR:
            why = "is not executable"
        if why is not None:
            refuse("hook_unsafe", f"The hook {path} is not run: {part} {why}. Put that right, or remove the hook.")
