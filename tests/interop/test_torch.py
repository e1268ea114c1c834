"""Networks as modules of PyTorch: pyham's gradients to the bit, copies and files, and certificates of any layers."""

import copy
import io
import pickle

import numpy as np
import pytest

import pyham
from benchmarks import torch_bridge
from tests.interop.modules import gradients, one_thread_of_pytorch, tensors  # noqa: F401
from tests.interop.networks import ARCHITECTURES, NET, same, samples
from tests.oracles.refusals import refused

torch = pytest.importorskip("torch")
bridge = pytest.importorskip("pyham.interop.torch")

from pyham.interop import torch_operators as operators  # noqa: E402


@pytest.mark.parametrize("arch", ARCHITECTURES, ids=str)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_outputs_and_gradients_are_pyhams_to_the_bit(arch, dtype):
    net = arch.init(0, dtype=dtype)
    module = bridge.to_torch(net)
    assert [name for name, _ in module.named_parameters()] == list(net.params)
    x, g = samples(arch, dtype)
    expected = net.adjoint(net.trace(x), g)
    same(gradients(module, torch.from_numpy(x).requires_grad_(), torch.from_numpy(g)),
         [expected.input, *expected.params.values()])  # fmt: skip
    with torch.no_grad():
        same([module(torch.from_numpy(x)).numpy()], [net(x)])


@pytest.mark.parametrize("arch", [ARCHITECTURES[1], ARCHITECTURES[-2]], ids=str)
def test_gradcheck_and_opcheck(arch):
    module = bridge.to_torch(arch.init(0))
    x, g = tensors(arch, batch=2)
    params = list(module.parameters())
    fast = len(arch.shape) > 1  # along random directions, of which there are many
    assert torch.autograd.gradcheck(module, x, fast_mode=fast)

    def operator(x, *params):
        return operators.forward(x, list(params), module.program.key)

    assert fast or torch.autograd.gradcheck(operator, (x, *params))
    torch.library.opcheck(operators.forward, (x, params, module.program.key))
    fixed = [p.detach() for p in params]
    needed = [True, False, *[True] * (len(params) - 1)]
    torch.library.opcheck(operators.gradient, (x.detach(), fixed, g, module.program.key, needed))


def test_gradients_follow_the_parameters_however_they_are_changed():
    module = bridge.to_torch(NET)
    x, g = tensors()
    with torch.no_grad():
        module.Kp.mul_(1.5)
    module.Kq.data[0, 0, 0] = 3.0  # of which PyTorch keeps no record
    net = module.network()
    assert net.params["Kq"][0, 0, 0] == 3.0 and not np.array_equal(net.params["Kp"], NET.params["Kp"])
    expected = net.adjoint(net.trace(x.detach().numpy()), g.numpy())
    same(gradients(module, x, g), [expected.input, *expected.params.values()])
    module.b.data = module.b.data.float()  # of another dtype than the rest
    assert torch.autograd.grad(module(x).sum(), module.b)[0].dtype == torch.float32
    output = module(x)
    with torch.no_grad():
        module.Kp.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()


class Doubled(torch.nn.Module):
    def forward(self, value):
        return 2 * value


def test_parameters_may_be_computed_from_others():
    module = bridge.to_torch(NET)
    torch.nn.utils.parametrize.register_parametrization(module, "Kp", Doubled())
    x, g = tensors()
    expected = NET.replace({"Kp": 2 * NET.params["Kp"]}).gradient(x.detach().numpy(), g.numpy())
    output = module(x)
    (of_original,) = torch.autograd.grad(output, module.parametrizations.Kp.original, g)
    same([output.detach().numpy(), of_original.numpy()], [expected.output, 2 * expected.params["Kp"]])


def test_nothing_is_computed_for_what_needs_no_gradient(monkeypatch):
    module = bridge.to_torch(NET)
    x, g = tensors()
    full = dict(zip(["x", *NET.params], gradients(module, x, g), strict=True))
    for name in ("Kp", "Kq"):
        getattr(module, name).requires_grad_(False)
    output = module(x.detach())
    output.backward(g)
    assert module.Kp.grad is None and module.Kq.grad is None and x.grad is None
    same([module.b.grad.numpy()], [full["b"]])
    params = [p.detach() for p in module.parameters()]
    found = operators.gradient(x.detach(), params, g, module.program.key, [True, False, False, True])
    same([one.numpy() for one in found], [full["x"], full["b"]])
    module.requires_grad_(False)
    assert not module(x.detach()).requires_grad

    def forbidden(self, gradients):
        raise AssertionError("gradients of parameters")

    monkeypatch.setattr(type(NET.arch), "pullback", forbidden)
    same([torch.autograd.grad(module(x), x, g)[0].numpy()], [full["x"]])


