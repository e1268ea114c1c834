"""Bridges to what is not installed say what to install."""

import importlib
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
