"""Every command of `labcontainers-oci`: its flags, its arguments and its function, which gives the exit code.

It must not know how command lines are read (arguments) or how errors are told (command).
"""

from __future__ import annotations

import os
import sys

from labcontainers.bundles.arguments import MANY, NUMBER, SWITCH, TEXT, Flags, Parsed, refuse
from labcontainers.bundles.descriptors import handed, preserved
from labcontainers.bundles.states import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from labcontainers.bundles.creating import Creation
    from labcontainers.bundles.logs import Log


class Setting:
    """What the global flags say."""

    def __init__(self, root: str, log: Log, cgroup_manager: str) -> None:
        self.root = root
        self.log = log
        self.cgroup_manager = cgroup_manager


class Verb:
    """One command; `least` and `most` count its arguments, `passes` says that what follows the first is another program's."""

    def __init__(
        self,
        run: Callable[[Setting, Parsed], int],
        usage: str,
        text: str,
        flags: Flags,
        least: int = 1,
        most: int = 1,
        passes: bool = False,
    ) -> None:
        self.run = run
        self.usage = usage
        self.text = text
        self.flags = flags
        self.least = least
        self.most = most
        self.passes = passes


_CREATION = (
    ("--bundle -b", TEXT, "the folder of the bundle (default: this one)"),
    ("--config -f", TEXT, "another file than config.json of the bundle"),
    ("--console-socket", TEXT, "a stream socket that gets the master of the container's terminal"),
    ("--pid-file", TEXT, "a file that gets the number of the process"),
    ("--preserve-fds", NUMBER, "how many descriptors from 3 on the process keeps"),
    ("--no-pivot", SWITCH, "no pivot_root(2): for a root in a ramfs"),
    ("--no-new-keyring", SWITCH, "the session keyring of the caller"),
)


def _creation(setting: Setting, said: Parsed, *, waits: bool) -> Creation:
    from labcontainers.bundles.creating import Creation, Wishes
    from labcontainers.bundles.ending import interruptible

    interruptible()
    wishes = Wishes(setting.root, said.rest[0], said.texts.get("--bundle", "."), setting.log)
    wishes.config = said.texts.get("--config", "")
    wishes.cgroup_manager = setting.cgroup_manager
    wishes.console_socket = _absolute(said.texts.get("--console-socket", ""))
    wishes.pid_file = _absolute(said.texts.get("--pid-file", ""))
    wishes.preserve = preserved(said.number("--preserve-fds"))
    wishes.pivot = "--no-pivot" not in said.switches
    wishes.keyring = "--no-new-keyring" not in said.switches
    wishes.waits = waits
    creation = Creation(wishes)
    if sockets := handed():
        # sd_listen_fds(3): who reads them is the first process of the container
        creation.config["process"]["env"] += [f"LISTEN_FDS={sockets}", "LISTEN_PID=1"]
    creation.make()
    return creation


def _absolute(path: str) -> str:
    return os.path.abspath(path) if path else ""


def _create(setting: Setting, said: Parsed) -> int:
    _creation(setting, said, waits=True)
    return 0


def _run(setting: Setting, said: Parsed) -> int:
    from labcontainers.bundles.creating import start
    from labcontainers.bundles.ending import Foreground, delete

    detach = "--detach" in said.switches
    creation = _creation(setting, said, waits=False) if not detach else _detached(setting, said)
    try:
        foreground = None if detach else Foreground()
        start(creation.state, setting.log, creation.channel)
    except BaseException:
        creation.state.lock()
        creation.undo()
        raise
    if foreground is None:
        return 0
    code = foreground.wait(creation.pid, creation.master)
    if "--keep" not in said.switches:
        creation.state.lock()
        delete(creation.state, setting.log, force=True)
    return code


def _detached(setting: Setting, said: Parsed) -> Creation:
    if "--console-socket" not in said.texts and _wants_terminal(said):
        refuse("process.terminal is true, so who gets it must be said: use --console-socket")
    return _creation(setting, said, waits=False)


