"""Who lives on a server: what its configuration says, put together by Unix user."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from ....host.codec import decode, plain
from ....host.digest import printable
from ....host.shapes import Strange
from ....verbs import discovered
from . import apache, apache_sites, dumps, extras, mail, nginx, nginx_sites, pools, programs, users
from .account_files import with_account_file
from .asking import Answer
from .databases import NONE, Evidence, Owned, of_accounts
from .mail import Mail
from .pools import Pool
from .programs import Program
from .tree import Tree
from .users import User, is_below, owner_of
from .web import PHP, Backend, WebSite

_OF_THE_SYSTEM = ("/usr", "/var/log", "/run", "/dev", "/tmp")
"""Where packages and running programs have their own: nothing there belongs to an account."""


@dataclass
class Server:
    """What of a server is known so far."""

    tree: Tree
    users: dict[str, User]
    pools: list[Pool]
    sites: list[WebSite]
    apache_listens: set[str]
    programs: list[Program]
    rules: list[tuple[str, str]]
    """Folders with rules of their own, and the file that says them."""
    mail: Mail

    def __post_init__(self) -> None:
        self._listening = {_where(pool.listen): pool for pool in reversed(self.pools)}

    def pool_at(self, address: str) -> Pool | None:
        return self._listening.get(_where(address))


def _where(address: str) -> str:
    """A socket's path as it is, an address by its port."""
    return address if address.startswith("/") else address.rpartition(":")[2]


def read_server(tree: Tree, ask: Answer) -> Server:
    """What the web servers, php-fpm, systemd, cron and the mail servers are told."""
    directives, files = apache.read(tree)
    served = apache_sites.read(directives, tree)
    front, more_files = nginx.read(tree)
    dumps.note_missed(tree, ask, files | more_files, (str(site.place) for site in served.sites))
    everybody = users.read(tree)
    return Server(
        tree=tree,
        users=everybody,
        pools=pools.read(tree),
        sites=[*nginx_sites.sites(front, tree), *served.sites],
        apache_listens=served.listens,
        programs=programs.read(tree, everybody),
        rules=[(folder, place.file) for folder, place in served.folders],
        mail=mail.read(tree, ask, everybody),
    )


def inhabitants(tree: Tree, owned: Owned, ask: Answer, evidence: Evidence = NONE) -> discovered.Inhabitants:
    """Who lives on a server with these files, programs and databases, each with an account file as far as one can say
    it."""
    server = read_server(tree, ask)
    of_group: dict[int, dict[str, None]] = defaultdict(dict)
    for user in server.users.values():
        of_group[user.gid][user.name] = None
    discovered_accounts = []
    named_accounts = [*accounts(server, owned, evidence).values()]
    for account in named_accounts:
        others = {other.uid for other in named_accounts if other is not account}
        sharing = [name for name in of_group[account.gid] if name != account.name]
        whole = with_account_file(account, sharing, others, tree)
        try:
            discovered_accounts.append(decode(discovered.Discovered, plain(whole)))
        except Strange as strange:
            tree.notes.add(f"What is said of the user {account.name} cannot be told: it is {strange}.")
    return discovered.Inhabitants(accounts=discovered_accounts, unclear=tree.notes.sentences())


def accounts(server: Server, databases: Owned, evidence: Evidence = NONE) -> dict[str, discovered.Discovered]:
    """Each person who has a site, a pool, mail or a database, by name; what is nobody's is noted."""
    sites = _sites_by_owner(server)
    owned = _pools_by_owner(server)
    persons = {user.name: user for user in server.users.values() if user.is_person}
    domains = _domains_by_owner(server, sites)
    served = {*sites, *owned, *domains}
    folders = {name: [site.root for site in sites[name] if site.root] for name in served}
    whose = of_accounts(persons, folders, databases, evidence, server.tree)
    of_several = _files_of_several(sites, owned)
    named = extras.by_user({name: user for name, user in server.users.items() if user.is_person}, server.tree)
    by_name = {}
    for name in sorted({*served, *whose.databases}):
        user = server.users[name]
        mailboxes, forwarders = server.mail.of_domains(domains[name])
        by_name[name] = discovered.Discovered(
            name=name,
            uid=user.uid,
            gid=user.gid,
            home=user.home,
            shell=user.shell,
            sites=_told_sites(server, sites[name]),
            pools=[
                discovered.Pool(
                    name=pool.name, version=pool.version, user=pool.user, listen=pool.listen, place=str(pool.place)
                )
                for pool in owned[name]
            ],
            programs=[
                discovered.Program(kind=program.kind, file=program.file, command=program.command)
                for program in server.programs
                if program.user == name
            ],
            mail_domains=domains[name],
            mailboxes=mailboxes,
            forwarders=forwarders,
            databases=whose.databases.get(name, {}),
            unfit=whose.unfit.get(name, []),
            extras=[
                *_extras(server, user, [*_files_of_sites(sites[name]), *_files_of_pools(owned[name])], of_several),
                *extras.links_to_home([host for site in sites[name] for host in site.names], user.home, server.tree),
                *extras.of_certificates([path for site in sites[name] for path in site.certificates], server.tree),
                *named[name],
                *programs.files_of_cron(name, server.programs),
                *extras.dkim(domains[name], server.tree),
                *server.mail.scripts(domains[name], user.home, server.tree),
            ],
        )
    _note_who_is_left(server, by_name)
    return by_name


