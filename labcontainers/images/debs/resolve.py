"""Which packages an image gets: those that are wanted and all that they need, in an order in which each stands above what it needs.

It must not know where packages come from. As in debootstrap nothing is recommended or suggested. The order is the same for the same
wishes, and what is wished later comes later, so that images that begin alike share layers.
Source: Debian Policy 7, "Declaring relationships between packages"; dpkg's documentation of Multi-Arch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cmp_to_key
from typing import Protocol

from labcontainers.errors import Conflict, InvalidArgument, NotFound
from labcontainers.images.debs.control import Package, Relation
from labcontainers.images.debs.versions import compare, satisfies

_NEEDS = ("Pre-Depends", "Depends")
_EXCLUDES = ("Conflicts", "Breaks")
_PRIORITIES = ("required", "important", "standard", "optional", "extra")
VARIANTS = ("busybox", "essential", "minbase")
# The least on which programs of other packages run, with a shell and everyday commands in one program.
_BUSYBOX = ("base-files", "base-passwd", "busybox-static")


class Index(Protocol):
    """What this needs of index.Index."""

    def named(self, name: str) -> list[Package]: ...

    def providing(self, name: str) -> list[Package]: ...

    def names_of(self, *, essential: bool) -> list[str]: ...


def variant_names(index: Index, variant: str) -> list[str]:
    """The packages that a variant wants: mmdebstrap's words "essential" and "minbase", or "busybox". Raises InvalidArgument."""
    if variant not in VARIANTS:
        raise InvalidArgument(f"--variant: unknown variant {variant!r}", f"variants are {', '.join(VARIANTS)}")
    if variant == "busybox":
        return list(_BUSYBOX)
    # Images have a merged /usr from their first layer on, so that nothing has to be merged by a program in them.
    merged = ["usr-is-merged"] if index.named("usr-is-merged") else []
    essential = [*merged, *index.names_of(essential=True)]
    if variant == "essential":
        return essential
    return [*dict.fromkeys((*essential, *index.names_of(essential=False), "apt"))]


