"""The web server's own certificates, copied for the front before it; again and again, since they are renewed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from ...account.accounts import all_accounts
from ...host.system import CONFIG, RUNTIME, Refused, locked, read_json, refuse, run, write_durably, write_if_changed
from ..certificates import CERTIFICATES, is_pair
from . import web_server
from .front import FRONT, SHOWN
from .reading.tree import Tree
from .reading.web import WebSite

DEFAULT = CONFIG / "front" / "default.pem"
"""What a visitor is shown who asks for no name, or for one that no certificate has."""
_COPIED = CONFIG / "front" / "copied.json"
"""The names of those that were copied: others came with accounts, or were given."""
_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----\n.*?\n-----END \1-----", re.DOTALL)


def copy() -> list[str]:
    """Have the front show what the web server is told to show now. Gives a sentence on each that cannot be: the front
    goes on showing what it had."""
    tree = Tree()
    pems, sentences = _pairs(web_server.here().sites(tree), tree)
    with locked(RUNTIME / "certificates.lock"):
        _put_default(next(iter(pems.values()), None))
        for domain, pem in pems.items():
            sentences += _put(CERTIFICATES / f"{domain}.pem", pem)
        if not sentences:
            _drop_others({*pems})
    return sentences


def _pairs(sites: list[WebSite], tree: Tree) -> tuple[dict[str, str], list[str]]:
    """Key and chain by the names of the sites, the web server's own first one first; and what cannot be read."""
    pairs: dict[str, str] = {}
    sentences = []
    for site in sites:
        # A name that stands for many is in the certificate itself.
        names = [name for name in site.names if not name.startswith("*.")] or [
            name.removeprefix("*.") for name in site.names
        ]
        if not site.certificates or not (new := [name for name in names if name not in pairs]):
            continue
        if (pem := _pair(site, tree)) is None:
            files = " and ".join(site.certificates)
            notes = " ".join(note for note in tree.notes.sentences() if any(file in note for file in site.certificates))
            why = notes or "They are no key without a password, with its certificate."
            sentences.append(f"{site.place}: {files} cannot be copied for the front of {new[0]}. {why}"[:1000])
        else:
            pairs |= dict.fromkeys(new, pem)
    return pairs, sentences


def _pair(site: WebSite, tree: Tree) -> str | None:
    """The site's key, its certificate and chain as one text. Only what the host alone can change is read."""
    texts = [tree.text(path) for path in dict.fromkeys(site.certificates)]
    if None in texts:
        return None
    keys: list[str] = []
    chain: list[str] = []
    for block in (block for text in texts for block in _BLOCK.finditer(text or "")):
        if block[1].endswith("PRIVATE KEY"):
            keys.append(block[0])
        elif block[1].endswith("CERTIFICATE"):
            chain.append(block[0])
    for pem in _orders(keys, chain):
        if is_pair(pem):
            return pem
    return None


def _orders(keys: list[str], chain: list[str]) -> Iterator[str]:
    """A key with its certificate has to come first; which one that is, the files do not say."""
    for key in keys:
        for number in range(len(chain)):
            ordered = (key, chain[number], *chain[:number], *chain[number + 1 :])
            yield "\n".join(dict.fromkeys(ordered)) + "\n"


def _put_default(pem: str | None) -> None:
    """A server without any certificate gets one of its own, or the front would not begin."""
    if pem is None:
        if not DEFAULT.exists():
            made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
            made += ["-days", "36500", "-subj", "/CN=localhost", "-keyout", "-", "-out", "-"]
            write_durably(DEFAULT, run(made).stdout)
        return
    if sentences := _put(DEFAULT, pem):
        refuse("bad_certificate", sentences[0])


def _put(path: Path, pem: str) -> list[str]:
    """Keep it where the front finds it when it begins, and have a front that runs take it first."""
    if path.is_file() and path.read_text() == pem:
        return []
    try:
        if FRONT.runs():
            if path == DEFAULT:
                SHOWN.replace(str(path), pem)
            else:
                SHOWN.load(path.stem, pem)
    except Refused as error:
        return [error.message]
    write_if_changed(path, pem, 0o600)
    return []


def _drop_others(names: set[str]) -> None:
    """Of those that were copied, the ones whose names no site has any more, and no account either."""
    of_accounts = {name for account in all_accounts() for name in account.domains}
    for name in {*(read_json(_COPIED) or [])} - names - of_accounts:
        path = CERTIFICATES / f"{name}.pem"
        if path.exists() and FRONT.runs():
            SHOWN.drop(name)
        path.unlink(missing_ok=True)
    write_if_changed(_COPIED, json.dumps(sorted(names)), 0o600)
