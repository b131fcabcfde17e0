"""A home may be anywhere, but root goes there by folders of its own, and no file in it gives rights."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from include.agent.host import homes
from include.agent.host.system import Refused

ROOT = Path(__file__).parents[4]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes mounts")


@pytest.mark.parametrize("home", ["/tmp/x/alice", "/nothing\0/alice"])
def test_a_folder_of_everybodys_is_no_way_to_a_home(home: str) -> None:
    with pytest.raises((Refused, ValueError)):
        homes.make_way(home)
    assert not os.path.lexists("/tmp/x/alice")


def test_names_of_units_are_as_systemd_writes_paths() -> None:
    assert homes._unit_name("/home") == "transhumance-homes.service"
    assert homes._unit_name("/var/www/a-b") == "transhumance-homes-var-www-a\\x2db.service"
    assert homes._unit_name("/a/b-c") != homes._unit_name("/a-b/c")


def alone(code: str) -> str:
    """What Python says in a mount namespace of its own, in which /srv is empty."""
    script = 'mount -t tmpfs -o mode=755 none /srv && exec "$@"'
    argv = ["unshare", "--mount", "sh", "-c", script, "sh", sys.executable, "-c", code]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    return done.stdout


MADE = """
import os
from include.agent.host import homes, sandbox
from include.agent.host.system import Refused
os.umask(0o077)
home = "/srv/clients/c1/web1"
homes.make_way(home)
os.mkdir(home)
os.chown(home, 2001, 2001)
"""


@needs_root
def test_the_way_to_a_home_is_roots_and_open_to_pass() -> None:
    said = alone(
        f"{MADE}for at in map(os.stat, ('/srv/clients', '/srv/clients/c1')): print(oct(at.st_mode), at.st_uid)"
    )
    assert said == "0o40755 0\n" * 2


@needs_root
@pytest.mark.parametrize(
    "trick",
    [
        "os.symlink('/etc', '/srv/clients/c2')",
        "os.mkdir('/srv/clients/c2'); os.chown('/srv/clients/c2', 2001, 2001)",
        "os.mkdir('/srv/clients/c2'); os.chmod('/srv/clients/c2', 0o777)",
        "open('/srv/clients/c2', 'w')",
    ],
)
def test_a_way_that_is_not_roots_is_refused(trick: str) -> None:
    code = f"{MADE}{trick}\ntry: homes.make_way('/srv/clients/c2/web2')\nexcept Refused as error: print(error.message)"
    assert alone(code) == (
        "The home /srv/clients/c2/web2 lies below /srv/clients/c2, which must be a folder that root alone may write;"
        " make it that, or move the home.\n"
    )


@needs_root
def test_no_file_beside_a_home_elsewhere_gives_rights() -> None:
    said = alone(
        MADE + "homes.make_plain('/srv/clients/c1'); homes.make_plain('/srv/clients/c1')\n"
        "print(homes.are_plain('/srv/clients/c1'), homes.are_plain(home), homes.are_plain('/srv/clients'))"
    )
    assert said == "True True False\n"


@needs_root
def test_the_sandbox_has_a_home_that_lies_elsewhere() -> None:
    said = alone(
        MADE + "open(home + '/x', 'w'); open('/srv/clients/c1/other', 'w')\n"
        "sandbox.enter(home, writable=True)\n"
        "open(home + '/y', 'w'); print(*map(sorted, map(os.listdir, (home, '/srv/clients/c1', '/srv'))), flush=True)"
    )
    assert said == "['x', 'y'] ['web1'] ['clients']\n"


@needs_root
def test_what_is_made_plain_cannot_be_put_elsewhere_by_who_may_write_on_the_way() -> None:
    said = alone(
        MADE + "mail = '/srv/clients/c1/vmail/deep/shop.example'; os.makedirs(mail)\n"
        "print(homes.above(home), homes.above(mail), homes.above('/srv/none/x/y'))\n"
        "os.chown('/srv/clients/c1/vmail', 5000, 5000); print(homes.above(mail), homes.above(home))\n"
        "os.chown('/srv/clients/c1/vmail', 0, 8); os.chmod('/srv/clients/c1/vmail', 0o2775); print(homes.above(mail))"
    )
    assert said.split() == [
        *("/srv/clients/c1", "/srv/clients/c1/vmail/deep", "/srv/none/x"),
        *("/srv/clients/c1/vmail", "/srv/clients/c1", "/srv/clients/c1/vmail"),
    ]
