"""What is no account's on a server: kept from look to look, and signed for, thing by thing."""

import psycopg
import pytest

from include import registry
from include.registry import RegistryRefused
from tests.registry import host

ERP, DATA = ("files", "/srv/erp/", "3 files."), ("mount", "/data", "A disk.")


@pytest.fixture
def conn(conn: psycopg.Connection) -> psycopg.Connection:
    host.add_host(conn)
    return conn


def names(conn: psycopg.Connection, server: str = "vps-1") -> list[tuple[str, str | None]]:
    return [(one.name, one.signed_by) for one in registry.unclaimed_of(conn, server)]


def sign(
    conn: psycopg.Connection, kind: str = "files", name: str = "/srv/erp/", reason: str = "known", by: str = "olga"
) -> registry.Unclaimed:
    return registry.sign_unclaimed(conn, "vps-1", kind, name, reason, by)


def test_a_signature_is_for_that_thing_and_lasts_while_it_is_there(conn: psycopg.Connection) -> None:
    registry.record_unclaimed(conn, "vps-1", [ERP, DATA])
    signed = sign(conn)
    assert (signed.signed_by, signed.reason) == ("olga", "known") and signed.signed_at is not None
    assert names(conn) == [("/data", None), ("/srv/erp/", "olga")], "what nobody has signed for comes first"
    registry.record_unclaimed(conn, "vps-1", [("files", "/srv/erp/", "4 files."), DATA])
    (_, again) = registry.unclaimed_of(conn, "vps-1")
    assert (again.sentence, again.signed_by, again.first_seen) == ("4 files.", "olga", signed.first_seen)


@pytest.mark.parametrize("other", [("files", "/srv/erp2/", "3 files."), ("mount", "/srv/erp/", "A disk.")])
def test_another_kind_or_name_is_another_thing(conn: psycopg.Connection, other: tuple[str, str, str]) -> None:
    registry.record_unclaimed(conn, "vps-1", [ERP])
    sign(conn)
    registry.record_unclaimed(conn, "vps-1", [other])
    assert names(conn) == [(other[1], None)]


def test_what_is_gone_is_gone_and_new_when_it_comes_back(conn: psycopg.Connection) -> None:
    registry.record_unclaimed(conn, "vps-1", [ERP])
    sign(conn)
    registry.record_unclaimed(conn, "vps-1", [])
    assert names(conn) == []
    registry.record_unclaimed(conn, "vps-1", [ERP])
    assert names(conn) == [("/srv/erp/", None)]


def test_each_server_has_its_own(conn: psycopg.Connection) -> None:
    registry.record_unclaimed(conn, "vps-1", [ERP])
    registry.record_unclaimed(conn, "transit-1", [ERP])
    sign(conn)
    assert names(conn) == [("/srv/erp/", "olga")] and names(conn, "transit-1") == [("/srv/erp/", None)]


def test_who_has_signed_first_stays_and_what_was_not_seen_is_not_signed_for(conn: psycopg.Connection) -> None:
    registry.record_unclaimed(conn, "vps-1", [ERP])
    sign(conn)
    assert sign(conn, by="bert", reason="other").signed_by == "olga"
    for wrong in ({"kind": "mount"}, {"name": "/srv"}, {"reason": " \n"}):
        with pytest.raises(RegistryRefused) as refused:
            sign(conn, **wrong)
        assert str(refused.value).endswith(".") and "\n" not in str(refused.value)
    with pytest.raises(RegistryRefused, match="no server nowhere"):
        registry.record_unclaimed(conn, "nowhere", [])
    signed = [event for event in registry.list_events(conn, server="vps-1") if event.kind == "unclaimed.signed"]
    assert [(event.by, event.detail) for event in signed] == [
        ("olga", {"kind": "files", "name": "/srv/erp/", "reason": "known"})
    ]
