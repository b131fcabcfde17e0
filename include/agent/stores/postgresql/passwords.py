"""Whether a password is that of a role of this server, by what PostgreSQL keeps of it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re

_SCRAM = re.compile(r"SCRAM-SHA-256\$(\d{1,9}):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)")
_MAX_ITERATIONS = 16_384
"""A role may have given itself any number: more than these, four times PostgreSQL's own, cost too much to try."""


def can_be_tried(stored: str) -> bool:
    """Whether it is of a kind that is known here, and cheap enough."""
    scram = _SCRAM.fullmatch(stored)
    return bool(re.fullmatch(r"md5[0-9a-f]{32}", stored) or (scram and 0 < int(scram[1]) <= _MAX_ITERATIONS))


def is_password(role: str, stored: str, password: str) -> bool:
    """Whether this password opens a role of which that is kept."""
    secret = password.encode("utf-8", "surrogateescape")
    if stored.startswith("md5"):
        mine = hashlib.md5(secret + role.encode(), usedforsecurity=False).hexdigest()
        return hmac.compare_digest(f"md5{mine}", stored)
    scram = _SCRAM.fullmatch(stored)
    if not scram:
        return False
    iterations, salt, kept, _ = scram.groups()
    try:
        salted = hashlib.pbkdf2_hmac("sha256", _prepared(secret), base64.b64decode(salt), int(iterations))
        expected = base64.b64decode(kept)
    except (binascii.Error, ValueError):
        return False
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    return hmac.compare_digest(hashlib.sha256(client_key).digest(), expected)


def _prepared(secret: bytes) -> bytes:
    """SASLprep, as far as passwords that people type need it: PostgreSQL takes the bytes where it cannot be done."""
    if secret.isascii():
        return secret
    import unicodedata  # few need it

    try:
        return unicodedata.normalize("NFKC", secret.decode()).encode()
    except UnicodeDecodeError:
        return secret
