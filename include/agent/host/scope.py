"""What the comparison of two copies covers, so that the proof can say it."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Scope:
    """What is compared of a part of an account, how, and at which moment; `without`: what is not, and why."""

    what: str
    how: str
    when: str
    without: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
