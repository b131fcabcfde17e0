"""The other server of a copy, in a mount namespace of its own: becomes rsync's receiving end, or answers one verb.

`ACCOUNT_FILE rsync --server ...` in one argument, or `ACCOUNT_FILE verb NAME ARGUMENTS`."""

from __future__ import annotations

import io
import json
import shlex
import sys
from pathlib import Path

from include.agent.account import accounts
from include.agent.host.codec import decode, plain
from include.agent.host.kept import Kept
from include.agent.stores.files import rsync, store
from include.agent.verbs.verb import Asking

accounts.STATE = Path("/srv/state")


def main() -> None:
    file, *words = sys.argv[1:]
    account = accounts.Account.from_json(json.loads(file))
    rsync.homes.keep_plain = lambda home: None  # it would write a unit of this machine's
    if words[0] != "verb":
        rsync.serve_rsync(account, shlex.split(words[0]))
    kind, handler = next((kind, handler) for kind, handler in store._PEER_VERBS if kind.name == words[1])
    with Kept():
        answer = handler(account, decode(kind, json.loads(words[2])), Asking(move="m", stdin=io.BytesIO()))
    print(json.dumps(plain(answer)))


if __name__ == "__main__":
    main()
