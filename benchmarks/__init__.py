"""Speed and memory of pyham beside PyTorch, JAX and plain NumPy, in one process: ``python -m benchmarks``."""
