"""Wrong values of every flag that takes one, by command: each is refused by the flag's name before anything is made.

They must not know how a command is executed. A value stands alone, or with that part of it which the message shows.
"""

from __future__ import annotations

Values = tuple[str | tuple[str, str], ...]

LIMITS: dict[str, Values] = {
    "--memory": ("lots", "1m", "-5", "9" * 25 + "p"),
    "--memory-reservation": ("lots", "1m", "-5"),
    "--memory-swap": ("lots", "-5"),
    "--cpus": ("many", "-1", "nan", "1e9", "0.001"),
    "--cpu-period": ("999", "1000001", "x"),
    "--cpu-quota": ("5", "x"),
    "--cpu-shares": ("1", "262145", "x"),
    "--cpuset-cpus": ("x", "3-1", "0-4095"),
    "--cpuset-mems": ("x", "63"),
    "--pids-limit": ("some", "-7"),
    "--blkio-weight": ("9", "1001", "x"),
}
_RATES: Values = ("sda:1mb", ("/dev/null:1mb", "/dev/null"), ("/dev/no-such:1mb", "/dev/no-such"), ("/dev/null:much", "much"))
_COUNTS: Values = ("sda:5", ("/dev/null:5", "/dev/null"), ("/dev/no-such:5", "/dev/no-such"), ("/dev/null:1mb", "1mb"))
_RESOURCES: dict[str, Values] = {
    **LIMITS,
    "--kernel-memory": ("lots", "-5"),
    "--memory-swappiness": ("101", "-2", "x"),
    "--blkio-weight-device": ("sda:300", ("/dev/null:9", "9"), ("/dev/null:300", "/dev/null")),
    "--device-read-bps": _RATES,
    "--device-write-bps": _RATES,
    "--device-read-iops": _COUNTS,
    "--device-write-iops": _COUNTS,
    "--ulimit": ("files=5", "nofile", "nofile=x", ("nofile=9:5", "nofile: the soft limit 9 is above the hard limit 5")),
    "--oom-score-adj": ("1001", "-1001", "x"),
    "--shm-size": ("lots", "-1"),
    "--sysctl": ("novalue", ("kernel.pid_max=5", "kernel.pid_max"), ("kernel.hostname=x", "kernel.hostname"), "=5"),
}
_PROCESS: dict[str, Values] = {
    "--name": ("x", "../escape", "-flag", "a b"),
    "--env": ("=x",),
    "--env-file": ("nosuch", "."),
    "--workdir": ("relative",),
    "--user": ("a b", "-1", "a/b"),
    "--label": ("=x",),
    "--label-file": ("nosuch", "."),
    "--hostname": ("bad_host!", "x" * 64),
    "--domainname": ("a_b",),
    "--attach": ("stdwrong",),
    "--group-add": ("a b", "-1"),
    "--stop-signal": ("SIGNOPE", "0", "65"),
    "--stop-timeout": ("soon", "-2"),
    "--annotation": ("=x",),
    "--cidfile": ("/no/such/folder/x", "/etc/passwd"),
    "--platform": ("windows/amd64", "linux/s390x", "a b"),
    "--pull": ("sometimes",),
    "--isolation": ("hyperv",),
    "--runtime": ("runc",),
    "--log-driver": ("syslog", "paper"),
    "--log-opt": ("tag=x", ("colour=red", "colour"), ("max-size=1", "'1'"), ("max-size=lots", "'lots'"), "=1"),
    "--restart": ("sometimes", ("on-failure:x", "'x'"), ("always:3", "always")),
    "--health-interval": ("often", ("1us", "1000 ns")),
    "--health-timeout": ("often",),
    "--health-retries": ("some", "-1"),
    "--health-start-period": ("often",),
    "--health-start-interval": ("often",),
}
_MOUNTS: dict[str, Values] = {
    "--volume": (
        ("/nosuch-folder:/x", "/nosuch-folder"),
        ("/tmp:relative", "relative"),
        ("/tmp:/", "'/'"),
        ("/tmp:/x:rx", "rx"),
        ":/x",
        ("a b:/x", "a b"),
        "/tmp:/x:ro:more",
    ),
    "--mount": (
        "garbage",
        ("type=nosuch,target=/x", "nosuch"),
        ("type=bind,source=/nosuch-folder,target=/x", "/nosuch-folder"),
        ("type=tmpfs", "type=tmpfs"),
        ("type=tmpfs,target=/x,tmpfs-size=lots", "lots"),
        ("type=tmpfs,target=relative", "relative"),
        ("type=image,source=nosuch,target=/x", "nosuch"),
        ("type=volume,source=a b,target=/x", "a b"),
    ),
    "--tmpfs": ("relative", ("/x:sudi", "sudi"), ("/x:size=lots", "size=lots")),
    "--volumes-from": ("nosuch", ":ro", "web:rx"),
    "--volume-driver": ("nfs",),
    "--device": ("relative", ("/dev/nosuch", "/dev/nosuch"), "/etc/passwd", "/dev/null:/x:q", "/a:/b:r:w"),
    "--device-cgroup-rule": ("x", "c 1:3 q"),
}
_ISOLATION: dict[str, Values] = {
    "--cap-add": ("NOPE",),
    "--cap-drop": ("NOPE",),
    "--security-opt": ("nonsense", "nonsense=1", ("seccomp=/no/such/profile", "/no/such/profile"), "systempaths=x"),
    "--pid": ("mine", "container:", ("container:nosuch", "nosuch")),
    "--ipc": ("mine", "container:", ("container:nosuch", "nosuch")),
    "--uts": ("mine",),
    "--userns": ("keep-id",),
    "--cgroupns": ("mine",),
}
_NETWORK: dict[str, Values] = {
    "--network": ("container:", ("container:nosuch", "nosuch")),
    "--publish": ("http", "70000:80", "80:0", "1:2:3:4", ("300.1.1.1:80:80", "300.1.1.1"), "80-90:80-81", "80:80/xyz"),
    "--dns": ("localhost",),
    "--dns-option": ("a b",),
    "--dns-search": ("a b",),
    "--add-host": ("nohost", ("x:nowhere", "nowhere")),
    "--expose": ("http", "0", "90-80", "80/xyz"),
    "--mac-address": ("xx", "01:00:00:00:00:01"),
}
_CREATE = {**_RESOURCES, **_PROCESS, **_MOUNTS, **_ISOLATION, **_NETWORK}
_OF_EACH_RUN = (
    "--memory", "--memory-swap", "--cpu-shares", "--cpu-period", "--cpu-quota", "--cpuset-cpus", "--cpuset-mems", "--shm-size", "--ulimit",
    "--add-host",
)  # fmt: skip
_KEYS: dict[str, Values] = {"--detach-keys": (("ctrl-x,foo", "foo"),)}
_TIME: dict[str, Values] = {"--timeout": ("lots", "-1")}
_FORMAT: Values = ("{{", ("{{.Nope}}", "Nope"))
_STOP: dict[str, Values] = {"--timeout": ("lots", "1 minute"), "--signal": ("SIGNOPE", "0")}

