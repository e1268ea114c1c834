"""All planted faults and what notices them: ``python -m validation.faults``."""

from pyham.engines import reference
from validation import faults


def everything() -> list[faults.Row]:
    """A row for every fault, of the engine and of the rest of the package."""
    return [*faults.table()]


def main() -> int:
    """Print the table; 1 if the right package fails a check or a fault escapes all of them, else 0."""
    wrong = [*faults.failures(reference)]
    rows = everything()
    cells = [("fault", "what it breaks", "caught by", "on", "residual")]
    for line in rows:
        on = ", ".join(line.networks) if len(line.networks) < 5 else f"{len(line.networks)} networks"
        cells.append((line.fault, line.what, ", ".join(line.checks) or "NOTHING", on, f"{line.residual:.1e}"))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for cell in cells:
        print("  ".join(text.ljust(width) for text, width in zip(cell, widths, strict=True)).rstrip())
    escaped = [line.fault for line in rows if not line.checks]
    print(f"\n{len(rows)} faults, {len(rows) - len(escaped)} caught; the right package fails {len(wrong)} checks")
    return int(bool(wrong or escaped))
