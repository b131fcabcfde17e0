"""Judge of a file of nginx's: the servers of one account's sites, and what they pass requests on to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from ..reading.nginx import Token, tokens
from .whose import SHARED_CERTIFICATES, SHARED_FOLDERS, SHARED_LOGS, Whose, at, climbs, strange_characters

Why = tuple[str, str] | None
Check = Callable[[list[str], Whose], Why]

_PLAIN = frozenset(
    """
    absolute_redirect add_after_body add_before_body add_header allow auth_basic autoindex autoindex_exact_size
    autoindex_format autoindex_localtime break charset client_body_buffer_size client_body_timeout
    client_max_body_size default_type deny disable_symlinks error_page etag expires fastcgi_buffer_size
    fastcgi_buffering fastcgi_buffers fastcgi_busy_buffers_size fastcgi_connect_timeout fastcgi_hide_header
    fastcgi_ignore_client_abort fastcgi_ignore_headers fastcgi_index fastcgi_intercept_errors
    fastcgi_max_temp_file_size fastcgi_next_upstream fastcgi_param fastcgi_pass_header fastcgi_pass_request_body
    fastcgi_pass_request_headers fastcgi_read_timeout fastcgi_request_buffering fastcgi_send_timeout
    fastcgi_split_path_info fastcgi_temp_file_write_size gunzip gzip gzip_buffers gzip_comp_level gzip_disable
    gzip_http_version gzip_min_length gzip_proxied gzip_static gzip_types gzip_vary http2 if_modified_since index
    internal keepalive keepalive_requests keepalive_timeout limit_rate limit_rate_after lingering_close
    lingering_time lingering_timeout log_not_found log_subrequest max_ranges merge_slashes msie_padding
    msie_refresh override_charset port_in_redirect postpone_output proxy_buffer_size proxy_buffering proxy_buffers
    proxy_busy_buffers_size proxy_connect_timeout proxy_cookie_domain proxy_cookie_flags proxy_cookie_path
    proxy_headers_hash_bucket_size proxy_headers_hash_max_size proxy_hide_header proxy_http_version
    proxy_ignore_client_abort proxy_ignore_headers proxy_intercept_errors proxy_max_temp_file_size proxy_method
    proxy_next_upstream proxy_pass_header proxy_pass_request_body proxy_pass_request_headers proxy_read_timeout
    proxy_redirect proxy_request_buffering proxy_send_timeout proxy_set_body proxy_set_header
    proxy_temp_file_write_size recursive_error_pages referer_hash_max_size reset_timedout_connection return rewrite
    rewrite_log satisfy send_timeout sendfile server_name_in_redirect server_tokens set source_charset ssi
    ssi_types ssl_buffer_size ssl_ciphers ssl_early_data ssl_ecdh_curve ssl_prefer_server_ciphers ssl_stapling
    ssl_stapling_verify ssl_verify_client ssl_verify_depth sub_filter sub_filter_last_modified sub_filter_once
    sub_filter_types tcp_nodelay tcp_nopush try_files uninitialized_variable_warn uwsgi_buffers uwsgi_param
    uwsgi_read_timeout valid_referers
    """.split()
)
"""What changes how the account's own sites answer, whatever stands behind it."""
INCLUDED = frozenset(
    "/etc/nginx/" + name
    for name in (
        "fastcgi.conf",
        "fastcgi_params",
        "mime.types",
        "proxy_params",
        "snippets/fastcgi-php.conf",
        "snippets/snakeoil.conf",
        "uwsgi_params",
    )
) | {"/etc/letsencrypt/options-ssl-nginx.conf"}
"""What the packages of nginx, and of Let's Encrypt's client, lay down for the sites to include."""
_LISTEN = re.compile(r"(?:\*:|\[::\]:)?(80|443)")
_LISTENS_BY = frozenset(("ssl", "http2", "ipv6only=on", "ipv6only=off"))
_BLOCKS = frozenset(("location", "if", "limit_except"))
_UPSTREAM = frozenset(("server", "keepalive", "keepalive_requests", "keepalive_timeout", "least_conn", "ip_hash"))


