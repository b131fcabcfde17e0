"""Files that no package has brought are told by the folder that is nobody's; what the system itself writes is not."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from include.agent.unclaimed import files, packages
from include.agent.unclaimed.here import Here

OWNED = "/.\n/etc\n/etc/cron.d\n/srv\n/opt\n/usr\n/usr/bin\n/usr/bin/tool\n/usr/lib\n/bin/sh\n/var\n/var/lib\n"


@pytest.fixture
def here(tmp_path: Path) -> Here:
    """A server with one package."""
    info = tmp_path / "var/lib/dpkg/info"
    info.mkdir(parents=True)
    (info / "base.list").write_text(OWNED)
    (tmp_path / "var/lib/dpkg/diversions").write_text("/usr/bin/tool\n/usr/bin/tool.distrib\nother\n")
    for folder in ("etc/cron.d", "srv", "opt", "usr/bin", "usr/lib", "home/shop", "var/lib/mysql"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    (tmp_path / "bin").symlink_to("usr/bin")
    for file in ("usr/bin/tool", "usr/bin/tool.distrib", "usr/bin/sh", "home/shop/x", "var/lib/mysql/ibdata1"):
        (tmp_path / file).write_text("x")
    return Here(tmp_path, [], {})


def put(here: Here, path: str, size: int = 1) -> None:
    file = here.at(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(bytes(size))


def told(here: Here, *as_else: str) -> dict[str, str]:
    return {one.name: one.sentence for one in files.look(here, as_else)}


def test_a_fresh_server_has_nothing(here: Here) -> None:
    assert told(here) == {}


@pytest.mark.parametrize(
    ("paths", "name", "weight"),
    [
        (["/srv/www/a/b.txt", "/srv/www/c.txt"], "/srv/www/", "(2 files, 2 bytes)"),
        (["/etc/erp.conf"], "/etc/erp.conf", "(1 file, 1 bytes)"),
        (["/usr/bin/erp"], "/usr/bin/erp", "(1 file"),
        (["/opt/erp/bin/erp"], "/opt/erp/", "(1 file"),
        (["/data/x"], "/data/", "(1 file"),
        (["/var/lib/redis/dump.rdb"], "/var/lib/redis/", "(1 file"),
        (["/var/lib/postgresql/15/main/base", "/var/lib/postgresql/dumps/x"], "/var/lib/postgresql/", "(1 file"),
        (["/root/backup.tar", "/root/.bashrc", "/root/.ssh/authorized_keys"], "/root/backup.tar", "(1 file"),
        (["/var/www/erp/index.php", "/var/www/html/index.nginx-debian.html"], "/var/www/erp/", "(1 file"),
        (["/usr/local/sbin/erp", "/usr/local/lib/transhumance/agent.pyz"], "/usr/local/sbin/erp", "(1 file"),
        (["/usr/lib/__pycache__/x.pyc", "/srv/a/__pycache__/x.pyc"], "/srv/a/", "(1 file"),
    ],
)
def test_what_is_nobodys_is_told_by_its_topmost_folder(here: Here, paths: list[str], name: str, weight: str) -> None:
    for path in paths:
        put(here, path)
    found = told(here)
    assert [*found] == [name] and weight in found[name] and "no account and no package" in found[name]


def test_links_empty_folders_and_what_is_no_file_are_nothing_to_lose(here: Here) -> None:
    here.at("/srv/link").symlink_to("/etc/shadow")
    here.at("/srv/empty/deep").mkdir(parents=True)
    here.at("/srv/loop").symlink_to("/srv")
    os.mkfifo(here.at("/srv/pipe"))
    assert told(here) == {}


def test_what_is_told_as_something_else_is_not_told_twice(here: Here) -> None:
    put(here, "/etc/cron.d/erp")
    put(here, "/srv/cluster/PG_VERSION")
    assert told(here, "/etc/cron.d/erp", "/srv/cluster") == {}


@pytest.mark.parametrize("name", ["a\nb", "\x1b[31mred", "ü" * 120, "a'b;$(x)", "-rf"])
def test_hostile_names_are_printable_and_bounded(here: Here, name: str) -> None:
    put(here, f"/srv/{name}/x")
    os.close(os.open(os.fsencode(here.at("/srv/")) + b"/\xff\xfe", os.O_CREAT))
    found = files.look(here, ())
    assert len({one.name for one in found}) == 2
    assert all(one.name.isprintable() and one.sentence.isprintable() and len(one.name) <= 400 for one in found)


def test_two_names_that_begin_alike_stay_two_things(here: Here) -> None:
    deep = "/srv/" + "/".join(["d" * 200] * 3)
    with (here.root / "var/lib/dpkg/info/base.list").open("a") as listing:
        listing.writelines(f"{Path(deep).parents[n]}\n" for n in range(3))
        listing.write(f"{deep}\n")
    put(here, f"{deep}/one")
    put(here, f"{deep}/two")
    assert len({one.name for one in files.look(here, ())}) == 2


def test_many_things_in_one_folder_are_one_thing(here: Here) -> None:
    for number in range(files.MOST_IN_FOLDER + 1):
        put(here, f"/srv/customer-{number}/x")
    assert "51 files" in told(here)["/srv/*"]


def test_what_is_not_counted_and_not_looked_at_is_told(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        put(here, f"/srv/www/{number}")
    monkeypatch.setattr(files, "WEIGHED", 10)
    assert "more than 10 files" in told(here)["/srv/www/"]
    clock = iter([0.0, 0.0, 1e9])
    monkeypatch.setattr(files.time, "monotonic", lambda: next(clock, 1e9))
    (one,) = files.look(here, ())
    assert (one.kind, one.name) == ("not_looked_at", "files") and "/srv" in one.sentence


def test_a_folder_that_lets_nobody_in_is_told(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    put(here, "/srv/shut/x")
    scandir = os.scandir

    def refused(path: bytes | str) -> object:
        if os.fsencode(path).endswith(b"/srv/shut"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(files.os, "scandir", refused)
    (one,) = files.look(here, ())
    assert (one.kind, one.name) == ("not_looked_at", "files") and "/srv/shut" in one.sentence


def test_another_file_system_is_not_entered(here: Here, tmp_path: Path) -> None:
    """Told as a mount; what is under it was looked at only before it was mounted."""
    put(here, "/srv/disk/seen")
    code = (
        "import sys; from pathlib import Path; from include.agent.unclaimed import files; "
        "from include.agent.unclaimed.here import Here; "
        "print([one.name for one in files.look(Here(Path(sys.argv[1]), [], {}), ())])"
    )
    script = 'mount -t tmpfs none "$1/srv/disk" && echo x > "$1/srv/disk/x" && exec python3 -c "$code" "$1"'
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script, "sh", str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.getcwd(), "code": code},
    )
    assert done.stdout == "[]\n", done.stderr


def test_twenty_thousand_files_take_seconds_and_one_line(here: Here) -> None:
    folder = here.at("/srv/many")
    folder.mkdir()
    for number in range(20_000):
        os.close(os.open(folder / str(number), os.O_CREAT))
    began = time.process_time()
    assert "20000 files" in told(here)["/srv/many/"] and time.process_time() - began < 5


def test_packages_own_what_they_put_aside_and_what_ucf_keeps(here: Here) -> None:
    put(here, "/etc/php/8.2/php.ini")
    (here.root / "var/lib/ucf").mkdir()
    (here.root / "var/lib/ucf/registry").write_text("php8.2 /etc/php/8.2/php.ini\n")
    owned = packages.owned(here.root)
    assert {b"/usr/bin/tool.distrib", b"/etc/php/8.2/php.ini", b"/usr/bin/sh"} <= owned and b"/srv/x" not in owned


@pytest.mark.parametrize(
    ("place", "path", "fits"),
    [
        ("/etc/x", "/etc/x", True),
        ("/etc/x", "/etc/x/y/z", True),
        ("/etc/x", "/etc/xy", False),
        ("/etc/*.d/a", "/etc/b.d/a", True),
        ("/etc/*.d/a", "/etc/b/c.d/a", False),
        ("/etc/a.b", "/etc/aXb", False),
        ("/etc/x", "/etc/x\n", False),
    ],
)
def test_places(place: str, path: str, fits: bool) -> None:
    assert bool(packages.matching([place]).match(path.encode())) is fits
