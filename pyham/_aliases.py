"""Short names of modules that users call: ``pyham.symplectic`` is ``pyham.verification.symplectic``.

Both ways work, ``pyham.symplectic.defect`` after ``import pyham`` and ``from pyham.symplectic import defect``, and give
one and the same module, which is imported when it is first looked at.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

HOMES = {
    name: f"pyham.{room}.{module}"
    for room, names in {
        "architectures": "activations initialization interconnection schemes",
        "data": "datasets=plane idx mnist",
        "engines": "reference",
        "training": "classifier experiment history losses monitors multilevel optimizers protocol schedules",
        "verification": "atlas bounds certificate continuous euler gradcheck regions symplectic",
    }.items()
    for name, _, module in ((*entry.partition("=")[:2], entry.partition("=")[2] or entry) for entry in names.split())
}


class Aliases(MetaPathFinder, Loader):
    """Finds ``pyham.<short name>`` as the module that has it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, name = fullname.rpartition(".")
        return ModuleSpec(fullname, self) if package == "pyham" and name in HOMES else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(HOMES[spec.name.rpartition(".")[2]])
        self._own = module.__spec__  # the import system puts the alias's in its place
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._own


def install() -> None:
    """Once, before anything else of pyham is imported."""
    if not any(isinstance(finder, Aliases) for finder in sys.meta_path):
        sys.meta_path.append(Aliases())
