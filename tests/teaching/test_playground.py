"""The playground: its file, its command, and that its numbers are pyham's, computed by a real browser."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

import pyham
from pyham.commands import cli
from pyham.teaching import playground
from pyham.training import losses, updates
from tests.oracles import browser

needs_browser = pytest.mark.skipif(browser.find() is None, reason="no chromium: the playground is tested in a browser")

SOURCE = playground.PAGE.read_text(encoding="utf-8")
SCHEMES = ("semi-implicit", "verlet", "yoshida4")
NETWORKS = [(name, None) for name in ("MLP", "ResNet", "H1")] + [(name, s) for name in ("H2", "MS3") for s in SCHEMES]
RTOL = 1e-12


@pytest.fixture(scope="module")
def page():
    with browser.Browser(playground.PAGE) as opened:
        yield opened


@pytest.fixture
def fresh(page):
    """The page as it is when it is opened."""
    page.open(playground.PAGE)
    yield page
    assert page.problems() == []


# The file and the command


def test_file_is_small():
    assert playground.PAGE.stat().st_size <= 300_000


def test_file_is_whole_and_loads_nothing():
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(|<script[^>]+src|fetch\(|XMLHttpRequest|WebSocket", SOURCE)
    assert set(re.findall(r'<link[^>]*href="([^"]*)"', SOURCE)) == {"data:,"}


def test_command_copies_the_page(tmp_path, capsys):
    assert cli.main(["playground", "--output", str(tmp_path / "page.html")]) == 0
    assert (tmp_path / "page.html").read_bytes() == playground.PAGE.read_bytes()
    assert capsys.readouterr().out == f"wrote {tmp_path / 'page.html'}\n"


@pytest.mark.parametrize(("started", "code"), [(True, 0), (False, 1)])
def test_command_opens_the_page_or_names_the_file(started, code, monkeypatch, capsys):
    addresses = []
    monkeypatch.setattr(playground.webbrowser, "open", lambda address: addresses.append(address) or started)
    assert cli.main(["playground"]) == code
    assert addresses == [playground.PAGE.as_uri()]
    assert str(playground.PAGE) in capsys.readouterr().out


def test_command__says_where_it_cannot_write(tmp_path, capsys):
    assert cli.main(["playground", "--output", str(tmp_path / "no" / "page.html")]) == 2
    assert "python -m pyham playground: " in capsys.readouterr().err


class Controls(HTMLParser):
    """Elements that a user operates, what labels them, and all ids."""

    def __init__(self):
        super().__init__()
        self.controls, self.labelled, self.ids, self.refers, self.inside = [], set(), [], [], 0

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.ids += [given["id"]] if "id" in given else []
        self.refers += [given[key] for key in ("for", "aria-labelledby", "aria-describedby") if key in given]
        if tag == "label":
            self.inside += 1
            self.labelled.add(given.get("for"))
        if tag in ("input", "select", "canvas"):
            self.controls.append((given, self.inside > 0))

    def handle_endtag(self, tag):
        self.inside -= tag == "label"


def test_every_control_has_a_label():
    parser = Controls()
    parser.feed(SOURCE)
    assert len(parser.controls) > 15
    for given, inside in parser.controls:
        assert inside or given.get("id") in parser.labelled or given.get("aria-label"), given
    assert len(parser.ids) == len(set(parser.ids))
    assert set(parser.refers) <= set(parser.ids)


# The arithmetic


def problem(name, scheme, activation, seed=0, depth=6, samples=3, step=0.3):
    """A network, and what the page needs to know of it."""
    rng = np.random.default_rng(seed)
    arch = pyham.architecture(
        name, width=4, depth=depth, step=step, activation=activation, **({"scheme": scheme} if scheme else {})
    )
    net = arch.init(rng)
    x, g = rng.standard_normal((2, samples, 4))
    labels, head = rng.integers(0, 2, samples), rng.standard_normal(5)
    settings = {"architecture": name, "depth": depth, "step": step, "activation": activation}
    given = settings | {
        "params": {key: value.tolist() for key, value in net.params.items()},
        "x": x.tolist(),
        "g": g.tolist(),
    }
    given |= {"scheme": scheme} if scheme else {}
    return net, x, g, labels, head, given | {"labels": labels.tolist(), "head": head.tolist(), "rate": 0.05, "steps": 3}


def close(found, expected, scale=None):
    """Equal to 1e-12, relative to the largest entry of the layer or parameter that they belong to."""
    found = np.reshape(np.asarray(found, float), expected.shape)
    scale = np.abs(expected).max() if scale is None else scale
    np.testing.assert_array_less(np.abs(found - expected), RTOL * np.maximum(scale, 1e-300) + 1e-300)


@needs_browser
@pytest.mark.parametrize("activation", ["tanh", "relu", "logistic", "identity", "softplus"])
@pytest.mark.parametrize(("name", "scheme"), NETWORKS)
def test_browser_computes_what_pyham_computes(page, name, scheme, activation):
    net, x, g, labels, head, given = problem(name, scheme, activation)
    found = page.evaluate(f"pyhamPlayground.compute({json.dumps(given)})")
    trace = net.trace(x, backend="reference")
    adjoint = net.adjoint(trace, g, backend="reference")
    phi = net.sensitivity(x, backend="reference")
    shapes = dict.fromkeys(("states", "delta"), trace.states.shape) | {"phi": phi.shape}
    for key, expected in (("states", trace.states), ("delta", adjoint.delta), ("phi", phi)):
        for layer, exact in zip(np.reshape(found[key], shapes[key]), expected, strict=True):
            close(layer, exact)
    for key, expected in adjoint.params.items():
        close(found["gradient"][key], expected)
    np.testing.assert_allclose(np.reshape(found["norms"], phi.shape[:2]), pyham.symplectic.norms(phi)["2"], rtol=RTOL)
    J = pyham.H1(4, 1).J if net.interconnection is None else net.interconnection
    np.testing.assert_allclose(
        np.reshape(found["defect"], phi.shape[:2]),
        pyham.symplectic.defect(phi, J),
        rtol=RTOL,
        atol=8 * np.finfo(float).eps,
    )
    check_training(net, x, labels, head, given, found)


def check_training(net, x, labels, head, given, found):
    """Steps of Adam on network and output layer together, with pyham's own loss and update."""
    names, head = list(net.params), head.copy()
    sizes = np.cumsum([0, *(net.params[name].size for name in names)])
    theta = np.concatenate([*(net.params[name].ravel() for name in names), head])
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    for t in range(1, given["steps"] + 1):
        params = {n: theta[a:b].reshape(net.params[n].shape) for n, a, b in zip(names, sizes, sizes[1:], strict=False)}
        now, head = net.replace(params), theta[sizes[-1] :]
        y = now(x, backend="reference")
        loss, dz = losses.logistic(y @ head[:4] + head[4], labels)
        grads = now.adjoint(now.trace(x, backend="reference"), dz[:, None] * head[:4], backend="reference").params
        gradient = np.concatenate([*(grads[name].ravel() for name in names), y.T @ dz, [dz.sum()]])
        close(found["losses"][t - 1], np.array(loss))
        updates.adam(theta, m, v, gradient, t, given["rate"], (0.9, 0.999), 1e-8, 0.0)
    for name, a, b in zip(names, sizes, sizes[1:], strict=False):
        close(found["trained"][name], theta[a:b])
    close(found["head"], theta[sizes[-1] :])