def _wants_terminal(said: Parsed) -> bool:
    from labcontainers.bundles.creating import read_json

    config = read_json(said.texts.get("--config") or said.texts.get("--bundle", ".") + "/config.json")
    process = config.get("process") if isinstance(config, dict) else None
    return isinstance(process, dict) and process.get("terminal") is True


def _start(setting: Setting, said: Parsed) -> int:
    from labcontainers.bundles.creating import start

    start(State.load(setting.root, said.rest[0], lock=True), setting.log)
    return 0


def _state(setting: Setting, said: Parsed) -> int:
    _print_json(State.load(setting.root, said.rest[0]).to_json())
    return 0


def _kill(setting: Setting, said: Parsed) -> int:
    from labcontainers.bundles.ending import kill

    number = signal_number(said.rest[1] if len(said.rest) > 1 else "TERM")
    state = State.load(setting.root, said.rest[0])
    kill(state, number, everybody="--all" in said.switches)
    return 0


def signal_number(text: str) -> int:
    """The number of a signal by its name, with or without SIG, or its number, 0 too (kill(2)); raises InvalidArgument."""
    from labcontainers.kernel.lean import signal

    if text.isascii() and text.isdigit() and len(text) < 4 and int(text) < signal.NSIG:
        return int(text)
    name = "SIG" + text.upper().removeprefix("SIG")
    found = getattr(signal, name, None)
    if not isinstance(found, int) or name.startswith("SIG_"):
        refuse(f"no such signal: {text!r}")
    return found


def _delete(setting: Setting, said: Parsed) -> int:
    from labcontainers.bundles.ending import delete
    from labcontainers.errors import NotFound

    force = "--force" in said.switches
    for container_id in _matching(setting.root, said.rest[0]) if "--regex" in said.switches else [said.rest[0]]:
        try:
            state = State.load(setting.root, container_id, lock=True, forgiving=force)
        except NotFound:
            if force:
                continue  # as rm(1)
            raise
        delete(state, setting.log, force=force)
    return 0


def _matching(root: str, pattern: str) -> list[str]:
    import re

    from labcontainers.bundles.listing import containers

    try:
        wanted = re.compile(pattern)
    except re.error as error:
        refuse(f"--regex: {pattern!r} is no regular expression: {error}")
    return [row["id"] for row in containers(root) if wanted.search(row["id"])]


def _exec(setting: Setting, said: Parsed) -> int:
    from labcontainers.bundles.exec_process import process_of_exec
    from labcontainers.bundles.execs import Entry

    state = State.load(setting.root, said.rest[0])
    entry = Entry(state, process_of_exec(state, said), setting.log)
    entry.console_socket = _absolute(said.texts.get("--console-socket", ""))
    entry.pid_file = _absolute(said.texts.get("--pid-file", ""))
    entry.preserve = preserved(said.number("--preserve-fds"))
    entry.ignore_paused = "--ignore-paused" in said.switches
    entry.groups = state.groups.below(said.many.get("--cgroup", []))
    detach = "--detach" in said.switches
    if entry.process["terminal"] and detach and not entry.console_socket:
        refuse("a terminal without --console-socket needs who shows it: leave --detach out")
    if entry.console_socket and not entry.process["terminal"]:
        refuse("--console-socket is there, but no terminal is asked for (--tty)")
    if detach:
        entry.start()
        return 0
    from labcontainers.bundles.ending import Foreground

    foreground = Foreground()
    entry.start()
    return foreground.wait(entry.pid, entry.master)


def _list(setting: Setting, said: Parsed) -> int:
    from labcontainers.bundles.listing import containers, listed

    found = containers(setting.root)
    if "--quiet" in said.switches:
        _print("".join(f"{row['id']}\n" for row in found))
    elif _form(said, "table") == "json":
        _print_line(found)
    else:
        _print(listed(found))
    return 0


