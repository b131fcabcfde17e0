"""Contracts that import-linter does not bring: see [tool.importlinter] in pyproject.toml."""

from __future__ import annotations

import sys
from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class SiblingsApart(Contract):
    """The packages in a package do not know each other, and its modules know none of them."""

    type_name = "siblings_apart"
    package: Any = fields.ModuleField()

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """The imports that break it."""
        children = graph.find_children(self.package.name)
        packages = [child for child in children if graph.find_children(child)]
        inside = {child: {child, *graph.find_descendants(child)} for child in children}
        wrong = sorted(
            (module, imported)
            for package in packages
            for other in children - {package}
            for module in inside[other]
            for imported in graph.find_modules_directly_imported_by(module) & inside[package]
        )
        return ContractCheck(kept=not wrong, metadata={"wrong": wrong})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """One line for each."""
        for module, imported in check.metadata["wrong"]:
            output.print_error(f"{module} imports {imported}, which it must not know.")


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