@needs_browser
@pytest.mark.parametrize(("name", "expected"), [("MLP", 1e-16), ("H2", 1)])
def test_browser_agrees_on_norms_of_deep_networks(page, name, expected):
    """Vanishing to far below eps, and growing: the norm is scaled before anything is squared."""
    net, x, *_, given = problem(name, "semi-implicit" if name == "H2" else None, "tanh", depth=100)
    del given["labels"]
    found = np.reshape(page.evaluate(f"pyhamPlayground.compute({json.dumps(given)})")["norms"], (101, 3))
    exact = pyham.symplectic.norms(net.sensitivity(x, backend="reference"))["2"]
    assert (found[0] < expected).all() if name == "MLP" else (found >= 1 - 1e-12).all()
    np.testing.assert_allclose(found, exact, rtol=1e-9)  # rounding is amplified by a hundred layers


@needs_browser
@pytest.mark.parametrize("step", [1e-1, 1e-4, 1e-8, 1e-15])
@pytest.mark.parametrize("name", ["ResNet", "H1", "H2"])
def test_browser_agrees_on_norms_near_the_identity(page, name, step):
    """All singular values are close to each other there, which is hard for methods that look for the largest."""
    net, x, *_, given = problem(name, "semi-implicit" if name == "H2" else None, "tanh", step=step)
    found = np.reshape(page.evaluate(f"pyhamPlayground.compute({json.dumps(given)})")["norms"], (7, 3))
    exact = pyham.symplectic.norms(net.sensitivity(x, backend="reference"))["2"]
    np.testing.assert_allclose(found, exact, rtol=RTOL)


@needs_browser
def test_a_planted_fault_is_found(page):
    """The comparison itself notices one wrong sign."""
    net, x, *_, given = problem("H2", "semi-implicit", "tanh")
    given["params"]["Kp"][2][0][1] *= -1
    found = page.evaluate(f"pyhamPlayground.compute({json.dumps(given)})")
    with pytest.raises(AssertionError):
        close(found["states"], net.trace(x, backend="reference").states)