def _ps(setting: Setting, said: Parsed) -> int:
    from labcontainers.bundles.listing import process_table, processes

    pids = processes(State.load(setting.root, said.rest[0]))
    if _form(said, "table") == "json":
        _print_line(pids)
    else:
        _print(process_table(pids, said.rest[1:]))
    return 0


def _form(said: Parsed, default: str) -> str:
    form = said.texts.get("--format", default)
    if form not in ("table", "json"):
        refuse(f"--format: {form!r} is neither table nor json")
    return form


def _events(setting: Setting, said: Parsed) -> int:
    from labcontainers.bundles.events import numbers, watch
    from labcontainers.units import parse_duration_s

    interval_s = parse_duration_s(said.texts.get("--interval", "5s"))
    if interval_s <= 0:
        refuse(f"--interval: {said.texts['--interval']!r} is not above 0")
    state = State.load(setting.root, said.rest[0])
    for event in [numbers(state)] if "--stats" in said.switches else watch(state, interval_s):
        _print_line(event)
    return 0


def _pause(setting: Setting, said: Parsed) -> int:
    return _freeze(setting, said.rest[0], True)


def _resume(setting: Setting, said: Parsed) -> int:
    return _freeze(setting, said.rest[0], False)


def _freeze(setting: Setting, container_id: str, wanted: bool) -> int:
    state = State.load(setting.root, container_id, lock=True)
    status = state.status
    if status not in (("running", "created") if wanted else ("paused",)):
        from labcontainers.errors import Conflict

        what = "paused" if wanted else "resumed"
        raise Conflict(f"container {container_id!r} is {status} and cannot be {what}", "`state` tells what it is")
    freezer = state.freezer
    if not freezer:
        from labcontainers.errors import Unsupported

        raise Unsupported(f"container {container_id!r} has no control group that stops processes", "run it where groups can be made")
    if wanted:
        freezer.freeze()
    else:
        freezer.thaw()
    return 0


def _update(setting: Setting, said: Parsed) -> int:
    from labcontainers.bundles.updating import update

    update(State.load(setting.root, said.rest[0], lock=True), said, setting.log)
    return 0


def _spec(setting: Setting, said: Parsed) -> int:
    import json

    from labcontainers.bundles.groups import hierarchies
    from labcontainers.bundles.templates import template
    from labcontainers.oci.runtime_spec import VERSION

    path = f"{said.texts.get('--bundle', '.')}/config.json"
    # as runc: programs that look for their groups of version 1 need those as the host names them
    modern = all(one["fstype"] == "cgroup2" for one in hierarchies())
    document = template(VERSION, rootless="--rootless" in said.switches, uid=os.geteuid(), gid=os.getegid(), cgroups=modern)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileExistsError:
        refuse(f"{path} is there already: it is left as it is")
    with open(fd, "w", encoding="utf-8") as file:
        file.write(json.dumps(document, indent="\t") + "\n")
    return 0


def _features(setting: Setting, said: Parsed) -> int:
    from labcontainers.bundles.features import features

    _print_json(features())
    return 0


