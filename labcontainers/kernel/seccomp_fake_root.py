"""A filter by which package managers work as the one user that there is: what only root of many ids can do succeeds, and does nothing.

It must not be a protection: it is loaded beside the filter that is. As Charliecloud and enroot do it, files that are given to others stay
as they are, and so does who gives his rights up. Sources: seccomp(2), SECCOMP_RET_ERRNO with errno 0; ch-image(1), --force=seccomp.
"""

from __future__ import annotations

import stat
from functools import cache
from typing import Final

from labcontainers.kernel.seccomp_profile import ALLOW, Action, ArgumentTest, Profile, Rule

DONE: Final = Action("ERRNO", 0)
_CALLS: Final = (
    "chown fchown fchownat lchown chown32 fchown32 lchown32 "
    "setuid setgid setreuid setregid setresuid setresgid setgroups setfsuid setfsgid "
    "setuid32 setgid32 setreuid32 setregid32 setresuid32 setresgid32 setgroups32 setfsuid32 setfsgid32"
)
_KIND: Final = 0o170000  # S_IFMT of inode(7)
_DEVICES: Final = (stat.S_IFCHR, stat.S_IFBLK)


@cache
def fake_root_profile() -> Profile:
    """The profile: everything is allowed that is not answered by DONE."""
    rules = [Rule(tuple(_CALLS.split()), DONE)]
    for kind in _DEVICES:
        rules.append(Rule(("mknod",), DONE, (ArgumentTest(1, "MASKED_EQ", _KIND, kind),)))
        rules.append(Rule(("mknodat",), DONE, (ArgumentTest(2, "MASKED_EQ", _KIND, kind),)))
    return Profile(ALLOW, tuple(rules))
