"""What an account's PHP files call, require and set, and whether this server's PHP can read them.

Nothing of the files is run: PHP's own tokenizer takes them apart, and `php -l` compiles them. Both run in the sandbox
of the account's files (see checks_files), as the account, without a network and without any configuration.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ..host.system import run
from .findings import Clock

_BARE = ["-n", "-d", "memory_limit=512M", "-d", "short_open_tag=0", "-d", "html_errors=0", "-d", "log_errors=0"]
_BARE += ["-d", "display_errors=1", "-d", "error_reporting=-1"]
_MANY_AT_ONCE = 80300  # from this version on `php -l` takes several files, each as if alone
_BATCH_FILES, _BATCH_BYTES, _BATCH_TOKENS = 200, 100_000, 1000
_TIMEOUT = 120.0
_MAX_USES = 200_000


@dataclass(frozen=True)
class Extension:
    """What is an extension's: prefixes of its functions and constants, and its classes, all in lower case."""

    functions: tuple[str, ...] = ()
    constants: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()


_EXTENSIONS = {
    "imap": Extension(("imap_",), ("imap_",), ("imap\\connection",)),
    "oci8": Extension(("oci_", "ocilogon", "ociparse", "ociexecute"), ("oci_",), ("ocilob", "ocicollection")),
    "pspell": Extension(("pspell_",), ("pspell_",), ("pspell\\dictionary", "pspell\\config")),
    "xmlrpc": Extension(("xmlrpc_",), (), ("xmlrpcserver",)),
    "mysql": Extension(("mysql_",), ("mysql_assoc", "mysql_num", "mysql_both"), ()),
    "mssql": Extension(("mssql_",), ("mssql_",), ()),
    "mcrypt": Extension(("mcrypt_", "mdecrypt_"), ("mcrypt_",), ()),
    "soap": Extension(("is_soap_fault",), ("soap_",), ("soapclient", "soapserver", "soapfault", "soapheader")),
    "tidy": Extension(("tidy_",), ("tidy_",), ("tidy", "tidynode")),
    "zip": Extension(("zip_",), (), ("ziparchive",)),
    "memcached": Extension((), (), ("memcached",)),
    "redis": Extension((), (), ("redis",)),
    "imagick": Extension((), (), ("imagick", "imagickdraw", "imagickpixel")),
}


def extension(name: str) -> Extension:
    """What is this extension's; one that is not in the table names its functions after itself."""
    return _EXTENSIONS.get(name.lower(), Extension((f"{name.lower()}_",)))


