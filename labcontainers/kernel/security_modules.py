"""Which Linux security modules work here, as far as containers use them (Documentation/admin-guide/LSM).

It must not know containers.
"""

from __future__ import annotations

from pathlib import Path

_ENABLED = Path("/sys/module/apparmor/parameters/enabled")
_PROFILES = Path("/sys/kernel/security/apparmor/profiles")


def selinux_enabled(enforce: Path = Path("/sys/fs/selinux/enforce")) -> bool:
    """Whether the kernel has SELinux and uses it (selinuxfs is mounted then)."""
    return enforce.exists()


def apparmor_enabled(enabled: Path = _ENABLED) -> bool:
    """Whether the kernel has AppArmor and uses it."""
    try:
        return enabled.read_text().strip() == "Y"
    except OSError:
        return False


def apparmor_profiles(profiles: Path = _PROFILES) -> frozenset[str] | None:
    """The names of the loaded profiles; None where this user may not read them."""
    try:
        lines = profiles.read_text().splitlines()
    except OSError:
        return None
    return frozenset(line.rpartition(" (")[0] or line for line in lines)
