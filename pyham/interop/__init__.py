"""Networks from elsewhere and for elsewhere: arrays, papers' code, PyTorch, JAX. May import everything below."""
