"""What the directives of an account's site of Apache's may name: a check for each that could reach beyond the site."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from ..reading.web import target
from .whose import SHARED_CERTIFICATES, SHARED_FOLDERS, SHARED_LOGS, Whose

Why = tuple[str, str] | None
"""What is wrong, and what to do; None where nothing is."""
Check = Callable[[tuple[str, ...], Whose], Why]

PLAIN = frozenset(
    """
    acceptpathinfo action addcharset adddefaultcharset adddescription addencoding addicon addiconbyencoding
    addiconbytype addlanguage allow allowencodedslashes allowmethods allowoverride allowoverridelist
    authbasicauthoritative authbasicprovider authmerging authname authtype brotlicompressionquality
    brotlifilternote browsermatch browsermatchnocase cachedisable cgipassauth checkspelling contentdigest
    defaulticon defaultlanguage deflatecompressionlevel deflatefilternote deny directoryindex directoryslash
    enablemmap enablesendfile errordocument errorlogformat expiresactive expiresbytype expiresdefault
    fallbackresource fcgidbusytimeout fcgididletimeout fcgidinitialenv fcgidiotimeout fcgidmaxprocessesperclass
    fcgidmaxrequestlen fcgidmaxrequestsperprocess fcgidminprocessesperclass fcgidprocesslifetime fileetag h2direct
    h2modernt1sonly h2push h2upgrade header headername hostnamelookups http2push indexheadinsert indexignore
    indexignorereset indexoptions indexorderdefault keepalive keepalivetimeout languagepriority
    limitinternalrecursion limitrequestbody limitxmlrequestbody logformat loglevel maxkeepaliverequests
    multiviewsmatch order protocols protocolshonororder proxyaddheaders proxyerroroverride proxyfcgibackendtype
    proxyfcgisetenvif proxyiobuffersize proxymaxforwards proxypassinherit proxypassreverse
    proxypassreversecookiedomain proxypassreversecookiepath proxypreservehost proxyreceivebuffersize proxytimeout
    proxyvia readmename redirect redirectmatch redirectpermanent redirecttemp removecharset removeencoding
    removehandler removeinputfilter removelanguage removeoutputfilter removetype requestheader require rewritebase
    rewritecond rewriteengine rewriteoptions rlimitcpu rlimitmem rlimitnproc satisfy secrequestbodyaccess
    secrequestbodylimit secruleengine secruleremovebyid secruleremovebytag serveradmin serversignature setenv
    setenvif setenvifnocase sslciphersuite sslcompression sslengine sslhonorcipherorder ssloptions
    sslproxycheckpeercn sslproxycheckpeerexpire sslproxycheckpeername sslproxyengine sslproxyverify
    sslproxyverifydepth sslrequire sslrequiressl sslsessiontickets sslusestapling sslverifyclient sslverifydepth
    substitute unsetenv usecanonicalname usecanonicalphysicalport xsendfile
    """.split()
)
"""What changes how the account's own sites answer, whatever stands behind it."""

_HANDLERS = re.compile(r"none|default-handler|type-map|php[0-9.]*-(?:fcgi|fpm)", re.IGNORECASE)
_TYPES_THAT_RUN = re.compile(r"application/x-httpd-.*|text/x-server-parsed-html3?|httpd/.*", re.IGNORECASE)
_FILTERS = re.compile(r"(?:deflate|inflate|brotli_compress|substitute|ratelimit|reqtimeout|buffer)", re.IGNORECASE)
_OPTIONS = re.compile(
    r"[+-]?(?:followsymlinks|symlinksifownermatch|indexes|multiviews|includesnoexec|none)|-(?:execcgi|includes|all)",
    re.IGNORECASE,
)
_SSL_COMMANDS = re.compile(r"curves|groups|ciphersuites|options|ecdhparameters|signaturealgorithms", re.IGNORECASE)
_OF_THE_SYSTEM = frozenset(
    "bin boot dev etc lib lib32 lib64 libx32 media mnt opt proc root run sbin srv sys tmp usr var".split()
)
_VARIABLES = re.compile(
    r"%\{(?:DOCUMENT_ROOT|REQUEST_URI|REQUEST_FILENAME|SCRIPT_FILENAME|SCRIPT_NAME|PATH_INFO)\}", re.IGNORECASE
)
_SEGMENT = re.compile(r"/?(\.well-known|[A-Za-z0-9_-][A-Za-z0-9_.-]*)(?:[/?#]|\Z)")
_FOLDER = re.compile(r"\^?(/[A-Za-z0-9._/-]+)")


