"""An account file with names that want to be more than names, and others made from it."""

import copy
from typing import Any

from include.agent.account.engines import DECLARED

HOSTILE = ["a'b", 'q"uote', "sp ace", "new\nline", "_", "%", "`x`", "$(id)", "ü", "--", "\\", ";drop"]

FILE: dict[str, Any] = {
    "account": "alice",
    "uid": 2001,
    "gid": 2001,
    "home": "/home/alice",
    "shell": "/bin/bash",
    "sites": [{"domain": "alice.example", "aliases": ["www.alice.example"], "root": "public_html"}],
    **{engine.name: {key: [] for key in engine.lists} for engine in DECLARED},
    "postgresql": {"roles": HOSTILE, "databases": HOSTILE},
    "mariadb": {"users": [{"user": name, "host": "%"} for name in HOSTILE], "databases": HOSTILE},
    "mail": {
        "domains": ["alice.example"],
        "mailboxes": [{"address": "info@alice.example", "password_hash": "{SHA512-CRYPT}$6$salt$hash"}],
    },
}


def changed(**values: Any) -> dict[str, Any]:
    return {**copy.deepcopy(FILE), **values}
