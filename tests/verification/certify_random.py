"""``python -m tests.verification.certify_random``: certificates of random networks, right ones and broken ones.

``right``: networks of every architecture, scheme, activation, width 1 to 96, depth 0 to 300, batch 1 to 500, step 1e-8
to 2, float32 and float64, on graphs and of images too. None may be refused. A network whose sensitivities overflow is
counted apart: of it nothing can be said. Counted are also checks without a control, by their reasons.

``broken``: the same networks with something wrong in weights or in an engine that moves a result by at least 100
tolerances; those that are not refused are listed.
"""

import argparse
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace

import numpy as np

import pyham
from pyham.architectures.activations import Activation
from pyham.architectures.chain import Chain
from pyham.architectures.images import Pixelwise
from pyham.architectures.stages import Stages
from pyham.engines.reference import REFERENCE, Reference
from pyham.engines.results import Trace
from pyham.network import Network
from pyham.verification.certificate import Subject
from tests.verification.random_networks import COST, case, log_uniform


def right(seed):
    """What a certificate says of a right network: verdict, failures, and reasons for controls that are missing."""
    _, net, x = case(seed)
    try:
        certificate = pyham.certify(net, x)
    except Exception as error:
        raise RuntimeError(f"seed {seed}: {net}, {x.shape}") from error
    reasons = [check.reason for check in certificate.checks if check.guaranteed and check.reason]
    near = max((c.measured / c.tolerance for c in certificate.checks if c.guaranteed and c.tolerance > 0), default=0)
    if certificate.passed:
        return seed, "passed", "", reasons, near
    finite = all(np.isfinite(c.measured) or c.measured == -np.inf for c in certificate.checks if c.guaranteed)
    return seed, "REFUSED" if finite else overflow(net, x), str(certificate), reasons, near


def overflow(net, x):
    """Whether numbers that are not finite come from the network, not from the certificate."""
    inner = Network(net.arch.network, net.params) if isinstance(net.arch, Pixelwise) else net
    y = np.moveaxis(x, 1, -1).reshape(-1, inner.arch.width) if inner is not net else x
    with np.errstate(all="ignore"):
        phi = (
            inner.sensitivity(y[:50].astype(np.float64))
            if y[:1].size <= 512
            else inner.sensitivity(y[:1].astype(np.float64))
        )
    return "overflow" if not np.abs(phi).max() < 1e30 else "REFUSED"


class Broken(Reference):
    """An engine whose results are changed by a function of (what, index of the call, array)."""

    def __init__(self, real, change, reference_stages=None):
        self.real, self.change, self.other = real, change, reference_stages

    def run(self, stages, x):
        trace = self.real.run(stages, x)
        return Trace(self.change("states", list(trace.states)), stages=stages)

    def back(self, stages, trace, g):
        if self.other:
            stages = self.other(stages)
        delta, gradients = REFERENCE.adjoint(stages, trace.states, g)
        delta = self.change("delta", list(delta))
        return delta, delta[0], gradients

    def sensitivities(self, stages, x, last=None):
        if self.other:
            return REFERENCE.sensitivities(self.other(stages), x, last)
        return self.change("phi", self.real.sensitivities(stages, x, last))


def halved(stages):
    """The same stages with half of sigma'."""
    sigma = stages.activation
    wrong = Activation("wrong", sigma.sigma, lambda a: sigma.derivative(a) / 2, sigma.integrand, sigma.slope)
    sections = [replace(section, activation=wrong) for section in stages.sections]
    return sections[0] if len(sections) == 1 else Chain(sections)


FAULTS = (
    *("entry of phi", "factor of phi", "entry of delta", "factor of delta", "entry of a state", "transposed phi"),
    *("samples of phi in reverse", "layers of phi in reverse", "half of sigma'", "entry of W", "sign in W"),
)


