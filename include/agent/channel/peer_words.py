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
        said = _REQUEST(parsed(line))
    except Strange as strange:
        refuse("bad_request", f'A request is {{"verb": ..., "args": {{...}}}}; this is none{strange}.')
    known = answers.open_to(caller)
    if said["verb"] not in known:
        refuse("unknown_verb", f"A peer may not call {said['verb']!r:.60} here.")
    verb, serve = known[said["verb"]]
    want = asked(verb, said["args"])
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
