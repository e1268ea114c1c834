"""What tests of the bridge to PyTorch share. Without PyTorch, importing this skips them."""

import pytest

from tests.interop.networks import NET, samples

torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def one_thread_of_pytorch():
    """With matrices so small, threads of several test processes only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tensors(arch=NET.arch, **options):
    """x, which requires a gradient, and g."""
    x, g = map(torch.from_numpy, samples(arch, **options))
    return x.requires_grad_(), g


def gradients(module, x, g):
    """Of x and of the parameters."""
    return [found.numpy() for found in torch.autograd.grad(module(x), [x, *module.parameters()], g)]
