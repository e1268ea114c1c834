"""The engine on compiled kernels (Numba), for float32 and float64.

From the bottom up: ``settings`` of the compiler; ``addresses`` of numbers and pieces of scratch memory; ``vector_code``
in LLVM's language, and in it ``register_blocks``, the matrix products, and ``edge_blocks``, those of matrices on the
edges of a graph; ``maps``, either of the two; ``elementary`` functions and the ``activations`` made of them; ``tiles``
of samples in the cache; one ``stage`` for a tile; several ``layers`` for a tile; the ``kernels``, loops over tiles;
``dense`` and ``edges``, which cut a batch for ``threads`` and call them; and ``engine``, which chooses.
``image_tiles``, ``image_kernels`` and ``convolutions`` are the same for images. All but ``threads`` and ``buffers``
import Numba.
"""
