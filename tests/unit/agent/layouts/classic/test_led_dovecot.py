"""The host's Dovecot asks our file first, or nothing of it stays."""

from __future__ import annotations

from pathlib import Path
from subprocess import CompletedProcess

import pytest

from include.agent.host.system import Refused
from include.agent.layouts.classic import led_dovecot

VERSIONS = {"2.3": b"2.3.19.1 (9b53102964)\n", "2.4": b"2.4.1-4 (7d8c0e5759)\n"}
OLD = """\
auth_username_chars = abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_@+/'&=~^#*?`{|}$
lmtp_proxy = yes
passdb {
  args = username_format=%u /etc/transhumance/mail/%{if;%s;eq;smtp;senders;passwd}
  driver = passwd-file
}
passdb {
  args = /etc/dovecot/dovecot-sql.conf.ext
  driver = sql
}
"""
NEW = """\
auth_username_chars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_@+/\\'&=~^#*?`{|}$"
lmtp_proxy = yes
passdb transhumance {
  driver = passwd-file
  passwd_file_path = /etc/transhumance/mail/%{protocol | if('eq', 'smtp', 'senders', 'passwd')}
}
passdb sql {
  default_password_scheme = SHA512-CRYPT
}
"""
PROTOCOLS = {"2.3": "protocols =  imap lmtp\n", "2.4": "protocols {\n  imap = yes\n  lmtp = yes\n}\n"}


class Dovecot:
    """What its programs print, and what systemd was told."""

    def __init__(self, release: str, settings: str, protocols: str) -> None:
        self.release, self.settings, self.protocols = release, settings, protocols
        self.told: list[str] = []

    def run(self, argv: list[str]) -> CompletedProcess[bytes]:
        if argv[0] == "systemctl":
            self.told.append(argv[1])
        printed = {"dovecot": VERSIONS[self.release], "systemctl": b""}.get(argv[0])
        if printed is None:
            printed = (self.settings if argv[-1] == "-n" else self.protocols).encode()
        return CompletedProcess(argv, 0, printed, b"")


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    ours = tmp_path / "conf.d" / "00-transhumance.conf"
    monkeypatch.setattr(led_dovecot, "OURS", ours)
    return ours


@pytest.mark.parametrize(("release", "settings"), [("2.3", OLD), ("2.4", NEW)])
def test_it_is_led_once_and_let_go(monkeypatch: pytest.MonkeyPatch, ours: Path, release: str, settings: str) -> None:
    dovecot = Dovecot(release, settings, PROTOCOLS[release])
    monkeypatch.setattr(led_dovecot, "run", dovecot.run)
    for _ in range(2):
        led_dovecot.lead_here()
        assert ours.read_text() == led_dovecot.content(release)
    assert dovecot.told == ["reload-or-restart"]
    for _ in range(2):
        led_dovecot.let_go()
        assert not ours.exists()
    assert dovecot.told == ["reload-or-restart"] * 2


@pytest.mark.parametrize(
    ("release", "settings", "protocols", "why"),
    [
        ("2.3", OLD.replace("passdb", "userdb", 1), PROTOCOLS["2.3"], "before any passdb"),
        ("2.4", "passdb sql {\n}\n\n\n\n" + NEW, PROTOCOLS["2.4"], "before any passdb"),
        ("2.3", "", PROTOCOLS["2.3"], "before any passdb"),
        ("2.3", OLD, "protocols =  imap pop3\n", "type apt-get install dovecot-lmtpd"),
        ("2.4", NEW, "protocols {\n  imap = yes\n  lmtp = no\n}\n", "type apt-get install dovecot-lmtpd"),
        ("2.3", OLD.replace("+/'", "+'"), PROTOCOLS["2.3"], "sets auth_username_chars after"),
        ("2.4", NEW.replace("lmtp_proxy = yes", "lmtp_proxy = no"), PROTOCOLS["2.4"], "sets lmtp_proxy after"),
    ],
)
@pytest.mark.parametrize("before", [None, "of an older agent\n"])
def test_what_keeps_ours_from_being_asked_first_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
    ours: Path,
    release: str,
    settings: str,
    protocols: str,
    why: str,
    before: str | None,
) -> None:
    dovecot = Dovecot(release, settings, protocols)
    monkeypatch.setattr(led_dovecot, "run", dovecot.run)
    if before is not None:
        ours.parent.mkdir()
        ours.write_text(before)
    with pytest.raises(Refused, match=why) as refused:
        led_dovecot.lead_here()
    assert refused.value.message.endswith("prepare again.") and refused.value.message.isprintable()
    assert (ours.read_text() if ours.exists() else None) == before
    assert dovecot.told == []


def test_any_sign_is_good_where_the_host_allows_all(monkeypatch: pytest.MonkeyPatch, ours: Path) -> None:
    every = OLD.replace(OLD.splitlines()[0], "auth_username_chars = ")
    monkeypatch.setattr(led_dovecot, "run", Dovecot("2.3", every, PROTOCOLS["2.3"]).run)
    led_dovecot.lead_here()
    assert ours.exists()


def test_an_unknown_dovecot_is_refused() -> None:
    with pytest.raises(Refused, match="Dovecot '2.9' is not known: use one of 2.3, 2.4"):
        led_dovecot.content("2.9")
