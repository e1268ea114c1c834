"""Arithmetic on stages: forward pass, adjoint, sensitivities, in NumPy (``reference``) and compiled (``compiled``).

An engine knows stages and no architectures. May import ``pyham.architectures``.
"""
