"""What Ansible and NetBox know becomes a document; what they do not know is named, never guessed."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from include.inventory import __main__ as command
from include.inventory import ansible, netbox, text

WRITTEN = """\
all:
  vars:
    transhumance_infrastructure: 2022
    ansible_password: secret
  children:
    web:
      vars: {transhumance_kind: shared, transhumance_plan: S}
      hosts:
        web1.example.net:
          ansible_host: 198.51.100.31
          transhumance_service_addresses: 198.51.100.31, 2001:db8::31
        web2.example.net: {ansible_host: web2.example.net, transhumance_plan: "{{ plan }}"}
    customers:
      vars: {transhumance_plan: M}
      children:
        large:
          vars: {transhumance_plan: L, transhumance_colour: red}
          hosts:
            vps-1: {transhumance_kind: vps, transhumance_customer: Alpine Herders, ansible_host: 10.20.0.11}
            "vps[01:20]":
"""
LISTED: dict[str, Any] = {
    "_meta": {
        "hostvars": {
            "vps-1": {"ansible_host": "10.20.0.11", "transhumance_kind": "vps", "transhumance_plan": "M"},
            "web-1": {"ansible_host": "10.20.0.31", "ansible_password": "secret", "transhumance_kind": "shared"},
        }
    },
    "all": {"children": ["ungrouped", "old"]},
    "old": ["web-1", "vps-1"],
}
DEVICE: dict[str, Any] = {
    "id": 7,
    "name": "vps-1",
    "status": {"value": "active", "label": "Active"},
    "site": {"id": 1, "name": "Zürich 1", "slug": "zrh1"},
    "tenant": {"id": 3, "name": "Alpine Herders", "slug": "herders"},
    "primary_ip": {"id": 9, "address": "10.20.0.11/24"},
    "primary_ip4": {"id": 9, "address": "10.20.0.11/24"},
    "custom_fields": {"transhumance_kind": "vps", "transhumance_plan": "M", "transhumance_infrastructure": "2022"},
}
CSV = """\
Name,Status,Tenant,Site,Role,IP Address,transhumance_kind,transhumance_plan
vps-1,Active,Alpine Herders,"Zürich 1",Server,10.20.0.11/24,vps,M
web-1,Active,Our own,"Zürich 1",Server,,shared,
sw-1,Offline,,"Zürich 1",Switch,,,
,Active,,"Zürich 1",PDU,,,
"""


def parts(document: str) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """The comments, and the servers by name."""
    comments = [line.removeprefix("# ") for line in document.splitlines() if line.startswith("# ")]
    return comments, {server["name"]: server for server in yaml.safe_load(document)["servers"]}


def test_an_ansible_inventory_as_it_is_written():
    comments, servers = parts(ansible.convert(WRITTEN))
    assert servers["web1"] == {
        "name": "web1",
        "kind": "shared",
        "plan": "S",
        "infrastructure": "2022",
        "management_address": "198.51.100.31",
        "service_addresses": ["198.51.100.31", "2001:db8::31"],
    }
    assert servers["vps-1"]["plan"] == "L", "the deeper group goes before"
    assert servers["web2"] == {"name": "web2", "kind": "shared", "infrastructure": "2022"}
    assert comments == [
        "vps[01:20] is a range of hosts: run 'ansible-inventory -i INVENTORY --list' and give what it prints.",
        "vps-1: transhumance_colour is no field of a server: it is left out.",
        "web1.example.net is web1 here.",
        "web2.example.net is web2 here.",
        "web2.example.net: transhumance_plan is a template ({{ plan }}): write its value as plan.",
        "web2.example.net: ansible_host (web2.example.net) is no IP address: write one, without a prefix length.",
        "web2.example.net: fill in plan, management_address.",
        "Plan L: fill in cpus, memory, disk, prices.",
        "Plan S: fill in cpus, memory, disk, prices.",
    ]
    assert "secret" not in ansible.convert(WRITTEN)


def test_an_ansible_inventory_as_it_is_listed():
    comments, servers = parts(ansible.convert(json.dumps(LISTED)))
    assert servers["vps-1"] == {"name": "vps-1", "kind": "vps", "plan": "M", "management_address": "10.20.0.11"}
    assert "vps-1: fill in infrastructure, customer." in comments
    assert "web-1: fill in plan, infrastructure." in comments
    assert "secret" not in ansible.convert(json.dumps(LISTED))


def test_variables_of_groups_that_are_listed_count_as_well():
    """ansible-inventory --list --export."""
    exported = {**LISTED, "new": {"hosts": ["web-1"], "vars": {"transhumance_plan": "S"}}}
    assert parts(ansible.convert(json.dumps(exported)))[1]["web-1"]["plan"] == "S"


def test_groups_that_contain_each_other_are_not_gone_round():
    circle = {"_meta": {"hostvars": {}}, "a": {"children": ["b"], "hosts": ["vps-1"]}, "b": {"children": ["a"]}}
    assert list(parts(ansible.convert(json.dumps(circle)))[1]) == ["vps-1"]


def test_two_hosts_of_one_short_name_keep_what_they_have():
    written = "all: {hosts: {web.a.example: {}, web.b.example: {}}}"
    comments, servers = parts(ansible.convert(written))
    assert list(servers) == ["web.a.example", "web.b.example"]
    assert (
        "web.a.example: its name is no server's name: use lower-case letters, digits and '-', at most 63." in comments
    )


def test_what_netbox_answers():
    unnamed = {"id": 8, "name": None, "status": {"value": "active"}}
    answer = {"count": 2, "next": None, "results": [DEVICE, unnamed]}
    comments, servers = parts(netbox.convert(json.dumps(answer)))
    assert servers["vps-1"] == {
        "name": "vps-1",
        "kind": "vps",
        "plan": "M",
        "infrastructure": "2022",
        "management_address": "10.20.0.11",
        "site": "Zürich 1",
        "customer": "Alpine Herders",
    }
    assert comments == ["Device 8 has no name: it is left out.", "Plan M: fill in cpus, memory, disk, prices."]
    assert parts(netbox.convert(json.dumps([DEVICE])))[1] == servers


def test_what_netbox_exports():
    comments, servers = parts(netbox.convert(CSV))
    assert servers["vps-1"]["management_address"] == "10.20.0.11"
    assert servers["web-1"] == {"name": "web-1", "kind": "shared", "site": "Zürich 1"}
    assert comments[:2] == ["sw-1 is offline in NetBox: it is left out.", "Device 4 has no name: it is left out."]
    assert "web-1: NetBox's tenant (Our own) is left out: a shared server is no one customer's." in comments
    assert "web-1: fill in plan, infrastructure, management_address." in comments


@pytest.mark.parametrize("made", [ansible.convert(WRITTEN), netbox.convert(CSV), netbox.convert(json.dumps([DEVICE]))])
def test_a_draft_says_on_its_line_what_is_missing(made):
    with pytest.raises(text.InventoryError, match=r"^Line \d+: (plan|server) \S+, \S+ is missing: add it\.$"):
        text.read(made)


def test_a_draft_that_is_filled_in_is_a_document():
    made = netbox.convert(json.dumps([DEVICE]))
    plan = "- name: M\n  cpus: 2\n  memory: 4 GiB\n  disk: 80 GiB\n  prices: [{monthly: 29.90, currency: CHF}]\n"
    document = text.read(made.replace("- name: M\n", plan))
    assert document.servers[0].customer == "Alpine Herders" and document.sites[0].name == "Zürich 1"


def test_what_a_name_hides_is_shown():
    hostile = {**DEVICE, "name": "vps-1\n# kind: x\x1b[2J", "tenant": {"name": "a: b\n- c"}}
    made = netbox.convert(json.dumps([hostile]))
    assert "\x1b" not in made and parts(made)[1].keys() == {"vps-1\n# kind: x\x1b[2J"}
    assert all(line.startswith(("#", "-", " ", "sites", "plans", "servers")) for line in made.splitlines())


@pytest.mark.parametrize(
    ("convert", "source", "sentence"),
    [
        (ansible.convert, "[web]\nweb1 ansible_host=10.0.0.1\n", "This is no JSON"),
        (ansible.convert, "web1 ansible_host=10.0.0.1\n", "neither JSON nor YAML of groups"),
        (ansible.convert, "all: {children: {web: {hosts: {}}}}", "No host is in it"),
        (ansible.convert, "all: {hosts: {a: !vault x}}", "a tag"),
        (ansible.convert, "all: {hosts: [a, b]}", "where groups, hosts or variables should be"),
        (ansible.convert, "all: {host: {a: null}}", "Group all has host, which no group in YAML has"),
        (ansible.convert, '{"_meta": {"hostvars": []}}', "where groups, hosts or variables should be"),
        (ansible.convert, "[" * 100_000, "This is no JSON"),
        (ansible.convert, "a: {" * 100_000, "nested more than 64 deep"),
        (netbox.convert, '{"count": 2, "next": "https://x", "results": []}', "one page of several"),
        (netbox.convert, '{"detail": "Not found."}', "no list of NetBox's"),
        (netbox.convert, "[1]", "no list of NetBox's"),
        (netbox.convert, "[]", "No device is in it"),
        (netbox.convert, "Serial,Rack\n1,2\n", "no column 'Name'"),
        (netbox.convert, 'Name\n"vps\n', "This is no CSV"),
    ],
)
def test_what_is_neither_is_told(convert, source, sentence):
    with pytest.raises(text.InventoryError, match=sentence) as refused:
        convert(source)
    assert len(str(refused.value)) < 400


def test_the_commands_print_a_document_or_a_sentence(tmp_path, capsys):
    file = tmp_path / "devices.csv"
    file.write_text(CSV)
    assert command.main(["netbox", str(file)]) == 0
    assert capsys.readouterr().out == netbox.convert(CSV)
    assert command.main(["ansible", str(file)]) == 1
    assert capsys.readouterr().err.startswith(f"{file}: ")
    assert command.main(["netbox", str(tmp_path / "none")]) == 1
