"""Values as MariaDB's binary log keeps them, read as SQL literals that equal them: those that a key may be made of."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from uuid import UUID

Key = tuple[str, ...]
Decoder = Callable[[bytes], str]


def decoder(kind: str, column_type: str, charset: str | None, length: int, scale: int) -> Decoder | None:
    """How a column's bytes read as an SQL literal that equals the column; None when no exact one is known."""
    if kind in ("tinyint", "smallint", "mediumint", "int", "bigint"):
        signed = "unsigned" not in column_type
        return lambda raw: str(int.from_bytes(raw, "little", signed=signed))
    if kind in ("char", "varchar") and charset and charset.isalnum():
        return lambda raw: f"_{charset} X'{raw.hex()}'"
    if kind in ("binary", "varbinary"):
        padded = length if kind == "binary" else 0
        return lambda raw: "X'" + raw.ljust(padded, b"\0").hex() + "'"
    if kind == "decimal":
        return lambda raw: _decimal(raw, length, scale)
    simple = {"date": _date, "datetime": _datetime, "timestamp": _timestamp, "year": _year, "enum": _number}
    simple |= {"uuid": _uuid, "inet4": _address, "inet6": _address}
    return simple.get(kind)


def _number(raw: bytes) -> str:
    return str(int.from_bytes(raw, "little"))


def _year(raw: bytes) -> str:
    return str(1900 + raw[0] if raw[0] else 0)


def _uuid(raw: bytes) -> str:
    if len(raw) != 16:
        raise ValueError("no UUID")
    # One that tells a time is kept with its parts in reverse, so that they sort.
    if raw[6] & 0x80 and 0 < raw[8] < 0x60:
        raw = raw[12:] + raw[10:12] + raw[8:10] + raw[6:8] + raw[:6]
    return f"'{UUID(bytes=raw)}'"


def _address(raw: bytes) -> str:
    return f"'{ip_address(raw)}'"


def _date(raw: bytes) -> str:
    packed = int.from_bytes(raw, "little")
    return f"'{packed >> 9:04}-{packed >> 5 & 15:02}-{packed & 31:02}'"


def _fraction(raw: bytes) -> str:
    if not raw:
        return ""
    return f".{int.from_bytes(raw, 'big') * 100 ** (3 - len(raw)):06}"


def _datetime(raw: bytes) -> str:
    if len(raw) < 5:
        raise ValueError("a DATETIME of the old form")
    packed = int.from_bytes(raw[:5], "big") - 0x8000000000
    day, clock = packed >> 17, packed & 0x1FFFF
    year, month = divmod(day >> 5, 13)
    time = f"{clock >> 12:02}:{clock >> 6 & 63:02}:{clock & 63:02}"
    return f"'{year:04}-{month:02}-{day & 31:02} {time}{_fraction(raw[5:])}'"


def _timestamp(raw: bytes) -> str:
    seconds = int.from_bytes(raw[:4], "big")
    if not seconds and not any(raw[4:]):
        return "'0000-00-00 00:00:00'"
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    return f"'{at:%Y-%m-%d %H:%M:%S}{_fraction(raw[4:])}'"


def renewed(kind: int, raw: bytes) -> bytes:
    """A TIMESTAMP (7) or DATETIME (12) of the form before MariaDB 10.1, as the newer form keeps it."""
    number = int.from_bytes(raw, "little")
    if kind == 7:
        return number.to_bytes(4, "big")
    day, clock = divmod(number, 1_000_000)
    months, minutes = day // 10_000 * 13 + day // 100 % 100, clock // 10_000 << 6 | clock // 100 % 100
    packed = (months << 5 | day % 100) << 17 | minutes << 6 | clock % 100
    return (packed + 0x8000000000).to_bytes(5, "big")


_DIGIT_BYTES = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)


def decimal_width(precision: int, scale: int) -> int:
    """How many bytes a DECIMAL takes."""
    whole = precision - scale
    return whole // 9 * 4 + _DIGIT_BYTES[whole % 9] + scale // 9 * 4 + _DIGIT_BYTES[scale % 9]


def _decimal(raw: bytes, precision: int, scale: int) -> str:
    negative = not raw[0] & 0x80
    data = bytes([raw[0] ^ 0x80, *raw[1:]])
    if negative:
        data = bytes(byte ^ 0xFF for byte in data)
    whole = precision - scale
    digits, at = "", 0
    groups = [whole % 9, *[9] * (whole // 9), *[9] * (scale // 9), scale % 9]
    for number in groups:
        size = _DIGIT_BYTES[number]
        if size:
            digits += f"{int.from_bytes(data[at : at + size], 'big'):0{number}}"
            at += size
    text = digits[:whole] or "0"
    if scale:
        text += "." + digits[whole:]
    return f"{'-' if negative else ''}{text}"