def _print(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _print_json(value: object) -> None:
    import json

    _print(json.dumps(value, indent=2) + "\n")


def _print_line(value: object) -> None:
    """What other programs read line by line."""
    from labcontainers.kernel.lean import dumps

    _print(dumps(value) + "\n")


_DETACH = ("--detach -d", SWITCH, "do not wait for the end")
_FORMAT = ("--format -f", TEXT, "table or json")
_IGNORED = ("--no-subreaper", SWITCH, "taken for runc's sake: this runtime never is a subreaper")

VERBS = {
    "create": Verb(_create, "ID", "make a container, whose process waits for the start", Flags(*_CREATION)),
    "start": Verb(_start, "ID", "let the process of a created container become its program", Flags()),
    "run": Verb(_run, "ID", "create and start a container, and wait for its end",
                Flags(*_CREATION, _DETACH, ("--keep", SWITCH, "do not delete the container at its end"), _IGNORED)),
    "state": Verb(_state, "ID", "tell a container's state, as JSON", Flags()),
    "kill": Verb(_kill, "ID [SIGNAL]", "send a signal (default: TERM) to a container's process",
                 Flags(("--all -a", SWITCH, "to all its processes")), 1, 2),
    "delete": Verb(_delete, "ID", "remove a container that has ended", Flags(
        ("--force -f", SWITCH, "kill it if it runs"), ("--regex", SWITCH, "all in whose ids this regular expression is found"),
    )),
    "exec": Verb(_exec, "ID COMMAND [ARGUMENT…]", "run one more process in a container", Flags(
        ("--tty -t", SWITCH, "with a terminal"), _DETACH, ("--env -e", MANY, "a variable, as NAME=VALUE"),
        ("--user -u", TEXT, "UID or UID:GID"), ("--additional-gids -g", MANY, "one more group"), ("--cwd", TEXT, "the working directory"),
        ("--cap -c", MANY, "one more capability"), ("--no-new-privs", SWITCH, "no privileges by programs' files (prctl(2))"),
        ("--process -p", TEXT, "a file with the process as JSON"), ("--pid-file", TEXT, "a file that gets the number of the process"),
        ("--console-socket", TEXT, "a stream socket that gets the master of the terminal"),
        ("--preserve-fds", NUMBER, "how many descriptors from 3 on the process keeps"),
        ("--ignore-paused", SWITCH, "also in a paused container"), ("--apparmor", TEXT, "a profile of AppArmor"),
        ("--process-label", TEXT, "SELinux: not supported"), _IGNORED,
        ("--cgroup", MANY, "a group below the container's, as PATH or CONTROLLER,…:PATH"),
    ), 1, 10**6, passes=True),
    "list": Verb(_list, "", "tell which containers there are", Flags(_FORMAT, ("--quiet -q", SWITCH, "ids alone")), 0, 0),
    "ps": Verb(_ps, "ID [PS OPTION…]", "tell the processes of a container", Flags(_FORMAT), 1, 10**6, passes=True),
    "events": Verb(_events, "ID", "tell what a container uses, and whenever it lacks memory, as JSON", Flags(
        ("--interval", TEXT, "time between two tellings (default: 5s)"), ("--stats", SWITCH, "once, at once"),
    )),
    "pause": Verb(_pause, "ID", "stop all processes of a container", Flags()),
    "resume": Verb(_resume, "ID", "let them go on", Flags()),
    "update": Verb(_update, "ID", "change limits of a container", Flags(
        ("--resources -r", TEXT, "a file with linux.resources as JSON, or - for standard input"),
        ("--memory", TEXT, "bytes"), ("--memory-reservation", TEXT, "bytes"), ("--memory-swap", TEXT, "bytes of memory and swap, or -1"),
        ("--cpu-period", NUMBER, "microseconds"), ("--cpu-quota", NUMBER, "microseconds in a period"),
        ("--cpu-burst", NUMBER, "microseconds that may be saved up"), ("--cpu-share --cpu-shares", NUMBER, "weight, of 1024"),
        ("--cpu-idle", NUMBER, "1 for what runs when nothing else does"), ("--cpu-rt-period", NUMBER, "microseconds"),
        ("--cpu-rt-runtime", NUMBER, "microseconds"), ("--cpuset-cpus", TEXT, "CPUs, such as 0-2,4"),
        ("--cpuset-mems", TEXT, "memory nodes"), ("--pids-limit", NUMBER, "the most processes, or -1"),
        ("--blkio-weight", NUMBER, "weight of block devices, 10 to 1000"),
    )),
    "spec": Verb(_spec, "", "write a config.json to begin with",
                 Flags(("--bundle -b", TEXT, "the folder"), ("--rootless", SWITCH, "for an ordinary user")), 0, 0),
    "features": Verb(_features, "", "tell what this runtime knows, as JSON", Flags(), 0, 0),
}  # fmt: skip
