"""What Docker's command line has and this engine has not yet: commands and flags, each with what is missing.

It must not know what is there: an entry is taken out when its flag or command comes in.
"""

from __future__ import annotations

_PTY = "the runtime has no pseudo-terminal"
_DNS = "networks have no name server of their own"
_NETWORK = "containers join one of bridge, none and host"
_CAPABILITIES = "the capability set is the default one"
_WEIGHT = "control groups are set for memory, CPU quota and pids only"
_BLOCK = "no limits are set for block devices"
_HEALTH = "health checks are not run"
_LOGS = "the log is always the container's own file"
_VOLUME = "volumes are folders of this machine, by -v"
_REGISTRY = "images are neither pulled nor verified"
_NAMESPACES = "every container has namespaces of its own"
_ATTACH = "there is no attaching; `logs -f` follows the output"
_SIZE = "sizes of writable layers are not measured"
_DEVICES = "containers get the default devices only"

COMMANDS = {
    **dict.fromkeys(("attach", "port", "rename", "top", "update", "cp", "diff", "commit", "export"), "the engine has no such verb"),
    **dict.fromkeys(("pause", "unpause"), "freezing control groups is missing"),
    **dict.fromkeys(("pull", "push", "login", "logout", "search", "manifest", "trust"), "there is no registry client"),
    **dict.fromkeys(("import", "load", "save", "history"), "archives of images are neither read nor written"),
    **dict.fromkeys(("buildx", "builder", "bake"), "there is one builder: use build"),
    **dict.fromkeys(("compose", "swarm", "node", "service", "stack", "secret", "config"), "applications of several containers are missing"),
    **dict.fromkeys(("plugin", "volume", "context", "checkpoint"), "the engine has no such thing"),
}

_CREATE = {
    **dict.fromkeys(("--dns", "--dns-option", "--dns-opt", "--dns-search", "--domainname", "--add-host"), _DNS),
    **dict.fromkeys(("--ip", "--ip6", "--link", "--link-local-ip", "--mac-address", "--network-alias", "--net-alias"), _NETWORK),
    **dict.fromkeys(("-P", "--publish-all", "--expose"), "ports are published one by one, by -p"),
    **dict.fromkeys(("--cap-add", "--cap-drop", "--privileged", "--group-add"), _CAPABILITIES),
    **dict.fromkeys(("--cpu-period", "--cpu-quota", "--cpu-rt-period", "--cpu-rt-runtime"), "use --cpus"),
    **dict.fromkeys(("-c", "--cpu-shares", "--cpuset-cpus", "--cpuset-mems", "--cgroup-parent", "--cpu-count", "--cpu-percent"), _WEIGHT),
    **dict.fromkeys(("--memory-reservation", "--memory-swap", "--memory-swappiness", "--kernel-memory", "--oom-kill-disable"), _WEIGHT),
    **dict.fromkeys(("--oom-score-adj", "--ulimit", "--shm-size", "--sysctl"), "these kernel settings are the default ones"),
    **dict.fromkeys(("--blkio-weight", "--blkio-weight-device", "--device-read-bps", "--device-read-iops"), _BLOCK),
    **dict.fromkeys(("--device-write-bps", "--device-write-iops", "--io-maxbandwidth", "--io-maxiops", "--storage-opt"), _BLOCK),
    **dict.fromkeys(("--device", "--device-cgroup-rule", "--gpus"), _DEVICES),
    **dict.fromkeys(("--health-cmd", "--health-interval", "--health-retries", "--health-start-period", "--health-timeout"), _HEALTH),
    **dict.fromkeys(("--health-start-interval", "--no-healthcheck"), _HEALTH),
    **dict.fromkeys(("--log-driver", "--log-opt"), _LOGS),
    **dict.fromkeys(("--mount", "--volume-driver", "--volumes-from"), _VOLUME),
    **dict.fromkeys(("--pull", "--platform", "-q", "--quiet", "--disable-content-trust"), _REGISTRY),
    **dict.fromkeys(("--pid", "--ipc", "--uts", "--userns", "--cgroupns", "--isolation"), _NAMESPACES),
    **dict.fromkeys(("-a", "--attach", "--detach-keys", "--sig-proxy"), _ATTACH),
    **dict.fromkeys(("-t", "--tty"), _PTY),
    "--cidfile": "the id is printed by create and run -d",
    "--init": "the program itself is process 1",
    "--restart": "nobody restarts containers that ended",
    "--runtime": "there is one runtime, our own",
    "--annotation": "there is no OCI bundle to annotate",
    "--stop-timeout": "say it when stopping: stop -t SECONDS",
    "--use-api-socket": "there is no API socket",
}
_EXEC = {
    **dict.fromkeys(("-t", "--tty"), _PTY),
    "--privileged": _CAPABILITIES,
    "--detach-keys": _ATTACH,
}
_BUILD = {
    **dict.fromkeys(("--add-host",), _DNS),
    **dict.fromkeys(("--secret", "--ssh"), "RUN --mount=type=secret and ssh are missing"),
    **dict.fromkeys(("--pull", "--platform", "--push", "--disable-content-trust"), _REGISTRY),
    **dict.fromkeys(("--cache-from", "--cache-to", "--no-cache-filter"), "the cache is the store's own"),
    **dict.fromkeys(
        ("-o", "--output", "--load", "--metadata-file", "--attest", "--provenance", "--sbom", "--annotation"), "images go into the store"
    ),
    **dict.fromkeys(("-m", "--memory", "--memory-swap", "-c", "--cpu-shares", "--cpu-period", "--cpu-quota"), "RUN has no limits"),
    **dict.fromkeys(("--cpuset-cpus", "--cpuset-mems", "--shm-size", "--ulimit", "--cgroup-parent", "--isolation"), "RUN has no limits"),
    **dict.fromkeys(
        ("--build-context", "--builder", "--allow", "--call", "--check", "-D", "--debug", "--policy"), "it is a part of buildx"
    ),
    **dict.fromkeys(("--compress", "--squash", "--force-rm", "--rm", "--security-opt"), "it is a part of the classic builder"),
    "--progress": "a terminal shows plain lines, a notebook a widget",
}

FLAGS = {
    "run": _CREATE,
    "create": {**_CREATE, **dict.fromkeys(("-i", "--interactive"), _ATTACH)},
    "exec": _EXEC,
    "build": _BUILD,
    "start": {
        **dict.fromkeys(("-a", "--attach", "-i", "--interactive", "--detach-keys"), _ATTACH),
        "--checkpoint": "there are no checkpoints",
    },
    "ps": dict.fromkeys(("-s", "--size"), _SIZE),
    "inspect": dict.fromkeys(("-s", "--size"), _SIZE),
    "logs": {"--details": _LOGS},
    "rm": dict.fromkeys(("-l", "--link"), _NETWORK),
    "rmi": {"--no-prune": "untagged parents are not kept", "--platform": _REGISTRY},
    "images": {"--digests": "images without a registry have no digest there", "--tree": "images of several platforms are missing"},
}
