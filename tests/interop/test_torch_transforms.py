"""What PyTorch does with a module of pyham's: compile, map, differentiate, trace, go through graphs, load data."""

import numpy as np
import pytest

from tests.interop.modules import gradients, one_thread_of_pytorch, tensors  # noqa: F401
from tests.interop.networks import NET, same

torch = pytest.importorskip("torch")
bridge = pytest.importorskip("pyham.interop.torch")

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")  # of PyTorch, by itself


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_compiled_whole(backend):
    module = bridge.to_torch(NET)
    model = torch.nn.Sequential(torch.nn.Linear(4, 4).double(), module, torch.nn.Tanh())
    compiled = torch.compile(model, fullgraph=True, backend=backend)
    for batch in (6, 3):
        x, g = tensors(batch=batch)
        for one, other in zip(gradients(compiled, x, g), gradients(model, x, g), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


def test_transforms_over_samples_and_over_parameters():
    module = bridge.to_torch(NET)
    x = tensors()[0].detach()
    func = torch.func
    assert torch.equal(func.vmap(module)(x), module(x))
    assert torch.equal(func.vmap(module, in_dims=1, out_dims=1)(x.reshape(2, 3, 4)), module(x).reshape(2, 3, 4))
    phi = func.vmap(func.jacrev(module))(x).detach().numpy().swapaxes(1, 2)
    np.testing.assert_allclose(phi, NET.sensitivity(x.numpy())[0], rtol=1e-13, atol=1e-14)

    def loss(params, sample):
        return func.functional_call(module, params, (sample,)).square().sum()

    params = {name: value.detach() for name, value in module.named_parameters()}
    each = func.vmap(func.grad(loss), in_dims=(None, 0))(params, x)
    for i, row in enumerate(x.numpy()[:, None]):
        for name, value in NET.gradient(row, 2 * NET(row)).params.items():
            np.testing.assert_allclose(each[name][i], value, rtol=1e-13, atol=1e-14)
    several = [bridge.to_torch(NET.arch.init(seed)) for seed in range(3)]
    stacked, _ = func.stack_module_state(several)
    outputs = func.vmap(lambda p: func.functional_call(module, p, (x,)))(stacked)
    assert all(torch.equal(one, other(x)) for one, other in zip(outputs, several, strict=True))


def test_only_first_derivatives_and_only_backwards():
    module = bridge.to_torch(NET)
    x, g = tensors()
    first = torch.autograd.grad(module(x), [x, module.b], g, create_graph=True)
    same([one.detach().numpy() for one in first], gradients(module, x, g)[::3])
    with pytest.raises(RuntimeError, match="expected to be differentiated once, got a second time"):
        first[0].sum().backward()
    twice = torch.func.grad(lambda s: torch.func.grad(lambda t: module(t).sum())(s).sum())
    with pytest.raises(RuntimeError, match="expected to be differentiated once, got a second time"):
        twice(x[0].detach())
    with pytest.raises(RuntimeError, match="pyham::gradient"):  # the older vmap: torch.func.jacrev is the way
        torch.autograd.grad(module(x), x, g.expand(2, *g.shape), is_grads_batched=True)
    for function in (lambda: torch.func.jvp(module, (x,), (g,)), lambda: dual(module, x.detach(), g)):
        with pytest.raises(RuntimeError, match=r"expected reverse mode .*, got forward mode"):
            function()
    with pytest.raises(Exception, match="jvp"):  # and no zeros in silence
        torch.compile(lambda s: torch.func.jvp(module, (s,), (s,)), fullgraph=True, backend="eager")(x.detach())


def dual(module, x, tangent):
    with torch.autograd.forward_ad.dual_level(), torch.no_grad():
        return module(torch.autograd.forward_ad.make_dual(x, tangent))


def test_a_graph_is_gone_through_as_often_as_it_is_kept():
    module = bridge.to_torch(NET)
    x, g = tensors()
    output = module(x)
    inputs = [x, *module.parameters()]
    twice = [torch.autograd.grad(output, inputs, g, retain_graph=True) for _ in range(2)]
    same(*[[one.numpy() for one in found] for found in twice])
    torch.autograd.grad(output, inputs, g)
    with pytest.raises(RuntimeError, match="a second time"):
        torch.autograd.grad(output, inputs, g)
    again = torch.utils.checkpoint.checkpoint(module, x, use_reentrant=False)
    same([one.numpy() for one in torch.autograd.grad(again, inputs, g)], [one.numpy() for one in twice[0]])


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace.*:DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_traced_and_exported():
    module = bridge.to_torch(NET)
    x, other = (tensors(seed=seed)[0].detach() for seed in (1, 2))
    assert torch.equal(torch.jit.trace(module, x)(other), module(other))
    assert torch.equal(torch.export.export(module, (x,)).module()(other), module(other))
    assert module(torch.nn.Parameter(x)).grad_fn.name() == module(x).grad_fn.name()


class Outputs(torch.utils.data.Dataset):
    """The outputs of a module, computed by whoever loads them."""

    def __init__(self, module, x):
        self.module, self.x = module, x

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        with torch.no_grad():
            return self.module(self.x[i])


@pytest.mark.filterwarnings("ignore:os.fork")  # by JAX, where that was imported too
def test_workers_of_a_data_loader_compute_it():
    module = bridge.to_torch(NET)
    x = tensors()[0].detach()
    loader = torch.utils.data.DataLoader(Outputs(module, x), batch_size=2, num_workers=2)
    assert torch.equal(torch.cat(list(loader)), module(x))
