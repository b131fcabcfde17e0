"""Cases are filled on one server, moved in one move, and asked on the other."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from include.agent import verbs
from include.agent.verbs.reports import Switched
from include.hosts import AgentError
from tests.lab.agents import Move, Side, account_file
from tests.lab.cases.case import Case, Step, numbers
from tests.lab.independent import differences

PASSWORD = "secret"
_POSTGRES = ("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups")
_PSQL = ("psql", "-XqAt", "-v", "ON_ERROR_STOP=1")
_MARIADB = ("mariadb", "--no-defaults", "--batch", "--skip-column-names", "--default-character-set=utf8mb4")
_USUAL = "TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'"
_UIDS = {number: uid for uid, number in enumerate(numbers(".sql", ".sh"), 5001)}
"""On kept servers each case comes back as the account that it was."""
# Roles of MariaDB are named after the login that they are for.
_ROLES = """DELIMITER //
BEGIN NOT ATOMIC FOR r IN (SELECT User FROM mysql.global_priv WHERE Host = '' AND User LIKE '{}\\_%') DO
EXECUTE IMMEDIATE CONCAT('DROP ROLE `', r.User, '`'); END FOR; END//
DELIMITER ;"""


@dataclass
class Outcome:
    """What became of an account with some cases."""

    before: dict[str, str]
    """What the checks of each case said on the source; those that write are asked on the target only."""
    after: dict[str, str] = field(default_factory=dict)
    """What they said on the target; empty when the move was refused."""
    refused: AgentError | None = None
    left: list[str] = field(default_factory=list)
    """What the move says that it did not carry."""
    moved: Switched = Switched()
    """What the switch answered."""
    apart: list[str] = field(default_factory=list)
    """Where the two servers differ after the move, as other code than the mover's has found."""

    def changed(self, case: Case) -> bool:
        """Whether the checks of a case say something else than before, or than they should."""
        expected = self.before.get(case.number, case.expect)
        return self.refused is None and expected != self.after[case.number]


