"""An account's extras: files of the host's own configuration that are the account's alone, carried with it.

On the server that an account comes to, nothing is believed of them: each is judged, and none takes the place of a file
that is there and not recorded as this account's. The record is ours: path by path where a file lies, which may be under
another version of PHP than where it came from.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from ...account.accounts import Account
from ...host.digest import printable
from ...host.sandbox import open_beneath
from ...host.system import RUNTIME, Refused, locked, read_json, refuse, run, write_durably
from ...verbs.extras import MOST_BYTES, MOST_TOGETHER, Extra
from .. import mail_folders
from . import config_files, pools_of_host, services, signing
from .judges import pem, pool, renewal
from .judges.whose import Whose
from .places import (
    APACHE,
    CHAIN,
    HOME_LINK,
    KEY,
    LIVE,
    NGINX,
    OPENDKIM,
    PAIR,
    PHP_VERSION,
    POOL,
    POOLS,
    RENEWAL,
    SIEVE,
    Kind,
    kind_of,
)
from .reading import apache, nginx
from .reading.tree import Tree

ROOT = Path("/")
_RECORD, _UNTOLD = "extras.json", "extras-untold.json"
_MOST_SENTENCES = 20
"""On one file: whoever has that many begins with them."""


@dataclass(frozen=True)
class _Placed:
    """`where`: the file's path on this server; `leads_to`: the file itself, where that is a link to it."""

    where: str
    leads_to: str | None

    @property
    def file(self) -> str:
        return self.leads_to or self.where


# --- what there is ---


def read(account: Account, only_for_tests: bool = False, tree: Tree | None = None) -> list[Extra]:
    """The extras of an account that are on this server, as the account file names them."""
    whose, record, tree = Whose.of(account), _record(account), tree or Tree(ROOT)
    extras: list[Extra] = []
    for path in account.extras:
        kind = kind_of(path, whose)
        if kind is not None and (kind.for_tests or not only_for_tests):
            extras += _read_one(path, record[path].where if path in record else path, kind, tree)
    if only_for_tests:
        extras = _without_keys(extras, whose)
    if sum(len(extra.text) for extra in extras) > MOST_TOGETHER:
        refuse("extras_too_large", f"The extras of {account.name} have more than {MOST_TOGETHER >> 20} MB; name fewer.")
    return extras


def _without_keys(extras: list[Extra], whose: Whose) -> list[Extra]:
    """A test has names of its own, and its front their certificate: behind that any pair will do."""
    if not any(kind_of(extra.path, whose) in (KEY, CHAIN, PAIR) for extra in extras):
        return extras
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-noenc", "-days", "90", "-subj", "/CN=test"]
    made = run([*argv, "-keyout", "-", "-out", "-"]).stdout.decode()
    begin = made.index("-----BEGIN CERTIFICATE-----")
    return [
        replace(extra, text=pem.replaced(extra.text, made[:begin], made[begin:]))
        if kind_of(extra.path, whose) in (KEY, CHAIN, PAIR)
        else extra
        for extra in extras
    ]


def _read_one(path: str, where: str, kind: Kind, tree: Tree) -> Iterator[Extra]:
    """Nothing where there is no such file."""
    if not tree.is_there(where):
        return
    if kind is HOME_LINK:
        yield Extra(path=path, text="", leads_to=_led(where, tree))
        return
    real = _led(where, tree) if kind is SIEVE else tree.settled(where)
    text = _text_beneath(real, tree) if kind is SIEVE else tree.text(where)
    if text is None or len(text) > MOST_BYTES:
        why = f" ({notes[-1]})" if (notes := tree.notes.sentences()) else ""
        refuse("extra_unread", f"The file {path} could not be read{why}; make it a plain file of root's.")
    if kind is RENEWAL:
        text = renewal.without_account(text)
    yield Extra(path=path, text=text, leads_to=None if real == where else real)


def _led(where: str, tree: Tree) -> str:
    """The same in a folder of the mail system's, whose links are not followed but read."""
    try:
        return os.path.normpath(os.path.join(os.path.dirname(where), os.readlink(tree.on_disk(where))))
    except OSError:
        return where


