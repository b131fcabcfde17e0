"""What is installed is what was locked: every file by its hash, wherever something installs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2]


@pytest.mark.parametrize("lock", ["requirements.txt", "requirements-dev.txt", "requirements-uv.txt"])
def test_everything_locked_has_a_version_and_hashes(lock: str) -> None:
    text = re.sub(r"\s*\\\n\s*", " ", (FOLDER / lock).read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines
    for line in lines:
        assert re.fullmatch(r"[\w.\[\],-]+==\S+( ;[^-]+)?( --hash=sha256:[0-9a-f]{64})+\s*", line), line[:100]


def test_whoever_installs_asks_for_the_hashes() -> None:
    places = {name: (FOLDER / name).read_text() for name in ("Makefile", "Dockerfile")}
    installs = [
        line for text in places.values() for line in text.splitlines() if re.search(r"\bpip (install|sync)\b", line)
    ]
    assert len(installs) == 3
    assert all("--require-hashes" in line for line in installs), installs


def test_an_image_is_built_on_a_digest_and_on_no_tag() -> None:
    text = (FOLDER / "Dockerfile").read_text()
    assert re.findall(r"^FROM .*$", text, re.MULTILINE) == ["FROM apache/airflow@${DIGEST}"]
    assert re.findall(r"^ARG .*$", text, re.MULTILINE) == ["ARG DIGEST"], "a default would be built on unseen"


def test_the_locks_agree() -> None:
    def versions(lock: str) -> dict[str, str]:
        return dict(re.findall(r"^([\w.-]+)(?:\[\S+\])?==(\S+)", (FOLDER / lock).read_text(), re.MULTILINE))

    production, development = versions("requirements.txt"), versions("requirements-dev.txt")
    assert production.items() <= development.items()
