"""`import include.PACKAGE.MODULE` gives that module, whatever the package names besides."""

import pkgutil
from importlib import import_module
from types import ModuleType

import pytest

import include

PACKAGES = ["include", *(one.name for one in pkgutil.walk_packages(include.__path__, "include.") if one.ispkg)]


@pytest.mark.parametrize("name", PACKAGES)
def test_no_name_of_a_package_hides_a_module_of_it(name):
    package = import_module(name)
    modules = [one.name for one in pkgutil.iter_modules(package.__path__) if one.name not in ("env", "__main__")]
    hidden = [
        module
        for module in modules
        if not isinstance(getattr(package, module, package), ModuleType) or module in getattr(package, "__all__", ())
    ]
    assert hidden == [], "rename the function (or the module): whoever imports the module gets something else"


def test_modules_are_looked_at():
    assert "include.registry" in PACKAGES
