"""`make bench`: one interleaved run of all engines that are installed, printed as Markdown.

It must not assert anything: machines are noisy, and only figures of one run may be compared.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks import kernels, report
from benchmarks.bootstraps import compare_bootstraps
from benchmarks.builds import compare_builds
from benchmarks.commits import compare_commits
from benchmarks.contexts import scans
from benchmarks.daemon import docker_environment
from benchmarks.dashboards import dashboards
from benchmarks.many import compare_many
from benchmarks.many_files import many_files
from benchmarks.notebook import with_many_images
from benchmarks.peers import Crun, Docker, Peer, present
from benchmarks.runtimes import compare_runtimes
from benchmarks.security import compare_rules
from benchmarks.transfers import compare_transfers
from labcontainers import Engine
from scripts.trees import remove_tree

REST_S = 0.05
HELD_BYTES = 4 * 10**9


def interleaved(verbs: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """`rounds` durations of each verb, one of each in turn, after one unmeasured round. A verb that fails is said and left out.

    Each starts after a rest, as the cells of a notebook do: the kernel keeps the lock of control groups fast for some milliseconds
    after it was used, and without the rest every verb would gain from the one before it.
    """
    samples: dict[str, list[float]] = {name: [] for name in verbs}
    failed: set[str] = set()
    for number in range(rounds + 1):
        for name, verb in verbs.items():
            if name in failed:
                continue
            time.sleep(REST_S)
            try:
                duration_s = verb()
            except Exception as error:
                print(f"{name}: {error}", file=sys.stderr)
                failed.add(name)
                continue
            if number:
                samples[name].append(duration_s)
    return {name: values for name, values in samples.items() if values}


def back_to_back(verbs: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """`rounds` durations of each verb without a rest, one verb after the other."""
    samples = {}
    for name, verb in verbs.items():
        verb()
        samples[name] = [verb() for _ in range(rounds)]
    return samples


def compare(engine: Engine, folder: Path, docker: dict[str, str] | None, rounds: int, *, many: bool) -> list[str]:
    """The table of run, exec and build against the peers, and a line on the memory beside each container."""
    peers = present(engine, folder, docker)
    names = [peer.name for peer in peers]
    try:
        runs = interleaved({peer.name: peer.run for peer in peers}, rounds)
        in_a_row = back_to_back({peer.name: peer.run for peer in peers if peer.name in runs}, rounds)
        started = {peer.name: pid for peer in peers if (pid := started_or_none(peer))}
        execs = interleaved({peer.name: peer.exec for peer in peers if peer.name in started}, rounds)
        builds = compare_builds(peers, folder / "build", max(3, rounds // 5), interleaved)
        execs_in_a_row = back_to_back({peer.name: peer.exec for peer in peers if peer.name in execs}, rounds)
        numbers = compare_many(engine, peers) if many else []
        docker_peer = next((peer for peer in peers if isinstance(peer, Docker)), None)
        numbers += compare_commits(engine, docker_peer) if many else []
        numbers += dashboards(engine) if many else []
        crun = next((peer for peer in peers if isinstance(peer, Crun)), None)
        numbers += compare_runtimes(crun, folder, rounds, interleaved) if crun is not None else []
        memory = [
            f"{name} {report.megabytes(kernels.private_dirty_bytes(kernels.parent_of(pid)))}"
            for name, pid in started.items()
            if kernels.parent_of(pid) > 1
        ]
    finally:
        for peer in peers:
            peer.close()
    return [
        report.heading(names),
        report.row("run `true`, no network, removed", runs, names),
        report.row("the same, one right after the other", in_a_row, names),
        report.row("exec `true`", execs, names),
        report.row("the same, one right after the other", execs_in_a_row, names),
        *(report.row(work, samples, names) for work, samples in builds.items()),
        "",
        f"- Private memory of the process that stays beside a container, after these execs: {', '.join(memory)}.",
        *numbers,
    ]


def started_or_none(peer: Peer) -> int | None:
    try:
        return peer.start()
    except RuntimeError as error:
        print(f"{peer.name}: {error}", file=sys.stderr)
        return None


def extension(rounds: int) -> str:
    """What `%load_ext` adds to a fresh kernel."""
    samples = [kernels.load_extension() for _ in range(rounds)]
    durations_s, sizes_bytes = [duration_s for duration_s, _ in samples], [size_bytes for _, size_bytes in samples]
    time_text, size_text = report.milliseconds(statistics.median(durations_s)), report.megabytes(statistics.median(sizes_bytes))
    return f"- `%load_ext labcontainers` adds {time_text} and {size_text} to a fresh kernel."


def base_images(folder: Path, rounds: int) -> str:
    """The making of both base images on a fresh store, from files that the machine has in memory after the first, unmeasured round."""
    samples = [make_bases(folder / f"bases-{number}") for number in range(rounds + 1)][1:]
    base, python = (report.milliseconds(statistics.median(durations_s)) for durations_s in zip(*samples, strict=True))
    both = report.milliseconds(statistics.median(map(sum, samples)))
    return f"- Making the base images on a fresh store: `lab/base` {base}, then `lab/python` {python}; both {both}."


def make_bases(place: Path) -> tuple[float, float]:
    """Seconds for `lab/base`, and for `lab/python` on top of it, in a store at `place`, which is removed."""
    durations_s = []
    try:
        with Engine(root=place / "s", run_root=place / "r") as engine:
            for name in ("lab/base", "lab/python"):
                started = time.perf_counter()
                engine.images.get(name)
                durations_s.append(time.perf_counter() - started)
    finally:
        remove_tree(place)
    return durations_s[0], durations_s[1]


def large_process(root: Path, run_root: Path, rounds: int) -> str:
    """Runs from a process that holds 4 GB (or half of what there is) against runs from a small one."""
    held_bytes = min(HELD_BYTES, kernels.available_bytes() // 2)
    holders = {"small": kernels.Holder(1, root, run_root), "large": kernels.Holder(held_bytes, root, run_root)}
    try:
        samples = interleaved({name: holder.run for name, holder in holders.items()}, rounds)
    finally:
        for holder in holders.values():
            holder.close()
    small, large = statistics.median(samples["small"]), statistics.median(samples["large"])
    sizes = f"{held_bytes / 1e9:.1f} GB {report.milliseconds(large)}, from a small one {report.milliseconds(small)}"
    return f"- Run `true` from a process that holds {sizes}: {large / small:.2f} ×."


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench BENCH=…", description=__doc__)
    parser.add_argument("--rounds", type=int, default=30, help="measured rounds of each verb (30)")
    parser.add_argument("--kernels", type=int, default=5, help="fresh kernels that load the extension, and fresh stores (5)")
    parser.add_argument("--quick", action="store_true", help="leave out what takes minutes: many containers, much output, many cycles")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="lab-bench-"))
    root, run_root = folder / "s", folder / "r"
    try:
        print(f"{report.machine()}. Medians of {arguments.rounds} rounds of one run.\n", flush=True)
        with docker_environment() as docker, Engine(root=root, run_root=run_root) as engine:
            print("\n".join(compare(engine, folder, docker, arguments.rounds, many=not arguments.quick)), flush=True)
            print("\n".join(compare_rules(engine, arguments.rounds, interleaved)), flush=True)
            if not arguments.quick:
                transfers = compare_transfers(engine, docker, folder, max(3, arguments.rounds // 5))
        print(large_process(root, run_root, arguments.rounds), flush=True)
        print(extension(arguments.kernels), flush=True)
        print(base_images(folder, arguments.kernels), flush=True)
        print(scans(folder, arguments.kernels), flush=True)
        print(with_many_images(folder), flush=True)
        if not arguments.quick:
            print(many_files(folder / "many-files"), flush=True)
            print(compare_bootstraps(folder / "bootstraps", 3), flush=True)
        if not arguments.quick:
            print("\n" + "\n".join(transfers), flush=True)
    finally:
        remove_tree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
