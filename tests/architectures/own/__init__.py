"""Architectures as users write them, each in a file of its own: examples that the tests execute."""
