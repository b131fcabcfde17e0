"""Base trees: what every server of one infrastructure shares, made of Debian's own packages and kept.

A tree lies in the cache under the hash of its recipe; `base/<infrastructure>` is a link to the one in use.
`python -m lab.base 2022-classic 2026-classic` builds these ahead of when they are needed.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import uuid
from fcntl import LOCK_EX, flock
from pathlib import Path

from include.catalogue import infrastructures
from lab import classic
from lab.say import say
from lab.state import CACHE, run

BASES = CACHE / "base"
DECLARED = infrastructures.load()
RECIPE = 1  # raise it when what is done to a tree after mmdebstrap changes


def path(infrastructure: str) -> Path:
    """Where the base tree of an infrastructure lies once it is built."""
    suite = DECLARED[infrastructure].suite
    recipe = json.dumps([RECIPE, suite, sorted(DECLARED[infrastructure].packages), *_set_up_by(infrastructure)])
    return BASES / f"{suite}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def build(infrastructure: str) -> None:
    """Build the base tree if it is not there, or wait for who does; half a tree of a run that was cut off is
    removed."""
    BASES.mkdir(parents=True, exist_ok=True)
    with open(BASES / f".{infrastructure}.lock", "w") as lock:
        flock(lock, LOCK_EX)
        _build(infrastructure)


def _build(infrastructure: str) -> None:
    tree, suite = path(infrastructure), DECLARED[infrastructure].suite
    if not tree.is_dir():
        for old in BASES.glob(f".{tree.name}-*"):
            run(["rm", "-rf", "--one-file-system", "--", str(old)])
        say(f"building the base tree of infrastructure {infrastructure} (Debian {suite}), about 70 s")
        new = BASES / f".{tree.name}-{uuid.uuid4().hex}"
        options = [f"--aptopt={line}" for line in machine_apt_options()]
        packages = f"--include={','.join(DECLARED[infrastructure].packages)}"
        # Without a mirror it takes Debian's own, with updates and security updates: a server without them is not
        # what we promise.
        hooks = _hooks() if _set_up_by(infrastructure) else []
        run(["mmdebstrap", "--variant=minbase", "--quiet", packages, *options, *hooks, suite, str(new)])
        for key in (new / "etc/ssh").glob("ssh_host_*"):
            key.unlink()  # every server makes its own
        new.rename(tree)
    link = BASES / infrastructure
    if not link.is_symlink() or link.resolve() != tree:
        fresh = BASES / f".{infrastructure}-{uuid.uuid4().hex}"
        fresh.symlink_to(tree.name)
        fresh.rename(link)


def _set_up_by(infrastructure: str) -> list[str]:
    """The digest of what sets its servers up, where their layout is not ours: ours are laid down on each server."""
    return [] if DECLARED[infrastructure].layout == "native" else [classic.digest()]


def _hooks() -> list[str]:
    """How mmdebstrap has the host's own script run in a tree."""
    steps = (f"copy-in {classic.FOLDER} /root", 'chroot "$1" sh /root/classic/install', 'rm -r "$1/root/classic"')
    return [f"--customize-hook={step}" for step in steps]


def machine_apt_options() -> list[str]:
    """How this machine reaches Debian's archive (proxy, clock), so that trees are fetched likewise."""
    usable = re.compile(r"Acquire::(Check-\S+|(http|https)::Proxy\S*|ForceIPv4|Retries) \".*\";")
    return [line for line in run(["apt-config", "dump", "Acquire"]).splitlines() if usable.fullmatch(line)]


if __name__ == "__main__":
    for each in sys.argv[1:]:
        build(each)
