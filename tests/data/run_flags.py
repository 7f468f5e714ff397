"""Every flag of `docker run`, each with a command line that is executed by tests/integration/test_every_run_flag.py.

docs/compatibility.md is written from these rows. They must not know how a line is executed.
"""

from __future__ import annotations

from tests.data import run_flag_proofs as proofs
from tests.data.run_flag import DISK, Group, Missing, Row

_GROUPS = ("cgroups",)
_VERSION_1 = ("root", "cgroups v1")
_SERVE = "sh -c 'while :; do nc -l -p 8000 -e echo served; done'"

_PROCESS = (
    Row(("-a", "--attach"), "run --rm -a stderr lab/base sh -c 'echo out; echo err >&2'", proof=proofs.only_errors_are_shown),
    Row(("--cidfile",), "create --name it --cidfile ./cid lab/base true", proof=proofs.file_has_the_id),
    Row(("-d", "--detach"), "run -d --name it lab/base sleep 60", proof=proofs.runs_in_the_background),
    Row(("--detach-keys",), "run -it --name it --detach-keys ctrl-x,x lab/base sh", typed="\x18x", proof=proofs.still_runs),
    Row(("--entrypoint",), "run --rm --entrypoint echo lab/base hello", shows=r"\Ahello\s"),
    Row(("-e", "--env"), "run --rm -e A=1 lab/base cat /proc/self/environ", shows=r"(\A|\0)A=1\0"),
    Row(("--env-file",), "run --rm --env-file ./variables lab/base cat /proc/self/environ", shows=r"(\A|\0)B=2\0"),
    Row(("--group-add",), "run --rm --group-add 4242 lab/base id -G", shows=r"\b4242\b", refused=("single id", "cannot add group")),
    Row(("--help",), "run --help", shows=r"\AUsage:  labcontainers run "),
    Row(("--init",), "run --rm --init lab/base sh -c 'echo $$; cat /proc/1/comm'", shows=r"\A([2-9]|\d\d+)\s+(?!sh\s)"),
    Row(("-i", "--interactive"), "run --rm -i lab/base cat", pipe="what is fed\n", shows=r"\Awhat is fed\s"),
    Row(("--name",), "create --name it lab/base true && ps -a --format {{.Names}}", shows=r"\Ait\s*\Z"),
    Row(("--pull",), "run --rm --pull never nosuch true", fails=r"\Ano such image: nosuch\b"),
    Row(
        ("--disable-content-trust",),
        "run --rm --disable-content-trust lab/base echo there",
        shows=r"\Athere\s*\Z",
        but=("--disable-content-trust=false",),
    ),
    Row(("-q", "--quiet"), "run --rm -q nosuch true", fails=r"\Ano such image: nosuch \([^\n]*\)\Z"),
    Row(("--rm",), "run --rm lab/base true && ps -aq", shows=r"\A\s*\Z"),
    Row(
        ("--sig-proxy",),
        "run --sig-proxy=false --name it lab/base sh -c 'echo ready; sleep 60'",
        interrupt="ready",
        proof=proofs.still_runs,
    ),
    Row(
        ("--stop-signal",),
        "run -d --init --name it --stop-signal USR1 lab/base sleep 60 && stop it && wait it",
        shows=r"\A138\s*\Z",
        tells=("Config.StopSignal", "SIGUSR1"),
    ),
    Row(
        ("--stop-timeout",),
        "run -d --name it --stop-timeout 0 lab/base sleep 60 && stop it && wait it",
        shows=r"\A137\s*\Z",
        tells=("Config.StopTimeout", 0),
    ),
    Row(
        ("-t", "--tty"), "run --rm -it lab/base sh -c 'tty; read word; echo got $word'", typed="a word\n", shows=r"/dev/pts/0\s.*got a word"
    ),
    Row(("-u", "--user"), "run --rm -u 4242:4243 lab/base id", shows=r"uid=4242 gid=4243", refused=("single id", "user")),
    Row(("-w", "--workdir"), "run --rm -w /usr/bin lab/base readlink /proc/self/cwd", shows=r"\A/usr/bin\s"),
)

