"""Whatever dies or is cut off while accounts move out: one writable copy, nothing lost, and it ends well."""

import time
from collections.abc import Callable

import pytest

from include import registry
from include.agent import verbs
from include.facts import MigrationFacts
from include.hosts import AgentError
from include.moves import servers
from lab import airflow
from lab.demo import stage
from lab.pairing import End, receive
from tests.lab.agents import measured
from tests.lab.airflow_lab import ORIGINAL, TRANSIT, Farm
from tests.lab.waiting import wait_for

BY_HAND = (
    "approve_reinstall",
    "prove_original_empty",
    "reroute_ips_to_transit",
    "wait_until_names_lead_to_transit",
    "point_names_at_transit",
    "look_at_original",
    "wait_until_every_account_is_moved",
)
"""The tasks between a customer's accounts and `reinstall_original`, the last one first."""


def boot_of(farm: Farm) -> str:
    return farm.lab.root(ORIGINAL, ["cat", "/etc/machine-id", "/etc/debian_version"])


def tries(tasks: list[dict], task_id: str) -> int:
    return next(task["try_number"] for task in tasks if task["task_id"] == task_id)


def served_by_one(farm: Farm, account: str, since: float) -> None:
    """Once the transit has answered, nothing that is sent afterwards is answered by the original."""
    visits = farm.visitors.of(account, since)
    first = min(visit.answered for visit in visits if visit.server == TRANSIT)
    late = [visit for visit in visits if visit.sent > first and visit.server != TRANSIT]
    assert late == []


def test_an_account_that_its_server_does_not_serve_is_not_moved(farm: Farm) -> None:
    farm.handed_over()
    with stage.registry_connection() as conn:
        registry.add_account(conn, "ghost", ORIGINAL)
    try:
        said = farm.refusal("move_account", farm.perform_past_the_panel("ghost"))
    finally:
        with stage.registry_connection() as conn:
            assert registry.live_move_of(conn, "ghost") is None
            registry.remove_account(conn, "ghost", "it was never there", "the test")
    assert f"ghost is not ready to move: on {ORIGINAL} it is unknown, not serving" in said


def test_an_original_that_holds_accounts_is_not_reinstalled_by_hand(farm: Farm) -> None:
    migration = farm.handed_over()
    before = boot_of(farm)
    proof = farm.host(ORIGINAL).call(verbs.ProveEmpty())
    assert not proof.empty
    assert {"The account meadow is serving here.", "The account orchard is serving here."} <= {*proof.because}
    facts = MigrationFacts(migration.id, ORIGINAL, migration.from_infrastructure, migration.to_infrastructure)
    with stage.registry_connection() as conn:
        for state in ("accounts_moved", "original_empty", "reinstalling"):
            with pytest.raises(registry.RegistryRefused):
                registry.advance(conn, migration.id, state)
        with pytest.raises(registry.RegistryRefused, match="is not reinstalled, because accounts live on it"):
            registry.may_reinstall(conn, migration.id)
        with pytest.raises(
            registry.RegistryRefused, match=f"{ORIGINAL} is not empty and is not reinstalled: The account"
        ):
            servers.prove_original_empty(conn, facts, farm.host(ORIGINAL))
    # A person marks everything before it as success.
    for task_id in BY_HAND:
        farm.mark(task_id, "success")
    said = farm.log("reinstall_original", "Refused: ")
    said = next(line for line in said.splitlines() if "Refused: " in line)
    print(said)
    assert "handed_over" in said or "accounts live on" in said
    farm.clear([*BY_HAND, "reinstall_original"])
    assert boot_of(farm) == before
    assert farm.migration().state == "handed_over"


def test_a_reboot_during_the_copy_and_a_lost_network_during_the_switch(
    farm: Farm, record_property: Callable[[str, object], None]
) -> None:
    farm.handed_over()
    spec = farm.lab.server(ORIGINAL).spec
    began = time.time()
    run_id = farm.perform("meadow")
    move = farm.move(run_id)
    operation = f"{move.key}-e{move.epoch}-copy"
    host = farm.host(ORIGINAL)
    wait_for(lambda: host.call(verbs.Status(operation=operation)).state == "running", 60, "the copy runs", pause=0.05)
    with farm.outage():
        farm.lab.machines.cut_power(spec)
        farm.lab.machines.start(spec)
        wait_for(lambda: farm.visitors.of("meadow", time.time() - 1)[-1:] != [], 30, "visitors ask again")
    since, until, _ = farm.outages[-1]
    print(f"reboot: vps-1 was away for {until - since:.1f} s")

    held = farm.wait_state(ORIGINAL, "meadow", "held", 120)
    with farm.cut_cable():
        # Meanwhile the customer performs the next one.
        said = farm.refusal("move_account", farm.perform_past_the_panel("orchard", name="at-once"))
        assert f"Account meadow of {ORIGINAL} is being moved: wait until" in said
        farm.wait_state(ORIGINAL, "meadow", "serving", held["deadline"] - time.time() + 3)
        returned = time.time()
        assert farm.state(TRANSIT, "meadow")["state"] == "receiving"
        assert airflow.run("move_account", run_id)["state"] == "running"
    print(f"network lost: meadow serves again after {returned - held['since']:.1f} s")
    record_property("lost_network_return_seconds", round(returned - held["since"], 1))
    assert returned <= held["deadline"] + 2

    tasks = farm.finish(run_id)
    assert tries(tasks, "copy") > 1
    assert tries(tasks, "switch") > 1
    figures = farm.move(run_id).figures.switch
    assert measured(figures.verified).equal and measured(figures.verified).messages == 5
    print(f"meadow was held {figures.held_ms:.0f} ms in the end")
    record_property("held_ms", figures.held_ms)
    served_by_one(farm, "meadow", began)


