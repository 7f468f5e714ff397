"""Plans the instructions that make layers: RUN, COPY and ADD.

It must not know how steps are carried out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from labcontainers.build import rights
from labcontainers.build.dockerfile.instructions import Command, Instruction, Transfer, names_directory
from labcontainers.build.dockerfile.shellwords import ExpansionFault, expand
from labcontainers.build.modes import check_mode
from labcontainers.build.origins import find_origin
from labcontainers.build.plan import CopyStep, InlineFile, RunStep, Step, describe
from labcontainers.build.plan_config import command_arguments
from labcontainers.build.plan_remotes import check_names, find_remotes, shown_text
from labcontainers.build.remotes.addresses import shown as without_user
from labcontainers.build.run_mounts import run_mounts
from labcontainers.build.scope import Scope
from labcontainers.build.stages import PROXY_ARGUMENTS, SANDBOX_HOSTNAME, Origin
from labcontainers.build.wording import absolute
from labcontainers.errors import InvalidArgument


def run(scope: Scope, instruction: Instruction) -> Step:
    assert isinstance(instruction, Command)
    scope.refuse_flags(instruction, {"device": "no descriptions of devices (CDI) are read; a container gets a node by run --device"})
    arguments, script = _run_arguments(scope, instruction)
    variables = scope.state.environment()
    shown = [f"{name}={variables.get(name, '')}" for name in scope.state.arguments]
    # BuildKit runs a here-document with a `#!` line by this name
    shown_arguments = arguments or (*scope.state.shell, f"/dev/pipes/{instruction.heredocs[0].name}")
    prefix = f"|{len(shown)} {' '.join(shown)} " if shown else ""
    build_args = scope.options.build_args
    return RunStep(
        text=describe(instruction),
        place=instruction.node.place,
        created_by=f"RUN {prefix}{' '.join(shown_arguments)} # buildkit",
        arguments=arguments,
        script=script,
        environment=tuple(f"{name}={value}" for name, value in variables.items()),
        proxies=_proxies(build_args, variables),
        working_dir=scope.state.working_dir,
        user=scope.state.config.user,
        network=_network(scope, instruction),
        hostname=build_args.get(SANDBOX_HOSTNAME, "buildkitsandbox"),
        mounts=run_mounts(scope, instruction),
        declared=tuple(name for name in scope.state.arguments if name not in scope.state.image_environment()),
        hosts=scope.options.hosts,
        privileged=_is_privileged(scope, instruction),
    )


def _proxies(build_args: Mapping[str, str], variables: Mapping[str, str]) -> tuple[str, ...]:
    """The proxy arguments that no ARG declares, in capital and in small letters: some programs look for these, some for those."""
    given = {name: value for name, value in build_args.items() if name in PROXY_ARGUMENTS and name not in variables}
    both = {form: value for name, value in given.items() for form in (name.upper(), name.lower())} | given
    return tuple(f"{name}={value}" for name, value in both.items() if name not in variables)


def _network(scope: Scope, instruction: Command) -> str:
    wanted = instruction.flag("network")
    if wanted is None or wanted.text == "default":
        return scope.options.network
    if wanted.text == "none" or wanted.text == scope.options.network:
        return wanted.text
    place = instruction.place_of_flag("network")
    if wanted.text != "host":
        raise place.fault(f"unsupported network mode: {wanted.text}", "modes are default, none and host")
    if rights.HOST_NETWORK not in scope.options.rights:
        raise place.fault("RUN --network=host is not allowed", f"if you trust the Dockerfile, build with --allow {rights.HOST_NETWORK}")
    return "host"


def _is_privileged(scope: Scope, instruction: Command) -> bool:
    """Whether the step is to have all rights of root, as a privileged container."""
    wanted = instruction.flag("security")
    if wanted is None or wanted.text == "sandbox":
        return False
    place = instruction.place_of_flag("security")
    if wanted.text != "insecure":
        raise place.fault(f"unsupported security mode: {wanted.text}", "modes are sandbox and insecure")
    if rights.INSECURE not in scope.options.rights:
        raise place.fault("RUN --security=insecure is not allowed", f"if you trust the Dockerfile, build with --allow {rights.INSECURE}")
    if scope.options.rootless:
        raise place.unsupported("RUN --security=insecure", "only root can give a step all rights of this machine: run the engine as root")
    return True


def _run_arguments(scope: Scope, instruction: Command) -> tuple[tuple[str, ...], str]:
    if not instruction.heredocs:
        return command_arguments(scope, instruction), ""
    text = instruction.words[0].text
    alone = len(instruction.heredocs) == 1 and re.fullmatch(r"<<-?[ \t]*\S+", text)
    if alone:
        body = instruction.heredocs[0].text
        return ((), body) if body.startswith("#!") else ((*scope.state.shell, body), "")
    bodies = "".join(f"{heredoc.content}{heredoc.name}\n" for heredoc in instruction.heredocs)
    return (*scope.state.shell, f"{text}\n{bodies}".removesuffix("\n")), ""


def transfer(scope: Scope, instruction: Instruction) -> Step:
    assert isinstance(instruction, Transfer)
    keyword = instruction.node.keyword
    written = scope.expand_all(instruction, instruction.sources)
    remotes = find_remotes(scope, instruction, written)
    sources = [without_user(source) for source in written] if remotes else written
    destination = scope.expand(instruction, instruction.destination)
    if len(sources) + len(instruction.files) > 1 and not names_directory(destination):
        message = f"when using {keyword} with more than one source file, the destination must be a directory and end with a /"
        raise instruction.place_of(instruction.destination).fault(message, f"write {destination}/")
    target = absolute(scope.state.working_dir, destination)
    target += "/" if names_directory(destination) and target != "/" else ""
    flags = {name: _flag(scope, instruction, name) for name in ("chown", "chmod")}
    shown = [f"--{name}={value}" for name, value in flags.items() if value]
    named = [*sources, *(f"<<{file.name}" for file in instruction.files)]
    check_names(instruction, remotes, target)
    return CopyStep(
        text=shown_text(instruction),
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
        link=instruction.is_set("link"),
        parents=instruction.is_set("parents"),
        remotes=remotes,
        unpacks_remote=instruction.is_set("unpack"),
    )


def whole_context(scope: Scope) -> CopyStep:
    """All files of a context with a name, as the first layer of a stage that begins with it."""
    name, opening = scope.stage.base.context, scope.stage.opening
    return CopyStep(
        text=f"FROM {name}: all files of the context",
        place=opening.node.place,
        created_by=f"FROM {name} # context",
        origin=scope.stage.base,
        sources=("/",),
        files=(),
        destination="/",
        chown="",
        chmod="",
        exclude=(),
        unpacks=False,
    )


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
    return find_origin(scope, word.text, place, "cannot copy from")


def _inline_file(scope: Scope, instruction: Transfer, index: int) -> InlineFile:
    heredoc = instruction.files[index]
    if not heredoc.expand:
        return InlineFile(heredoc.name, heredoc.text)
    try:
        return InlineFile(heredoc.name, expand(heredoc.text, scope.lookup(instruction.node.place), quotes=False))
    except ExpansionFault as fault:
        raise instruction.node.place.fault(f"in heredoc {heredoc.name}: {fault.message}") from None
