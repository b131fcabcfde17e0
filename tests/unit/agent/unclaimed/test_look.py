"""What else lives on a server and is nobody's: mounts, other clusters, containers, what listens or begins, zones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from include.agent.account.accounts import Account
from include.agent.host import mounts
from include.agent.host.system import Refused
from include.agent.unclaimed import clusters, containers, listening, look, mounted, schedules, zones
from include.agent.unclaimed.here import MOST, Here, at_most, unclaimed
from include.agent.verbs import Unclaimed
from tests.support.account_files import changed

ALICE = Account.from_json(changed())


@pytest.fixture
def here(tmp_path: Path) -> Here:
    """A server with one account, alice, and no process."""
    for folder in ("proc/net", "var/lib/dpkg/info"):
        (tmp_path / folder).mkdir(parents=True)
    return Here(tmp_path, [ALICE], {})


def put(here: Here, path: str, text: str = "x\n") -> None:
    file = here.at(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def process(
    here: Here, pid: int, program: str, *, user: int = 0, parent: int = 1, folder: str = "/", unit: str = "", sockets=()
) -> None:
    """A process as /proc shows it."""
    proc = here.at(f"/proc/{pid}")
    (proc / "fd").mkdir(parents=True)
    (proc / "status").write_text(f"Name:\tx\nPPid:\t{parent}\nUid:\t{user}\t{user}\t{user}\t{user}\n")
    (proc / "exe").symlink_to(program)
    (proc / "cwd").symlink_to(folder)
    (proc / "cgroup").write_text(f"0::/system.slice/{unit}\n" if unit else "0::/init.scope\n")
    for number, inode in enumerate(sockets):
        (proc / "fd" / str(number)).symlink_to(f"socket:[{inode}]")


def named(things: list[Unclaimed]) -> dict[str, str]:
    assert all(one.name.isprintable() and one.sentence.isprintable() for one in things)
    return {one.name: one.sentence for one in things}


# --- mounts ---


def mounting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *lines: str) -> None:
    monkeypatch.setattr(mounts, "MOUNTS", tmp_path / "mountinfo")
    mounts.MOUNTS.write_text("".join(f"30 1 8:1 {line} rw\n" for line in lines))


def test_what_a_system_has_and_accounts_homes_are_no_mounts_of_nobodys(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = ["/ / rw - ext4 /dev/sda1", "/ /boot/efi rw - vfat /dev/sda2", "/home /home rw - ext4 /dev/sda1"]
    usual += ["/ /proc rw - proc proc", "/ /sys/fs/cgroup rw - cgroup2 cgroup", "/ /run/user/0 rw - tmpfs tmpfs"]
    usual += ["/ /dev/shm rw - tmpfs tmpfs", "/ /home/alice rw - ext4 /dev/sdc1", "/ /var rw - ext4 /dev/sda5"]
    mounting(monkeypatch, tmp_path, *usual)
    assert mounted.look(here) == []


@pytest.mark.parametrize(
    ("line", "at"),
    [
        ("/ /data rw - ext4 /dev/sdb1", "/data"),
        ("/ /home/alice/disk rw - ext4 /dev/sdb1", "/home/alice/disk"),
        ("/ /home/bob rw - ext4 /dev/sdb1", "/home/bob"),
        ("/ /mnt/a\\040b rw - nfs4 nas:/x", "/mnt/a b"),
        ("/srv/www /var/www rw - ext4 /dev/sda1", "/var/www"),
        ("/ /mnt/ram rw - tmpfs none", "/mnt/ram"),
        ("/ /home/alice/sshfs rw - fuse.sshfs me@host:", "/home/alice/sshfs"),
    ],
)
def test_mounts_are_told(here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, at: str) -> None:
    mounting(monkeypatch, tmp_path, line, "/ /var/lib/docker/overlay2/x/merged rw - overlay overlay")
    assert [*named(mounted.look(here))] == [at]


# --- database servers ---


def test_the_clusters_that_accounts_are_in_are_not_told(here: Here) -> None:
    put(here, "/run/postgresql/.s.PGSQL.5432.lock", "20\n/var/lib/postgresql/15/main\n1\n5432\n")
    put(here, "/etc/postgresql/15/main/postgresql.conf", "data_directory = '/var/lib/postgresql/15/main'\n")
    put(here, "/var/lib/postgresql/15/main/PG_VERSION")
    put(here, "/run/mysqld/mysqld.pid", "30\n")
    process(here, 20, "/usr/lib/postgresql/15/bin/postgres", folder="/var/lib/postgresql/15/main")
    process(here, 21, "/usr/lib/postgresql/15/bin/postgres", parent=20, folder="/var/lib/postgresql/15/main")
    process(here, 30, "/usr/sbin/mariadbd", folder="/var/lib/mysql")
    process(here, 40, "/home/alice/pg/bin/postgres", user=ALICE.uid, folder="/home/alice/data")
    assert clusters.look(here) == []


def test_other_clusters_are_told_once_each_by_the_folder_of_their_data(here: Here) -> None:
    put(here, "/run/postgresql/.s.PGSQL.5432.lock", "20\n/var/lib/postgresql/15/main\n1\n5432\n")
    put(here, "/etc/postgresql/15/erp/postgresql.conf", "data_directory = '/srv/erp'\n")
    put(here, "/etc/postgresql/13/old/postgresql.conf", "# data_directory = '/nowhere'\n")
    put(here, "/var/lib/postgresql/13/old/PG_VERSION")
    put(here, "/var/lib/postgresql/11/forgotten/PG_VERSION")
    process(here, 50, "/usr/lib/postgresql/15/bin/postgres", folder="/srv/erp")
    process(here, 51, "/usr/lib/postgresql/15/bin/postgres", parent=50, folder="/srv/erp")
    process(here, 60, "/opt/mysql/bin/mysqld", folder="/data/mysql")
    found = named(clusters.look(here))
    other = {"/srv/erp", "/var/lib/postgresql/13/old", "/var/lib/postgresql/11/forgotten", "/data/mysql"}
    assert {*found} == other


# --- containers ---


def test_containers_are_told_by_their_folders_though_no_daemon_runs(here: Here) -> None:
    for kept in ("docker/containers/ab12", "docker/volumes/data", "lxc/web", "machines/box", "incus/containers/c1"):
        here.at(f"/var/lib/{kept}").mkdir(parents=True)
    put(here, "/var/lib/docker/volumes/metadata.db")
    assert len(named(containers.look(here))) == 5


def test_what_runs_containers_is_told_unless_an_account_does(here: Here) -> None:
    process(here, 70, "/usr/bin/dockerd", unit="docker.service")
    process(here, 71, "/usr/bin/conmon", user=ALICE.uid)
    process(here, 72, "/usr/bin/qemu-system-x86_64", user=64055)
    process(here, 73, "/usr/sbin/nginx")
    assert {*named(containers.look(here))} == {"/usr/bin/dockerd", "/usr/bin/qemu-system-x86_64"}


# --- what listens ---

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def listens(here: Here, table: str, *sockets: tuple[str, str, int, int]) -> None:
    lines = [
        f"   0: {local} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000  {user}        0 {inode} 1\n"
        for local, state, user, inode in sockets
    ]
    put(here, f"/proc/net/{table}", HEAD + "".join(lines))


def test_what_the_layout_and_accounts_listen_on_is_not_told(here: Here) -> None:
    listens(here, "tcp", ("00000000:01BB", "0A", 0, 1), ("0100007F:1538", "0A", 105, 2), ("0100007F:2328", "01", 0, 3))
    listens(here, "tcp6", ("00000000000000000000000001000000:0BB8", "0A", ALICE.uid, 4))
    listens(here, "udp", ("0100007F:0143", "07", 0, 5), ("00000000:C000", "07", 0, 6))
    process(here, 80, "/usr/sbin/haproxy", unit="haproxy.service", sockets=[1])
    process(here, 81, "/usr/lib/postgresql/15/bin/postgres", user=105, sockets=[2])
    process(here, 82, "/usr/bin/erp", sockets=[3, 6])
    process(here, 83, "/usr/bin/python3.11", user=ALICE.uid, sockets=[4])
    process(here, 84, "/usr/sbin/chronyd (deleted)", sockets=[5])
    assert listening.look(here) == []


def test_other_programs_that_listen_are_told_with_their_service_and_ports(here: Here) -> None:
    listens(here, "tcp", ("0100007F:18EB", "0A", 110, 1), ("00000000:1F90", "0A", 0, 2), ("00000000:0801", "0A", 0, 0))
    listens(here, "tcp6", ("B80D0120000000000000000001000000:1F91", "0A", 0, 3))
    listens(here, "udp", ("00000000:0035", "07", 0, 4))
    process(here, 90, "/usr/bin/redis-server", user=110, unit="redis.service", sockets=[1])
    process(here, 91, "/usr/bin/python3.11", unit="erp.service", sockets=[2, 3])
    process(here, 92, "/usr/bin/python3.11", parent=91, unit="erp.service", sockets=[2])
    process(here, 93, "/usr/bin/python3.11", sockets=[4])
    found = named(listening.look(here))
    assert {*found} == {
        "/usr/bin/redis-server (redis.service)",
        "/usr/bin/python3.11 (erp.service)",
        "/usr/bin/python3.11",
        "no process, tcp 0.0.0.0:2049",
    }
    assert found["/usr/bin/python3.11 (erp.service)"].endswith("on tcp 0.0.0.0:8080, tcp [2001:db8::1]:8081.")


# --- what begins by itself ---


def test_crontabs_timers_and_jobs_of_nobody_are_told(here: Here) -> None:
    (here.root / "var/lib/dpkg/info/php.list").write_text("/etc/cron.d/php\n/usr/lib/systemd/system/apt.timer\n")
    for path in ("/etc/cron.d/php", "/usr/lib/systemd/system/apt.timer", "/var/spool/cron/crontabs/alice"):
        put(here, path)
    put(here, "/etc/systemd/system/transhumance-look.timer")
    here.at("/etc/systemd/system/timers.timer").symlink_to("/usr/lib/systemd/system/apt.timer")
    assert schedules.look(here) == []
    told = {
        "/etc/cron.d/erp",
        "/etc/cron.daily/backup",
        "/etc/systemd/system/erp.timer",
        "/var/spool/cron/crontabs/root",
        "/var/spool/cron/atjobs/a0001",
    }
    for path in told:
        put(here, path)
    assert {*named(schedules.look(here))} == told


def test_a_job_of_an_account_is_the_accounts(here: Here) -> None:
    put(here, "/var/spool/cron/atjobs/a0001")
    os.chown(here.at("/var/spool/cron/atjobs/a0001"), ALICE.uid, -1)
    assert schedules.look(here) == []


# --- zones ---


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/etc/bind/named.conf.local", 'zone "erp.example" { type master; file "/etc/bind/db.erp"; };\n'),
        ("/etc/bind/zones/erp.conf", "zone erp.example IN { type primary; };\n"),
        ("/etc/bind/named.conf", 'view "a" { zone "erp.example" { type master; }; };\n'),
        ("/etc/knot/knot.conf", "zone:\n  - domain: erp.example\n    file: erp.zone\n"),
        ("/etc/nsd/nsd.conf", 'zone:\n  name: "erp.example"\n'),
        ("/etc/powerdns/bindbackend.conf", 'zone "erp.example" { type master; file "/var/lib/x"; };\n'),
    ],
)
def test_zones_are_told_by_name(here: Here, path: str, text: str) -> None:
    put(here, path, text)
    put(here, "/etc/bind/named.conf.default-zones", 'zone "localhost" { type master; };\nzone "." { type hint; };\n')
    put(here, "/etc/bind/named.conf.options", '// zone "a.example" {}\n# zone "b.example"\n/* zone "c.example" */\n')
    assert [*named(zones.look(here))] == ["erp.example"]


# --- all of it ---


def test_a_part_that_fails_hides_no_other_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: Here) -> list[Unclaimed]:
        raise Refused("command_failed", "psql failed\x1b.")

    monkeypatch.setattr(look, "all_accounts", lambda: [])
    monkeypatch.setattr(look, "unreadable", dict)
    monkeypatch.setattr(
        look, "_PARTS", {"accounts": fails, "zones": lambda _: [unclaimed("zone", "erp.example", "A zone.")]}
    )
    monkeypatch.setattr(look.files, "look", lambda *_: [])
    found = look.look()
    assert [(one.kind, one.name) for one in found] == [("not_looked_at", "accounts"), ("zone", "erp.example")]
    assert all(one.sentence.isprintable() for one in found)


def test_thousands_of_one_kind_are_bounded_and_the_others_are_all_told() -> None:
    many = [unclaimed("zone", f"z{number}.example", "A zone.") for number in range(MOST + 5)]
    found = at_most([*many, unclaimed("mount", "/data", "A disk.")])
    assert len(found) == MOST + 2 and [one.name for one in found if one.kind == "not_looked_at"] == ["zone"]
    assert "5 more" in next(one.sentence for one in found if one.kind == "not_looked_at")
