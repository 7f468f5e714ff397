"""Plans the instructions that change the config: ENV, LABEL, ARG, WORKDIR, USER, EXPOSE, VOLUME, CMD, ENTRYPOINT and the like.

It must not know how steps are carried out.
"""

from __future__ import annotations

from dataclasses import replace

from labcontainers.build.dockerfile.instructions import Command, Instruction, Pairs, Text, Words
from labcontainers.build.dockerfile.lint import BuildWarning
from labcontainers.build.plan import Step, WorkdirStep, describe
from labcontainers.build.scope import Scope
from labcontainers.build.wording import absolute, go_list, is_signal, parse_ports


def env(scope: Scope, instruction: Instruction) -> Step:
    assert isinstance(instruction, Pairs)
    values = _pairs(scope, instruction)
    scope.state.set_environment(dict(values))
    return scope.config_step(instruction, "ENV " + " ".join(f"{key}={value}" for key, value in values))


def label(scope: Scope, instruction: Instruction) -> Step:
    assert isinstance(instruction, Pairs)
    values = _pairs(scope, instruction)
    scope.state.config = replace(scope.state.config, labels={**scope.state.config.labels, **dict(values)})
    return scope.config_step(instruction, "LABEL " + " ".join(f"{key}={value}" for key, value in values))


def _pairs(scope: Scope, instruction: Pairs) -> list[tuple[str, str]]:
    values: list[tuple[str, str]] = []
    for pair in instruction.pairs:
        key = scope.expand(instruction, pair.key)
        if not key:
            raise instruction.place_of(pair.key).fault(f"{instruction.node.keyword} names can not be blank")
        values.append((key, scope.expand(instruction, pair.value) if pair.value is not None else ""))
    return values


def arg(scope: Scope, instruction: Instruction) -> Step:
    assert isinstance(instruction, Pairs)
    shown, declared = [], {}
    for pair in instruction.pairs:
        name = scope.expand(instruction, pair.key)
        value = None if pair.value is None else scope.expand(instruction, pair.value)
        if name in scope.options.build_args:
            scope.grouped.used_build_args.add(name)
            value = scope.options.build_args[name]
        elif value is None:
            value = scope.stage.title if name == "TARGETSTAGE" else scope.grouped.global_arguments.get(name)
        declared[name] = value
        shown.append(name if value is None else f"{name}={value}")
    scope.state.arguments.update(declared)
    return scope.config_step(instruction, "ARG " + " ".join(shown))


def workdir(scope: Scope, instruction: Instruction) -> Step:
    assert isinstance(instruction, Text)
    path = scope.expand(instruction, instruction.word)
    if not path:
        raise instruction.place_of(instruction.word).fault("WORKDIR is empty", "give the variable a value")
    absolute_path = absolute(scope.state.working_dir, path)
    shown = path if path.startswith("/") else absolute_path
    path = absolute_path
    scope.state.config = replace(scope.state.config, working_dir=path)
    return WorkdirStep(describe(instruction), instruction.node.place, f"WORKDIR {shown}", path, scope.state.config.user)


def user(scope: Scope, instruction: Instruction) -> Step:
    assert isinstance(instruction, Text)
    user = scope.expand(instruction, instruction.word)
    if not user or any(char.isspace() for char in user):
        raise instruction.place_of(instruction.word).fault(f"USER is no user: {user!r}", "write USER name, USER uid or USER uid:gid")
    scope.state.config = replace(scope.state.config, user=user)
    return scope.config_step(instruction, f"USER {user}")


def stopsignal(scope: Scope, instruction: Instruction) -> Step:
    assert isinstance(instruction, Text)
    name = scope.expand(instruction, instruction.word)
    if not is_signal(name):
        raise instruction.place_of(instruction.word).fault(f"invalid signal: {name}", "write a name such as SIGTERM, or a number")
    scope.state.config = replace(scope.state.config, stop_signal=name)
    return scope.config_step(instruction, f"STOPSIGNAL {name}")


def maintainer(scope: Scope, instruction: Instruction) -> Step:
    assert isinstance(instruction, Text)
    scope.state.author = instruction.word.text
    return scope.config_step(instruction, f"MAINTAINER {instruction.word.text}")


def expose(scope: Scope, instruction: Instruction) -> Step:
    assert isinstance(instruction, Words)
    ports: set[str] = set()
    for word in instruction.words:
        for text in scope.expand_words(instruction, word):
            place = instruction.place_of(word)
            inside = text.rsplit(":", 1)[-1]
            if inside != text:
                message = f"EXPOSE should not define an IP address or host-port mapping, found '{text}'"
                scope.grouped.warnings.append(BuildWarning("ExposeInvalidFormat", message, place))
            ports.update(parse_ports(inside, place))
    exposed = tuple(sorted({*scope.state.config.exposed_ports, *ports}))
    scope.state.config = replace(scope.state.config, exposed_ports=exposed)
    return scope.config_step(instruction, f"EXPOSE [{' '.join(sorted(ports))}]")


def volume(scope: Scope, instruction: Instruction) -> Step:
    assert isinstance(instruction, Words)
    volumes = scope.expand_all(instruction, instruction.words)
    if not all(volumes):
        raise instruction.node.place_at(0).fault("VOLUME specified can not be an empty string")
    merged = tuple(dict.fromkeys((*scope.state.config.volumes, *volumes)))
    scope.state.config = replace(scope.state.config, volumes=merged)
    return scope.config_step(instruction, f"VOLUME [{' '.join(volumes)}]")


def shell(scope: Scope, instruction: Instruction) -> Step:
    assert isinstance(instruction, Command)
    words = tuple(word.text for word in instruction.words)
    scope.state.config = replace(scope.state.config, shell=words)
    return scope.config_step(instruction, f"SHELL [{' '.join(words)}]")


def command_arguments(scope: Scope, instruction: Command) -> tuple[str, ...]:
    words = tuple(word.text for word in instruction.words)
    return (*scope.state.shell, *words) if instruction.is_shell_form else words


def cmd(scope: Scope, instruction: Instruction) -> Step:
    assert isinstance(instruction, Command)
    arguments = command_arguments(scope, instruction)
    scope.state.config = replace(scope.state.config, cmd=arguments)
    scope.state.command_is_set = True
    return scope.config_step(instruction, f"CMD {go_list(arguments)}")


def entrypoint(scope: Scope, instruction: Instruction) -> Step:
    assert isinstance(instruction, Command)
    arguments = command_arguments(scope, instruction)
    cmd = scope.state.config.cmd if scope.state.command_is_set else None
    scope.state.config = replace(scope.state.config, entrypoint=arguments or None, cmd=cmd)
    return scope.config_step(instruction, f"ENTRYPOINT {go_list(arguments)}")
