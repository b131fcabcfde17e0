"""The agent as one file: the same source gives the same bytes, so a digest tells whether a server has it."""

import hashlib
import io
import zipfile
from functools import cache
from pathlib import Path

from include.agent.host import entrance

_SOURCE = Path(__file__).parent.parent / "agent"
_LAUNCHER = "host/launcher.py"
# An enrolment unpacks and compiles the package, which saves a tenth of a second at every start of the agent.
_MAIN = """import os
import sys

UNPACKED = "/usr/local/lib/transhumance/unpacked/{build}"
if os.path.isdir(UNPACKED):
    sys.path.insert(0, UNPACKED)
from agent.__main__ import entry

entry()
"""
# The earliest time that a zip file can hold.
_TIME = (1980, 1, 1, 0, 0, 0)


@cache
def build_agent(source: Path = _SOURCE) -> bytes:
    """The zipapp of include/agent: run it with `python3 agent.pyz VERB`."""
    modules = {path.relative_to(source).as_posix(): path.read_text() for path in source.rglob("*.py")}
    contents = {f"agent/{name}": text for name, text in modules.items() if name != _LAUNCHER}
    build = hashlib.sha256(repr(sorted(contents.items())).encode()).hexdigest()[:16]
    contents |= {"__main__.py": _MAIN.format(build=build), "BUILD": build}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(contents):
            entry = zipfile.ZipInfo(name, _TIME)
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            archive.writestr(entry, contents[name])
    return b"#!/usr/bin/env python3\n" + packed.getvalue()


def agent_digest() -> str:
    """By which a server's agent is known to be this one."""
    return hashlib.sha256(build_agent()).hexdigest()


def authorized_line(public_key: str) -> str:
    """The line of root's authorized_keys by which this key runs the launcher and nothing else."""
    return f'restrict,command="{entrance.LAUNCHER}" {public_key}'


def launcher() -> str:
    """The text of the launcher, which lies at `entrance.LAUNCHER`, mode 0755."""
    return (_SOURCE / _LAUNCHER).read_text()
