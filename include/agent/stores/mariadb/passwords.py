"""Whether a password is that of a user of this server, by what MariaDB keeps of it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from functools import cache
from typing import Any

from .users import plugins_of

_NATIVE = "mysql_native_password"
_KNOWN = (_NATIVE, "ed25519")


def can_be_tried(kept: dict[str, Any]) -> bool:
    """Whether one of the ways in which this user logs in is by a password of a kind that is known here."""
    return any(plugin in _KNOWN and stored for plugin, stored in plugins_of(kept))


def is_password(kept: dict[str, Any], password: str) -> bool:
    """Whether this password opens a user of whom that is kept, in one of its ways."""
    secret = password.encode("utf-8", "surrogateescape")
    return any(_opens(plugin, stored, secret) for plugin, stored in plugins_of(kept) if isinstance(stored, str))


def _opens(plugin: str, stored: str, secret: bytes) -> bool:
    if plugin == _NATIVE:
        once = hashlib.sha1(secret, usedforsecurity=False).digest()
        mine = "*" + hashlib.sha1(once, usedforsecurity=False).hexdigest().upper()
        return hmac.compare_digest(mine.encode(), stored.upper().encode())
    if plugin == "ed25519":
        try:
            return hmac.compare_digest(_public_key(secret), base64.b64decode(stored + "=" * (-len(stored) % 4)))
        except (binascii.Error, ValueError):
            return False
    return False


# --- Ed25519 (RFC 8032), of which MariaDB keeps the public key; the password stands for the seed ---

_P = (1 << 255) - 19
_D = -121665 * pow(121666, -1, _P) % _P
_Point = tuple[int, int, int, int]
_BASE_Y = 4 * pow(5, -1, _P) % _P
_BASE_X = 15112221349535400772501151409588531511454012693041857206046113283949847762202
_BASE: _Point = (_BASE_X, _BASE_Y, 1, _BASE_X * _BASE_Y % _P)


def _added(first: _Point, other: _Point) -> _Point:
    a = (first[1] - first[0]) * (other[1] - other[0]) % _P
    b = (first[1] + first[0]) * (other[1] + other[0]) % _P
    c = 2 * first[3] * other[3] * _D % _P
    d = 2 * first[2] * other[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % _P, g * h % _P, f * g % _P, e * h % _P)


@cache
def _doublings() -> list[_Point]:
    points = [_BASE]
    while len(points) < 256:
        points.append(_added(points[-1], points[-1]))
    return points


def _public_key(secret: bytes) -> bytes:
    number = int.from_bytes(hashlib.sha512(secret).digest()[:32], "little")
    number = number & ((1 << 254) - 8) | (1 << 254)
    point: _Point = (0, 1, 1, 0)
    for bit in range(255):
        if number >> bit & 1:
            point = _added(point, _doublings()[bit])
    inverse = pow(point[2], -1, _P)
    x, y = point[0] * inverse % _P, point[1] * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")