_RECORD = (
    Row(("--annotation",), "create --name it --annotation a=b lab/base true", tells=("HostConfig.Annotations", {"a": "b"})),
    Row(
        ("--isolation",),
        "create --name it --isolation default lab/base true",
        tells=("HostConfig.Isolation", "default"),
        but=("--isolation hyperv",),
    ),
    Row(("-l", "--label"), "create --name it -l a=b lab/base true && ps -a --filter label=a=b --format {{.Names}}", shows=r"\Ait\s*\Z"),
    Row(
        ("--label-file",),
        "create --name it --label-file ./labels lab/base true && ps -a --filter label=c=d --format {{.Names}}",
        shows=r"\Ait\s*\Z",
    ),
    Row(("--log-driver",), "run -d --name it --log-driver none lab/base echo lost", proof=proofs.has_no_log, but=("--log-driver syslog",)),
    Row(
        ("--log-opt",),
        "run -d --name it --log-opt max-size=16k --log-opt max-file=2 lab/base seq 1 100000",
        proof=proofs.log_is_bounded,
        but=("--log-opt tag=x",),
    ),
    Row(("--platform",), "run --rm --platform linux/s390x lab/base true", fails="--platform: 'linux/s390x' is not this machine's"),
    Row(
        ("--runtime",),
        "create --name it --runtime labcontainers lab/base true",
        tells=("HostConfig.Runtime", "labcontainers"),
        but=("--runtime runc",),
    ),
    Row(("--restart",), "run -d --name it --restart on-failure:2 lab/base false", proof=proofs.restarted_twice),
)

_HEALTH = (
    Row(("--health-cmd",), "run -d --name it --health-cmd 'echo well' lab/base sleep 60", proof=proofs.becomes_healthy),
    Row(
        ("--health-interval",),
        "run -d --name it --health-interval 1s --health-cmd true lab/base sleep 60",
        proof=proofs.is_checked_again_before_the_default_interval,
    ),
    Row(
        ("--health-retries",),
        "run -d --name it --health-retries 1 --health-interval 3s --health-cmd false lab/base sleep 60",
        proof=proofs.is_unhealthy_before_three_failures,
    ),
    Row(
        ("--health-start-interval",),
        "run -d --name it --health-start-period 1h --health-start-interval 1s --health-interval 1h --health-cmd false lab/base sleep 60",
        proof=proofs.is_checked_again_before_the_default_interval,
    ),
    Row(
        ("--health-start-period",),
        "run -d --name it --health-start-period 1h --health-interval 1s --health-retries 1 --health-cmd false lab/base sleep 60",
        proof=proofs.failures_do_not_count_yet,
    ),
    Row(
        ("--health-timeout",),
        "run -d --name it --health-timeout 1s --health-interval 1s --health-cmd 'sleep 50' lab/base sleep 60",
        proof=proofs.check_took_too_long,
    ),
    Row(
        ("--no-healthcheck",),
        "create --name made lab/base && commit --change 'HEALTHCHECK CMD true' made checked"
        " && run -d --name it --no-healthcheck checked sleep 60",
        proof=proofs.is_not_checked,
    ),
)

_NETWORK = (
    Row(("--add-host",), "run --rm --add-host db:10.1.2.3 lab/base cat /etc/hosts", shows=r"(?m)^10\.1\.2\.3\s+db$"),
    Row(("--dns",), "run --rm --dns 192.0.2.1 lab/base cat /etc/resolv.conf", shows=r"(?m)^nameserver 192\.0\.2\.1$"),
    Row(("--dns-option", "--dns-opt"), "run --rm --dns-option ndots:3 lab/base cat /etc/resolv.conf", shows=r"(?m)^options .*\bndots:3\b"),
    Row(("--dns-search",), "run --rm --dns-search a.example lab/base cat /etc/resolv.conf", shows=r"(?m)^search a\.example$"),
    Row(
        ("--domainname",),
        "run --rm --domainname lab.example lab/base cat /proc/sys/kernel/domainname",
        shows=r"\Alab\.example\s",
    ),
    Row(("--expose",), "create --name it --expose 8000 lab/base true", tells=("Config.ExposedPorts", {"8000/tcp": {}})),
    Row(("-h", "--hostname"), "run --rm -h box lab/base cat /proc/sys/kernel/hostname", shows=r"\Abox\s"),
    Row(
        ("--mac-address",),
        "run --rm --mac-address 02:42:0a:0b:0c:0d lab/base cat /sys/class/net/eth0/address",
        shows=r"\A02:42:0a:0b:0c:0d\s",
    ),
    Row(("--network", "--net"), "run --rm --network none lab/base ls /sys/class/net", shows=r"\Alo\s*\Z", but=("--network my-own",)),
    Row(("-p", "--publish"), f"run -d --name it -p 127.0.0.1::8000 lab/base {_SERVE}", proof=proofs.is_served, but=("-p 53:53/udp",)),
    Row(("-P", "--publish-all"), f"run -d --name it -P --expose 8000 lab/base {_SERVE}", proof=proofs.is_served),
)

