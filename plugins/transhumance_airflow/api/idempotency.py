"""One run for each Idempotency-Key.

The run's id is made of who calls and their key, and Airflow has a run id once: that is the whole memory. What was
asked for stands in the run, so that a key that comes again with another request is noticed. A refused call left
nothing behind, and may be repeated with the same key when its reason is gone.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any

from fastapi import Header

from transhumance_airflow.api.auth import Caller

Key = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        min_length=8,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="A new one for each request, such as a UUID. The same key again gives the same answer, and "
        "nothing is started twice.",
        examples=["8e03978e-40d5-43dd-bc93-6894a57f9324"],
    ),
]


def request_id(caller: Caller, key: str) -> str:
    """The request that this caller means by the key."""
    return _digest([caller.user.get_id(), caller.customer, key])[:24]


def fingerprint(action: str, subject: str, conf: dict[str, Any]) -> str:
    """What is asked for, in short."""
    return _digest([action, subject, conf])[:16]


def _digest(what: Any) -> str:
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
