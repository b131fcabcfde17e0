"""What NetBox knows of devices or virtual machines as a document: the answer of its API as JSON, or its export as CSV.

The primary IP is the management address, the tenant the customer, and a custom field `transhumance_FIELD` any other
field.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from include.inventory.draft import Listed, draft
from include.inventory.text import InventoryError, values

FIELDS = {"site": "site", "tenant": "customer", "primary_ip": "management_address"}
"""NetBox's fields that are the document's."""

_COLUMNS = {"ip_address": "primary_ip", "ipv4_address": "primary_ip4", "ipv6_address": "primary_ip6"}
_ACTIVE = "active"


def convert(source: str) -> str:
    """The document, with comments on what has to be filled in. Raises InventoryError."""
    devices = list(_from_api(source) if source.lstrip()[:1] in ("{", "[") else _from_export(source))
    if not devices:
        raise InventoryError("No device is in it: export devices or virtual machines, with all their fields.")
    listed, left_out = [], []
    for number, device in enumerate(devices, 1):
        name, status = _name(device.get("name")), _name(device.get("status"))
        if not name:
            left_out.append(f"Device {device.get('id', number)} has no name: it is left out.")
        elif status and status.lower() != _ACTIVE:
            left_out.append(f"{name} is {status.lower()} in NetBox: it is left out.")
        else:
            listed.append(_listed(name, device))
    return draft(listed, left_out)


def _listed(name: str, device: dict[str, Any]) -> Listed:
    server = Listed(name)
    custom = device.get("custom_fields")
    server.take({**device, **(custom if isinstance(custom, dict) else {})})
    for field, document_field in FIELDS.items():
        value = _name(device.get(field))
        if field == "primary_ip":
            value = (value or _name(device.get("primary_ip4")) or _name(device.get("primary_ip6")) or "").split("/")[0]
        server.say(document_field, value, f"NetBox's {field}")
    return server


def _name(value: Any) -> str | None:
    """A value, or what NetBox calls the thing that is referred to."""
    if isinstance(value, dict):
        value = next((value[key] for key in ("address", "name", "value") if value.get(key)), None)
    return str(value) if value else None


def _from_api(source: str) -> Iterator[dict[str, Any]]:
    answer = values(source)
    if isinstance(answer, dict):
        if answer.get("next"):
            raise InventoryError("This is one page of several: ask NetBox for all at once, with ?limit=0.")
        answer = answer.get("results")
    if not isinstance(answer, list) or not all(isinstance(device, dict) for device in answer):
        raise InventoryError("This is no list of NetBox's: give the answer of /api/dcim/devices/?limit=0.")
    yield from answer


def _from_export(source: str) -> Iterator[dict[str, Any]]:
    try:
        rows = csv.DictReader(io.StringIO(source, newline=""), strict=True)
        columns = [_column(name) for name in rows.fieldnames or ()]
        if "name" not in columns:
            raise InventoryError("The first line has no column 'Name': export devices from NetBox as CSV.")
        rows.fieldnames = columns
        yield from rows
    except csv.Error as error:
        raise InventoryError(f"This is no CSV ({error}): export it again.") from None


def _column(title: str) -> str:
    """NetBox's own name of a column, by its title: custom fields have theirs with 'cf_' before, or without."""
    name = title.strip().lower().replace(" ", "_").removeprefix("cf_")
    return _COLUMNS.get(name, name)
