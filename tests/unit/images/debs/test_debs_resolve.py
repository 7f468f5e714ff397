"""Packages are chosen with what they need, in an order in which each stands above that, and what excludes each other is told."""

from __future__ import annotations

import pytest

from labcontainers.errors import Conflict, InvalidArgument, NotFound
from labcontainers.images.debs.control import Package
from labcontainers.images.debs.resolve import Resolver, variant_names


class Index:
    """Packages in memory."""

    def __init__(self, *packages: Package) -> None:
        self.packages = packages
        self._named: dict[str, list[Package]] = {}
        for one in packages:
            self._named.setdefault(one.name, []).append(one)

    def named(self, name: str) -> list[Package]:
        return self._named.get(name, [])

    def providing(self, name: str) -> list[Package]:
        return [package for package in self.packages if "Provides" in package.fields and name in package.provides]

    def names_of(self, *, essential: bool) -> list[str]:
        return sorted({one.name for one in self.packages if (one.is_essential if essential else one.priority == "required")})


def package(name: str, version: str = "1", architecture: str = "amd64", **fields: str) -> Package:
    more = {key.replace("_", "-"): value for key, value in fields.items()}
    return Package({"Package": name, "Version": version, "Architecture": architecture, **more})


def chosen(index: Index, *names: str) -> list[str]:
    resolver = Resolver(index, "amd64")
    found = resolver.add(names)
    resolver.check()
    return [f"{one.name} {one.version}" for one in found]


# wanted, packages, what is chosen
CHOICES = {
    "what is needed comes below": (
        ["a"],
        [package("a", Depends="b, c"), package("b", Pre_Depends="c"), package("c")],
        ["c 1", "b 1", "a 1"],
    ),
    "packages that need each other": (["a"], [package("a", Depends="b"), package("b", Depends="a")], ["b 1", "a 1"]),
    "the newest version": (["a"], [package("a", "1.9"), package("a", "1.10"), package("a", "1.10~rc")], ["a 1.10"]),
    "a version that is asked for": (["a=1.9"], [package("a", "1.9"), package("a", "1.10")], ["a 1.9"]),
    "an older version where a newer one is too new": (
        ["a"],
        [package("a", Depends="b (<< 2)"), package("b", "2"), package("b", "1")],
        ["b 1", "a 1"],
    ),
    "the first alternative": (["a"], [package("a", Depends="b | c"), package("b"), package("c")], ["b 1", "a 1"]),
    "the alternative that is there": (["a"], [package("a", Depends="b | c"), package("c")], ["c 1", "a 1"]),
    "the alternative that is chosen already": (
        ["c", "a"],
        [package("a", Depends="b | c"), package("b"), package("c")],
        ["c 1", "a 1"],
    ),
    "an alternative that excludes nobody": (
        ["d", "a"],
        [package("a", Depends="b | c"), package("b", Conflicts="d"), package("c"), package("d")],
        ["d 1", "c 1", "a 1"],
    ),
    "a provider by its priority": (
        ["a"],
        [package("a", Depends="awk"), package("gawk", Provides="awk"), package("mawk", Provides="awk", Priority="required")],
        ["mawk 1", "a 1"],
    ),
    "a provider of a version": (
        ["a"],
        [package("a", Depends="v (>= 2)"), package("x", Provides="v"), package("y", Provides="v (= 2)")],
        ["y 1", "a 1"],
    ),
    "any architecture of what allows it": (
        ["a"],
        [package("a", Depends="python3:any"), package("python3", Multi_Arch="allowed")],
        ["python3 1", "a 1"],
    ),
    "packages for all architectures": (["a"], [package("a", architecture="all"), package("a", "2", "arm64")], ["a 1"]),
    "not what is recommended": (["a"], [package("a", Recommends="b", Suggests="b"), package("b")], ["a 1"]),
    "one that replaces what it provides": (["a"], [package("a", Provides="m", Conflicts="m", Replaces="m")], ["a 1"]),
}
REFUSED = {
    "a package that is nowhere": (["a"], [], NotFound, "the image needs a"),
    "a need that nobody has": (["a"], [package("a", Depends="b (>= 2) | c"), package("b")], NotFound, r"a 1 needs b \(>= 2\) \| c"),
    "any architecture of what does not allow it": (["a"], [package("a", Depends="b:any"), package("b")], NotFound, "b:any"),
    "two that exclude each other": (["a", "b"], [package("a"), package("b", Conflicts="a")], Conflict, "exclude"),
    "a pair of which the first breaks the second": (["a", "b"], [package("a", Breaks="b (<< 2)"), package("b")], Conflict, "exclude"),
    "a need that excludes what needs it": (["a"], [package("a", Depends="b"), package("b", Breaks="a")], Conflict, "exclude"),
}


@pytest.mark.parametrize("case", CHOICES)
def test_chosen_is(case: str) -> None:
    wanted, packages, expected = CHOICES[case]
    assert chosen(Index(*packages), *wanted) == expected


@pytest.mark.parametrize("case", REFUSED)
def test_refused_is(case: str) -> None:
    wanted, packages, kind, message = REFUSED[case]
    with pytest.raises(kind, match=message):
        chosen(Index(*packages), *wanted)


def test_a_chain_of_ten_thousand_needs_is_followed() -> None:
    chain = [package(f"p{number}", Depends=f"p{number + 1}") for number in range(10_000)]
    assert len(chosen(Index(*chain, package("p10000")), "p0")) == 10_001


def test_what_is_wanted_later_comes_later_so_that_images_begin_alike() -> None:
    index = Index(package("a"), package("b", Depends="a"), package("c", Depends="lib"), package("lib"))
    assert chosen(index, "b", "c")[: len(chosen(index, "b"))] == chosen(index, "b")


def test_variants_want_what_mmdebstrap_means_by_them() -> None:
    index = Index(package("dash", Essential="yes"), package("mawk", Priority="required"), package("apt"), package("usr-is-merged"))
    assert variant_names(index, "essential") == ["usr-is-merged", "dash"]
    assert variant_names(index, "minbase") == ["usr-is-merged", "dash", "mawk", "apt"]
    assert "busybox-static" in variant_names(index, "busybox")
    with pytest.raises(InvalidArgument, match="--variant: unknown variant 'big'"):
        variant_names(index, "big")