def check_virtual_host(arguments: tuple[str, ...]) -> Why:
    for address in arguments:
        if not re.fullmatch(r"(?:\*|_default_):(?:80|443)", address):
            return f"answers at {address!r:.80}", "write *:80 or *:443, which each server has"
    return None if arguments else ("says no address", "write *:80 or *:443")


def check_directory(arguments: tuple[str, ...], whose: Whose, in_a_site: bool) -> Why:
    folder = arguments[0] if arguments else ""
    shared = in_a_site and f"{folder.rstrip('/')}/".startswith(SHARED_FOLDERS)
    if len(arguments) == 1 and (_is_shown(folder, whose) or shared):
        return None
    return f"is for {' '.join(arguments)!r:.120}", _name_one(whose)


def check_directory_match(arguments: tuple[str, ...], whose: Whose) -> Why:
    begins = _FOLDER.match(arguments[0]) if len(arguments) == 1 else None
    if begins and begins[1].startswith(f"{whose.home}/") and "|" not in arguments[0]:
        return None
    return f"is for {' '.join(arguments)!r:.120}", f"let the pattern begin with ^{whose.home}/ and have no |"


def _is_shown(path: str, whose: Whose) -> bool:
    """Whether it is the account's to show: in its home, or in what panels have beside it as a link to it."""
    linked = re.match(r"/var/www/([a-z0-9.-]+)(?:/|\Z)", path)
    return whose.is_at_home(path) or bool(linked and linked[1] in whose.domains and "//" not in path)


def _name_one(whose: Whose) -> str:
    return f"name a folder of the home {whose.home}"


def _folder(position: int) -> Check:
    def check(arguments: tuple[str, ...], whose: Whose) -> Why:
        path = arguments[position] if arguments else ""
        if _is_shown(path, whose) or path.startswith(SHARED_FOLDERS):
            return None
        return f"names {path!r:.120}, which is not {whose.name}'s", _name_one(whose)

    return check


def _host_names(arguments: tuple[str, ...], whose: Whose) -> Why:
    for name in arguments:
        plain = re.sub(r"\A[a-z]+://|:\d+\Z", "", name.lower()).rstrip(".")
        if plain not in whose.hosts:
            return (
                f"names {name!r:.120}, which is no host name of {whose.name}'s sites",
                "take it out, or list it in the account file",
            )
    return None if arguments else ("names nothing", "take it out")


def _log(arguments: tuple[str, ...], whose: Whose) -> Why:
    to = arguments[0] if arguments else ""
    if to in SHARED_LOGS or whose.is_own_log(to) or re.fullmatch(r"syslog(?::[a-z0-9]+)?|/dev/null", to):
        return None
    return (
        f"writes to {to!r:.120} as root",
        f"name a file below /var/log that has {whose.name} or its domain in its name",
    )


def _certificate(arguments: tuple[str, ...], whose: Whose) -> Why:
    path = arguments[0] if len(arguments) == 1 else ""
    if path in whose.files or path in SHARED_CERTIFICATES or whose.is_at_home(path):
        return None
    return f"reads {path!r:.120}", "name a certificate that is among the extras of the account file"


def _file(arguments: tuple[str, ...], whose: Whose) -> Why:
    path = arguments[0] if arguments else ""
    if whose.is_at_home(path) or path in whose.files:
        return None
    return f"reads {path!r:.120}", "name a file of the home, or one of the account's extras"


