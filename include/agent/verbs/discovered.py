"""What a server's own configuration says of who lives on it, as the verb `discover` tells it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from ..host.codec import Most
from ..host.shapes import maybe, named, sentence, text, tree, whole

Name = Annotated[str, text(1000)]
Path = Annotated[str, text(4096)]
Said = Annotated[str, sentence(1000)]
Where = Annotated[str, text(4200)]


@dataclass(frozen=True, kw_only=True)
class Site:
    """`names`: the first is its own; `root`: the folder that it shows; `behind`: what else answers for it; `place`: the
    file and line that say so."""

    names: Annotated[list[Name], Most(10_000)]
    served_by: Name
    root: Path
    behind: Annotated[list[Where], Most(1000)]
    certificates: Annotated[list[Path], Most(100)]
    place: Where


@dataclass(frozen=True, kw_only=True)
class Pool:
    """A pool of php-fpm; `listen`: its socket or address."""

    name: Name
    version: Name
    user: Name
    listen: Path
    place: Where


@dataclass(frozen=True, kw_only=True)
class Program:
    """`kind`: what starts it."""

    kind: Name
    file: Where
    command: Said


@dataclass(frozen=True, kw_only=True)
class Mailbox:
    """`folder`: where its messages lie, as Dovecot writes it; `owner`: the uid that they have."""

    address: Name
    password_hash: Name
    folder: Path
    home: Path = ""
    owner: Annotated[int | None, maybe(whole(0, 1 << 32))] = None
    quota: Name = ""


@dataclass(frozen=True, kw_only=True)
class Forwarder:
    address: Name
    to: Annotated[list[Name], Most(10_000)]


@dataclass(frozen=True, kw_only=True)
class Extra:
    """What belongs to an account and lies in none of its stores: a file, with what it is."""

    path: Path
    description: Said


@dataclass(frozen=True, kw_only=True)
class Discovered:
    """An account as the server's own configuration has it. `account_file`: the same as this software says it, where it
    can; `unfit`: what of it cannot be said yet, a sentence each."""

    name: Name
    uid: Annotated[int, whole(0, 1 << 32)]
    gid: Annotated[int, whole(0, 1 << 32)]
    home: Path
    shell: Path
    sites: Annotated[list[Site], Most(100_000)] = field(default_factory=list)
    pools: Annotated[list[Pool], Most(10_000)] = field(default_factory=list)
    programs: Annotated[list[Program], Most(10_000)] = field(default_factory=list)
    mail_domains: Annotated[list[Name], Most(100_000)] = field(default_factory=list)
    mailboxes: Annotated[list[Mailbox], Most(100_000)] = field(default_factory=list)
    forwarders: Annotated[list[Forwarder], Most(100_000)] = field(default_factory=list)
    databases: Annotated[dict[str, Any], named(tree(), 10)] = field(default_factory=dict)
    extras: Annotated[list[Extra], Most(100_000)] = field(default_factory=list)
    account_file: Annotated[dict[str, Any] | None, maybe(named(tree(), 20))] = None
    unfit: Annotated[list[Said], Most(10_000)] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Inhabitants:
    """Who lives on a server, and what is not understood or is nobody's: a sentence each."""

    accounts: Annotated[list[Discovered], Most(10_000)]
    unclear: Annotated[list[Said], Most(10_000)]
