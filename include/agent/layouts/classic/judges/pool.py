"""Judge of a file of php-fpm's: pools that run as the account, and reach nothing of another's."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from .whose import Whose, at, climbs, strange_characters

Why = tuple[str, str] | None
_SETTING = re.compile(r"([a-z_.]+)(?:\[([A-Za-z0-9_.-]*)\])?\s*=\s*(.*)")
_SOCKET = re.compile(
    r"(?:/var)?/run/(?:php|php-fpm|php/[A-Za-z0-9._-]+)/[A-Za-z0-9._-]+|/var/lib/php\d*\.?\d*-fpm/[A-Za-z0-9._-]+"
)
_NUMBER = re.compile(r"\d{1,2}|[1-4]\d\d|500")
_MOST_POOLS = 10
_TIME = re.compile(r"\d{1,6}[smhd]?")
_WORD = re.compile(r"[A-Za-z0-9_./ -]{0,200}")
_SWITCH = re.compile(r"yes|no|on|off|true|false|0|1", re.IGNORECASE)
_MODE = re.compile(r"0?[0-6]{3}")
_ANYTHING = re.compile(r".*")
_WITH_OPERATORS = frozenset(("access.format", "env", "php_value", "php_admin_value"))
_OPERATORS = re.compile(r"[|&^~!()]")
_URL = re.compile(r"\b(?:https?|tcp|tls|rediss?|memcached?|smtps?)://\S*", re.IGNORECASE)
_QUOTED = re.compile(r"""\"((?:[^"\\]|\\.)*)"|'([^']*)'""")
_OF_PHP = frozenset(("php_value", "php_flag", "php_admin_value", "php_admin_flag"))
_OPEN_TO_ALL = (
    "/tmp", "/var/tmp", "/dev/urandom", "/dev/random", "/dev/null", "/usr/share", "/usr/bin", "/usr/sbin/sendmail",
    "/usr/lib/sendmail", "/usr/lib/php", "/usr/lib/x86_64-linux-gnu", "/usr/local/share", "/etc/ssl/certs",
    "/etc/mime.types", "/etc/timezone", "/var/lib/php/sessions", "/bin", "/proc/sys/kernel", "/proc/meminfo",
    "/proc/cpuinfo", "/proc/stat", "/proc/uptime", "/proc/loadavg",
)  # fmt: skip
"""What belongs to nobody, and each program may use."""


def judge(path: str, text: str, whose: Whose) -> Iterator[str]:
    yield from strange_characters(path, text)
    pool = ""
    users: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if not line or line.startswith(";"):
            continue
        if line.startswith("["):
            pool = line.partition("]")[0][1:].strip()
            users[pool] = users.get(pool, number)
            if why := _why_not_called(line, pool, whose):
                yield at(path, number, *why)
            continue
        if line.count('"') % 2 or line.count("'") % 2 or line.endswith("\\") or "${" in line:
            yield at(
                path, number, "a value goes on in the next line, or stands for another", "write it out in one line"
            )
            continue
        setting = _SETTING.fullmatch(line)
        if setting is None:
            yield at(path, number, f"{line!r:.80} is no setting of php-fpm's", "take it out")
            continue
        name, key = setting[1], setting[2]
        value, rest = _parted(setting[3])
        value = value.replace("$pool", pool)
        if rest or (name not in _WITH_OPERATORS and _OPERATORS.search(value)):
            yield at(path, number, f"the value of {name:.60} is put together from several", "write it as one")
        if not pool:
            yield at(path, number, f"{name:.60} stands before the name of a pool", f"write [{whose.name}] above it")
        elif why := _why_not(name, key, value, whose):
            yield at(path, number, f"{name:.60}{f'[{key:.60}]' if key else ''} {why[0]}", why[1])
        if name == "user":
            users.pop(pool, None)
    if len(names(text)) > _MOST_POOLS:
        yield at(path, 1, f"there are more than {_MOST_POOLS} pools", "keep those that are used")
    for pool, number in users.items():
        yield at(path, number, f"the pool {pool!r:.60} says no user", f"write user = {whose.name}")


def sockets(text: str) -> list[str]:
    """Where the pools of such a file listen."""
    pool, addresses = "", []
    for line in text.split("\n"):
        if line.strip().startswith("["):
            pool = line.strip().partition("]")[0][1:].strip()
        elif (setting := _SETTING.fullmatch(line.strip())) and setting[1] == "listen":
            addresses.append(_parted(setting[3])[0].replace("$pool", pool))
    return [address for address in addresses if address.startswith("/")]


def names(text: str) -> list[str]:
    """What the pools of such a file are called."""
    return re.findall(r"^\s*\[\s*([^\]]*?)\s*\]", text, re.MULTILINE)


def _parted(text: str) -> tuple[str, str]:
    """A value without its quotes and without a comment, and what stands beside it."""
    text = text.strip()
    if quoted := _QUOTED.match(text):
        return quoted[1] if quoted[1] is not None else quoted[2], text[quoted.end() :].partition(";")[0].strip()
    value = text.partition(";")[0].strip()
    return value, "".join(re.findall("[\"']", value))


def _why_not_called(line: str, pool: str, whose: Whose) -> Why:
    if not re.fullmatch(r"\[\s*[A-Za-z0-9._-]+\s*\]\s*(?:;.*)?", line) or not whose.is_named_by(pool):
        return f"the pool {pool!r:.60} may be another's", f"call it [{whose.name}], or after one of its domains"
    return None


