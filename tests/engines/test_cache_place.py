"""Where machine code cannot be kept on disk, it is compiled all the same, and one warning says so."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pyham

ROOT = Path(pyham.__file__).parents[1]
PROGRAM = """
import numpy as np, pyham
print(pyham.symplectic.defect(np.eye(2)[None], pyham.interconnection.J1(2)))
"""
#: What a process sees besides a package that it cannot write into.
PLACES = {
    "no home": {"NUMBA_CACHE_DIR": None, "HOME": "/dev/null", "XDG_CACHE_HOME": "/dev/null"},
    "no such folder": {"NUMBA_CACHE_DIR": "/proc/nothing", "HOME": "/dev/null", "XDG_CACHE_HOME": "/dev/null"},
}
FULL = """
import numba.core.caching as caching
def full(*arguments):
    raise OSError(28, "No space left on device")
caching.IndexDataCacheFile.save = full
"""


def run(words, environment, folder):
    """A program with the package in that folder."""
    kept = {name: value for name, value in os.environ.items() if name not in environment}
    given = {name: value for name, value in environment.items() if value is not None}
    return subprocess.run(
        [sys.executable, *words], env=kept | given | {"PYTHONPATH": str(folder)}, cwd="/", capture_output=True,
        text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def read_only(tmp_path_factory):
    """A copy of the package beside which nothing can be kept, not even by a user who may write everywhere."""
    folder = tmp_path_factory.mktemp("installed")
    shutil.copytree(ROOT / "pyham", folder / "pyham", ignore=shutil.ignore_patterns("__pycache__"))
    for inner in (folder / "pyham", *(folder / "pyham").rglob("*/")):
        (inner / "__pycache__").touch()  # a file in the place of the folder
    return folder


@pytest.mark.seldom
@pytest.mark.parametrize("place", ["no home", pytest.param("no such folder", marks=pytest.mark.slow)])
def test_without_a_place_for_machine_code_everything_works_and_a_warning_says_so(place, read_only):
    done = run(["-c", PROGRAM], PLACES[place], read_only)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[0.]\n"
    assert done.stderr.count("RuntimeWarning: pyham compiles its kernels in every process") == 1
    assert "Traceback" not in done.stderr and "set NUMBA_CACHE_DIR to a folder" in done.stderr


@pytest.mark.seldom
def test_on_a_full_disk_everything_works(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL + PROGRAM], env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}, cwd=ROOT,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0 and done.stdout == "[0.]\n", done.stderr
    assert done.stderr.count("RuntimeWarning") == 1 and "No space left on device" in done.stderr


@pytest.mark.seldom
def test_the_first_use_says_once_that_it_compiles_and_the_second_process_says_nothing(tmp_path):
    said = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}, cwd=ROOT,
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        said.append(done.stderr)
    assert said[0].count("pyham compiles kernels for this machine") == 1 and said[1] == ""


@pytest.mark.slow
def test_the_command_line_works_without_a_home_too(read_only):
    words = ["-m", "pyham", "train", "swiss-roll", "--samples", "20", "--depth", "1", "--epochs", "1", "--training"]
    done = run([*words, "joint"], PLACES["no home"], read_only)
    assert done.returncode == 0 and "accuracy" in done.stdout, done.stderr
