"""Judge of a file of logrotate's, which root obeys every night: the account's own logs, and no programs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .whose import Whose, at, climbs, strange_characters

Why = tuple[str, str] | None
_WORDS = frozenset(
    """
    compress copy copytruncate createolddir daily dateext datehourago dateyesterday delaycompress hourly ifempty
    missingok monthly nocompress nocopy nocopytruncate nocreate nocreateolddir nodateext nodelaycompress nomail
    nomissingok noolddir nosharedscripts noshred notifempty sharedscripts weekly yearly
    """.split()
)
_NUMBERED = frozenset("maxage maxsize minage minsize monthly rotate size start weekly".split())
_SIZE = re.compile(r"\d{1,12}[kMG]?")
_SCRIPTS = frozenset(("firstaction", "lastaction", "postrotate", "preremove", "prerotate"))
_ENDING = re.compile(r"\.[A-Za-z0-9]{1,10}")
_DATE = re.compile(r"[-.]?[%A-Za-z0-9_.-]{1,40}")
_OF_PACKAGES = re.compile(
    r"""
      (?:/usr/sbin/)?invoke-rc\.d\ (?:apache2|nginx|php\d\.\d-fpm)\ (?:reload|rotate|reopen-logs)
    | (?:/usr/bin/|/bin/)?systemctl\ (?:-s\ USR1\ kill|kill\ -s\ USR[12]|reload|try-reload-or-restart)
        \ (?:--quiet\ )?(?:apache2|nginx|php\d\.\d-fpm)(?:\.service)?
    | (?:/usr/sbin/)?service\ (?:apache2|nginx|php\d\.\d-fpm)\ (?:reload|rotate)
    | /etc/init\.d/(?:apache2|nginx|php\d\.\d-fpm)\ (?:reload|rotate)
    | /usr/lib/php/php\d\.\d-fpm-reopenlogs
    | (?:/usr/sbin/)?apache(?:2ctl|ctl)\ graceful
    """,
    re.VERBOSE,
)
_AROUND = re.compile(
    r"""
      if\ (?:pgrep\ -f\ \^/usr/sbin/apache2\ >\ ?/dev/null
        |\[\ -[xfsd]\ /(?:usr/lib/php/php\d\.\d-fpm-reopenlogs|run/[a-z0-9./-]+\.pid|var/run/[a-z0-9./-]+\.pid)\ \])
      (?:;\ ?then(?P<then>.*)?)?
    | then | fi | else | true | :
    """,
    re.VERBOSE,
)
_TO_NOWHERE = re.compile(
    r"\s*(?:2>&1\ ?\|\ ?logger(?:\ -t\ [a-z0-9.]+)?|&?>\ ?/dev/null|2>&1|2>\ ?/dev/null|\|\|\ (?:true|:))"
)


def judge(path: str, text: str, whose: Whose) -> Iterator[str]:
    yield from strange_characters(path, text)
    logs: list[tuple[int, str]] = []
    inside, script, su = False, "", ""
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if script:
            if line == "endscript":
                script = ""
            elif line and not line.startswith("#") and not _is_of_packages(line):
                yield at(path, number, f"{script} runs {line!r:.120} as root", "take it out, or reload the web server")
            continue
        if not line or line.startswith("#"):
            continue
        if not inside:
            before, brace, after = line.partition("{")
            logs += [(number, word) for word in _paths(before)]
            if brace and after.strip():
                yield at(path, number, "something stands behind the brace", "write it in a line of its own")
            if not brace and not all(word.startswith("/") for word in _paths(before)):
                yield at(path, number, f"{line!r:.80} would count for all logs", "move it between the braces")
            inside, su = bool(brace), ""
        elif line == "}":
            for at_line, log in logs:
                if why := _why_no_log(log, su, whose):
                    yield at(path, at_line, *why)
            logs, inside = [], False
        elif line.split()[0] in _SCRIPTS and line in _SCRIPTS:
            script = line
        else:
            su = line.removeprefix("su ").strip() if line.startswith("su ") else su
            if why := _why_not(line, whose):
                yield at(path, number, *why)
    if logs or inside or script:
        yield at(path, text.count("\n") + 1, "the file ends in the middle of what it says", "write its end")


def _paths(text: str) -> list[str]:
    return [quoted or bare for quoted, bare in re.findall(r'"([^"]*)"|([^\s"]+)', text)]


def _why_no_log(log: str, su: str, whose: Whose) -> Why:
    """What root would rotate; as the account, it may be anything of its own."""
    if whose.is_at_home(log):
        if su == f"{whose.name} {whose.name}":
            return None
        return f"root would follow links in the home to {log!r:.120}", f"write su {whose.name} {whose.name}"
    if su == f"{whose.name} {whose.name}" and whose.is_own_log(_static(log)):
        return None
    if su in ("", "root adm", "root root", "root syslog") and whose.is_own_log(_static(log)):
        return None
    return (
        f"{log!r:.120} is not a log of {whose.name}'s alone",
        f"name files below /var/log after it, such as /var/log/apache2/{whose.name}-*.log",
    )


def _static(log: str) -> str:
    """The path as far as it stands fast; what a wildcard may become must be separated from the name by a sign."""
    before, wildcard, _ = re.match(r"([^*?\[]*)([*?\[]?)(.*)", log, re.DOTALL).groups()  # type: ignore[union-attr]
    if not wildcard:
        return log
    return before + "x" if before[-1:] in "/-_." else before.rpartition("/")[0] + "/"


def _is_of_packages(line: str) -> bool:
    """Whether it is what the packages' own files have there: the web server is told to open its logs again."""
    line = re.sub(r"\s+", " ", line).rstrip(";").strip()
    if around := _AROUND.fullmatch(line):
        rest = (around["then"] or "").strip().removesuffix("fi").rstrip("; ")
        return not rest or _is_of_packages(rest)
    while (shorter := _TO_NOWHERE.sub("", line, count=1)) != line:
        line = shorter.strip()
    return _OF_PACKAGES.fullmatch(line) is not None


def _why_not(line: str, whose: Whose) -> Why:
    name, *arguments = line.replace("=", " ").split()
    owners, groups = (whose.name, "root", "www-data"), (whose.name, "root", "www-data", "adm")
    if name in _WORDS and not arguments:
        return None
    if name in _NUMBERED and len(arguments) == 1 and _SIZE.fullmatch(arguments[0]):
        return None
    if name == "su" and arguments in ([whose.name, whose.name], ["root", "adm"], ["root", "root"], ["root", "syslog"]):
        return None
    if name == "create" and _makes_plain(arguments, owners, groups):
        return None
    if name == "olddir" and len(arguments) == 1 and whose.is_own_log(arguments[0]) and not climbs(arguments[0]):
        return None
    if name in ("compressext", "extension", "addextension") and len(arguments) == 1 and _ENDING.fullmatch(arguments[0]):
        return None
    if name == "dateformat" and len(arguments) == 1 and _DATE.fullmatch(arguments[0]):
        return None
    return f"{line!r:.120} is not carried for an account", "take it out"


def _makes_plain(arguments: list[str], owners: tuple[str, ...], groups: tuple[str, ...]) -> bool:
    mode = [arguments.pop(0)] if arguments and arguments[0].isdigit() else []
    if mode and not re.fullmatch(r"0?[0-6][0-6][0-6]", mode[0]):
        return False
    return not arguments or (len(arguments) == 2 and arguments[0] in owners and arguments[1] in groups)
