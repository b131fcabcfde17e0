"""`python -m lab.demo [native|classic]` (make demo): sets everything up, migrates the VPS, proves the result."""

from __future__ import annotations

import sys
import time
import traceback
from pathlib import Path

from rich.console import Console

from include import registry
from include.hosts import AgentError, HostUnreachable
from include.machines import MachineError
from lab import __main__ as lab
from lab import airflow, state, topology
from lab.accounts import FillError
from lab.accounts.certificates import authority
from lab.demo import result, run, stage
from lab.demo.accountant import Accountant
from lab.demo.layouts import LAYOUTS, Layout, Timed
from lab.panel import CallFailed, Panel
from lab.say import LabError, say, step
from lab.visitors import crowd

REPORT = Path(__file__).resolve().parents[2] / "reports" / "demo.json"
QUIET_SECONDS = 10.0
"""How long the IPs are probed while nothing happens, to compare with."""


def main(layout: Layout) -> int:
    """The whole demo; the exit status is 0 only if everything was proven."""
    console = Console(width=None if sys.stdout.isatty() else 80)
    try:
        because = demo(console, layout)
    except (
        LabError,
        MachineError,
        FillError,
        registry.RegistryRefused,
        AgentError,
        HostUnreachable,
        CallFailed,
    ) as error:
        because = [str(error)]
    except Exception as error:
        log = state.LOGS / "demo.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(traceback.format_exc())
        because = [f"{type(error).__name__}: {error} (where it came from: {log})"]
    except KeyboardInterrupt:
        because = ["It was interrupted; `make down` removes what it started."]
    finally:
        if state.RUN.is_dir():
            crowd.stop()
    for sentence in because:
        print(f"not proven: {sentence}", file=sys.stderr)
    if state.alive("airflow-api-server"):
        url, user, password = airflow.login()
        console.print(f"Airflow: {url}  user {user}  password {password}   (`make down` ends it)", soft_wrap=True)
    return 1 if because else 0


def demo(console: Console, layout: Layout) -> list[str]:
    """Everything; gives one sentence for each thing that was not proven."""
    began = time.monotonic()
    timed = Timed()
    if state.STATE.exists():
        timed("remove the last lab", lab.down)
    timed("lab", lab.up, None, layout.name)
    state.prepare()
    filled = layout.set_up(timed)

    asked = crowd.asked_of(filled.values(), topology.server(stage.ORIGINAL).ips, authority())
    crowd.start(asked)
    say(f"visitors ask {', '.join(asked.sites.values())}, probe {', '.join(asked.ips)} and send mail")
    time.sleep(3)
    quiet = (time.time(), time.time() + QUIET_SECONDS)
    time.sleep(QUIET_SECONDS)
    layout.first_day(timed)
    stage.connect_airflow(filled)
    with stage.registry_connection() as conn:
        before = registry.server(conn, stage.ORIGINAL).versions

    since = quiet[0]
    customer = run.Customer(Panel(stage.CUSTOMER), layout.entry)
    run_id = customer.test_and_ask()
    say(f"migrate_server begins: run {run_id}")
    accountant = Accountant(run_id)
    customer.start()
    accountant.start()
    with step("migrate_server"):
        run.Watch(run_id).until_end(customer)
    until = time.time()
    time.sleep(2)
    crowd.stop()
    with step("what visitors wrote is looked for"):
        check = crowd.final_check(asked)
    with step("the transit is billed by the true clock"):
        bill = accountant.final_bill()

    finished = result.of_migration(
        run_id,
        versions_before=before,
        ips=asked.ips,
        setup=timed.steps,
        quiet=quiet,
        span=(since, until),
        wall_s=time.monotonic() - began,
    )
    made = result.report(finished, check)
    with stage.registry_connection() as conn:
        registry.record_probes(conn, finished.migration, made["accounts"], made["ips"])
    result.write(made, REPORT)
    result.show(made, check, console)
    result.show_ledger(bill.entries, console)
    console.print(f"{made['wall_s']} s in all; the report is {REPORT}", soft_wrap=True)
    unproven = result.unproven(made, finished, filled, check)
    overdue = accountant.overdue.total if accountant.overdue else None
    if not overdue or bill.total:
        unproven.append(f"The ledger says {overdue} when overdue and {bill.total} at the end.")
    return unproven


if __name__ == "__main__":
    sys.exit(main(LAYOUTS[sys.argv[1] if sys.argv[1:] else "native"]))
