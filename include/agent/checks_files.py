"""A look through an account's files for what the new version does otherwise.

The program runs in the sandbox of the home as the account itself, without a network: it can do nothing that the
customer could not. Nothing of a customer's is run, links are not followed, and mail is not read.
"""

from __future__ import annotations

import ast
import json
import os
import re
import resource
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from . import checks_php
from .accounts import Account
from .checks_found import Clock, Found
from .checks_text import addresses_in, uses_variable
from .files_sandbox import enter, python_argv
from .system import refuse

_MOST_FILES = 200_000
_MOST_BYTES = 2 << 20
_MOST_MEMORY = 2 << 30
_MOST_SAID = 64 << 20
_GRACE = 30.0
_LISTED = 5
# Histories of version control, packages of others, caches: nobody writes an address there for the site to use.
_SKIPPED = frozenset({b".git", b".svn", b".hg", b"node_modules", b".cache", b".npm"})
_PYTHONS_OWN = frozenset({b"lib", b"lib64", b"include", b"bin", b"share"})
_MAILDIR = {b"cur", b"new", b"tmp"}
_PHP = re.compile(rb"\.(php[3-8]?|phtml)\Z", re.IGNORECASE)
_PHP_BEGINS = re.compile(rb"(#![^\n]*\n)?\s*<\?php\s", re.IGNORECASE)
_PYTHON_BEGINS = re.compile(rb"#![^\n]*\bpython[0-9.]*\b")
_NO_ADDRESSES = re.compile(rb"(\.log(\.\d+)?|\.sql|_history)\Z")
_PHP_KINDS = ("php_functions", "php_extensions", "php_settings", "mariadb_variables")


