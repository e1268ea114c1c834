"""The playground as its users meet it: guide, address, drawing, keyboard, and screen readers."""

import re

import pytest

from pyham.teaching import playground


def test_page_asks_the_network_for_nothing(page):
    asked = [e["params"]["request"]["url"] for e in page.events if e.get("method") == "Network.requestWillBeSent"]
    assert all(url.startswith(("file:", "data:", "about:")) for url in asked)


@pytest.mark.seldom
def test_every_guided_answer_agrees_with_what_the_page_measures(page):
    for number in range(page.evaluate("pyhamPlayground.guide.QUESTIONS.length")):
        outcome = page.evaluate(f"""(async () => {{
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


def test_guide_is_answered_by_keyboard(page):
    page.evaluate("document.querySelector('#guide button').focus()")
    page.press("Enter")
    page.evaluate(APPEARS % "#guide fieldset")
    assert "question 1 of" in page.evaluate("document.activeElement.textContent")
    page.press("Tab")
    page.press(" ")
    page.press("ArrowDown", 2)
    page.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Look"
    page.press("Enter")
    page.evaluate(APPEARS % "#verdict strong")
    assert page.evaluate("document.activeElement.id") == "verdict"
    assert page.evaluate("document.querySelector('#verdict').textContent").startswith("As you predicted.")
    assert page.evaluate("pyhamPlayground.measured().settings.depth") == 16


def test_settings_are_kept_in_the_address(page):
    page.evaluate("document.getElementById('depth').focus()")
    page.press("ArrowRight", 3)
    page.evaluate("pyhamPlayground.set({ architecture: 'MS3', scheme: 'verlet', data: 'own', points: '0abcd1zz00' })")
    page.evaluate("new Promise(done => setTimeout(done, 300))")
    address, expected = page.evaluate("[location.hash, pyhamPlayground.measured().settings]")
    assert "depth=56" in address and "points=0abcd1zz00" in address
    page.open(playground.PAGE, address)
    assert page.evaluate("pyhamPlayground.measured().settings") == expected


@pytest.mark.parametrize(
    "address", ["#depth=1e9&step=-1&seed=x", "#architecture=H9&points=%%%&scheme=", "#depth=&data=own"]
)
def test_an_address_with_nonsense_gives_allowed_settings(page, address):
    page.open(playground.PAGE, address)
    assert re.fullmatch(r"\d+ layers", page.evaluate("document.getElementById('depth').getAttribute('aria-valuetext')"))


def test_points_are_drawn_by_keyboard_and_trained_on(page):
    page.evaluate("pyhamPlayground.set({ data: 'own', depth: 8 })")
    page.evaluate("document.getElementById('regions').focus()")
    for moves, key in ((("ArrowLeft", 8), "Enter"), (("ArrowRight", 16), "c")):
        page.press(*moves)
        page.press(key)
    page.press("Enter")
    outcome = page.evaluate("""(async () => {
        await pyhamPlayground.settled();
        pyhamPlayground.train(true, 100);
        while (pyhamPlayground.training) await new Promise(answer => setTimeout(answer, 20));
        await pyhamPlayground.settled();
        return pyhamPlayground.measured(); })()""")
    assert (outcome["samples"], outcome["steps"], outcome["right"]) == (2, 100, 1)


def test_points_are_drawn_with_the_mouse(page):
    page.evaluate("pyhamPlayground.set({ data: 'own', depth: 8 })")
    box = page.evaluate("""(() => {
        const canvas = document.getElementById("regions");
        canvas.scrollIntoView({ block: "center", behavior: "instant" });
        return canvas.getBoundingClientRect().toJSON(); })()""")
    for kind, share in (("mousePressed", 0.2), ("mouseMoved", 0.4), ("mouseMoved", 0.6), ("mouseReleased", 0.6)):
        at = {"x": box["x"] + share * box["width"], "y": box["y"] + box["height"] / 2}
        page.send("Input.dispatchMouseEvent", type=kind, button="left", buttons=1, clickCount=1, **at)
    page.evaluate("pyhamPlayground.settled()")
    assert page.evaluate("pyhamPlayground.measured().samples") == 3


def test_the_link_past_the_settings_keeps_them(page):
    page.evaluate("pyhamPlayground.set({ depth: 7 })")
    page.press("Tab")
    assert page.evaluate("document.activeElement.id") == "skip"
    page.press("Enter")
    assert page.evaluate("[document.activeElement.id, pyhamPlayground.measured().settings.depth]") == ["panels", 7]


WORDS = "new Promise(done => setTimeout(done, 600)).then(() => document.getElementById('%s').textContent)"


def test_damping_is_chosen_by_keyboard_and_said_in_words(page):
    page.evaluate("document.getElementById('damping').focus()")
    page.press("ArrowRight", 10)
    page.evaluate("pyhamPlayground.settled()")
    now = page.evaluate("pyhamPlayground.measured()")
    assert (now["damping"], now["below"]) == (0.5, 0) and now["ratio"] >= 1 - 1e-12
    assert abs(now["bound"] / 0.20189651799465538 - 1) < 1e-12  # exp(-0.5 * 0.1 * 32)
    assert now["residual"] <= now["tolerance"]
    words = page.evaluate(WORDS % "words")
    assert "below the dashed line (at 0.202) for none" in words and "fade no faster" in words, words
    assert "symplectic up to rounding and the factor 0.0408" in words, words
    assert "damping=0.5" in page.evaluate("location.hash")
    page.evaluate("pyhamPlayground.set({ damping: -0.25 })")
    assert page.evaluate("document.getElementById('damping').getAttribute('aria-valuetext')") == "−0.25"  # noqa: RUF001
    assert "grow at least" in page.evaluate(WORDS % "words")


def test_training_keeps_the_norms_above_the_line_of_damping(page):
    now = page.evaluate("""(async () => {
        pyhamPlayground.set({ damping: 0.3, depth: 8, data: "double-moons", scheme: "verlet" });
        pyhamPlayground.train(true, 50);
        while (pyhamPlayground.training) await new Promise(answer => setTimeout(answer, 20));
        await pyhamPlayground.settled();
        return pyhamPlayground.measured(); })()""")
    assert now["steps"] == 50 and now["right"] > 0.6, now
    assert now["ratio"] >= 1 - 1e-12 and now["residual"] <= now["tolerance"], now


def test_damping_of_other_networks_is_disabled_with_a_reason(page):
    page.evaluate("pyhamPlayground.set({ damping: 0.5, architecture: 'ResNet' })")
    page.evaluate("pyhamPlayground.settled()")
    state = "['disabled', 'ariaValueText'].map(key => document.getElementById('damping')[key])"
    assert page.evaluate(state) == [True, "none"]
    assert "Only H2 and MS3" in page.evaluate("document.getElementById('damping-hint').textContent")
    now = page.evaluate("pyhamPlayground.measured()")
    assert (now["damping"], now["bound"]) == (0, 1)
    assert "damping" not in page.evaluate(WORDS % "words")


@pytest.mark.parametrize("damping", [-1, 1])
def test_damping_beyond_the_numbers_of_a_computer_is_called_so(page, damping):
    page.evaluate(f"pyhamPlayground.set({{ depth: 1024, samples: 20, step: 1, scale: 0.1, damping: {damping} }})")
    page.evaluate("pyhamPlayground.settled()")
    words = page.evaluate(WORDS % "words")
    assert "too small or too large" in words and "below the dashed line for none" in words, words
    page.evaluate("document.getElementById('layer').value = 0")
    page.evaluate("document.getElementById('layer').dispatchEvent(new Event('input'))")
    assert "too small or too large" in page.evaluate("document.getElementById('residual-reading').textContent")


def test_numbers_that_are_too_large_are_called_so(page):
    page.evaluate("pyhamPlayground.set({ depth: 1024, activation: 'identity', scale: 4, step: 1 })")
    page.evaluate("pyhamPlayground.settled().then(() => new Promise(done => setTimeout(done, 600)))")
    assert "too large to compute" in page.evaluate("document.getElementById('words').textContent")


@pytest.mark.seldom
def test_layers_are_played_and_do_not_flow_where_less_motion_is_preferred(page):
    page.resize(1440, 900, calm=True)
    page.open(playground.PAGE, "#depth=64")
    page.evaluate("document.getElementById('play').focus()")
    page.press("Enter")
    shown = page.evaluate("""(async () => {
        const seen = new Set(), layers = new Set(), end = performance.now() + 1200;
        while (performance.now() < end) {
            seen.add(document.getElementById("layer").value % 4);
            layers.add(document.getElementById("layer").value);
            await new Promise(requestAnimationFrame);
        }
        return [[...seen], layers.size]; })()""")
    assert shown[0] == [0] and shown[1] > 1  # four layers at a time
    page.resize(1440, 900)


@pytest.mark.parametrize("width", [375, 768, 1440])
def test_page_does_not_scroll_sideways(page, width):
    page.resize(width, 800)
    page.open(playground.PAGE)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.resize(1440, 900)


def test_every_control_has_a_name_for_screen_readers(page):
    nodes = page.send("Accessibility.getFullAXTree")["nodes"]
    roles = {"button", "slider", "combobox", "radio", "spinbutton", "img", "radiogroup", "form"}
    found = [node for node in nodes if not node["ignored"] and node["role"]["value"] in roles]
    assert len(found) > 15
    assert [node for node in found if not node.get("name", {}).get("value")] == []


@pytest.mark.seldom
def test_page_answers_while_it_computes(page):
    """The deepest network with the most stages, while it trains: a clock of the page goes on between the pieces."""
    ticks = page.evaluate("""(async () => {
        let ticks = 0;
        const clock = setInterval(() => ticks++, 1);
        pyhamPlayground.set({ depth: 1024, samples: 500, scheme: "yoshida4" });
        pyhamPlayground.train(true, 5);
        while (pyhamPlayground.training) await new Promise(answer => setTimeout(answer, 20));
        await pyhamPlayground.settled();
        clearInterval(clock);
        return ticks; })()""")
    assert ticks > 20
