"""Steps that a host does itself, by programs of its own on real servers: an account is made, moves and is removed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from include.agent import verbs
from include.hosts import AgentError
from tests.lab.agents import Move, Side, side, visitors
from tests.lab.handles import Lab, Running
from tests.lab.waiting import wait_for

STEPS, ASKED = "/etc/transhumance/steps", "/root/asked"
DOUBLE = f"""#!/usr/bin/python3 -IS
import json, sys
asked = json.load(sys.stdin)
with open("{ASKED}", "a") as file:
    file.write(json.dumps(asked) + "\\n")
REPLACED
print("{{}}")
"""
PROVISION = """
import subprocess
account = asked["account"]
name, uid, gid, home = (account[key] for key in ("account", "uid", "gid", "home"))
if asked["wanted"] and subprocess.run(["id", name], capture_output=True).returncode != 0:
    subprocess.run(["groupadd", "--gid", str(gid), name], check=True)
    user = ["useradd", "--uid", str(uid), "--gid", str(gid), "--home-dir", home, "--shell", account["shell"]]
    subprocess.run([*user, "--no-create-home", name], check=True, stdout=sys.stderr)
    subprocess.run(["usermod", "--append", "--groups", name, "www-data"], check=True)
    subprocess.run(["install", "-d", "-m", "710", "-o", str(uid), "-g", str(gid), home], check=True)
"""


@pytest.fixture(scope="module")
def sides(lab: Lab, pair: tuple[Running, Running]) -> tuple[Side, Side]:
    both = side(lab, pair[0]), side(lab, pair[1])
    for one in both:
        one.root("mkdir", "-p", "-m", "755", STEPS)
        put(one, "provision", PROVISION)
        put(one, "close")
        put(one, "open")
    return both


def put(one: Side, step: str, does: str = "") -> None:
    one.root("tee", f"{STEPS}/{step}", stdin=DOUBLE.replace("REPLACED", does).encode())
    one.root("chmod", "755", f"{STEPS}/{step}")


def asked(one: Side) -> list[tuple[str, Any]]:
    """What the programs were asked since this was looked at, but for rehearsals: the step, and the point of it."""
    lines = [json.loads(line) for line in one.root("cat", ASKED).splitlines()]
    one.root("rm", ASKED)
    return [(line["step"], line.get("wanted", line.get("to"))) for line in lines if not line.get("rehearsal")]


def wrong(one: Side) -> list[str]:
    readiness = one.host.call(verbs.Describe()).readiness
    assert readiness is not None and readiness["steps"] == ["provision", "close", "open"]
    sentences: list[str] = readiness["wrong_steps"]
    return sentences


def test_an_account_is_made_moves_and_is_removed_by_them(sides: tuple[Side, Side]) -> None:
    old, new = sides
    statement = old.create("stepped", 2391)
    assert asked(old) == [("provision", True), ("open", None)]
    move = Move("s1", 2, statement, old, new).prepare()
    assert asked(new) == [("provision", True)]
    with visitors(old.address, "stepped.example", 0) as crowd:
        assert move.switch().verified.equal  # type: ignore[union-attr]
    assert crowd.failed == [] and new.visits("stepped") == sorted(number for number, _, _ in crowd.answers)
    assert asked(old) == [("close", None), ("open", new.address)]
    assert asked(new) == [("open", None)]
    old.host.call(verbs.Unpair(move="s1"))
    old.host.call(verbs.Remove(account="stepped", move="s1"))
    assert asked(old) == [("provision", False)]
    assert wrong(old) == wrong(new) == []


def test_a_close_that_hangs_begins_no_hold(sides: tuple[Side, Side]) -> None:
    old, new = sides
    move = Move("s2", 2, old.create("waiting", 2392), old, new).prepare()
    put(old, "close", "import time; time.sleep(60)")
    with visitors(old.address, "waiting.example", 0) as crowd, pytest.raises(AgentError) as refused:
        move.switch()
    assert refused.value.code == "step_failed" and "did not end within 0.5 s" in refused.value.message
    assert crowd.failed == [] and old.state("waiting") == "serving"
    put(old, "close", "if not asked['rehearsal']: sys.exit('The panel is down.')")
    with visitors(old.address, "waiting.example", 1000) as crowd, pytest.raises(AgentError) as refused:
        move.switch()
    assert refused.value.code == "step_refused" and 'says: "The panel is down."' in refused.value.message
    assert crowd.failed == [] and old.state("waiting") == "serving"
    put(old, "close")


def test_an_open_that_fails_is_tried_again_and_holds_nobody(sides: tuple[Side, Side]) -> None:
    old, new = sides
    move = Move("s3", 2, old.create("locked", 2393), old, new).prepare()
    put(new, "open", "if not asked['rehearsal']: sys.exit('The panel is down.')")
    with visitors(old.address, "locked.example", 0) as crowd:
        move.switch()
    assert crowd.failed == [] and (old.state("locked"), new.state("locked")) == ("moved", "serving")
    (sentence,) = wrong(new)
    assert sentence.startswith("Visitors of locked may still be kept waiting.") and "The panel is down." in sentence
    put(new, "open")
    wait_for(lambda: wrong(new) == [], 60, "the server has not let visitors in by itself")
