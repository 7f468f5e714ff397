"""Plans the instructions that change the config: ENV, LABEL, ARG, WORKDIR, USER, EXPOSE, VOLUME, CMD, ENTRYPOINT and the like.

It must not know how steps are carried out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from labcontainers.build.dockerfile.instructions import Command, Healthcheck, Instruction, Onbuild, Pairs, Text, Words
from labcontainers.build.dockerfile.lint import BuildWarning
from labcontainers.build.plan import Step, WorkdirStep, describe, triggers_of
from labcontainers.build.scope import Scope
from labcontainers.build.wording import absolute, check_address, go_duration, go_list, go_quote, is_signal, parse_ports
from labcontainers.units import parse_duration_s

# Beyond this, execve fails: a quarter of the usual limit of the stack (Linux, execve(2), Limits on size of arguments and environment).
_MAX_ENVIRONMENT = 2 * 1024 * 1024
# All ports of each protocol.
_MAX_PORTS = 3 * 65536


def env(scope: Scope, instruction: Instruction) -> Step:
    assert isinstance(instruction, Pairs)
    values = _pairs(scope, instruction)
    scope.state.set_environment(dict(values))
    _check_size(scope, instruction)
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
    shown = []
    for pair in instruction.pairs:
        name = pair.key.text
        if name in scope.options.build_args:
            # the default is not looked at then: it may ask for what is not there
            scope.grouped.used_build_args.add(name)
            value: str | None = scope.options.build_args[name]
        elif pair.value is not None:
            value = scope.expand(instruction, pair.value)
        else:
            value = scope.grouped.global_arguments.get(name)
        scope.state.declare(name, value)
        shown.append(name if value is None else f"{name}={value}")
    _check_size(scope, instruction)
    return scope.config_step(instruction, "ARG " + " ".join(shown))


def _check_size(scope: Scope, instruction: Instruction) -> None:
    size = sum(len(name) + len(value) for name, value in scope.state.variables.items())
    if size > _MAX_ENVIRONMENT:
        message = f"the variables are longer than {_MAX_ENVIRONMENT} characters together: no program can be started with them"
        raise instruction.node.place_at(0).fault(message)


def workdir(scope: Scope, instruction: Instruction) -> Step:
    assert isinstance(instruction, Text)
    path = scope.expand(instruction, instruction.word)
    if not path:
        raise instruction.place_of(instruction.word).fault("WORKDIR is empty", "give the variable a value")
    if not path.startswith("/") and not scope.state.workdir_is_set:
        message = f'Relative workdir "{path}" can have unexpected results if the base image changes'
        scope.grouped.warnings.append(BuildWarning("WorkdirRelativePath", message, instruction.node.place))
    scope.state.workdir_is_set = True
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
    ports: list[str] = []
    for word in sorted(instruction.words, key=lambda word: word.text):
        for text in scope.expand_words(instruction, word):
            place = instruction.place_of(word)
            inside = text.rsplit(":", 1)[-1]
            if inside != text:
                message = f"EXPOSE instruction should not define an IP address or host-port mapping, found '{text}'"
                scope.grouped.warnings.append(BuildWarning("ExposeInvalidFormat", message, place))
                check_address(text, place)
            ports += parse_ports(inside, place)
            if len(ports) > _MAX_PORTS:
                raise place.fault(f"more than {_MAX_PORTS} ports in one EXPOSE")
    exposed = tuple(sorted({*scope.state.config.exposed_ports, *ports}))
    scope.state.config = replace(scope.state.config, exposed_ports=exposed)
    return scope.config_step(instruction, f"EXPOSE [{' '.join(ports)}]")


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


_DURATIONS = {"interval": "Interval", "timeout": "Timeout", "start-period": "StartPeriod", "start-interval": "StartInterval"}


def healthcheck(scope: Scope, instruction: Instruction) -> Step:
    """HEALTHCHECK: only the config changes; Docker's names and nanoseconds (Docker image spec v1.2, Healthcheck)."""
    assert isinstance(instruction, Healthcheck)
    value: dict[str, object] = {"Test": list(_test(instruction))}
    if instruction.command is not None:
        for flag, key in _DURATIONS.items():
            if flag in instruction.flags:
                value[key] = round(parse_duration_s(instruction.flags[flag][0].text) * 1e9)
        if "retries" in instruction.flags:
            value["Retries"] = int(instruction.flags["retries"][0].text)
    value = {key: item for key, item in value.items() if item}
    scope.state.config = replace(scope.state.config, extra={**scope.state.config.extra, "Healthcheck": value})
    return scope.config_step(instruction, _healthcheck_history(value))


def _healthcheck_history(value: Mapping[str, Any]) -> str:
    """The struct of a health check as Go prints it, in which the number of retries is a character."""
    times = [go_quote(go_duration(value.get(key, 0))) for key in _DURATIONS.values()]
    retries = go_quote(chr(min(value.get("Retries", 0), 0x10FFFF)), "'")
    return f"HEALTHCHECK &{{{go_list(value['Test'])} {' '.join(times)} {retries}}}"


def onbuild(scope: Scope, instruction: Instruction) -> Step:
    """ONBUILD: kept in the config as written, with its here-documents; the history says nothing of it."""
    assert isinstance(instruction, Onbuild)
    config = scope.state.config
    scope.state.config = replace(config, extra={**config.extra, "OnBuild": [*triggers_of(config), instruction.text]})
    return scope.config_step(instruction, "")


def _test(instruction: Healthcheck) -> tuple[str, ...]:
    if instruction.command is None:
        return ("NONE",)
    words = tuple(word.text for word in instruction.command)
    return ("CMD-SHELL" if instruction.is_shell_form else "CMD", *words)
