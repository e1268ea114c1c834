"""The engine on compiled kernels (Numba), for float32 and float64.

From the bottom up: ``settings`` of the compiler; ``addresses`` of numbers and pieces of scratch memory;
``register_blocks``, the matrix products; ``elementary`` functions and the ``activations`` made of them; ``tiles`` of
samples in the cache; one ``stage`` for a tile; several ``layers`` for a tile; the ``kernels``, loops over tiles; and
``engine``, which cuts a batch for ``threads`` and calls them. ``image_tiles``, ``image_kernels`` and ``images`` are the
same for convolutions. All but ``threads`` and ``buffers`` import Numba.
"""
