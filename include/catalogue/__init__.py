"""The catalogue: which migrations there are, what each changes for customers, and how that is looked for.

An entry is one file of `config/migrations/`; its stem is the entry's name. docs/catalogue.md tells how to write one.
`python -m include.catalogue` validates them all.
"""

from include.catalogue.entries import Check, Entry, Incompatibility
from include.catalogue.files import FOLDER, load, take_over
from include.catalogue.reading import CatalogueError

__all__ = ["FOLDER", "CatalogueError", "Check", "Entry", "Incompatibility", "load", "take_over"]
