"""Activations in balls enclose what mpmath computes; bounds are rounded outwards; a norm is below 1 only if proven."""

import math
import sys

import mpmath
import numpy as np
import pytest

import pyham
from pyham.architectures.activations import ACTIVATIONS
from pyham.verification import ball_questions, balls
from pyham.verification.ball_activations import enclosing
from pyham.verification.ball_questions import down, up
from pyham.verification.ball_stages import matrix

flint = pytest.importorskip("flint")
arb = flint.arb


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_enclose_both_functions_at_every_point_of_a_ball(activation, rng):
    own = ACTIVATIONS[activation]
    function = enclosing(own)
    middles = np.concatenate([[0.0, 1e-30, -745.0, 745.0, 3e4, -3e4], rng.standard_normal(40) * 10])
    for middle in middles:
        for radius in (0.0, 1e-30, 1e-8, 1.0, 50.0):
            with balls.precision(150), mpmath.workdps(60):
                sigma, slope = function(arb(float(middle), radius))
                ends = [mpmath.mpf(middle) + t * mpmath.mpf(radius) for t in (-1, -0.3, 0, 1)]
                points = np.array(ends, dtype=object)
                for enclosure, values in ((sigma, own.sigma(points)), (slope, own.derivative(points))):
                    widened = enclosure + arb(0, 1e-55)  # mpmath rounds too
                    assert all(widened.contains(arb(mpmath.mpf(value))) for value in values), (middle, radius)
                if radius <= 1e-8 and not (activation == "relu" and abs(middle) <= radius):
                    assert float(sigma.rad()) <= 2 * radius + 1e-35 * (1 + abs(middle))
                    assert float(slope.rad()) <= 5 * radius + 1e-40
                elif radius >= 1:
                    assert float(slope.rad()) <= own.slope / 2 + 1e-8
                    assert float(sigma.rad()) <= radius * (1 + 1e-8)  # |sigma'| <= 1; radii have 30 bits


def test_saturated_units_keep_their_relative_accuracy():
    with balls.precision(150):
        for name, decay in (("tanh", 2), ("logistic", 1)):
            _, slope = enclosing(ACTIVATIONS[name])(arb(1000))
            assert slope.rel_accuracy_bits() > 130 and (slope / (-decay * arb(1000)).exp()).log().abs_upper() < 2
    net = pyham.H2(4, 2, 0.5).init(0).replace({"b": np.full((2, 4), 400.0)})  # sigma' near 1e-347
    proof = balls.prove(net, np.zeros((1, 4)))
    assert proof.proven and proof.norms.worst == 1
    with balls.precision(200):
        assert all(R != 0 for R in balls.enclose(balls.lower(net), np.zeros(4)).deviations[:-1])


def test_norms_below_1_are_told_from_those_that_a_vector_does_not_show():
    with balls.precision(100):
        G, v = matrix(np.diag([-0.9, 0.5])), matrix(np.array([[1.0], [0.0]]))
        answer, excess = ball_questions._norm(G, v)
        assert (answer.verdict, float(excess)) == ("undecided", -0.2) and answer.number <= 0.8**0.5
        assert ball_questions._norm(matrix(np.diag([-0.9, -0.5])), v)[0].verdict == "excluded"
        wide = flint.arb_mat([[0, arb(0, 1)], [arb(0, 1), 0]])
        assert ball_questions._norm(wide, None)[0].verdict == "undecided"
    off = pyham.H2(4, 2, activation="relu").init(0).replace({"b": np.full((2, 4), -100.0)})
    assert balls.prove(off, np.zeros((1, 4))).norms == balls.Verdict("proven", 1.0, 1, 0)  # Phi = I exactly
    off = pyham.MLP(3, 2, activation="relu").init(0).replace({"b": np.full((2, 3), -100.0)})
    assert balls.prove(off, np.zeros((1, 3))).norms == balls.Verdict("excluded", 0.0, 1, 0)


def test_bounds_are_rounded_outwards():
    with balls.precision(200):
        third = 1 / arb(3)
        assert down(third) < third < up(third) == math.nextafter(down(third), 1)
        assert down(arb(0.5)) == up(arb(0.5)) == 0.5
        assert (down(arb(10) ** 400), up(arb(10) ** 400)) == (sys.float_info.max, math.inf)
        assert 0 <= down(arb(10) ** -400) < up(arb(10) ** -400) == math.ulp(0.0)
        assert (down(arb("nan")), up(arb("nan"))) == (0, math.inf)
