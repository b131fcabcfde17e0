"""What two servers of a move say to each other, as it is on the wire.

Neither believes the other. What is asked and what is answered goes through the types of `verbs` before anything looks
at it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..host.shapes import Strange, named, parsed, record, text
from ..host.system import Refused, refuse
from ..verbs.verb import Answers, Callers, PeerVerb, Result, answer, asked

LONGEST_REQUEST = 64 << 20
"""Bytes."""
_REQUEST = record({"verb": text(100), "args": named(lambda value: value)})


def request(line: bytes, answers: Answers, caller: Callers) -> tuple[PeerVerb[Any], Callable[..., Any]]:
    """What the other server asks for, each argument of its kind, and what serves it; refused otherwise."""
    try:
        message = _REQUEST(parsed(line))
    except Strange as strange:
        refuse("bad_request", f'A request is {{"verb": ..., "args": {{...}}}}; this is none{strange}.')
    open_verbs = answers.open_to(caller)
    if message["verb"] not in open_verbs:
        refuse("unknown_verb", f"A peer may not call {message['verb']!r:.60} here.")
    verb, serve = open_verbs[message["verb"]]
    want = asked(verb, message["args"])
    assert isinstance(want, PeerVerb)
    return want, serve


def reply(verb: PeerVerb[Result], line: bytes) -> Result:
    """What the other server answers; its refusal is raised, and what is no answer to this verb is refused."""
    try:
        return answer(verb, line)
    except Strange as strange:
        refuse(
            "strange_reply",
            f"The other server's answer to {verb.name} is not one{strange}; find out what answers there before this "
            "move is tried again.",
        )
    except Refused as refused:
        raise Refused(refused.code, f"On the peer: {refused.message}") from None
