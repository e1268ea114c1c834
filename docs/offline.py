"""What is wrong with a site for someone without a network: files fetched from one, and links to nowhere."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

FETCHED = {"script": "src", "img": "src", "iframe": "src", "link": "href", "source": "src", "video": "src"}


class Links(HTMLParser):
    """Addresses in a page, those that a browser fetches at once and those that a reader may follow; and its anchors."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.followed: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if name := found.get("id") or found.get("name"):
            self.anchors.add(name)
        if (address := found.get(FETCHED.get(tag, ""))) and "canonical" not in (found.get("rel") or ""):
            self.fetched.append(address)
        if tag == "a" and (address := found.get("href")):
            self.followed.append(address)


def read(page: Path) -> Links:
    found = Links()
    found.feed(page.read_text())
    return found


def problems(folder: Path) -> list[str]:
    """A line for each file fetched from a network, and each link to a file or an anchor that the site does not have."""
    pages = {p.resolve(): read(p) for p in folder.rglob("*.html") if "_static" not in p.relative_to(folder).parts}
    found = []
    for page, links in pages.items():
        for address in {*links.fetched, *links.followed}:
            parts = urlsplit(address)
            if parts.scheme in ("http", "https") or parts.netloc:
                if address in links.fetched:
                    found.append(f"{page.relative_to(folder)}: fetches {address}")
                continue
            if parts.scheme:  # data:, mailto:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            if target.is_dir():
                target /= "index.html"
            if not target.exists():
                found.append(f"{page.relative_to(folder)}: {address} leads nowhere")
            elif "_modules" in page.parts:  # viewcode leads to the page of the reference, not always to the place
                continue
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                found.append(f"{page.relative_to(folder)}: {address} has no such place")
    return sorted(found)
