"""What Sphinx is told; ``python -m docs`` calls it, for the site and for the slides."""

import pyham

project, author, copyright = "pyham", "The pyham developers", "The pyham developers, MIT licence"
version = release = pyham.__version__

slides = tags.has("slides")  # type: ignore[name-defined]  # noqa: F821
extensions = ["myst_nb", "sphinx.ext.mathjax", "sphinx-mathjax-offline"]
extensions += (
    ["sphinx_revealjs"]
    if slides
    else [
        "sphinx.ext.autodoc",
        "sphinx.ext.viewcode",
        "numpydoc",
        "docs.docstrings",
        "sphinx_design",
        "sphinx_copybutton",
    ]
)
exclude_patterns = ["**/.*", "notebooks/**"]

# Pages are Markdown, and their code is executed once: the results are kept until the code changes.
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "off" if slides else "cache"
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_merge_streams = True
nb_output_stderr = "remove"  # that kernels were compiled
nb_ipywidgets_js: dict[str, dict[str, str]] = {}  # nothing is fetched from a network

highlight_language = "text"  # unless a block says otherwise

# The reference
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # numpydoc's sections say it in words
autodoc_inherit_docstrings = True
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
python_use_unqualified_type_names = True

# The site
html_theme = "pydata_sphinx_theme"
html_title = "pyham"
html_static_path = [] if slides else ["_static"]
html_css_files = [] if slides else ["site.css"]
html_logo = None if slides else "_static/logo.svg"
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "pyham"},
    "show_toc_level": 2,
    "navigation_with_keys": True,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "header_links_before_dropdown": 7,
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {"index": [], "playground": []}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# The slides
revealjs_style_theme = "white"
revealjs_script_conf = {"hash": True, "width": 1280, "height": 720, "controls": True}
if slides:
    html_theme_options = {}
