"""What the comparison of two copies covers, so that the proof can say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from .codec import Most
from .shapes import sentence

_Sentence = Annotated[str, sentence()]


@dataclass(frozen=True)
class Scope:
    """What is compared of a part of an account, how, and at which moment; `without`: what is not, and why."""

    what: _Sentence
    how: _Sentence
    when: _Sentence
    without: Annotated[tuple[_Sentence, ...], Most(1000)] = ()
