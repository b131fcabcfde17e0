"""Parts of the agent, run by themselves on a server on which two customers live; what tests of hostile customers share.

`BEGIN` stands before a script: alice and bob with a database in each engine, and what customers themselves can do."""

import json
from typing import Any

from tests.lab.agents import Side, account_file

BEGIN = '''
import json, subprocess, sys, time
sys.path.insert(0, "/usr/local/lib/transhumance/agent.pyz")
from agent import mariadb, mariadb_sql, postgres, postgres_sql
from agent.accounts import load
from agent.system import Refused
alice, bob = load("alice"), load("bob")
found = {}

def said(what, *args):
    """The code of a refusal; "" when there is none."""
    try:
        what(*args)
    except Refused as error:
        return error.code
    return ""

def psql(user, database, *statements):
    """What PostgreSQL says to a customer's statements."""
    argv = ["psql", "-XqAt", f"host=127.0.0.1 user={user} password=secret dbname={database}"]
    for statement in statements:
        argv += ["-c", statement]
    done = subprocess.run(argv, capture_output=True, text=True)
    return (done.stdout + done.stderr).strip()

def session(user, database, *statements):
    """A customer's session that has run these, and stays."""
    argv = ["psql", "-XqAt", f"host=127.0.0.1 user={user} password=secret dbname={database}"]
    pipe = {"stdin": -1, "stdout": -1, "stderr": subprocess.STDOUT, "text": True}
    client = subprocess.Popen(argv, **pipe)
    client.stdin.write(";\\n".join(statements) + ";\\n\\\\echo ready\\n")
    client.stdin.flush()
    while client.stdout.readline().strip() not in ("ready", ""):
        pass
    return client

def goes_on(client, statement):
    """Whether the session still runs a statement."""
    try:
        said, _ = client.communicate(statement + ";\\n\\\\echo done\\n", timeout=10)
    except BrokenPipeError:
        return False
    return "done" in said and "ERROR" not in said
'''


def two_customers(one: Side) -> None:
    """alice and bob."""
    for uid, name in ((2501, "alice"), (2502, "bob")):
        statement = account_file(name, uid)
        statement["postgresql"] = {"roles": [name], "databases": [name]}
        statement["mariadb"] = {"users": [{"user": name, "host": "localhost"}], "databases": [name]}
        script = f"CREATE ROLE {name} LOGIN PASSWORD 'secret'; CREATE DATABASE {name} OWNER {name};"
        as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "psql", "-XqAt"]
        one.root(*as_postgres, stdin=script.encode())
        script = f"CREATE DATABASE {name}; CREATE USER {name}@localhost IDENTIFIED BY 'secret';"
        script += f" GRANT ALL ON {name}.* TO {name}@localhost;"
        one.root("mariadb", "--no-defaults", stdin=script.encode())
        one.host.call("create", account_file=statement)


def run(one: Side, script: str) -> dict[str, Any]:
    """What the script has put into `found`."""
    text = f"{BEGIN}\n{script}\nprint(json.dumps(found))\n"
    done = one.lab.root(one.name, ["python3", "-"], stdin=text.encode(), seconds=200)
    return json.loads(done.splitlines()[-1])
