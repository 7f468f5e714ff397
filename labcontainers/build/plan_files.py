"""Plans the instructions that make layers: RUN, COPY and ADD.

It must not know how steps are carried out.
"""

from __future__ import annotations

import re

from labcontainers.build.dockerfile.argument_forms import Word
from labcontainers.build.dockerfile.instructions import Command, Instruction, Transfer, names_directory
from labcontainers.build.dockerfile.shellwords import ExpansionFault, expand
from labcontainers.build.dockerfile.source import nearest
from labcontainers.build.modes import check_mode
from labcontainers.build.plan import CopyStep, InlineFile, RunStep, Step, describe
from labcontainers.build.plan_config import command_arguments
from labcontainers.build.scope import Scope
from labcontainers.build.stages import PROXY_ARGUMENTS, SANDBOX_HOSTNAME, Origin
from labcontainers.build.wording import absolute
from labcontainers.errors import DockerfileError, InvalidArgument, LabError, Unsupported

_REMOTE = re.compile(r"https?://|git://|git@|ssh://")


def run(scope: Scope, instruction: Instruction) -> Step:
    assert isinstance(instruction, Command)
    scope.refuse_flags(instruction, {"mount": "copy what the step needs by COPY", "device": "devices are not passed to builds"})
    security = instruction.flag("security")
    if security is not None and security.text != "sandbox":
        raise instruction.place_of_flag("security").unsupported(f"RUN --security={security.text}", "only sandbox is")
    arguments, script = _run_arguments(scope, instruction)
    visible = {name: value for name, value in scope.state.arguments.items() if value is not None}
    kept = scope.state.image_environment()
    shown = [f"{name}={kept.get(name, value or '')}" for name, value in scope.state.arguments.items()]
    prefix = f"|{len(shown)} {' '.join(shown)} " if shown else ""
    build_args = scope.options.build_args
    hidden = {name: value for name, value in build_args.items() if name in PROXY_ARGUMENTS and name not in {**visible, **kept}}
    return RunStep(
        text=describe(instruction),
        place=instruction.node.place,
        created_by=f"RUN {prefix}{' '.join(arguments) if arguments else script} # buildkit",
        arguments=arguments,
        script=script,
        environment=tuple(f"{name}={value}" for name, value in {**visible, **kept}.items()),
        proxies=tuple(f"{name}={value}" for name, value in hidden.items()),
        working_dir=scope.state.working_dir,
        user=scope.state.config.user,
        network=_network(scope, instruction),
        hostname=build_args.get(SANDBOX_HOSTNAME, "buildkitsandbox"),
    )


def _network(scope: Scope, instruction: Command) -> str:
    wanted = instruction.flag("network")
    if wanted is None or wanted.text == "default":
        return scope.options.network
    if wanted.text == "none" or wanted.text == scope.options.network:
        return wanted.text
    place = instruction.place_of_flag("network")
    if wanted.text == "host":
        raise place.fault("RUN --network=host is not allowed", "allow it for the whole build with the network host")
    raise place.fault(f"unsupported network mode: {wanted.text}", "modes are default, none and host")


def _run_arguments(scope: Scope, instruction: Command) -> tuple[tuple[str, ...], str]:
    if not instruction.heredocs:
        return command_arguments(scope, instruction), ""
    text = instruction.words[0].text
    alone = len(instruction.heredocs) == 1 and re.fullmatch(r"<<-?\S+", text)
    if alone:
        body = instruction.heredocs[0].text
        return ((), body) if body.startswith("#!") else ((*scope.state.shell, body), "")
    bodies = "".join(f"{heredoc.content}{heredoc.name}\n" for heredoc in instruction.heredocs)
    return (*scope.state.shell, f"{text}\n{bodies}".removesuffix("\n")), ""


