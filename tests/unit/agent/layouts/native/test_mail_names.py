"""Mailboxes and forwarders of an account file: what is accepted, where mail to each ends, and that no name, whatever it
is made of, can forge a line of the mail servers' tables."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.agent.account.accounts import Account, State
from include.agent.host.system import Refused
from include.agent.layouts.native import mail

HASH = "{SHA512-CRYPT}$6$salt$hash"
HERE, CAUGHT = "alice.example", "caught.example"
SERVING, HELD, MOVED = State("serving", 1), State("held", 2), State("moved", 2, to="10.20.0.21", released=True)


def account(boxes: tuple[str, ...] = (), **forwarders: list[str]) -> Account:
    """Names without a domain are at the first one."""
    return Account.from_json(file(boxes, {address: to for address, to in forwarders.items()}))


def file(boxes: Any, forwarders: dict[Any, Any]) -> dict[str, Any]:
    addresses = {
        "domains": [HERE, CAUGHT],
        "mailboxes": [{"address": at(box), "password_hash": HASH} for box in boxes],
        "forwarders": [{"address": at(one), "to": [at(each) for each in to]} for one, to in forwarders.items()],
    }
    return {"account": "alice", "uid": 2001, "gid": 2001, "home": "/home/alice", "mail": addresses}


def at(name: Any) -> Any:
    return f"{name}@{HERE}" if isinstance(name, str) and "@" not in name else name


def refusal(boxes: Any, forwarders: dict[Any, Any]) -> str:
    with pytest.raises(Refused) as refused:
        Account.from_json(file(boxes, forwarders))
    assert refused.value.code == "bad_account_file"
    assert refused.value.message.endswith(".") and refused.value.message.isprintable()
    return refused.value.message


def table(account: Account, name: str, state: State = SERVING) -> dict[str, str]:
    """A table as Postfix reads it; a key may stand in it once."""
    rows = [line.split(" ", 1) for line in mail.tables([(account, state)])[name].splitlines()]
    assert len({key for key, _ in rows}) == len(rows), rows
    return dict(rows)


def ends(account: Account, address: str) -> list[str]:
    """Where a message ends by Postfix's rules for virtual aliases (its manual, virtual(5)) and those of Dovecot: homes
    of mailboxes, and addresses elsewhere."""
    aliases = table(account, "aliases")
    lines = (line.replace("\\'", "'").split(":") for line in mail.tables([(account, SERVING)])["passwd"].splitlines())
    homes = {fields[0]: fields[5] for fields in lines}
    found, work = [], [address.lower()]
    while work:
        one = work.pop()
        name, _, domain = one.partition("@")
        base, plus, extension = name.partition("+")
        if one in aliases:
            to = aliases[one].split(", ")
        elif f"{base}@{domain}" in aliases:
            to = [each.replace("@", f"{plus}{extension}@") for each in aliases[f"{base}@{domain}"].split(", ")]
        else:
            to = aliases.get(f"@{domain}", one).split(", ")
        if one in to:
            # Dovecot cuts the extension off.
            found.append(homes.get(f"{base}@{domain}", one))
        work += [each for each in to if each != one]
        assert len(found) + len(work) < 1000
    return sorted(found)


def home(name: str, domain: str = HERE) -> str:
    return f"/home/alice/mail/{domain}/{name}"


def test_forwarders_stand_in_the_file_as_they_were() -> None:
    whole = file(["info", "Sales_"], {"team": ["info", "a@else.example"], f"@{CAUGHT}": ["info"]})
    assert Account.from_json(whole).to_json()["mail"] == whole["mail"]
    assert "forwarders" not in account(("info",)).to_json()["mail"], "without any, the file is as it always was"
    assert Account.from_json(whole).part_of("mariadb").forwarders == ()


def test_mail_ends_where_the_file_says() -> None:
    boxes = ("o'neil", "sales_", "Info", "a", "a+b", f"box@{CAUGHT}", f"a+b@{CAUGHT}", f"kept@{CAUGHT}")
    one = account(
        boxes,
        team=["o'neil", "sales_", "X@else.example"],
        chain=["team"],
        info=["Info", "a"],
        **{f"@{CAUGHT}": [f"box@{CAUGHT}"], f"kept@{CAUGHT}": [f"kept@{CAUGHT}", "y@else.example"]},
        **{f"to-info@{CAUGHT}": ["INFO@Alice.Example"]},
    )
    team = [home("o'neil"), home("sales_"), "X@else.example"]
    assert ends(one, f"o'neil@{HERE}") == [home("o'neil")]
    assert ends(one, f"TEAM@{HERE}") == ends(one, f"chain@{HERE}") == sorted(team)
    assert ends(one, f"info@{HERE}") == ends(one, f"to-info@{CAUGHT}") == [home("Info"), home("a")]
    assert ends(one, f"a+b@{HERE}") == [home("a+b")]
    assert ends(one, f"a+c@{HERE}") == ends(one, f"a@{HERE}") == [home("a")]
    assert ends(one, f"box+x@{CAUGHT}") == ends(one, f"anything@{CAUGHT}") == [home("box", CAUGHT)]
    assert ends(one, f"a+b@{CAUGHT}") == [home("a+b", CAUGHT)]
    assert ends(one, f"kept@{CAUGHT}") == [home("kept", CAUGHT), "y@else.example"]


def test_nothing_is_forwarded_by_a_server_that_does_not_have_the_account() -> None:
    one = account(("info",), team=["info"], **{f"@{CAUGHT}": ["x@else.example"]})
    for state in (HELD, MOVED, State("moved", 2, to="10.20.0.21"), State("receiving", 2)):
        assert table(one, "aliases", state) == {}
        assert {*table(one, "transport", state)} == {HERE, CAUGHT}
        # Mail that comes for them is known here, so that it waits or goes on.
        assert {f"team@{HERE}", f"@{CAUGHT}"} <= {*table(one, "mailboxes", state)}


def test_what_waited_for_a_forwarder_enters_the_queue_again_and_what_waits_for_a_mailbox_does_not() -> None:
    one = account(("kept", f"box@{CAUGHT}"), team=["kept"], kept=["kept", "x@else.example"], **{f"@{CAUGHT}": ["team"]})
    transport = table(one, "transport")
    again = {key for key, value in transport.items() if value == "smtp:[127.0.0.1]:26"}
    assert again == {f"team@{HERE}", f"kept@{HERE}", CAUGHT}
    assert transport[f"box@{CAUGHT}"] == "lmtp:unix:private/dovecot-lmtp"
    # The mailbox's own address would be forwarded once more, where the account is by then.
    assert table(one, "aliases")[f"kept@{HERE}"] == f"/kept@{HERE}, x@else.example"
    assert f"/kept@{HERE}" in table(one, "mailboxes", MOVED)


@pytest.mark.parametrize(
    ("boxes", "forwarders", "words"),
    [
        ((), {"a": ["a"]}, "leads to itself"),
        ((), {"a": ["b"], "b": ["c"], "c": ["a"]}, "leads to itself"),
        ((), {"a": ["a+x"]}, "leads to itself"),
        (("a",), {"a": ["a+x"]}, "leads to itself"),
        ((), {f"@{CAUGHT}": [f"nobody@{CAUGHT}"]}, "leads to itself"),
        ((), {f"x{n}": [f"x{n + 1}"] for n in range(60)}, "more than 50 others"),
        ((), {f"x{n}": [f"x{n - 1}"] for n in range(1, 2000)}, "more than 50 others"),
        ((), {f"x{n}": [f"x{n + 1}"] for n in range(5000)}, "more than 50 others"),
        ((), {f"x{n}": [f"x{n + 1}", f"x{n + 1}+a"] for n in range(12)}, "more than 1000 messages"),
        ((), {"a": []}, "list `to` of 1 to 100"),
        ((), {"a": [f"x{n}@else.example" for n in range(101)]}, "list `to` of 1 to 100"),
        ((), {"a@else.example": ["info"]}, "one of the account's mail domains"),
        ((), {"@else.example": ["info"]}, "one of the account's mail domains"),
        ((), {f"@{CAUGHT}": ["@else.example"]}, "is no address"),
        ((), {"a": ["|/bin/sh"]}, "is no address"),
        ((), {"a": ["x@localhost"]}, "is no address"),
        (("Info", "info"), {}, "stands twice"),
        ((), {"Info": ["a@else.example"], "info": ["a@else.example"]}, "stands twice"),
    ],
)
def test_other_forwarders_are_refused_with_what_to_do(boxes, forwarders, words: str) -> None:
    assert words in refusal(boxes, forwarders)


def test_a_way_of_fifty_forwarders_is_taken_in_any_order() -> None:
    for numbers in (range(50), reversed(range(50))):
        one = Account.from_json(file((), {f"x{n}": [f"x{n + 1}"] for n in numbers}))
        assert ends(one, f"x0@{HERE}") == [f"x50@{HERE}"]


def test_too_many_forwarders_are_refused() -> None:
    assert "10000 are the most" in refusal((), {f"f{n}": ["x@else.example"] for n in range(10_001)})


def test_forwarders_that_are_none_are_refused() -> None:
    half, one = {"address": f"a@{HERE}"}, {"address": f"a@{HERE}", "to": "x@y.example"}
    strange: tuple[Any, ...] = ("a", [1], [half], [one], [{"to": []}])
    for wrong in strange:
        whole = file((), {})
        whole["mail"]["forwarders"] = wrong
        with pytest.raises(Refused):
            Account.from_json(whole)


# Names that look right but for a sign or two, and any text at all.
_SIGNS = st.text(alphabet="ab.+-_'\\/%!#:;,{}|$`*?=^~&@ \t\n\r\x00\x85\u2028ä\"<>()", min_size=1, max_size=12)
_GOOD = st.from_regex(r"\A[a-cA-C0+'_{|}$`*?=^~&-]{1,4}\Z")
_NAMES = _SIGNS | st.text(max_size=12) | _GOOD
_ADDRESSES = st.builds("{}@{}".format, _NAMES, st.sampled_from([HERE, CAUGHT, "else.example", "x y", ""])) | _SIGNS
_TARGETS = st.builds("{}@{}".format, _GOOD, st.sampled_from([HERE, CAUGHT, "else.example"]))
_OWN = st.builds("{}@{}".format, _GOOD, st.sampled_from([HERE, CAUGHT]))
_SAFE = re.compile(r"/?[a-z0-9#$&'*+/=?^_`{|}~.-]+@[a-z.]+")


def forwarders_of(own: st.SearchStrategy[str], targets: st.SearchStrategy[str]) -> st.SearchStrategy[dict]:
    return st.dictionaries(own | st.just(f"@{CAUGHT}"), st.lists(targets, min_size=1, max_size=3), max_size=4)


@given(st.lists(_ADDRESSES, max_size=3), forwarders_of(_ADDRESSES, _ADDRESSES))
def test_no_name_forges_a_line_of_a_table(boxes: list[str], forwarders: dict[str, list[str]]) -> None:
    try:
        one = Account.from_json(file(boxes, forwarders))
    except Refused as refused:
        assert refused.message.isprintable()
        return
    require_plain_lines(one)


@given(st.lists(_OWN, max_size=4, unique_by=str.lower), forwarders_of(_OWN.map(str.lower), _TARGETS))
def test_every_message_comes_to_an_end(boxes: list[str], forwarders: dict[str, list[str]]) -> None:
    try:
        one = Account.from_json(file(boxes, forwarders))
    except Refused as refused:
        assert "leads to itself" in refused.message, "all else is right here"
        return
    require_plain_lines(one)
    for address in [f"nobody@{CAUGHT}", *(b.key for b in one.mailboxes), *(f.address for f in one.forwarders)]:
        assert ends(one, address)


def require_plain_lines(one: Account) -> None:
    own = {box.key for box in one.mailboxes} | {forwarder.address for forwarder in one.forwarders}
    for state in (SERVING, HELD, MOVED):
        for name, content in mail.tables([(one, state)]).items():
            for line in content.splitlines():
                assert line.isascii() and line.isprintable() and not line.startswith(("#", " "))
                if name == "passwd":
                    fields = line.split(":")
                    assert len(fields) == 8 and fields[2:5] == ["2001", "2001", ""]
                    assert re.fullmatch(r"/home/alice/mail/[a-z.]+/[^/.][^/]*", fields[5])
                    continue
                key, value = line.split(" ", 1)
                assert key in (HERE, CAUGHT, f"@{CAUGHT}") or _SAFE.fullmatch(key), line
                if name == "aliases":
                    assert key in own or key.startswith("/")
                    assert all(_SAFE.fullmatch(to.lower()) for to in value.split(", ")), line
        assert own <= {*table(one, "mailboxes", state)}
