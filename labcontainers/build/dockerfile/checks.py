"""BuildKit's checks as data: their names and purposes, each with an example that it likes and one that it does not.

It must not know how anything is found. Source: docs.docker.com "Build checks".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_URL = "https://docs.docker.com/go/dockerfile/rule/"
_WORD_END = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@dataclass(frozen=True, slots=True)
class Rule:
    """A check. `is_experimental` ones are made only when the file's `check` directive asks for them."""

    name: str
    description: str
    good: str
    bad: str
    is_experimental: bool = False

    @property
    def url(self) -> str:
        """Docker's page on it."""
        return _URL + _WORD_END.sub("-", self.name).lower() + "/"


RULES: tuple[Rule, ...] = (
    Rule("StageNameCasing", "Stage names should be lowercase", "FROM alpine AS build", "FROM alpine AS Build"),
    Rule("FromAsCasing", "The 'as' keyword should match the case of the 'from' keyword", "FROM alpine AS build", "FROM alpine as build"),
    Rule(
        "NoEmptyContinuation",
        "Empty continuation lines will become errors in a future release",
        "FROM alpine\nRUN a \\\n b",
        "FROM alpine\nRUN a \\\n\n b",
    ),
    Rule(
        "ConsistentInstructionCasing",
        "All commands within the Dockerfile should use the same casing (either upper or lower)",
        "FROM alpine\nRUN a",
        "FROM alpine\nrun a",
    ),
    Rule("DuplicateStageName", "Stage names should be unique", "FROM alpine AS a\nFROM alpine AS b", "FROM alpine AS a\nFROM alpine AS a"),
    Rule("ReservedStageName", "Reserved words should not be used as stage names", "FROM alpine AS build", "FROM alpine AS context"),
    Rule(
        "JSONArgsRecommended",
        "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals",
        'FROM alpine\nCMD ["a"]',
        "FROM alpine\nCMD a",
    ),
    Rule(
        "MaintainerDeprecated",
        "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
        "FROM alpine\nLABEL a=b",
        "FROM alpine\nMAINTAINER me",
    ),
    Rule("UndefinedArgInFrom", "FROM command must use declared ARGs", "ARG tag=1\nFROM alpine:$tag", "FROM alpine:${tag:-1}"),
    Rule(
        "WorkdirRelativePath",
        "Relative workdir without an absolute workdir declared within the build can have unexpected results if the base image changes",
        "FROM alpine AS a\nWORKDIR /app\nWORKDIR sub\nFROM a\nWORKDIR sub",
        "FROM alpine\nWORKDIR app",
    ),
    Rule("UndefinedVar", "Variables should be defined before their use", "FROM alpine\nARG a\nENV b=$a", "FROM alpine\nENV b=${a:-c}"),
    Rule(
        "MultipleInstructionsDisallowed",
        "Multiple instructions of the same type should not be used in the same stage",
        'FROM alpine AS a\nCMD ["a"]\nFROM a\nCMD ["b"]',
        'FROM alpine\nCMD ["a"]\nCMD ["b"]',
    ),
    Rule(
        "LegacyKeyValueFormat",
        "Legacy key/value format with whitespace separator should not be used",
        "FROM alpine\nENV a=b",
        "FROM alpine\nENV a b",
    ),
    Rule(
        "InvalidBaseImagePlatform", "Base image platform does not match expected target platform", "FROM alpine", "FROM for-another-machine"
    ),
    Rule(
        "RedundantTargetPlatform",
        "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
        "FROM --platform=$BUILDPLATFORM alpine",
        "FROM --platform=$TARGETPLATFORM alpine",
    ),
    Rule(
        "SecretsUsedInArgOrEnv",
        "Sensitive data should not be used in the ARG or ENV commands",
        "FROM alpine\nARG PUBLIC_KEY",
        "FROM alpine\nARG API_TOKEN",
    ),
    Rule(
        "InvalidDefaultArgInFrom",
        "Default value for global ARG results in an empty or invalid base image name",
        "ARG tag=1\nFROM alpine:$tag",
        "ARG tag\nFROM alpine:${tag}",
    ),
    Rule(
        "FromPlatformFlagConstDisallowed",
        "FROM --platform flag should not use a constant value",
        "FROM --platform=linux/amd64 alpine AS build_amd64",
        "FROM --platform=linux/amd64 alpine AS build",
    ),
    Rule(
        "CopyIgnoredFile",
        "Attempting to Copy file that is excluded by .dockerignore",
        "FROM alpine\nCOPY kept /",
        "FROM alpine\nCOPY ignored /",
    ),
    Rule(
        "InvalidDefinitionDescription",
        "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. If this is not intended to "
        "be a description comment, add an empty line or comment between the instruction and the comment.",
        "FROM alpine AS a\n# b is for c\nARG b\n# far\n\nARG c",
        "FROM alpine\n# is for c\nARG b",
        is_experimental=True,
    ),
    Rule(
        "ExposeProtoCasing",
        "Protocol in EXPOSE instruction should be lowercase",
        "FROM alpine\nEXPOSE 80/tcp",
        "FROM alpine\nEXPOSE 80/TCP",
    ),
    Rule(
        "ExposeInvalidFormat",
        "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in a future release",
        "FROM alpine\nEXPOSE 80-82/udp",
        "FROM alpine\nEXPOSE 127.0.0.1:80:80",
    ),
)
BY_NAME = {rule.name: rule for rule in RULES}
