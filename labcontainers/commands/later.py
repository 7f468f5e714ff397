"""What Docker's command line has and this engine has not yet: commands and flags, each with what is missing.

It must not know what is there: an entry is taken out when its flag or command comes in.
"""

from __future__ import annotations

_GROUPS = "groups are made below labcontainers, where they are found again"
_NETWORK = "containers join one of bridge, none and host"
_OWN_NETWORK = "it is for networks that users make, and there are none yet"
_NETWORKS = "there are the networks bridge, none and host"
_REAL_TIME = "control groups have no real-time scheduling on most kernels, and none in version 2"
_LOGS = "the log is always the container's own file"
_FILES_ALONE = "a checkpoint is of the container's files, not of its processes' memory, and stays with the container"
_REGISTRY = "a build takes what is in the store, and pulls only what is missing"
_ONE = "the document is shown as the registry has it"
_INSECURE = "hosts of plain HTTP are listed as insecure in registries.toml"
_ONE_PLATFORM = "an image in the store is of one platform"
_DEBUG = "a builder that is in this process has no log"
_TRUST = "signatures are not verified"

COMMANDS = {
    "trust": "signatures are not verified",
    **dict.fromkeys((f"network {verb}" for verb in ("create", "connect", "disconnect", "rm", "remove")), _NETWORKS),
    "bake": "files of several builds are not read: use build for each",
    **dict.fromkeys((f"buildx {verb}" for verb in ("create", "use", "rm", "stop", "install", "uninstall")), "there is one builder"),
    **dict.fromkeys(("buildx history", "buildx dial-stdio"), "a build is an object, and keeps its own records"),
    **dict.fromkeys(("buildx debug", "buildx dap"), "`build debug` is a shell in a step that failed"),
    "buildx imagetools": "use manifest",
    **dict.fromkeys(("compose", "swarm", "node", "service", "stack", "secret", "config"), "applications of several containers are missing"),
    **dict.fromkeys(("plugin", "context"), "the engine has no such thing"),
}

_CREATE = {
    **dict.fromkeys(("--ip", "--ip6", "--link-local-ip", "--network-alias", "--net-alias"), _OWN_NETWORK),
    "--link": _NETWORK,
    **dict.fromkeys(("--cpu-rt-period", "--cpu-rt-runtime"), _REAL_TIME),
    **dict.fromkeys(("--cpu-count", "--cpu-percent", "--io-maxbandwidth", "--io-maxiops"), "it exists on Windows only"),
    "--cgroup-parent": _GROUPS,
    "--storage-opt": "an overlay's upper directory has no quota of its own",
    "--gpus": "no vendor's hook for GPUs is run; --device gives the nodes alone",
    "--use-api-socket": "there is no API socket",
}
_BUILD = {
    "--disable-content-trust": _REGISTRY,
    "--cgroup-parent": _GROUPS,
    "--isolation": "it exists on Windows only",
    **dict.fromkeys(("-D", "--debug"), "it is for the log of buildx, and here is none; `build debug` is a shell in a step that failed"),
    "--policy": "no policy is evaluated: pin images by digest, and ADD by --checksum",
    "--security-opt": "RUN --security=insecure is for a single step, where --allow security.insecure lets it",
}

FLAGS = {
    "pull": {"--disable-content-trust": _TRUST},
    "manifest inspect": {"-v": _ONE, "--verbose": _ONE, "--insecure": _INSECURE},
    "manifest create": {"--insecure": _INSECURE},
    "manifest annotate": dict.fromkeys(("--os-features", "--os-version"), "they are of Windows images"),
    "manifest push": {"--insecure": _INSECURE},
    "push": {"--disable-content-trust": _TRUST, "--platform": "a push sends the one image of this name"},
    "run": _CREATE,
    "create": _CREATE,
    "build": _BUILD,
    **{name: dict.fromkeys(("-D", "--debug"), _DEBUG) for name in ("builder du", "builder prune")},
    "buildx ls": {**dict.fromkeys(("-D", "--debug"), _DEBUG), "--builder": "there is one builder", "--no-trunc": "nothing is cut"},
    "buildx inspect": {**dict.fromkeys(("-D", "--debug"), _DEBUG), "--builder": "there is one builder: name it"},
    "start": dict.fromkeys(("--checkpoint", "--checkpoint-dir"), _FILES_ALONE),
    "checkpoint": dict.fromkeys(("--leave-running", "--checkpoint-dir"), _FILES_ALONE),
    "checkpoints": {"--checkpoint-dir": _FILES_ALONE},
    "checkpoint rm": {"--checkpoint-dir": _FILES_ALONE},
    "update": dict.fromkeys(("--cpu-rt-period", "--cpu-rt-runtime"), _REAL_TIME),
    "logs": {"--details": _LOGS},
    "inspect": {"--platform": "images of several platforms are missing"},
    "rm": dict.fromkeys(("-l", "--link"), _NETWORK),
    "rmi": {"--platform": _ONE_PLATFORM},
    "history": {"--platform": _ONE_PLATFORM},
}
