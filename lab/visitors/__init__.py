"""Visitors: programs with an address of their own that never stop asking, and know nothing of the mover.

`web` asks the sites, `mail` sends to the mailboxes, `ip` probes the addresses. Each writes one JSON line for
everything it did; `summary` makes figures of a span of time, `final_check` looks for what was written.
"""
