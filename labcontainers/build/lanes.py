"""Steps in the order of the plan, drawn as lanes: one for each stage that is wanted later, used again when it is not.

It must not know what draws them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LaneRow:
    """What stands in front of one step: its own lane, the lanes that go on above and below it, and those that its own is joined with."""

    own: int
    above: tuple[bool, ...]
    below: tuple[bool, ...]
    joins: tuple[int, ...]

    def draw(self, mark: str) -> str:
        """With plain characters, two for each lane; `mark` is the step."""
        used = [above or below for above, below in zip(self.above, self.below, strict=True)]
        row = [character for lane in used for character in ("|" if lane else " ", " ")]
        for other in self.joins:
            low, high = sorted((self.own, other))
            for position in range(2 * low + 1, 2 * high):
                row[position] = "|" if row[position] == "|" else "-"
        for other in self.joins:
            row[2 * other] = "+" if self.below[other] else "`" if other < self.own else "'"
        row[2 * self.own] = mark
        return "".join(row).rstrip()


def lanes_of(places: Sequence[tuple[int, int]], needs: Mapping[int, Collection[int]]) -> tuple[LaneRow, ...]:
    """A row for each step. `places` are their number and count in their stage, `needs` the steps of other stages that one needs.

    Steps count from 1, also in `needs`.
    """
    first_of = {index: index - number for index, (number, _) in enumerate(places, 1)}
    last_use = {before: index for index in sorted(needs) for before in needs[index]}
    lanes: list[int | None] = []
    rows: list[LaneRow] = []
    for index, (number, count) in enumerate(places, 1):
        own = first_of[index]
        above = [lane is not None for lane in lanes]
        if own not in lanes:
            free = lanes.index(None) if None in lanes else len(lanes)
            lanes[free : free + 1] = [own]
        position = lanes.index(own)
        joins = {lanes.index(first_of[before]): last_use[before] == index for before in needs.get(index, ())}
        for other, ends in joins.items():
            if ends:
                lanes[other] = None
        if number == count and index not in last_use:
            lanes[position] = None
        above += [False] * (len(lanes) - len(above))
        rows.append(LaneRow(position, tuple(above), tuple(lane is not None for lane in lanes), tuple(sorted(joins))))
    return tuple(rows)
