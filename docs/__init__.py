"""The documentation: pages in Markdown, and the program that makes a site of them, ``python -m docs``.

``assemble`` puts pages together with what is made of the code (numbers of claims, the gallery, the command line),
``conf`` tells Sphinx what to do with them, ``offline`` looks at the result.
"""
