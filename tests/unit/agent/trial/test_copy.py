"""A test copy: where its state leads, what nginx is told of it, and how a restore's words become findings."""

import pytest

from include.agent.account import accounts
from include.agent.account.accounts import Account, State
from include.agent.host.system import Refused
from include.agent.layouts import trial_names
from include.agent.layouts.native import front, mail
from include.agent.stores.postgresql.duplicate import notes_of_pg_restore
from include.agent.trial import copy
from tests.support.account_files import FILE, changed

ALICE = Account.from_json(FILE)
NAME = "t12-alice.test.example"
TEST = {"names": {"alice.example": NAME}, "stores": ["files", "mariadb"]}


def test_a_copy_is_open_to_visitors_and_to_mail_from_here_if_it_has_files() -> None:
    assert front.entry(State("test", 2, test=TEST)) == "serve"
    assert mail.route(State("test", 2, test=TEST)) == "here"
    assert mail.route(State("test", 2, test={"names": {}, "stores": ["mariadb"]})) == "later"


@pytest.mark.parametrize("state", ["serving", "held", "moved", "receiving"])
def test_from_a_test_nothing_leads_but_its_end(state: str, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(accounts, "STATE", tmp_path)
    accounts.put_state("alice", State("receiving", 2, "t12"))
    accounts.put_state("alice", State("test", 2, "t12", test=TEST))
    with pytest.raises(Refused, match="is test here and cannot become"):
        accounts.put_state("alice", State(state, 3, "m1"))
    assert accounts.state_of("alice").test == TEST
    accounts.put_state("alice", State("absent", 2))
    assert accounts.state_of("alice").test == {}


def test_a_copy_is_asked_for_by_its_test_names_only(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(accounts, "STATE", tmp_path)
    assert front.hosts(ALICE) == ["alice.example", "www.alice.example"]
    accounts.put_state("alice", State("receiving", 2, "t12"))
    accounts.put_state("alice", State("test", 2, "t12", test=TEST))
    assert front.hosts(ALICE) == [NAME]


def test_nginx_asks_the_site_in_its_own_name_and_leads_its_answer_back() -> None:
    block = trial_names.blocks(ALICE, {**TEST, "hosts": {"alice.example": "www.alice.example"}})
    assert f"server_name {NAME};" in block and "proxy_set_header Host www.alice.example;" in block
    assert f'sub_filter "//alice.example/" "//{NAME}/";' in block
    assert f'sub_filter "//www.alice.example\\"" "//{NAME}\\"";' in block
    assert f'sub_filter "\\\\/\\\\/alice.example\\\\" "\\\\/\\\\/{NAME}\\\\";' in block
    assert '"//alice.example"' not in block, "or alice.example.org would be led astray"
    assert block.count("{") == block.count("}")


def test_nginx_is_given_no_more_replacements_than_it_takes() -> None:
    aliases = [f"www{number}.alice.example" for number in range(100)]
    site = {"domain": "alice.example", "aliases": aliases, "root": "public_html"}
    block = trial_names.blocks(Account.from_json(changed(sites=[site])), TEST)
    assert 200 < block.count("sub_filter ") <= 255


def test_a_site_without_a_test_name_has_no_block() -> None:
    assert trial_names.blocks(ALICE, {"names": {}, "stores": ["postgresql"]}) == ""


@pytest.mark.parametrize("stores", [None, [], "files", ["mail"], [["files"]], {}])
def test_stores_are_some_of_the_three(stores) -> None:
    with pytest.raises(Refused, match="must be some of"):
        copy.check_stores(stores)
    assert copy.check_stores(["mariadb", "files"]) == ["files", "mariadb"]


SAID = """pg_restore: connecting to database for restore
pg_restore: creating TABLE "public.items"
pg_restore: creating VIEW "public.uses it"
pg_restore: while PROCESSING TOC:
pg_restore: from TOC entry 218; 1259 16391 VIEW uses it alice
pg_restore: error: could not execute query: ERROR:  function pg_file_rename(unknown, unknown) does not exist
LINE 2:  SELECT pg_file_rename('a', 'b') AS x;
                ^
HINT:  No function matches the given name and argument types.
Command was: CREATE VIEW public."uses it" AS
 SELECT 1;
pg_restore: error: could not execute query: ERROR:  relation "public.uses it" does not exist
Command was: ALTER TABLE public."uses it" OWNER TO alice;
pg_restore: processing data for table "public.items"
pg_restore: from TOC entry 3400; 0 16400 TABLE DATA items alice
pg_restore: error: COPY failed for table "items": ERROR:  new row violates check constraint
CONTEXT:  COPY items, line 1
pg_restore: executing SEQUENCE SET items_id_seq
pg_restore: creating INDEX "public.odd"
pg_restore: WARNING:  this is odd
pg_restore: warning: errors ignored on restore: 3
"""


def test_each_word_of_pg_restore_has_its_object() -> None:
    said, empty = notes_of_pg_restore("app", SAID)
    assert [(remark.severity, remark.object, remark.message) for remark in said] == [
        ("error", "VIEW public.uses it", "function pg_file_rename(unknown, unknown) does not exist"),
        ("error", "rows of public.items", 'COPY failed for table "items": new row violates check constraint'),
        ("warning", "INDEX public.odd", "this is odd"),
    ]
    assert all(remark.database == "app" for remark in said)
    assert empty == ["rows of public.items"]
