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
    found = [_site(one, shared, tree.notes) for one in everything(directives) if one.name == "<virtualhost"]
    for one in everything(directives):
        if one.name == "use":
            tree.notes.add(f"{one.place}: the macro {one.first!r:.60} is not understood; write out what it stands for.")
    if shared.runs_php:
        tree.notes.add(
            "Apache runs PHP itself (mod_php), as www-data where AssignUserId names nobody; give each site a pool of"
            " php-fpm."
        )
    return Served(found, shared.listens, shared.folders)


def _shared(directives: tuple[Directive, ...]) -> _Shared:
    shared = _Shared()
    for one, below, folder in _walk(directives):
        if one.name == "listen":
            shared.listens.add(one.first)
        elif one.name == "loadmodule" and one.first.startswith("php"):
            shared.runs_php = True
        elif one.name == "sethandler" and (passed := target(one.first)):
            shared.handlers.append((folder, Backend(*passed, below, one.place)))
        elif one.name == "<directory":
            shared.folders.append((one.first.rstrip("/"), one.place))
    for one in everything(directives):
        if one.name == "<proxy" and one.first.lower().startswith("balancer://"):
            shared.balancers[one.first.rstrip("/").lower()] = [each.first for each in one.all("balancermember")]
    return shared


def _walk(directives: tuple[Directive, ...], below: str = "", folder: str = "") -> Iterator[tuple[Directive, str, str]]:
    """Each directive with the path of the site and the folder that it is for; but for those of virtual hosts."""
    for one in directives:
        yield one, below, folder
        if one.name == "<virtualhost":
            continue
        inner = (one.first if one.name == "<location" else below, one.first if one.name == "<directory" else folder)
        yield from _walk(one.inside, *inner)


def _site(host: Directive, shared: _Shared, notes: Notes) -> WebSite:
    names: list[str] = []
    root = user = ""
    backends: list[Backend] = []
    certificates: list[str] = []
    files = [(host.place.file, "Apache's file of the site")]
    for one, below, _ in _walk(host.inside):
        if one.place.file != host.place.file:
            files.append((one.place.file, "Apache's file of the site"))
        if one.name == "servername":
            names.insert(0, one.first)
        elif one.name == "serveralias":
            names += one.args
        elif one.name == "documentroot":
            root = one.first.rstrip("/") or "/"
        elif one.name in _CERTIFICATES:
            certificates.append(one.first)
        elif one.name in _USERS:
            user = one.first
        elif one.name in _PASSES or one.name in ("sethandler", "rewriterule"):
            backends += _passed(one, below, shared, notes)
        elif one.name == "wsgidaemonprocess":
            user = next((word.partition("=")[2] for word in one.args if word.startswith("user=")), user)
        elif one.name == "fastcgiexternalserver" and "-socket" in one.args[:-1]:
            backends.append(Backend(PHP, one.args[one.args.index("-socket") + 1], below, one.place))
        elif one.name in _RUNS and one.args:
            path = one.args[-1] if one.name == "wsgiscriptalias" else one.first.split()[0]
            files.append((path, _RUNS[one.name]))
        elif one.name in apache_words.FILES and one.first.startswith("/"):
            files.append((one.first, apache_words.FILES[one.name]))
        elif one.name in apache_words.ALIASES and len(one.args) > 1:
            files.append((one.args[1], "a folder that the site shows too"))
        elif one.name not in apache_words.KNOWN:
            notes.add(f"{one.place}: what {one.name.lstrip('<')!r:.60} does for the site is not understood.", one.name)
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


def _passed(one: Directive, below: str, shared: _Shared, notes: Notes) -> list[Backend]:
    """Where this directive passes requests on to; nothing where it does not."""
    if one.name == "sethandler":
        text, where = one.first, below
    elif one.name == "rewriterule":
        flags = one.args[2].strip("[]").upper().split(",") if len(one.args) > 2 else []
        if not {"P", "PROXY"} & {*flags}:
            return []
        text, where = one.args[1], below
    elif below or len(one.args) < 2:
        text, where = one.first, below
    else:
        where, text = one.args[:2]
    if text == "!" or (one.name == "sethandler" and "proxy:" not in text.lower()):
        return []
    if text.lower().startswith("balancer://"):
        name = "/".join(text.split("/")[:3]).lower()
        members = shared.balancers.get(name, [])
    else:
        members = [text]
    found = [Backend(*passed, where, one.place) for member in members if (passed := target(member))]
    if not found:
        notes.add(f"{one.place}: where {text!r:.120} leads is not understood.")
    return found


def _usual_php(root: str, shared: _Shared) -> list[Backend]:
    """What runs PHP of a site that says nothing of it: the last that is set for its folder, or for all."""
    fitting = [backend for folder, backend in shared.handlers if not folder or (root and is_below(root, folder))]
    return fitting[-1:] if root else []
