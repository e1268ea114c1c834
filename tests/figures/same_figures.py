"""Make all figures twice and compare: ``python -m tests.figures.same_figures`` (``--full`` for those of full size).

The first time with one process, the second with two. Arrays, pictures, tables and the sorted outcomes of sweeps must be
the same, bit for bit. Exit code 1 if any is not; one summary line.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]


def same(first: Path, second: Path) -> bool:
    """Whether two files hold the same: of arrays and outcomes, what stands in them."""
    if first.suffix == ".npz":
        with np.load(first, allow_pickle=False) as one, np.load(second, allow_pickle=False) as other:
            return one.files == other.files and all(one[name].tobytes() == other[name].tobytes() for name in one.files)
    if first.suffix == ".jsonl":
        return sorted(first.read_bytes().splitlines()) == sorted(second.read_bytes().splitlines())
    return first.read_bytes() == second.read_bytes()


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="figures of full size")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="same_figures_") as name:
        folders = [Path(name) / jobs for jobs in ("1", "2")]
        for folder in folders:
            command = [sys.executable, "-m", "figures", "--jobs", folder.name, "--output", str(folder)]
            subprocess.run(command + ["--quick"] * (not options.full), check=True, cwd=ROOT, capture_output=True)
        # without the logs of sweeps, which have times
        files = [{p.relative_to(f) for p in f.rglob("*") if p.is_file() and p.suffix != ".log"} for f in folders]
        differ = sorted(files[0] ^ files[1])
        differ += [p for p in sorted(files[0] & files[1]) if not same(folders[0] / p, folders[1] / p)]
    for path in differ:
        print(f"{path} differs", file=sys.stderr)
    print(f"{len(files[0] | files[1])} files made with one process and with two, {len(differ)} differ")
    return int(bool(differ))


if __name__ == "__main__":
    sys.exit(main())
