"""The host's own programs before and after a move, run by a real agent on a real server."""

from __future__ import annotations

import json

import pytest

from include.agent import verbs
from include.hosts import AgentError
from tests.lab.agents import Side, side
from tests.lab.handles import Lab, Running

HOOKS = "/etc/transhumance/hooks"
TOLD = verbs.MoveTold(account="shop", direction="out", source="vps-1", target="transit-1", move="m1")
PROGRAM = f"#!/bin/sh\ntee -a {HOOKS}/heard\nid -u >> {HOOKS}/who\n"


@pytest.fixture(scope="module")
def sides(lab: Lab, pair: tuple[Running, Running]) -> tuple[Side, Side]:
    return side(lab, pair[0]), side(lab, pair[1])


def put(one: Side, hook: str, program: str) -> None:
    one.root("mkdir", "-p", "-m", "755", HOOKS)
    one.root("tee", f"{HOOKS}/{hook}", stdin=program.encode())
    one.root("chmod", "755", f"{HOOKS}/{hook}")


def test_a_host_without_hooks_goes_on(sides: tuple[Side, Side]) -> None:
    for one in sides:
        for hook in ("before-move", "after-move"):
            assert one.host.call(verbs.RunHook(hook=hook, about=TOLD)).ran is False


def test_each_is_run_as_root_with_what_the_contract_says(sides: tuple[Side, Side]) -> None:
    for one in sides:
        for hook in ("before-move", "after-move"):
            put(one, hook, PROGRAM)
            assert one.host.call(verbs.RunHook(hook=hook, about=TOLD)).ran is True
        heard = [json.loads(line) for line in one.root("cat", f"{HOOKS}/heard").splitlines()]
        told = {"account": "shop", "direction": "out", "from": "vps-1", "to": "transit-1", "move": "m1"}
        assert heard == [told | {"engine": None}] * 2
        assert one.root("cat", f"{HOOKS}/who").split() == ["0", "0"]


def test_a_refusal_is_the_hosts_own_word(sides: tuple[Side, Side]) -> None:
    for one in sides:
        put(one, "before-move", "#!/bin/sh\necho 'The backup runs.'\nexit 1\n")
        with pytest.raises(AgentError) as refused:
            one.host.call(verbs.RunHook(hook="before-move", about=TOLD))
        assert refused.value.code == "hook_refused"
        assert refused.value.message.endswith('says: "The backup runs."')


def test_what_an_account_could_have_put_there_is_not_run(sides: tuple[Side, Side]) -> None:
    for one in sides:
        put(one, "before-move", f"#!/bin/sh\ntouch {HOOKS}/ran\n")
        one.root("chown", "1000", f"{HOOKS}/before-move")
        with pytest.raises(AgentError, match="is not root's"):
            one.host.call(verbs.RunHook(hook="before-move", about=TOLD))
        one.root("chown", "root", f"{HOOKS}/before-move")
        one.root("chmod", "777", HOOKS)
        with pytest.raises(AgentError, match="can be written by others"):
            one.host.call(verbs.RunHook(hook="before-move", about=TOLD))
        one.root("chmod", "755", HOOKS)
        assert one.root("ls", HOOKS).count("ran") == 0