def test_a_write_during_the_hold_waits_and_is_there_on_the_new_server(
    farm: Farm, record_property: Callable[[str, object], None]
) -> None:
    """Of the move before: who posted while meadow was held was answered by the transit, which has it."""
    committed = farm.state(ORIGINAL, "meadow")
    assert committed["state"] == "moved"
    across = [
        visit for visit in farm.visitors.of("meadow") if visit.server == TRANSIT and visit.sent < committed["since"]
    ]
    assert across, "nobody posted during the hold"
    assert {visit.status for visit in across} == {200}
    there = farm.written(TRANSIT, "meadow")
    assert all(there.count(visit.n) == 1 for visit in across)
    longest = max(visit.answered - visit.sent for visit in across)
    print(f"{len(across)} posts waited, the longest {longest:.2f} s")
    record_property("longest_wait_seconds", round(longest, 2))


def test_airflow_and_the_operation_killed_between_hold_and_commit(
    farm: Farm, record_property: Callable[[str, object], None]
) -> None:
    farm.handed_over()
    farm.create_late()
    farm.fail_at(ORIGINAL, "before_commit")
    began = time.time()
    run_id = farm.perform("orchard")
    held = farm.wait_state(ORIGINAL, "orchard", "held", 90)
    farm.kill_airflow()
    move = farm.move(run_id)
    operation = f"{move.key}-e{move.epoch}-switch"
    host = farm.host(ORIGINAL)
    wait_for(lambda: host.call(verbs.Status(operation=operation)).state == "vanished", 30, "the switch was killed")
    assert farm.state(ORIGINAL, "orchard")["state"] == "held"
    assert "The account orchard is held here." in host.call(verbs.ProveEmpty()).because

    farm.wait_state(ORIGINAL, "orchard", "serving", held["deadline"] - time.time() + 3)
    visits = wait_for(
        lambda: [v for v in farm.visitors.of("orchard", held["since"] + 0.5) if v.status == 200], 5, "it answers"
    )
    back = min(visit.answered for visit in visits)
    print(f"killed between hold and commit: orchard serves again {back - held['since']:.1f} s after the hold")
    record_property("return_seconds", round(back - held["since"], 1))
    assert visits[0].server == ORIGINAL
    assert back <= held["deadline"] + 2
    assert farm.state(TRANSIT, "orchard")["state"] == "receiving"

    # An operation of an epoch that is over, on the one host and on the other.
    here, there = (End(farm.host(name), farm.lab.server(name).spec.management_address) for name in (ORIGINAL, TRANSIT))
    with stage.registry_connection() as conn:
        host_key = registry.certain(registry.server(conn, TRANSIT).host_key)
    peer, stale = verbs.PeerAt(address=there.address, host_keys=[host_key]), move.epoch - 1
    switch = verbs.Switch(account="orchard", move=move.key, epoch=stale, peer=peer, hold_seconds=5)
    described = host.call(verbs.Describe()).accounts
    account_file = next(entry["account_file"] for entry in described if entry["account"] == "orchard")
    for refused in (
        lambda: host.run("stale-switch", switch),
        lambda: receive(move.key, stale, account_file, here, there),
    ):
        with pytest.raises(AgentError) as error:
            refused()
        assert error.value.code == "stale_epoch"
    assert farm.state(ORIGINAL, "orchard")["state"] == "serving"

    farm.start_airflow()
    tasks = farm.finish(run_id)
    assert tries(tasks, "switch") > 1
    assert (farm.state(ORIGINAL, "orchard")["state"], farm.state(TRANSIT, "orchard")["state"]) == ("moved", "serving")
    served_by_one(farm, "orchard", began)


def test_airflow_and_the_operation_killed_right_after_the_commit(
    farm: Farm, record_property: Callable[[str, object], None]
) -> None:
    migration = farm.handed_over()
    farm.performed("copse")

    def known() -> bool:
        with stage.registry_connection() as conn:
            return registry.accounts_not_on(conn, migration.id, TRANSIT) == ["brook"]

    wait_for(known, 60, "the migration waits for the account that was created meanwhile")
    assert farm.migration().state == "handed_over"
    # Something of nobody: it keeps the original from being reinstalled.
    farm.leave_behind()
    farm.fail_at(ORIGINAL, "committed")
    began = time.time()
    run_id = farm.perform("brook")
    committed = farm.wait_state(ORIGINAL, "brook", "moved", 90)
    farm.kill_airflow()
    move = farm.move(run_id)
    assert farm.host(ORIGINAL).call(verbs.Status(operation=f"{move.key}-e{move.epoch}-switch")).state == "vanished"
    assert farm.state(TRANSIT, "brook")["state"] == "receiving"
    with pytest.raises(AgentError) as error:
        farm.host(ORIGINAL).call(verbs.Return(account="brook", move=move.key))
    assert error.value.code == "committed"

    farm.start_airflow()
    farm.wait_state(TRANSIT, "brook", "serving", 75)
    tasks = farm.finish(run_id)
    assert tries(tasks, "switch") > 1
    served_by_one(farm, "brook", began)
    opened = farm.state(TRANSIT, "brook")["since"]
    across = [v for v in farm.visitors.of("brook", committed["since"]) if v.sent < opened and v.server == TRANSIT]
    assert {visit.status for visit in farm.visitors.of("brook", began)} == {200}
    there = farm.written(TRANSIT, "brook")
    assert across and all(there.count(visit.n) == 1 for visit in across)
    longest = max(visit.answered - visit.sent for visit in across)
    print(f"killed right after the commit: brook serves on {TRANSIT}, the longest wait was {longest:.1f} s")
    record_property("forward_seconds", round(longest, 1))
