"""The trees of root's shared image store, shown to single users with their own subordinate ids, so that these need no copy of them.

It must not know images. What is shown is an idmapped mount (kernel.idmapped) at `for/UID`, which ends with the machine's run; beside it
`for/UID.json` says with which ids. Who has others does not use it.
"""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Callable, Sequence
from pathlib import Path

from labcontainers.errors import InvalidArgument, Unsupported
from labcontainers.images.shared.reading import LENT, TREES, Ids, SharedStore
from labcontainers.kernel import id_maps
from labcontainers.runtime.process import LauncherProcess

_FLAG = "--for-user"
_HOST = "host"


def lend(users: Sequence[str], shared: SharedStore, launcher: LauncherProcess, write: Callable[[Path, bytes], None]) -> None:
    """Show the trees of the store to these users, by name or number, until the machine ends; `write` makes a whole file that all may read.

    Raises InvalidArgument for no user, Unsupported for one without subordinate ids, or where the host cannot do it.
    """
    wanted = [_reader(user) for user in users]
    if not wanted:
        return
    if shared.ids.kind != _HOST or launcher.rootless:
        raise Unsupported(f"{_FLAG}: {shared.path} cannot be shown with other ids", "root alone can, of a store that root has made")
    trees, lent = shared.path / TREES, shared.path / LENT
    _make(lent)
    # those that come later are marked when they are made
    for name in os.listdir(trees):
        launcher.call("labcontainers.store.overlay_marks:mark_for_users", tree=str(trees / name / "fs"))
    for uid, ids in wanted:
        target = lent / str(uid)
        launcher.call("labcontainers.kernel.idmapped:hide", target=str(target))
        _make(target)
        launcher.call("labcontainers.kernel.idmapped:show", source=str(trees), target=str(target), uids=ids.uids, gids=ids.gids)
        write(lent / f"{uid}.json", json.dumps(ids.to_json()).encode())


def _make(folder: Path) -> None:
    """One that all may look into, whatever the mask of new files is."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)


def take_back(users: Sequence[str], shared: SharedStore, launcher: LauncherProcess) -> None:
    """Show the store to these users no more; their containers that run go on. Raises InvalidArgument for no user."""
    for user in users:
        target = shared.path / LENT / str(_user(user).pw_uid)
        (target.parent / f"{target.name}.json").unlink(missing_ok=True)
        if target.is_dir():
            launcher.call("labcontainers.kernel.idmapped:hide", target=str(target))
            target.rmdir()


def _user(text: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(int(text)) if text.isascii() and text.isdigit() else pwd.getpwnam(text)
    except (KeyError, OverflowError):
        raise InvalidArgument(f"{_FLAG}: no such user: {text!r}", "name one of /etc/passwd") from None


def _reader(text: str) -> tuple[int, Ids]:
    """A user's number and the ids that containers of it have."""
    user = _user(text)
    given = id_maps.ranges(euid=user.pw_uid) if user.pw_uid else []
    if not given:
        problem = f"{_FLAG}: {text} has no subordinate ids" if user.pw_uid else f"{_FLAG}: {text} reads the store as it is"
        raise Unsupported(problem, "give such ids by usermod --add-subuids and --add-subgids, or leave the user out")
    uids, gids = (((0, own, 1), (1, *row)) for own, row in zip((user.pw_uid, user.pw_gid), given, strict=True))
    return user.pw_uid, Ids("subordinate", uids, gids)
