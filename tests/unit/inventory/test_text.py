"""The document is read as it is written, and whatever is wrong in it is told in one sentence with its line."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from include.inventory import text
from include.inventory.document import Inventory

DOCS = Path(__file__).parents[3] / "docs"
WHOLE = """\
sites:
- name: Zürich 1
plans:
- name: VPS M
  cpus: 2
  memory: 4 GiB
  disk: 80 GB
  prices:
  - monthly: 29.90
    currency: CHF
  - monthly: 31
    currency: CHF
    from: 2027-01-01
customers:
- name: Alpine Herders
  mail: herders@example.net
servers:
- name: vps-1
  kind: vps
  plan: VPS M
  site: Zürich 1
  customer: Alpine Herders
  infrastructure: 2022
  management_address: 198.51.100.11
  service_addresses: [198.51.100.11, "2001:DB8:100::11"]
- name: 1web
  kind: shared
  plan: VPS M
  site: Zürich 1
  infrastructure: "2026"
  management_address: fd20::9
  lan_address: 10.30.0.9
  lan_address6: fd30::9
  host_key: ssh-ed25519 AAAA
zones:
- name: Example.net.
  primary_server: ns1.example.net
  key_connection: names
"""


def test_everything_is_read_as_it_is_written():
    document = text.read(WHOLE)
    (plan,) = document.plans
    assert (plan.memory, plan.disk, plan.prices[0].monthly) == (4 << 30, 80 * 10**9, Decimal("29.90"))
    web, vps = document.servers
    assert (web.name, vps.name) == ("1web", "vps-1"), "in the order of their names"
    assert (vps.infrastructure, vps.lan_address, vps.lan_address6) == ("2022", None, None)
    assert vps.service_addresses == ("198.51.100.11", "2001:db8:100::11")
    assert document.zones[0].name == "example.net"


def test_what_is_written_is_read_as_the_same():
    document = text.read(WHOLE)
    assert text.read(text.write(document)) == document
    assert text.read(json.dumps(text.plain(document))) == document
    assert text.read("") == Inventory() == text.read("servers:\nplans: []\n")


def test_the_published_schema_is_up_to_date():
    made = "run: python -m include.inventory schema > docs/inventory.schema.json"
    assert (DOCS / "inventory.schema.json").read_text() == text.schema(), made


def test_the_schema_takes_what_is_read_and_written():
    validator = jsonschema_rs.Draft202012Validator(json.loads(text.schema()))
    as_editors_read_it = json.loads(json.dumps(yaml.safe_load(WHOLE), default=str))
    assert [error.message for error in validator.iter_errors(as_editors_read_it)] == []
    assert [error.message for error in validator.iter_errors(text.plain(text.read(WHOLE)))] == []
    assert [*validator.iter_errors({"servers": [{"name": "vps-1", "colour": "red"}]})]


WRONG = {
    "cpus: 2": ("cpus: two", 5, "plan VPS M, cpus is no whole number"),
    "memory: 4 GiB": ("memory: 4 PiB", 6, "plan VPS M, memory is no size"),
    "monthly: 29.90": ("monthly: 1e3", 9, "plan VPS M, prices, no. 1, monthly is no price"),
    "monthly: 31": ("monthly: .nan", 11, "is no price"),
    "from: 2027-01-01": ("from: tomorrow", 13, "is no date"),
    "    from: 2027-01-01\n": ("", 11, "is from the same day as another price"),
    "mail: herders@example.net": ("mail: herders", 16, "customer Alpine Herders, mail is no mail address"),
    "kind: vps": ("kind: cloud", 19, "server vps-1, kind is not known: use shared, dedicated"),
    "  kind: vps\n": ("", 18, "server vps-1, kind is missing: add it"),
    "  plan: VPS M\n  site: Zürich 1\n  customer": ("  plan: L\n  site: Zürich 1\n  customer", 20, "L is not in plans"),
    "site: Zürich 1\n  customer": ("site: Bern\n  customer", 21, "Bern is not in sites"),
    "  site: Zürich 1\n  customer": ("  customer", 18, "server vps-1 has no site, and others have"),
    "  customer: Alpine Herders\n": ("", 18, "is a vps server without a customer"),
    "kind: shared": ("kind: shared\n  customer: Alpine Herders", 28, "no one customer's"),
    "infrastructure: 2022": ("infrastructure: [2022]", 23, "server vps-1, infrastructure is no infrastructure"),
    "management_address: 198.51.100.11": ("management_address: 198.51.100.0/24", 24, "is no IP address"),
    "[198.51.100.11, ": ("[198.51.100.11, 198.51.100.11, ", 25, "198.51.100.11 is there twice"),
    "2001:DB8:100::11": ("::ffff:198.51.100.1", 25, "no. 2 is no address that a server can be reached at"),
    "management_address: fd20::9": ("management_address: 198.51.100.11", 31, "is an address of vps-1 too"),
    "lan_address: 10.30.0.9": ("lan_address: fd30::1", 32, "is no IPv4 address"),
    "lan_address6: fd30::9": ("lan_address6: 127.0.0.1", 33, "is no IPv6 address"),
    "name: 1web": ("name: vps-1", 26, "vps-1 is in servers twice"),
    "name: vps-1": ("name: VPS_1", 18, "is no server's name"),
    "host_key: ssh-ed25519 AAAA": ("host_key: ssh-ed25519 AAAA root@web", 34, "is no host key"),
    "key_connection: names": ("key_connection: c2VjcmV0/+==", 38, "never a key itself"),
    "primary_server: ns1.example.net": ("primary_server: 'ns1 -o'", 37, "neither a host name nor an IP address"),
    "name: Zürich 1": ("name: \"Z\\aurich\"", 2, "is no name"),
    "zones:": ("colours:", 35, "colours is not known here"),
    "sites:\n- name: Zürich 1": ("sites: Zürich", 1, "sites is no list"),
    "- name: Zürich 1": ("- Zürich", 2, "sites, no. 1 has no fields"),
    "  mail: herders@example.net": ("  name: other", 16, "name is here twice"),
    "name: Alpine Herders": ("name: &a Alpine Herders", 15, "an anchor"),
    "mail: herders@example.net ": ("mail: *a", 16, "an alias"),
    "disk: 80 GB": ("disk: !!python/object:os.system 80 GB", 7, "a tag"),
    "currency: CHF\n  - monthly: 31": ("currency: CHF\n   - monthly: 31", 11, "this is no YAML"),
    "    from: 2027-01-01": ("    ? [from]\n    : 1", 13, "this is no field's name"),
    "cpus: 2\n": ("cpus: 2\n  \x07bell: 1\n", 6, "a character that a text file does not have"),
    "customers:": ("--- # another\ncustomers:", 14, "a second document"),
}  # fmt: skip


@pytest.mark.parametrize("right", WRONG)
def test_what_is_wrong_is_told_with_its_line(right):
    wrong, line, sentence = WRONG[right]
    source = WHOLE.replace(right.rstrip(" "), wrong, 1)
    assert source != WHOLE
    with pytest.raises(text.InventoryError) as refused:
        text.read(source)
    assert str(refused.value).startswith(f"Line {line}: "), refused.value
    assert sentence in str(refused.value)
    assert str(refused.value).isprintable() and str(refused.value).endswith(".")


@pytest.mark.parametrize(
    "bomb",
    [
        "a: &a [x]\n" + "".join(f"b{n}: &b{n} [{', '.join(['*a'] * 9)}]\n" for n in range(9)),
        "[" * 100_000,
        "{a: " * 100_000,
        "- " * 100_000,
        "? " * 100_000,
        "servers: " + "x" * text.MAX_CHARACTERS,
        "servers:\n" + "- name: x\n" * 100_000,
        "\ud800",
        "{" + ", ".join(f"k{n}: v" for n in range(50_000)) + "}",
        "servers: [" + ", ".join(["{}"] * 50_000) + "]",
    ],
    ids=["aliases", "lists", "mappings", "dashes", "keys", "long", "many", "surrogate", "sections", "empty servers"],
)
def test_a_bomb_is_a_sentence(bomb):
    began = time.process_time()
    with pytest.raises(text.InventoryError) as refused:
        text.read(bomb)
    assert time.process_time() - began < 5
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("source", ["just a text", "- a\n- list\n", "null: 1", "? \n: 1"])
def test_what_is_no_inventory_is_told(source):
    with pytest.raises(text.InventoryError, match=r"^Line \d+: .+\.$"):
        text.read(source)
