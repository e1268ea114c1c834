"""Networks from arrays equal the networks that the arrays came from; the command line certifies files."""

import json
import re

import numpy as np
import pytest

import pyham
from pyham.architectures.interconnection import J1, J2
from pyham.commands import cli
from pyham.interop import arrays

X = [[1.0, 2.0], [0.5, -3.0]]
ARCHITECTURES = [
    pyham.H1(4, 5, 0.1, interconnection="J2"),
    pyham.MS2(4, 5, 0.1, "softplus"),
    pyham.ResNet(3, 5, 0.1),
    pyham.MLP(3, 5),
    pyham.H2(4, 5, 0.1, X=X),
    pyham.H2(4, 5, 0.1, scheme="yoshida4", order="q-first"),
    pyham.MS3(4, 5, 0.1, "logistic", scheme="verlet"),
    pyham.MS1(4, 5, 0.1),
]


def scheme_of(arch):
    return "none" if arch.name == "MLP" else arch.config().get("scheme", "euler")


def arrays_of(net):
    """What somebody else's program would have: K, b, J, h and words."""
    words = {"scheme": scheme_of(net.arch), "activation": net.arch.activation}
    if "order" in net.arch.config():
        words["order"] = net.arch.order
    J = {} if net.arch.J is None else {"J": net.arch.J}
    return {"K": net.K, "b": net.b, "h": net.arch.step, **J, **words}


@pytest.mark.parametrize("arch", ARCHITECTURES, ids=str)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_network_from_its_own_arrays_is_itself(arch, dtype):
    net = arch.init(0, dtype=dtype)
    arrays = arrays_of(net)
    again = pyham.from_arrays(arrays.pop("K"), arrays.pop("b"), step=arrays.pop("h"), **arrays)
    x = np.random.default_rng(1).standard_normal((6, arch.width)).astype(dtype)
    assert again.arch.name == arch.name and again.dtype == dtype
    np.testing.assert_array_equal(again.sensitivity(x), net.sensitivity(x))


@pytest.mark.parametrize("arch", ARCHITECTURES, ids=str)
def test_arrays_in_a_file_are_certified_like_the_network(arch, tmp_path, capsys):
    net = arch.init(0)
    np.savez(tmp_path / "theirs.npz", **arrays_of(net))
    net.save(tmp_path / "ours.pyham")
    assert cli.main(["certify", str(tmp_path / "theirs.npz")]) == 0
    theirs = capsys.readouterr().out.splitlines()
    assert cli.main(["certify", str(tmp_path / "ours.pyham")]) == 0
    ours = capsys.readouterr().out.splitlines()
    assert ours[-1] == theirs[-1] and "PASSED" in ours[0]


@pytest.mark.parametrize("arch", ARCHITECTURES, ids=str)
def test_an_architecture_s_name_says_the_scheme_and_outputs_prove_it(arch):
    net = arch.init(0)
    given = arrays_of(net)
    step, usual = given.pop("h"), given["scheme"] in ("euler", "semi-implicit", "none")
    x = np.random.default_rng(1).standard_normal((6, arch.width))
    if usual:
        del given["scheme"]
    again = pyham.from_arrays(**given, step=step, architecture=arch.name, inputs=x, outputs=net(x))
    assert type(again.arch) is type(arch)
    np.testing.assert_array_equal(again(x), net(x))
    wide = x.astype(np.longdouble)
    for inputs, outputs in ((x, net(x).astype(np.float32)), (x[:0], x[:0]), (wide, net(wide, backend="reference"))):
        pyham.from_arrays(**given, step=step, architecture=arch.name, inputs=inputs, outputs=outputs)
    apart = rf"outputs: expected those of {arch.name} for these inputs, got others, by up to 0.01 where the largest is"
    with pytest.raises(ValueError, match=apart):
        pyham.from_arrays(**given, step=step, architecture=arch.name, inputs=x, outputs=net(x) + 0.01)