# --- whose a site is ---


def _sites_by_owner(server: Server) -> dict[str, list[WebSite]]:
    owners: dict[int, User] = {}
    for number, site in enumerate(server.sites):
        if user := _owner(server, site):
            owners[number] = user
    by_name: dict[str, User] = {}
    by_file: dict[str, set[str]] = defaultdict(set)
    for number, user in owners.items():
        by_file[server.sites[number].place.file].add(user.name)
        for name in server.sites[number].names:
            by_name.setdefault(name, user)
    by_owner: dict[str, list[WebSite]] = defaultdict(list)
    for number, site in enumerate(server.sites):
        user = owners.get(number) or next((by_name[name] for name in site.names if name in by_name), None)
        beside = by_file[site.place.file]
        if user is None and _shows_nothing(server, site) and len(beside) == 1:
            user = server.users[next(iter(beside))]
        if user is None:
            _note_nobodys(server, site)
        else:
            by_owner[user.name].append(site)
    return by_owner


def _shows_nothing(server: Server, site: WebSite) -> bool:
    """Whether it only leads elsewhere: by a redirect, or on to Apache."""
    return not site.root and not any(not _leads_to_apache(server, backend) for backend in site.backends)


def _owner(server: Server, site: WebSite) -> User | None:
    """The person whose site it is by what it shows and what runs it; noted where these are two persons'."""
    named = server.users.get(site.user) if site.user else None
    if site.user and named is None:
        server.tree.notes.add(f"{site.place}: the site {_called(site)} runs as {site.user!r:.60}, who is nobody.")
    runs = [server.users.get(pool.user) for pool in _pools_of(server, site)]
    root = server.tree.settled(site.root) if site.root else ""
    shown = (owner_of(root, server.users) or _owner_of_folder(server, root)) if root else None
    persons = [user for user in (named, *runs, shown) if user is not None and user.is_person]
    names = sorted({user.name for user in persons})
    if len(names) > 1:
        server.tree.notes.add(
            f"{site.place}: the site {_called(site)} is {' and '.join(names)}'s, by its user, pool and folder; it is"
            f" counted to {persons[0].name}: say it of one."
        )
    return persons[0] if persons else None


def _owner_of_folder(server: Server, path: str) -> User | None:
    status = server.tree.status(path)
    return next((user for user in server.users.values() if status and user.uid == status.st_uid), None)


def _pools_of(server: Server, site: WebSite) -> list[Pool]:
    listening = [server.pool_at(backend.address) for backend in site.backends if backend.kind == PHP]
    return [pool for pool in listening if pool is not None]


def _called(site: WebSite) -> str:
    return printable(site.names[0]) if site.names else "without a name"


def _note_nobodys(server: Server, site: WebSite) -> None:
    runs = sorted({pool.user for pool in _pools_of(server, site)})
    how = f" (its PHP runs as {', '.join(runs)})" if runs else ""
    server.tree.notes.add(
        f"{site.place}: the site {_called(site)}{how} belongs to no person; give it to a user, or take it away."
    )


# --- mail ---


def _domains_by_owner(server: Server, sites: dict[str, list[WebSite]]) -> dict[str, list[str]]:
    of_site = {name: user for user, theirs in sites.items() for site in theirs for name in site.names}
    by_owner: dict[str, list[str]] = defaultdict(list)
    for domain, user in mail.owners(server.mail, of_site, server.users, server.tree).items():
        by_owner[user].append(domain)
    return by_owner


# --- pools ---


def _pools_by_owner(server: Server) -> dict[str, list[Pool]]:
    by_owner: dict[str, list[Pool]] = defaultdict(list)
    taken: dict[str, Pool] = {}
    for pool in server.pools:
        user = server.users.get(pool.user)
        if other := taken.get(_where(pool.listen)):
            server.tree.notes.add(f"{pool.place}: the pool {pool.name!r:.60} listens where that of {other.place} does.")
        taken.setdefault(_where(pool.listen), pool)
        if user is None:
            server.tree.notes.add(f"{pool.place}: the pool {pool.name!r:.60} runs as {pool.user!r:.60}, who is nobody.")
        elif user.is_person:
            by_owner[user.name].append(pool)
        else:
            using = [site for site in server.sites if pool in _pools_of(server, site)]
            if using:
                server.tree.notes.add(
                    f"{pool.place}: the pool {pool.name!r:.60} runs {len(using)} sites as {user.name}, who is the"
                    " server's own user; give each site a pool of its own user."
                )
    return by_owner


