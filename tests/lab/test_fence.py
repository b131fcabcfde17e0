"""One writable copy, whatever dies: hold, deadline, commit and forward on real servers of both Debians."""

import imaplib
import smtplib
import time

import pytest

from include.agent import verbs
from include.hosts import AgentError
from tests.lab.agents import Move, Side, get, measured, side, visitors
from tests.lab.handles import Lab, Running
from tests.lab.waiting import wait_for


@pytest.fixture(scope="module")
def sides(lab: Lab, pair: tuple[Running, Running]) -> tuple[Side, Side]:
    return side(lab, pair[0]), side(lab, pair[1])


def deliver(address: str, to: str, subject: str) -> None:
    with smtplib.SMTP(address, 25, timeout=20) as smtp:
        smtp.sendmail("visitor@visitors.example", [to], f"Subject: {subject}\r\n\r\n{subject}\r\n")


def subjects(address: str, mailbox: str) -> list[str]:
    imap = imaplib.IMAP4(address, timeout=20)
    try:
        imap.login(mailbox, "secret")
        count = int(imap.select("INBOX")[1][0] or 0)
        found = []
        for number in range(1, count + 1):
            part = imap.fetch(str(number), "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1][0]
            assert isinstance(part, tuple), part
            found.append(part[1].decode().strip().removeprefix("Subject: "))
        return found
    finally:
        imap.shutdown()


@pytest.mark.parametrize("which", [0, 1], ids=["debian12", "debian13"])
def test_a_hold_nobody_ends_ends_at_its_deadline(sides: tuple[Side, Side], which: int) -> None:
    here = sides[which]
    here.create("deadline", 2101)
    here.create("neighbour", 2102)
    with (
        visitors(here.address, "deadline.example", 1000) as held,
        visitors(here.address, "neighbour.example", 1000) as others,
    ):
        here.fence("hold", name="deadline", move="m1", epoch=2, seconds=3)
        assert here.state("deadline") == "held"
        time.sleep(4)
    assert here.state("deadline") == "serving"
    assert held.failed == others.failed == []
    assert 2.0 < held.longest < 8
    assert others.longest < 2
    assert here.visits("deadline") == sorted(number for number, _, _ in held.answers)


def test_a_fence_that_is_over_stays_shut(sides: tuple[Side, Side]) -> None:
    here = sides[0]
    here.create("epochs", 2103)
    here.fence("hold", name="epochs", move="m5", epoch=5, seconds=30)
    here.host.call(verbs.Return(account="epochs", move="m5"))
    for move, epoch in (("m4", 4), ("m6", 5)):
        with pytest.raises(AgentError) as error:
            here.fence("hold", name="epochs", move=move, epoch=epoch, seconds=3)
        assert error.value.code == "stale_epoch"
    with pytest.raises(AgentError) as error:
        here.fence("commit", name="epochs", move="m5", epoch=5)
    assert error.value.code == "not_held"
    assert get(here.address, "epochs.example") == 200


def test_nothing_of_a_held_account_writes(sides: tuple[Side, Side]) -> None:
    here = sides[0]
    statement = here.create("writers", 2104)
    here.root("crontab", "-u", "writers", "-", stdin=b"* * * * * true\n")
    as_account = ("setpriv", "--reuid=2104", "--regid=2104", "--clear-groups")
    here.root(*as_account, "sh", "-c", "setsid sleep 600 >/dev/null 2>&1 &")
    here.fence("hold", name="writers", move="m1", epoch=2, seconds=60)
    assert here.root("ps", "-o", "pid=", "-u", "2104", check=False).strip() == ""
    assert "no crontab" in here.root("sh", "-c", "crontab -u writers -l 2>&1 || true")
    mailbox = statement["mail"]["mailboxes"][0]["address"]
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        deliver(here.address, mailbox, "too early")
    assert refused.value.recipients[mailbox][0] == 450
    with pytest.raises(imaplib.IMAP4.error, match="UNAVAILABLE"):
        subjects(here.address, mailbox)
    here.host.call(verbs.Return(account="writers", move="m1"))
    assert "* * * * * true" in here.root("crontab", "-u", "writers", "-l")
    deliver(here.address, mailbox, "in time")
    wait_for(lambda: subjects(here.address, mailbox) == ["in time"], 10, "the mail arrives")


def test_an_account_moves_out_and_home_and_nobody_is_turned_away(sides: tuple[Side, Side]) -> None:
    old, new = sides
    statement = old.create("traveller", 2105)
    deliver(old.address, "info@traveller.example", "before")
    wait_for(lambda: subjects(old.address, "info@traveller.example") == ["before"], 10, "the mail arrives")
    out = Move("out1", 2, statement, old, new).prepare()
    with visitors(old.address, "traveller.example", 1000) as crowd:
        done = out.switch()
    assert measured(done.verified).equal and measured(done.verified).messages == 1
    assert crowd.failed == []
    assert (old.state("traveller"), new.state("traveller")) == ("moved", "serving")
    deliver(old.address, "info@traveller.example", "through the original")
    wait_for(lambda: len(subjects(new.address, "info@traveller.example")) == 2, 10, "the second mail arrives")
    assert subjects(old.address, "info@traveller.example") == ["before", "through the original"]
    home = Move("home1", 3, statement, new, old).prepare()
    with visitors(old.address, "traveller.example", 5000) as back:
        home.switch()
    assert back.failed == []
    assert old.visits("traveller") == sorted(n for c in (crowd, back) for n, _, _ in c.answers)
    assert subjects(old.address, "info@traveller.example") == ["before", "through the original"]
    new.host.call(verbs.Remove(account="traveller"))
    assert new.state("traveller") == "absent"
    left = new.root("sh", "-c", "ls /run/transhumance-*; systemctl list-units --all '*@traveller.*'")
    assert "traveller" not in left


def test_killed_between_hold_and_commit(sides: tuple[Side, Side]) -> None:
    old, new = sides
    move = Move("kill1", 2, old.create("killed", 2106), old, new).prepare()
    with visitors(old.address, "killed.example", 1000) as crowd:
        old.fail_at("held")
        move.switch_that_is_killed(4)
        wait_for(lambda: old.state("killed") == "serving", 8, "the source serves again")
        assert get(old.address, "killed.example", 1) == 200
        assert new.state("killed") == "receiving"
        move.switch()
    assert crowd.failed == []
    assert new.visits("killed") == sorted([1, *(number for number, _, _ in crowd.answers)])


def test_killed_right_after_commit_goes_forward(sides: tuple[Side, Side]) -> None:
    old, new = sides
    move = Move("kill2", 2, old.create("committed", 2107), old, new).prepare()
    with visitors(old.address, "committed.example", 1000) as crowd:
        old.fail_at("committed")
        move.switch_that_is_killed(60)
        assert old.state("committed") == "moved"
        with pytest.raises(AgentError) as error:
            old.host.call(verbs.Return(account="committed", move="kill2"))
        assert error.value.code == "committed"
        assert measured(move.switch(60).verified).equal
    assert crowd.failed == []
    assert new.visits("committed") == sorted(number for number, _, _ in crowd.answers)


def test_killed_right_after_commit_goes_forward_with_nobody_there(sides: tuple[Side, Side]) -> None:
    old, new = sides
    move = Move("kill3", 2, old.create("alone", 2108), old, new).prepare()
    with visitors(old.address, "alone.example", 1000) as crowd:
        old.fail_at("committed")
        move.switch_that_is_killed(5)
        wait_for(lambda: new.state("alone") == "serving", 12, "the target serves")
    assert crowd.failed == []


def test_what_differs_is_not_committed(sides: tuple[Side, Side]) -> None:
    old, new = sides
    move = Move("differs", 2, old.create("differs", 2109), old, new).prepare()
    compared = old.host.run("differs-verify", verbs.Verify(**move.args()))
    assert compared.equal
    as_account = ("setpriv", "--reuid=2109", "--regid=2109", "--clear-groups")
    old.root(*as_account, "tee", "/home/differs/fresh", stdin=b"fresh")
    compared = old.host.run("differs-verify2", verbs.Verify(**move.args()))
    assert not compared.equal and "fresh" in " ".join(compared.differences)
    assert old.state("differs") == "serving"


def test_a_server_with_an_account_is_not_empty(sides: tuple[Side, Side]) -> None:
    here = sides[0]
    here.create("present", 2110)
    proof = here.host.call(verbs.ProveEmpty())
    assert not proof.empty
    assert "The account present is serving here." in proof.because


def test_a_reboot_returns_what_was_held(sides: tuple[Side, Side]) -> None:
    here = sides[1]
    here.create("rebooted", 2111)
    here.host.call(verbs.AcceptIps(ips=["198.51.100.99", "2001:db8:100::99"]))
    here.fence("hold", name="rebooted", move="m1", epoch=2, seconds=80)
    here.root("systemctl", "reboot", "--force", check=False)
    time.sleep(2)

    def answers() -> bool:
        try:
            return get(here.address, "rebooted.example", 1) == 200
        except OSError:
            return False

    wait_for(answers, 60, "the site answers again")
    assert here.state("rebooted") == "serving"
    addresses = here.root("ip", "address", "show", "dev", "lo")
    assert "198.51.100.99/32" in addresses and "2001:db8:100::99/128" in addresses
    here.host.call(verbs.DropIps(ips=["198.51.100.99", "2001:db8:100::99"]))
