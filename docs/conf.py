"""Sphinx's settings. Built by `.ci/run` and `make docs`; the pages are Markdown (MyST).

sphinx-build -W -b dirhtml -c docs docs/pages build/site
"""

from __future__ import annotations

import sys
from pathlib import Path

from sphinx.application import Sphinx

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from rule_pages import write_rule_pages  # noqa: E402

project = "bnlint"
author = "the bnlint developers"
html_title = "bnlint"
extensions = ["myst_parser", "sphinx_click", "sphinx_copybutton", "sphinx_design"]
exclude_patterns = ["_generated"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
html_theme = "furo"
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
html_search_scorer = str(HERE / "search_scorer.js")
# Prompts are not copied.
copybutton_prompt_text = "$ "
copybutton_exclude = ".linenos, .gp"
suppress_warnings = ["myst.header"]  # headings of generated pages start where they must


def setup(app: Sphinx) -> None:
    app.connect("builder-inited", lambda app: write_rule_pages(Path(app.srcdir) / "rules"))