# --- what is told of an account ---


def _told_sites(server: Server, sites: list[WebSite]) -> list[discovered.Site]:
    """The sites of one account: what several blocks or servers say of one name is one site."""
    groups: list[tuple[set[str], list[WebSite]]] = []
    for site in sites:
        names = {*site.names} or {str(site.place)}
        blocks = [site]
        for group in [group for group in groups if group[0] & names]:
            groups.remove(group)
            names |= group[0]
            blocks = [*group[1], *blocks]
        groups.append((names, blocks))
    return [_told_site(server, blocks) for _, blocks in groups]


def _told_site(server: Server, blocks: list[WebSite]) -> discovered.Site:
    names = dict.fromkeys(name for block in blocks for name in block.names)
    roots = dict.fromkeys(server.tree.settled(block.root) for block in reversed(blocks) if block.root)
    if len(roots) > 1:
        server.tree.notes.add(
            f"{blocks[0].place}: the site {_called(blocks[0])} shows several folders ({', '.join(roots)}), by what is"
            " asked; say it of one."
        )
    return discovered.Site(
        names=[*names],
        served_by=" behind ".join(dict.fromkeys(block.served_by for block in reversed(blocks))),
        root=next(iter(roots), ""),
        behind=[*dict.fromkeys(answer for block in blocks for answer in _behind(server, block))],
        certificates=[*dict.fromkeys(path for block in blocks for path in block.certificates)],
        place=str(blocks[0].place),
    )


def _behind(server: Server, site: WebSite) -> list[str]:
    """What answers for a site, but for a pool that is known and for Apache itself."""
    answers = []
    for backend in site.backends:
        if backend.kind == PHP and server.pool_at(backend.address):
            continue
        if _leads_to_apache(server, backend):
            continue
        if backend.kind == PHP:
            server.tree.notes.add(f"{backend.place}: no pool of php-fpm listens at {backend.address!r:.120}.")
        answers.append(f"{backend.below or '/'} at {backend.kind} {backend.address}")
    return answers


def _leads_to_apache(server: Server, backend: Backend) -> bool:
    host, _, port = backend.address.rpartition(":")
    here = backend.address in server.apache_listens or host in ("127.0.0.1", "localhost", "[::1]")
    listens = any(port == address.rpartition(":")[2] for address in server.apache_listens)
    return backend.kind == "http" and here and listens


def _extras(server: Server, user: User, files: list[tuple[str, str]], of_several: set[str]) -> list[discovered.Extra]:
    """Files of an account's that lie outside its home; one that says something of several accounts is the server's."""
    described = [*files]
    described += [(file, "Apache's rules for a folder") for folder, file in server.rules if is_below(folder, user.home)]
    started = (
        program for program in server.programs if program.user == user.name and program.kind not in programs.CARRIED
    )
    described += [(program.file, program.kind) for program in started]
    first = dict(reversed(described))
    return [
        discovered.Extra(path=path, description=first[path])
        for path in dict.fromkeys(path for path, _ in described)
        if path not in of_several
        and not is_below(server.tree.settled(path), user.home)
        and not any(is_below(path, folder) for folder in _OF_THE_SYSTEM)
    ]


def _files_of_several(sites: dict[str, list[WebSite]], owned: dict[str, list[Pool]]) -> set[str]:
    users: dict[str, str] = {}
    several = set()
    for name in {*sites, *owned}:
        for path, _ in [*_files_of_sites(sites[name]), *_files_of_pools(owned[name])]:
            if users.setdefault(path, name) != name:
                several.add(path)
    return several


def _files_of_sites(sites: list[WebSite]) -> list[tuple[str, str]]:
    files = [(path, description) for site in sites for path, description in site.files]
    return files + [(path, "a certificate or its key") for site in sites for path in site.certificates]


def _files_of_pools(owned: list[Pool]) -> list[tuple[str, str]]:
    return [(pool.place.file, "a pool of php-fpm") for pool in owned]


def _note_who_is_left(server: Server, by_name: dict[str, discovered.Discovered]) -> None:
    """Persons who have nothing that is served, and may be customers all the same."""
    of_mail = {box.owner for box in server.mail.boxes.values()} | {server.mail.system_user}
    for user in dict.fromkeys(server.users.values()):
        if user.is_person and user.name not in by_name and user.uid not in of_mail:
            server.tree.notes.add(
                f"/etc/passwd: the user {user.name} (number {user.uid}, home {user.home}) has no site, pool, mail or"
                " database."
            )
