"""Running from a copy of the interpreter that nobody can write to, before anything of a container is entered (CVE-2019-5736).

A program of a container may be `#!/proc/self/exe`, and is then this interpreter, running inside. It must not import anything.
"""

from __future__ import annotations

import os
import sys


def _needed(executable: str) -> bool:
    """Whether this user, and so root of its containers, could write to the interpreter: it is the user's, and not yet such a copy."""
    if executable.startswith("/memfd:"):
        return False
    try:
        return os.stat(executable).st_uid == os.geteuid()
    except OSError:
        return True


def run_again(arguments: list[str]) -> None:
    """Become a copy of the interpreter that runs this command again; returns where that is not needed, or is done already."""
    if not _needed(os.readlink("/proc/self/exe")):
        return
    from labcontainers.runtime.sealed import sealed_copy

    real = os.path.realpath(sys.executable)
    copy = sealed_copy(real)
    home = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    program = f"import sys; sys.path.append({home!r}); from labcontainers.bundles.command import main; main()"
    try:
        os.execve(f"/proc/self/fd/{copy}", [real, "-I", "-S", "-c", program, *arguments], os.environ)
    except OSError:
        # vm.memfd_noexec forbids it: better not at all than by a file that a container could write to
        from labcontainers.errors import Unsupported

        raise Unsupported("this host lets no program run from memory (vm.memfd_noexec)", "that protects the interpreter of root") from None