# Reads `{"functions": [...], "prefixes": ...}` as a line and then paths, each ended by NUL; writes a line for each.
_TOKENIZER = r"""
$wanted = json_decode(fgets(STDIN), true);
$is = fn(string $kind, string $name) => isset($wanted[$kind][$name]) || array_filter(
    $wanted["{$kind}_from"] ?? [], fn($prefix) => str_starts_with($name, $prefix));
function facts(string $code, array $wanted, callable $is): array {
    $facts = ['calls' => [], 'classes' => [], 'constants' => [], 'declared' => [], 'guards' => [], 'loaded' => [],
        'replaced' => [], 'settings' => [], 'strings' => [], 'zones' => []];
    $tokens = array_values(array_filter(PhpToken::tokenize($code), fn($token) => !$token->isIgnorable()));
    $namespace = ''; $scopes = []; $class = -1; $depth = 0; $imported = [];
    $add = function (string $kind, $fact) use (&$facts) {
        if (count($facts[$kind]) < 1000) { $facts[$kind][] = $fact; }
    };
    for ($i = 0, $n = count($tokens); $i < $n; $i++) {
        $token = $tokens[$i]; $before = $tokens[$i - 1] ?? null; $next = $tokens[$i + 1] ?? null;
        $after = $next->text ?? '';
        // A keyword is a plain name there.
        if ($before && $before->is([T_DOUBLE_COLON, T_FUNCTION]) && preg_match('~^[a-z]~i', $token->text)) { continue; }
        switch ($token->id) {
            case ord('('): $depth++; break;
            case ord(')'): $depth--; break;
            case ord('{'):
                $scopes[] = $class === $depth ? 'class' : 'block';
                if ($class === $depth) { $class = -1; }
                break;
            case T_CURLY_OPEN: case T_DOLLAR_OPEN_CURLY_BRACES: $scopes[] = 'block'; break;
            case ord('}'): array_pop($scopes); break;
            case T_ATTRIBUTE:
                for ($open = 1, $i++; $i < $n && $open; $i++) {
                    $open += $tokens[$i]->text === '[' || $tokens[$i]->id === T_ATTRIBUTE ? 1 : 0;
                    $open -= $tokens[$i]->text === ']' ? 1 : 0;
                }
                $i--;
                break;
            case T_NAMESPACE:
                $namespace = $next && $next->is([T_STRING, T_NAME_QUALIFIED]) ? strtolower($next->text) . '\\' : '';
                $imported = [];
                if ($namespace) { $i++; }
                break;
            case T_CLASS: case T_INTERFACE: case T_TRAIT: case T_ENUM:
                if ($before && $before->id === T_DOUBLE_COLON) { break; }
                $class = $depth;
                if ($next && $next->id === T_STRING) {
                    if (!$namespace && isset($wanted['own_classes'][strtolower($next->text)])) {
                        $add('replaced', [strtolower($next->text), $next->line]);
                    }
                    if ($is('classes', strtolower($next->text))) {
                        $add('declared', 'class ' . $namespace . strtolower($next->text));
                    }
                    $i++;
                }
                break;
            case T_FUNCTION:
                $name = $i + 1;
                while ($name < $n && $tokens[$name]->text === '&') { $name++; }
                if ($name < $n && $tokens[$name]->id === T_STRING) {
                    $own = strtolower($tokens[$name]->text);
                    if (end($scopes) !== 'class' && !$namespace && isset($wanted['own_functions'][$own])
                        && parameters($tokens, $name + 1) !== parameters_of($own)) {
                        $add('replaced', [$own, $tokens[$name]->line]);
                    }
                    if (end($scopes) !== 'class' && $is('functions', strtolower($tokens[$name]->text))) {
                        $add('declared', 'function ' . $namespace . strtolower($tokens[$name]->text));
                    }
                    $i = $name;
                }
                break;
            case T_CONST:
                if (end($scopes) !== 'class' && $next && $is('constants', strtolower($next->text))) {
                    $add('declared', 'constant ' . $namespace . strtolower($next->text));
                }
                $i++;
                break;
            case T_USE:
                if (end($scopes) === 'class' || ($before && $before->text === ')')) { break; }
                $function = $next && $next->id === T_FUNCTION;
                for ($last = ''; $i < $n && $tokens[$i]->text !== ';'; $i++) {
                    if ($tokens[$i]->is([T_STRING, T_NAME_QUALIFIED, T_NAME_FULLY_QUALIFIED])) {
                        $name = ltrim(strtolower($tokens[$i]->text), '\\');
                        // What comes from the global namespace is itself, by whatever name.
                        if (!$function && $is('classes', $name) && $tokens[$i - 1]->id !== T_AS) {
                            $add('classes', [$name, $tokens[$i]->line, '']);
                        }
                        $whole = str_contains($name, '\\') || ($tokens[$i - 1]->id !== T_USE
                            && $tokens[$i - 1]->id !== T_FUNCTION);
                        $last = substr($name, (int) strrpos('\\' . $name, '\\'));
                        if ($function && $whole) { $imported[$last] = true; }
                    }
                }
                break;
            case T_STRING: case T_NAME_FULLY_QUALIFIED: case T_NAME_QUALIFIED:
                if ($before && $before->is([T_OBJECT_OPERATOR, T_NULLSAFE_OBJECT_OPERATOR])) { break; }
                $name = ltrim(strtolower($token->text), '\\');
                $here = $token->id === T_NAME_FULLY_QUALIFIED ? '' : $namespace;
                if ($after === '::' || ($before && $before->is([T_NEW, T_EXTENDS, T_INSTANCEOF]))) {
                    // A class has no fallback to the global namespace.
                    if (!$here && $is('classes', $name)) { $add('classes', [$name, $token->line, '']); }
                } elseif (str_contains($name, '\\')) {
                    break;
                } elseif ($after === '(') {
                    $text = null;
                    if (($tokens[$i + 2]->id ?? 0) === T_CONSTANT_ENCAPSED_STRING
                        && in_array($tokens[$i + 3]->text ?? '', [',', ')'], true)) {
                        $text = ltrim(strtolower(stripslashes(substr($tokens[$i + 2]->text, 1, -1))), '\\');
                    }
                    if ($text !== null) {
                        if (in_array($name, ['function_exists', 'is_callable', 'defined', 'class_exists'], true)) {
                            $add('guards', $text);
                        } elseif ($name === 'extension_loaded') {
                            $add('loaded', [$text, $token->line, $before && $before->text === '!']);
                        } elseif ($name === 'define' && $is('constants', $text)) {
                            $add('declared', "constant $text");
                        } elseif (str_starts_with($name, 'ini_') && isset($wanted['settings'][$text])) {
                            $add('settings', [$text, $token->line]);
                        }
                    }
                    if ($is('functions', $name) && !($token->id === T_STRING && isset($imported[$name]))) {
                        $add('calls', [$name, $token->line, $here]);
                    }
                } elseif ($is('constants', $name) && strtoupper($token->text) === $token->text
                    && !($before && $before->is([T_NEW, T_GOTO, T_AS])) && !($after === ':' && $before
                    && in_array($before->text, ['(', ','], true))) {
                    $add('constants', [$name, $token->line, $here]);
                }
                break;
            case T_CONSTANT_ENCAPSED_STRING: case T_ENCAPSED_AND_WHITESPACE:
                $whole = stripslashes(substr($token->text, 1, -1));
                $called = $i > 1 && $before->text === '(' ? ltrim(strtolower($tokens[$i - 2]->text), '\\') : '';
                $named = in_array($called, ['date_default_timezone_set', 'timezone_open', 'datetimezone'], true);
                if ($wanted['zones'] && $token->id === T_CONSTANT_ENCAPSED_STRING && zone($whole, $named)) {
                    $add('zones', [$whole, $token->line]);
                }
                foreach ($wanted['strings'] as $word) {
                    if (($at = stripos($token->text, $word)) !== false) {
                        $quoted = $token->id === T_CONSTANT_ENCAPSED_STRING;
                        $text = $quoted ? stripslashes(substr($token->text, 1, -1)) : $token->text;
                        $add('strings', [substr($text, 0, 4096), $token->line]);
                        break;
                    }
                }
                break;
        }
    }
    return $facts;
}
// The names of a declared function's parameters, and of the one that PHP has: a polyfill of one meaning has the same.
function parameters(array $tokens, int $at): array {
    for ($names = [], $open = 0; isset($tokens[$at]); $at++) {
        $open += ['(' => 1, ')' => -1][$tokens[$at]->text] ?? 0;
        if ($tokens[$at]->id === T_VARIABLE && $open === 1) { $names[] = substr($tokens[$at]->text, 1); }
        if (!$open) { break; }
    }
    return $names;
}
function parameters_of(string $name): ?array {
    return function_exists($name)
        ? array_map(fn($one) => $one->getName(), (new ReflectionFunction($name))->getParameters()) : null;
}
function zone(string $text, bool $named): bool {
    static $areas = '~^(Africa|America|Antarctica|Arctic|Asia|Atlantic|Australia|Brazil|Canada|Chile|Etc|Europe|Indian'
        . '|Mexico|Pacific|US)/[A-Z][A-Za-z0-9_+-]*(/[A-Z][A-Za-z_]+)?$~D';
    return $named ? (bool) preg_match('~^[A-Z][A-Za-z0-9_+/-]+$~D', $text) : (bool) preg_match($areas, $text);
}
foreach (explode("\0", stream_get_contents(STDIN), -1) as $path) {
    $code = @file_get_contents($path, false, null, 0, 2097152);
    $facts = $code === false ? null : facts($code, $wanted, $is);
    echo json_encode($facts, JSON_INVALID_UTF8_SUBSTITUTE), "\n";
}
"""


