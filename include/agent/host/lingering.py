"""Whether a user's own units of systemd run without a login, as `loginctl enable-linger` has it."""

from pathlib import Path

from . import kept
from .system import run, sync_directory, write_durably

LINGER = Path("/var/lib/systemd/linger")


def is_on(name: str, aside: Path) -> bool:
    """Whether they do, or will when what was set aside is brought back."""
    return (LINGER / name).exists() or aside.exists()


def set_aside(name: str, aside: Path) -> None:
    """Let a boot start none of them; what runs ends with the user's other processes."""
    if (LINGER / name).exists():
        write_durably(aside, "")
        (LINGER / name).unlink()
        sync_directory(LINGER)


def bring_back(name: str, uid: int, aside: Path) -> None:
    """They run again. Nobody waits for that."""
    if not aside.exists():
        return
    LINGER.mkdir(parents=True, exist_ok=True)
    (LINGER / name).touch()
    sync_directory(LINGER)
    aside.unlink()
    kept.later(_start, name, uid)


def _start(name: str, uid: int) -> None:
    """logind takes a user whose manager was ended for one that runs: so that is started too."""
    run(["loginctl", "enable-linger", name], check=False)
    run(["systemctl", "start", "--no-block", f"user@{uid}.service"], check=False)
