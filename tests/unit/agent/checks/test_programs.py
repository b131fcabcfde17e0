"""Which programs of the system a crontab or a script names that are not here."""

import pytest

from include.agent.checks import programs

GONE = "/usr/lib/postgresql/1/bin/pg_dump"


@pytest.mark.parametrize(
    ("line", "named"),
    [
        (f"*/5 * * * * {GONE} db", [GONE]),
        (f"@daily cd $HOME && {GONE} db > dump", [GONE]),
        ("0 3 * * 1 php1.2 $HOME/artisan", ["php1.2"]),
        (f"PATH=/usr/bin:{GONE}", []),
        (f"# 0 3 * * * {GONE}", []),
        (f"* * * * * curl https://a.example{GONE}; $HOME{GONE}; ~{GONE}; /home/a{GONE}", []),
        ("* * * * * /bin/sh -c true; /usr/bin/env; ls /usr/*; . /usr/share/$X", []),
        ("* * * * * echo php1.2.txt; ./php1.2; $php1", []),
    ],
)
def test_a_crontab(line: str, named: list[str]) -> None:
    assert [name for name, _ in programs.missing_in_crontab(line.encode())] == named


def test_a_script() -> None:
    shell = f"#!/bin/sh\n# {GONE}\nexec {GONE}\n".encode()
    assert list(programs.missing_in_script(shell)) == [(GONE, 3)]
    other = f"#!/usr/bin/php1.2\n{GONE}\n".encode()
    assert list(programs.missing_in_script(other)) == [("/usr/bin/php1.2", 1)]
    assert list(programs.missing_in_script(f"echo {GONE}".encode())) == []