def program() -> str | None:
    """This server's PHP of the command line, where it really lies; to be asked outside of the sandbox."""
    path = os.path.realpath("/usr/bin/php")
    return path if os.access(path, os.X_OK) else None


def extensions() -> list[str] | None:
    """The extensions that this server's PHP has, in lower case; None where it does not say."""
    php = program()
    output = run([php, "-m"], check=False, timeout=20).stdout.decode(errors="replace") if php else ""
    return sorted({line.strip().lower() for line in output.splitlines() if line.strip() and line[0] != "["}) or None


@dataclass
class Unread:
    """Files that PHP failed at, and those that there was no time for."""

    failed: list[bytes] = field(default_factory=list)
    late: list[bytes] = field(default_factory=list)


# --- php -l ---


def lint(php: str, paths: list[bytes], clock: Clock) -> tuple[list[tuple[bytes, str, int]], Unread]:
    """[(path, what PHP says of it, line)]: errors and deprecations; and what was not read."""
    version = int(_run([php, "-n", "-r", "echo PHP_VERSION_ID;"], b"", clock) or 0)
    most = _BATCH_FILES if version >= _MANY_AT_ONCE else 1
    messages, unread, waiting = [], Unread(), list(paths)
    while waiting and not clock.expired:
        batch = waiting[: _fitting(waiting, most)]
        out = _run([php, *_BARE, "-l", *map(os.fsdecode, batch)], b"", clock)
        done = 0
        for path in batch:
            done += 1
            end = re.search(rb"^(?:No syntax errors detected in|Errors parsing) " + re.escape(path) + b"$", out, re.M)
            if not end:
                unread.failed.append(path)  # PHP ended with this one: too large, or too long in it
                break
            own, out = out[: end.start()], out[end.end() :]
            if b"Allowed memory size of " in own:
                unread.failed.append(path)
            else:
                messages += _messages(path, own)
        del waiting[:done]
    unread.late = waiting
    return messages, unread


