"""Settings of the site that `make docs` builds with Sphinx, of Markdown, notebooks and docstrings.

The source folder is the repository itself. So links between Markdown files mean the same here as in
a file browser, and a link to another file of the repository becomes a download.
"""

import sys
from pathlib import Path

SITE = Path(__file__).parent
ROOT = SITE.parents[1]
sys.path[:0] = [str(ROOT), str(SITE)]

project = "Polynya"
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "docstrings",
    "sphinx_copybutton",
    "navigation",
]

root_doc = "docs/index"
_WITH_PAGES = ("docs", "data_samples")
include_patterns = ["*.md", "data_samples/README.md", "docs/**"]
# Sphinx goes through every folder that isn't named here.
exclude_patterns = [
    "docs/site",
    *(path.name for path in ROOT.iterdir() if path.is_dir() and path.name not in _WITH_PAGES),
]

# Links may go to headings of these levels.
myst_heading_anchors = 4
# Notebooks are shown with the results that they keep: `make notebooks`.
nb_execution_mode = "off"
nb_merge_streams = True

# Docstrings need no TensorFlow.
autodoc_mock_imports = ["horovod", "keras", "tensorflow"]
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True}
# Types stand beside what the docstring says of a parameter, so signatures stay short.
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
# Docstrings have code in single backticks.
default_role = "code"

# Indented blocks are command lines.
highlight_language = "sh"
copybutton_selector = "div.highlight pre"

# Nothing is fetched: Furo has its scripts, and no fonts.
html_theme = "furo"
html_title = "Polynya"
html_additional_pages = {"index": "home.html"}
templates_path = ["templates"]
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
