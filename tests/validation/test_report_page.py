"""The report fits a telephone, where its tables scroll alone, and paper, where everything is unfolded."""

import base64

import pytest

from tests.oracles import browser
from validation import claim, html


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    if browser.find() is None:
        pytest.skip("no chromium: the report is looked at in a browser")
    page = html.Page(0, "quick", "python -m validation --quick " + "--only V2 " * 20)
    long = claim.Result("H2_" + "a_long_name_" * 12, 1e-16, 1e-15, 1.0, "the same weights " * 8, note="n " * 60)
    modules = claim.modules(["V2", "V5"])
    page.findings.extend(claim.Finding(name, module.STATEMENT, long) for name, module in modules.items())
    path = tmp_path_factory.mktemp("report") / "report.html"
    page.write(path, modules)
    with browser.Browser(path) as found:
        yield found


@pytest.mark.parametrize("width", [375, 768, 1440])
def test_page_does_not_scroll_sideways_and_its_tables_do(opened, width):
    opened.resize(width, 900)
    assert opened.evaluate("document.documentElement.scrollWidth") == width
    boxes = opened.evaluate("[...document.querySelectorAll('.scroll')].map(b => b.scrollWidth > b.clientWidth)")
    assert len(boxes) == len(opened.evaluate("[...document.querySelectorAll('table')].map(t => 1)"))
    assert any(boxes) or width > 375


def test_print_unfolds_everything_and_folds_it_again(opened):
    folded = "document.querySelectorAll('details:not([open])').length"
    assert opened.evaluate(folded) == 2
    pdf = base64.b64decode(opened.send("Page.printToPDF")["data"])
    assert pdf.startswith(b"%PDF")
    opened.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert opened.evaluate(folded) == 0
    opened.evaluate("dispatchEvent(new Event('afterprint'))")
    assert opened.evaluate(folded) == 2
