"""Judge of what renews a certificate of Let's Encrypt's: its client runs as root, and runs what the file says."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .whose import Whose, at, climbs, strange_characters

_FOLDER = "/etc/letsencrypt"
_SETTING = re.compile(r"([A-Za-z0-9_.*-]+)\s*=\s*(.*)")
_LINEAGE = {
    "archive_dir": "archive/{name}",
    "cert": "live/{name}/cert.pem",
    "chain": "live/{name}/chain.pem",
    "fullchain": "live/{name}/fullchain.pem",
    "privkey": "live/{name}/privkey.pem",
}
_WORDS = {
    "allow_subset_of_names": r"True|False",
    "authenticator": r"webroot|apache|nginx|standalone",
    "autorenew": r"True|False",
    "elliptic_curve": r"secp(?:256|384|521)r1",
    "installer": r"apache|nginx|None",
    "key_type": r"rsa|ecdsa",
    "must_staple": r"True|False",
    "preferred_chain": r"[A-Za-z0-9 ]{1,60}",
    "renew_before_expiry": r"\d{1,3} (?:days|weeks)",
    "reuse_key": r"True|False",
    "rsa_key_size": r"2048|3072|4096",
    "server": r"https://acme(?:-staging)?-v0\d\.api\.letsencrypt\.org/directory",
    "version": r"\d+(?:\.\d+){1,3}",
}
"""Whatever else there is may run programs, or name files: hooks, credentials of name servers."""
_SHARED_ROOTS = ("/var/www/html", "/var/lib/letsencrypt", "/var/www/letsencrypt", "/usr/local/ispconfig/interface/acme")


def judge(path: str, text: str, whose: Whose) -> Iterator[str]:
    yield from strange_characters(path, text)
    name = path.rpartition("/")[2].removesuffix(".conf")
    section = ""
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if line in ("[renewalparams]", "[[webroot_map]]"):
            section = line
            continue
        setting = _SETTING.fullmatch(line)
        if setting is None:
            yield at(path, number, f"{line!r:.80} is nothing that is carried for an account", "take it out")
        elif section == "[[webroot_map]]":
            if setting[1] not in whose.domains or not _is_root(setting[2], whose):
                yield at(
                    path, number, f"{line!r:.120} is not {whose.name}'s", f"name a folder of the home {whose.home}"
                )
        elif why := _why_not(setting[1], setting[2].strip(), name, whose):
            yield at(path, number, f"{setting[1]:.60} {why[0]}", why[1])


def without_account(text: str) -> str:
    """The same without the account that its server has at Let's Encrypt: each server has its own."""
    return re.sub(r"^account\s*=.*\n", "", text, flags=re.MULTILINE)


def _why_not(key: str, value: str, name: str, whose: Whose) -> tuple[str, str] | None:
    if key in _LINEAGE:
        expected = f"{_FOLDER}/{_LINEAGE[key].format(name=name)}"
        return None if value == expected else (f"is {value!r:.120}", f"write {expected}")
    if key == "webroot_path":
        if all(_is_root(root.strip(), whose) for root in value.split(",") if root.strip()):
            return None
        return f"is {value!r:.120}, which is not {whose.name}'s", f"name a folder of the home {whose.home}"
    if key in _WORDS and re.fullmatch(_WORDS[key], value):
        return None
    if key in _WORDS:
        return f"is {value!r:.80}", "have the certificate renewed by webroot, apache, nginx or standalone"
    return "is nothing that is carried for an account", "take it out; root would obey it"


def _is_root(folder: str, whose: Whose) -> bool:
    return not climbs(folder) and (whose.is_at_home(folder) or folder.rstrip("/") in _SHARED_ROOTS)
