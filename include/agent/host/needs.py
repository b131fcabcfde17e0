"""The versions that the agent needs of what it runs with; the orchestrator goes by the same."""

import re

PYTHON = (3, 11)
RSYNC = (3, 5, 0)
"""Older ones follow a customer's links as root (CVE-2026-53797 and others)."""


def short_of(least: tuple[int, ...], version: str) -> bool:
    """Whether what is told as a version is an older one, or none."""
    return number(version) < least


def number(version: str) -> tuple[int, ...]:
    """The first dotted number in it: "3.5.0-1" is (3, 5, 0)."""
    digits = re.search(r"\d{1,9}(?:\.\d{1,9})*", version)
    return tuple(int(part) for part in digits.group().split(".")) if digits else ()


def release(least: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in least)