def test_half_precision_is_computed_in_float32():
    net = NET.arch.init(0, dtype=np.float32)
    module = bridge.to_torch(net)
    x = tensors()[0].detach().bfloat16()
    assert torch.equal(module(x), module(x.float()).bfloat16())
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), module, torch.nn.Linear(4, 2))
    with torch.autocast("cpu", torch.bfloat16):
        output = model(x.float())
    assert output.dtype == torch.bfloat16
    output.sum().backward()
    assert module.Kp.grad.dtype == torch.float32 and module.Kp.grad.isfinite().all()
    assert module.bfloat16()(x).dtype == torch.bfloat16 and module.network().dtype == np.float32
    assert module.double()(x.double()).dtype == torch.float64
    x = tensors()[0].detach()
    same(
        [bridge.to_torch(NET)(x.float()).detach().numpy()], [NET(x.numpy().astype(np.float32))]
    )  # rounded to x's dtype


@pytest.mark.parametrize("arch", [ARCHITECTURES[0], ARCHITECTURES[-2], ARCHITECTURES[-1]], ids=str)
def test_copies_pickles_and_state_dicts(arch):
    net = arch.init(0)
    module = bridge.to_torch(net)
    x = tensors(arch)[0].detach()
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    other = bridge.to_torch(arch.init(1))
    assert not torch.equal(other(x), module(x))
    other.load_state_dict(state)
    for one in (other, copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(one(x), module(x)) and one.arch == arch
    for found in (bridge.from_torch(module), bridge.from_torch(state, arch), other.network()):
        assert found.arch == arch
        same(list(found.params.values()), list(net.params.values()))
    copied = copy.deepcopy(module)
    next(iter(copied.parameters())).data += 1
    assert not torch.equal(copied(x), module(x))
    same(list(module.network().params.values()), list(net.params.values()))


def test_samples_of_any_leading_dimensions():
    module = bridge.to_torch(NET)
    x, g = tensors(batch=6)
    whole = gradients(module, x, g)
    output = module(x.reshape(2, 1, 3, 4))
    assert output.shape == (2, 1, 3, 4)
    found = torch.autograd.grad(output, [x, *module.parameters()], g.reshape(2, 1, 3, 4))
    same([one.numpy() for one in found], whole)
    assert module(x[0]).shape == (4,) and module(x[:0]).shape == (0, 4) and module(x[None, :0]).shape == (1, 0, 4)
    strided = x.detach().T.contiguous().T.requires_grad_()
    same(gradients(module, strided, g.sum(0).expand(6, 4)), gradients(module, x, g.sum(0).expand(6, 4)))


def test_a_model_around_it_learns():
    torch.manual_seed(0)
    x, labels, _, _ = pyham.datasets.train_test_split(*pyham.datasets.double_moons(400, rng=0))
    x, labels = torch.from_numpy(x[:, [0, -1]]).float(), torch.from_numpy(labels).long()
    layers = bridge.to_torch(pyham.H2(4, 8, 0.1).init(0, dtype=np.float32))
    model = torch.nn.Sequential(torch.nn.Linear(2, 4), layers, torch.nn.Linear(4, 2))
    adam, entropy = torch.optim.Adam(model.parameters(), lr=0.03), torch.nn.CrossEntropyLoss()
    losses = []
    for _ in range(80):
        adam.zero_grad()
        losses.append(entropy(model(x), labels))
        losses[-1].backward()
        adam.step()
    assert losses[-1] < 0.1 < 0.5 < losses[0]
    assert bridge.certify(layers, model[0](x[:20])).passed


def test_the_benchmark_trains_the_same_in_both_ways():
    assert torch_bridge.difference("H2") < 1e-14


class Shear(torch.nn.Module):
    """p <- p - h Kq^T tanh(Kq q + bq), q <- q + h Kp^T tanh(Kp p + bp), or with another matrix for Kp^T."""

    def __init__(self, m, h, other=False):
        super().__init__()
        self.q, self.p = torch.nn.Linear(m, m), torch.nn.Linear(m, m)
        self.other = torch.nn.Linear(m, m) if other else self.p
        self.m, self.h = m, h

    def forward(self, y):
        p, q = y[..., : self.m], y[..., self.m :]
        p = p - self.h * torch.tanh(self.q(q)) @ self.q.weight
        q = q + self.h * torch.tanh(self.p(p)) @ self.other.weight
        return torch.cat((p, q), -1)


J = np.block([[np.zeros((3, 3)), -np.eye(3)], [np.eye(3), np.zeros((3, 3))]])


def test_a_symplectic_sequential_passes_and_of_another_the_layer_is_named():
    torch.manual_seed(0)
    x = torch.randn(4, 6)
    good = torch.nn.Sequential(*[Shear(3, 0.3) for _ in range(4)])
    certificate = bridge.certify(good, x, J=J)
    assert certificate.passed and all(check.control_failed for check in certificate.checks), str(certificate)
    assert {check.name for check in certificate.checks} >= {"layers", "symplectic", "derivatives"}
    assert good[0].p.weight.dtype == torch.float32 and good.training  # copies were looked at
    bad = torch.nn.Sequential(*[Shear(3, 0.3, other=i == 2) for i in range(4)])
    certificate = bridge.certify(bad, x, J=torch.from_numpy(J))
    (layers,) = (check for check in certificate.checks if check.name == "layers")
    assert not certificate.passed and layers.layer == 2 and "VIOLATED (layer 2" in str(certificate)


def test_a_list_may_have_modules_of_pyham_and_functions_and_dropout():
    net = pyham.H2(6, 3, 0.3).init(0)
    module = bridge.to_torch(net)
    x = next(samples(net.arch, batch=3))
    phi = np.linalg.norm(net.sensitivity(x)[0], 2, axis=(1, 2))
    certificate = bridge.certify([torch.nn.Dropout(), module, lambda y: 1.0 * y], x, J=net.arch.J)
    assert certificate.passed and certificate.facts["largest"] == pytest.approx(phi.max(), rel=1e-12)
    assert str(bridge.certify(module, torch.from_numpy(x))) == str(pyham.certify(net, x))


MODULE = bridge.to_torch(NET)
test_what_does_not_fit_is_refused = refused([
    (bridge.to_torch, NET.arch, TypeError, "net: expected a Network, got H2"),
    (bridge.to_torch, NET.arch.init(0, dtype=np.longdouble), TypeError,
     "net: expected parameters of float32 or float64, got .*"),
    (MODULE, [1.0], TypeError, "x: expected a tensor, got list"),
    (MODULE, torch.zeros(2, 3), ValueError, r"x: expected shape \(\.\., 4\), got \(2, 3\)"),
    (MODULE, torch.tensor(1.0), ValueError, r"x: expected shape \(\.\., 4\), got \(\)"),
    (MODULE, torch.zeros(2, 4, dtype=torch.int64), TypeError,
     "x: expected float64, float32, bfloat16 or float16, got torch.int64"),
    (MODULE, torch.zeros(2, 4, device="meta"), ValueError,
     "x: expected a tensor in main memory, as pyham computes there, got one on meta"),
    (bridge.from_torch, torch.nn.Linear(2, 2), TypeError,
     "module: expected what to_torch made, or its state_dict, got Linear"),
    (bridge.from_torch, MODULE.state_dict(), TypeError,
     "arch: expected an Architecture, as a state_dict does not say it, got NoneType"),
    (lambda state: bridge.from_torch(state, NET.arch), {"Kp": torch.zeros(2)}, ValueError,
     "params: expected the names Kp, Kq, b, got Kp"),
    (lambda arch: bridge.from_torch(MODULE, arch), pyham.H2(4, 6), ValueError, 
     r"arch: expected H2\(.*\), which the module has, or None, got H2\(.*\)"),
    (lambda x: bridge.certify(torch.nn.Linear(4, 4), x), torch.zeros(2, 4), TypeError,
     "module: expected what to_torch made, an nn.Sequential, or a list of modules and functions, got Linear; .*"),
    (lambda x: bridge.certify([torch.nn.Identity(), 3], x), torch.zeros(2, 4), TypeError,
     r"module\[1\]: expected a module or a function, got int"),
    (lambda x: bridge.certify(MODULE, x, J="fit"), torch.zeros(2, 4), ValueError,
     "J: expected None, as H2 knows its own, got str"),
    (lambda key: operators.forward(torch.zeros(2, 4), [], key), "H9-0", RuntimeError,
     "arch: expected an architecture that pyham.interop.torch.to_torch was given in this process, got H9-0"),
])  # fmt: skip
