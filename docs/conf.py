"""How the site is built: `sphinx-build -W --keep-going docs docs/_build/html`.

The course's scripts, docs/course/NN_name.py, are run by sphinx-gallery while the site is built; `-D
plot_gallery=0` builds the site without running them. docs/live, where it exists, is built into it by
docs/live/build.py.
"""

import sys
from pathlib import Path

import eyespot
from eyespot.console import quiet

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_extensions"))
quiet()  # progress is no output of the course's pages

project = "eyespot"
author = "the authors of eyespot"
project_copyright = author
version = eyespot.__version__
release = version
language = "en"
smartquotes = False  # they make a dash of the two hyphens of an option

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
    "accessible",
    "derived",
    "docstrings",
    "mathml",
    "live_pages",
]
suppress_warnings = ["config.cache"]  # functions as settings of the gallery cannot be pickled
exclude_patterns = ["_build", "_extensions", "course/GALLERY_HEADER.rst", "live", "**/sg_execution_times.rst"]

myst_enable_extensions = ["amsmath", "attrs_block", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True

# Formulas become MathML while the site is built, so that pages need no script and no network.
html_math_renderer = "mathml"

sphinx_gallery_conf = {
    "examples_dirs": ["course"],
    "gallery_dirs": ["lecture"],
    "filename_pattern": r"/\d\d_",
    "ignore_pattern": r"/(?!\d\d_)[^/]*\.py$",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "only_warn_on_example_error": False,
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
    "download_all_examples": False,
    "remove_config_comments": True,
    "image_scrapers": ("matplotlib",),
    "reset_modules": ("matplotlib", "script_place.set_file"),
    "min_reported_time": 3600,  # how long a page took here says nothing about the reader's machine
    "default_thumb_file": None,
}

highlight_language = "none"
html_theme = "furo"
html_title = "eyespot"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": False}
