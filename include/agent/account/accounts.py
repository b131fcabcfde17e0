"""What an account is on this host (the account file) and where it stands (the state file)."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from ..host.system import CONFIG, RUNTIME, STATE, Refused, locked, read_json, refuse, sync_directory, write_durably
from .engines import DECLARED, ENGINES, DeclaredEngine
from .file_values import (
    Site,
    all_of,
    bad,
    domain,
    extra,
    home,
    identifier,
    is_wildcard,
    mapping,
    ports,
    shell,
    site,
    truth,
)
from .mail_names import Forwarder, Mailbox, require_an_end
from .mail_places import folders
from .state import TRANSITIONS, UNREADABLE, State, read_state

NAME = re.compile(rf"[a-z][a-z0-9_-]{{0,31}}(\.({'|'.join(ENGINES)}))?")
# Its name is part of a socket's path, which the kernel keeps below 108 bytes.
MOVE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,47}")
_PORTS = (*ENGINES, "ssh")
PORT_RANGE = range(20000, 21000)
"""The ports of the front that belong to accounts."""
LEAD_PORTS = range(22000, 23000)
"""The front's ports, of its own machine only, from which an account's programs are led to databases elsewhere."""
PART_PORTS = range(23000, 24000)
"""The front's ports, for other servers' fronts only, at which such programs arrive."""
_KEYS = ("account", "uid", "gid", "home", "shell", "sites", *ENGINES, "mail", "ports", "extras", "provisioned")
_MOST_EXTRAS = 1000
_OWN_NAMES = frozenset(
    "backup bin daemon dovecot dovenull haproxy irc list lp mail man news nobody postfix proxy root sshd sync sys "
    "systemd-network systemd-timesync transhumance transhumance-front uucp www-data".split()
) | {engine.user for engine in DECLARED}


@dataclass(frozen=True)
class Account:
    """A customer's Unix user and all that is theirs: home, sites, databases, mailboxes, certificates, crontab.

    Here as its file states it, checked: names of databases, roles and users are any text. `in_engines` has them by
    engine and list.

    `extras` are files of the host's own configuration that are this account's alone; they lie outside of its home.

    `ports` are those of this account alone, by protocol: who connects there means this account, wherever it is.
    On a database server the databases of one engine are an account of their own, the account's *part*, which is named
    account.engine and is nothing but them.

    `provisioned`: what the web server and others are told of it is made by the host's own program, on each server that
    it comes to.
    """

    name: str
    uid: int
    gid: int
    home: str
    shell: str
    sites: tuple[Site, ...]
    in_engines: dict[str, dict[str, tuple[Any, ...]]]
    mail_domains: tuple[str, ...]
    mailboxes: tuple[Mailbox, ...]
    forwarders: tuple[Forwarder, ...] = ()
    ports: dict[str, int] = field(default_factory=dict)
    extras: tuple[str, ...] = ()
    provisioned: bool = False

    @property
    def part(self) -> str | None:
        """The engine of which this is a part; None when it is an account."""
        return part_engine(self.name)

    def names(self, engine: str, kind: str) -> tuple[Any, ...]:
        """Its names of one kind in an engine, such as its databases."""
        return self.in_engines[engine][kind]

    @property
    def postgresql_roles(self) -> tuple[str, ...]:
        return self.names("postgresql", "roles")

    @property
    def postgresql_databases(self) -> tuple[str, ...]:
        return self.names("postgresql", "databases")

    @property
    def mariadb_users(self) -> tuple[tuple[str, str], ...]:
        return self.names("mariadb", "users")

    @property
    def mariadb_databases(self) -> tuple[str, ...]:
        return self.names("mariadb", "databases")

    def with_databases(self, engine: str, databases: Iterable[str]) -> "Account":
        """This account, with these databases of an engine only."""
        theirs = {**self.in_engines[engine], "databases": tuple(databases)}
        return replace(self, in_engines={**self.in_engines, engine: theirs})

    def has(self, engine: str) -> bool:
        """Whether it has databases of this engine, or users of them."""
        return any(self.in_engines[engine].values())

    def part_of(self, engine: str) -> "Account":
        """What of this account lives on another server when the databases of this engine do."""
        name = part_name(self.name, engine)
        nothing: dict[str, Any] = {"sites": (), "mail_domains": (), "mailboxes": (), "forwarders": (), "ports": {}}
        nothing |= {"extras": (), "provisioned": False}
        alone = self.without(other for other in ENGINES if other != engine)
        return replace(alone, name=name, home=f"/home/{name}", shell="/usr/sbin/nologin", **nothing)

    def without(self, engines: Iterable[str]) -> "Account":
        """This account without the databases of these engines."""
        return replace(self, in_engines={**self.in_engines, **{engine: _NOTHING[engine] for engine in engines}})

    @property
    def hosts(self) -> list[str]:
        """Every host name its sites answer to."""
        return [host for site in self.sites for host in (site.domain, *site.aliases)]

    @property
    def wildcards(self) -> list[str]:
        """Those of its host names that stand for all names below another, which is its own as well."""
        return [host for host in self.hosts if is_wildcard(host)]

    @property
    def domains(self) -> list[str]:
        """Every name it may have a certificate for."""
        return sorted({*self.hosts, *self.mail_domains} - {*self.wildcards})

    @cached_property
    def mail_folders(self) -> tuple[str, ...]:
        """The folders outside of the home that messages of its mailboxes lie in; nobody else's do."""
        return folders(((box.address, box.place) for box in self.mailboxes if box.place), self.home)

    @property
    def has_cron_file(self) -> bool:
        """Whether one of the host's files for cron is its own."""
        return any(path.startswith("/etc/cron.d/") for path in self.extras)

    @property
    def directory(self) -> Path:
        """Where this host keeps what it knows of the account; root's alone."""
        return STATE / "accounts" / self.name

    @property
    def lingers_aside(self) -> Path:
        """There while what it runs without a login is set aside."""
        return self.directory / "lingers"

    @property
    def adopted(self) -> Path:
        """There while this host's own configuration has the account, which was here before the agent knew it."""
        return self.directory / "adopted"

    @property
    def shut(self) -> Path:
        """There while visitors may be kept waiting; with why, when the host's own `open` has failed."""
        return self.directory / "shut"

    def to_json(self) -> dict[str, Any]:
        return {
            "account": self.name,
            "uid": self.uid,
            "gid": self.gid,
            "home": self.home,
            "shell": self.shell,
            "sites": [site.to_json() for site in self.sites],
            **{
                engine.name: {
                    key: [listed.to_json(item) for item in self.names(engine.name, key)]
                    for key, listed in engine.lists.items()
                }
                for engine in DECLARED
            },
            "mail": {
                "domains": list(self.mail_domains),
                "mailboxes": [mailbox.to_json() for mailbox in self.mailboxes],
                **({"forwarders": [forwarder.to_json() for forwarder in self.forwarders]} if self.forwarders else {}),
            },
            **({"ports": dict(self.ports)} if self.ports else {}),
            **({"extras": list(self.extras)} if self.extras else {}),
            **({"provisioned": True} if self.provisioned else {}),
        }

    @classmethod
    def from_json(cls, data: Any) -> "Account":
        """Check an account file; the first thing wrong with it is refused in one sentence."""
        data = mapping(data, "The account file", _KEYS)
        name = check_name(data.get("account"))
        mail = mapping(data.get("mail", {}), "mail", ("domains", "mailboxes", "forwarders"))
        mail_domains = all_of(mail.get("domains", []), "mail.domains", domain)
        mailboxes, forwarders = (
            all_of(mail.get(field, []), f"mail.{field}", partial(kind.from_json, domains=mail_domains))
            for field, kind in (("mailboxes", Mailbox), ("forwarders", Forwarder))
        )
        account = cls(
            name=name,
            uid=identifier(data.get("uid"), "uid"),
            gid=identifier(data.get("gid"), "gid"),
            home=home(data.get("home")),
            shell=shell(data.get("shell", "/bin/bash")),
            sites=all_of(data.get("sites", []), "sites", site),
            in_engines={engine.name: _in_engine(engine, data.get(engine.name, {})) for engine in DECLARED},
            mail_domains=mail_domains,
            mailboxes=mailboxes,
            forwarders=forwarders,
            ports=ports(data.get("ports", {}), _PORTS, PART_PORTS if "." in name else PORT_RANGE),
            extras=_extras(data.get("extras", [])),
            provisioned=truth(data.get("provisioned", False), "provisioned"),
        )
        keys_by_noun = {
            "host name": account.hosts,
            "mailbox": [mailbox.key for mailbox in mailboxes],
            "forwarder": [forwarder.address for forwarder in forwarders],
            "extra": [*account.extras],
        }
        for noun, names in keys_by_noun.items():
            if twice := sorted(name for name, count in Counter(names).items() if count > 1):
                bad(f"The {noun} {twice[0]} stands twice in the account file; give it once.")
        for name in account.wildcards:
            if name[2:] not in account.domains:
                bad(
                    f"The alias {name} stands for all names below {name[2:]}, which the account has not; give one of"
                    " its sites that name too, or list the names that are used."
                )
        require_an_end(mailboxes, forwarders, mail_domains)
        _ = account.mail_folders  # refused here where it cannot be said whose they are
        return account


