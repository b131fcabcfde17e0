"""Judge of a file of Apache's: the virtual hosts of one account's sites, and rules for folders of its home."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..reading.apache import logical_lines, words
from .apache_values import CHECKS, PLAIN, check_directory, check_directory_match, check_virtual_host
from .whose import Whose, at, climbs, strange_characters

_CONDITIONS = frozenset(("ifmodule", "ifversion", "ifdefine", "iffile"))
_IN_A_SITE = frozenset(
    "else elseif files filesmatch if limit limitexcept location locationmatch proxy proxymatch requireall requireany"
    " requirenone".split()
)
_LETS_IN = frozenset(("allow", "authmerging", "deny", "order", "require", "satisfy"))
_BY_ADDRESS = frozenset(("location", "locationmatch", "if", "elseif", "else", "proxy", "proxymatch"))
_OF_THE_SERVER = ("/server-status", "/server-info", "/balancer-manager", "/cgi-bin", "/icons", "/manual", "/php-fpm")
_SECTION = re.compile(r"<(/?)([A-Za-z]+)\s*(.*?)\s*>")
_LOGS_OF_DEBIAN = "${APACHE_LOG_DIR}"
_READS_FILES = re.compile(r"\bfile(?:size|mod)?\s*[:(]", re.IGNORECASE)
"""How Apache's expressions read a file, or tell of it."""
INCLUDED = frozenset(("/etc/letsencrypt/options-ssl-apache.conf",))
"""What Let's Encrypt's client lays down beside its certificates, and has each site include."""


@dataclass
class _Opened:
    """A section that has not ended yet; of a site also what is said right in it."""

    name: str
    arguments: tuple[str, ...]
    line: int
    is_named: bool = False
    is_encrypted: bool = False

    @property
    def counts_always(self) -> bool:
        """Whether what stands in it counts wherever the module for encryption is: without that nothing is."""
        return self.name == "ifmodule" and self.arguments in (("mod_ssl.c",), ("ssl_module",))


def judge(path: str, text: str, whose: Whose) -> Iterator[str]:
    yield from strange_characters(path, text)
    opened: list[_Opened] = []
    for number, line in logical_lines(text.split("\n")):
        if not line or line.startswith("#"):
            continue
        line = line.replace(_LOGS_OF_DEBIAN, "/var/log/apache2")
        if why := _everywhere(line):
            yield at(path, number, *why)
        if not line.startswith("<"):
            name, arguments = _directive(line)
            if why := _why_not(name, arguments, whose, opened):
                yield at(path, number, f"{name:.60} {why[0]}", why[1])
            continue
        section = _SECTION.fullmatch(line)
        if section is None:
            yield at(path, number, f"{line!r:.80} is no section of Apache's", "write it as <Name ...>")
        elif section[1]:
            ended = opened.pop() if opened else None
            if ended is None or ended.name != section[2].lower():
                yield at(path, number, f"{line!r:.80} ends a section that was not begun", "take it out")
                return
            if ended.name == "virtualhost":
                yield from _of_a_site(path, ended)
        else:
            new = _Opened(section[2].lower(), words(section[3]), number)
            if why := _why_no_section(new.name, new.arguments, whose, [each.name for each in opened]):
                yield at(path, number, f"<{section[2]:.60} {why[0]}", why[1])
            opened.append(new)
    for each in opened:
        yield at(path, each.line, f"the section <{each.name:.60} has no end", f"end it by </{each.name:.60}>")


def _of_a_site(path: str, site: _Opened) -> Iterator[str]:
    """What every site says. The first of a port speaks for all of it until Apache knows which one is meant."""
    if not site.is_named:
        yield at(path, site.line, "the site has no ServerName right in it", "give it a name of the account's")
    ports = {address.rpartition(":")[2] for address in site.arguments}
    if "443" in ports and ("80" in ports or not site.is_encrypted):
        yield at(path, site.line, "the site of port 443 is not encrypted", "write SSLEngine on in it, and 80 by itself")
    if ports == {"80"} and site.is_encrypted:
        yield at(path, site.line, "the site of port 80 is encrypted", "take SSLEngine out")


def _is_apart(section: _Opened) -> bool:
    """Whether what a section lets in is nothing of the server's own: Apache lets it count after what the server says
    of such paths, and instead of it."""
    if section.name not in _BY_ADDRESS:
        return True
    path = section.arguments[0] if section.name == "location" and len(section.arguments) == 1 else ""
    plain = re.fullmatch(r"(/[A-Za-z0-9._-]+)+/?", path)
    return bool(plain) and not any(own.startswith(path.rstrip("/")) for own in _OF_THE_SERVER)


def _note(name: str, arguments: tuple[str, ...], opened: list[_Opened]) -> tuple[str, str] | None:
    """Note what is said right in a site; what of it stands elsewhere may count or not."""
    at_site = next((number for number, each in enumerate(opened) if each.name == "virtualhost"), None)
    if at_site is None or not all(each.counts_always for each in opened[at_site + 1 :]):
        return ("stands under a condition", "write it right in <VirtualHost>") if name == "sslengine" else None
    site = opened[at_site]
    site.is_named |= name == "servername"
    if name == "sslengine":
        site.is_encrypted = [word.lower() for word in arguments] == ["on"]
    return None


def _directive(line: str) -> tuple[str, tuple[str, ...]]:
    parts = line.split(None, 1)
    return parts[0].lower(), words(parts[1]) if len(parts) > 1 else ()


def _everywhere(line: str) -> tuple[str, str] | None:
    if "${" in line:
        return "a name in ${} stands for what the file does not say", "write out what it stands for"
    if _READS_FILES.search(line):
        return "an expression reads a file", "take it out"
    if any(climbs(word) for word in line.replace('"', " ").replace("'", " ").split()):
        return "a path leads back up by ..", "write out where it leads"
    return None


def _why_not(name: str, arguments: tuple[str, ...], whose: Whose, opened: list[_Opened]) -> tuple[str, str] | None:
    """What is wrong with a directive, and what to do; None where it is allowed."""
    inside = any(each.name not in _CONDITIONS for each in opened)
    if name == "include" and len(arguments) == 1 and arguments[0] in INCLUDED and inside:
        return None
    if name not in PLAIN and name not in CHECKS:
        return (
            "is no directive that is carried for an account",
            "take it out, or have it in the server's own configuration",
        )
    if not inside:
        return "stands outside of the account's sites and would count for all", "move it into <VirtualHost>"
    if name in _LETS_IN and any(not _is_apart(each) for each in opened):
        return "may open what the server shows of itself, such as /server-status", "write it in <Directory>"
    if name in ("servername", "sslengine") and (why := _note(name, arguments, opened)):
        return why
    return CHECKS[name](arguments, whose) if name in CHECKS else None


def _why_no_section(name: str, arguments: tuple[str, ...], whose: Whose, around: list[str]) -> tuple[str, str] | None:
    if name in _CONDITIONS:
        return None
    sections = [section for section in around if section not in _CONDITIONS]
    if name == "virtualhost":
        if sections:
            return "stands inside of another section", "move it out"
        return check_virtual_host(arguments)
    if name == "directory":
        return check_directory(arguments, whose, bool(sections))
    if not sections:
        return "stands outside of the account's sites and would count for all", "move it into <VirtualHost>"
    if name == "directorymatch":
        return check_directory_match(arguments, whose)
    return None if name in _IN_A_SITE else ("is no section that is carried for an account", "take it out")
