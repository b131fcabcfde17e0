"""The services of a classic server that read an account's files: asked whether they take them, and told to."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from ...host.digest import printable
from ...host.system import PATH, refuse, run
from .places import PHP_VERSION, Kind

_CHECKS = {"apache2": ["apache2ctl", "configtest"], "nginx": ["nginx", "-t", "-q"]}


def reading(files: Iterable[tuple[Kind | None, str]]) -> list[str]:
    """The services that read these files; php-fpm's by the version whose they are."""
    names = []
    for kind, where in files:
        version = PHP_VERSION.match(where)
        name = f"php{version[1]}-fpm" if version else kind.read_by if kind else ""
        names += [name] if name else []
    return sorted({*names})


def check(names: Iterable[str], account: str) -> None:
    """Refuse what a service would not start with."""
    for name in names:
        version = re.fullmatch(r"php(.*)-fpm", name)
        argv = _check_of_php(version[1]) if version else _CHECKS.get(name)
        if argv is None:
            continue
        done = run(argv, check=False)
        if done.returncode != 0:
            lines = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
            reason = next((line for line in lines if re.search(r"error|line \d|emerg|ALERT", line)), "it says nothing")
            refuse(
                "extras_not_taken",
                f"{name} of the new server does not take the files of {account} ({printable(reason)[:300]}); correct"
                " them on the old server.",
            )


def _check_of_php(version: str) -> list[str]:
    """A version may be run by the program of another one, from paths of its own."""
    programs = [f"php-fpm{version}", *sorted(path.name for path in Path("/usr/sbin").glob("php-fpm?.?"))]
    program = next((name for name in programs if shutil.which(name, path=PATH)), programs[0])
    return [program, "--fpm-config", f"/etc/php/{version}/fpm/php-fpm.conf", "-t"]


def reload(names: Iterable[str]) -> None:
    """Have them read the files. Requests that they work on go on."""
    if units := [f"{name}.service" for name in names]:
        run(["systemctl", "reload-or-restart", *units])


def php_version_for(root: Path, missing: str) -> str:
    """The version of PHP here that runs the pools of one that is not: the next newer one, else the newest."""
    versions = sorted(
        (path.parts[-3] for path in root.glob("etc/php/*/fpm/pool.d") if re.fullmatch(r"\d\.\d{1,2}", path.parts[-3])),
        key=_numbers,
    )
    if not versions:
        refuse(
            "no_php", f"No php-fpm is on this server for the pools of PHP {missing}; install one, or choose another."
        )
    return next((version for version in versions if _numbers(version) > _numbers(missing)), versions[-1])


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