def judge(path: str, text: str, whose: Whose) -> Iterator[str]:
    yield from strange_characters(path, text)
    upstreams = _upstreams([*tokens(text)])
    opened: list[str] = []
    words: list[str] = []
    first = line = 0
    for line, kind, word in tokens(text):
        if kind == "word":
            first = first if words else line
            words.append(word)
            if word[:1] in ('"', "'") or word == "\\":
                yield at(path, line, f"{word} begins what has no end", "write its end")
                return
            continue
        if word == "}":
            if words or not opened:
                yield at(path, line, "a brace stands here that ends nothing", "take it out")
                return
            opened.pop()
            continue
        why = _why_not(words, word == "{", opened, whose, upstreams)
        if why:
            yield at(path, first if words else line, f"{words[0] if words else word:.60} {why[0]}", why[1])
        opened += [words[0] if words else ""] if word == "{" else []
        words = []
    if words or opened:
        yield at(path, line, "the file ends in the middle of what it says", "write its end")


def _upstreams(given: list[Token]) -> dict[str, list[str]]:
    """What each upstream of the file leads to."""
    upstreams: dict[str, list[str]] = {}
    members: list[str] | None = None
    for at_word, (_, kind, word) in enumerate(given):
        before = [text for _, _, text in given[max(0, at_word - 2) : at_word]]
        if (kind, word) == ("sign", "{"):
            members = upstreams.setdefault(before[1], []) if before[:1] == ["upstream"] else None
        elif (kind, word) == ("sign", "}"):
            members = None
        elif members is not None and before[-1:] == ["server"]:
            members.append(word)
    return upstreams


def _why_not(words: list[str], block: bool, opened: list[str], whose: Whose, upstreams: dict[str, list[str]]) -> Why:
    if not words:
        return "stands for nothing", "take it out"
    name, arguments = words[0], words[1:]
    if any(climbs(word) for word in arguments):
        return "leads back up by ..", "write out where it leads"
    around = opened[-1] if opened else ""
    if block:
        return _why_no_block(name, arguments, around, whose)
    if around == "types":
        return None
    if around == "upstream":
        if name not in _UPSTREAM:
            return "is nothing that is carried for an account", "take it out"
        return _socket(arguments[:1], whose, True, True) if name == "server" else None
    if not opened:
        return "stands outside of the account's sites and would count for all", "move it into server { }"
    if name in _PASSES:
        return _passed(name, arguments, whose, upstreams)
    if name in CHECKS:
        return CHECKS[name](arguments, whose)
    return (
        None
        if name in _PLAIN
        else (
            "is no directive that is carried for an account",
            "take it out, or have it in the server's own configuration",
        )
    )


def _why_no_block(name: str, arguments: list[str], around: str, whose: Whose) -> Why:
    if name == "server" and not around and not arguments:
        return None
    if name == "upstream" and not around:
        if len(arguments) == 1 and whose.is_named_by(arguments[0]):
            return None
        return "may be another site's", f"call it {whose.name}_app, so that it is the account's alone"
    if (name in _BLOCKS or name == "types") and around in ("server", *_BLOCKS):
        return None
    return "is no block that is carried for an account", "take it out"


# --- values ---


def _listen(arguments: list[str], _whose: Whose) -> Why:
    port = _LISTEN.fullmatch(arguments[0]) if arguments else None
    if port is None:
        return f"is {' '.join(arguments)!r:.80}", "write 80 or 443, which each server has, without an address"
    for word in arguments[1:]:
        if word not in _LISTENS_BY or (word in ("ssl", "http2") and port[1] == "80"):
            return f"has {word!r:.40}, which counts for all sites of that port", "take that word out"
    return None


def _server_name(arguments: list[str], whose: Whose) -> Why:
    for name in arguments:
        # With a dot in front it is that name, and all below it.
        meant = {name.lower()[1:], f"*{name.lower()}"} if name.startswith(".") else {name.lower()}
        if not meant <= whose.hosts:
            return (
                f"is {name!r:.120}, which is no host name of {whose.name}'s sites",
                "take it out, or list it in the account file",
            )
    return None if arguments else ("names nothing", "take it out")


