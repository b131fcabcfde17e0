"""Which programs of a crontab begin with the boot, and with what around them."""

from include.agent.layouts import reboot_lines


def test_lines_are_read_as_cron_reads_them() -> None:
    crontab = (
        "# @reboot commented\n"
        "@reboot first\n"
        "PATH=/opt/bin:/usr/bin\n"
        ' MAILTO = "me@a.example"\n'
        "SHELL='/bin/bash'\n"
        "*/5 * * * * other @reboot\n"
        "@daily daily\n"
        "  @reboot  cd $HOME && mail -s '100\\%'%one%two\n"
        "EMPTY=\n"
        "@reboot last = not an assignment\n"
    )
    variables = {"PATH": "/opt/bin:/usr/bin", "MAILTO": "me@a.example", "SHELL": "/bin/bash"}
    assert reboot_lines.of(crontab) == [
        {"command": "first", "input": "", "set": {}},
        {"command": "cd $HOME && mail -s '100%'", "input": "one\ntwo", "set": variables},
        {"command": "last = not an assignment", "input": "", "set": {**variables, "EMPTY": ""}},
    ]


def test_a_crontab_without_them_starts_nothing() -> None:
    assert reboot_lines.of("") == reboot_lines.of("@rebooted x\n0 0 * * * y\n") == []