def transfer(scope: Scope, instruction: Instruction) -> Step:
    assert isinstance(instruction, Transfer)
    keyword = instruction.node.keyword
    scope.refuse_flags(
        instruction,
        {"checksum": "remote sources are not fetched", "keep-git-dir": "remote sources are not fetched"},
    )
    for name in ("link", "parents"):
        if instruction.is_set(name):
            raise instruction.place_of_flag(name).unsupported(f"{keyword} --{name}", f"copy without --{name}")
    sources = scope.expand_all(instruction, instruction.sources)
    for word, source in zip(instruction.sources, sources, strict=True):
        _check_source(instruction, word, source)
    destination = scope.expand(instruction, instruction.destination)
    if len(sources) + len(instruction.files) > 1 and not names_directory(destination):
        message = f"when using {keyword} with more than one source file, the destination must be a directory and end with a /"
        raise instruction.place_of(instruction.destination).fault(message, f"write {destination}/")
    target = absolute(scope.state.working_dir, destination)
    target += "/" if names_directory(destination) and target != "/" else ""
    flags = {name: _flag(scope, instruction, name) for name in ("chown", "chmod")}
    shown = [f"--{name}={value}" for name, value in flags.items() if value]
    named = [*sources, *(f"<<{file.name}" for file in instruction.files)]
    return CopyStep(
        text=describe(instruction),
        place=instruction.node.place,
        created_by=" ".join([keyword, *shown, *named, destination, "# buildkit"]),
        origin=None if instruction.flag("from") is None else _origin(scope, instruction),
        sources=tuple(sources),
        files=tuple(_inline_file(scope, instruction, index) for index in range(len(instruction.files))),
        destination=target,
        chown=flags["chown"],
        chmod=flags["chmod"],
        exclude=tuple(scope.expand_all(instruction, instruction.flags.get("exclude", ()))),
        unpacks=keyword == "ADD" and ("unpack" not in instruction.flags or instruction.is_set("unpack")),
    )


def _check_source(instruction: Transfer, word: Word, source: str) -> None:
    place = instruction.place_of(word)
    if not source:
        raise place.fault(f"a source of {instruction.node.keyword} is empty", "give the variable a value")
    if not _REMOTE.match(source):
        return
    if instruction.node.keyword == "COPY":
        raise place.fault(f"source can't be a URL for COPY: {source}", "download it in a RUN step")
    raise place.unsupported(f"ADD of a remote source ({source})", "download it in a RUN step")


def _flag(scope: Scope, instruction: Transfer, name: str) -> str:
    word = instruction.flag(name)
    if word is None:
        return ""
    value = scope.expand(instruction, word)
    if name == "chmod" and value:
        try:
            check_mode(value)
        except InvalidArgument as error:
            raise instruction.place_of_flag(name).fault(error.message, error.hint) from None
    return value


def _origin(scope: Scope, instruction: Transfer) -> Origin:
    word = instruction.flag("from")
    assert word is not None
    place = instruction.place_of_flag("from")
    if "$" in word.text:
        raise place.fault("variable expansion is not supported for --from", "define a stage with FROM and an ARG from the global scope")
    origin = scope.grouped.find_origin(word.text, scope.stage.number)
    if origin.stage is not None and origin.stage >= scope.stage.number:
        raise place.fault(f"cannot copy from stage {word.text!r}, it needs to be defined before the current stage", "move its FROM up")
    if origin.stage is None and not word.text.isdecimal():
        try:
            scope.image_config(origin.image)
        except (DockerfileError, Unsupported):
            raise
        except LabError as error:
            names = [stage.name for stage in scope.grouped.stages[: scope.stage.number] if stage.name]
            raise place.fault(error.message, nearest(word.text, names) or error.hint) from error
    elif origin.stage is None:
        raise place.fault(f"there is no stage number {word.text}", f"stages before this one are 0 to {scope.stage.number - 1}")
    return origin


def _inline_file(scope: Scope, instruction: Transfer, index: int) -> InlineFile:
    heredoc = instruction.files[index]
    if not heredoc.expand:
        return InlineFile(heredoc.name, heredoc.text)
    try:
        return InlineFile(heredoc.name, expand(heredoc.text, scope.lookup(instruction.node.place), quotes=False))
    except ExpansionFault as fault:
        raise instruction.node.place.fault(f"in heredoc {heredoc.name}: {fault.message}") from None
