"""The sites that Apache serves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from . import apache_words
from .directives import Directive, everything
from .tree import Notes, Place, Tree
from .users import is_below
from .web import PHP, Backend, WebSite, host_names, target

_CERTIFICATES = ("sslcertificatefile", "sslcertificatekeyfile", "sslcertificatechainfile")
_USERS = ("assignuserid", "suexecusergroup")
_PASSES = ("proxypass", "proxypassmatch")
_RUNS = {"fcgidwrapper": "the program that starts PHP", "wsgiscriptalias": "the program of a WSGI application"}


@dataclass
class _Shared:
    """What is set outside of all virtual hosts."""

    handlers: list[tuple[str, Backend]] = field(default_factory=list)
    """PHP by folder, "" for everywhere."""
    balancers: dict[str, list[str]] = field(default_factory=dict)
    folders: list[tuple[str, Place]] = field(default_factory=list)
    """Folders that have rules of their own, whichever site shows them."""
    listens: set[str] = field(default_factory=set)
    runs_php: bool = False


@dataclass(frozen=True)
class Served:
    """The virtual hosts, where Apache listens, and the folders that have rules outside of all sites."""

    sites: list[WebSite]
    listens: set[str]
    folders: list[tuple[str, Place]]


def read(directives: tuple[Directive, ...], tree: Tree) -> Served:
    """What Apache serves."""
    shared = _shared(directives)
    sites = [
        _site(directive, shared, tree.notes) for directive in everything(directives) if directive.name == "<virtualhost"
    ]
    for directive in everything(directives):
        if directive.name == "use":
            tree.notes.add(
                f"{directive.place}: the macro {directive.first!r:.60} is not understood; write out what it stands for."
            )
    if shared.runs_php:
        tree.notes.add(
            "Apache runs PHP itself (mod_php), as www-data where AssignUserId names nobody; give each site a pool of"
            " php-fpm."
        )
    return Served(sites, shared.listens, shared.folders)


def _shared(directives: tuple[Directive, ...]) -> _Shared:
    shared = _Shared()
    for directive, below, folder in _walk(directives):
        if directive.name == "listen":
            shared.listens.add(directive.first)
        elif directive.name == "loadmodule" and directive.first.startswith("php"):
            shared.runs_php = True
        elif directive.name == "sethandler" and (passed := target(directive.first)):
            shared.handlers.append((folder, Backend(*passed, below, directive.place)))
        elif directive.name == "<directory":
            shared.folders.append((directive.first.rstrip("/"), directive.place))
    for directive in everything(directives):
        if directive.name == "<proxy" and directive.first.lower().startswith("balancer://"):
            shared.balancers[directive.first.rstrip("/").lower()] = [
                each.first for each in directive.all("balancermember")
            ]
    return shared


def _walk(directives: tuple[Directive, ...], below: str = "", folder: str = "") -> Iterator[tuple[Directive, str, str]]:
    """Each directive with the path of the site and the folder that it is for; but for those of virtual hosts."""
    for directive in directives:
        yield directive, below, folder
        if directive.name == "<virtualhost":
            continue
        inner = (
            directive.first if directive.name == "<location" else below,
            directive.first if directive.name == "<directory" else folder,
        )
        yield from _walk(directive.inside, *inner)


def _site(host: Directive, shared: _Shared, notes: Notes) -> WebSite:
    names: list[str] = []
    root = user = ""
    backends: list[Backend] = []
    certificates: list[str] = []
    files = [(host.place.file, "Apache's file of the site")]
    for directive, below, _ in _walk(host.inside):
        if directive.place.file != host.place.file:
            files.append((directive.place.file, "Apache's file of the site"))
        if directive.name == "servername":
            names.insert(0, directive.first)
        elif directive.name == "serveralias":
            names += directive.args
        elif directive.name == "documentroot":
            root = directive.first.rstrip("/") or "/"
        elif directive.name in _CERTIFICATES:
            certificates.append(directive.first)
        elif directive.name in _USERS:
            user = directive.first
        elif directive.name in _PASSES or directive.name in ("sethandler", "rewriterule"):
            backends += _passed(directive, below, shared, notes)
        elif directive.name == "wsgidaemonprocess":
            user = next((word.partition("=")[2] for word in directive.args if word.startswith("user=")), user)
        elif directive.name == "fastcgiexternalserver" and "-socket" in directive.args[:-1]:
            backends.append(Backend(PHP, directive.args[directive.args.index("-socket") + 1], below, directive.place))
        elif directive.name in _RUNS and directive.args:
            path = directive.args[-1] if directive.name == "wsgiscriptalias" else directive.first.split()[0]
            files.append((path, _RUNS[directive.name]))
        elif directive.name in apache_words.FILES and directive.first.startswith("/"):
            files.append((directive.first, apache_words.FILES[directive.name]))
        elif directive.name in apache_words.ALIASES and len(directive.args) > 1:
            files.append((directive.args[1], "a folder that the site shows too"))
        elif directive.name not in apache_words.KNOWN:
            notes.add(
                f"{directive.place}: what {directive.name.lstrip('<')!r:.60} does for the site is not understood.",
                directive.name,
            )
    if not any(backend.kind == PHP for backend in backends):
        backends += _usual_php(root, shared)
    return WebSite(
        served_by="Apache",
        names=host_names(names, host.place, notes),
        root=root,
        backends=tuple(dict.fromkeys(backends)),
        certificates=tuple(dict.fromkeys(certificates)),
        user=user,
        files=tuple(dict.fromkeys(files)),
        place=host.place,
    )


def _passed(directive: Directive, below: str, shared: _Shared, notes: Notes) -> list[Backend]:
    """Where this directive passes requests on to; nothing where it does not."""
    if directive.name == "sethandler":
        text, where = directive.first, below
    elif directive.name == "rewriterule":
        flags = directive.args[2].strip("[]").upper().split(",") if len(directive.args) > 2 else []
        if not {"P", "PROXY"} & {*flags}:
            return []
        text, where = directive.args[1], below
    elif below or len(directive.args) < 2:
        text, where = directive.first, below
    else:
        where, text = directive.args[:2]
    if text == "!" or (directive.name == "sethandler" and "proxy:" not in text.lower()):
        return []
    if text.lower().startswith("balancer://"):
        name = "/".join(text.split("/")[:3]).lower()
        members = shared.balancers.get(name, [])
    else:
        members = [text]
    backends = [Backend(*passed, where, directive.place) for member in members if (passed := target(member))]
    if not backends:
        notes.add(f"{directive.place}: where {text!r:.120} leads is not understood.")
    return backends


def _usual_php(root: str, shared: _Shared) -> list[Backend]:
    """What runs PHP of a site that says nothing of it: the last that is set for its folder, or for all."""
    fitting = [backend for folder, backend in shared.handlers if not folder or (root and is_below(root, folder))]
    return fitting[-1:] if root else []
