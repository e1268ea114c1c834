"""Mutated files of networks and trainings are refused as they should; and the harness notices readers that err."""

import gzip
import time

import numpy as np
import pytest

from pyham.files import archive
from tests.files import fuzz_checkpoint
from tests.oracles import fuzzing


def test_mutated_files_are_refused_within_time_and_memory(slow):
    count = 20_000 if slow else 400
    counts, violations, _ = fuzzing.run(fuzz_checkpoint.make, count, seed=1)
    assert violations == [] and counts["refused"] > count / 2 and counts["read"] >= len(fuzz_checkpoint.originals())


def refuse(words):
    raise ValueError(words)


@pytest.mark.parametrize(
    ("read", "refusable", "kind"),
    [
        (lambda path: 1, False, "read"),
        (lambda path: refuse(f"{path}: expected one, got none"), True, "refused"),
        (lambda path: refuse(f"{path}: expected one, got none"), False, "wrong: refused a valid file"),
        (lambda path: 2, False, "wrong: read other than"),
        (lambda path: refuse("expected one, got none"), True, "message"),
        (lambda path: refuse(f"{path}: bad"), True, "message"),
        (lambda path: {}["key"], True, "error"),
        (lambda path: gzip.decompress(path.read_bytes()), True, "error"),
        (lambda path: fuzz_checkpoint.Trap().__reduce__()[0]("ran"), True, "error"),
        (lambda path: np.empty(2 * fuzzing.ADDRESS_SPACE, np.uint8), True, "error"),
        (lambda path: time.sleep(10), True, "hang"),
        (lambda path: len(bytearray(10**6)) // 10**6, True, "memory"),
    ],
)
def test_the_harness_notices_a_reader_that_breaks_the_rules(read, refusable, kind, monkeypatch):
    monkeypatch.setattr(fuzzing, "SECONDS", 0.2)

    def make(number, rng, folder):
        (folder / "file").write_bytes(b"x" * 100)
        return fuzzing.Case(folder / "file", lambda: read(folder / "file"), 10**5, lambda found: found == 1, refusable)

    counts, violations, _ = fuzzing.run(make, 1, seed=0)
    if kind in ("read", "refused"):
        assert counts[kind] == 1 and not violations
    else:
        assert len(violations) == 1 and f"case 0 of seed 0: {kind}" in violations[0]


def test_the_exit_code_is_1_for_a_reader_that_breaks_the_rules(monkeypatch, capsys):
    monkeypatch.setattr(archive, "read", lambda path: {}["header"])
    assert fuzzing.main(fuzz_checkpoint.make, "", ["--count", "3"]) == 1
    captured = capsys.readouterr()
    assert "3 violations" in captured.out and "KeyError" in captured.err
