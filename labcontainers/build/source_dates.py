"""SOURCE_DATE_EPOCH: a number, or a source of the build whose own time it is: the context, a context with a name, or a stage of one ADD.

It must not ask anybody itself: whoever knows the times of sources is passed in.

Source: docs.docker.com "Dockerfile reference", ARG, SOURCE_DATE_EPOCH; BuildKit's Dockerfile 1.24 as to what a stage may hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from labcontainers.build.dockerfile.argument_forms import Word
from labcontainers.build.dockerfile.instructions import From, Instruction, Pairs, Transfer
from labcontainers.build.dockerfile.shellwords import ExpansionFault, expand
from labcontainers.build.remotes.addresses import Address, parse_address
from labcontainers.errors import InvalidArgument

SOURCE_DATE_EPOCH = "SOURCE_DATE_EPOCH"
_OF_CONTEXT = "context"
# The end of the year 9999, after which RFC 3339 has no date.
_LATEST_S = 253402300799
_SHAPE = "it is FROM scratch, and one ADD of a URL or a git repository, and ARG"

# When what is at an address, or the context with a name ("" is the main one), was last changed: seconds since 1970, None for unknown.
TimeOf = Callable[[Address | str], int | None]


def no_time(what: Address | str) -> int | None:
    """Nothing has a time: a folder has none, and nobody is asked."""
    return None


def with_date(arguments: Mapping[str, str], date_s: int | None) -> dict[str, str]:
    """The arguments with a number for SOURCE_DATE_EPOCH where that is to be the time of something; without it where that has none."""
    text = arguments.get(SOURCE_DATE_EPOCH, "")
    if not text or text.isdecimal():
        return dict(arguments)
    others = {name: value for name, value in arguments.items() if name != SOURCE_DATE_EPOCH}
    return others if date_s is None else {**others, SOURCE_DATE_EPOCH: str(date_s)}


@dataclass(frozen=True, slots=True)
class Dates:
    """What a value of SOURCE_DATE_EPOCH means in one build: `stages` are those of the file, `is_context` knows the names of contexts."""

    stages: Sequence[tuple[From, Sequence[Instruction]]]
    build_args: Mapping[str, str]
    escape: str
    is_context: Callable[[str], bool]
    time_of: TimeOf

    def find(self, arguments: Mapping[str, str]) -> int | None:
        """Seconds since 1970, None for no time; `arguments` are those of before the first FROM.

        Raises InvalidArgument for what is neither a number nor a source, DockerfileError for a stage that is none.
        """
        text = self.build_args.get(SOURCE_DATE_EPOCH) or arguments.get(SOURCE_DATE_EPOCH)
        if not text:
            return None
        if text.isascii() and text.isdecimal() and int(text) <= _LATEST_S:
            return int(text)
        if text == _OF_CONTEXT:
            return self.time_of("")
        if self.is_context(text):
            return self.time_of(text)
        for opening, body in self.stages:
            if opening.stage_name and opening.stage_name == text.lower():
                return self.time_of(self._source(opening, body, arguments))
        hint = "give the seconds since 1970" + (", such as of `git log -1 --format=%ct`" if not text.isdecimal() else "")
        raise InvalidArgument(f"SOURCE_DATE_EPOCH is no number of seconds: {text!r}", hint)

    def _source(self, opening: From, body: Sequence[Instruction], arguments: Mapping[str, str]) -> Address:
        """The one address that a stage takes files from; raises DockerfileError where it is another kind of stage."""
        known = {name: value for name, value in arguments.items() if name != SOURCE_DATE_EPOCH}
        if self._expand(opening, opening.image, known) != "scratch":
            raise opening.place_of(opening.image).fault("the stage of SOURCE_DATE_EPOCH begins with an image", _SHAPE)
        found: list[Address] = []
        for instruction in body:
            keyword = instruction.node.keyword
            if isinstance(instruction, Pairs) and keyword == "ARG":
                for pair in instruction.pairs:
                    if pair.key.text in self.build_args:
                        known[pair.key.text] = self.build_args[pair.key.text]
                    elif pair.value is not None:
                        known[pair.key.text] = self._expand(instruction, pair.value, known)
            elif isinstance(instruction, Transfer) and keyword == "ADD":
                found.append(self._address(instruction, known))
            else:
                raise instruction.node.place.fault(f"the stage of SOURCE_DATE_EPOCH has {keyword}", _SHAPE)
        if len(found) != 1:
            raise opening.node.place.fault(f"the stage of SOURCE_DATE_EPOCH has {len(found)} ADD", _SHAPE)
        return found[0]

    def _address(self, instruction: Transfer, known: Mapping[str, str]) -> Address:
        sources, checksum = instruction.sources, instruction.flag("checksum")
        try:
            address = parse_address(self._expand(instruction, sources[0], known)) if len(sources) == 1 and not instruction.files else None
            if address is None:
                raise InvalidArgument("the ADD of SOURCE_DATE_EPOCH takes more or less than one thing from elsewhere", _SHAPE)
            return address if checksum is None else address.with_checksum(self._expand(instruction, checksum, known))
        except InvalidArgument as error:
            raise instruction.node.place.fault(error.message, error.hint) from None

    def _expand(self, instruction: Instruction, word: Word, known: Mapping[str, str]) -> str:
        try:
            return expand(word.text, known.get, self.escape)
        except ExpansionFault as fault:
            raise instruction.place_of(word).fault(fault.message, fault.hint) from None