# The page


@needs_browser
def test_page_asks_the_network_for_nothing(fresh):
    asked = [e["params"]["request"]["url"] for e in fresh.events if e.get("method") == "Network.requestWillBeSent"]
    assert all(url.startswith(("file:", "data:", "about:")) for url in asked)


@needs_browser
def test_every_guided_answer_agrees_with_what_the_page_measures(fresh):
    for number in range(fresh.evaluate("pyhamPlayground.guide.QUESTIONS.length")):
        outcome = fresh.evaluate(f"""(async () => {{
            const page = pyhamPlayground, question = page.guide.QUESTIONS[{number}];
            page.set({{ ...page.guide.common, ...question.setup }}, {{ restart: true }});
            await page.settled();
            const before = page.measured();
            if (question.train) page.train(true, question.train); else page.set(question.change);
            while (page.training) await new Promise(answer => setTimeout(answer, 20));
            await page.settled();
            const now = page.measured();
            return [question.truth(before, now), question.lead(before) + question.after(before, now)];
        }})()""")
        assert outcome[0], outcome
        assert not re.search("undefined|NaN|null", outcome[1]), outcome


APPEARS = "new Promise(done => (function look() { document.querySelector('%s') ? done() : setTimeout(look, 10); })())"


@needs_browser
def test_guide_is_answered_by_keyboard(fresh):
    fresh.evaluate("document.querySelector('#guide button').focus()")
    fresh.press("Enter")
    fresh.evaluate(APPEARS % "#guide fieldset")
    assert "question 1 of" in fresh.evaluate("document.activeElement.textContent")
    fresh.press("Tab")
    fresh.press(" ")
    fresh.press("ArrowDown", 2)
    fresh.press("Tab")
    assert fresh.evaluate("document.activeElement.textContent") == "Look"
    fresh.press("Enter")
    fresh.evaluate(APPEARS % "#verdict strong")
    assert fresh.evaluate("document.activeElement.id") == "verdict"
    assert fresh.evaluate("document.querySelector('#verdict').textContent").startswith("As you predicted.")
    assert fresh.evaluate("pyhamPlayground.measured().settings.depth") == 16


@needs_browser
def test_settings_are_kept_in_the_address(fresh):
    fresh.evaluate("document.getElementById('depth').focus()")
    fresh.press("ArrowRight", 3)
    fresh.evaluate("pyhamPlayground.set({ architecture: 'MS3', scheme: 'verlet', data: 'own', points: '0abcd1zz00' })")
    fresh.evaluate("new Promise(done => setTimeout(done, 300))")
    address, expected = fresh.evaluate("[location.hash, pyhamPlayground.measured().settings]")
    assert "depth=56" in address and "points=0abcd1zz00" in address
    fresh.open(playground.PAGE, address)
    assert fresh.evaluate("pyhamPlayground.measured().settings") == expected


@needs_browser
@pytest.mark.parametrize(
    "address", ["#depth=1e9&step=-1&seed=x", "#architecture=H9&points=%%%&scheme=", "#depth=&data=own"]
)
def test_an_address_with_nonsense_gives_allowed_settings(fresh, address):
    fresh.open(playground.PAGE, address)
    settings = fresh.evaluate(
        "pyhamPlayground.measured ? document.getElementById('depth').getAttribute('aria-valuetext') : 0"
    )
    assert re.fullmatch(r"\d+ layers", settings)


@needs_browser
def test_points_are_drawn_by_keyboard_and_trained_on(fresh):
    fresh.evaluate("pyhamPlayground.set({ data: 'own', depth: 8 })")
    fresh.evaluate("document.getElementById('regions').focus()")
    for moves, key in ((("ArrowLeft", 8), "Enter"), (("ArrowRight", 16), "c")):
        fresh.press(*moves)
        fresh.press(key)
    fresh.press("Enter")
    outcome = fresh.evaluate("""(async () => {
        await pyhamPlayground.settled();
        pyhamPlayground.train(true, 100);
        while (pyhamPlayground.training) await new Promise(answer => setTimeout(answer, 20));
        await pyhamPlayground.settled();
        return pyhamPlayground.measured(); })()""")
    assert (outcome["samples"], outcome["steps"], outcome["right"]) == (2, 100, 1)


