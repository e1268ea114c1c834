"""Planted faults outside the reference engine: lowering, architectures, bounds, residuals, compiled loops, images.

As in ``validation.faults`` a fault is text, replaced in the source of one function, where it must occur exactly once.
Each file ``table_..`` lists the faults of some modules; ``planting`` puts them into the live package, or, where code is
jitted, into the loops that Python runs (``interpreter``). Networks keep what they computed (their stages, J), so checks
build theirs anew. Memory that nobody has written to holds NaN while they look (``fresh``): what they find does not
depend on what was there before.

What must notice are the checks as users run them. Each of the package's parts names the cheap ones that look at it:

complex_step, dot_product, sensitivity   those of ``pyham.gradcheck``
formulas           K, J and y_N by the equations of each architecture, written out without stages or pullback
compiled           everything the compiled engine computes against the reference, on a batch of several blocks
compiled, run by Python   the same, its loops run by Python, which notices if they leave their arrays
reference          everything that is made of the reference engine's functions, against those alone
bounds by hand     from norms of the parameters, and for one shear at rest, where the sharp bound is attained
residuals by hand  the definitions, on matrices that need no scaling
dual               the continuous adjoint against the continuous sensitivity
certify            ``pyham.certify``: what is guaranteed must hold; "certify control": and its control must fail
on graphs, trained   both passes and training of distributed networks against the engine in one place
sent, edges, conditions, refusals   messages, graphs, patterns and what is refused, by loops over nodes
image maps         convolutions, squeezes and pixels by their definitions, as sums over shifts
image networks     what image networks compute by the equations of their layers, or of stages where these are given
images complex step   gradients of stages and of the objective, with its penalties, through the same equations
image training     an epoch and its evaluation by the losses of the images
initial parameters   what their docstring says
images compiled    the compiled engine of images against their reference, on a batch of several blocks
certify images     ``pyham.images.certify``; "certify images control": its control, and a network that is none
image certificate by hand   its sensitivities, residuals and neighbours by their definitions
V4, V5, ..         the claims of this folder, on small networks; "V4 control": the claim held, its control did not fail

A fault of lowering that keeps a network Hamiltonian, such as a wrong step, is no fault of its gradients: the formulas
alone can tell, or the order of convergence. A bound that is too large is no violation: only a closed form can tell.

Out of reach are faults in machine code that no source shows: in the register blocks of ``pyham._blocks``, which are
written in LLVM's language, and in the polynomials of ``pyham._elementary``. The tests look at these directly, against
NumPy and multiple precision. The loops of image networks, ``pyham.images._kernels`` and ``_tiles``, and what only
passes arguments on to them have no faults here: their tests compare them with the reference. Faults of speed or memory
alone are no errors here either.
"""

from collections.abc import Iterable
from functools import cache, partial

import numpy as np

from validation.faults import Row
from validation.faults_elsewhere import fresh
from validation.faults_elsewhere.by_hand import bounds_by_hand, residuals_by_hand
from validation.faults_elsewhere.claims import certificates, dual, findings
from validation.faults_elsewhere.distribution import on_graphs, sent, trained
from validation.faults_elsewhere.engines import (
    compiled_engine,
    python_loops,
    reference_engine,
    sensitivities,
)
from validation.faults_elsewhere.fault import Fault
from validation.faults_elsewhere.formulas import formulas, gradients, parts, picked_columns
from validation.faults_elsewhere.graph_rules import conditions, edges, refusals
from validation.faults_elsewhere.image_certificate import image_certificate_by_hand, image_certificates
from validation.faults_elsewhere.image_checks import (
    compiled_images,
    image_gradients,
    image_maps,
    image_networks,
    image_shapes,
    image_stages,
    image_training,
    initial_parameters,
)
from validation.faults_elsewhere.planting import function_of, planted, source
from validation.faults_elsewhere.reading import Check, Reading
from validation.faults_elsewhere.table_architectures import ARCHITECTURES, INTERCONNECTION, SCHEMES
from validation.faults_elsewhere.table_compiled import BUFFERS, COMPILED, THREADS
from validation.faults_elsewhere.table_distributed import DISTRIBUTED
from validation.faults_elsewhere.table_image_networks import IMAGE_NETWORKS
from validation.faults_elsewhere.table_images import IMAGES
from validation.faults_elsewhere.table_kernels import BLOCKS, KERNELS, STAGEWISE
from validation.faults_elsewhere.table_layouts import LAYOUTS
from validation.faults_elsewhere.table_lowering import LOWERING
from validation.faults_elsewhere.table_network import ENGINE, NETWORK, RECOMPUTE
from validation.faults_elsewhere.table_verification import BOUNDS, CONTINUOUS, EULER, SYMPLECTIC

__all__ = [
    "CHECKS", "COMPILED", "FAULTS", "KERNELS", "SCHEMES", "Fault", "Reading",
    "checks_of", "failures", "function_of", "planted", "readings", "row", "source", "table",
]  # fmt: skip

FAULTS: tuple[Fault, ...] = (
    *LOWERING,
    *ARCHITECTURES,
    *SCHEMES,
    *INTERCONNECTION,
    *BOUNDS,
    *SYMPLECTIC,
    *EULER,
    *COMPILED,
    *BUFFERS,
    *THREADS,
    *BLOCKS,
    *STAGEWISE,
    *KERNELS,
    *RECOMPUTE,
    *ENGINE,
    *NETWORK,
    *CONTINUOUS,
    *DISTRIBUTED,
    *LAYOUTS,
    *IMAGES,
    *IMAGE_NETWORKS,
)

