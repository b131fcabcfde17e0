"""The sites that nginx serves."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .directives import Directive, everything
from .tree import Tree
from .web import PHP, Backend, WebSite, host_names

_PASSES = {"fastcgi_pass": PHP, "proxy_pass": "http", "uwsgi_pass": "uwsgi", "scgi_pass": "scgi", "grpc_pass": "grpc"}
_CERTIFICATES = ("ssl_certificate", "ssl_certificate_key")
_FILES = {
    "auth_basic_user_file": "passwords of the site",
    "ssl_trusted_certificate": "certificates of the site's issuer",
    "ssl_client_certificate": "the certificates that the site takes of its visitors",
    "ssl_dhparam": "parameters of the site's encryption",
    "ssl_crl": "the certificates that the site takes no more",
}
_KNOWN = re.compile(
    r"(access|add|aio|absolute|auth|autoindex|brotli|chunked|client|default|directio|disable|error|etag|expires"
    r"|fastcgi|geo|gunzip|gzip|http2|http3|if_modified|ignore|index|internal|keepalive|large|limit|lingering|log"
    r"|max|merge|mirror|more_(set|clear)|msie|open|output|port_in|postpone|proxy|quic|read_ahead|real_ip|recursive"
    r"|referer|request|reset|resolver|satisfy|send|sendfile|server_name_in|server_tokens|set_real_ip|slice|spdy|ssi"
    r"|ssl|stub|sub_filter|tcp_no|types|underscores|uwsgi|scgi|grpc|valid_referers|charset|http|override|source_charset"
    r"|pagespeed|modsecurity|userid|image_filter|mp4|secure_link|dav)(_\w+)?"
)
_KNOWN_WORDS = frozenset(
    "allow alias break deny listen location if return rewrite root server_name set try_files add_before_body"
    " add_after_body variables_hash_max_size limit_except".split()
)


def sites(directives: tuple[Directive, ...], tree: Tree) -> list[WebSite]:
    """The servers of nginx's http block."""
    upstreams = {
        directive.first: [each.first for each in directive.all("server")]
        for directive in everything(directives)
        if directive.name == "upstream"
    }
    served = []
    for http in directives:
        if http.name == "http":
            usual = next((root.first for root in http.all("root")), "")
            served += [_site(server, usual, upstreams, tree) for server in http.all("server")]
        elif http.name == "stream" and http.inside:
            tree.notes.add(f"{http.place}: what nginx passes on in its stream block is nobody's.")
    return served


def _walk(directives: tuple[Directive, ...], below: str = "") -> Iterator[tuple[Directive, str]]:
    """Each directive with the path of the site that it is for."""
    for directive in directives:
        yield directive, below
        yield from _walk(directive.inside, " ".join(directive.args) if directive.name == "location" else below)


def _site(server: Directive, usual_root: str, upstreams: dict[str, list[str]], tree: Tree) -> WebSite:
    notes = tree.notes
    names: list[str] = []
    root = ""
    backends: list[Backend] = []
    certificates: list[str] = []
    files = [(server.place.file, "nginx's file of the site")]
    for directive, below in _walk(server.inside):
        if directive.place.file != server.place.file:
            files.append((directive.place.file, "nginx's file of the site"))
        if directive.name == "server_name":
            names += _plain_names(directive, tree)
        elif directive.name == "root":
            if not below or not root:
                root = directive.first.rstrip("/") or "/"
            if below and directive.first.rstrip("/") != root:
                files.append((directive.first, "a folder that the site shows too"))
            if "$" in directive.first:
                notes.add(
                    f"{directive.place}: the folder {directive.first!r:.120} changes with what is asked; write it out."
                )
        elif directive.name == "alias":
            files.append((directive.first, "a folder that the site shows too"))
        elif directive.name in _CERTIFICATES:
            certificates.append(directive.first)
        elif directive.name in _FILES:
            files.append((directive.first, _FILES[directive.name]))
        elif directive.name in _PASSES:
            backends += _passed(directive, below, upstreams, tree)
        elif directive.name not in _KNOWN_WORDS and not _KNOWN.fullmatch(directive.name):
            notes.add(
                f"{directive.place}: what {directive.name!r:.60} does for the site is not understood.", directive.name
            )
    return WebSite(
        served_by="nginx",
        names=host_names(names, server.place, notes),
        root="" if "$" in root else root or (usual_root if not backends else ""),
        backends=tuple(dict.fromkeys(backends)),
        certificates=tuple(dict.fromkeys(path for path in certificates if path.startswith("/"))),
        user="",
        files=tuple(
            dict.fromkeys(
                (path, description) for path, description in files if path.startswith("/") and "$" not in path
            )
        ),
        place=server.place,
    )


def _plain_names(directive: Directive, tree: Tree) -> Iterator[str]:
    for name in directive.args:
        if name.startswith("~"):
            tree.notes.add(
                f"{directive.place}: the pattern {name!r:.120} stands for names that are not known; list them."
            )
        elif name.startswith("."):
            yield name[1:]
            yield f"*{name}"
        elif name.endswith(".*"):
            tree.notes.add(f"{directive.place}: the name {name!r:.120} has no end; list the names that it stands for.")
        else:
            yield name


def _passed(directive: Directive, below: str, upstreams: dict[str, list[str]], tree: Tree) -> list[Backend]:
    """Where requests are passed on to: one place, or all those of an upstream."""
    text = re.sub(r"^[a-z]+://", "", directive.first)
    if text.startswith("unix:"):
        members = [text]
    else:
        host = text.partition("/")[0]
        members = upstreams.get(host, [host])
    if any("$" in member or not member for member in members) or not members:
        tree.notes.add(f"{directive.place}: where {directive.first!r:.120} leads is not understood; write it out.")
        return []
    sockets = [re.sub(r"^unix:([^:]*).*", r"\1", member) for member in members]
    return [Backend(_PASSES[directive.name], socket, below, directive.place) for socket in sockets]