class Scan:
    """One look through a home; `checks` are those whose kinds read files."""

    def __init__(self, home: str, checks: list[dict[str, Any]], addresses: list[str], clock: Clock) -> None:
        self.home, self.clock, self.found = os.fsencode(home), clock, Found()
        self.checks = checks
        self.addresses = tuple(addresses) if self.of("old_addresses") else ()
        self.php_program: str | None = None
        self.php_files: list[bytes] = []
        self.files = 0
        self.large: list[str] = []
        self.unreadable: list[str] = []
        self._named: dict[bytes, Callable[[str, bytes], None]] = {
            b".user.ini": self.user_ini,
            b".htaccess": self.htaccess,
            b"composer.json": self.composer,
            b"pyvenv.cfg": self.virtualenv,
        }

    def of(self, *kinds: str) -> list[dict[str, Any]]:
        """The checks of these kinds."""
        return [check for check in self.checks if check["kind"] in kinds]

    def shown(self, path: bytes) -> str:
        """A path as customers know it: from their home."""
        return path[len(self.home) + 1 :].decode("utf-8", "backslashreplace")

    # --- every file ---

    def walk(self) -> Iterator[os.DirEntry[bytes]]:
        """Every file of the home that is worth a look, by name."""
        device = os.lstat(self.home).st_dev
        waiting = [self.home]
        while waiting and not self.clock.over:
            directory = waiting.pop()
            try:
                with os.scandir(directory) as found:
                    entries = sorted(islice(found, _MOST_FILES + 1), key=lambda entry: entry.name)
            except OSError:
                self.unreadable.append(self.shown(directory) + "/")
                continue
            names = {entry.name for entry in entries}
            if names >= _MAILDIR:
                continue
            skipped = _SKIPPED | (_PYTHONS_OWN if b"pyvenv.cfg" in names else frozenset())
            below = []
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name == b"site-packages":
                        self.packages(entry.path)
                    elif entry.name not in skipped and entry.stat(follow_symlinks=False).st_dev == device:
                        below.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    yield entry
            waiting += reversed(below)

    def run(self) -> None:
        """Look at every file, then have PHP look at its own."""
        for entry in self.walk():
            if self.files >= _MOST_FILES:
                self.found.leave(f"The account has more than {_MOST_FILES:,} files; the others were not looked at.")
                break
            if self.clock.over:
                break
            self.files += 1
            self.file(entry)
        if self.clock.over:
            self.found.leave(f"There was time for {self.files:,} files only; the others were not looked at.")
        self.tell("is larger than 2 MB", self.large)
        self.tell("cannot be read by the account", self.unreadable)
        if self.php_files and self.of("php_lint", *_PHP_KINDS):
            self.php()

    def file(self, entry: os.DirEntry[bytes]) -> None:
        path = entry.path
        try:
            size = entry.stat(follow_symlinks=False).st_size
            if size > _MOST_BYTES:
                if _PHP.search(entry.name):
                    self.large.append(self.shown(path))
                return
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as file:
                content = file.read(_MOST_BYTES)
        except OSError:
            self.unreadable.append(self.shown(path))
            return
        shown = self.shown(path)
        if _PHP.search(entry.name) or _PHP_BEGINS.match(content):
            self.php_files.append(path)
        elif entry.name.endswith(b".py") or _PYTHON_BEGINS.match(content):
            self.python(path, content)
        if look := self._named.get(entry.name):
            look(shown, content)
        if self.addresses and b"\0" not in content[:8192] and not _NO_ADDRESSES.search(entry.name):
            self.old_addresses(shown, content)

    def old_addresses(self, shown: str, content: bytes) -> None:
        """Addresses of the old server in a text."""
        hits: dict[str, list[int]] = {}
        for address, at in addresses_in(content, self.addresses):
            hits.setdefault(address, []).append(at)
        for address, places in hits.items():
            line = content.count(b"\n", 0, places[0]) + 1
            for check in self.of("old_addresses"):
                self.found.add(check["id"], shown, f"names the old address {address}", line, len(places))

    # --- files of a certain name ---

    def user_ini(self, shown: str, content: bytes) -> None:
        self.settings(shown, content, rb"\s*([A-Za-z0-9_.]+)\s*=")

    def htaccess(self, shown: str, content: bytes) -> None:
        self.settings(shown, content, rb"(?i)\s*php_(?:admin_)?(?:value|flag)\s+([A-Za-z0-9_.]+)\s")

    def settings(self, shown: str, content: bytes, pattern: bytes) -> None:
        """PHP's settings that a file of settings names."""
        for number, line in enumerate(content.splitlines(), 1):
            if found := re.match(pattern, line):
                self.setting(found[1].decode().lower(), shown, number)

    def setting(self, name: str, shown: str, line: int) -> None:
        for check in self.of("php_settings"):
            if name in map(str.lower, check["settings"]):
                self.found.add(check["id"], shown, f"sets or reads {name}", line)

    def composer(self, shown: str, content: bytes) -> None:
        """Extensions that a composer.json requires."""
        try:
            required = json.loads(content)["require"]
            names = {str(name).lower() for name in required}
        except (ValueError, KeyError, TypeError, RecursionError):
            return
        for check in self.of("php_extensions"):
            for name in check["extensions"]:
                if f"ext-{name.lower()}" in names:
                    self.found.add(check["id"], shown, f"requires the extension {name}")

    def virtualenv(self, shown: str, content: bytes) -> None:
        """A virtualenv whose Python is not on this server."""
        text = content.decode("utf-8", "replace")
        home = re.search(r"^home\s*=\s*(/\S.*?)\s*$", text, re.M)
        version = re.search(r"^version(?:_info)?\s*=\s*(\d+\.\d+)", text, re.M)
        if not self.of("virtualenvs") or not home or not version:
            return
        own = os.fsdecode(self.home)
        if not f"{home[1]}/".startswith(("/usr/", own + "/")):
            self.found.leave(f"The virtualenv of {shown} was made by a Python in {home[1]}, which was not looked for.")
        elif not os.path.exists(f"{home[1]}/python{version[1]}"):
            self.no_python(shown, version[1], "a virtualenv made by")

    def packages(self, path: bytes) -> None:
        """Packages that the customer has installed for a Python that is not on this server (pip install --user)."""
        found = re.fullmatch(rb".*/\.local/lib/python(\d+\.\d+)/site-packages", path, re.DOTALL)
        if found and not os.path.exists(f"/usr/bin/python{found[1].decode()}"):
            self.no_python(self.shown(path), found[1].decode(), "packages installed for")

    def no_python(self, shown: str, version: str, what: str) -> None:
        for check in self.of("virtualenvs"):
            self.found.add(check["id"], shown, f"{what} Python {version}, which the new server does not have")

    # --- Python ---

    def python(self, path: bytes, content: bytes) -> None:
        """Modules that a program imports, unless it can do without or brings its own."""
        checks = self.of("python_modules")
        if not checks:
            return
        shown, version = self.shown(path), f"{sys.version_info.major}.{sys.version_info.minor}"
        try:
            tree = ast.parse(content)
            imported = list(imports(tree))
        except SyntaxError as error:
            for check in checks:
                self.found.add(check["id"], shown, f"is no Python {version}: {error.msg}", error.lineno or 0)
            return
        except (ValueError, MemoryError, RecursionError):
            self.unreadable.append(shown)
            return
        asked = {module for check in checks for module in check["modules"]}
        needed = {(m, line) for name, line in imported for m in asked if name == m or name.startswith(m + ".")}
        for module, line in sorted(needed, key=lambda one: one[1]):
            beside = os.path.join(os.path.dirname(path), os.fsencode(module.partition(".")[0]))
            if os.path.lexists(beside + b".py") or os.path.lexists(beside):
                continue
            for check in checks:
                if module in check["modules"]:
                    self.found.add(check["id"], shown, f"imports {module}", line)

    # --- PHP ---

    def php(self) -> None:
        php = self.php_program
        if php is None:
            self.found.leave("This server has no PHP for the command line: the PHP files were not looked at.")
            return
        if checks := self.of(*_PHP_KINDS):
            uses, unread = checks_php.uses_of(php, self.php_files, checks, self.clock)
            self.tell_unread(unread)
            self.php_uses(uses)
        if checks := self.of("php_lint"):
            said, unread = checks_php.lint(php, self.php_files, self.clock)
            self.tell_unread(unread)
            for path, what, line in said:
                for check in checks:
                    self.found.add(check["id"], self.shown(path), what, line, group=what.partition(":")[0])

    def php_uses(self, uses: checks_php.Uses) -> None:
        """What PHP files use, as findings of the checks that ask for it."""
        for path, kind, name, line in uses.foreign():
            shown = self.shown(path)
            what = {"function": "calls {}()", "class": "uses the class {}", "constant": "uses the constant {}"}[kind]
            for check in self.of("php_functions"):
                if kind == "function" and name in map(str.lower, check["functions"]):
                    self.found.add(check["id"], shown, what.format(name), line)
            for check in self.of("php_extensions"):
                for extension in check["extensions"]:
                    own = checks_php.belongs(checks_php.extension(extension), kind, name)
                    if own and not uses.asks_for(path, extension):
                        told = f"{what.format(name)} of the extension {extension}"
                        self.found.add(check["id"], shown, told, line)
        for path, name, line in uses.required:
            for check in self.of("php_extensions"):
                if name in map(str.lower, check["extensions"]):
                    self.found.add(check["id"], self.shown(path), f"requires the extension {name}", line)
        for path, name, line in uses.settings:
            self.setting(name, self.shown(path), line)
        for path, text, line in uses.strings:
            for check in self.of("mariadb_variables"):
                for variable in check["variables"]:
                    if uses_variable(text, variable):
                        self.found.add(check["id"], self.shown(path), f"uses the variable {variable}", line)

    def tell_unread(self, unread: checks_php.Unread) -> None:
        self.tell("could not be taken apart by PHP", [self.shown(path) for path in unread.failed])
        if unread.late:
            self.found.leave(f"There was no time for {len(unread.late):,} PHP files; they were not looked at.")

    def tell(self, why: str, names: list[str]) -> None:
        """One sentence on files that were not looked at."""
        if names:
            more = f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
            self.found.leave(f"What {why} was not looked at: {', '.join(names[:_LISTED])}{more}.")


def imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """(module, line) of each import that must succeed: not those in a `try` that expects it to fail."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module, node.lineno
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.Try) and any(_expects_none(handler) for handler in node.handlers):
            waiting += [*node.handlers, *node.orelse, *node.finalbody]
        else:
            waiting += ast.iter_child_nodes(node)


def _expects_none(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = {"ImportError", "ModuleNotFoundError", "Exception"}
    return any(kind is None or (isinstance(kind, ast.Name) and kind.id in names) for kind in kinds)


def main(arguments: list[str]) -> None:
    """`HOME`; stdin: {"uid", "gid", "seconds", "php", "checks", "old_addresses", "crontab"}; stdout: what was found."""
    home = arguments[0]
    request = json.load(sys.stdin)
    os.umask(0o022)  # what stands above the home in the sandbox is for everybody to pass
    enter(home, writable=False, owner=(request["uid"], request["gid"]))
    for limit, most in (
        (resource.RLIMIT_AS, _MOST_MEMORY),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        resource.setrlimit(limit, (most, most))
    warnings.simplefilter("ignore")
    scan = Scan(home, request["checks"], request["old_addresses"], Clock(request["seconds"]))
    scan.php_program = request["php"]
    if scan.addresses and request["crontab"]:
        scan.old_addresses("crontab", request["crontab"].encode())
    scan.run()
    looked = {"files": scan.files, "php_files": len(scan.php_files)}
    json.dump({"findings": scan.found.findings(), "looked_at": looked, "not_looked_at": scan.found.left}, sys.stdout)


# --- its user ---


def look(
    account: Account, checks: list[dict[str, Any]], addresses: Iterable[str], crontab: str, found: Found, clock: Clock
) -> dict[str, int]:
    """Have the account's files looked through, and take in what is found; {"files", "php_files"}."""
    request = {
        "uid": account.uid,
        "gid": account.gid,
        "seconds": max(1.0, clock.left),
        "php": checks_php.program(),
        "checks": checks,
        "old_addresses": list(addresses),
        "crontab": crontab,
    }
    process = subprocess.Popen(
        python_argv("checks_files", account.home),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # so that what it has started ends with it
    )
    try:
        said, error = process.communicate(json.dumps(request).encode(), timeout=request["seconds"] + _GRACE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        found.leave("The files could not be looked through in time.")
        return {"files": 0, "php_files": 0}
    if process.returncode != 0 or len(said) > _MOST_SAID:
        last = error[-2000:].decode("utf-8", "backslashreplace").strip().splitlines()[-1:] or ["no message"]
        refuse("check_failed", f"The files in {account.home} could not be looked through: {last[0]}.")
    result = json.loads(said)
    found.take(result["findings"], result["not_looked_at"])
    return {key: int(result["looked_at"][key]) for key in ("files", "php_files")}
