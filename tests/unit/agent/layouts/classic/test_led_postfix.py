"""The host's Postfix is led to our tables and let go again, on real files and by Postfix's own postconf."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from include.agent.host.system import Refused, refuse
from include.agent.layouts.classic import led_postfix

MAIN = """\
# See /usr/share/postfix/main.cf.dist
compatibility_level = 3.6
myhostname = mail.host.example
mydestination = $myhostname, localhost
virtual_mailbox_domains = mysql:/etc/postfix/domains.cf
# what the panel made
virtual_mailbox_maps =
    hash:/etc/postfix/boxes,
# no comment ends a setting
\thash:/etc/postfix/more

virtual_alias_maps=hash:/etc/postfix/virtual
virtual_transport = lmtp:unix:private/dovecot-lmtp
"""
MASTER = """\
smtp      inet  n       -       y       -       -       smtpd
smtp      unix  -       -       y       -       -       smtp
  -o smtp_helo_timeout=5
#submission inet n       -       y       -       -       smtpd
retry     unix  -       -       y       -       -       error
"""
OURS = "texthash:/etc/transhumance/mail"


class Host:
    """A server's Postfix, and how often it read its files again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.reloads = folder, 0

    def write(self, main: str = MAIN, master: str = MASTER) -> None:
        (self.folder / "main.cf").write_bytes(main.encode())
        (self.folder / "master.cf").write_bytes(master.encode())

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.folder.glob("*.cf")}

    def says(self, *words: str) -> str:
        return subprocess.run(
            ["postconf", "-c", self.folder, *words], capture_output=True, text=True, check=True
        ).stdout

    def value(self, name: str) -> str:
        return self.says("-h", name).strip()

    def reload(self) -> None:
        self.reloads += 1


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Host:
    (tmp_path / "postfix").mkdir()
    host = Host(tmp_path / "postfix")
    host.write()
    monkeypatch.setattr(led_postfix, "FOLDER", host.folder)
    monkeypatch.setattr(led_postfix, "KEPT", tmp_path / "state" / "postfix.json")
    monkeypatch.setattr(led_postfix, "check", lambda: None)
    monkeypatch.setattr(led_postfix, "reload_postfix", host.reload)
    monkeypatch.setattr(led_postfix, "_require_free_port", lambda: None)
    return host


def test_ours_are_looked_at_first_and_the_hosts_after_them(host: Host) -> None:
    led_postfix.lead_here()
    assert host.value("virtual_mailbox_domains") == f"{OURS}/domains, mysql:/etc/postfix/domains.cf"
    assert host.value("virtual_mailbox_maps") == f"{OURS}/mailboxes, hash:/etc/postfix/boxes, hash:/etc/postfix/more"
    assert host.value("virtual_alias_maps") == f"{OURS}/aliases, hash:/etc/postfix/virtual"
    assert host.value("virtual_alias_domains") == f"!{OURS}/domains, $virtual_alias_maps"
    assert host.value("transport_maps") == f"{OURS}/transport"
    services = host.says("-M")
    assert "transhumance unix" in services and "127.0.0.1:26 inet" in services
    assert MASTER in (host.folder / "master.cf").read_text()
    assert host.reloads == 1


@pytest.mark.parametrize(
    "main",
    [
        MAIN,
        MAIN.rstrip("\n"),
        MAIN + "transport_maps = hash:/etc/postfix/transport\n",
        MAIN + "# r\xe9glages de l'h\xf4te\n",
        MAIN + "virtual_alias_maps = hash:/etc/postfix/second\n",
        "compatibility_level = 3.6\n",
        "compatibility_level = 3.6\nvirtual_alias_domains =\nvirtual_mailbox_maps = \n",
    ],
)
@pytest.mark.parametrize("sent_from", [False, True])
def test_what_stood_there_stands_there_again_word_for_word(host: Host, main: str, sent_from: bool) -> None:
    host.write(main)
    before = host.files()
    led_postfix.lead_here()
    assert host.files() != before
    if sent_from:
        led_postfix.send_from({4: "198.51.100.7", 6: ""})
    led_postfix.let_go()
    assert host.files() == before
    assert not led_postfix.KEPT.exists()


def test_another_encoding_is_kept(host: Host) -> None:
    host.write()
    with (host.folder / "main.cf").open("ab") as file:
        file.write(b"# r\xe9glages\n")
    before = host.files()
    led_postfix.lead_here()
    led_postfix.let_go()
    assert host.files() == before


def test_leading_twice_is_leading_once(host: Host) -> None:
    led_postfix.lead_here()
    led = host.files()
    led_postfix.lead_here()
    assert (host.files(), host.reloads) == (led, 1)


