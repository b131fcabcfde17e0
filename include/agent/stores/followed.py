"""Why a database cannot be followed while its account serves, so that it is copied while visitors wait."""

from typing import NamedTuple


class WhyNot(NamedTuple):
    """What stands in the way, and what somebody can do about it: a sentence without its end each."""

    why: str
    remedy: str