def check_passed(text: str, whose: Whose) -> Why:
    """Where requests go: to a pool of the account's own, or to a program of its own that listens in its home."""
    if text == "!":
        return None
    passed = target(text)
    if passed:
        kind, address = passed
        if kind == "fcgi" and address in whose.sockets:
            return None
        if kind in ("http", "ws") and "unix:" in text.lower() and whose.is_at_home(address):
            return None
    return (
        f"passes requests on to {text!r:.120}, which is not {whose.name}'s own",
        f"pass them to a pool of its, or to a program that listens at {whose.home}/app.sock",
    )


def _proxy(arguments: tuple[str, ...], whose: Whose) -> Why:
    """In <Location> the path is left away."""
    targets = [word for word in arguments if "://" in word or word.lower().startswith("unix:") or word == "!"]
    if len(targets) != 1 or arguments.index(targets[0]) > 1:
        return f"does not say where {' '.join(arguments)!r:.120} leads", "pass to one place"
    return check_passed(targets[0], whose)


def _proxy_set(arguments: tuple[str, ...], _whose: Whose) -> Why:
    if any(word.lower().startswith("enablereuse=on") for word in arguments):
        return "keeps connections to PHP open, so that nobody sees when it works", "take enablereuse out"
    return None


def _type(arguments: tuple[str, ...], _whose: Whose) -> Why:
    if arguments and not _TYPES_THAT_RUN.fullmatch(arguments[0]):
        return None
    return f"has {' '.join(arguments)!r:.80}, which runs with the web server's rights", "have a pool of php-fpm answer"


def _handler(arguments: tuple[str, ...], whose: Whose) -> Why:
    handler = arguments[0] if arguments else ""
    if handler.lower().startswith("proxy:"):
        return check_passed(handler, whose)
    if _HANDLERS.fullmatch(handler):
        return None
    return (
        f"has {handler!r:.80} answer, which runs with the web server's rights",
        "have a pool of php-fpm answer, or take it out",
    )


def _rewrite_rule(arguments: tuple[str, ...], whose: Whose) -> Why:
    if len(arguments) not in (2, 3):
        return "has not a pattern, what stands for it and flags", "write it as RewriteRule PATTERN TO [FLAGS]"
    to = arguments[1]
    flags = [flag.strip() for flag in arguments[2].strip("[]").split(",")] if len(arguments) == 3 else []
    if any(flag.upper() in ("P", "PROXY") for flag in flags):
        return check_passed(to, whose)
    for flag in flags:
        kind, _, value = flag.partition("=")
        if kind.upper() in ("T", "TYPE") and (why := _type((value,), whose)):
            return why
        if kind.upper() in ("H", "HANDLER") and (why := _handler((value,), whose)):
            return why
    if to.lower().startswith(("proxy:", "unix:", "fcgi:", "ajp:", "balancer:", "scgi:", "uwsgi:")):
        return check_passed(to, whose)
    if _answers_within(to, {flag.upper().partition("=")[0] for flag in flags}, whose):
        return None
    return (
        f"leads to {to!r:.120}, which Apache may take for any file",
        "let it begin with a folder of the site or a host, or add the flag PT",
    )


def _answers_within(to: str, flags: set[str], whose: Whose) -> bool:
    """Whether what a rule leads to is an address, nothing new, or the site's. Apache takes the rest for a file of the
    server's where the first part of it is there."""
    if {"R", "REDIRECT", "PT", "PASSTHROUGH"} & flags or to in ("-", "/") or to.startswith("/?"):
        return True
    if re.match(r"https?://", to, re.IGNORECASE) or _VARIABLES.match(to) or whose.is_at_home(to):
        return True
    first = _SEGMENT.match(to)
    return first is not None and not (
        to.startswith("/") and (first[1] in _OF_THE_SYSTEM or os.path.lexists(f"/{first[1]}"))
    )


def _rewrite_map(arguments: tuple[str, ...], _whose: Whose) -> Why:
    if len(arguments) == 2 and re.fullmatch(r"int:(?:toupper|tolower|escape|unescape)", arguments[1]):
        return None
    return "reads or runs what the account does not own", "write the rules out"


def _options(arguments: tuple[str, ...], _whose: Whose) -> Why:
    for word in arguments:
        if not _OPTIONS.fullmatch(word):
            return f"has {word!r:.80}, by which programs run with the web server's rights", "list the others alone"
    return None


