"""A filter that lets programs believe that they are root of all ids where there is a single one, so that packages can be installed.

It must not know who runs under it. Calls that change an owner, or this process's own ids, succeed and do nothing: everything stays the
one user's. What really takes rights away (capset(2)) is left alone. A program that looks afterwards sees that nothing changed.

Source: Priedhorsky and others, "Zero-consistency root emulation for unprivileged container image build" (arXiv 2405.06085).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from labcontainers.kernel.seccomp_profile import Action, Profile, Rule

FAKE_ROOT: Final = "fake-root"
"""What the filter is called where others have the text of a profile."""

_DONE: Final = Action("ERRNO", 0)
_IN_NAME_ONLY: Final = (
    "chown chown32 fchown fchown32 fchownat lchown lchown32 setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups "
    "setgroups32 setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setuid setuid32"
)


def fake_root(profile: Profile) -> Profile:
    """The same profile, but for these calls."""
    return replace(profile, rules=(Rule(tuple(_IN_NAME_ONLY.split()), _DONE), *profile.rules))