@needs_browser
def test_points_are_drawn_with_the_mouse(fresh):
    fresh.evaluate("pyhamPlayground.set({ data: 'own', depth: 8 })")
    box = fresh.evaluate("""(() => {
        const canvas = document.getElementById("regions");
        canvas.scrollIntoView({ block: "center", behavior: "instant" });
        return canvas.getBoundingClientRect().toJSON(); })()""")
    for kind, share in (("mousePressed", 0.2), ("mouseMoved", 0.4), ("mouseMoved", 0.6), ("mouseReleased", 0.6)):
        at = {"x": box["x"] + share * box["width"], "y": box["y"] + box["height"] / 2}
        fresh.send("Input.dispatchMouseEvent", type=kind, button="left", buttons=1, clickCount=1, **at)
    fresh.evaluate("pyhamPlayground.settled()")
    assert fresh.evaluate("pyhamPlayground.measured().samples") == 3


@needs_browser
def test_the_link_past_the_settings_keeps_them(fresh):
    fresh.evaluate("pyhamPlayground.set({ depth: 7 })")
    fresh.press("Tab")
    assert fresh.evaluate("document.activeElement.id") == "skip"
    fresh.press("Enter")
    assert fresh.evaluate("[document.activeElement.id, pyhamPlayground.measured().settings.depth]") == ["panels", 7]


@needs_browser
def test_numbers_that_are_too_large_are_called_so(fresh):
    fresh.evaluate("pyhamPlayground.set({ depth: 1024, activation: 'identity', scale: 4, step: 1 })")
    fresh.evaluate("pyhamPlayground.settled().then(() => new Promise(done => setTimeout(done, 600)))")
    assert "too large to compute" in fresh.evaluate("document.getElementById('words').textContent")


@needs_browser
def test_layers_are_played_and_do_not_flow_where_less_motion_is_preferred(fresh):
    fresh.resize(1440, 900, calm=True)
    fresh.open(playground.PAGE, "#depth=64")
    fresh.evaluate("document.getElementById('play').focus()")
    fresh.press("Enter")
    shown = fresh.evaluate("""(async () => {
        const seen = new Set(), layers = new Set(), end = performance.now() + 1200;
        while (performance.now() < end) {
            seen.add(document.getElementById("layer").value % 4);
            layers.add(document.getElementById("layer").value);
            await new Promise(requestAnimationFrame);
        }
        return [[...seen], layers.size]; })()""")
    assert shown[0] == [0] and shown[1] > 1  # four layers at a time
    fresh.resize(1440, 900)


@needs_browser
@pytest.mark.parametrize("width", [375, 768, 1440])
def test_page_does_not_scroll_sideways(fresh, width):
    fresh.resize(width, 800)
    fresh.open(playground.PAGE)
    assert fresh.evaluate("document.documentElement.scrollWidth") <= width
    fresh.resize(1440, 900)


@needs_browser
def test_every_control_has_a_name_for_screen_readers(fresh):
    nodes = fresh.send("Accessibility.getFullAXTree")["nodes"]
    roles = {"button", "slider", "combobox", "radio", "spinbutton", "img", "radiogroup", "form"}
    found = [
        (n["role"]["value"], n.get("name", {}).get("value", ""))
        for n in nodes
        if not n["ignored"] and n["role"]["value"] in roles
    ]
    assert len(found) > 15
    assert all(name for _, name in found), found


@needs_browser
@pytest.mark.parametrize(("depth", "samples", "limit"), [(64, 200, 0.05), (1024, 500, 0.5)])
def test_page_is_redrawn_in_time_after_a_slider_moves(fresh, depth, samples, limit):
    """Seconds that the page's thread computes, best of several moves: other programs may be running on the machine."""
    fresh.send("Performance.enable", timeDomain="threadTicks")
    fresh.evaluate(f"pyhamPlayground.set({{ depth: {depth}, samples: {samples} }})")
    times = []
    for move in range(10):
        fresh.evaluate("pyhamPlayground.settled()")
        begin = busy(fresh)
        fresh.evaluate(f"""{{
            const slider = document.getElementById("scale");
            slider.value = {5 + move};
            slider.dispatchEvent(new Event("input"));
            pyhamPlayground.settled(); }}""")
        times.append(busy(fresh) - begin)
    assert min(times) <= limit, times


def busy(page):
    """Seconds that the page's thread has worked since it was opened."""
    metrics = page.send("Performance.getMetrics")["metrics"]
    return next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")


@needs_browser
def test_page_answers_while_it_computes(fresh):
    """The deepest network with the most stages, while it trains: no task of the page lasts half a second."""
    longest = fresh.evaluate("""(async () => {
        let longest = 0;
        new PerformanceObserver(list => {
            for (const task of list.getEntries()) longest = Math.max(longest, task.duration);
        }).observe({ type: "longtask" });
        pyhamPlayground.set({ depth: 1024, samples: 500, scheme: "yoshida4" });
        pyhamPlayground.train(true, 5);
        while (pyhamPlayground.training) await new Promise(answer => setTimeout(answer, 20));
        await pyhamPlayground.settled();
        return longest; })()""")
    assert longest <= 500
