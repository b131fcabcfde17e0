"""The steps of a switch of PostgreSQL alone, one by one, in one process on the source; shared by lab tests."""

import json
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from include.agent import verbs
from lab.pairing import receive
from tests.lab.agents import Side, account_file

STORE_STEPS = (Path(__file__).parent / "data_sets" / "store_steps.py").read_text()
STEPS = """
import json, os, sys, time
sys.path.insert(0, "/usr/local/lib/transhumance/agent.pyz")
from agent.host import system
from agent.account.accounts import load
from agent.channel.peer import Peer
from agent.stores.postgresql.store import POSTGRESQL
from agent.verbs import postgresql as verbs
account = load({name!r})
peer = Peer({move!r}, {address!r}, {host_keys!r})
postgres = Steps(POSTGRESQL, account, peer)
found = []
def step(name, *args):
    began = time.monotonic()
    try:
        result = getattr(postgres, name)(*args)
    except system.Refused as error:
        result = {{"refused": error.code, "message": error.message}}
    found.append({{"step": name, "seconds": time.monotonic() - began, "result": result}})
{body}
print(json.dumps(found))
"""


def sql(one: Side, script: str, database: str, role: str = "postgres") -> str:
    argv = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "psql", "-XqAt"]
    script = f"SET SESSION AUTHORIZATION {role};\n{script}" if role != "postgres" else script
    return one.root(*argv, "-v", "ON_ERROR_STOP=1", "-d", database, stdin=script.encode())


class Moving:
    """An account with databases of its own, between a source and a target that is admitted to take it."""

    def __init__(self, old: Side, new: Side, name: str, uid: int, filled: dict[str, str]) -> None:
        self.old, self.new, self.name, self.move = old, new, name, f"{name}-1"
        statement = account_file(name, uid)
        statement["postgresql"] = {"roles": [name], "databases": [*filled]}
        sql(old, f"CREATE ROLE {name} LOGIN PASSWORD 'secret';", "postgres")
        for database, script in filled.items():
            sql(old, f"CREATE DATABASE {database} OWNER {name};", "postgres")
            sql(old, script, database, name)
        old.host.call(verbs.Create(account_file=statement))
        self.host_keys = receive(self.move, 2, statement, old.end, new.end).host_keys

    def do(self, body: str) -> dict[str, dict]:
        """Run steps in one process on the source: {step: {"seconds", "result"}} of the last of each name."""
        known = {"name": self.name, "move": self.move, "address": self.new.address, "host_keys": self.host_keys}
        script = f"{STORE_STEPS}\n{STEPS.format(**known, body=body)}".encode()
        done = self.old.lab.root(self.old.name, ["python3", "-"], stdin=script, seconds=400)
        return {each["step"]: each for each in json.loads(done)}

    @contextmanager
    def written(self, database: str) -> Iterator[None]:
        """Two sessions of the account write all the while, until a hold or the end of the block puts them out."""
        url = f"dbname={database} host=127.0.0.1 user={self.name}"
        script = f"while echo 'SELECT work();'; do sleep 0.01; done | PGPASSWORD=secret psql -XqAt -o /dev/null '{url}'"
        argv = self.old.lab.machines.inside(self.old.name, ["sh", "-c", script])
        writers = [subprocess.Popen(argv, stderr=subprocess.DEVNULL) for _ in range(2)]
        try:
            time.sleep(1)
            yield
        finally:
            sql(
                self.old,
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{self.name}';",
                database,
            )
            for writer in writers:
                writer.wait(10)

    def corrupted(self, corruption: str, database: str) -> dict[str, dict]:
        """A switch up to its comparison, with something done to the target just before that."""
        pause = "open('/run/arrived', 'w').close()\nwhile os.path.exists('/run/arrived'): time.sleep(0.01)"
        with ThreadPoolExecutor() as pool:
            done = pool.submit(self.do, SWITCH.replace('step("compare")', pause + '\nstep("compare")'))
            while not done.done() and self.old.root("ls", "/run").find("arrived") < 0:
                time.sleep(0.05)
            sql(self.new, corruption, database, self.name)
            self.old.root("rm", "/run/arrived")
            return done.result()


FOLLOW = 'step("follow")\n'
SWITCH = f"""{FOLLOW}
step("rehearse")
step("hold", account)
step("final_pass")
step("compare")
step("unhold", account)
"""
