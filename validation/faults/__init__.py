"""Faults by operators on the syntax tree, planted in every room of the package; the tests must notice."""
