"""A Dockerfile in parts: what stands where, and where each line comes from."""

from __future__ import annotations

import pytest

from labcontainers.build.drafts import Draft, Drafts
from labcontainers.errors import InvalidArgument, NotFound


def draft(*parts: tuple[str, str]) -> Draft:
    made = Draft("web")
    for key, text in parts:
        made = made.with_part(key, text)
    return made


def test_parts_stand_one_after_the_other_each_on_lines_of_its_own() -> None:
    made = draft(("a", "FROM x"), ("b", "RUN one\n"), ("c", "RUN two"))
    assert made.text == "FROM x\nRUN one\nRUN two\n"
    assert repr(made) == "FROM x\nRUN one\nRUN two"


def test_a_cell_that_gives_another_text_replaces_its_own() -> None:
    made = draft(("a", "FROM x"), ("b", "RUN one"), ("c", "RUN two"))
    again = made.with_part("b", "RUN other\nRUN more")
    assert again.text == "FROM x\nRUN other\nRUN more\nRUN two\n"
    assert again.until("b", "RUN other\nRUN more").text == "FROM x\nRUN other\nRUN more\n"
    assert made.text == "FROM x\nRUN one\nRUN two\n"


def test_without_a_cell_the_same_text_stands_once() -> None:
    made = draft(("", "FROM x"), ("", "RUN one"), ("", "FROM x"))
    assert made.text == "FROM x\nRUN one\n"
    assert draft(("a", "RUN one"), ("b", "RUN one")).text == "RUN one\nRUN one\n"


@pytest.mark.parametrize(("line", "place"), [(1, (1, 1)), (2, (2, 1)), (4, (2, 3)), (5, (3, 1))])
def test_each_line_has_a_part_and_a_line_in_it(line: int, place: tuple[int, int]) -> None:
    assert draft(("a", "FROM x"), ("b", "# one\n\nRUN two"), ("c", "CMD three")).origin(line) == place


@pytest.mark.parametrize(
    "text",
    ["RUN one \\", "RUN one \\\n", "RUN one \\\n# a comment\n\n", "RUN <<E\necho", "# escape=`\nRUN one `", "COPY <<A <<B /\nA\n"],
)
def test_a_part_that_ends_within_an_instruction_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="within an instruction"):
        draft(("a", text))


@pytest.mark.parametrize("text", ["# only a comment", "", "\n\n", "RUN <<E\necho\nE", "RUN one \\\n two", "# escape=`\nRUN dir c:\\"])
def test_a_part_that_ends_after_an_instruction_is_not(text: str) -> None:
    assert draft(("a", text), ("b", "FROM x")).text.endswith("\nFROM x\n")


def test_only_a_from_makes_something_to_build() -> None:
    assert not draft(("a", "# FROM x\nARG V=1")).has_stage
    assert not draft(("a", "RUN <<E\nFROM x\nE")).has_stage
    assert draft(("a", "ARG V=1"), ("b", "from x")).has_stage


def test_html_escapes_what_was_written() -> None:
    assert "<b>" not in draft(("a", "RUN echo '<b>'"))._repr_html_()


def test_drafts_are_kept_listed_and_forgotten() -> None:
    drafts = Drafts()
    with pytest.raises(NotFound, match="'web'"):
        drafts.get("web")
    drafts.keep(drafts.find("web").with_part("a", "FROM x"))
    drafts.keep(drafts.find("db").with_part("a", "FROM y"))
    assert [made.name for made in drafts.list()] == ["db", "web"]
    drafts.remove("web")
    with pytest.raises(NotFound):
        drafts.remove("web")
    drafts.clear()
    assert drafts.list() == []
