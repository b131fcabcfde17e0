"""The command line, for ops who live in a terminal: `python -m cli`. It speaks to the panel's API only."""
