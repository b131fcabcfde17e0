"""The front of a host's own server as it runs: HAProxy and the firewall, in a network of their own, before a web server
that is none of ours."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from include.agent.account.accounts import Account
from include.agent.host.system import PATH
from include.agent.layouts.classic import front
from include.moves.prepare import files
from tests.support.account_files import FILE
from tests.support.certificates import certificate, key_of, pem_of

PROGRAM = Path(__file__).with_name("front_before_a_web_server.py")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has a network of its own")
needs_haproxy = pytest.mark.skipif(shutil.which("haproxy", path=PATH) is None, reason="Debian's haproxy is missing")


def test_a_request_is_in_flight_until_its_answer_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = """# table: in_flight, type: string, size:102400, used:4
0x558817bf6268: key=alice/2da96ff5 use=1 exp=4374 gpc0=0 conn_cur=1
0x558817bf6270: key=alice2/2da96ff5 use=1 exp=4374 shard=0 gpc0=0 conn_cur=1
0x558817bf6278: key=alice/3da96ff5 use=1 exp=4374 shard=0 gpc0=0 conn_cur=1
"""
    asked: list[str] = []

    def command(text: str) -> str:
        asked.append(text)
        return rows

    monkeypatch.setattr(front, "command", command)
    assert front.in_flight(Account.from_json(FILE)) == 2
    assert asked == ["show table in_flight data.gpc0 eq 0 data.conn_cur gt 0"]


@needs_root
def test_the_firewall_takes_its_rules() -> None:
    rules = files()["/etc/transhumance/front/redirect.nft"].replace("skuid transhumance-front", "skuid www-data")
    rules = rules.replace("{ root, transhumance-front }", "{ root, www-data }")
    done = subprocess.run(["unshare", "--net", "nft", "--check", "--file", "-"], input=rules, text=True, check=False)
    assert done.returncode == 0


@needs_root
@needs_haproxy
def test_visitors_notice_neither_that_it_comes_nor_that_it_goes(tmp_path: Path) -> None:
    """All of what the program asserts, in a network, users and files of its own."""
    key = key_of()
    (tmp_path / "shop.pem").write_text(pem_of(key) + certificate(key, "shop.example"))
    for path, content in files().items():
        if path.startswith("/etc/transhumance/front/"):
            (tmp_path / Path(path).name).write_text(content)
    unshare = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    done = subprocess.run(
        [*unshare, sys.executable, str(PROGRAM), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert done.stdout.split()[-1] == "done"