def test_what_the_host_changes_meanwhile_stays(host: Host) -> None:
    led_postfix.lead_here()
    main = host.folder / "main.cf"
    text = main.read_text().replace("hash:/etc/postfix/virtual", "hash:/etc/postfix/virtual, hash:/etc/postfix/lists")
    main.write_text(text + "message_size_limit = 1\n")
    (host.folder / "master.cf").write_text((host.folder / "master.cf").read_text() + "mine unix - - y - - smtp\n")
    led_postfix.let_go()
    assert host.value("virtual_alias_maps") == "hash:/etc/postfix/virtual, hash:/etc/postfix/lists"
    assert host.value("message_size_limit") == "1" and "mine" in host.says("-M")
    assert "transhumance" not in main.read_text() + (host.folder / "master.cf").read_text()
    assert led_postfix.entry_of(main.read_text(), "virtual_mailbox_maps") == led_postfix.entry_of(
        MAIN, "virtual_mailbox_maps"
    )


def test_what_the_host_has_added_to_a_setting_that_was_not_there_stays(host: Host) -> None:
    led_postfix.lead_here()
    main = host.folder / "main.cf"
    main.write_text(main.read_text().replace(f"{OURS}/transport", f"{OURS}/transport, hash:/etc/postfix/transport"))
    led_postfix.let_go()
    assert host.value("transport_maps") == "hash:/etc/postfix/transport"
    assert (
        host.value("virtual_alias_domains") == "$virtual_alias_maps" and "virtual_alias_domains" not in main.read_text()
    )


def test_what_the_host_has_written_anew_is_led_again(host: Host) -> None:
    led_postfix.lead_here()
    anew = MAIN.replace("hash:/etc/postfix/virtual", "hash:/etc/postfix/anew")
    host.write(anew)
    led_postfix.lead_here()
    assert host.value("virtual_alias_maps") == f"{OURS}/aliases, hash:/etc/postfix/anew"
    led_postfix.let_go()
    assert host.files() == {"main.cf": anew.encode(), "master.cf": MASTER.encode()}


@pytest.mark.parametrize("led_before", [False, True])
def test_what_postfix_does_not_take_is_put_back(host: Host, monkeypatch: pytest.MonkeyPatch, led_before: bool) -> None:
    if led_before:
        led_postfix.lead_here()
        (host.folder / "main.cf").write_text(MAIN + "x = y\n")
    before, kept = host.files(), led_postfix.KEPT.read_bytes() if led_before else None
    monkeypatch.setattr(led_postfix, "check", lambda: refuse("command_failed", "postfix check failed."))
    with pytest.raises(Refused, match="postfix check failed"):
        led_postfix.lead_here()
    assert host.files() == before
    assert (led_postfix.KEPT.read_bytes() if led_postfix.KEPT.exists() else None) == kept


def test_letting_go_of_what_is_not_led_changes_nothing(host: Host) -> None:
    led_postfix.let_go()
    assert host.files() == {"main.cf": MAIN.encode(), "master.cf": MASTER.encode()} and host.reloads == 0


@pytest.mark.parametrize("way", ["virtual", "dovecot", "lmtp:inet:10.0.0.1:24"])
def test_mail_that_cannot_be_told_to_wait_is_refused(host: Host, way: str) -> None:
    main = MAIN.replace("lmtp:unix:private/dovecot-lmtp", way)
    host.write(main)
    with pytest.raises(Refused, match="type postconf -e virtual_transport=lmtp:unix:private/dovecot-lmtp"):
        led_postfix.lead_here()
    assert host.files()["main.cf"] == main.encode() and not led_postfix.KEPT.exists()


def test_a_port_that_is_taken_is_refused(monkeypatch: pytest.MonkeyPatch, host: Host) -> None:
    monkeypatch.undo()
    with led_postfix.socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr(led_postfix, "_PORT", taken.getsockname()[1])
        with pytest.raises(Refused, match="Another program has port"):
            led_postfix._require_free_port()
    led_postfix._require_free_port()


@pytest.mark.parametrize("first", [{4: "198.51.100.7", 6: "2001:db8::7"}, {4: "", 6: "2001:db8::7"}, {4: "", 6: ""}])
def test_mail_leaves_by_the_first_service_addresses(host: Host, first: dict[int, str]) -> None:
    led_postfix.lead_here()
    led_postfix.send_from({4: "192.0.2.1", 6: "2001:db8::1"})
    led_postfix.send_from(first)
    assert led_postfix._options(led_postfix._SENDS.values()) == {
        led_postfix._SENDS[family]: address for family, address in first.items() if address
    }
    assert "smtp_helo_timeout=5" in host.says("-M", "smtp/unix")
    reloads = host.reloads
    led_postfix.send_from(first)
    assert host.reloads == reloads, "it was so already"


@pytest.mark.parametrize(
    ("main", "master"),
    [
        (MAIN + "smtp_bind_address = 192.0.2.9\n", MASTER),
        (MAIN, MASTER.replace("  -o smtp_helo", "  -o smtp_bind_address6=2001:db8::9\n  -o smtp_helo")),
    ],
)
def test_a_host_that_says_by_which_address_mail_leaves_is_left_alone(host: Host, main: str, master: str) -> None:
    host.write(main, master)
    led_postfix.lead_here()
    led = host.files()
    led_postfix.send_from({4: "198.51.100.7", 6: ""})
    assert host.files() == led
    led_postfix.let_go()
    assert host.files() == {"main.cf": main.encode(), "master.cf": master.encode()}
