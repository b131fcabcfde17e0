"""Programs of the host's own that root runs: whose they must be, and within which bounds one is run."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from . import bounded
from .digest import printable
from .system import ENVIRONMENT, refuse

MAX_LINE = 300
_NOT_STARTED = (126, 127)
_STARTABLE = (b"#!", b"\x7fELF")
"""How what a kernel starts begins; anything else a shell would try to read."""
_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")
"""Whatever kills the agent ends the program too: what it still did later would come after what undoes it."""


@dataclass(frozen=True)
class OwnProgram:
    """An executable of root's. `kind`: the word for it in what is told; it begins the codes of refusals."""

    kind: str
    path: Path

    def is_there(self) -> bool:
        return os.path.lexists(self.path)

    def run(self, given: dict[str, Any], seconds: float, most: int) -> bytes:
        """What it answers on standard output to one JSON object. A refusal has its line, as a quoted word of the
        host's: the program's own, or why it could not be asked."""
        try:
            self.require_roots()
            with open(self.path, "rb") as file:
                if not file.read(4).startswith(_STARTABLE):
                    self._failed("cannot be started (it is no program): see its first line")
            done = bounded.answer(
                [*_WITH_US, str(self.path)],
                json.dumps(given).encode() + b"\n",
                timeout=seconds,
                most=most,
                env=ENVIRONMENT,
                cwd="/",
                start_new_session=True,
            )
        except subprocess.TimeoutExpired:
            self._failed(f"did not end within {seconds:g} s and was ended: see why")
        except bounded.TooMuch:
            self._failed(f"said more than {most >> 10} KB and was ended: see why")
        except OSError as error:
            self._failed(f"cannot be started ({error.strerror}): see its first line")
        if done.returncode in _NOT_STARTED and done.stderr.startswith(b"setpriv: "):
            why = printable(done.stderr.decode(errors="replace").strip().rpartition(": ")[2][:MAX_LINE])
            self._failed(f"cannot be started ({why}): see its first line")
        if done.returncode != 0:
            refuse(f"{self.kind}_refused", f'The host\'s {self.kind} {self.path} says: "{_line(done)}"')
        return done.stdout

    def _failed(self, why: str) -> NoReturn:
        refuse(f"{self.kind}_failed", f"The host's {self.kind} {self.path} {why}.")

    def require_roots(self) -> None:
        """Refuse what anybody but root could have put there: root runs it."""
        for part in (*reversed(self.path.parents), self.path):
            status = os.lstat(part)
            why = None
            if not (stat.S_ISDIR(status.st_mode) if part != self.path else stat.S_ISREG(status.st_mode)):
                why = "is no directory" if part != self.path else "is no ordinary file"
            elif status.st_uid != 0:
                why = "is not root's"
            elif status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                why = "can be written by others than root"
            elif part == self.path and not status.st_mode & stat.S_IXUSR:
                why = "is not executable"
            if why is not None:
                not_run = f"The {self.kind} {self.path} is not run: {part} {why}."
                refuse(f"{self.kind}_unsafe", f"{not_run} Put that right, or remove the {self.kind}.")


def _line(done: subprocess.CompletedProcess[bytes]) -> str:
    """The first line that it has written, on standard output before the other; how it ended where it wrote none."""
    for output in (done.stdout, done.stderr):
        for line in output.decode(errors="replace").splitlines():
            if line.strip():
                return printable(line.strip()[:MAX_LINE]).replace('"', "'")
    return f"(nothing; it ended with {done.returncode})"
