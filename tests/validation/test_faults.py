"""The operators make the slips they say, planting is undone, the checks see faults, and a sample meets the tests."""

import ast

import pytest

from pyham.architectures.maps import DENSE
from pyham.files import archive
from tests.oracles.sampling import first
from validation import power
from validation.faults import run
from validation.faults.operators import mutants
from validation.faults.planting import RECURSION, Source, put

CHANGES = {  # of the value of "return ..."
    "a + b": {"a - b", "a"},
    "i - 1": {"i + 1"},
    "a @ b": {"b", "a @ b.swapaxes(-1, -2)"},
    "a.T @ b": {"b", "a @ b"},
    "2 * a": {"3 * a", "a"},
    "a ** 2": {"a ** 3", "a"},
    "a / b": {"a * b"},
    "-a": {"a"},
    "a < b": {"a >= b"},
    "0 <= a < n": {"0 < a < n", "0 <= a <= n"},
    "a is None": {"a is not None"},
    "a and b": {"a"},
    "not a": {"a"},
    "a if c else b": {"b if c else a"},
    "y[dst]": {"y[src]"},
    "y[i]": {"y[i - 1]"},
    "y[1:n]": {"y[2:n]", "y[1 + 1:n]", "y[1:n - 1]"},
    "y[::-1]": {"y[:]", "y[::1]"},
    "range(n)": {"range(n - 1)"},
    "range(a, n)": {"range(a, n - 1)"},
    "f(a, b)": {"f(b, a)"},
    "f(a, key=b)": {"f(a)"},
    "g.sum(axis=0)": {"g.mean(axis=0)", "g.sum()", "g.sum(axis=1)"},
    "s.sigma(a)": {"s.derivative(a)"},
    "max(a, b)": {"min(a, b)", "max(b, a)"},
    "np.max(a)": {"np.min(a)", "np.nanmax(a)"},
    "a.copy()": {"a"},
    "np.array(a)": {"np.asarray(a)"},
    "np.empty_like(a)": {"np.empty_like(a, dtype='f4')"},
    "np.zeros(n, a.dtype)": {"np.zeros(n, 'f4')", "np.zeros(a.dtype, n)"},
    "True": {"False"},
    "0.5": {"1.0"},
    "[a for a in b if a]": {"[a for a in b]"},
    "f'{a + b}'": set(),
    "'a' + b": set(),
}
STATEMENTS = {
    "x += a": {"pass", "x = a", "x -= a"},
    "x[0] = a": {"pass"},
    "f(a)": {"pass"},
    "raise ValueError(a + b)": {"pass"},
    "'words'": set(),
    "print(a + b)": set(),
}


def changed(body):
    """What becomes of a function with that statement."""
    tree = ast.parse(f"def f(a, b, c, d=1): {body}")
    found = set()
    for mutant in mutants(tree, "m.py", every=True):
        mutant.swap()
        found.add(" ".join(ast.unparse(tree.body[0].body[0]).split()))
        mutant.swap()
    assert ast.unparse(tree) == ast.unparse(ast.parse(f"def f(a, b, c, d=1): {body}"))
    return found


@pytest.mark.parametrize("value", CHANGES)
def test_operators_on_values(value):
    found = {text.removeprefix("return ") for text in changed(f"return {value}")}
    whole = {text for text in found if text.startswith(("0 * ", "-(", "-")) or ").swapaxes" in text} - CHANGES[value]
    assert found - whole == CHANGES[value]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_operators_on_statements(statement):
    assert changed(statement) == {" ".join(ast.unparse(ast.parse(text)).split()) for text in STATEMENTS[statement]}


def test_names_stay_when_lines_move():
    source = "def f(a):\n    return a[0] + a[1] + 1\n\n\ndef g(a):\n    return a[0] + a[1] + 1\n"
    names = [mutant.name for mutant in mutants(ast.parse(source), "m.py")]
    assert names == [mutant.name for mutant in mutants(ast.parse("import os\n\n\n" + source), "m.py")]
    assert len(set(names)) == len(names)


def test_what_is_planted_is_found_everywhere_and_taken_out_again():
    source = Source("files/archive.py")
    source.look()
    held, right = archive._short, archive._short("x" * 100)
    mutant = next(m for m in source.mutants if m.function == "_short")
    undo = source.plant(mutant)
    try:
        assert held("x" * 100) != right or held(3) != "int"
    finally:
        put(undo)
    assert archive._short("x" * 100) == right
    value = next(m for m in source.mutants if m.statement and "HEADER_BYTES =" in ast.unparse(m.statement))
    before = archive.HEADER_BYTES
    undo = source.plant(value)
    assert before != archive.HEADER_BYTES
    put(undo)
    assert before == archive.HEADER_BYTES


