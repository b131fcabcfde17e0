"""The pages of a test copy's sites: addresses in them that lead to the site's own names lead back to the test names.

The front does that for redirects and cookies; what stands in pages is changed by the web server, by a file of ours that
is there while there are copies. Each name means one copy, so the file counts for all sites.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...host.system import Refused, run, write_if_changed

_TYPES = (
    "text/css text/javascript text/xml application/javascript application/x-javascript application/json"
    " application/ld+json application/manifest+json application/xml application/rss+xml application/atom+xml"
)
_BEGINNINGS = ("//", "\\/\\/", "%2F%2F")
"""What stands before a host: in text, in JSON, in a query."""
_MODULES = (("filter", "mod_filter"), ("substitute", "mod_substitute"))


def apache(names: dict[str, str]) -> str:
    """`names`: the test name by each name of the sites."""
    lines = ["# Sites of copies for tests; written by the agent."]
    for module, file in _MODULES:
        load = f"    LoadModule {module}_module /usr/lib/apache2/modules/{file}.so"
        lines += [f"<IfModule !{file}.c>", load, "</IfModule>"]
    lines += [
        '<Location "/">',
        f"    AddOutputFilterByType SUBSTITUTE text/html {_TYPES}",
        "    SubstituteMaxLineLength 10m",
    ]
    beginnings = "|".join(re.escape(beginning).replace("\\", "\\\\") for beginning in _BEGINNINGS)
    for name, test_name in sorted(names.items()):
        host = re.escape(name).replace("\\", "\\\\")
        lines.append(f'    Substitute "s~({beginnings}){host}(?![A-Za-z0-9-]|\\\\.[A-Za-z0-9])~$1{test_name}~i"')
    return "\n".join([*lines, "</Location>", ""])


def nginx(names: dict[str, str]) -> str:
    lines = [
        "# Sites of copies for tests; written by the agent.",
        "sub_filter_once off;",
        f"sub_filter_types {_TYPES};",
    ]
    for name, test_name in sorted(names.items()):
        for beginning in _BEGINNINGS:
            old, new = (beginning.replace("\\", "\\\\") + host for host in (name, test_name))
            lines += [f'sub_filter "{old}{end}" "{new}{end}";' for end in ("/", '\\"', "'", "?")]
    return "\n".join([*lines, ""])


@dataclass(frozen=True)
class _Web:
    file: Path
    content: Callable[[dict[str, str]], str]
    check: tuple[str, ...]
    unit: str


WEB_SERVERS = (
    _Web(
        Path("/etc/apache2/conf-enabled/transhumance-trials.conf"),
        apache,
        ("apache2ctl", "configtest"),
        "apache2.service",
    ),
    _Web(Path("/etc/nginx/conf.d/transhumance-trials.conf"), nginx, ("nginx", "-t", "-q"), "nginx.service"),
)


def render(names: dict[str, str]) -> None:
    """Have the web server lead these names back; nothing of ours stays in its configuration when there are none."""
    for web in WEB_SERVERS:
        if not names and web.file.exists():
            web.file.unlink()
            _reload(web)
        elif names and web.file.parent.is_dir() and write_if_changed(web.file, web.content(names)):
            try:
                run([*web.check])
            except Refused:
                web.file.unlink()
                raise
            _reload(web)


def _reload(web: _Web) -> None:
    """One that is there and does not run has its reasons."""
    run(["systemctl", "try-reload-or-restart", web.unit])