def _ssl_command(arguments: tuple[str, ...], _whose: Whose) -> Why:
    if len(arguments) == 2 and _SSL_COMMANDS.fullmatch(arguments[0]):
        return None
    return f"sets {' '.join(arguments)!r:.80}", "take it out"


def _at_least(least: int) -> Check:
    def check(arguments: tuple[str, ...], _whose: Whose) -> Why:
        if len(arguments) == 1 and arguments[0].isdecimal() and int(arguments[0]) >= least:
            return None
        return f"is {' '.join(arguments)!r:.40}, which may count for all sites of the port", f"write {least} or more"

    return check


def _ssl_protocol(arguments: tuple[str, ...], _whose: Whose) -> Why:
    words = [word.lower() for word in arguments]
    modern = {"tlsv1.2", "tlsv1.3"}
    if any(word.lstrip("+") in ("all", *modern) for word in words) and not {f"-{word}" for word in modern} & {*words}:
        return None
    return "leaves out what visitors speak, maybe for all sites of the port", "write all -SSLv3 -TLSv1 -TLSv1.1"


def _filter(arguments: tuple[str, ...], _whose: Whose) -> Why:
    for name in (arguments[0] if arguments else "").split(";"):
        if not _FILTERS.fullmatch(name):
            return f"has {name!r:.80} change what is answered", "take it out"
    return None


def _unix_user(arguments: tuple[str, ...], whose: Whose) -> Why:
    if arguments and all(word == whose.name for word in arguments):
        return None
    return (
        f"runs programs as {' '.join(arguments)!r:.80}",
        f"write {whose.name} {whose.name}: on another server the account's user and group are both called that"
        " (groupmod --new-name renames a group here)",
    )


def _off(arguments: tuple[str, ...], _whose: Whose) -> Why:
    return None if [word.lower() for word in arguments] == ["off"] else ("is not off", "take it out")


def _external_server(arguments: tuple[str, ...], whose: Whose) -> Why:
    where = dict(zip(arguments[1:], arguments[2:], strict=False)).get("-socket", "")
    if arguments and whose.is_at_home(arguments[0]) and where in whose.sockets and "-host" not in arguments:
        return None
    return f"passes requests on to {where or ' '.join(arguments)!r:.120}", "name the socket of a pool of the account's"


CHECKS: dict[str, Check] = {
    "addhandler": _handler,
    "addinputfilter": _filter,
    "addoutputfilter": _filter,
    "addoutputfilterbytype": _filter,
    "addtype": _type,
    "alias": _folder(-1),
    "aliasmatch": _folder(-1),
    "assignuserid": _unix_user,
    "authdbmuserfile": _file,
    "authgroupfile": _file,
    "authuserfile": _file,
    "customlog": _log,
    "davlockdb": _folder(0),
    "documentroot": _folder(0),
    "errorlog": _log,
    "fastcgiexternalserver": _external_server,
    "forcetype": _type,
    "limitrequestfields": _at_least(50),
    "limitrequestfieldsize": _at_least(4096),
    "limitrequestline": _at_least(4096),
    "options": _options,
    "proxypass": _proxy,
    "proxypassmatch": _proxy,
    "proxyset": _proxy_set,
    "proxyrequests": _off,
    "rewritemap": _rewrite_map,
    "rewriterule": _rewrite_rule,
    "serveralias": _host_names,
    "servername": _host_names,
    "sethandler": _handler,
    "setinputfilter": _filter,
    "setoutputfilter": _filter,
    "sslcacertificatefile": _certificate,
    "sslcarevocationfile": _certificate,
    "sslcertificatechainfile": _certificate,
    "sslcertificatefile": _certificate,
    "sslcertificatekeyfile": _certificate,
    "sslopensslconfcmd": _ssl_command,
    "sslprotocol": _ssl_protocol,
    "suexecusergroup": _unix_user,
    "timeout": _at_least(10),
    "transferlog": _log,
    "xsendfilepath": _folder(0),
}
