"""`.dockerignore`: which files of a build context are left out.

It must not read the context.

Source: docs.docker.com "Build context", .dockerignore files; moby/patternmatcher's behaviour: Go's filepath.Match plus `**`, the
last matching line wins, a matched directory takes what is below it with it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from labcontainers.build.globs import BadPattern, compile_pattern, matches
from labcontainers.errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class Rule:
    """One line: `includes` again what earlier lines left out when it began with `!`; `line` counts from 1."""

    pattern: str
    includes: bool
    line: int
    matcher: re.Pattern[str]


class IgnoreRules:
    """The lines of a .dockerignore, in order."""

    def __init__(self, rules: Sequence[Rule] = ()) -> None:
        self.rules = tuple(rules)
        self._includes_again = any(rule.includes for rule in rules)
        self._any = re.compile("|".join(f"(?:{rule.matcher.pattern})" for rule in rules), re.DOTALL)
        self._untouched: dict[str, bool] = {}

    def ignores(self, path: str) -> bool:
        """Whether `path`, relative to the context and without a leading slash, is left out."""
        if not self.rules or (self._matches_nothing(path.rpartition("/")[0]) and not self._any.fullmatch(path)):
            return False
        return self.rule_for(path) is not None

    def _matches_nothing(self, directory: str) -> bool:
        """Whether no line matches this directory, nor one above it; each is looked at once."""
        known = self._untouched.get(directory)
        if known is None:
            known = not directory or (self._matches_nothing(directory.rpartition("/")[0]) and not self._any.fullmatch(directory))
            self._untouched[directory] = known
        return known

    def rule_for(self, path: str) -> Rule | None:
        """The line that leaves `path` out, or None when it belongs to the context."""
        parts = path.split("/")
        candidates = [path, *("/".join(parts[:depth]) for depth in range(1, len(parts)))]
        decisive: Rule | None = None
        for rule in self.rules:
            if rule.includes == (decisive is None):
                continue
            if any(rule.matcher.fullmatch(candidate) for candidate in candidates):
                decisive = None if rule.includes else rule
        return decisive

    def leaves_all_out(self, path: str) -> bool:
        """Whether neither `path` nor, as far as patterns tell, anything below it belongs to the context; "" is the context itself."""
        # that is left out by a line which any name fits
        rule = self.rule_for(path or "any")
        parts = path.split("/") if path else []
        return rule is not None and not any(_may_fit_below(one, parts) for one in self.rules if one.includes and one.line > rule.line)

    def may_enter(self, directory: str) -> bool:
        """Whether something below `directory` can belong to the context."""
        return self._includes_again or not self.ignores(directory)


def _may_fit_below(rule: Rule, parts: Sequence[str]) -> bool:
    heads = rule.pattern.split("/")
    return "**" in rule.pattern or (len(heads) > len(parts) and all(matches(*pair) for pair in zip(heads, parts, strict=False)))


def parse_ignore(text: str, file: str = ".dockerignore") -> IgnoreRules:
    """The rules of a .dockerignore's text; raises InvalidArgument naming the file and the line."""
    rules = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        if line.startswith("#") or not line.strip():
            continue
        try:
            rules.append(_rule(line.strip(), number))
        except BadPattern as error:
            raise InvalidArgument(f"{file}:{number}: {error}", "see the pattern rules of .dockerignore files") from None
    return IgnoreRules(rules)


def rules_from(patterns: Iterable[str]) -> IgnoreRules:
    """The rules of single patterns, as of COPY --exclude; raises InvalidArgument."""
    return parse_ignore("\n".join(patterns), "--exclude")


def path_rules(pattern: str) -> IgnoreRules:
    """One rule that matches the paths which `pattern` names, and what is below them; raises InvalidArgument."""
    try:
        return IgnoreRules([_rule(pattern.removeprefix("!"), 1)])
    except BadPattern as error:
        raise InvalidArgument(str(error)) from None


def _rule(line: str, number: int) -> Rule:
    includes = line.startswith("!")
    pattern = line[1:].strip() if includes else line
    if not pattern:
        raise BadPattern('illegal exclusion pattern: "!"')
    pattern = posixpath.normpath(pattern)
    if pattern.startswith("//"):
        pattern = pattern[1:]
    if len(pattern) > 1:
        pattern = pattern.removeprefix("/")
    compile_pattern(pattern)
    try:
        return Rule(pattern, includes, number, _compile(pattern))
    except re.error:
        raise BadPattern(f"syntax error in pattern: {pattern}") from None


def _compile(pattern: str) -> re.Pattern[str]:
    if pattern.startswith("**") and not re.search(r"[*?\[\]\\]", pattern[2:]):
        suffix = pattern[2:]
        whole = f"|{re.escape(suffix[1:])}" if suffix.startswith("/") else ""
        return re.compile(f".*{re.escape(suffix)}{whole}", re.DOTALL)
    result, position = "", 0
    while position < len(pattern):
        char = pattern[position]
        position += 1
        if char == "*" and pattern.startswith("*", position):
            position += 1
            if pattern.startswith("/", position):
                position += 1
            result += ".*" if position == len(pattern) else "(.*/)?"
        elif char == "*":
            result += "[^/]*"
        elif char == "?":
            result += "[^/]"
        elif char == "\\" and position < len(pattern):
            result += re.escape(pattern[position])
            position += 1
        elif char in "[]^-":
            result += char
        else:
            result += re.escape(char)
    return re.compile(result, re.DOTALL)