_FILES = (
    Row(("--mount",), "run --rm --mount type=bind,source=./data,target=/data,readonly lab/base cat /proc/mounts", shows=r" /data \S+ ro,"),
    Row(("--read-only",), "run --rm --read-only lab/base cat /proc/mounts", shows=r"(?m)^\S+ / \S+ ro,"),
    Row(("--shm-size",), "run --rm --shm-size 17m lab/base df -k /dev/shm", shows=rf"\b{17 << 10}\b"),
    Row(("--tmpfs",), "run --rm --tmpfs /data:size=1m lab/base cat /proc/mounts", shows=r"(?m)^tmpfs /data tmpfs \S*size=1024k"),
    Row(
        ("-v", "--volume"),
        "run --rm -v ./data:/data lab/base sh -c 'cat /data/question; echo back >/data/answer'",
        shows=r"\Athere\s",
        proof=proofs.answer_is_in_the_folder,
    ),
    Row(
        ("--volume-driver",),
        "create --name it --volume-driver local -v named:/data lab/base true",
        tells=("Mounts.0.Driver", "local"),
        but=("--volume-driver nfs",),
    ),
    Row(
        ("--volumes-from",),
        "run --name first -v /shared lab/base touch /shared/file && run --rm --volumes-from first lab/base ls /shared",
        shows=r"\Afile\s*\Z",
    ),
)

_ISOLATION = (
    Row(("--cap-add",), "run --rm --cap-drop ALL --cap-add KILL lab/base cat /proc/self/status", shows=r"CapEff:\s+0{14}20\b"),
    Row(("--cap-drop",), "run --rm --cap-drop ALL lab/base cat /proc/self/status", shows=r"CapEff:\s+0{16}\b"),
    Row(("--cgroupns",), "run --rm --cgroupns host lab/base readlink /proc/self/ns/cgroup", proof=proofs.namespace_is_the_hosts),
    Row(("--device",), "run --rm --device /dev/zero:/dev/mine lab/base stat -c %t,%T /dev/mine", shows=r"\A1,5\s"),
    Row(
        ("--device-cgroup-rule",),
        "run --rm --cap-add MKNOD --device-cgroup-rule 'c 10:* rwm' lab/base sh -c 'mknod /dev/node c 10 229; (: </dev/node) 2>&1; true'",
        proof=proofs.node_is_not_forbidden,
        refused=("ordinary user", "only root can"),
    ),
    Row(("--ipc",), "run --rm --ipc host lab/base readlink /proc/self/ns/ipc", proof=proofs.namespace_is_the_hosts),
    Row(("--pid",), "run --rm --pid host lab/base readlink /proc/self/ns/pid", proof=proofs.namespace_is_the_hosts),
    Row(("--privileged",), "run --rm --privileged lab/base cat /proc/self/status", shows=r"Seccomp:\s+0\b"),
    Row(
        ("--security-opt",),
        "run --rm --security-opt no-new-privileges lab/base cat /proc/self/status",
        shows=r"NoNewPrivs:\s+1\b",
    ),
    Row(("--sysctl",), "run --rm --sysctl kernel.shmmax=1234567 lab/base cat /proc/sys/kernel/shmmax", shows=r"\A1234567\s"),
    Row(
        ("--userns",),
        "run --name it --userns host lab/base readlink /proc/self/ns/user",
        tells=("HostConfig.UsernsMode", "host"),
        proof=proofs.user_namespace_is_the_engines,
        but=("--userns private",),
    ),
    Row(("--uts",), "run --rm --uts host lab/base readlink /proc/self/ns/uts", proof=proofs.namespace_is_the_hosts),
)


def _limit(*flags: str, line: str, group: Group) -> Row:
    """A limit that is read in the control group of a container that runs."""
    return Row(flags, f"run -d --name it {line} lab/base sleep 60", group=group, needs=_GROUPS if group.v2 else _VERSION_1)


def _rate(flag: str, value: str, v1: str, v2: str, number: str) -> Row:
    """A limit of a block device."""
    group = Group("blkio", f"blkio.throttle.{v1}_device", rf"(?m)^\d+:\d+ {number}$", "io.max", rf"\b{v2}={number}\b")
    return Row((flag,), f"run -d --name it {flag} {DISK}:{value} lab/base sleep 60", group=group, needs=("root", "cgroups"))


