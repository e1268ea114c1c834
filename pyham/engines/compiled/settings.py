"""Every Numba setting of the package, each with its reason.

============================  =======================================================================================
setting                       reason
============================  =======================================================================================
caching on disk               machine code is kept on disk: the second process of a user compiles nothing
``nogil=True``                a kernel runs beside other threads, so blocks of samples can be worked on in parallel
``error_model="numpy"``       division by zero gives inf as in NumPy; Python's check would stop LLVM from vectorising
``fastmath={"contract"}``     a * b + c may become one fused operation. Nothing that assumes finite numbers: NaN and
                              inf pass through the kernels as they do through NumPy
``fastmath={.., "reassoc"}``  only for sums over samples: without it, a sum is a chain of dependent additions
``no_cfunc_wrapper=True``     nothing is called from C; without that wrapper there is 2 % less to compile
``no_cpython_wrapper=True``   parts of kernels are never called from Python; wrappers took a fifth of compile time
============================  =======================================================================================

Numba's disk cache looks at the time stamp of the file that holds a function, and not at the functions that it calls in
other files: after an update, old machine code could go on being used. Every function compiled here therefore carries a
digest of all the jitted sources in its name, which is part of the cache's file name.

Where code cannot be kept (no folder that can be written to, or a full disk) it is compiled in every process, and one
warning says so. The first function that is compiled says that it takes a while, once in a process.
"""

import hashlib
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import event


def _digest() -> str:
    """Of this file and of every file of this room that has jitted functions or writes code in LLVM's language.

    The first import this one, the others llvmlite.
    """
    sources = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        content = path.read_bytes()
        if path.name == "settings.py" or b"compiled.settings import" in content or b"llvmlite import" in content:
            sources.update(content)
    return sources.hexdigest()[:12]


DIGEST = _digest()

_reasons: list[str] = []  # why machine code could not be kept


def _jit(fastmath: set[str], **options: bool) -> Callable[[Callable[..., Any]], Any]:
    njit: Any = numba.njit

    def decorate(function: Callable[..., Any]) -> Any:
        function.__qualname__ += f"_{DIGEST}"
        return _kept(
            njit(nogil=True, error_model="numpy", fastmath=fastmath, no_cfunc_wrapper=True, **options)(function)
        )

    return decorate


def _kept(function: Any) -> Any:
    """The function, whose machine code is kept on disk where that is possible."""
    if not hasattr(function, "enable_caching"):  # with NUMBA_DISABLE_JIT it is one of Python's
        return function
    try:
        function.enable_caching()
    except (OSError, RuntimeError) as error:
        _not_kept(str(error))
    else:
        for name in ("load_overload", "save_overload"):
            setattr(function._cache, name, _forgiving(getattr(function._cache, name)))
    return function


def _forgiving(method: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        try:
            return method(*arguments)
        except OSError as error:
            _not_kept(str(error))

    return call


def _not_kept(reason: str) -> None:
    """Warn, the first time."""
    if not _reasons:
        warnings.warn(
            f"pyham compiles its kernels in every process, since machine code cannot be kept on disk ({reason}); "
            "set NUMBA_CACHE_DIR to a folder that can be written to",
            RuntimeWarning,
            stacklevel=2,
        )
    _reasons.append(reason)


class _Announcement(event.Listener):
    """Says once that kernels are being compiled, which is what makes the first call slow."""

    said = False

    def on_start(self, event: Any) -> None:
        own = event.data["dispatcher"].py_func.__module__.startswith("pyham.")
        if own and not self.said:
            self.said = True
            logging.getLogger("pyham").warning(
                "pyham compiles kernels for this machine, which takes some seconds, once; "
                "`python -m pyham warmup` compiles all of them"
            )

    def on_end(self, event: Any) -> None:
        pass


event.register("numba:compile", _Announcement())


kernel = _jit({"contract"})
part = _jit({"contract"}, no_cpython_wrapper=True)
reduction = _jit({"contract", "reassoc"})
