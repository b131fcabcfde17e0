"""WordPress as Debian packages it, made into one tree that a customer could have unpacked at home.

Debian's package keeps parts of WordPress elsewhere and links to them; the archive holds the files themselves.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import tarfile
import tempfile
from pathlib import Path

from lab.accounts.filling import FillError
from lab.state import CACHE

PACKAGES = [
    "wordpress",
    "wordpress-theme-twentytwentyone",
    "php-getid3",
    "libjs-cropper",
    "libjs-underscore",
]
RECIPE = "1"
LEFT_OUT = {"wp-config.php", ".htaccess"}
"""Debian's own: a configuration that reads /etc/wordpress, and a link into it."""


def archive(cache: Path = CACHE) -> Path:
    """A tar of WordPress's tree (about 40 MB) in the cache; fetched and made once."""
    key = hashlib.sha256(repr((RECIPE, PACKAGES)).encode()).hexdigest()[:12]
    path = cache / f"wordpress-{key}.tar"
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "wordpress.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            with tempfile.TemporaryDirectory(dir=cache) as scratch:
                tree = Path(scratch) / "tree"
                _download(Path(scratch))
                for package in sorted(Path(scratch).glob("*.deb")):
                    subprocess.run(["dpkg-deb", "-x", str(package), str(tree)], check=True)
                made = Path(scratch) / "made.tar"
                _pack(tree, made)
                made.rename(path)
    return path


def _download(folder: Path) -> None:
    command = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", *PACKAGES]
    first = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if first.returncode == 0:
        return
    subprocess.run(["apt-get", "-qq", "update"], capture_output=True)
    again = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if again.returncode:
        raise FillError(
            "WordPress cannot be fetched; the lab needs Debian 12's own archive in apt's sources. "
            f"apt-get said: {again.stderr.strip()[-500:]}"
        )


def _pack(tree: Path, path: Path) -> None:
    """Tars the tree with links followed (os.walk on what they lead to inside `tree`)."""
    root = tree / "usr/share/wordpress"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT, dereference=True) as tar:
        for folder, folders, names in os.walk(root):
            folders.sort()
            for name in sorted(names):
                source = Path(folder) / name
                inside = source.relative_to(root)
                if str(inside) in LEFT_OUT or not source.exists():
                    continue
                tar.add(source, str(inside), recursive=False, filter=_plain)


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o644
    return member
