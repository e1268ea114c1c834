"""Bridges to what is not installed say what to install."""

import importlib
import subprocess
import sys

import pytest


@pytest.mark.parametrize(("name", "title"), [("torch", "PyTorch"), ("jax", "JAX")])
def test_a_bridge_without_its_library_names_the_extra(name, title, monkeypatch):
    for module in [key for key in sys.modules if key.startswith(f"pyham.interop.{name}")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, name, None)  # importing it fails
    message = rf'pyham\.interop\.{name}: expected {title}, python -m pip install "pyham\[{name}\]", got .*'
    with pytest.raises(ImportError, match=message):
        importlib.import_module(f"pyham.interop.{name}")


def test_estimators_without_scikit_learn_name_the_extra_and_all_else_works():
    code = """
import sys
sys.modules["sklearn"] = None  # importing it fails
import numpy as np, pyham
from pyham.training import tables
model = tables.fit(np.arange(8.0).reshape(4, 2), [0, 1, 0, 1], width=4, depth=2, backend="reference", rng=0)
print(model.predict(np.zeros((3, 2)), backend="reference").shape)
try:
    pyham.HamiltonianClassifier
except ImportError as error:
    print(error)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    first, second = found.splitlines()
    assert first == "(3,)"
    assert second.startswith(
        'pyham.interop.sklearn: expected scikit-learn, python -m pip install "pyham[sklearn]", got '
    )
