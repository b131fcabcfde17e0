"""Who may call which verb; and that what a verb takes and gives is bounded, field by field."""

from dataclasses import dataclass, fields, is_dataclass
from typing import Any, cast

import pytest

from include.agent import protocol
from include.agent.account.accounts import ENGINES
from include.agent.host.codec import Most, decode, encode, plain, shape_of
from include.agent.host.shapes import Strange
from include.agent.host.system import Refused
from include.agent.peer_verbs import PEER_VERBS
from include.agent.verbs.verb import ORCHESTRATOR, Answers, LongVerb, Nothing, PeerVerb, Text, Verb, asked, peer_of

CALLERS = [ORCHESTRATOR, *(peer_of(engine) for engine in (None, *ENGINES))]
DECLARED = [verb for answers in (protocol.VERBS, protocol.LONG_VERBS, PEER_VERBS) for verb, _ in answers]


@dataclass(frozen=True, kw_only=True)
class Silent(Verb[Nothing], name="silent"):
    """It names no caller."""


@dataclass(frozen=True, kw_only=True)
class LongSilent(LongVerb[Nothing], name="long_silent"):
    pass


@dataclass(frozen=True, kw_only=True)
class PeerSilent(PeerVerb[Nothing], name="peer_silent", any_state=True):
    pass


@pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: " or ".join(sorted(caller)))
def test_a_verb_that_names_no_caller_can_be_called_by_nobody(caller: frozenset[str]) -> None:
    answers = Answers(
        Silent.answered_by(lambda _: Nothing()),
        LongSilent.run_by(lambda _, report: Nothing()),
        PeerSilent.served_by(lambda *_: Nothing()),
    )
    assert answers.open_to(caller) == {}


def test_what_names_no_caller_is_no_verb_to_the_orchestrator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "VERBS", Answers(*protocol.VERBS, Silent.answered_by(lambda _: Nothing())))
    monkeypatch.setattr(protocol, "LONG_VERBS", Answers(LongSilent.run_by(lambda *_: Nothing())))
    for name, args in (("silent", {}), ("start", {"operation": "o1", "verb": "long_silent", "args": {}})):
        with pytest.raises(Refused) as refused:
            protocol.perform(name, args)
        assert refused.value.code == "unknown_verb"


def test_every_verb_of_the_agent_names_its_callers_and_has_a_name_of_its_own() -> None:
    assert all(verb.by for verb in DECLARED)
    assert len({verb.name for verb in DECLARED}) == len(DECLARED)


def test_the_orchestrators_verbs_are_no_peers_and_the_other_way_round() -> None:
    ours = {verb.name for verb, _ in (*protocol.VERBS, *protocol.LONG_VERBS)}
    for engine in (None, *ENGINES):
        assert not protocol.VERBS.open_to(peer_of(engine)) and not protocol.LONG_VERBS.open_to(peer_of(engine))
        assert not {*PEER_VERBS.open_to(peer_of(engine))} & ours
    assert not PEER_VERBS.open_to(ORCHESTRATOR)
    assert {*protocol.VERBS.open_to(ORCHESTRATOR), *protocol.LONG_VERBS.open_to(ORCHESTRATOR)} == ours


def test_an_engine_that_is_made_up_may_call_what_any_part_may_and_nothing_else() -> None:
    assert {*PEER_VERBS.open_to(peer_of("redis"))} == {"alone", "part_port", "release", "standing", "warm"}


@pytest.mark.parametrize("verb", DECLARED, ids=lambda verb: verb.name)
def test_every_field_of_a_verb_and_of_what_it_gives_has_bounds(verb: type[Verb[Any]]) -> None:
    assert is_dataclass(verb)
    for kind in (verb, verb.result):
        shape_of(kind)


@dataclass(frozen=True, kw_only=True)
class Unbounded:
    text: str


@dataclass(frozen=True, kw_only=True)
class Endless:
    texts: list[Text]


@pytest.mark.parametrize("kind", [Unbounded, Endless, str, list[Text], dict[str, Text]])
def test_a_text_or_a_list_without_bounds_is_a_mistake_that_is_told(kind: Any) -> None:
    with pytest.raises(TypeError, match="has no bounds"):
        shape_of(kind)


@dataclass(frozen=True, kw_only=True)
class Inner:
    number: int


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: Text
    inner: Inner | None = None
    flag: bool = False


def test_what_is_encoded_is_decoded_as_it_was() -> None:
    for value in (Outer(name="a"), Outer(name="\udcff", inner=Inner(number=3), flag=True)):
        assert decode(Outer, plain(value)) == value
    assert encode(Outer(name="a")) == '{"name": "a"}', "what may be missing is not said"


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ([], ": an object was expected"),
        ({}, ".name: text"),
        ({"name": None}, ".name: text"),
        ({"name": "x" * 1001}, ".name: text of 1000"),
        ({"name": "a", "inner": {}}, ".inner.number: a whole number"),
        ({"name": "a", "inner": {"number": True}}, ".inner.number: a whole number"),
        ({"name": "a", "flag": 1}, ".flag: true or false"),
        ({"name": "a", "flag": None}, ".flag: true or false"),
    ],
)
def test_what_is_not_of_its_kind_is_told_with_its_place(value: Any, why: str) -> None:
    with pytest.raises(Strange, match=f"^{why}"):
        decode(Outer, value)


def test_what_may_be_null_may_not_be_missing_unless_it_has_a_default() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Nullable:
        inner: Inner | None

    assert decode(Nullable, {"inner": None}) == Nullable(inner=None)
    with pytest.raises(Strange, match="^.inner: it is missing"):
        decode(Nullable, {})


def test_names_of_an_object_have_bounds_as_well() -> None:
    from typing import Annotated

    kind = Annotated[dict[str, Inner], Most(1)]
    assert decode(kind, {"a": {"number": 1}}) == {"a": Inner(number=1)}
    for wrong in ({"a": {"number": 1}, "b": {"number": 1}}, {"x" * 1001: {"number": 1}}):
        with pytest.raises(Strange):
            decode(kind, wrong)


def test_a_refusal_of_arguments_says_which_verb_and_which_argument() -> None:
    verb = next(verb for verb in DECLARED if verb.name == "drain_ips")
    with pytest.raises(Refused) as refused:
        asked(verb, {"ips": [], "seconds": True})
    assert refused.value.code == "bad_args"
    assert refused.value.message == (
        "The arguments of drain_ips are not what they must be: seconds: a number from 0 to 3600 was expected."
    )
    assert [field.name for field in fields(cast(Any, verb))] == ["ips", "seconds"]


def test_what_never_changes_holds_a_row_of_any_length_up_to_its_bound() -> None:
    from typing import Annotated

    kind = Annotated[tuple[Text, ...], Most(2)]
    assert decode(kind, ["a", "b"]) == ("a", "b") and decode(kind, []) == ()
    for wrong in (["a", "b", "c"], [1], "ab"):
        with pytest.raises(Strange):
            decode(kind, wrong)
