"""Every Numba setting of the package, each with its reason.

============================  =======================================================================================
setting                       reason
============================  =======================================================================================
``cache=True``                machine code is kept on disk: the second process of a user compiles nothing
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
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba


def _digest() -> str:
    """Of this file and of every file of this room that has jitted functions, which is why it imports this one."""
    sources = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        content = path.read_bytes()
        if path.name == "settings.py" or b"compiled.settings import" in content:
            sources.update(content)
    return sources.hexdigest()[:12]


DIGEST = _digest()


def _jit(fastmath: set[str], **options: bool) -> Callable[[Callable[..., Any]], Any]:
    njit: Any = numba.njit

    def decorate(function: Callable[..., Any]) -> Any:
        function.__qualname__ += f"_{DIGEST}"
        return njit(cache=True, nogil=True, error_model="numpy", fastmath=fastmath, no_cfunc_wrapper=True, **options)(
            function
        )

    return decorate


kernel = _jit({"contract"})
part = _jit({"contract"}, no_cpython_wrapper=True)
reduction = _jit({"contract", "reassoc"})
