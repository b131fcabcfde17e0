"""Breaks everything that takes part in a move, at each of its steps and at random moments: `python -m lab.faults`."""
