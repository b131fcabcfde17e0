"""The lab: `python -m lab up`, `down`, `status`; `server NAME` installs or wipes one, `exec` looks inside."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor

from include.machines import MachineError
from lab import base, names, postgres, router, servers, state, topology
from lab.say import LabError, say, step

PROGRAMS = ("lxc-start", "mmdebstrap", "named", "unbound", "sshd", "ssh-keygen", "socat", "nsenter", "dig")


def up(first: str | None = "vps-1", layout: str = "native") -> None:
    """Bring everything up but Airflow; what is up already is left as it is.

    `first` is the server that is installed with infrastructure 2022 (None: no server); `layout`: of the infrastructures
    whose base trees are built. Those of another are built when a server of theirs is asked for (`lab server`).
    """
    check_machine()
    with state.alone(), step("the lab is up"):
        state.prepare()
        state.key("ops"), state.key("router"), names.tsig_secret()
        with ThreadPoolExecutor() as pool:
            infrastructures = [name for name, declared in base.DECLARED.items() if declared.layout == layout]
            trees = {i: pool.submit(timed, f"base tree of infrastructure {i}", base.build, i) for i in infrastructures}
            database = pool.submit(timed, "PostgreSQL for the registry and Airflow", postgres.up)
            timed("namespaces, bridges, addresses and routes", topology.up)
            rest = [
                pool.submit(timed, "the router's sshd", router.up),
                pool.submit(timed, "name server and resolver", names.up),
                database,
            ]
            if first:
                trees["2022"].result()
            rest.append(pool.submit(timed, "servers that were switched off", servers.start_installed))
            if first and not servers.machines().infrastructure(first):
                timed(f"{first} with infrastructure 2022", servers.install, first, "2022")
            for part in (*rest, *trees.values()):
                part.result()


def timed(text: str, function, *arguments):
    """Call a function and say how long it took."""
    with step(text):
        return function(*arguments)


def down() -> None:
    """Remove everything that the lab started and keeps, whatever state it is in. The caches stay."""
    check_machine()
    with state.alone(), step("the lab is gone"):
        postgres.adopt()
        ended = state.end()
        if ended:
            say(f"ended {', '.join(ended)}")
        postgres.down()
        servers.down()
        for netns in topology.NAMESPACES:
            state.await_end(state.tree(state.in_namespace(netns)), patience=0)
        topology.down()
        servers.remove_cgroups()
        router.down()
        state.run(["rm", "-rf", "--one-file-system", "--", str(state.STATE)])


def status() -> bool:
    """Say what is up. Returns whether the lab is up as a whole."""
    namespaces = topology.namespaces()
    running = state.recorded()
    print(f"namespaces: {', '.join(namespaces) or 'none'}")
    listed = ", ".join(f"{name} ({entry['pid']})" for name, entry in running.items())
    print(f"processes:  {listed or 'none'}")
    if state.KEYS.is_dir():
        ours = servers.machines()
        for name, server in topology.SERVERS.items():
            if infrastructure := ours.infrastructure(name):
                power = "running" if ours.running(name) else "switched off"
                print(f"server:     {name} ({server.spec.management_address}) {infrastructure}, {power}")
    whole = len(namespaces) == len(topology.NAMESPACES)
    return whole and {"postgresql", "named", "unbound", "router-sshd"} <= set(running)


def check_machine() -> None:
    """Refuse a machine that cannot carry the lab."""
    if sys.platform != "linux" or os.geteuid() != 0:
        raise LabError("The lab needs root on Linux: run it with sudo.")
    missing = [program for program in PROGRAMS if not shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin")]
    if missing:
        raise LabError(f"Programs are missing ({', '.join(missing)}): run lab/install-packages.")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m lab", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("up", help="bring the lab up, with vps-1 installed; can be repeated")
    verbs.add_parser("down", help="remove all of it again; can be repeated, also after a crash")
    verbs.add_parser("status", help="say what is up; exit status 1 if the lab is not up as a whole")
    server = verbs.add_parser("server", help="install one server, or wipe it")
    server.add_argument("name", help=", ".join(topology.SERVERS))
    how = server.add_mutually_exclusive_group(required=True)
    how.add_argument("--install", choices=sorted(base.DECLARED), help="with this infrastructure; kept if it has it")
    how.add_argument("--reinstall", choices=sorted(base.DECLARED), help="destroying what it holds")
    how.add_argument("--wipe", action="store_true", help="remove it and what it holds")
    into = verbs.add_parser("exec", help="run a command as root inside a server: exec NAME -- COMMAND ...")
    into.add_argument("name")
    into.add_argument("command", nargs="+")
    given = parser.parse_args()
    try:
        if given.verb == "up":
            up()
        elif given.verb == "down":
            down()
        elif given.verb == "status":
            return 0 if status() else 1
        elif given.verb == "exec":
            check_machine()
            argv = servers.machines().inside(topology.server(given.name).name, given.command)
            os.execvp(argv[0], argv)
        else:
            change_server(given)
    except (LabError, MachineError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


def change_server(given: argparse.Namespace) -> None:
    """`python -m lab server`."""
    check_machine()
    spec, ours = topology.server(given.name).spec, servers.machines()
    if infrastructure := given.install or given.reinstall:
        base.build(infrastructure)
    if given.wipe:
        timed(f"{spec.name} wiped", ours.wipe, spec)
    elif given.install:
        print(timed(f"{spec.name} installed", ours.install, spec, given.install).host_key)
    else:
        print(timed(f"{spec.name} reinstalled", ours.reinstall, spec, given.reinstall).host_key)


if __name__ == "__main__":
    sys.exit(main())