def _fitting(paths: list[bytes], most: int) -> int:
    """How many of the paths go into one list of arguments; one at least."""
    size, number = 0, 0
    for path in paths[:most]:
        size += len(path)
        if number and size > _BATCH_BYTES:
            break
        number += 1
    return number


def _messages(path: bytes, text: bytes) -> list[tuple[bytes, str, int]]:
    """What PHP says of a file, apart from the other files."""
    pattern = rb"^(?:PHP )?(Parse error|Fatal error|Deprecated): +(.*) in " + re.escape(path) + rb" on line (\d+)$"
    return [
        (path, f"{message[1].decode()}: {message[2].decode('utf-8', 'replace')}", int(message[3]))
        for message in re.finditer(pattern, text, re.M)
    ]


def _run(argv: list[str], data: bytes, clock: Clock) -> bytes:
    """What PHP puts out until it ends, or until its time is over."""
    seconds = max(0.1, min(_TIMEOUT, clock.left))
    try:
        return subprocess.run(
            argv, input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=seconds, check=False
        ).stdout
    except subprocess.TimeoutExpired as error:
        return error.stdout or b""


# --- what is called, required and set ---


@dataclass
class Uses:
    """What the account's PHP files use of all that was asked for, and what they bring along themselves."""

    uses: list[tuple[bytes, str, str, int, str]] = field(default_factory=list)
    """(path, "function" | "class" | "constant", name, line, namespace)"""
    declared: set[str] = field(default_factory=set)
    guards: dict[bytes, frozenset[str]] = field(default_factory=dict)
    """What each file asks for; an extension as "extension NAME"."""
    required: list[tuple[bytes, str, int]] = field(default_factory=list)
    replaced: list[tuple[bytes, str, int]] = field(default_factory=list)
    """Functions and classes that stand in for those of a newer PHP, and mean something else."""
    zones: list[tuple[bytes, str, int]] = field(default_factory=list)
    settings: list[tuple[bytes, str, int]] = field(default_factory=list)
    strings: list[tuple[bytes, str, int]] = field(default_factory=list)

    def take(self, path: bytes, facts: dict[str, Any]) -> None:
        """Take in what the tokenizer says of a file. What a file asks for before it uses it is no use."""
        guards = frozenset(facts["guards"])
        for key, kind in _FACTS.items():
            uses = [(path, kind, name, line, namespace) for name, line, namespace in facts[key] if name not in guards]
            self.uses += uses[: _MAX_USES - len(self.uses)]
        self.declared |= set(facts["declared"])
        self.guards[path] = guards | {f"extension {name}" for name, _, negated in facts["loaded"] if not negated}
        self.required += [(path, name, line) for name, line, negated in facts["loaded"] if negated]
        self.replaced += [(path, name, line) for name, line in facts["replaced"]]
        self.zones += [(path, name, line) for name, line in facts["zones"]]
        self.settings += [(path, name, line) for name, line in facts["settings"]]
        self.strings += [(path, text, line) for text, line in facts["strings"]]

    def asks_for(self, path: bytes, name: str) -> bool:
        """Whether a file asks whether this extension is there, or one of its functions: it can do without."""
        own, guards = extension(name), self.guards[path]
        return f"extension {name.lower()}" in guards or any(
            belongs(own, kind, guard) for guard in guards for kind in _FACTS.values()
        )

    def foreign(self) -> Iterator[tuple[bytes, str, str, int]]:
        """The uses of what the account does not declare itself, where the name would find it."""
        for path, kind, name, line, namespace in self.uses:
            if f"{kind} {name}" not in self.declared and f"{kind} {namespace}{name}" not in self.declared:
                yield path, kind, name, line


