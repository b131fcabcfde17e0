"""By which of a server's addresses its mail reaches the world: what Postfix is told, and what its files make of it."""

from __future__ import annotations

import re
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from include.agent.layouts.native import mail

POSTFIX = Path(__file__).parents[5] / "infrastructure/common/etc/postfix"


class Postfix:
    """Its settings, and how often it read them again."""

    def __init__(self, settings: dict[str, str]) -> None:
        self.settings, self.reloads = settings, 0

    def run(self, argv: list[str]) -> CompletedProcess[bytes]:
        program, *words = argv
        assert program == "postconf"
        if words[0] == "-e":
            self.settings |= {
                key.strip(): value.strip() for key, _, value in (word.partition("=") for word in words[1:])
            }
            return CompletedProcess(argv, 0, b"", b"")
        return CompletedProcess(argv, 0, "".join(f"{key} = {self.settings[key]}\n" for key in words).encode(), b"")

    def reload(self) -> None:
        self.reloads += 1


@pytest.fixture
def postfix(monkeypatch, tmp_path) -> Postfix:
    laid_down = dict.fromkeys(("sent_from_address", "sent_from_address6"), "")
    postfix = Postfix(laid_down)
    monkeypatch.setattr(mail, "run", postfix.run)
    monkeypatch.setattr(mail, "reload_postfix", postfix.reload)
    monkeypatch.setattr(mail, "RUNTIME", tmp_path)
    return postfix


@pytest.mark.parametrize(
    ("addresses", "four", "six"),
    [
        (["198.51.100.11", "2001:db8:100::11"], "198.51.100.11", "2001:db8:100::11"),
        # On a transit after the reroute: the original's own come first.
        (
            ["198.51.100.11", "2001:db8:100::11", "198.51.100.21", "2001:db8:100::21"],
            "198.51.100.11",
            "2001:db8:100::11",
        ),
        (["198.51.100.11"], "198.51.100.11", ""),
        (["2001:db8:100::11"], "", "2001:db8:100::11"),
        ([], "", ""),
    ],
)
def test_the_first_of_each_family_is_the_one(postfix, addresses, four, six):
    postfix.settings |= {"sent_from_address": "192.0.2.1", "sent_from_address6": "2001:db8::1"}
    mail.send_from(addresses)
    assert (postfix.settings["sent_from_address"], postfix.settings["sent_from_address6"]) == (four, six)
    assert postfix.reloads == 1


def test_what_is_so_already_is_left_alone(postfix):
    mail.send_from([])
    assert postfix.reloads == 0
    for _ in range(3):
        mail.send_from(["198.51.100.11", "2001:db8:100::11"])
    assert postfix.reloads == 1


def test_mail_to_the_world_and_no_other_leaves_by_it():
    """Mail between servers, and what enters the queue again by 127.0.0.1, must not come from a service address: the
    other server takes it as its own from 127.0.0.1 alone, and an address may lead elsewhere by then."""
    main = dict(re.findall(r"^(\w+) = ?(.*)$", (POSTFIX / "main.cf").read_text(), re.MULTILINE))
    services = re.findall(r"^(\w+) +unix .* (\w+)\n((?:    .*\n)*)", (POSTFIX / "master.cf").read_text(), re.MULTILINE)
    bound = [name for name, _, options in services if "smtp_bind_address" in options]
    assert bound == [main["default_transport"]] == ["outside"]
    (options,) = [options for name, program, options in services if (name, program) == ("outside", "smtp")]
    assert options.split() == [
        "-o",
        "smtp_bind_address=$sent_from_address",
        "-o",
        "smtp_bind_address6=$sent_from_address6",
    ]
    assert main["sent_from_address"] == main["sent_from_address6"] == "", "until the agent knows"
    assert "smtp_bind_address" not in main
    assert not mail.BY.enter_again.startswith("outside")