def test_a_network_read_by_another_scheme_does_not_give_its_outputs():
    """The semi-implicit H2 as an H1, and any network as a ResNet: certified they would pass, but they are others."""
    net = pyham.H2(4, 5, 0.3).init(0)
    x = np.random.default_rng(1).standard_normal((6, 4))
    for options in ({"scheme": "euler", "J": net.arch.J}, {"architecture": "ResNet"}):
        with pytest.raises(ValueError, match=r"^outputs: expected those of (H1|ResNet) for these inputs, got others"):
            pyham.from_arrays(net.K, net.b, step=0.3, **options, inputs=x, outputs=net(x))
    skew = pyham.MS2(4, 2, 0.1).init(0)
    assert pyham.from_arrays(skew.K, skew.b, step=0.1, architecture="ResNet").arch.name == "ResNet"


def test_outputs_are_compared_in_any_precision_and_number():
    net = pyham.H1(4, 2, 0.1).init(0, dtype=np.longdouble)
    x = np.random.default_rng(1).standard_normal((3, 4)).astype(np.longdouble)
    options = {"step": 0.1, "J": net.arch.J, "scheme": "euler"}
    y = net(x, backend="reference")
    assert pyham.from_arrays(net.K, net.b, **options, inputs=x, outputs=y).dtype == np.longdouble
    with pytest.raises(ValueError, match=r"^outputs: expected those of H1"):
        pyham.from_arrays(net.K, net.b, **options, inputs=x, outputs=y + np.longdouble(1e-8))
    pyham.from_arrays(net.K, net.b, **options, inputs=x[:0], outputs=y[:0])


def test_kinds_of_files_are_told_by_content(tmp_path, capsys):
    net = pyham.H2(4, 3, 0.1).init(0)
    net.save(tmp_path / "ours.npz")
    np.savez(tmp_path / "net.npz", **arrays_of(net))
    (tmp_path / "net.npz").rename(tmp_path / "theirs.pyham")
    for name in ("ours.npz", "theirs.pyham"):
        assert cli.main(["certify", str(tmp_path / name)]) == 0
        assert "H2(" in capsys.readouterr().out


def test_samples_dtype_and_json_of_the_command_line(tmp_path, capsys):
    pyham.H2(4, 8, 0.1).init(0).save(tmp_path / "net")
    np.save(tmp_path / "x.npy", np.random.default_rng(0).standard_normal((7, 4)))
    command = ["certify", str(tmp_path / "net"), "--samples", str(tmp_path / "x.npy"), "--dtype", "float32"]
    assert cli.main([*command, "--json", str(tmp_path / "c.json")]) == 0
    assert "7 samples, float32: PASSED" in capsys.readouterr().out
    certificate = json.loads((tmp_path / "c.json").read_text())
    assert certificate["passed"] and certificate["samples"] == 7
    assert 1 <= certificate["facts"]["smallest norm"] <= certificate["facts"]["largest"]


def test_exit_code_is_1_when_a_certificate_does_not_pass(tmp_path, capsys):
    overflowing = pyham.H2(4, 300, 1e4, "identity").init(0)
    overflowing.save(tmp_path / "net")
    with np.errstate(all="ignore"):
        assert cli.main(["certify", str(tmp_path / "net")]) == 1
    assert "NOT PASSED" in capsys.readouterr().out


def test_a_matrix_that_is_nearly_skew_symmetric_is_any_matrix():
    K = np.zeros((1, 3, 3))
    K[0, 0, 1], K[0, 1, 0] = 1, -1.5
    net = pyham.from_arrays(K, np.zeros((1, 3)), step=0.1, scheme="euler")
    np.testing.assert_array_equal(net.K, K)
    assert net.arch.name == "ResNet"


def only(**blocks):
    """Arrays whose K has ones in the named blocks, or a number other than 0 in their first entry; else zeros."""
    K = np.zeros((2, 4, 4))
    for name, value in blocks.items():
        i, j = (slice(2 * k, 2 * k + 2) for k in (name[0] == "q", name[1] == "q"))
        K[:, i, j] = [[value, 0], [0, 0]] if value else 1
    return {"K": K, "b": np.zeros((2, 4)), "h": 0.1, "scheme": "euler"}


