"""What one stage's instructions are planned against: its state, its variables, and the faults and warnings found so far.

It must not know any single instruction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from labcontainers.build.dockerfile.argument_forms import Word
from labcontainers.build.dockerfile.instructions import Instruction
from labcontainers.build.dockerfile.lint import BuildWarning
from labcontainers.build.dockerfile.shellwords import ExpansionFault, Lookup, expand, expand_words
from labcontainers.build.dockerfile.source import Faults, Place, nearest
from labcontainers.build.plan import ConfigStep, PlanOptions, StageState, describe
from labcontainers.build.stages import Stage, Stages
from labcontainers.oci.image_config import ImageConfig


class Scope:
    """One stage while it is planned."""

    def __init__(
        self,
        state: StageState,
        grouped: Stages,
        options: PlanOptions,
        escape: str,
        faults: Faults,
        image_config: Callable[[str], ImageConfig],
    ) -> None:
        self.image_config = image_config
        self.state = state
        self.stage: Stage = state.stage
        self.grouped = grouped
        self.options = options
        self.escape = escape
        self.faults = faults

    def lookup(self, place: Place) -> Lookup:
        """The variables before the instruction at `place`; unknown ones are noticed."""
        values = self.state.environment()

        def find(name: str) -> str | None:
            if name not in values and name not in self.state.arguments:
                hint = nearest(name, values)
                message = f"Usage of undefined variable '${name}'" + (f" ({hint.replace('mean ', 'mean $')})" if hint else "")
                self.grouped.warnings.append(BuildWarning("UndefinedVar", message, place))
            return values.get(name)

        return find

    def expand(self, instruction: Instruction, word: Word) -> str:
        """A word of the instruction's arguments with its variables replaced; raises DockerfileError."""
        try:
            return expand(word.text, self.lookup(instruction.place_of(word)), self.escape)
        except ExpansionFault as fault:
            raise instruction.place_of(Word("", word.offset + fault.offset)).fault(fault.message, fault.hint) from None

    def expand_all(self, instruction: Instruction, words: tuple[Word, ...]) -> list[str]:
        return [self.expand(instruction, word) for word in words]

    def config_step(self, instruction: Instruction, created_by: str) -> ConfigStep:
        return ConfigStep(describe(instruction), instruction.node.place, created_by)

    def refuse_flags(self, instruction: Instruction, names: Mapping[str, str]) -> None:
        """Raise Unsupported for the first flag of `names` that was given; the values are hints."""
        for name, hint in names.items():
            if instruction.flags.get(name):
                raise instruction.place_of_flag(name).unsupported(f"{instruction.node.keyword} --{name}", hint)

    def expand_words(self, instruction: Instruction, word: Word) -> list[str]:
        """Like expand, but what it expands to may be several words."""
        try:
            return expand_words(word.text, self.lookup(instruction.place_of(word)), self.escape)
        except ExpansionFault as fault:
            raise instruction.place_of(Word("", word.offset + fault.offset)).fault(fault.message, fault.hint) from None
