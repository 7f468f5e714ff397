"""What was found in a Dockerfile, as a notebook shows it."""

from __future__ import annotations

from labcontainers.build.dockerfile.lint import BuildWarning
from labcontainers.build.dockerfile.source import Place, Source
from labcontainers.build.marked_lines import marked_lines
from labcontainers.errors import Unsupported

LINES = ("FROM base", "ENV A=<b>", "", "", "", "", "", "WORKDIR srv", "CMD echo $A", "# end", "# more", "# last")


def test_what_is_found_stands_below_its_line_and_lines_far_from_all_are_left_out() -> None:
    source = Source("Dockerfile", LINES)
    warnings = [
        BuildWarning("WorkdirRelativePath", "it is <relative>", Place(source, 8, 8)),
        BuildWarning("OwnRule", "of no page", Place(source, 9, 9)),
    ]
    faults = [Place(source, 1, 1).fault("no such image", "make it"), Unsupported("a thing is not supported")]
    shown = marked_lines(source, warnings, faults)
    parts = (
        "2 warnings, 2 faults", "FROM base", "no such image (make it)", "A=&lt;b&gt;", "⋯", "WORKDIR srv", "workdir-relative-path/",
        "it is &lt;relative&gt;", "CMD echo $A", "OwnRule: of no page", "# more", "a thing is not supported",
    )  # fmt: skip
    places = [shown.index(part) for part in parts]
    assert places == sorted(places)
    assert "# last" not in shown
    assert "mathjax_ignore" in shown


def test_nothing_found_is_told() -> None:
    assert "nothing found" in marked_lines(Source("Dockerfile", LINES), [], [])
