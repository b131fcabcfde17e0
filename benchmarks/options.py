"""What the command line of the benchmarks says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """`only`: the tables (all if empty); `runs` of each measurement; `sizes` of accounts, in MB (all if empty)."""

    only: tuple[str, ...] = ()
    runs: int = 5
    sizes: tuple[int, ...] = ()

    @classmethod
    def parse(cls, words: list[str], tables: list[str]) -> Options:
        """From words such as ONLY=switchover RUNS=3 SIZES=10,100. Raises ValueError with a sentence."""
        values: dict[str, str] = {}
        for word in words:
            key, _, value = word.partition("=")
            if key not in ("ONLY", "RUNS", "SIZES") or not value:
                raise ValueError(f"{word!r} is not known here: give ONLY=name, RUNS=n or SIZES=10,100 (MB).")
            values[key] = value
        only = tuple(values["ONLY"].split(",")) if "ONLY" in values else ()
        for name in only:
            if name not in tables:
                raise ValueError(f"There is no benchmark {name!r}: choose of {', '.join(tables)}.")
        try:
            sizes = tuple(int(size) for size in values.get("SIZES", "").split(",") if size)
            runs = int(values.get("RUNS", "5"))
        except ValueError:
            raise ValueError("RUNS is a number, SIZES are numbers of megabytes such as 10,100.") from None
        if runs < 1 or any(size < 1 for size in sizes):
            raise ValueError("RUNS and SIZES begin at 1.")
        return cls(only, runs, sizes)
