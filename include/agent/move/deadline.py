"""The deadline of a hold: a timer of the server itself, which settles the account whoever is gone by then."""

from ..host.system import AGENT, run


def arm(name: str, seconds: float) -> None:
    """At the deadline the host itself settles the account, whoever is gone by then. What is at that already, and is
    tried again and again, ends first: systemd takes no second one of its name."""
    unit = _stop(name, "timer", "service")
    run(
        [
            "systemd-run",
            f"--unit={unit}",
            f"--on-active={seconds:.3f}",
            "--timer-property=AccuracySec=100ms",
            "--quiet",
        ]
        # A return that is killed begins again.
        + ["--property=Restart=on-failure", "--property=RestartSec=2", "--property=StartLimitIntervalSec=0"]
        + ["/usr/bin/python3", str(AGENT), "settle", name]
    )


def disarm(name: str) -> None:
    _stop(name, "timer")


def _stop(name: str, *kinds: str) -> str:
    """What its units are called, of which these are stopped."""
    unit = f"transhumance-return-{name}"
    run(["systemctl", "stop", *(f"{unit}.{kind}" for kind in kinds)], check=False)
    run(["systemctl", "reset-failed", f"{unit}.timer", f"{unit}.service"], check=False)
    return unit
