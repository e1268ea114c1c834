"""What the theory promises, measured: symplecticity, bounds, gradient checks, certificates and their controls.

May import networks, engines and architectures.
"""
