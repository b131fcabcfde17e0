"""Programs of an infrastructure's base tree, run as root in namespaces of their own: real servers' software without a
server, in a tenth of a second. Nothing that is written there stays, and nothing outside is reached but the checkout."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from lab import base

CHECKOUT = Path(__file__).resolve().parents[2]
_INSIDE = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "$2"
mkdir "$2/upper" "$2/work" "$2/root"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
cd "$2/root"
mount -t proc proc proc
mount --rbind /dev dev
mkdir -p srv/checkout old
mount --bind "$3" srv/checkout
ip link set lo up
pivot_root . old
cd /
umount -l /old
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \\
    PYTHONPATH=/srv/checkout PYTHONDONTWRITEBYTECODE=1 python3 -c "$4"
"""


def run(infrastructure: str, code: str, place: Path, seconds: float = 120) -> Any:
    """What a Python program prints there last, as JSON; what else it says is shown. `place` is an empty directory."""
    base.build(infrastructure)
    argv = ["unshare", "-m", "-n", "-p", "-i", "-f", "--kill-child", "bash", "-c", _INSIDE, "-"]
    argv += [str(base.path(infrastructure)), str(place), str(CHECKOUT), code]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds)
    print(done.stdout[-2000:], done.stderr[-2000:], file=sys.stderr)
    assert done.returncode == 0, f"It ended with {done.returncode}: {done.stderr[-2000:]}"
    return json.loads(done.stdout.splitlines()[-1])
