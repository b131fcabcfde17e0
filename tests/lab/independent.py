"""Whether two servers hold the same of an account, asked with other code than the one that moved it.

pg_dump and mariadb-dump of the newer server read both; files, mail and what lies around are walked by a program of this
folder (independent_look). It is asked after the commit, while the source is still locked and nobody uses the target.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.lab.agents import Side

_LOOK = Path(__file__).with_name("independent_look.py").read_text()
_FOLDER = "/var/tmp/dumpers"
# One tar: the two programs, their loader and their libraries, so that they run on an older Debian too.
_PACK = """
set -e
folder=$(mktemp -d)
mkdir $folder/lib
cp "$(ls -d /usr/lib/postgresql/*/bin/pg_dump | tail -1)" $folder/pg_dump
cp -L /usr/bin/mariadb-dump $folder/mariadb-dump
ldd $folder/*dump | sed -n 's/.*=> \\(\\/[^ ]*\\) .*/\\1/p' | sort -u | xargs cp -L -t $folder/lib
cp -L /lib64/ld-linux-x86-64.so.2 $folder/ld.so
chmod -R a+rX $folder
tar -C $folder -cf - .
rm -r $folder
"""


def differences(old: Side, new: Side, statement: dict[str, Any], apart: Collection[str] = ()) -> list[str]:
    """What is not the same on both servers, a sentence each; none when they are equal.

    `apart` names entries right below the home that are not looked at: what a test itself writes there after the move.
    """
    newer = max((old, new), key=lambda side: int(side.root("sh", "-c", "ls /usr/lib/postgresql | sort -n | tail -1")))
    packed = _raw(newer, ["sh", "-c", _PACK])
    with ThreadPoolExecutor(2) as pool:
        here, there = pool.map(lambda side: _look(side, packed, statement, apart), (old, new))
    changed = [what for what in sorted(here.keys() | there.keys()) if here.get(what) != there.get(what)]
    return [f"{what} differs: {_apart(here.get(what, 'nothing'), there.get(what, 'nothing'))}" for what in changed]


def _apart(here: str, there: str) -> str:
    """Two texts from a little before the place where they part."""
    start = max(0, len(os.path.commonprefix((here, there))) - 40)
    return f"{here[start : start + 300]!r} here, {there[start : start + 300]!r} there"


def _look(side: Side, packed: bytes, statement: dict[str, Any], apart: Collection[str]) -> dict[str, str]:
    _raw(side, ["sh", "-c", f"rm -rf {_FOLDER}; mkdir -m 755 {_FOLDER} && tar -C {_FOLDER} -xf -"], packed)
    request = {"statement": statement, "dumpers": _FOLDER, "apart": sorted(apart)}
    found = json.loads(_raw(side, ["python3", "-c", _LOOK], json.dumps(request).encode()))
    _raw(side, ["rm", "-r", _FOLDER])
    return found


def _raw(side: Side, argv: list[str], stdin: bytes | None = None) -> bytes:
    """What a program of root prints on a server, byte for byte."""
    done = side.lab.machines.execute(side.name, argv, stdin=stdin, seconds=300)
    assert done.returncode == 0, f"{argv[0]} on {side.name}: {done.stderr.decode(errors='replace')[-800:]}"
    return done.stdout
