"""Tables of calls that must be refused, as one test with a case for each row."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest

Case = tuple[Callable[..., object], Any, type[Exception], str]


def refused(cases: Iterable[Case]) -> Callable[[Case], None]:
    """A test that every (function, argument, error, message) raises that error, the regular expression all it says."""

    @pytest.mark.parametrize("case", list(cases))
    def test(case: Case) -> None:
        function, argument, error, message = case
        with pytest.raises(error, match=rf"\A(?:{message})\Z"):
            function(argument)

    return test
