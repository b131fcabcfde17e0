"""Inputs from public bug reports, moved from a real server to a real server of the next infrastructure.

`inputs/` holds a file each: where it was seen, what is right, what root and the account do, a question, its answer.
"""