def _folder(arguments: list[str], whose: Whose) -> Why:
    path = arguments[0] if len(arguments) == 1 else ""
    static, variable, _ = path.partition("$")
    if whose.is_at_home(static) and (not variable or static.endswith("/")):
        return None
    if static.startswith(SHARED_FOLDERS):
        return None
    return f"is {path!r:.120}, which is not {whose.name}'s", f"name a folder of the home {whose.home}"


def _log(arguments: list[str], whose: Whose) -> Why:
    to = arguments[0] if arguments else ""
    if to in SHARED_LOGS or to in ("off", "/dev/null") or whose.is_own_log(to):
        return None
    return (
        f"writes to {to!r:.120} as root",
        f"name a file below /var/log that has {whose.name} or its domain in its name",
    )


def _include(arguments: list[str], _whose: Whose) -> Why:
    path = arguments[0] if len(arguments) == 1 else ""
    if (path if path.startswith("/") else f"/etc/nginx/{path}") in INCLUDED:
        return None
    return f"reads {path!r:.120}", "write out what stands there"


def _certificate(arguments: list[str], whose: Whose) -> Why:
    path = arguments[0] if len(arguments) == 1 else ""
    if path in whose.files or path in SHARED_CERTIFICATES or (whose.is_at_home(path) and "$" not in path):
        return None
    return f"reads {path!r:.120}", "name a certificate that is among the extras of the account file"


def _file(arguments: list[str], whose: Whose) -> Why:
    path = arguments[0] if len(arguments) == 1 else ""
    if path in whose.files or (whose.is_at_home(path) and "$" not in path):
        return None
    return f"reads {path!r:.120}", "name a file of the home, or one of the account's extras"


def _ssl_protocols(arguments: list[str], _whose: Whose) -> Why:
    versions = {"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"}
    if {"TLSv1.2", "TLSv1.3"} & {*arguments} and {*arguments} <= versions:
        return None
    return "leaves out what visitors speak, maybe for all sites of the port", "write TLSv1.2 TLSv1.3"


CHECKS: dict[str, Check] = {
    "access_log": _log,
    "alias": _folder,
    "auth_basic_user_file": _file,
    "error_log": _log,
    "include": _include,
    "listen": _listen,
    "root": _folder,
    "server_name": _server_name,
    "ssl_certificate": _certificate,
    "ssl_certificate_key": _certificate,
    "ssl_client_certificate": _certificate,
    "ssl_crl": _certificate,
    "ssl_dhparam": _certificate,
    "ssl_protocols": _ssl_protocols,
    "ssl_trusted_certificate": _certificate,
}
_PASSES = frozenset(("fastcgi_pass", "grpc_pass", "proxy_pass", "scgi_pass", "uwsgi_pass"))


def _passed(name: str, arguments: list[str], whose: Whose, upstreams: dict[str, list[str]]) -> Why:
    """A pool of PHP speaks FastCGI alone, and nothing in the home is spoken to in it: a link there could lead to a
    neighbour's pool."""
    to = re.sub(r"\A(?:https?|grpc|uwsgi)://", "", arguments[0] if len(arguments) == 1 else "")
    to_php = name == "fastcgi_pass"
    for member in upstreams.get(to.partition("/")[0], [to]):
        if why := _socket([member], whose, to_php, not to_php):
            return why
    return None


def _socket(arguments: list[str], whose: Whose, pools: bool, at_home: bool) -> Why:
    to = arguments[0] if arguments else ""
    path = re.fullmatch(r"unix:([^:$\s]+)(?::.*)?", to)
    if path and ((pools and path[1] in whose.sockets) or (at_home and whose.is_at_home(path[1]))):
        return None
    return (
        f"passes requests on to {to!r:.120}, which is not {whose.name}'s own",
        f"pass them to a pool of its, or to a program that listens at {whose.home}/app.sock",
    )
