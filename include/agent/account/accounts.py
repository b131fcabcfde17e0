"""What an account is on this host (the account file) and where it stands (the state file)."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from ..host.digest import printable
from ..host.ours import PREFIX
from ..host.system import CONFIG, RUNTIME, STATE, Refused, locked, read_json, refuse, sync_directory, write_durably
from .mail_names import DOMAIN, Forwarder, Mailbox, require_an_end

ENGINES = ("postgresql", "mariadb")
NAME = re.compile(rf"[a-z][a-z0-9_-]{{0,31}}(\.({'|'.join(ENGINES)}))?")
# Its name is part of a socket's path, which the kernel keeps below 108 bytes.
MOVE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,47}")
_ROOT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*){0,15}")
_APP = re.compile(r"(/[A-Za-z0-9_][A-Za-z0-9_.-]*){1,8}")
_PORTS = ("postgresql", "mariadb", "ssh")
PORT_RANGE = range(20000, 21000)
"""The ports of the front that belong to accounts."""
LEAD_PORTS = range(22000, 23000)
"""The front's ports, of its own machine only, from which an account's programs are led to databases elsewhere."""
PART_PORTS = range(23000, 24000)
"""The front's ports, for other servers' fronts only, at which such programs arrive."""
_SHELLS = ("/bin/bash", "/bin/sh", "/bin/false", "/usr/sbin/nologin")
_OWN_NAMES = frozenset(
    "backup bin daemon dovecot dovenull haproxy irc list lp mail man mysql news nobody postfix postgres proxy root "
    "sshd sync sys systemd-network systemd-timesync transhumance uucp www-data".split()
)
_POSTGRES_OWN = frozenset({"postgres", "template0", "template1"})
_MARIADB_OWN_USERS = frozenset({"root", "mysql", "mariadb.sys", "PUBLIC"})
_MARIADB_OWN_DATABASES = frozenset({"mysql", "information_schema", "performance_schema", "sys"})
# Without "@" and quotes: MariaDB itself writes users as user@host in places, and there is one way to read that.
_MARIADB_HOST = re.compile(r"[A-Za-z0-9._:%/-]{1,255}")


@dataclass(frozen=True)
class Site:
    """A site: its domain, the further names it answers to, and its document root relative to the home.

    Requests for `app` and what is below it go to a program of the account's own that listens at ~/app.sock.
    """

    domain: str
    aliases: tuple[str, ...]
    root: str
    app: str | None = None

    def to_json(self) -> dict[str, Any]:
        more = {"app": self.app} if self.app else {}
        return {"domain": self.domain, "aliases": list(self.aliases), "root": self.root, **more}


@dataclass(frozen=True)
class Account:
    """A customer's Unix user and all that is theirs: home, sites, databases, mailboxes, certificates, crontab.

    Here as its file states it, checked: names of databases, roles and users are any text.

    `ports` are those of this account alone, by protocol: who connects there means this account, wherever it is.
    On a database server the databases of one engine are an account of their own, the account's *part*, which is named
    account.engine and is nothing but them.
    """

    name: str
    uid: int
    gid: int
    home: str
    shell: str
    sites: tuple[Site, ...]
    postgresql_roles: tuple[str, ...]
    postgresql_databases: tuple[str, ...]
    mariadb_users: tuple[tuple[str, str], ...]
    mariadb_databases: tuple[str, ...]
    mail_domains: tuple[str, ...]
    mailboxes: tuple[Mailbox, ...]
    forwarders: tuple[Forwarder, ...] = ()
    ports: dict[str, int] = field(default_factory=dict)

    @property
    def part(self) -> str | None:
        """The engine of which this is a part; None when it is an account."""
        return part_engine(self.name)

    def has(self, engine: str) -> bool:
        """Whether it has databases of this engine, or users of them."""
        return self.part_of(engine) != self.without([engine]).part_of(engine)

    def part_of(self, engine: str) -> "Account":
        """What of this account lives on another server when the databases of this engine do."""
        others: dict[str, Any] = {key: () for other in ENGINES if other != engine for key in _OF_ENGINE[other]}
        name = part_name(self.name, engine)
        nothing: dict[str, Any] = {"sites": (), "mail_domains": (), "mailboxes": (), "forwarders": (), "ports": {}}
        return replace(self, name=name, home=f"/home/{name}", shell="/usr/sbin/nologin", **nothing, **others)

    def without(self, engines: Iterable[str]) -> "Account":
        """This account without the databases of these engines."""
        theirs: dict[str, Any] = {key: () for engine in engines for key in _OF_ENGINE[engine]}
        return replace(self, **theirs)

    @property
    def hosts(self) -> list[str]:
        """Every host name its sites answer to."""
        return [host for site in self.sites for host in (site.domain, *site.aliases)]

    @property
    def domains(self) -> list[str]:
        """Every name it may have a certificate for."""
        return sorted({*self.hosts, *self.mail_domains})

    @property
    def directory(self) -> Path:
        """Where this host keeps what it knows of the account; root's alone."""
        return STATE / "accounts" / self.name

    def to_json(self) -> dict[str, Any]:
        return {
            "account": self.name,
            "uid": self.uid,
            "gid": self.gid,
            "home": self.home,
            "shell": self.shell,
            "sites": [site.to_json() for site in self.sites],
            "postgresql": {
                "roles": list(self.postgresql_roles),
                "databases": list(self.postgresql_databases),
            },
            "mariadb": {
                "users": [{"user": user, "host": host} for user, host in self.mariadb_users],
                "databases": list(self.mariadb_databases),
            },
            "mail": {
                "domains": list(self.mail_domains),
                "mailboxes": [mailbox.to_json() for mailbox in self.mailboxes],
                **({"forwarders": [each.to_json() for each in self.forwarders]} if self.forwarders else {}),
            },
            **({"ports": dict(self.ports)} if self.ports else {}),
        }

    @classmethod
    def from_json(cls, data: Any) -> "Account":
        """Check an account file; the first thing wrong with it is refused in one sentence."""
        data = _mapping(data, "The account file")
        name = check_name(data.get("account"))
        pg, maria = (
            _mapping(data.get("postgresql", {}), "postgresql"),
            _mapping(data.get("mariadb", {}), "mariadb"),
        )
        mail = _mapping(data.get("mail", {}), "mail")
        home, shell = data.get("home"), data.get("shell", "/bin/bash")
        if home != f"/home/{name}":
            _bad(f"The home of {name} must be /home/{name}, not {home!r}.")
        if shell not in _SHELLS:
            _bad(f"The shell {shell!r} is not one of {', '.join(_SHELLS)}.")
        mail_domains = _all(mail.get("domains", []), "mail.domains", _domain)
        mailboxes, forwarders = (
            _all(mail.get(what, []), f"mail.{what}", partial(kind.from_json, domains=mail_domains))
            for what, kind in (("mailboxes", Mailbox), ("forwarders", Forwarder))
        )
        account = cls(
            name=name,
            uid=_identifier(data.get("uid"), "uid"),
            gid=_identifier(data.get("gid"), "gid"),
            home=home,
            shell=shell,
            sites=_all(data.get("sites", []), "sites", _site),
            postgresql_roles=_all(pg.get("roles", []), "postgresql.roles", _postgres_name),
            postgresql_databases=_all(pg.get("databases", []), "postgresql.databases", _postgres_name),
            mariadb_users=_all(maria.get("users", []), "mariadb.users", _mariadb_user),
            mariadb_databases=_all(maria.get("databases", []), "mariadb.databases", _mariadb_database),
            mail_domains=mail_domains,
            mailboxes=mailboxes,
            forwarders=forwarders,
            ports=_ports(data.get("ports", {}), PART_PORTS if "." in name else PORT_RANGE),
        )
        given = {
            "host name": account.hosts,
            "mailbox": [mailbox.key for mailbox in mailboxes],
            "forwarder": [forwarder.address for forwarder in forwarders],
        }
        for what, names in given.items():
            if twice := sorted(name for name, count in Counter(names).items() if count > 1):
                _bad(f"The {what} {twice[0]} stands twice in the account file; give it once.")
        require_an_end(mailboxes, forwarders, mail_domains)
        return account


