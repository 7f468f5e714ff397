"""What this runtime knows, as the features document of the OCI runtime specification (features.md)."""

from __future__ import annotations

from labcontainers.bundles.mount_options import known
from labcontainers.kernel.capability_names import NAMES
from labcontainers.kernel.seccomp_profile import ACTIONS, ARCHITECTURES, FLAGS, OPERATORS
from labcontainers.oci.runtime_spec import HOOKS, NAMESPACES, OLDEST, VERSION
from labcontainers.version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from labcontainers.oci.runtime_spec import Document


def features() -> Document:
    """The document; it does not depend on the host."""
    flags = [f"SECCOMP_FILTER_FLAG_{name}" for name in FLAGS]
    return {
        "ociVersionMin": OLDEST,
        "ociVersionMax": VERSION,
        "hooks": list(HOOKS),
        "mountOptions": known(),
        "linux": {
            "namespaces": list(NAMESPACES),
            "capabilities": [f"CAP_{name}" for name in NAMES],
            "cgroup": {"v1": True, "v2": True, "systemd": False, "systemdUser": False, "rdma": True},
            "seccomp": {
                "enabled": True,
                "actions": [f"SCMP_ACT_{name}" for name in ACTIONS],
                "operators": [f"SCMP_CMP_{name}" for name in OPERATORS],
                "archs": list(ARCHITECTURES),
                "knownFlags": flags,
                "supportedFlags": flags,
            },
            "apparmor": {"enabled": True},
            "selinux": {"enabled": False},
            "intelRdt": {"enabled": False},
            "mountExtensions": {"idmap": {"enabled": True}},
        },
        "annotations": {"io.labcontainers.version": __version__},
        "potentiallyUnsafeConfigAnnotations": [],
    }
