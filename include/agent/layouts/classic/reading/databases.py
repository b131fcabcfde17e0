"""Which databases are an account's: as the host says, by the names of their users, or by who keeps their passwords."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ....account.engines import DECLARED, DeclaredEngine, Names
from ....host.digest import printable
from . import keepers, said_databases
from .keepers import Kept, LookInto, Opens
from .named_in_files import Look, look_into
from .said_databases import FILE, THE_HOSTS, Said
from .tree import Tree
from .users import User

Owned = Mapping[str, Mapping[str, list[Any]]]
"""By engine and database, who owns it: each as an account file lists the users of that engine."""
Databases = dict[str, dict[str, list[Any]]]
"""Of one account, as its account file has them."""
_SHOWN = 5
_MAX_SENTENCES = 100


@dataclass(frozen=True)
class Evidence:
    """What else the engines say: by engine, who has rights in a database that they do not own, and whether a password
    is that of a user; and how files are looked at."""

    guests: Owned = field(default_factory=dict)
    passwords: Mapping[str, Mapping[str, Opens]] = field(default_factory=dict)
    look: LookInto = look_into


NONE = Evidence(look=lambda *_: Look())
"""Nothing else is known, and no file looked at."""


@dataclass
class Whose:
    """By account: its databases, and why it cannot be adopted as long as a person has not said whose some are."""

    databases: dict[str, Databases] = field(default_factory=lambda: defaultdict(dict))
    unfit: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def cannot(self, account: str, sentence: str) -> None:
        if len(self.unfit[account]) < _MAX_SENTENCES:
            self.unfit[account].append(printable(sentence)[:1000])


class _Engine:
    """The databases of one engine, and who may be whose there."""

    def __init__(
        self,
        engine: DeclaredEngine,
        owned: Owned,
        evidence: Evidence,
        accounts: Collection[str],
        served: Collection[str],
    ) -> None:
        self.engine = engine
        (self.key,) = (key for key in engine.lists if key != "databases")
        self.list = engine.lists[self.key]
        self.owners = owned.get(engine.name, {})
        self.locks = evidence.passwords.get(engine.name, {})
        self.served = served
        self.users: dict[str, Any] = {}
        self.rights: dict[str, set[str]] = defaultdict(set)
        for databases in (self.owners, evidence.guests.get(engine.name, {})):
            for database, users in databases.items():
                for user in users:
                    self.users.setdefault(_login_of(self.list, user), user)
                    self.rights[_login_of(self.list, user)].add(database)
        self.of_user: dict[str, set[str]] = {
            login: {name} if (name := _account_of(_called(user), accounts)) else set()
            for login, user in self.users.items()
        }

    def shown(self, database: str) -> str:
        return f"{self.engine.title} database {printable(database)}"

    def line(self, database: str, account: str = "ACCOUNT") -> str:
        """What the host writes."""
        return f"the line: {self.engine.name} {printable(database)} {account}"

    def owners_of(self, database: str) -> list[str]:
        return [_login_of(self.list, user) for user in self.owners[database]]

    def accounts_of(self, database: str) -> dict[str, list[str]]:
        """Whose it is by its users: each account with those."""
        by_users: dict[str, list[str]] = {}
        for login in self.owners_of(database):
            for account in sorted(self.of_user[login]):
                by_users.setdefault(account, []).append(login)
        return by_users

    def to_be_proven(self) -> list[str]:
        """Users who are nobody's by their names, or whose names begin with that of a person who has nothing else here,
        such as the host's own `admin`: those are this person's unless another one keeps the password."""
        return [
            login
            for login, accounts in self.of_user.items()
            if not accounts or not accounts & {_called(self.users[login]), *self.served}
        ]

    def names(self, by_host: Said) -> set[str]:
        """What to look for in files: users whose names do not say whose they are, and databases that may stay
        nobody's."""
        names = {_called(self.users[login]) for login in self.to_be_proven()}
        unclear = {
            name for name in self.owners if (self.engine.name, name) not in by_host and not self.accounts_of(name)
        }
        return names | unclear

    def users_in(self, databases: Collection[str]) -> list[str]:
        return [login for login, rights in self.rights.items() if not rights.isdisjoint(databases)]

    def users_of(self, account: str, databases: Collection[str]) -> list[str]:
        """Users whose rights end with the account's databases, and those of its own who have rights in one."""
        mine = {*databases}
        return [
            login
            for login in self.users_in(databases)
            if self.rights[login] <= mine or self.of_user[login] == {account}
        ]


def of_accounts(
    persons: Mapping[str, User], folders: Mapping[str, Iterable[str]], owned: Owned, evidence: Evidence, tree: Tree
) -> Whose:
    """Each person's databases. What is nobody's or several persons' is noted, with what to write where; whose files
    name it cannot be adopted before. `folders`: of each person who has a site, a pool or mail, where the sites lie."""
    engines = [_Engine(engine, owned, evidence, persons, folders) for engine in DECLARED]
    by_host = said_databases.read(tree, owned, persons)
    names = {name for each in engines for name in each.names(by_host)}
    locks = {
        f"{each.engine.name} {login}": (_called(each.users[login]), each.locks[login])
        for each in engines
        for login in each.to_be_proven()
        if login in each.locks
    }
    kept = keepers.kept([*persons.values()], folders, sorted(names), locks, tree, evidence.look)
    whose = Whose()
    for each in engines:
        for login in each.to_be_proven():
            each.of_user[login] = kept.keepers.get(f"{each.engine.name} {login}") or each.of_user[login]
        _decide(each, by_host, kept, whose, tree)
    return whose


