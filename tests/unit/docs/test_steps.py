"""What docs/steps.md says of a host's own steps is so: its examples, its schema, its limits, what is really asked."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator, ValidationError, meta

from include.agent.account import accounts
from include.agent.account.accounts import Account
from include.agent.host import own_programs
from include.agent.host.codec import decode
from include.agent.layouts import provisioning
from tests.support.own_steps import OwnSteps
from tests.support.two_servers import statement

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "steps.md").read_text()
SCHEMA = json.loads((DOCS / "steps.schema.json").read_text())
BLOCKS = re.findall(r"^    [\[{].*?(?=^\S|\Z)", PAGE.replace("\n\n", "\n|\n"), re.MULTILINE | re.DOTALL)


def examples() -> list[dict[str, Any]]:
    """Each JSON object of the page that stands in a block."""
    found, decoder = [], json.JSONDecoder()
    for block in BLOCKS:
        text = block.strip()
        while text:
            value, end = decoder.raw_decode(text)
            found.append(value)
            text = text[end:].strip()
    return found


def validate(step: str, side: str, value: Any) -> None:
    """Against the published schema of this step's input or output."""
    Draft202012Validator({**SCHEMA, "$ref": f"#/$defs/{step}/{side}"}).validate(value)


def test_the_schema_is_one() -> None:
    meta.validate(SCHEMA)
    assert {*SCHEMA["$defs"]} - {"account", "in_engine"} == {*provisioning.SECONDS}
    assert {*SCHEMA["$defs"]["account"]["properties"]} == {*accounts._KEYS}


def test_its_examples_are_what_the_schema_says() -> None:
    asked = [value for value in examples() if "step" in value]
    assert [value["step"] for value in asked] == ["discover", "provision", "close", "open"]
    for value in asked:
        validate(value["step"], "input", value)
    (answer,) = [value for value in examples() if "step" not in value]
    validate("discover", "output", answer)
    read: provisioning.Inhabited = decode(provisioning.Inhabited, answer)
    for account_file in (*read.accounts, next(value["account"] for value in asked if value["step"] == "provision")):
        assert Account.from_json(account_file).provisioned


@pytest.mark.parametrize(
    ("step", "more", "command"),
    [
        ("close", {}, "set map /etc/haproxy/accounts.map shop wait"),
        ("open", {}, "set map /etc/haproxy/accounts.map shop here"),
        ("open", {"to": "10.20.0.21"}, "set map /etc/haproxy/accounts.map shop 10.20.0.21"),
        ("close", {"rehearsal": True}, "show info"),
    ],
)
def test_its_example_of_a_program_does_what_it_says(tmp_path: Path, step: str, more: Any, command: str) -> None:
    (program,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    socat = tmp_path / "socat"
    socat.write_text(f"#!/bin/sh\ncat > {tmp_path}/heard\necho what it says\n")
    socat.chmod(0o755)
    asked = {"step": step, "account": "shop", "hosts": ["shop.example"], "to": None, "rehearsal": False, **more}
    validate(step, "input", asked)
    run = partial(subprocess.run, [sys.executable, "-c", program], input=json.dumps(asked), text=True)
    done = run(env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True)
    assert (done.returncode, (tmp_path / "heard").read_text()) == (0, command)
    assert json.loads(done.stdout) == {}
    socat.write_text("#!/bin/sh\nexit 1\n")
    done = run(env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True)
    assert (done.returncode, done.stderr) == (1, "The load balancer does not answer.\n")


@pytest.mark.parametrize(("step", "seconds"), provisioning.SECONDS.items())
def test_its_limits_are_those_that_are_kept(step: str, seconds: float) -> None:
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{step}` |") and " s" in line and "B |" in line]
    kilobytes = provisioning.KILOBYTES[step]
    size = f"{kilobytes >> 10} MB" if kilobytes >= 1024 else f"{kilobytes} KB"
    assert f"| {seconds:g} s" in row and row.endswith(f"{size} |")
    assert f"{own_programs.MAX_LINE} characters" in PAGE and str(provisioning.STEPS) in PAGE


def test_what_is_really_asked_is_what_the_schema_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "STATE", tmp_path)
    steps = OwnSteps(tmp_path / "steps", monkeypatch).at("web-1").put(*provisioning.SECONDS, rehearsals=True)
    sites = [{"domain": "alice.example", "aliases": [], "root": "web"}]
    alice = Account.from_json({**statement("alice"), "sites": sites, "extras": ["/etc/logrotate.d/alice"]})
    alice.directory.mkdir(parents=True)
    provisioning.provision(alice)
    provisioning.take_away(alice)
    provisioning.rehearse(alice, "close", "open")
    provisioning.close(alice, 5)
    for to in (None, "10.20.0.21"):
        provisioning.let_in(alice, to)
    asked = [{key: value for key, value in each.items() if key != "server"} for each in steps.all_asked]
    assert [each["step"] for each in asked] == ["provision", "provision", "close", "open", "close", "open", "open"]
    for each in asked:
        validate(each["step"], "input", each)
        assert {*each} == {*SCHEMA["$defs"][each["step"]]["input"]["properties"]}


def test_what_is_not_so_is_found_out() -> None:
    for step, side, value in (
        ("close", "input", {"step": "open"}),
        ("discover", "output", {"accounts": [{"account": "Shop"}]}),
        ("discover", "output", []),
    ):
        with pytest.raises(ValidationError):
            validate(step, side, value)
