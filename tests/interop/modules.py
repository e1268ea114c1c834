"""What tests of the bridge to PyTorch share. Without PyTorch, importing this skips them."""

import numpy as np
import pytest

import pyham

torch = pytest.importorskip("torch")

NET = pyham.H2(4, 5, 0.3).init(0)


@pytest.fixture(autouse=True)
def one_thread_of_pytorch():
    """With matrices so small, threads of several test processes only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def samples(arch, dtype=np.float64, batch=6, seed=1):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((batch, *shape)).astype(dtype) for shape in (arch.shape, arch.output_shape))


def tensors(arch=NET.arch, **options):
    """x, which requires a gradient, and g."""
    x, g = map(torch.from_numpy, samples(arch, **options))
    return x.requires_grad_(), g


def gradients(module, x, g):
    """Of x and of the parameters."""
    return [found.numpy() for found in torch.autograd.grad(module(x), [x, *module.parameters()], g)]


def same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
