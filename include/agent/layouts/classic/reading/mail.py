"""The mail of a server: which domains, mailboxes and forwarders there are, and whose they are."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from ....host.digest import printable
from ....verbs import discovered
from . import dovecot, postfix
from .asking import Answer
from .dovecot import Box
from .tree import Tree
from .users import User, is_below, is_number


@dataclass
class Mail:
    """`forwarders`: where the mail of an address, or of all others of @domain, goes instead."""

    domains: list[str] = field(default_factory=list)
    boxes: dict[str, Box] = field(default_factory=dict)
    forwarders: dict[str, list[str]] = field(default_factory=dict)
    system_user: int | None = None
    """Whose all messages are where customers have none of their own."""

    def __post_init__(self) -> None:
        self._boxes: dict[str, list[Box]] = defaultdict(list)
        self._forwarders: dict[str, list[str]] = defaultdict(list)
        for _, box in sorted(self.boxes.items()):
            self._boxes[box.address.rpartition("@")[2]].append(box)
        for address in sorted(self.forwarders):
            self._forwarders[address.rpartition("@")[2]].append(address)

    def of_domains(self, domains: list[str]) -> tuple[list[discovered.Mailbox], list[discovered.Forwarder]]:
        """The mailboxes and forwarders of these domains."""
        boxes = [
            discovered.Mailbox(
                address=box.address,
                password_hash=box.password_hash,
                folder=box.folder,
                home=box.home,
                owner=box.owner,
                quota=box.quota,
            )
            for domain in domains
            for box in self._boxes[domain]
        ]
        forwarders = [
            discovered.Forwarder(address=address, to=self.forwarders[address])
            for domain in domains
            for address in self._forwarders[domain]
        ]
        return boxes, forwarders

    def scripts(self, domains: list[str], home: str, tree: Tree) -> list[discovered.Extra]:
        """The Sieve scripts of mailboxes that lie outside of the account's home."""
        return [
            discovered.Extra(path=f"{box.home}/{name}", description=f"Sieve scripts of {box.address}")
            for domain in domains
            for box in self._boxes[domain]
            if box.home.startswith("/") and not is_below(box.home, home)
            for name in _scripts(box.home, tree)
        ]

    def counted(self, domain: str) -> str:
        return f"{len(self._boxes[domain])} mailboxes, {len(self._forwarders[domain])} forwarders"


def _scripts(home: str, tree: Tree) -> list[str]:
    """The active script of a mailbox, and all that its owner has to choose from."""
    names = [f"sieve/{name}" for name in tree.names_beneath(home, "sieve") if name.endswith(".sieve")]
    return [name for name in (".dovecot.sieve", *names) if tree.is_there(f"{home}/{name}")]


def read(tree: Tree, ask: Answer, users: dict[str, User]) -> Mail:
    """What Postfix and Dovecot are told."""
    sent = postfix.read(tree, ask)
    addresses = [address for address in sent.boxes if not address.startswith("@") and "@" in address]
    boxes = dovecot.read(tree, ask, addresses, users)
    for address in addresses:
        box = boxes.setdefault(address, Box(address))
        if not box.folder and sent.base:
            box.folder = f"{sent.base.rstrip('/')}/{sent.boxes[address]}"
    for address in sent.boxes:
        if address.startswith("@"):
            tree.notes.add(
                f"The mailbox table of Postfix gives all mail of {printable(address)} one mailbox; forward it."
            )
    for address, box in sorted(boxes.items()):
        if not box.password_hash:
            tree.notes.add(f"The mailbox {printable(address)} has no password that could be found.", "no password")
    forwarders = {address: to for address, to in sent.aliases.items() if to != [address]}
    named = {address.rpartition("@")[2] for address in (*boxes, *forwarders)}
    owner = int(sent.owners) if is_number(sent.owners) else None
    return Mail(sorted({*sent.domains, *named} - {""}), boxes, forwarders, owner)


def owners(mail: Mail, site_owners: Mapping[str, str], users: dict[str, User], tree: Tree) -> dict[str, str]:
    """Whose each domain is: his who has the site of that name; else his whose user has the messages, unless that user
    has those of several domains and no site, as the mail system's own. The rest is noted."""
    by_number = {user.uid: user.name for user in users.values() if user.is_person}
    of_domain: dict[str, set[str]] = defaultdict(set)
    for box in mail.boxes.values():
        domain = box.address.rpartition("@")[2]
        if box.owner in by_number and box.owner != mail.system_user:
            of_domain[domain].add(by_number[box.owner])
    many = Counter(name for names in of_domain.values() for name in names)
    with_sites = {*site_owners.values()}
    owner_of: dict[str, str] = {}
    for domain in mail.domains:
        owner = site_owners.get(domain) or site_owners.get(f"www.{domain}")
        theirs = {name for name in of_domain[domain] if name in with_sites or many[name] == 1}
        if owner or len(theirs) == 1:
            owner_of[domain] = owner or theirs.pop()
            continue
        tree.notes.add(
            f"The mail domain {printable(domain)} ({mail.counted(domain)}) belongs to no account:"
            " no site has its name; say whose it is in that account's file."
        )
    return owner_of
