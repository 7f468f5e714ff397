"""The stages in which a container is assembled, to which stage each operation belongs, and what each means in plain words.

Data alone; it must not do anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labcontainers.kernel import syscalls


@dataclass(frozen=True, slots=True)
class Stage:
    """`name` is the word by which it is chosen, `title` and `note` are for readers."""

    name: str
    title: str
    note: str


STAGES = (
    Stage("namespaces", "Namespaces", "The process gets views of its own: of processes, mounts, network, host name and more."),
    Stage("cgroup", "Control group", "The kernel counts what the container uses, and holds it to its limits."),
    Stage("network", "Network", "A network of its own: at first only an empty one, then a cable to a bridge."),
    Stage("layers", "Layers and root", "The image's layers and a writable one become one tree, which is made the root."),
    Stage("mounts", "Mounts", "The kernel's own file systems, volumes and folders of the host appear in the tree."),
    Stage("devices", "Devices", "A /dev with the few devices that a program needs, and no others."),
    Stage("identity", "Identity and security", "The process becomes its user, and gives up what it must not be able to do."),
    Stage("program", "Program", "The engine's code is replaced by the container's program."),
)
# The operation by which init waits (runtime.init); it belongs to no stage, and is not told.
PAUSE = "pause"
NAMES = tuple(stage.name for stage in STAGES)

_STAGES = {
    "namespaces": "clone join_namespaces user_namespace hostname domainname sysctl",
    "cgroup": "make_cgroups limit device_rule device_filter join_cgroups",
    "network": "network_offer network_wait loopback listen network bridge address link_up route veth forward",
    "layers": "make_directories private overlay bind_root pivot finish",
    "mounts": "make_volume copy_up etc_file mount join layers tmpfs secret bind bind_kernel mask make_directory attach_shared",
    "devices": "device symlink device_node bind_device terminal",
    "identity": "prepare readonly keyring oom_score rlimit account bounding apparmor no_new_privs seccomp identity chdir",
    "program": "exec",
}
_STAGE_OF = {operation: stage for stage, operations in _STAGES.items() for operation in operations.split()}


def stage_of(operation: str, arguments: Mapping[str, Any]) -> str:
    """The name of its stage; what is mounted in /dev is of the devices, and the control groups' namespace is theirs."""
    if operation == "unshare":
        return "cgroup" if arguments.get("flags") == syscalls.CLONE_NEWCGROUP else "namespaces"
    target = str(arguments.get("target", ""))
    if operation in ("mount", "bind_kernel", "attach_shared") and (target == "/dev" or target.startswith("/dev/")):
        return "devices"
    return _STAGE_OF.get(operation, "identity")


def with_pauses(plan: Sequence[list[Any]]) -> list[list[Any]]:
    """A plan in which the container's first process waits before each stage until it is told to go on."""
    stepped: list[list[Any]] = []
    before = ""
    for name, arguments in plan:
        stage = stage_of(name, arguments)
        if stage != before:
            stepped.append([PAUSE, {"stage": stage}])
        before = stage
        stepped.append([name, arguments])
    return stepped


