"""Data sets: points in the plane, MNIST, and the IDX format. May import ``pyham.files``."""