_OF_ENGINE = {
    "postgresql": ("postgresql_roles", "postgresql_databases"),
    "mariadb": ("mariadb_users", "mariadb_databases"),
}


def part_name(account: str, engine: str) -> str:
    """What the part of an account is called on the server that its databases of this engine live on."""
    return f"{account}.{engine}"


def part_engine(name: str) -> str | None:
    """The engine that an account of this name is the part of; None when it is the name of a whole account."""
    return name.partition(".")[2] or None


def _bad(sentence: str) -> None:
    refuse("bad_account_file", sentence)


def _mapping(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        _bad(f"{what} must be a JSON object.")
    return value


def _all(value: Any, what: str, check: Any) -> tuple[Any, ...]:
    if not isinstance(value, list):
        _bad(f"{what} must be a list.")
    return tuple(check(item) for item in value)


def _identifier(value: Any, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1000 <= value < 60000:
        _bad(f"The {what} must be a number from 1000 to 59999, not {value!r}.")
    return value


def _domain(value: Any) -> str:
    if not isinstance(value, str) or not DOMAIN.fullmatch(value):
        _bad(f"{value!r} is no host name; give it in lower case, international names in their xn-- form.")
    return value


def _site(item: Any) -> Site:
    item = _mapping(item, "A site")
    root = item.get("root", "public_html")
    if not isinstance(root, str) or not _ROOT.fullmatch(root):
        _bad(f"The document root {root!r} must be a plain path below the home, such as public_html.")
    app = item.get("app")
    if app is not None and (not isinstance(app, str) or not _APP.fullmatch(app)):
        _bad(f"The path {app!r} of the app must be a plain one that begins with /, such as /live.")
    return Site(_domain(item.get("domain")), _all(item.get("aliases", []), "aliases", _domain), root, app)


def _ports(value: Any, allowed: range) -> dict[str, int]:
    for protocol, port in _mapping(value, "ports").items():
        if protocol not in _PORTS:
            _bad(f"{protocol!r} has no port of an account; use {', '.join(_PORTS)}.")
        if not isinstance(port, int) or isinstance(port, bool) or port not in allowed:
            _bad(f"The port for {protocol} must be from {allowed[0]} to {allowed[-1]}, not {port!r}.")
    if len({*value.values()}) < len(value):
        _bad("The account file gives one port to two protocols; give each its own.")
    return dict(sorted(value.items()))


def _text(value: Any, what: str, longest: int) -> str:
    if not isinstance(value, str) or not value or "\0" in value or len(value.encode()) > longest:
        _bad(f"The {what} {value!r} must be text of 1 to {longest} bytes.")
    return value


def _not_ours(name: str, what: str) -> None:
    if name.lower().startswith(PREFIX):
        _bad(f"The {what} {name!r} begins with {PREFIX}, as those of the agent do; rename it.")


def _postgres_name(value: Any) -> str:
    name = _text(value, "PostgreSQL name", 63)
    _not_ours(name, "PostgreSQL name")
    if name in _POSTGRES_OWN or name.startswith("pg_"):
        _bad(f"The PostgreSQL name {name!r} belongs to the server, not to an account.")
    return name


def _mariadb_database(value: Any) -> str:
    name = _text(value, "MariaDB database", 256)
    _not_ours(name, "MariaDB database")
    if name.lower() in _MARIADB_OWN_DATABASES:
        _bad(f"The MariaDB database {name!r} belongs to the server, not to an account.")
    return name


def _mariadb_user(item: Any) -> tuple[str, str]:
    item = _mapping(item, "A MariaDB user")
    user = _text(item.get("user"), "MariaDB user", 320)
    if user in _MARIADB_OWN_USERS:
        _bad(f"The MariaDB user {user!r} belongs to the server, not to an account.")
    _not_ours(user, "MariaDB user")
    host = item.get("host")
    if not isinstance(host, str) or not _MARIADB_HOST.fullmatch(host):
        _bad(f"The host {host!r} of the MariaDB user {user!r} must be made of letters, digits and . _ : % / -.")
    return user, host


def check_name(value: Any) -> str:
    """An account's name, or a refusal."""
    if not isinstance(value, str) or not NAME.fullmatch(value) or value.partition(".")[0] in _OWN_NAMES:
        refuse(
            "bad_account_name",
            f"{value!r} is no account name; use lower-case letters, digits, - and _, a letter first, 32 at most.",
        )
    return value


def check_engine(value: Any) -> str:
    """The name of a database engine, or a refusal."""
    if value not in ENGINES:
        refuse("bad_engine", f"{value!r:.60} is no database engine; there are {' and '.join(ENGINES)}.")
    return value


def check_move(value: Any) -> str:
    """A move's id, or a refusal."""
    if not isinstance(value, str) or not MOVE.fullmatch(value):
        refuse("bad_move", f"{value!r} is no move's id; use letters, digits, '.', - and _, 48 at most.")
    return value


# --- account files ---


def account_path(name: str) -> Path:
    return CONFIG / "accounts" / f"{check_name(name)}.json"


def save(account: Account) -> None:
    account_path(account.name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_durably(account_path(account.name), json.dumps(account.to_json(), indent=1))


def whole(name: str) -> Account:
    """The account of that name as its file states it, databases that have left included; refused when there is none."""
    data = read_json(account_path(name))
    if data is None:
        refuse("no_such_account", f"There is no account {name} on this server.")
    return Account.from_json(data)


def load(name: str) -> Account:
    """The account of that name as far as it lives here; refused when there is none.

    What has left it leaves with the commit, since this too follows the state file."""
    return whole(name).without(state_of(name).engines)


def all_accounts() -> list[Account]:
    """Every account whose file is on this host, by name; but for those of `unreadable`: one damaged file must not stop
    what is done for the others. An account of which only the state cannot be read is there whole, and shut."""
    found = []
    for name in _names():
        with suppress(Refused):
            account = whole(name)
            found.append(account.without(standing(name).engines))
    return found


def unreadable() -> dict[str, str]:
    """The accounts whose file or state cannot be read, and why."""
    found = {}
    for name in _names():
        try:
            load(name)
        except Refused as error:
            found[name] = error.message
    return found


def _names() -> list[str]:
    return sorted(path.stem for path in (CONFIG / "accounts").glob("*.json"))


# --- states ---

# Where an account may go from where it stands. "absent" also remembers the epoch after a removal.
TRANSITIONS: dict[str, frozenset[str]] = {
    "absent": frozenset({"serving", "receiving"}),
    "serving": frozenset({"held", "moved"}),  # moved: it had left already, and this disk is an older one
    "held": frozenset({"serving", "moved"}),  # returned, or committed: the point of no return
    "moved": frozenset({"receiving", "absent"}),  # comes back another time, or is removed
    "receiving": frozenset({"serving", "test", "absent"}),  # released, opened as a test copy, or given up
    "test": frozenset({"absent"}),  # a test copy never becomes the account
}


@dataclass(frozen=True)
class State:
    """Where an account stands on this host. The state file is the fence: it changes by one durable rename.

    `epoch` only grows; `deadline` is Unix time at which a hold ends by itself; `to` is the address of the server
    that has the account now; `saved` is what must be restored at a return; `released` says that the other side
    has opened the account; `returning` that a return has begun, so a commit comes too late; `test` what is open of a
    test copy: {"names": {site: test name}, "stores": [...], "hosts": {site: the host that it is asked as}}.
    `engines` are those whose databases live on another server although the account lives here: {engine: {"to", "peer",
    "port": the part's port of that server's front, "lead_port": of this one's, "move", "epoch", "released", "left":
    the names of what stays behind here, locked, or None, "figures", "since"}}.
    """

    state: str = "absent"
    epoch: int = 0
    move: str | None = None
    deadline: float | None = None
    to: str | None = None
    peer: dict[str, Any] | None = None
    saved: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    test: dict[str, Any] = field(default_factory=dict)
    released: bool = False
    returning: bool = False
    since: float | None = None
    engines: dict[str, dict[str, Any]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


UNREADABLE = "unreadable"
"""Where an account stands whose state file cannot be read: nowhere that anything leads on from."""


def state_of(name: str) -> State:
    """Where the account stands here; refused when its file says nothing that this agent understands."""
    path = STATE / "accounts" / check_name(name) / "state.json"
    data = read_json(path)
    return State() if data is None and not path.exists() else _state(name, data)


def standing(name: str) -> State:
    """The same for whoever only shows it: an account whose state cannot be read stands as `unreadable`, and is shut."""
    try:
        return state_of(name)
    except Refused:
        return State(UNREADABLE)


def _state(name: str, data: Any) -> State:
    known = {one.name for one in fields(State)}
    if isinstance(data, dict) and (newer := sorted({*data} - known)):
        refuse(
            "newer_state",
            f"The state of the account {name} was written by a newer agent ({printable(newer[0])}); install that agent "
            "here again.",
        )
    if not isinstance(data, dict) or any(not _KINDS[key](value) for key, value in data.items()):
        refuse(
            "damaged_file",
            f"The state file of the account {name} is damaged; find out where it lives, then restore the file.",
        )
    return State(**data)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _or_none(kind: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or kind(value)


def _is(kind: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kind)


def _engines(value: Any) -> bool:
    return isinstance(value, dict) and all(
        engine in ENGINES and isinstance(there, dict) and isinstance(there.get("released"), bool)
        for engine, there in value.items()
    )


_KINDS: dict[str, Callable[[Any], bool]] = {
    "state": lambda value: isinstance(value, str) and value in TRANSITIONS,
    "epoch": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "move": _or_none(_is(str)),
    "deadline": _or_none(_number),
    "to": _or_none(_is(str)),
    "peer": _or_none(_is(dict)),
    "saved": _is(dict),
    "figures": _is(dict),
    "test": _is(dict),
    "released": _is(bool),
    "returning": _is(bool),
    "since": _or_none(_number),
    "engines": _engines,
}
"""What each field of a state file holds."""


def put_state(name: str, new: State) -> State:
    """Write the state durably, in one rename; a change that the table forbids, or a lower epoch, is refused."""
    old = state_of(name)
    if new.state != old.state and new.state not in TRANSITIONS[old.state]:
        refuse("wrong_state", f"The account {name} is {old.state} here and cannot become {new.state}.")
    if new.epoch < old.epoch:
        refuse("stale_epoch", f"The account {name} is at epoch {old.epoch} here; epoch {new.epoch} is over.")
    directory = STATE / "accounts" / name
    if not directory.is_dir():
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_directory(directory.parent)
    write_durably(directory / "state.json", json.dumps(new.to_json()))
    return new


def sync_state(name: str) -> None:
    """What is read of the account's state is durable after this, also where who wrote it was killed before it was."""
    sync_directory(STATE / "accounts" / check_name(name))


@contextmanager
def guarded(name: str, *, shared: bool = False) -> Iterator[None]:
    """One change of an account at a time on this host; parts of one change share it."""
    with locked(RUNTIME / "accounts" / f"{check_name(name)}.lock", shared=shared):
        yield
