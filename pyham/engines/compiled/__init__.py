"""The engine on compiled kernels (Numba), for float32 and float64.

From the bottom up: settings of the compiler, addresses, register blocks, elementary functions, one stage, passes
through the layers, kernels, and the functions that call them. All but ``threads`` import Numba.
"""