def broken(seed):
    """Whether a certificate refuses a network or an engine with a fault of at least 100 tolerances."""
    rng, net, x = case(seed, COST / 10, 60)
    fault = str(rng.choice(FAULTS))
    net, x = (net, x) if not isinstance(net.arch, Pixelwise) else (Network(net.arch.network, net.params), x[:, :, 0, 0])
    N = net.arch.depth
    if N == 0:
        return seed, "no fault", "", [], 0.0
    with np.errstate(all="ignore"):
        subject = Subject(net, x, len(x) if x[:1].size <= 512 else 1, "numba")
        phi, passes = subject.phi, subject.passes
        if not np.isfinite(phi.found["fro"]).all():
            return seed, "no fault", "", [], 0.0
        j, b, times = int(rng.integers(N)), int(rng.integers(phi.full)), log_uniform(rng, 100, 1e6)
        of_phi, of_delta = phi.against_forward().tolerance[j, b], passes.backward().tolerance[j, b]
        of_state = passes.forward().tolerance[j, b]
    n, real = passes.n, passes.engine
    i, k = (int(v) for v in rng.integers(n, size=2))
    size = float(max(phi.found["fro"][j, b], phi.found["fro"][j + 1, b]))

    def change(what, array):
        whole = array[0].shape[0] == phi.full and len(array) == N + 1
        if what == "phi" and whole and ("of phi" in fault or "ed phi" in fault):
            array = array.copy()
            if fault == "entry of phi":
                array[j, b, i, k] += times * of_phi * size
            elif fault == "factor of phi":
                array[: j + 1] *= 1 + times * of_phi
            elif fault == "transposed phi":
                array = array.swapaxes(-1, -2)
            elif fault == "samples of phi in reverse":
                array = array[:, ::-1]
            else:
                array[:-1] = array[:-1][::-1].copy()
        elif what == "delta" and fault.endswith("of delta"):
            lengths = [float(np.linalg.norm(array[m][b].astype(float))) for m in (j, j + 1)]
            array[j] = array[j].copy()
            if fault == "entry of delta":
                array[j][b].reshape(-1)[i] += times * of_delta * max(lengths)
            else:
                array[j][b] *= 1 + times * of_delta * max(lengths) / max(lengths[0], 1e-300)
        elif what == "states" and whole and fault == "entry of a state":
            array[j + 1] = array[j + 1].copy()
            flat = array[j + 1][b].reshape(-1)
            flat[i] += times * of_state * max(1.0, float(np.abs(flat.astype(float)).max()))
        return array

    subject_net, backend = net, Broken(real, change, halved if fault == "half of sigma'" else None)
    with np.errstate(all="ignore"):
        if fault in ("entry of W", "sign in W"):
            if not subject.exact or phi.found["fro"].max() > 1e6:
                return seed, "no fault", "", [], 0.0
            subject_net, backend = Wrong(net, rng, fault == "sign in W"), "numba"
            moved = Subject(subject_net, x, phi.full, "numba").phi.reading("defect")
            moved = float((moved.measured / moved.tolerance).max())
        elif fault == "half of sigma'":
            wrong = Subject(net, x, phi.full, backend).phi.against_forward()
            moved = float((wrong.measured / wrong.tolerance).max())
        elif fault in ("transposed phi", "samples of phi in reverse", "layers of phi in reverse"):
            array = passes.engine.sensitivities(passes.stages, x[: phi.full])
            apart = np.linalg.norm((change("phi", array) - array).astype(float), axis=(-2, -1))[:-1]
            limit = phi.against_forward().tolerance * np.maximum(phi.found["fro"][:-1], phi.found["fro"][1:])
            moved = float((apart / limit).max())
        else:
            moved = times
    fro, limit, delta = phi.found["fro"][:-1], phi.against_forward().tolerance, passes.deltas[0]
    if fault == "factor of phi":  # of all samples, relative to each layer's sensitivities, which may be smaller
        sizes = np.maximum(fro[j], phi.found["fro"][j + 1])
        moved = float((times * of_phi * fro[j] / np.where(sizes > 0, limit[j] * sizes, np.inf)).max())
    if fault in ("factor of delta", "entry of delta") and not delta[j, b].any():
        moved = 0.0  # a multiple of zero
    if not moved >= 100 or (fault == "entry of phi" and size == 0):
        return seed, "too small", "", [], 0.0
    certificate = pyham.certify(subject_net, x, backend=backend, full=phi.full)
    text = f"{fault}, moved by {moved:.3g} tolerances, layer {j} of {N}, sample {b}\n{certificate}"
    return seed, "MISSED" if certificate.passed else "refused", text, [fault], 0.0


class Wrong(Network):
    """A network one entry of whose W is not what its parameters say."""

    def __init__(self, net, rng, sign):
        super().__init__(net.arch, dict(net.params))
        self.rng, self.sign = rng.integers(1 << 30), sign
        self.factor = -1 if sign else 1 + log_uniform(rng, 1e-12, 1)

    def stages(self, dtype=None):
        stages = super().stages(dtype)
        rng = np.random.default_rng(self.rng)
        sections = list(stages.sections)
        s = int(rng.integers(len(sections)))
        W = sections[s].W.copy()
        W.reshape(-1)[int(rng.integers(W.size))] *= self.factor
        sections[s] = replace(sections[s], W=W)
        return sections[0] if isinstance(stages, Stages) else Chain(sections)


def main(argv=None):
    parser = argparse.ArgumentParser(
        prog="python -m tests.verification.certify_random", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument("what", choices=("right", "broken"))
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args(argv)
    verdicts, missing, largest = Counter(), Counter(), 0.0
    with ProcessPoolExecutor(options.jobs) as pool:
        jobs = [
            pool.submit({"right": right, "broken": broken}[options.what], options.seed + i)
            for i in range(options.count)
        ]
        for i, job in enumerate(as_completed(jobs)):
            seed, verdict, text, reasons, near = job.result()
            verdicts[verdict] += 1
            missing.update(reasons)
            largest = max(largest, near if verdict == "passed" else 0)
            if verdict in ("REFUSED", "MISSED"):
                print(f"seed {seed}\n{text}", flush=True)
            if i % 500 == 499:
                print(i + 1, dict(verdicts), file=sys.stderr, flush=True)
    words = "checks without control" if options.what == "right" else "faults"
    print(dict(verdicts), f"{words}:", dict(missing), f"nearest to its tolerance: {largest:.3f}")
    return 1 if verdicts["REFUSED"] or verdicts["MISSED"] > 1e-3 * verdicts["refused"] else 0


if __name__ == "__main__":
    sys.exit(main())