class Resolver:
    """Chooses packages for one image."""

    def __init__(self, index: Index, architecture: str) -> None:
        self._index = index
        self._architecture = architecture
        self._chosen: dict[str, Package] = {}
        self._provided: dict[str, list[Package]] = {}
        # what chosen packages exclude, by its name
        self._unwanted: dict[str, list[Relation]] = {}
        self._order: list[Package] = []
        self._candidates: dict[str, Package | None] = {}

    def add(self, names: Iterable[str]) -> Sequence[Package]:
        """Choose these packages and what they need that is not chosen yet; what was added, from the bottom up.

        A name may say a version: NAME=VERSION. Raises NotFound when something is not to be had.
        """
        before = len(self._order)
        for text in names:
            name, equals, version = text.partition("=")
            relation = Relation(name, "", "=" if equals else "", version)
            if not self._is_satisfied(relation):
                self._install(self._choose((relation,), "the image"))
        return self._order[before:]

    def check(self) -> None:
        """Raise Conflict when two of the chosen packages exclude each other."""
        for package in self._order:
            for group in package.relations(*_EXCLUDES):
                for other in self._satisfying(group[0]):
                    if other is not package:
                        raise Conflict(
                            f"bootstrap: {package.name} {package.version} cannot be together with {other.name} {other.version}: {group[0]}",
                            "leave one of them out of --packages",
                        )

    # --- choosing

    def _install(self, package: Package) -> None:
        """Choose a package, and before it in the order what it needs; packages that need each other are in the order of their finding."""
        # A stack of our own: chains of dependencies are longer than Python's.
        self._take(package)
        stack = [(package, iter(package.relations(*_NEEDS)))]
        while stack:
            current, groups = stack[-1]
            group = next(groups, None)
            if group is None:
                self._order.append(current)
                stack.pop()
            elif not any(self._is_satisfied(relation) for relation in group):
                needed = self._choose(group, f"{current.name} {current.version}")
                self._take(needed)
                stack.append((needed, iter(needed.relations(*_NEEDS))))

    def _take(self, package: Package) -> None:
        known = self._chosen.get(package.name)
        if known is not None:
            raise Conflict(
                f"bootstrap: both {package.name} {known.version} and {package.version} are needed", "name no version of it in --packages"
            )
        self._chosen[package.name] = package
        for name in (package.name, *package.provides):
            self._provided.setdefault(name, []).append(package)
        for group in package.relations(*_EXCLUDES):
            self._unwanted.setdefault(group[0].name, []).append(group[0])

    def _choose(self, group: Sequence[Relation], who: str) -> Package:
        found = [package for relation in group for package in self._possible(relation)]
        free = [package for package in found if package.name not in self._chosen and not self._excluded(package)]
        if free:
            return free[0]
        wanted = " | ".join(map(str, group))
        if found:
            raise Conflict(f"bootstrap: {who} needs {wanted}, which other packages of the image exclude", "leave some packages out")
        raise NotFound(f"bootstrap: {who} needs {wanted}, and no source has it", "check its name, and the suite's components")

    def _possible(self, relation: Relation) -> list[Package]:
        """Packages that satisfy a relation, the best one first: the real one, then providers by priority and name."""
        versions = [package for package in self._index.named(relation.name) if self._fits(package, relation)]
        if relation.operator == "=":
            real = versions[:1]
        else:
            newest = self._candidate(relation.name)
            real = [newest] if newest is not None and self._fits(newest, relation) else versions[:1]
        providers = {
            package.name: package
            for other in self._index.providing(relation.name)
            if other.name != relation.name and (package := self._candidate(other.name)) is not None and self._fits(package, relation)
        }
        return [*real, *sorted(providers.values(), key=_rank)]

    def _candidate(self, name: str) -> Package | None:
        """The newest version of a package."""
        if name not in self._candidates:
            versions = [package for package in self._index.named(name) if self._is_ours(package)]
            self._candidates[name] = max(versions, key=_BY_VERSION, default=None)
        return self._candidates[name]

    def _is_ours(self, package: Package) -> bool:
        return package.architecture in (self._architecture, "all")

    def _fits(self, package: Package, relation: Relation) -> bool:
        """Whether the package satisfies the relation by its name or by what it provides."""
        if not self._is_ours(package):
            return False
        qualifier = relation.architecture
        if qualifier == "any":
            if package.multi_arch != "allowed":
                return False
        elif qualifier not in ("", "native", self._architecture):
            return False
        if package.name == relation.name and satisfies(package.version, relation.operator, relation.version):
            return True
        provided = package.provides.get(relation.name)
        if provided is None:
            return False
        # only what is provided with a version satisfies a relation that has one (Policy 7.5)
        return not relation.operator or (bool(provided) and satisfies(provided, relation.operator, relation.version))

    def _satisfying(self, relation: Relation) -> list[Package]:
        return [package for package in self._provided.get(relation.name, ()) if self._fits(package, relation)]

    def _is_satisfied(self, relation: Relation) -> bool:
        return bool(self._satisfying(relation))

    def _excluded(self, package: Package) -> bool:
        """Whether the package and one that is chosen exclude each other."""
        if any(self._satisfying(group[0]) for group in package.relations(*_EXCLUDES)):
            return True
        names = (package.name, *package.provides)
        return any(self._fits(package, relation) for name in names for relation in self._unwanted.get(name, ()))


def _compare(left: Package, right: Package) -> int:
    return compare(left.version, right.version)


_BY_VERSION = cmp_to_key(_compare)


def _rank(package: Package) -> tuple[bool, int, str]:
    priority = _PRIORITIES.index(package.priority) if package.priority in _PRIORITIES else len(_PRIORITIES)
    return not package.is_essential, priority, package.name