# What follows the flags, and the wrong values of each; `web` is a container, `data` a volume, `IMAGE` a folder with a Dockerfile.
WRONG: dict[str, tuple[tuple[str, ...], dict[str, Values]]] = {
    "run": (("lab/base", "true"), {**_CREATE, **_KEYS, **_TIME}),
    "create": (("lab/base", "true"), _CREATE),
    "exec": (
        ("web", "true"),
        {**_KEYS, **_TIME, "--env": ("=x",), "--env-file": ("nosuch",), "--user": ("a b", "-1"), "--workdir": ("relative",)},
    ),
    "start": (("-a", "web"), {**_KEYS, **_TIME}),
    "attach": (("web",), _KEYS),
    "update": (("web",), {**LIMITS, "--restart": ("sometimes", ("always:3", "always"))}),
    "stop": (("web", "other"), _STOP),
    "restart": (("web", "other"), _STOP),
    "kill": (("web", "other"), {"--signal": ("SIGNOPE", "0")}),
    "wait": (("web",), {"--condition": ("never",)}),
    "logs": (("web",), {"--tail": ("some",), "--since": ("yesterday",), "--until": ("tomorrow", "9999-99-99")}),
    "ps": (
        (),
        {"--last": ("x",), "--format": _FORMAT, "--filter": ("x", "status=x", "exited=x", "publish=x", "name=(", ("nope=1", "nope"))},
    ),
    "inspect": (("web",), {"--format": _FORMAT, "--type": ("nonsense",)}),
    "prune": ((), {"--filter": ("x", ("nope=1", "nope"), "until=x")}),
    "cp": (("web:/etc", "-"), {}),
    "export": (("web",), {"--output": ("/no/such/folder/x", "/tmp")}),
    "commit": (("web",), {"--change": ("NOPE", "FROM x", "RUN true", "EXPOSE http")}),
    "build": (
        ("IMAGE",),
        {
            "--tag": ("Bad/Name", "a:b c"),
            "--file": ("nosuch",),
            "--context": ("/no/such/folder",),
            "--build-arg": ("=x",),
            "--build-context": ("x", ("x=/no/such/folder", "/no/such/folder"), ("x=target:y", "target"), "A B=."),
            "--label": ("=x",),
            "--target": ("nosuch",),
            "--iidfile": ("/no/such/folder/x", "/tmp"),
            "--builder": ("other",),
            "--network": ("container:", "container:web"),
            "--call": ("nonsense",),
            "--secret": (("src=x", "src"), ("id=a,src=/no/such/file", "/no/such/file"), ("id=a,nope=1", "nope")),
            "--ssh": (("x=/no/such/socket", "/no/such/socket"),),
            "--allow": ("everything", "device", "fs.read=/etc"),
            **{flag: _CREATE[flag] for flag in _OF_EACH_RUN},
            "--progress": ("loud",),
            "--annotation": ("novalue", "=x", ("paper:a=b", "paper"), ("index:a=b", "index")),
            "--metadata-file": ("/no/such/folder/x", "/tmp"),
            "--attest": (("type=paper", "paper"), ("type=provenance,mode=half", "half"), "x"),
            "--provenance": (("mode=half", "half"), ("colour=red", "colour")),
            "--sbom": (("generator=x", "generator"), "perhaps"),
            "--output": (
                ("type=paper,dest=x", "paper"),
                ("dest=x", "type"),
                ("type=local", "dest"),
                ("type=local,dest=x,colour=red", "colour"),
                ("type=oci,dest=x,compression=zstd", "compression"),
                ("type=tar,dest=/no/such/folder/x", "/no/such/folder"),
                ("type=local,dest=/etc/passwd", "/etc/passwd"),
                ("type=image,push=maybe", "maybe"),
                ("type=image,push=true", "name"),
                ("type=image,name=Bad/Name", "Bad/Name"),
                ("type=oci,dest=x,tar", "tar"),
            ),
            "--cache-from": (("type=gha", "gha"), ("type=paper", "paper"), ("type=local", "src"), ("src=x", "type"), "Bad/Name"),
            "--cache-to": (
                ("type=s3,bucket=x", "s3"),
                ("type=local,dest=/etc/passwd", "/etc/passwd"),
                ("type=registry", "ref"),
                ("type=local,dest=x,mode=most", "most"),
                ("type=local,dest=x,compression=zstd", "zstd"),
                ("type=local,dest=x,colour=red", "colour"),
                ("type=inline,mode=max", "mode"),
            ),
            "--no-cache-filter": ("a,,b", ","),
            "--platform": ("plan9/mips", "linux/s390x", ("linux/amd64,linux/arm64", "linux/amd64"), ","),
        },
    ),
    "images": ((), {"--filter": ("x", ("nope=1", "nope"), "dangling=x", "until=x", ("reference=[", "reference")), "--format": _FORMAT}),
    "history": (("lab/base",), {"--format": _FORMAT}),
    "image prune": ((), {"--filter": ("x", ("nope=1", "nope"), "until=x", "dangling=x")}),
    "network prune": ((), {"--filter": ("x", ("nope=1", "nope"), "until=x")}),
    "builder du": (
        (),
        {"--filter": ("x", ("nope=1", "nope"), "until=x", "type=x", "inuse=x"), "--format": _FORMAT, "--builder": ("other",)},
    ),
    "builder prune": (
        (),
        {
            "--filter": ("x", ("nope=1", "nope"), "until=x"),
            **dict.fromkeys(("--keep-storage", "--reserved-space", "--max-used-space", "--min-free-space"), ("x", "-1")),
            "--builder": ("other",),
        },
    ),
    "buildx ls": ((), {"--format": _FORMAT}),
    "system prune": ((), {"--filter": ("x", ("nope=1", "nope"), "until=x")}),
    "system df": ((), {"--format": _FORMAT}),
    "volume create": ((), {"--name": ("a b",), "--driver": ("nfs",), "--opt": ("x", ("size=x", "size"), ("x=1", "x")), "--label": ("=x",)}),
    "volume ls": ((), {"--filter": ("x", ("nope=1", "nope"), "dangling=x"), "--format": _FORMAT}),
    "volume inspect": (("data",), {"--format": ("{{",)}),
    "volume prune": ((), {"--filter": ("x", ("nope=1", "nope"))}),
    "events": (
        (),
        {"--since": ("yesterday",), "--until": ("tomorrow",), "--filter": ("x", ("nope=1", "nope")), "--format": ("{{",)},
    ),
    "stats": (("--no-stream",), {"--format": _FORMAT}),
    "version": ((), {"--format": _FORMAT}),
    "info": ((), {"--format": _FORMAT}),
}
# Flags that take any text there is.
ANY_TEXT = {"--entrypoint", "--health-cmd", "--author", "--message"}
