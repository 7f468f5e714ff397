"""What a container may do unless its user says otherwise, each line with its reason; it must not do anything with it.

`inspect --security` shows them beside what a container really has, and docs/security.md is made of them. Sources: the OCI runtime
specification ("Default Devices", "Linux Process"), Docker's and Podman's defaults, capabilities(7), proc(5), sysfs(5).
"""

from __future__ import annotations

from typing import Final

Reasons = dict[str, str]

# Docker's fourteen but three, as Podman's.
CAPABILITIES: Final[Reasons] = {
    "CHOWN": "package managers give files to the users of the image",
    "DAC_OVERRIDE": "root of the container works with files of the image's other users",
    "FOWNER": "root of the container changes modes and times of such files",
    "FSETID": "set-user-id bits of the image survive a change of owner",
    "KILL": "root of the container ends processes of the image's other users",
    "NET_BIND_SERVICE": "servers listen on ports below 1024",
    "SETFCAP": "package managers set file capabilities",
    "SETGID": "servers give their privileges up, and `su` works",
    "SETPCAP": "a process gives capabilities up for good",
    "SETUID": "servers give their privileges up, and `su` works",
    "SYS_CHROOT": "package managers and sshd use chroot(2)",
}
# What Docker gives besides.
CAPABILITIES_WITHHELD: Final[Reasons] = {
    "AUDIT_WRITE": "nothing in a container writes the machine's audit log",
    "MKNOD": "the devices that a container needs are in its /dev",
    "NET_RAW": "packets with any sender can be made, and others' be read (CVE-2020-14386); ping needs it no more",
}

MASKED: Final[Reasons] = {
    "/proc/acpi": "tells of, and can change, the power state of the machine",
    "/proc/asound": "tells of the machine's sound devices, and who uses them",
    "/proc/interrupts": "counts tell when keys are pressed, and what neighbours do",
    "/proc/kcore": "is the machine's memory",
    "/proc/keys": "lists keys of other users of the machine",
    "/proc/latency_stats": "tells what the machine's other processes wait for",
    "/proc/sched_debug": "lists the machine's other processes",
    "/proc/scsi": "takes commands that remove disks",
    "/proc/timer_list": "lists the machine's other processes",
    "/proc/timer_stats": "lists the machine's other processes",
    "/sys/devices/virtual/powercap": "counters of energy give secrets of neighbours away (PLATYPUS)",
    "/sys/firmware": "tells of the machine's firmware, and can change it",
}
READ_ONLY: Final[Reasons] = {
    "/proc/bus": "is written to by who configures the machine's buses",
    "/proc/fs": "is written to by who configures the machine's file systems",
    "/proc/irq": "decides which CPU serves the machine's devices",
    "/proc/sys": "holds parameters of the kernel that are for the whole machine, such as core_pattern, by which the host runs a program",
    "/proc/sysrq-trigger": "restarts the machine",
}

# (number, reason), by name below /dev
DEVICES: Final[dict[str, tuple[int, int, str]]] = {
    "null": (1, 3, "every program expects it"),
    "zero": (1, 5, "every program expects it"),
    "full": (1, 7, "tests of a full disk"),
    "random": (1, 8, "keys are made of it"),
    "urandom": (1, 9, "keys are made of it"),
    "tty": (5, 0, "a process' own terminal"),
}

# The file systems that every container has beside its root, by place: (type, read-only, reason).
MOUNTS: Final[dict[str, tuple[str, bool, str]]] = {
    "/proc": ("proc", False, "its own processes"),
    "/dev": ("tmpfs", False, "no device of the image or of the host, but those above"),
    "/dev/pts": ("devpts", False, "terminals of its own"),
    "/dev/shm": ("tmpfs", False, "shared memory of its own, bounded"),
    "/dev/mqueue": ("mqueue", False, "message queues of its own"),
    "/sys": ("sysfs", True, "programs look for devices and interfaces; writing there changes the machine"),
}

NAMESPACES: Final[Reasons] = {
    "pid": "it neither sees nor signals the machine's processes",
    "mnt": "it sees no file that it was not given",
    "net": "it reaches nobody but by its own interfaces, and cannot listen on the machine's",
    "ipc": "it shares no memory and no semaphores with others",
    "uts": "its host name is its own",
    "cgroup": "it does not see where its control groups are",
}

# Calls that the default filter refuses whoever asks, with what they have been used for.
CALLS_WITHHELD: Final[Reasons] = {
    "add_key": "keyrings have no namespace",
    "bpf": "programs in the kernel: a long line of escapes (CVE-2021-3490)",
    "clone3": "its flags cannot be looked at; ENOSYS makes libc use clone(2)",
    "delete_module": "takes drivers from the machine",
    "fsopen": "makes mounts (CVE-2022-0185)",
    "init_module": "puts code into the kernel",
    "io_uring_setup": "does what other calls do past the filter, and a long line of escapes",
    "kexec_load": "starts another kernel",
    "keyctl": "keyrings have no namespace (CVE-2016-0728)",
    "mount": "shows files that were not given",
    "move_mount": "shows files that were not given",
    "open_by_handle_at": "opens any file of the disk by number (shocker)",
    "perf_event_open": "watches the machine's other processes",
    "pivot_root": "changes what the root is",
    "reboot": "restarts the machine",
    "request_key": "keyrings have no namespace",
    "setns": "enters other namespaces",
    "swapon": "writes to the machine's disks",
    "unshare": "gives all capabilities in a new user namespace, and with them the kernel's least tested code (CVE-2022-0492)",
    "userfaultfd": "holds the kernel up in the middle of its work, which makes races certain",
}
SOCKETS_WITHHELD: Final[Reasons] = {
    "AF_ALG": "the kernel's cryptography, of no use in a container (CVE-2019-8912)",
    "AF_VSOCK": "reaches the hypervisor and its other machines, past the network namespace",
}
