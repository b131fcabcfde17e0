"""A contract that import-linter does not bring: see [tool.importlinter] in pyproject.toml."""

from __future__ import annotations

import sys
from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class OnlyStandardLibrary(Contract):
    """A package imports itself and Python's standard library: nothing of the tree, and nothing that is installed."""

    type_name = "only_standard_library"
    package: Any = fields.ModuleField()

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """The imports that break it."""
        inside = {self.package.name, *graph.find_descendants(self.package.name)}
        allowed = inside | sys.stdlib_module_names
        wrong = sorted(
            (module, imported)
            for module in inside
            for imported in graph.find_modules_directly_imported_by(module)
            if imported not in allowed
        )
        return ContractCheck(kept=not wrong, metadata={"wrong": wrong})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """One line for each."""
        for module, imported in check.metadata["wrong"]:
            output.print_error(f"{module} imports {imported}, which a server need not have.")