def _decide(engine: _Engine, by_host: Said, kept: Kept, whose: Whose, tree: Tree) -> None:
    theirs: dict[str, list[str]] = defaultdict(list)
    nobodys = []
    for database in engine.owners:
        accounts = engine.accounts_of(database)
        account = by_host.get((engine.engine.name, database)) or (next(iter(accounts)) if len(accounts) == 1 else None)
        if account == THE_HOSTS:
            continue
        if account:
            theirs[account].append(database)
        elif accounts:
            _tell_several(engine, database, accounts, whose, tree)
        else:
            nobodys.append(database)
            _tell_nobodys(engine, database, kept, whose, tree)
    if nobodys:
        for name in kept.unfinished:
            whose.cannot(
                name,
                f"Not all files of {name} could be looked through for the {engine.engine.title} databases that are"
                f" nobody's, such as {printable(nobodys[0])}; write in {FILE} on the server whose each is"
                f" ({THE_HOSTS} if it is the host's own), such as {engine.line(nobodys[0])}",
            )
    left = {login for databases in theirs.values() for login in engine.users_in(databases)}
    for account, databases in theirs.items():
        users = engine.users_of(account, databases)
        left -= {*users}
        lists = {engine.key: [engine.users[login] for login in users], "databases": databases}
        whose.databases[account][engine.engine.name] = lists
    for login in sorted(left):
        _tell_shared(engine, login, theirs, whose, tree)


def _tell_shared(engine: _Engine, login: str, theirs: dict[str, list[str]], whose: Whose, tree: Tree) -> None:
    """A user who goes with no account: those who use it cannot go without."""
    among = [account for account, databases in theirs.items() if login in engine.users_in(databases)]
    user = f"The {engine.list.what} {printable(login)} has rights in databases of {', '.join(among[:_SHOWN])}"
    using = [account for account in among if account in engine.of_user[login]]
    for account in using:
        whose.cannot(account, f"{user} and in others, so it goes with none of them; give {account} one of its own.")
    if not using:
        tree.notes.add(f"{user} and in others, so it goes with none of them; give each one of its own that needs it.")


def _tell_several(engine: _Engine, database: str, accounts: dict[str, list[str]], whose: Whose, tree: Tree) -> None:
    who = ", ".join(f"{name} (by its user {printable(users[0])})" for name, users in [*accounts.items()][:_SHOWN])
    for name in accounts:
        whose.cannot(
            name,
            f"The {engine.shown(database)} is of several accounts: {who}; give each one of its own, or write in {FILE}"
            f" on the server whose it is, such as {engine.line(database, name)}",
        )
    tree.notes.add(
        f"The {engine.shown(database)} is of several accounts: {who}; give each one of its own, or write in {FILE} on"
        f" the server whose it is, {engine.line(database)}"
    )


def _tell_nobodys(engine: _Engine, database: str, kept: Kept, whose: Whose, tree: Tree) -> None:
    names = {database, *(_called(engine.users[login]) for login in engine.owners_of(database))}
    naming = {}
    for person, named in kept.named.items():
        if name := next((name for name in sorted(names) if name in named), None):
            naming[person] = named[name]
            called = "" if name == database else f" (by its user {printable(name)})"
            whose.cannot(
                person,
                f"{printable(named[name])[:300]} names the {engine.shown(database)}{called}, which is nobody's and"
                f" would stay behind; write in {FILE} on the server whose it is, {engine.line(database, person)}"
                f" ({THE_HOSTS} in the place of {person} if it is the host's own)",
            )
    who = ", ".join(printable(login) for login in engine.owners_of(database)[:_SHOWN])
    why = f"is owned by {who}, who is no account here" if who else "has no user of its own"
    if who and naming:
        why += ", and whose password was found in no account's files"
    if naming:
        why += f" (files of {', '.join([*naming][:_SHOWN])} name it)"
    tree.notes.add(
        f"The {engine.shown(database)} {why}; write in {FILE} on the server whose it is ({THE_HOSTS} if it is the"
        f" host's own), {engine.line(database)}"
    )


def _login_of(users: Names, user: Any) -> str:
    if isinstance(user, dict):
        return users.told(tuple(user[key] for key in users.keys))
    return users.told(user)


def _called(owner: Any) -> str:
    return str(owner["user"] if isinstance(owner, dict) else owner)


def _account_of(owner: str, names: Collection[str]) -> str | None:
    """The account with the longest such name."""
    while owner and owner not in names:
        owner = owner.rpartition("_")[0]
    return owner or None
