"""The playground's file and its command."""

import re
from html.parser import HTMLParser

import pytest

from pyham.commands import cli
from pyham.teaching import playground

SOURCE = playground.PAGE.read_text(encoding="utf-8")


def test_file_is_small_and_whole_and_loads_nothing():
    assert playground.PAGE.stat().st_size <= 300_000
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