def _text_beneath(path: str, tree: Tree) -> str | None:
    """What a file says in such a folder, if no part of its path is a link."""
    root = os.open(tree.on_disk("/"), os.O_PATH | os.O_DIRECTORY)
    try:
        descriptor = open_beneath(root, os.fsencode(path.lstrip("/")), os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    finally:
        os.close(root)
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if status.st_nlink > 1 or not stat.S_ISREG(status.st_mode):
            return None
        return file.read(MOST_BYTES + 1).decode("utf-8", "surrogateescape")


def unfit(account: Account) -> list[str]:
    """What in the extras is not allowed, or has no place; and what of the host's own making cannot be held: a sentence
    each."""
    at_ports = pools_of_host.at_ports(account.name, pools_of_host.addresses(account, ROOT))
    return [*judged(account, read(account)), *at_ports]


def carried(account: Account, tree: Tree, tell: Callable[[str], None]) -> list[str]:
    """Of the paths that are named of an account which is not registered yet, those that may go over; what is wrong with
    the others is told."""
    readable: list[Extra] = []
    for path in account.extras:
        if kind := kind_of(path, Whose.of(account)):
            try:
                readable += _read_one(path, path, kind, tree)
            except Refused as error:
                tell(error.message)
    whose, fit = _whose(account, readable), []
    for extra in readable:
        sentences = [*_judged(extra, whose)]
        for sentence in sentences:
            tell(sentence)
        fit += [] if sentences else [extra.path]
    return fit


def judged(account: Account, extras: Collection[Extra]) -> list[str]:
    """The same of extras that are given."""
    whose, sentences = _whose(account, extras), []
    for path in account.extras:
        if kind_of(path, whose) is None:
            sentences.append(
                f"{path} lies where no file of {account.name}'s is carried from; take it out of the extras."
            )
    for extra in extras:
        sentences += _judged(extra, whose)
    return [printable(sentence) for sentence in sentences]


def _whose(account: Account, extras: Iterable[Extra]) -> Whose:
    pools = (extra.text for extra in extras if kind_of(extra.path, Whose.of(account)) is POOL)
    return Whose.of(account, (socket for text in pools for socket in pool.sockets(text)))


def _judged(extra: Extra, whose: Whose) -> Iterator[str]:
    kind = kind_of(extra.path, whose)
    if kind is None or extra.path not in whose.files:
        yield f"{extra.path} is no extra of {whose.name}'s account file; name it there, or leave it."
    elif extra.leads_to is not None and not _may_lead(extra.path, extra.leads_to, kind, whose):
        yield f"{extra.path} is a link to {extra.leads_to}, where it may not lead; make it a file."
    else:
        yield from islice(kind.judge(extra.path, extra.text, whose), _MOST_SENTENCES)


def _may_lead(path: str, leads_to: str, kind: Kind, whose: Whose) -> bool:
    """Whether a link of one's leads to another file of that kind: an enabled site, or the certificate of now."""
    if kind is HOME_LINK:
        return whose.is_at_home(leads_to)
    if kind_of(leads_to, whose) is not kind or leads_to == path:
        return False
    if kind is SIEVE:
        return leads_to.startswith(path.rpartition("/")[0] + "/")
    if path.startswith(LIVE):
        return leads_to.startswith(path.rpartition("/")[0].replace("/live/", "/archive/") + "/")
    return "/sites-enabled/" in path and leads_to.startswith(path.partition("sites-enabled/")[0] + "sites-available/")


# --- what comes ---


def refuse_unfit(account: Account) -> None:
    """Refuse an account that this layout has no place for."""
    whose = Whose.of(account)
    for path in account.extras:
        if kind_of(path, whose) is None:
            refuse(
                "bad_extra",
                f"{path} lies where no file of {account.name}'s is carried from; take it out of the extras.",
            )


def install(account: Account, extras: Collection[Extra]) -> None:
    """Have these files, and no others of the account's; where a service does not take them, all is as it was."""
    for sentence in judged(account, extras):
        refuse("bad_extra", sentence)
    with locked(RUNTIME / "extras.lock"):
        before, whose = _record(account), _whose(account, extras)
        kinds = {extra.path: kind for extra in extras if (kind := kind_of(extra.path, whose))}
        placed = {extra.path: _place(extra) for extra in extras}
        changed = [extra for extra in extras if _is_new(extra, placed[extra.path], before, kinds[extra.path])]
        gone = {path: each for path, each in before.items() if path not in placed or each.where != placed[path].where}
        for extra in changed:
            _refuse_taken(account, extra, placed[extra.path], kinds[extra.path], before)
        touched = [*gone.items(), *((extra.path, placed[extra.path]) for extra in changed)]
        untold: list[str] = read_json(account.directory / _UNTOLD) or []
        readers = sorted(
            {
                *untold,
                *services.reading((kinds.get(path) or kind_of(path, whose), each.where) for path, each in touched),
            }
        )
        if not touched and not readers:
            return
        # Whatever happens from here on, what is written is known to be the account's, and who has still to read it.
        _write_record(account, {**before, **placed})
        write_durably(account.directory / _UNTOLD, json.dumps(readers))
        undo: list[config_files.Undone] = []
        try:
            for each in gone.values():
                undo += _take_away(each)
            for extra in changed:
                undo += _write(extra, placed[extra.path], kinds[extra.path], whose)
            _refuse_unread(placed[extra.path].where for extra in changed if kinds[extra.path] in (APACHE, NGINX))
            services.check(readers, account.name)
        except BaseException:
            config_files.put_back(ROOT, undo)
            _write_record(account, before)
            raise
        _write_record(account, placed)
        services.reload(readers)
        (account.directory / _UNTOLD).unlink()


def _place(extra: Extra) -> _Placed:
    """Where a file belongs here: a pool of a version of PHP that this server lacks under the one that it has."""
    version = PHP_VERSION.match(extra.path)
    where = extra.path
    if version and not (ROOT / POOLS.format(version=version[1])[1:]).is_dir():
        name = extra.path.rpartition("/")[2]
        where = f"{POOLS.format(version=services.php_version_for(ROOT, version[1]))}/{name}"
    return _placed(extra, where)


def _placed(extra: Extra, where: str) -> _Placed:
    """A home that is linked to is no file that comes and goes with its link."""
    return _Placed(where, extra.leads_to if extra.text else None)


def _is_new(extra: Extra, placed: _Placed, before: dict[str, _Placed], kind: Kind) -> bool:
    if before.get(extra.path) is None or before[extra.path].where != placed.where:
        return True
    try:
        return [extra] != [*_read_one(extra.path, placed.where, kind, Tree(ROOT))]
    except (Refused, OSError, ValueError):
        return True


def _refuse_taken(account: Account, extra: Extra, placed: _Placed, kind: Kind, before: dict[str, _Placed]) -> None:
    own = {path for each in before.values() for path in (each.where, each.file)}
    for path in {placed.where, placed.file} - own:
        if os.path.lexists(f"{ROOT}/{path.lstrip('/')}"):
            refuse(
                "extra_taken",
                f"{path} is on this server already, and not {account.name}'s; rename it on the old server, where"
                f" {extra.path} is the account's.",
            )
    if kind is POOL:
        _refuse_taken_pool(extra, placed, own)


def _refuse_taken_pool(extra: Extra, placed: _Placed, own: set[str]) -> None:
    """php-fpm takes two pools of one name for one, and lets two that listen at one place share it."""
    tree = Tree(ROOT)
    names = {name.lower() for name in pool.names(extra.text)}
    for path in tree.matching(POOLS.format(version="*") + "/*.conf"):
        if path in own or path == placed.where:
            continue
        text = tree.text(path) or ""
        taken = {name.lower() for name in pool.names(text)} & names if _same_folder(path, placed.where) else set()
        taken |= {*pool.sockets(text)} & {*pool.sockets(extra.text)}
        if taken:
            refuse(
                "extra_taken",
                f"The pool of {extra.path} has the name or socket {min(taken)!r:.80} of {path} on this server; give it"
                " another one on the old server.",
            )


def _same_folder(path: str, other: str) -> bool:
    return path.rpartition("/")[0] == other.rpartition("/")[0]


def _write(extra: Extra, placed: _Placed, kind: Kind, whose: Whose) -> Iterator[config_files.Undone]:
    text = extra.text
    if kind is HOME_LINK and extra.leads_to is not None:
        yield from config_files.linked(ROOT, placed.where, extra.leads_to)
        return
    if kind is RENEWAL:
        # The account of this server at Let's Encrypt is taken where there is just one.
        text = renewal.without_account(text)
    for folder in _log_folders(text, whose):
        config_files.make_folder(ROOT, folder)
    folder = placed.file.rpartition("/")[0]
    if kind is SIEVE and not os.path.isdir(f"{ROOT}/{folder.lstrip('/')}"):
        config_files.make_folder(ROOT, folder)
    user, group = kind.user or whose.name, kind.group or whose.name
    yield from config_files.written(ROOT, placed.file, text, kind.mode, user, group)
    if placed.leads_to is not None:
        yield from config_files.linked(ROOT, placed.where, placed.leads_to)
    if kind is OPENDKIM:
        yield from signing.listed(ROOT, placed.where)


def _refuse_unread(sites: Iterable[str]) -> None:
    """A web server reads what its configuration includes: Debian's, files that are called so."""
    tree = Tree(ROOT)
    files = apache.read(tree)[1] | nginx.read(tree)[1]
    for site in sites:
        if site not in files:
            refuse(
                "extras_not_taken",
                f"The web server of the new server does not read {site}; give it a name that ends in .conf on the old"
                " server, or have the new one include it.",
            )


def _log_folders(text: str, whose: Whose) -> list[str]:
    """The folders of the account's own logs: a web server that finds none does not start."""
    paths = re.findall(r"/var/log/[A-Za-z0-9._/@+-]+", text.replace("${APACHE_LOG_DIR}", "/var/log/apache2"))
    return [*dict.fromkeys(path.rpartition("/")[0] for path in paths if whose.is_own_log(path))]


def remove(account: Account) -> None:
    """Take the account's extras away, before its user: a service would start no more without that."""
    with locked(RUNTIME / "extras.lock"):
        record = _record(account)
        whose = Whose.of(account)
        readers = services.reading((kind_of(path, whose), each.where) for path, each in record.items())
        for each in record.values():
            [*_take_away(each)]
        for kept in (_RECORD, _UNTOLD):
            (account.directory / kept).unlink(missing_ok=True)
        services.reload(readers)


def _take_away(placed: _Placed) -> Iterator[config_files.Undone]:
    yield from signing.unlisted(ROOT, placed.where)
    yield from config_files.removed(ROOT, placed.where, placed.leads_to)


# --- what is recorded ---


def adopt(account: Account) -> None:
    """The files that are on this server are the account's from now on, and its folders of messages."""
    mail_folders.record(account)
    placed = {extra.path: _placed(extra, extra.path) for extra in read(account)}
    _write_record(account, placed)


def paths(account: Account) -> list[str]:
    """Every path of this server that is the account's."""
    placed = _record(account).values()
    return [*account.extras, *(path for each in placed for path in (each.where, each.file))]


def sockets(account: Account) -> list[str]:
    """Where the pools of PHP listen that run as the account."""
    tree, whose, record = Tree(ROOT), Whose.of(account), _record(account)
    files = [record[path].where for path in account.extras if path in record and kind_of(path, whose) is POOL]
    carried = [socket for path in files for socket in pool.sockets(tree.text(path) or "")]
    made = [address for address in pools_of_host.addresses(account, ROOT) if address.startswith("/")]
    return [*dict.fromkeys([*carried, *made])]


def _record(account: Account) -> dict[str, _Placed]:
    paths_by_name: dict[str, Any] = read_json(account.directory / _RECORD) or {}
    return {path: _Placed(each["where"], each["leads_to"]) for path, each in paths_by_name.items()}


def _write_record(account: Account, placed: dict[str, _Placed]) -> None:
    paths_by_name = {path: {"where": each.where, "leads_to": each.leads_to} for path, each in placed.items()}
    account.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_durably(account.directory / _RECORD, json.dumps(paths_by_name, indent=1))
