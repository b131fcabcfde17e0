"""Each promise as a program: `python -m benchmarks` prints the tables and writes reports/bench.json."""
