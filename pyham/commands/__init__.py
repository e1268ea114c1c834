"""The commands of ``python -m pyham``, one file each: ``add(parser)`` declares the options, ``run(options)`` does it.

``run`` returns the exit code, and raises TypeError, ValueError, ArithmeticError or OSError for what
``pyham.commands.cli`` then prints with exit code 2.
"""
