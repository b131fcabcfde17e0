"""A certificate that came from another server is looked at and taken by the front before it lies where it is loaded."""

from types import SimpleNamespace

import pytest

from include.agent.host.system import Refused
from include.agent.layouts import certificates, haproxy
from include.agent.layouts.native import front
from tests.support.certificates import certificate, key_of, pem_of

ALICE = SimpleNamespace(name="alice", domains=["alice.example", "www.alice.example"], wildcards=[])
BOB = SimpleNamespace(name="bob", domains=["bob.example", "shop.bob.example"], wildcards=["*.all.example"])


KEY, OTHER = key_of(), key_of()
GOOD = pem_of(KEY) + certificate(KEY, "alice.example", "mail.alice.example")


class Front:
    """A HAProxy that takes what it is told to, or not."""

    def __init__(self, tmp_path, monkeypatch) -> None:
        self.asked: list[str] = []
        self.takes = True
        for name, path in (("CERTIFICATES", tmp_path / "certificates"), ("RUNTIME", tmp_path / "run")):
            monkeypatch.setattr(certificates, name, path)
        monkeypatch.setattr(certificates, "all_accounts", lambda: [ALICE, BOB])
        monkeypatch.setattr(haproxy.HAProxy, "command", lambda _front, text: self.command(text))
        self.stored = tmp_path / "certificates" / "alice.example.pem"

    def command(self, text: str) -> str:
        self.asked.append(text.split("<<")[0])
        return "" if text.startswith("show") else "Success!" if self.takes else "no start line\x1b[2K"


@pytest.fixture
def running(tmp_path, monkeypatch) -> Front:
    return Front(tmp_path, monkeypatch)


def test_a_good_one_is_used_first_and_kept_then(running: Front) -> None:
    front.put_certificate("alice.example", GOOD)
    assert running.stored.read_text() == GOOD and running.stored.stat().st_mode & 0o777 == 0o600
    assert [text.split()[0] for text in running.asked] == ["show", "new", "set", "commit", "add"]


def test_what_the_front_does_not_take_is_not_kept(running: Front) -> None:
    running.takes = False
    with pytest.raises(Refused, match="does not take") as refused:
        front.put_certificate("alice.example", GOOD)
    assert not running.stored.exists() and refused.value.message.isprintable()
    assert [text.split()[0] for text in running.asked][-2:] == ["abort", "del"]


@pytest.mark.parametrize(
    "pem",
    [
        "",
        "pem",
        "-----BEGIN PRIVATE KEY-----\nno key\n-----END PRIVATE KEY-----\n",
        pem_of(KEY),
        certificate(KEY, "alice.example"),
        pem_of(OTHER) + certificate(KEY, "alice.example"),
        pem_of(KEY, b"secret") + certificate(KEY, "alice.example"),
        GOOD.replace("MI", "XX"),
        "\0" + GOOD.replace("-----BEGIN CERTIFICATE", "-----BEGIN NOTHING"),
    ],
)
def test_what_is_no_key_with_its_certificate_never_reaches_the_front(running: Front, pem: str) -> None:
    with pytest.raises(Refused) as refused:
        front.put_certificate("alice.example", pem)
    assert refused.value.code == "bad_certificate"
    assert not running.asked and not running.stored.exists()


@pytest.mark.parametrize(
    "names", [("bob.example",), ("alice.example", "SHOP.bob.example"), ("*.bob.example",), ("x.y.all.example",), ()]
)
def test_one_that_is_also_for_a_neighbours_site_is_refused(running: Front, names: tuple[str, ...]) -> None:
    pem = pem_of(KEY) + certificate(KEY, *names, common="alice.example" if names else "bob.example")
    with pytest.raises(Refused, match="which is bob's here") as refused:
        front.put_certificate("alice.example", pem)
    assert refused.value.code == "foreign_certificate" and not running.asked and not running.stored.exists()