_NOTHING: dict[str, dict[str, tuple[Any, ...]]] = {engine.name: dict.fromkeys(engine.lists, ()) for engine in DECLARED}


def _extras(value: Any) -> tuple[str, ...]:
    extras = all_of(value, "extras", extra)
    if len(extras) > _MOST_EXTRAS:
        bad(f"The account file names {len(extras)} extras, more than the {_MOST_EXTRAS} that are carried; name fewer.")
    return extras


def _in_engine(engine: DeclaredEngine, data: Any) -> dict[str, tuple[Any, ...]]:
    stated = mapping(data, engine.name, engine.lists)
    return {
        key: all_of(stated.get(key, []), f"{engine.name}.{key}", listed.check) for key, listed in engine.lists.items()
    }


def part_name(account: str, engine: str) -> str:
    """What the part of an account is called on the server that its databases of this engine live on."""
    return f"{account}.{engine}"


def part_engine(name: str) -> str | None:
    """The engine that an account of this name is the part of; None when it is the name of a whole account."""
    return name.partition(".")[2] or None


def check_name(value: Any) -> str:
    """An account's name, or a refusal."""
    if not isinstance(value, str) or not NAME.fullmatch(value) or value.partition(".")[0] in _OWN_NAMES:
        refuse(
            "bad_account_name",
            f"{value!r} is no account name; use lower-case letters, digits, - and _, a letter first, 32 at most.",
        )
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
    accounts = []
    for name in _names():
        with suppress(Refused):
            account = whole(name)
            accounts.append(account.without(standing(name).engines))
    return accounts


def unreadable() -> dict[str, str]:
    """The accounts whose file or state cannot be read, and why."""
    reasons = {}
    for name in _names():
        try:
            load(name)
        except Refused as error:
            reasons[name] = error.message
    return reasons


def _names() -> list[str]:
    return sorted(path.stem for path in (CONFIG / "accounts").glob("*.json"))


# --- states ---


def state_of(name: str) -> State:
    """Where the account stands here; refused when its file says nothing that this agent understands."""
    path = STATE / "accounts" / check_name(name) / "state.json"
    data = read_json(path)
    return State() if data is None and not path.exists() else read_state(name, data)


def standing(name: str) -> State:
    """The same for whoever only shows it: an account whose state cannot be read stands as `unreadable`, and is shut."""
    try:
        return state_of(name)
    except Refused:
        return State(UNREADABLE)


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