_RESOURCES = (
    Row(("--blkio-weight",), "run -d --name it --blkio-weight 300 lab/base sleep 60", proof=proofs.weight_is_set_or_told, needs=_GROUPS),
    Row(
        ("--blkio-weight-device",),
        f"run -d --name it --blkio-weight-device {DISK}:300 lab/base sleep 60",
        proof=proofs.weight_of_the_disk_is_set_or_told,
        needs=("root", "cgroups"),
    ),
    _limit("--cpu-period", line="--cpu-period 50000", group=Group("cpu", "cpu.cfs_period_us", "^50000$", "cpu.max", "^max 50000$")),
    _limit("--cpu-quota", line="--cpu-quota 25000", group=Group("cpu", "cpu.cfs_quota_us", "^25000$", "cpu.max", "^25000 100000$")),
    _limit("-c", "--cpu-shares", line="-c 512", group=Group("cpu", "cpu.shares", "^512$", "cpu.weight", "^20$")),
    _limit("--cpus", line="--cpus 0.5", group=Group("cpu", "cpu.cfs_quota_us", "^50000$", "cpu.max", "^50000 100000$")),
    _limit("--cpuset-cpus", line="--cpuset-cpus 0", group=Group("cpuset", "cpuset.cpus", "^0$", "cpuset.cpus", "^0$")),
    _limit("--cpuset-mems", line="--cpuset-mems 0", group=Group("cpuset", "cpuset.mems", "^0$", "cpuset.mems", "^0$")),
    _rate("--device-read-bps", "1mb", "read_bps", "rbps", "1048576"),
    _rate("--device-read-iops", "30", "read_iops", "riops", "30"),
    _rate("--device-write-bps", "2mb", "write_bps", "wbps", "2097152"),
    _rate("--device-write-iops", "40", "write_iops", "wiops", "40"),
    _limit("-m", "--memory", line="-m 64m", group=Group("memory", "memory.limit_in_bytes", f"^{64 << 20}$", "memory.max", f"^{64 << 20}$")),
    _limit(
        "--memory-reservation",
        line="--memory-reservation 32m",
        group=Group("memory", "memory.soft_limit_in_bytes", f"^{32 << 20}$", "memory.low", f"^{32 << 20}$"),
    ),
    _limit(
        "--memory-swap",
        line="-m 64m --memory-swap 96m",
        group=Group("memory", "memory.memsw.limit_in_bytes", f"^{96 << 20}$", "memory.swap.max", f"^{32 << 20}$"),
    ),
    _limit("--memory-swappiness", line="-m 64m --memory-swappiness 7", group=Group("memory", "memory.swappiness", "^7$")),
    Row(("--kernel-memory",), "run -d --name it --kernel-memory 64m lab/base true", proof=proofs.is_told_that_it_is_discarded),
    _limit("--oom-kill-disable", line="-m 64m --oom-kill-disable", group=Group("memory", "memory.oom_control", "oom_kill_disable 1")),
    Row(("--oom-score-adj",), "run --rm --oom-score-adj 900 lab/base cat /proc/self/oom_score_adj", shows=r"\A900\s"),
    _limit("--pids-limit", line="--pids-limit 23", group=Group("pids", "pids.max", "^23$", "pids.max", "^23$")),
    Row(
        ("--ulimit",),
        "run --rm --ulimit nofile=100:200 lab/base cat /proc/self/limits",
        shows=r"Max open files\s+100\s+200\b",
    ),
)

ROWS = (*_PROCESS, *_RECORD, *_HEALTH, *_NETWORK, *_FILES, *_ISOLATION, *_RESOURCES)

MISSING = (
    Missing(("--cgroup-parent",), "--cgroup-parent /mine"),
    Missing(("--cpu-count",), "--cpu-count 2"),
    Missing(("--cpu-percent",), "--cpu-percent 50"),
    Missing(("--cpu-rt-period",), "--cpu-rt-period 1000000"),
    Missing(("--cpu-rt-runtime",), "--cpu-rt-runtime 950000"),
    Missing(("--gpus",), "--gpus all"),
    Missing(("--io-maxbandwidth",), "--io-maxbandwidth 1m"),
    Missing(("--io-maxiops",), "--io-maxiops 100"),
    Missing(("--ip",), "--ip 10.1.2.3"),
    Missing(("--ip6",), "--ip6 2001:db8::33"),
    Missing(("--link",), "--link db"),
    Missing(("--link-local-ip",), "--link-local-ip 169.254.1.2"),
    Missing(("--network-alias", "--net-alias"), "--network-alias db"),
    Missing(("--storage-opt",), "--storage-opt size=1g"),
    Missing(("--use-api-socket",), "--use-api-socket"),
)
