"""What teachers show and learners try.

``playground`` finds the page ``playground.html``, which computes in the browser what the rest of the package computes
in Python. Modules here may import every room below them, ``pyham.interop`` included; only commands import them.
"""
