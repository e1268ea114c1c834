"""Numerical verification of the theory of Hamiltonian deep neural networks: one module per claim.

``python -m validation`` runs them all. A claim is a statement with a number; its control is a neighbouring case in
which the same check must report a violation. To add a claim, add a module ``v<number>_<name>.py`` here with

- a docstring: statement, source, oracle, why the tolerance is what rounding allows, and the control;
- ``STATEMENT``, one line;
- ``check(lab)``, which yields ``claim.Result``s;
- ``missing()``, where it needs an extra: what is not installed, in words, or "".

It is found by its name; nothing else needs to change.
"""
