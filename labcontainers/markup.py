"""What the HTML forms of objects have in common; it must not know any of them."""

from __future__ import annotations

import html
from collections.abc import Sequence

# Attributes of an element that shows commands: MathJax 3 and 2 take what is between two dollars for a formula elsewhere.
NO_FORMULAS = 'class="mathjax_ignore tex2jax_ignore"'
# How a table of texts begins.
TABLE = f'<table {NO_FORMULAS} style="font-family:monospace;font-size:90%;margin:0">'


def preformatted(lines: Sequence[str]) -> str:
    """Lines of text whose columns stand below each other: for tables of many cells, each of which would need a style of its own."""
    style = "margin:4px 0 0;padding:0;max-height:30em;overflow:auto;background:none;color:inherit;font-size:12px;line-height:1.45"
    return f'<pre style="{style}">{html.escape(chr(10).join(lines))}</pre>'