ZEROS, ONES = only(), only(pp=0, pq=0, qp=0, qq=0)
MIXED = J1(4) + np.pad([[0, 1], [-1, 0]], ((0, 2), (0, 2)))  # p moves itself


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"K": ZEROS["K"], "b": ZEROS["b"]}, "expected K, b, h, scheme or architecture, and perhaps J, .*, got K, b"),
        (ZEROS | {"weights": 1}, "expected K, b, h, scheme or architecture, and perhaps J"),
        ({name: ZEROS[name] for name in "Kbh"}, "scheme: expected one of 'euler', .* or an arch.* got neither"),
        ({"J": J2(4), **{name: ZEROS[name] for name in "Kbh"}}, "scheme: expected one of 'euler'.*, got neither"),
        (ONES | {"architecture": "H1"}, "architecture: expected ResNet, whose arrays these are, got H1"),
        (ONES | {"architecture": "H3"}, "architecture: expected one of 'H1'"),
        (ONES | {"inputs": np.ones((1, 4))}, "inputs, outputs: expected both or none"),
        (ONES | {"inputs": np.ones((1, 3)), "outputs": np.ones((1, 3))}, r"inputs: expected shape \(B, 4\)"),
        (ZEROS | {"K": np.zeros((2, 4, 3))}, r"K: expected shape \(2, 4, 4\), got \(2, 4, 3\)"),
        (ZEROS | {"b": np.zeros((2, 3))}, r"b: expected shape \(2, 4\), got \(2, 3\)"),
        (ZEROS | {"h": -1.0}, "step: expected a positive finite number"),
        (ZEROS | {"scheme": "rk4"}, "scheme: expected one of 'euler'"),
        (ZEROS | {"J": np.eye(4)}, "expected a skew-symmetric matrix"),
        (ONES | {"scheme": "verlet"}, "K: expected .* without J"),
        (only(pq=0, qp=0) | {"scheme": "verlet"}, "K: expected .* without J"),
        (ONES | {"scheme": "verlet", "J": J2(4)}, "K: expected block diagonal K with J"),
        (only(pp=0, qq=0, pq=3) | {"scheme": "verlet", "J": J1(4)}, "K: expected block diagonal K with J"),
        (only(pp=0, qq=0) | {"scheme": "verlet", "J": MIXED}, "K: expected block diagonal K with J"),
        (ONES | {"scheme": "none", "J": J2(4)}, "J: expected None with scheme='none'"),
    ],
)
def test_read_arrays__raises_on_arrays_that_make_no_network(given, message, tmp_path):
    np.savez(tmp_path / "net.npz", **given)
    with pytest.raises((TypeError, ValueError), match=message):
        arrays.read_arrays(tmp_path / "net.npz")


def test_read_arrays__raises_on_pickles_and_damaged_files(tmp_path):
    np.savez(tmp_path / "objects.npz", K=np.array([{}], dtype=object))
    (tmp_path / "text.npz").write_text("no archive")
    np.savez(tmp_path / "cut.npz", **arrays_of(ARCHITECTURES[0].init(0)))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "cut.npz").read_bytes()[:-100])
    for name in ("objects", "text", "cut"):
        with pytest.raises(ValueError, match=r"expected an \.npz file of plain arrays, got another"):
            arrays.read_arrays(tmp_path / f"{name}.npz")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["certify", "missing.pyham"], "No such file"),
        (["certify", "net", "--random", "-1"], "expected integers >= 0, got -1"),
        (["certify", "net", "--samples", "x.npy"], r"x: expected shape \(B, 4\), got \(2, 3\)"),
        (["certify", "net", "--samples", "complex.npy"], "--samples: expected .* real numbers, got complex128"),
        (["certify", "net", "--samples", "dates.npy"], "--samples: expected .* real numbers, got datetime64"),
        (["certify", "net", "--samples", "net"], "net: expected an .npy file of plain numbers, got another"),
        (["certify", "x.npy"], "x.npy: expected a file written by pyham, got another program's"),
    ],
)
def test_cli__says_what_is_wrong_and_returns_2(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pyham.H2(4, 2, 0.1).init(0).save("net")
    np.save("x.npy", np.zeros((2, 3)))
    np.save("complex.npy", np.zeros((2, 4)) * 1j)
    np.save("dates.npy", np.zeros((2, 4), "datetime64[s]"))
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("python -m pyham certify: ")
    assert re.search(message, error)
