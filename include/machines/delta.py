"""The writable layer of a server: files laid over a base tree before the server has ever started."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path, PurePosixPath

from include.machines.interface import MachineError


class Delta:
    """Writes files, owned by root, to the upper directory of an overlay.

    A directory made here hides the mode and owner of the base tree's, so it takes both from there.
    """

    def __init__(self, base: Path, upper: Path) -> None:
        self.base = base
        self.upper = upper

    def directory(self, path: str, mode: int = 0o755) -> Path:
        """Make the directory `path` of the server (absolute) and return where it is in the delta."""
        parts = PurePosixPath(path).parts[1:]
        below, here = self.base, self.upper
        if not here.is_dir():
            here.mkdir(parents=True)
            self._like(here, below, mode)
        for part in parts:
            below, here = below / part, here / part
            if below.is_symlink() or here.is_symlink():
                raise MachineError(f"{path} leads over the symbolic link {part}: write to what that points at.")
            if not here.is_dir():
                here.mkdir()
                self._like(here, below, mode)
        return here

    def write(self, path: str, content: str | bytes, mode: int = 0o644) -> None:
        """Write one file of the server."""
        target = self._place(path)
        data = content.encode() if isinstance(content, str) else content
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), mode)

    def link(self, path: str, to: str) -> None:
        """Make `path` of the server a symbolic link."""
        self._place(path).symlink_to(to)

    def copy_tree(self, tree: Path) -> None:
        """Lay the files of `tree` over the server's `/`: owner root, modes and symbolic links kept."""
        if not tree.is_dir():
            raise MachineError(f"The folder {tree} is missing: a server would come up without its files. Restore it.")
        for folder, folders, files in os.walk(tree):
            inside = "/" / Path(folder).relative_to(tree)
            for name in [n for n in folders if (Path(folder) / n).is_symlink()]:
                files.append(name)
            self.directory(str(inside))
            for name in files:
                source = Path(folder) / name
                if source.is_symlink():
                    self.link(str(inside / name), os.readlink(source))
                else:
                    mode = 0o755 if source.stat().st_mode & stat.S_IXUSR else 0o644
                    self.write(str(inside / name), source.read_bytes(), mode)

    def _place(self, path: str) -> Path:
        target = self.directory(str(PurePosixPath(path).parent)) / PurePosixPath(path).name
        if target.is_symlink() or target.exists():
            target.unlink()
        return target

    @staticmethod
    def _like(here: Path, below: Path, mode: int) -> None:
        if below.is_dir():
            shutil.copystat(below, here)
            status = below.stat()
            os.chown(here, status.st_uid, status.st_gid)
        else:
            here.chmod(mode)
