"""Networks in PyTorch: as layers of its models, back from there, and certificates of its layers.

    from pyham.interop import torch as bridge

    layer = bridge.to_torch(pyham.H2(width=4, depth=64, step=0.05).init(0))     # an nn.Module
    model = nn.Sequential(nn.Linear(2, 4), layer, nn.Linear(4, 2))              # trained like any other
    net = layer.network()                                                       # a pyham.Network with what it learnt
    bridge.certify(layer, x)

Both passes run on pyham's engine, the backward pass by its explicit adjoint. Needs PyTorch: pip install "pyham[torch]".
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pyham import _check
from pyham.architectures.interface import ArchitectureBase
from pyham.network import Network
from pyham.verification import certify_layers
from pyham.verification.certificate import Certificate
from pyham.verification.certificate import certify as certify_network

try:
    import torch

    from pyham.interop import torch_passes as passes
except ImportError as error:
    raise ImportError(
        f'pyham.interop.torch: expected PyTorch, python -m pip install "pyham[torch]", got {error}'
    ) from None

Array = np.ndarray[Any, Any]

HALF = (torch.float16, torch.bfloat16)


class HamiltonianLayers(torch.nn.Module):
    """All layers of one network of pyham's, with its parameters under their names.

    It takes x (.., n), or (.., C, rows, columns) for images, with any dimensions before those of a sample, and
    gives y_N in x's dtype. The computation runs in x's dtype too, to which the parameters are rounded; float16 and
    bfloat16, as autocast makes them, are computed in float32.
    """

    def __init__(self, net: Network) -> None:
        super().__init__()
        self.program = passes.Program(net.arch)
        for name, value in net.params.items():
            self.register_parameter(name, torch.nn.Parameter(torch.from_numpy(value.copy())))

    @property
    def arch(self) -> Any:
        """The architecture."""
        return self.program.arch

    def forward(self, x: Any) -> Any:
        """y_N from x = y_0."""
        program = self.program
        shape = program.shape
        before = passes.leading(x, shape)
        rows = _wide(passes.rows_of(x, before, shape))
        own = self._parameters  # faster than as attributes, which they become where PyTorch computes them from others
        params = [_wide(own[name] if name in own else getattr(self, name)) for name in program.names]
        y = passes.apply(program, rows, params)
        y = y if len(before) == 1 else y.reshape(*before, *y.shape[1:])
        return y.to(x.dtype) if x.dtype in HALF else y

    def network(self) -> Network:
        """The network with the present parameters, of which this is a copy."""
        return _network(self.arch, {name: getattr(self, name) for name in self.arch.shapes})

    def extra_repr(self) -> str:
        """The architecture, as printing a module shows it."""
        return str(self.arch)


def _wide(tensor: Any) -> Any:
    """float16 and bfloat16 in float32."""
    return tensor.float() if tensor.dtype in HALF else tensor


def to_torch(net: Network) -> HamiltonianLayers:
    """The network as a trainable module of PyTorch, with copies of its parameters.

    Raises
    ------
    TypeError
        If it is no network of float32 or float64 parameters.
    """
    if not isinstance(net, Network):
        raise TypeError(f"net: expected a Network, got {type(net).__name__}")
    if net.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise TypeError(f"net: expected parameters of float32 or float64, got {net.dtype}")
    return HamiltonianLayers(net)


def from_torch(module: Any, arch: ArchitectureBase | None = None) -> Network:
    """The network of a module that to_torch made, or of its state_dict and its architecture.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.
    """
    if isinstance(module, HamiltonianLayers):
        if arch is not None and arch != module.arch:
            raise ValueError(f"arch: expected {module.arch}, which the module has, or None, got {arch}")
        return module.network()
    if not isinstance(module, Mapping):
        raise TypeError(f"module: expected what to_torch made, or its state_dict, got {type(module).__name__}")
    if not isinstance(arch, ArchitectureBase):
        raise TypeError(f"arch: expected an Architecture, as a state_dict does not say it, got {type(arch).__name__}")
    return _network(arch, module)


def _network(arch: Any, values: Mapping[str, Any]) -> Network:
    """A network with copies of these tensors; what is narrower than float32 becomes float32."""
    arrays = {}
    for name, value in values.items():
        tensor = value.detach().cpu() if isinstance(value, torch.Tensor) else torch.as_tensor(value)
        arrays[name] = _wide(tensor).numpy()
    return Network(arch, arrays)


def certify(module: Any, x: Any, *, J: Any = None, error: float | None = None) -> Certificate:
    """Certificate of a module on the samples x (B, n), a tensor or an array.

    Parameters
    ----------
    module : what to_torch made: then this is ``pyham.certify`` of its network. Or an nn.Sequential, an
        nn.ModuleList or a list of modules and functions from (B, n) to (B, n), each row from its own sample alone:
        then this is ``pyham.verification.certify_layers``, on copies of the modules in float64 and in eval mode,
        with Jacobians by PyTorch's jacrev, which are compared with differences.
    J, error : as for certify_layers; a network of pyham's knows both itself

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.
    """
    samples = x.detach().cpu().numpy() if isinstance(x, torch.Tensor) else x
    if isinstance(module, HamiltonianLayers):
        for name, value in (("J", J), ("error", error)):
            if value is not None:
                raise ValueError(
                    f"{name}: expected None, as {module.arch.name} knows its own, got {type(value).__name__}"
                )
        return certify_network(module.network(), samples)
    if not isinstance(module, (torch.nn.Sequential, torch.nn.ModuleList, list, tuple)):
        raise TypeError(
            "module: expected what to_torch made, an nn.Sequential, or a list of modules and functions, got "
            f"{type(module).__name__}; a list of this module alone would do"
        )
    name = type(module).__name__ if isinstance(module, torch.nn.Module) else "layers"
    y = _check.array("x", samples, ("B", "n")).astype(np.float64)
    layers = [_double(f"module[{i}]", layer) for i, layer in enumerate(module)]
    return certify_layers(
        [_values(layer) for layer in layers],
        y,
        J=J.detach().cpu().numpy() if isinstance(J, torch.Tensor) else J,
        derivatives=[_jacobian(layer) for layer in layers],
        error=error,
        name=name,
    )


def _double(name: str, layer: Any) -> Any:
    """A copy in float64 of a module, as it computes after training; a function as it is."""
    if isinstance(layer, torch.nn.Module):
        return copy.deepcopy(layer).double().eval()
    if not callable(layer):
        raise TypeError(f"{name}: expected a module or a function, got {type(layer).__name__}")
    return layer


def _values(layer: Any) -> Callable[[Array], Array]:
    def values(y: Array) -> Array:
        with torch.no_grad():
            return np.asarray(layer(torch.from_numpy(y)).numpy())

    return values


def _jacobian(layer: Any) -> Callable[[Array], Array]:
    of_one = torch.func.vmap(torch.func.jacrev(lambda sample: layer(sample[None])[0]))

    def jacobian(y: Array) -> Array:
        return np.asarray(of_one(torch.from_numpy(y)).detach().numpy())

    return jacobian
