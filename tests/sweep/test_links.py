"""A sweep's file reached through links, on a full disk, and under a long name."""

import pytest

from pyham import sweep
from pyham.sweep import ledger
from tests.sweep.sweep_runs import square

pytest.importorskip("fcntl")


def test_one_file_has_one_lock_whatever_links_lead_to_it(tmp_path):
    (tmp_path / "folder").mkdir()
    path, link = tmp_path / "folder" / "results", tmp_path / "link"
    link.symlink_to(path)
    (tmp_path / "further").symlink_to(link)
    with ledger.Ledger(link) as held:
        for other in (path, link, tmp_path / "further", tmp_path / "folder" / ".." / "link"):
            with pytest.raises(BlockingIOError, match="expected a file that no other sweep writes to"):
                ledger.Ledger(other)
        held.append(ledger.Outcome("f", {"x": 1}, 1), {})
        held.forget({ledger.key("f", {"x": 1})})  # writes the file anew
    assert link.is_symlink() and {file.name for file in tmp_path.iterdir()} == {"folder", "link", "further"}
    assert {file.name for file in (tmp_path / "folder").iterdir()} == {"results", "results.log"}


@pytest.mark.parametrize("name", ["_log", "_file"])
def test_the_lock_is_free_after_a_full_disk(name, tmp_path):
    class Full:
        def close(self):
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"), ledger.Ledger(tmp_path / "results") as held:
        getattr(held, name).close()
        setattr(held, name, Full())
    with ledger.Ledger(tmp_path / "results"):
        pass


def test_names_of_sweeps_may_be_long(tmp_path):
    name = "n" * 240
    assert [
        outcome.result for outcome in sweep.run(square, sweep.grid(x=range(2)), tmp_path / name, jobs=1, progress=False)
    ]