def _why_not(name: str, key: str | None, value: str, whose: Whose) -> Why:
    if name in _OF_PHP or name == "env":
        if not key:
            return "says not which", f"write {name}[NAME] = ..."
        return _of_php(key, value, whose) if name in _OF_PHP else None
    if key is not None or name not in _SETTINGS:
        return "is no setting that is carried for an account", "take it out"
    return _SETTINGS[name](value, whose)


def _of_php(key: str, value: str, whose: Whose) -> Why:
    if key in ("extension", "zend_extension", "extension_dir"):
        return "loads a program into PHP", "have the host's own configuration load it"
    for word in re.split(r"[\s:;,=|\"'<>]+", _URL.sub(" ", value)):
        if word.startswith("/") and not _is_open(word, whose):
            return f"names {word!r:.120}, which is not {whose.name}'s", f"name what lies below {whose.home}"
    if climbs(value):
        return "leads back up by ..", "write out where it leads"
    return None


def _is_open(path: str, whose: Whose) -> bool:
    shared = any(f"{path.rstrip('/')}/".startswith(f"{folder}/") for folder in _OPEN_TO_ALL)
    return (not climbs(path) and (shared or whose.is_own_log(path))) or whose.is_at_home(path)


def _like(pattern: re.Pattern[str], expected: str) -> Callable[[str, Whose], Why]:
    def check(value: str, _whose: Whose) -> Why:
        return None if pattern.fullmatch(value) else (f"is {value!r:.80}", f"give it {expected}")

    return check


def _user(value: str, whose: Whose) -> Why:
    if value == whose.name:
        return None
    return (
        f"is {value!r:.80}",
        f"write {whose.name}: on another server the account's user and group are both called that (groupmod --new-name"
        " renames a group here)",
    )


def _who_connects(value: str, whose: Whose) -> Why:
    for word in value.split(","):
        if word.strip() not in (whose.name, "www-data", ""):
            return f"is {value!r:.80}", f"write www-data, or {whose.name}"
    return None


def _listen(value: str, whose: Whose) -> Why:
    if not value.startswith("/"):
        return (
            f"is {value!r:.80}, a port, which cannot be held while the account moves",
            f"let the pool listen at a socket such as /run/php/{whose.name}.sock",
        )
    if _SOCKET.fullmatch(value) and whose.is_named_by(value.rpartition("/")[2].removesuffix(".sock")):
        return None
    panel = re.fullmatch(r"/var/www/vhosts/system/([a-z0-9.-]+)/php-fpm\.sock", value)
    if panel and panel[1] in whose.domains:
        return None
    return (
        f"is {value!r:.120}",
        f"name a socket in /run/php that is called after the account, such as {whose.name}.sock",
    )


def _log(value: str, whose: Whose) -> Why:
    if whose.is_own_log(value) or value == "/dev/null":
        return None
    return (
        f"is {value!r:.120}, where root writes",
        f"name a file below /var/log that has {whose.name} or its domain in its name",
    )


def _folder(value: str, whose: Whose) -> Why:
    if value == "/" or whose.is_at_home(value):
        return None
    return f"is {value!r:.120}", f"name a folder of the home {whose.home}"


_COUNT, _SECONDS = _like(_NUMBER, "a number up to 500"), _like(_TIME, "a number of seconds")
_YES_OR_NO, _TEXT = _like(_SWITCH, "yes or no"), _like(_WORD, "plain words")
_SETTINGS: dict[str, Callable[[str, Whose], Why]] = {
    "access.format": _like(_ANYTHING, "a text"),
    "access.log": _log,
    "catch_workers_output": _YES_OR_NO,
    "chdir": _folder,
    "clear_env": _YES_OR_NO,
    "decorate_workers_output": _YES_OR_NO,
    "group": _user,
    "listen": _listen,
    "listen.acl_groups": _who_connects,
    "listen.acl_users": _who_connects,
    "listen.allowed_clients": _like(re.compile(r"[0-9a-f.:, ]*"), "addresses"),
    "listen.backlog": _like(re.compile(r"-1|\d{1,6}"), "a number"),
    "listen.group": _who_connects,
    "listen.mode": _like(_MODE, "a mode such as 0660"),
    "listen.owner": _who_connects,
    "ping.path": _TEXT,
    "ping.response": _TEXT,
    "pm": _like(re.compile(r"static|dynamic|ondemand"), "static, dynamic or ondemand"),
    "pm.max_children": _COUNT,
    "pm.max_requests": _like(re.compile(r"\d{1,7}"), "a number"),
    "pm.max_spare_servers": _COUNT,
    "pm.max_spawn_rate": _COUNT,
    "pm.min_spare_servers": _COUNT,
    "pm.process_idle_timeout": _SECONDS,
    "pm.start_servers": _COUNT,
    "pm.status_listen": _listen,
    "pm.status_path": _TEXT,
    "process.dumpable": _YES_OR_NO,
    "process.priority": _like(re.compile(r"0|1?\d"), "a number from 0 to 19"),
    "request_slowlog_timeout": _SECONDS,
    "request_slowlog_trace_depth": _COUNT,
    "request_terminate_timeout": _SECONDS,
    "request_terminate_timeout_track_finished": _YES_OR_NO,
    "rlimit_core": _like(re.compile(r"0"), "0"),
    "rlimit_files": _like(re.compile(r"\d{1,6}"), "a number"),
    "security.limit_extensions": _TEXT,
    "slowlog": _log,
    "user": _user,
}