def test_the_right_engine_passes_all_checks():
    assert all(power.residual(measure) <= power.ROUNDING for measure in power.CHECKS.values())


@pytest.mark.seldom
def test_checks_catch_every_fault_of_the_recursion_that_is_one(monkeypatch):
    with monkeypatch.context() as patch:
        patch.delitem(power.CHECKS, "complex step")  # it takes long, and looks at what no other check notices
        table = {row.fault: row for row in power.table.__wrapped__()}
        assert {name for row in table.values() for name in row.checks} == set(power.CHECKS)
    found = {name: row.residual for name, row in table.items() if row.checks}
    for source, mutant in power.faults("adjoint"):
        if mutant.name not in found:
            found[mutant.name] = power.seen(source, mutant, [power.complex_step])[0]
    unseen = [name for name in table if not found.get(name, 0) > 1e5 * power.ROUNDING and not run.reviewed(name)]
    elsewhere = "Map.total", "no copy"  # what shows with images, or when the caller's arrays change later
    assert [name for name in unseen if not any(word in name for word in elsewhere)] == []
    assert DENSE.outer.__func__.__code__.co_name == "outer" and power.residual(power.complex_step) <= power.ROUNDING


@pytest.mark.parametrize("of", power.PASSES)
def test_every_line_of_a_pass_is_broken_by_some_fault(of):
    broken = {(m.module, line) for _, m in power.faults(of) for line in range(m.lines[0], m.lines[1] + 1)}
    for module in RECURSION:
        for cls in ast.walk(Source(module).tree):
            for function in ast.iter_child_nodes(cls):
                name = f"{getattr(cls, 'name', '')}.{getattr(function, 'name', '')}".lstrip(".")
                if isinstance(function, ast.FunctionDef) and name in power.PASSES[of]:
                    told = ast.get_docstring(function) is not None
                    for statement in function.body[told:]:
                        lines = {(module, line) for line in range(statement.lineno, statement.end_lineno + 1)}
                        if any(isinstance(part, (ast.Call, ast.BinOp)) for part in ast.walk(statement)):
                            assert lines & broken, ast.unparse(statement)


def test_the_reviewed_list_names_mutants_that_there_are_and_says_why():
    lines = [line.split(" | ") for line in run.REVIEWED.read_text(encoding="utf-8").splitlines() if line[:1] not in "#"]
    assert all(len(reason) > 10 for _, reason in lines) and len({key for key, _ in lines}) == len(lines)
    modules = {
        name: run.Source(name, every=True) for name in {key.split("::")[0].removesuffix("...") for key, _ in lines}
    }
    names = [mutant.name for source in modules.values() for mutant in source.mutants]
    for key, _ in lines:
        assert any(name == key or (key.endswith("...") and name.startswith(key[:-3])) for name in names), key


def test_every_module_of_the_package_is_in_a_room_or_draws_on_the_terminal():
    listed = {path for modules, *_ in run.ROOMS.values() for one in modules.split() for path in run.ROOT.glob(one)}
    rest = {str(path.relative_to(run.ROOT)) for path in {*run.ROOT.rglob("*.py")} - listed}
    rest = {name for name in rest if "/" not in name or name.split("/")[0] not in ("commands", "teaching")}
    assert rest <= {"__init__.py", "__main__.py", "_aliases.py", "_version.py", "images.py"}


IMAGES = [f"engines/interpreted.py::test_images_{name}" for name in ("up_and_down", "from_pixels_to_the_loss")]
PART = ["engines/compiled/image_kernels.py", " ".join(IMAGES)]


@pytest.mark.seldom
@pytest.mark.parametrize(("room", "count"), first(1, [(PART, 4), (run.ROOMS["engines"], 12)]))
def test_a_sample_of_faults_is_noticed(room, count, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(run.ROOMS, "engines", room)
    run.sources.cache_clear()
    words = ["--only", "engines", "--sample", str(count), "--ledger", str(tmp_path / "ledger.jsonl")]
    assert run.main(words) == 0
    lines = run.outcomes(tmp_path / "ledger.jsonl")
    assert 0 < len(lines) <= count and set(lines.values()) <= set(run.CAUGHT)  # those reviewed are not planted
    assert "unexplained" in capsys.readouterr().out
    assert run.main(words) == 0  # at once: nothing is left to do
    run.sources.cache_clear()


def test_main__raises_on_rooms_that_are_none(capsys):
    with pytest.raises(SystemExit):
        run.main(["--only", "kitchen"])
    assert "invalid choice: 'kitchen'" in capsys.readouterr().err