_FACTS = {"calls": "function", "classes": "class", "constants": "constant"}


def belongs(own: Extension, kind: str, name: str) -> bool:
    if kind == "class":
        return name in own.classes
    return name.startswith(own.functions if kind == "function" else own.constants)


def uses_of(php: str, paths: list[bytes], checks: Iterable[dict[str, Any]], clock: Clock) -> tuple[Uses, Unread]:
    """What these files use of what the checks ask for; and what was not read."""
    uses, unread, waiting = Uses(), Unread(), list(paths)
    question = json.dumps(_question(checks)).encode() + b"\n"
    argv = [php, *_BARE, "-d", "extension=tokenizer", "-d", "display_errors=stderr", "-r", _TOKENIZER]
    while waiting and not clock.expired:
        batch = waiting[:_BATCH_TOKENS]
        lines = _run(argv, question + b"".join(path + b"\0" for path in batch), clock).split(b"\n")[:-1]
        done = 0
        for path, line in zip(batch, [*lines, b""], strict=False):
            done += 1
            if not line.startswith(b"{"):
                unread.failed.append(path)
                if line != b"null":
                    break  # PHP ended with this one: too large, or too long in it
            else:
                uses.take(path, json.loads(line))
        del waiting[:done]
    unread.late = waiting
    return uses, unread


def _question(checks: Iterable[dict[str, Any]]) -> dict[str, Any]:
    names: dict[str, set[str]] = {kind: set() for kind in ("functions", "classes", "settings", "strings")}
    prefixes: dict[str, set[str]] = {"functions_from": set(), "constants_from": set()}
    replaced: dict[str, dict[str, int]] = {"own_functions": {}, "own_classes": {}}
    zones = False
    for check in checks:
        if check["kind"] == "php_declares":
            for kind in ("functions", "classes"):
                replaced[f"own_{kind}"] |= {name.lower(): 1 for name in check.get(kind, [])}
            continue
        zones |= check["kind"] == "php_time_zones"
        names["functions"] |= {name.lower() for name in check.get("functions", [])}
        names["settings"] |= {name.lower() for name in check.get("settings", [])}
        names["strings"] |= {name.lower() for name in check.get("variables", [])}
        for own in map(extension, check.get("extensions", [])):
            prefixes["functions_from"] |= set(own.functions)
            prefixes["constants_from"] |= set(own.constants)
            names["classes"] |= set(own.classes)
    question: dict[str, Any] = {kind: {name: 1 for name in sorted(group)} for kind, group in names.items()}
    question["strings"] = sorted(names["strings"])
    return question | replaced | {"zones": zones} | {kind: sorted(group) for kind, group in prefixes.items()}
