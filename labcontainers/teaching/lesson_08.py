"""Lesson 8, security: what its exercises ask for, read from the process of a container and tried in it.

It must not change a container: what it tries in one is a file below /tmp that it removes again.
"""

from __future__ import annotations

from labcontainers.containers.container import Container
from labcontainers.errors import Conflict
from labcontainers.kernel import capabilities as names
from labcontainers.teaching.machine import Machine
from labcontainers.teaching.outcome import Outcome, not_yet, passed

_HERE = Machine()
_FILTERED = "2"


def capabilities(container: Container, *, machine: Machine = _HERE) -> Outcome:
    """A running container with the one capability to use low ports, and no other."""
    has = _capabilities(container, machine)
    more, missing = sorted(has - {"NET_BIND_SERVICE"}), {"NET_BIND_SERVICE"} - has
    if more:
        return not_yet(f"{container.name} also has {', '.join(more)}.", "`--cap-drop ALL` takes all away; what is added after that stays")
    if missing:
        return not_yet(f"{container.name} has no capability at all.", "`--cap-add NET_BIND_SERVICE` gives that one back")
    return passed(f"All that root may in {container.name} is to use low ports.")


def seccomp(container: Container) -> Outcome:
    """A running container in which the mode of a file cannot be changed, though everything else works."""
    made = container.exec(["sh", "-c", "touch /tmp/check && rm /tmp/check"])
    if made.exit_code != 0:
        return not_yet(
            f"In {container.name} a file cannot even be made: {_last(made.stderr)}.", "forbid chmod, fchmod, fchmodat and fchmodat2 alone"
        )
    tried = container.exec(["sh", "-c", "touch /tmp/check; chmod 600 /tmp/check; code=$?; rm -f /tmp/check; exit $code"])
    if tried.exit_code == 0:
        found = f"In {container.name} chmod still works."
        return not_yet(
            found, "name chmod, fchmod, fchmodat and fchmodat2, with the action SCMP_ACT_ERRNO; `--security-opt seccomp=FILE` uses it"
        )
    return passed(f"In {container.name} chmod fails: {_last(tried.stderr)}.")


def read_only(container: Container, *, machine: Machine = _HERE) -> Outcome:
    """A running container with a root file system that cannot be written, and a /tmp that can."""
    mounts = machine.mounts(_pid(container))
    if not _is_read_only(mounts.get("/", "")):
        return not_yet(f"The root of {container.name} can be written.", "`--read-only` makes it so that it cannot")
    if "/tmp" not in mounts or _is_read_only(mounts["/tmp"]):
        return not_yet(f"The root of {container.name} is read-only, but so is its /tmp.", "`--tmpfs /tmp` mounts memory there")
    return passed(f"{container.name} can write into /tmp, and nothing of that lasts.")


def hardened(container: Container, *, machine: Machine = _HERE) -> Outcome:
    """A running container with everything taken away that a plain computation does not need."""
    pid = _pid(container)
    status = machine.status(pid)
    has = _capabilities(container, machine)
    open_doors = [
        *([f"it has capabilities ({', '.join(sorted(has))}): --cap-drop ALL"] if has else []),
        *(["it may gain privileges by a setuid program: --security-opt no-new-privileges"] if status.get("NoNewPrivs") != "1" else []),
        *(["no filter of system calls: leave out seccomp=unconfined"] if status.get("Seccomp") != _FILTERED else []),
        *(["it may write its root: --read-only"] if not _is_read_only(machine.mounts(pid).get("/", "")) else []),
        *(["it has a network: --network none"] if container.network != "none" else []),
    ]
    if open_doors:
        what = "one more thing" if len(open_doors) == 1 else f"{len(open_doors)} more things"
        return not_yet(f"{what.capitalize()} can be taken away from {container.name}.", "; ".join(open_doors))
    return passed(f"{container.name} has no capability, no way to get one, no network, and nothing to write to.")


def _pid(container: Container) -> int:
    state = container.state
    if not state.running or not state.pid:
        raise Conflict(f"{container.name} is {state.status}", "start it with `-d`, and ask while it runs")
    return state.pid


def _capabilities(container: Container, machine: Machine) -> frozenset[str]:
    """What its first process has or could still get."""
    status = machine.status(_pid(container))
    return names.names_of(int(status["CapEff"], 16) | int(status["CapBnd"], 16))


def _is_read_only(options: str) -> bool:
    return "ro" in options.split(",")


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["no word"])[-1]
