"""Trees of git that a build takes files from: which commit an address means, and the files of that commit; it must not know steps.

Source: docs.docker.com "Dockerfile reference", ADD, "Adding files from a Git repository"; "Build context", "Git repositories".
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from labcontainers.build.cancelling import Cancel
from labcontainers.build.remotes.addresses import GitAddress
from labcontainers.build.remotes.git_program import Git
from labcontainers.build.remotes.places import Places
from labcontainers.build.secrets import Confidential
from labcontainers.errors import Cancelled, Denied, DigestMismatch, InvalidArgument, LabError, NotFound
from labcontainers.kernel import scoped_paths

_HEX = frozenset("0123456789abcdef")
_SHA256_DIGITS = 64


@dataclass(frozen=True, slots=True)
class GitTree:
    """One tree: `identity` tells it from all others, `commit` which one it is of, and `checked_out()` gives the folder with its files,
    fetched when first asked.
    """

    identity: str
    commit: str
    checked_out: Callable[[], Path]


@dataclass(frozen=True, slots=True)
class _Found:
    """A commit, and the full name of the ref that points to it, if one was asked for; `tag` is the object of an annotated tag."""

    commit: str
    ref: str = ""
    tag: str = ""


class GitTrees:
    """The trees of one build: each is asked for and fetched at most once. Thread-safe."""

    def __init__(self, places: Places, confidential: Confidential, cancel: Cancel) -> None:
        self._places = places
        self._cancel = cancel
        self._confidential = confidential
        self._lock = threading.Lock()
        self._locks: dict[GitAddress, threading.Lock] = {}
        self._found: dict[GitAddress, _Found] = {}
        self._folders: dict[GitAddress, Path] = {}
        self._times_s: dict[GitAddress, int] = {}

    def tree(self, address: GitAddress) -> GitTree:
        """Which tree an address means now; nobody is asked for a commit that it tells whole.

        Raises NotFound, Denied, Unavailable, Failed, DigestMismatch for another commit than the address says, Unsupported without git.
        """
        commit = address.whole_commit
        if not commit:
            with self._lock_of(address):
                commit = self._resolved(address).commit
        keeps = bool(address.keep_git_dir)
        told = ["git", commit, address.subdir, address.submodules, address.remote if keeps else "", keeps]
        return GitTree(json.dumps(told), commit, partial(self._checked_out, address))

    def time_s(self, address: GitAddress) -> int:
        """When the commit was made, in seconds since 1970; raises as tree() does."""
        self._checked_out(address)
        return self._times_s[address]

    def _lock_of(self, address: GitAddress) -> threading.Lock:
        with self._lock:
            return self._locks.setdefault(address, threading.Lock())

    def _git(self, address: GitAddress) -> Git:
        if "default" not in self._confidential.sockets and not address.remote.startswith(("http://", "https://", "git://")):
            raise Denied(f"{address.shown}: no SSH agent is forwarded to the build", "give one by --ssh default")
        return Git(address, self._confidential, self._places.new(), self._cancel)

    def _resolved(self, address: GitAddress) -> _Found:
        if address not in self._found:
            if address.whole_commit and address.ref.lower() in ("", address.whole_commit):
                found = _Found(address.whole_commit)
            else:
                found = _choose(address, self._git(address).run("ls-remote", "--", address.remote, *_patterns(address.ref)))
            if address.commit and not found.commit.startswith(address.commit) and not found.tag.startswith(address.commit):
                problem = f"{address.shown}: the commit is {found.commit}, and not {address.commit}"
                raise DigestMismatch(problem, "is it the one that you want? then write it")
            self._found[address] = found
        return self._found[address]

    def _checked_out(self, address: GitAddress) -> Path:
        with self._lock_of(address):
            if address not in self._folders:
                self._folders[address] = self._fetch(address, self._resolved(address))
            return self._folders[address]

    def _fetch(self, address: GitAddress, found: _Found) -> Path:
        git, folder = self._git(address), self._places.new()
        run = partial(git.run, folder=folder)
        run("init", "--quiet", *(("--object-format=sha256",) if len(found.commit) == _SHA256_DIGITS else ()))
        run("remote", "add", "--", "origin", address.remote)
        _bring(run, found)
        run("checkout", "--quiet", "--detach", found.commit, "--")
        self._times_s[address] = int(run("show", "--no-patch", "--format=%ct", found.commit, "--"))
        if address.submodules and (folder / ".gitmodules").is_file():
            _bring_submodules(run)
        if address.keep_git_dir:
            _tidy(run, folder, submodules=address.submodules)
        else:
            _remove_git(folder)
        return _inside(folder, address)


def _patterns(ref: str) -> tuple[str, ...]:
    return (ref, f"{ref}^{{}}") if ref else ("HEAD",)


def _choose(address: GitAddress, told: str) -> _Found:
    """The commit of the wanted ref among those that ls-remote tells; of a branch and a tag of one name the branch, as git-checkout(1)."""
    refs = {name: value for value, _, name in (line.partition("\t") for line in told.splitlines()) if set(value) <= _HEX and value}
    wanted = address.ref
    bare = wanted.removeprefix("refs/")
    names = ("HEAD",) if not wanted else (f"refs/{bare}", f"refs/heads/{wanted}", f"refs/tags/{wanted}")
    for name in names:
        if name in refs:
            peeled = refs.get(f"{name}^{{}}", "")
            return _Found(peeled or refs[name], name, refs[name] if peeled else "")
    what = f"has no branch, tag or commit {wanted}" if wanted else "has no commit yet"
    raise NotFound(f"{address.shown}: the repository {what}", "name another, or a whole commit")


def _bring(run: Callable[..., str], found: _Found) -> None:
    """Fetch one commit: alone, where the server gives it so, else with all of its history."""
    shallow = ("fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", "origin")
    everything = (
        "fetch",
        "--quiet",
        "--no-recurse-submodules",
        "origin",
        "+refs/heads/*:refs/remotes/origin/*",
        "+refs/tags/*:refs/tags/*",
    )
    ways = [(*shallow, name) for name in (found.ref, found.commit) if name]
    problem: LabError | None = None
    for way in (*ways, everything):
        try:
            run(*way)
            run("cat-file", "-e", f"{found.commit}^{{commit}}")
            return
        except (Denied, Cancelled):
            raise
        except LabError as error:
            # dumb servers know no depth, and many give no commit by its digest
            problem = error
    assert problem is not None
    raise problem


def _bring_submodules(run: Callable[..., str]) -> None:
    whole = ("submodule", "--quiet", "update", "--init", "--recursive")
    try:
        run(*whole, "--depth=1")
    except (Denied, Cancelled):
        raise
    except LabError:
        run(*whole)


def _tidy(run: Callable[..., str], folder: Path, *, submodules: bool) -> None:
    """Take out of the repository what tells of this moment and this machine: times of files in indexes, and what was fetched when."""
    run("read-tree", "HEAD")
    if submodules:
        run("submodule", "--quiet", "foreach", "--recursive", "git read-tree HEAD")
    for place, folders, files in os.walk(folder / ".git"):
        # branches may have any name
        folders[:] = [name for name in folders if name not in ("refs", "objects")]
        for name in files:
            if name in ("FETCH_HEAD", "ORIG_HEAD"):
                os.unlink(os.path.join(place, name))
        for name in [name for name in folders if name in ("logs", "hooks")]:
            shutil.rmtree(os.path.join(place, name))
            folders.remove(name)


def _remove_git(folder: Path) -> None:
    """Remove the repository, and the file of each submodule that leads to its own; git has no files of this name in trees."""
    shutil.rmtree(folder / ".git")
    for place, _, files in os.walk(folder):
        if ".git" in files:
            os.unlink(os.path.join(place, ".git"))


def _inside(folder: Path, address: GitAddress) -> Path:
    """The wanted folder of the tree, links followed within the tree; raises NotFound, InvalidArgument."""
    root = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = folder / scoped_paths.resolve(root, address.subdir).lstrip("/")
    except OSError as error:
        raise InvalidArgument(f"{address.shown}: {address.subdir}: {(error.strerror or '').lower()}") from None
    finally:
        os.close(root)
    if not found.is_dir():
        raise NotFound(f"{address.shown}: the repository has no folder {address.subdir}", "name another folder")
    return found
