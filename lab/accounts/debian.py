"""Applications as Debian packages them, made into one tree that a customer could have unpacked at home.

Debian's packages keep parts of an application elsewhere and link to them; the archive holds the files themselves.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

from lab.accounts.filling import FillError
from lab.state import CACHE

RECIPE = "2"


def archive(
    name: str, packages: Collection[str], places: dict[str, str], leave_out: Collection[str] = (), cache: Path = CACHE
) -> Path:
    """A tar of an application in the cache; fetched and made once.

    `places`: what of the packages goes where in the tree ({"usr/share/wordpress": "."}); `leave_out`: files or whole
    folders of the tree that it does without."""
    recipe = (RECIPE, sorted(packages), places, sorted(leave_out))
    path = cache / f"{name}-{hashlib.sha256(repr(recipe).encode()).hexdigest()[:12]}.tar"
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            with tempfile.TemporaryDirectory(dir=cache) as scratch:
                tree = Path(scratch) / "tree"
                _download(name, packages, Path(scratch))
                for package in sorted(Path(scratch).glob("*.deb")):
                    subprocess.run(["dpkg-deb", "-x", str(package), str(tree)], check=True)
                made = Path(scratch) / "made.tar"
                with tarfile.open(made, "w", format=tarfile.GNU_FORMAT, dereference=True) as tar:
                    for place, inside in places.items():
                        _pack(tar, tree, tree / place, Path(inside), {Path(left_out) for left_out in leave_out})
                made.rename(path)
    return path


def _download(name: str, packages: Collection[str], folder: Path) -> None:
    command = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", *packages]
    first = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if first.returncode == 0:
        return
    subprocess.run(["apt-get", "-qq", "update"], capture_output=True)
    again = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if again.returncode:
        raise FillError(
            f"{name} cannot be fetched; the lab needs Debian 12's own archive in apt's sources. "
            f"apt-get said: {again.stderr.strip()[-500:]}"
        )


def _pack(tar: tarfile.TarFile, tree: Path, source: Path, inside: Path, leave_out: set[Path]) -> None:
    """Puts what lies at `source` into the tar; links are followed, absolute ones from the root of the tree."""
    real = _followed(tree, source)
    if inside in leave_out or real is None:
        return
    if real.is_dir():
        for entry in sorted(real.iterdir()):
            _pack(tar, tree, entry, inside / entry.name, leave_out)
    else:
        tar.add(real, str(inside), recursive=False, filter=_plain)


def _followed(tree: Path, path: Path) -> Path | None:
    """What a path leads to inside the tree; None where a package that is not there would have it."""
    for _ in range(8):
        if not path.is_symlink():
            return path if path.exists() else None
        target = Path(os.readlink(path))
        path = tree / target.relative_to("/") if target.is_absolute() else path.parent / target
    return None


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o644
    return member


def wheels(name: str, requirements: Collection[str], cache: Path = CACHE) -> Iterator[Path]:
    """Packages of Python that need no compiler, as files in the cache; fetched once."""
    folder = cache / f"{name}-{hashlib.sha256(repr(sorted(requirements)).encode()).hexdigest()[:12]}"
    with open(cache / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "whole").exists():
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), *requirements]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise FillError(f"{name} cannot be fetched: {done.stderr.strip()[-500:]}")
            (folder / "whole").touch()
    return folder.glob("*.whl")