class World:
    """An account on `old` that holds the cases, each with its own databases and logins."""

    def __init__(self, old: Side, new: Side, cases: Sequence[Case], name: str = "cases", uid: int = 5000) -> None:
        self.old, self.new, self.cases = old, new, cases
        # Files are filled by the account's Unix user, so such a case is an account of its own.
        self.name = cases[0].login if len(cases) == 1 else name
        self.statement = account_file(self.name, _UIDS[cases[0].number] if len(cases) == 1 else uid)
        of = {engine: [case for case in cases if case.engine == engine] for engine in ("postgres", "mariadb")}
        self.statement["postgresql"] = {
            "roles": [role for case in of["postgres"] for role in case.roles],
            "databases": [name for case in of["postgres"] for name in case.databases],
        }
        self.statement["mariadb"] = {
            "users": [{"user": role, "host": "localhost"} for case in of["mariadb"] for role in case.roles],
            "databases": [name for case in of["mariadb"] for name in case.databases],
        }

    def fill(self) -> None:
        """Everything that root and the account do before the move."""
        self.clear()
        self.old.host.call(verbs.Create(account_file=self.statement))
        self._make_logins()
        # What an account does runs beside the others' as it would on a host.
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(self._fill_one, self.cases))

    def _fill_one(self, case: Case) -> None:
        for step in case.fill:
            self._do(self.old, case, step, check=True)

    def _make_logins(self) -> None:
        """Roles, users and empty databases, as a host's panel makes them."""
        postgres, mariadb = [], []
        for case in self.cases:
            if case.engine == "postgres":
                postgres += [f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}';" for role in case.roles]
                made_with = case.made_with or _USUAL
                postgres += [f"CREATE DATABASE {name} OWNER {case.login} {made_with};" for name in case.databases]
            if case.engine == "mariadb":
                mariadb += [f"CREATE USER {role}@localhost IDENTIFIED BY '{PASSWORD}';" for role in case.roles]
                mariadb += [f"CREATE DATABASE `{name}` {case.made_with};" for name in case.databases]
                escaped = [name.replace("_", "\\_") for name in case.databases]
                mariadb += [f"GRANT ALL ON `{name}`.* TO {case.login}@localhost;" for name in escaped]
        if postgres:
            self.old.root(*_POSTGRES, *_PSQL, stdin="\n".join(postgres).encode())
        if mariadb:
            script = "SET GLOBAL log_bin_trust_function_creators = 1;\n" + "\n".join(mariadb)
            self.old.root(*_MARIADB, stdin=script.encode())

    def move(self, key: str, epoch: int = 2) -> Outcome:
        """Ask, move, ask again. A refusal is an outcome; the account then goes on at the source."""
        outcome = Outcome({})
        move = Move(key, epoch, self.statement, self.old, self.new)
        try:
            move.prepare()
            outcome.left = self.old.host.run(f"{key}-copy", verbs.Copy(**move.args())).left
            for case in self.cases:
                for step in case.meanwhile:
                    self._do(self.old, case, step, check=True)
            outcome.before = {case.number: self.ask(self.old, case) for case in self.cases if not case.asking_writes}
            outcome.moved = move.switch(seconds=60, budget=30)
        except AgentError as error:
            outcome.refused = error
            return outcome
        outcome.apart = differences(self.old, self.new, self.statement)
        outcome.after = {case.number: self.ask(self.new, case) for case in self.cases}
        return outcome

    def test(self, key: str, checks: Sequence[Any]) -> list[str]:
        """What the test of the account would tell its customer: a sentence or a place each."""
        old, new = self.old.host, self.new.host
        move = Move(key, 2, self.statement, self.old, self.new)
        move.receive()
        stores = ["files", "postgresql", "mariadb"]
        done = old.run(f"{key}-duplicate", verbs.Duplicate(**move.args(stores=stores)))
        told = [remark.message for remark in done.said] + done.left
        told += [f"database {wait.database}: {wait.message}" for wait in done.waits]
        for host, asked in (
            (old, verbs.Check(account=self.name, side="original", checks=[*checks])),
            (new, verbs.Check(account=self.name, side="copy", checks=[*checks])),
        ):
            findings = host.run(f"{key}-check-{asked.side}", asked).findings
            told += [f"{finding.where}: {finding.what}" for finding in findings]
        return told

    def ask(self, side: Side, case: Case) -> str:
        """What the checks of a case say, an error among it."""
        return "\n".join(self._do(side, case, step, check=False).strip() for step in case.checks)

    def clear(self) -> None:
        """Take away what an earlier run of these cases has left, on both servers."""
        for side in (self.old, self.new):
            account, postgres = self.name, self.statement["postgresql"]
            dropped = [f"DROP DATABASE IF EXISTS {name} WITH (FORCE);" for name in postgres["databases"]]
            dropped += [f"DROP ROLE IF EXISTS {role};" for role in postgres["roles"]]
            kept = f"/home/{account} /var/lib/transhumance/accounts/{account} /etc/transhumance/accounts/{account}.json"
            side.root("sh", "-c", f"userdel {account}; rm -rf {kept}", check=False)
            for statement in dropped:
                side.root(*_POSTGRES, *_PSQL, "-c", statement, check=False)
            maria = self.statement["mariadb"]
            script = [f"DROP DATABASE IF EXISTS `{name}`;" for name in maria["databases"]]
            script += [f"DROP USER IF EXISTS {user['user']}@localhost;" for user in maria["users"]]
            script += [_ROLES.format(user["user"]) for user in maria["users"]]
            if script:
                side.root(*_MARIADB, "--force", stdin="\n".join(script).encode(), check=False)

    def _do(self, side: Side, case: Case, step: Step, *, check: bool) -> str:
        """Run a step and give what it printed; with `check` an error of its raises, else it is printed too."""
        argv = {"postgres": self._psql, "mariadb": self._mariadb, "files": self._shell}[case.engine](case, step)
        with_errors = argv if check else ["sh", "-c", 'exec "$@" 2>&1', "sh", *argv]
        return side.root(*with_errors, stdin=step.text.encode("utf-8", "surrogateescape"), check=check)

    def _psql(self, case: Case, step: Step) -> list[str]:
        if step.who == "root":
            return [*_POSTGRES, *_PSQL, "-d", case.databases[0]]
        return ["env", f"PGPASSWORD={PASSWORD}", *_PSQL, f"dbname={case.databases[0]} host=127.0.0.1 user={step.who}"]

    def _mariadb(self, case: Case, step: Step) -> list[str]:
        login = [] if step.who == "root" else [f"--user={step.who}"]
        return ["env", f"MYSQL_PWD={PASSWORD}", *_MARIADB, *login, case.databases[0]]

    def _shell(self, case: Case, step: Step) -> list[str]:
        if step.who == "root":
            return ["bash", "-e"]
        uid, home = str(self.statement["uid"]), self.statement["home"]
        as_account = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--init-groups", "env", "-i", f"HOME={home}"]
        as_account += [f"USER={self.name}", f"LOGNAME={self.name}", "PATH=/usr/local/bin:/usr/bin:/bin"]
        as_account += ["LC_ALL=C.UTF-8"]
        return [*as_account, "sh", "-c", f"cd {home} && exec bash"]
