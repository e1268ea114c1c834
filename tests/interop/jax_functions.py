"""What tests of the bridge to JAX share. Without JAX, importing this skips them."""

import pytest

jax = pytest.importorskip("jax")
passes = pytest.importorskip("pyham.interop.jax_passes")


@pytest.fixture(autouse=True)
def double_precision():
    """And programs that XLA compiles quickly, as each runs a few times only."""
    before = {name: jax.config.read(name) for name in ("jax_enable_x64", "jax_disable_most_optimizations")}
    for name in before:
        jax.config.update(name, True)
    yield
    for name, value in before.items():
        jax.config.update(name, value)


@pytest.fixture(params=["buffer_callback", "pure_callback"])
def both_callbacks(request, monkeypatch):
    """Once as on processors with a JAX of today, once as elsewhere."""
    if request.param == "pure_callback":
        monkeypatch.setattr(passes, "buffer_callback", None)
    passes.passes.cache_clear()  # what is compiled has made its choice
    yield
    passes.passes.cache_clear()


def passes_of(f):
    """y, and the gradients of params and of x, from params, x and g = dLoss/dy."""

    def both(params, x, g):
        y, pull = jax.vjp(f, params, jax.numpy.asarray(x))
        return y, *pull(jax.numpy.asarray(g))

    return both
