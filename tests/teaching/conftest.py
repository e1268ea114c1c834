"""The playground, opened in a browser."""

import pytest

from pyham.teaching import playground
from tests.oracles import browser


@pytest.fixture(scope="session")
def session():
    """A browser for all tests of a process; without one, tests that ask for it are skipped."""
    if browser.find() is None:
        pytest.skip("no chromium: the playground is tested in a browser")
    with browser.Browser(playground.PAGE) as opened:
        yield opened


@pytest.fixture
def page(session):
    """The page as it is when it is opened; afterwards it must not have complained."""
    session.open(playground.PAGE)
    yield session
    assert session.problems() == []
