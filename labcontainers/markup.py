"""What the HTML forms of objects have in common; it must not know any of them."""

from __future__ import annotations

# Attributes of an element that shows commands: MathJax 3 and 2 take what is between two dollars for a formula elsewhere.
NO_FORMULAS = 'class="mathjax_ignore tex2jax_ignore"'
# How a table of texts begins.
TABLE = f'<table {NO_FORMULAS} style="font-family:monospace;font-size:90%;margin:0">'
