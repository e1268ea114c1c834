"""The command line: ``python -m pyham``."""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

import pyham
from pyham import foreign
from pyham.checkpoint import replace_file
from pyham.files import load


def main(argv: list[str] | None = None) -> int:
    """Run a command; 0 if all is well, 1 if what it checks does not hold, 2 for wrong arguments or files."""
    parser = argparse.ArgumentParser(prog="python -m pyham", description="Hamiltonian deep neural networks.")
    parser.add_argument("--version", action="version", version=pyham.__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_certify(commands.add_parser("certify", help="say what holds for a network on given samples, and by how much"))
    options = parser.parse_args(argv)
    try:
        return int(options.run(options))
    except (OSError, TypeError, ValueError) as error:
        print(f"{parser.prog} {options.command}: {error}", file=sys.stderr)
        return 2


def add_certify(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Certificate of the network in FILE: what net.save wrote, or an .npz file with arrays K (N, n, n), b (N, n), "
        "a number h and, where they apply, J (n, n) and the words scheme, order and activation. Exit code 1 when "
        "something that theory guarantees does not hold, or a control does not fail."
    )
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--samples", type=Path, metavar="NPY", help="samples x (B, n) as an .npy file")
    parser.add_argument("--random", type=int, default=100, metavar="B", help="without --samples: B normal ones (100)")
    parser.add_argument("--seed", type=int, default=0, help="of the random samples (0)")
    parser.add_argument(
        "--dtype", choices=("float64", "float32"), default="float64", help="of the computation (float64)"
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the certificate there, too")
    parser.set_defaults(run=certify)


def certify(options: argparse.Namespace) -> int:
    """Print the certificate of a file; 0 if it passed, else 1."""
    net = foreign.read_arrays(options.file) if options.file.suffix == ".npz" else load(options.file)
    if options.samples:
        x = np.load(options.samples, allow_pickle=False)
    else:
        if options.random < 0 or options.seed < 0:
            raise ValueError(f"--random, --seed: expected integers >= 0, got {options.random}, {options.seed}")
        x = np.random.default_rng(options.seed).standard_normal((options.random, net.arch.width))
    certificate = pyham.certify(net, np.asarray(x).astype(options.dtype))
    print(certificate)
    if options.json:
        replace_file(options.json, (json.dumps(certificate.to_dict(), indent=1) + "\n").encode())
    return 0 if certificate.passed else 1