#: The checks that look at each module, or function where it has its own, or fault. V4: the results on H2, since MS3's
#: 64 layers take most of its time; V12: up to those on MS1, which see every scheme
CHECKS: dict[str, tuple[Check, ...]] = {
    "lowering": (gradients, formulas, certificates),
    "lowering.Architecture._new_lift": (formulas, certificates),
    "lowering.Architecture.pullback": (parts,),
    "lowering._times": (gradients, formulas, picked_columns),
    "lowering._picked": (gradients, formulas, picked_columns),
    "architectures": (formulas, certificates),
    **{
        f"architectures.{name}.{function}": (gradients, formulas, certificates)
        for name in ("MS1", "MS2", "MS3", "H2")
        for function in ("assemble", "collect")
    },
    "schemes": (formulas, partial(findings, "V12", 5)),
    "interconnection": (formulas, partial(findings, "V9")),
    "bounds": (bounds_by_hand, partial(findings, "V5")),
    "symplectic": (residuals_by_hand, certificates, partial(findings, "V4", 8)),
    "symplectic.defect": (residuals_by_hand, certificates, partial(findings, "V8")),
    "symplectic.norms": (residuals_by_hand, certificates, partial(findings, "V17")),
    "symplectic.is_orthogonal": (residuals_by_hand, certificates),
    "euler": (certificates, partial(findings, "V7")),
    "compiled": (compiled_engine, sensitivities),
    "threads": (compiled_engine, sensitivities),
    **{  # where machine code would read or write beyond its arrays
        name: (python_loops,)
        for name in (
            "compiled._cut",
            "compiled._recorded",
            "compiled.record: tape too short",
            "compiled.pull: tape of the next sample",
            "threads.Blocks.__init__",
        )
    },
    "_buffers": (python_loops,),
    "_blocks": (python_loops,),
    "_stagewise": (python_loops,),
    "_passes": (python_loops,),
    "kernels": (python_loops,),
    "recompute": (reference_engine,),
    "engine": (reference_engine, compiled_engine),
    "network": (reference_engine, compiled_engine),
    "continuous": (partial(findings, "V12", 5),),
    "continuous.Field.adjoint": (dual,),
    **{f"distributed.{name}": (on_graphs, sent) for name in ("stepping", "links", "network", "one_round")},
    "distributed.layout": (on_graphs, refusals, conditions),
    "distributed.weights": (on_graphs, trained, refusals),
    "distributed.patterns": (conditions, refusals, on_graphs),
    "distributed.readout": (trained,),
    "distributed.model": (trained,),
    "distributed.graphs": (edges,),
    "distributed.transport": (sent, refusals),
    "images.convolution": (image_maps, image_gradients),
    "images.convolution.transposed": (image_maps, image_certificates),
    "images.reference": (image_maps, image_networks, image_gradients),
    "images.reference.normalise": (image_maps,),
    "images.reference.shifted": (image_maps,),
    "images.reference.stages": (image_stages,),
    "images.reference.adjoint": (image_stages,),
    "images.reference._group": (image_stages,),
    "images.stages": (image_networks, image_gradients),
    "images.stages.shapes": (image_shapes,),
    "images.stages.Group.layer": (image_certificate_by_hand,),
    "images.architectures": (image_networks, image_gradients),
    "images.architectures.ConvH2.lower": (image_networks, image_certificates),
    "images.architectures.ConvH2.scales": (initial_parameters,),
    "images.architectures.Pixelwise.scales": (initial_parameters,),
    "images.base": (image_networks, image_gradients),
    "images.base.ImageArchitecture.init": (initial_parameters,),
    "images.network": (image_networks,),
    "images.model": (image_training, image_gradients),
    "images.model.ImageModel.objective": (image_gradients,),
    "images.certificate": (image_certificate_by_hand, image_certificates),
    "images.compiled": (compiled_images,),
}


def checks_of(fault: Fault) -> tuple[Check, ...]:
    """The checks that look at it."""
    return next(CHECKS[name] for name in (fault.name, fault.target, fault.where) if name in CHECKS)


def readings(checks: Iterable[Check]) -> list[Reading]:
    """What these checks find; "raises" where one ended in an exception."""
    found: list[Reading] = []
    for check in checks:
        try:
            with np.errstate(all="ignore"), fresh.memory():
                found.extend(check())
        except (ArithmeticError, LookupError, TypeError, ValueError):
            found.append(Reading("raises", "", np.inf, True))
    return found


@cache
def row(fault: Fault) -> Row:
    """The table's line for that fault."""
    with planted(fault):
        wrong = [reading for reading in readings(checks_of(fault)) if reading.wrong]
    checks = tuple(dict.fromkeys(reading.check for reading in wrong))
    names = tuple(dict.fromkeys(reading.network for reading in wrong if reading.network))
    residuals = [np.inf if np.isnan(reading.residual) else reading.residual for reading in wrong]
    return Row(fault.name, fault.where, fault.what, checks, names, max(residuals, default=0.0))


def table() -> list[Row]:
    """A row for every fault."""
    return [row(fault) for fault in FAULTS]


def failures() -> list[Reading]:
    """What the checks find wrong with the package as it is: nothing."""
    checks = {str(check): check for several in CHECKS.values() for check in several}  # each once
    return [reading for reading in readings(checks.values()) if reading.wrong]