_NOTES = {
    "clone": "Makes the container's first process, and the new namespaces together with it.",
    "join_namespaces": "Enters namespaces of another container instead of making new ones.",
    "user_namespace": "An ordinary user is root in here, and nobody special outside: that is why no real root is needed.",
    "unshare": "Leaves a namespace behind. That of control groups comes once the group is entered, so that it looks like the top.",
    "hostname": "Gives the container a host name of its own; the machine's stays.",
    "domainname": "Gives the container an NIS domain name of its own.",
    "sysctl": "Sets a kernel parameter that counts in this namespace alone.",
    "make_cgroups": "Makes a folder in the kernel's control group file system: that is what a control group is.",
    "limit": "Writes a number into a file of the control group, which is a limit from then on.",
    "device_rule": "Tells the kernel which device numbers may be opened.",
    "device_filter": "Loads a small program that the kernel asks at each opening of a device.",
    "join_cgroups": "Moves the process into its control group. Its children will be born there.",
    "network_offer": "Hands a socket of the empty network namespace out, so that the engine can furnish it from outside.",
    "network_wait": "Waits until the engine has put in the cable, the address and the route.",
    "loopback": "Switches on 127.0.0.1, which is off in a new network namespace.",
    "listen": "Opens the published port on the host.",
    "network": "Asks for a place in a network, with an address that nobody else has.",
    "bridge": "Makes a switch in software, to which containers are connected.",
    "address": "Gives a network interface its address.",
    "link_up": "Switches a network interface on.",
    "route": "Tells where packets go that are for elsewhere.",
    "veth": "Lays a cable: what goes in at one end comes out at the other, one inside, one on the bridge.",
    "forward": "Passes on what comes to the published port outside to the port inside.",
    "make_directories": "Makes the container's own folder: the writable layer, and room for the mounts.",
    "private": "What is mounted from here on is not seen outside, nor what is mounted outside in here.",
    "overlay": "Lays the image's layers over each other, with a writable one on top. Nothing is copied.",
    "bind_root": "Takes a folder as the root, instead of layers.",
    "pivot": "Makes the new tree the root, and lets go of the old one: the host's files cannot be named any more.",
    "finish": "Makes the root read-only where that was asked for.",
    "make_volume": "Makes a folder that outlives the container.",
    "copy_up": "Fills a new volume with what the image has at that place.",
    "etc_file": "Writes a file that tells the container its name, its neighbours and its name servers.",
    "mount": "Mounts a file system that the kernel makes up, such as /proc, as this container is to see it.",
    "join": "Takes a folder of the host of which later mounts are to be seen inside.",
    "layers": "Lays the layers of an image over each other, to be mounted in the container.",
    "tmpfs": "Mounts a file system that lives in memory, and ends with the container.",
    "secret": "Puts a secret into memory, where no layer keeps it.",
    "bind": "Shows a folder or file of the host at a place in the container.",
    "bind_kernel": "Shows a file system of the host's kernel, since a namespace is shared with the host.",
    "mask": "Hides a path that would tell of, or change, the whole machine.",
    "make_directory": "Makes the working directory, if the image has none.",
    "attach_shared": "Mounts the shared memory of the other container whose ipc namespace is joined.",
    "device": "Makes a device that is harmless: it belongs to no hardware.",
    "symlink": "Makes a link that programs expect in /dev.",
    "device_node": "Makes a device that was asked for.",
    "bind_device": "Shows a device of the host, since an ordinary user may not make one.",
    "terminal": "Opens a pseudo-terminal, so that the program believes to be at a keyboard.",
    "prepare": "Looks whether this host can give what was asked for.",
    "readonly": "Leaves a path readable, and lets nobody write to it.",
    "keyring": "Takes a new keyring, so that keys of the user are not seen inside.",
    "oom_score": "Tells the kernel whom to end first when memory is short.",
    "rlimit": "Limits what one process may use, such as open files.",
    "account": "Looks up the user in the image's own /etc/passwd: names mean nothing to the kernel, only numbers.",
    "bounding": "Drops capabilities for good: not even root inside can have them again.",
    "apparmor": "Chooses the AppArmor profile under which the program will run.",
    "no_new_privs": "From now on no program can gain rights, not by set-user-id either.",
    "seccomp": "Loads a filter: system calls that it does not know are refused.",
    "identity": "Becomes the user and the groups, and keeps only the capabilities that are allowed.",
    "chdir": "Goes to the working directory, as the user who will work there.",
    "exec": "Replaces the engine's code in this process by the program: the container runs.",
}


def note_of(operation: str) -> str:
    """What the operation is for, in one or two plain sentences; "" for one that is not known."""
    return _NOTES.get(operation, "")


NOTED = frozenset(_NOTES)
STAGED = frozenset(_STAGE_OF)
