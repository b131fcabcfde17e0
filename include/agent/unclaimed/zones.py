"""Zones that a name server here serves, by its own files: BIND, Knot, NSD and PowerDNS's zone files."""

from __future__ import annotations

import re

from ..verbs import Unclaimed
from .here import Here, unclaimed

KIND = "zone"
# Debian's own, for what no name server should be asked about.
_OF_THE_PACKAGE = re.compile(
    r"(\.|localhost|(127|0|255)\.in-addr\.arpa|.*/(named\.conf\.default-zones|zones\.rfc1918))\Z"
)
_BIND = re.compile(r"""^[^#\n]*?\bzone\s+"?([^"\s{;]+)"?""", re.MULTILINE)
_NAMED = re.compile(r"""^\s*(?:-\s*)?(?:domain|name)\s*:\s*["']?([^\s"'#]+)""", re.MULTILINE)
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*|^\s*#[^\n]*", re.DOTALL | re.MULTILINE)
_FILES = {
    "BIND": (_BIND, ("/etc/bind/*.conf", "/etc/bind/*.conf.*", "/etc/bind/*/*.conf", "/etc/named.conf")),
    "PowerDNS": (_BIND, ("/etc/powerdns/*.conf", "/etc/powerdns/*/*.conf")),
    "Knot": (_NAMED, ("/etc/knot/*.conf", "/etc/knot/*/*.conf")),
    "NSD": (_NAMED, ("/etc/nsd/*.conf", "/etc/nsd/*/*.conf")),
}


def look(here: Here) -> list[Unclaimed]:
    """Each by its name."""
    zones: dict[str, Unclaimed] = {}
    for server, (pattern, files) in _FILES.items():
        for path, file in here.matches(files):
            if not file.is_file() or _OF_THE_PACKAGE.match(path):
                continue
            for name in pattern.findall(_COMMENT.sub("", file.read_text(errors="replace"))):
                if not _OF_THE_PACKAGE.match(name):
                    zones[name] = unclaimed(KIND, name, f"{server} serves the zone {name} here, as {path} says.")
    return [*zones.values()]
