"""What teachers show and learners try.

``playground`` finds the page ``playground.html``, which computes in the browser what the rest of the package computes
in Python. ``explain`` shows every number of one backward pass, with its formula and what checked it. Modules here may
import every room below them, ``pyham.interop`` included; commands import them, and so does ``net.explain`` when called.
"""
