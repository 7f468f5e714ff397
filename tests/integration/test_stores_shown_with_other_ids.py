"""Root's image store, shown to a user with subordinate ids: read where it is, with the owners that the images say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from labcontainers import Engine
from labcontainers.errors import InvalidArgument, Unsupported

# A user whom the machine does not have otherwise, in a mount namespace that ends with the script; all files are in memory, at a place
# to which others can come.
GUEST = """
set -e
top=/mnt
mount -t tmpfs -o mode=755 tmpfs "$top"
cd "$top"
mkdir repository interpreter context
mount --bind "$1" repository
mount --bind "$2" interpreter
echo "guest:x:54321:54321::$top:/bin/sh" | cat /etc/passwd - > passwd
echo guest:1500000000:65536 > ids
mount --bind passwd /etc/passwd
mount --bind ids /etc/subuid
mount --bind ids /etc/subgid
export PYTHONPATH="$top/repository" PYTHONDONTWRITEBYTECODE=1
unset LABCONTAINERS_IDS XDG_RUNTIME_DIR
root() { LABCONTAINERS_ROOT="$top/root" LABCONTAINERS_RUN="$top/root-run" interpreter/bin/python -m labcontainers "$@"; }
guest() {
    mkdir -p "$top/$1" && chown 54321:54321 "$top/$1"
    LABCONTAINERS_ROOT="$top/$1/s" LABCONTAINERS_RUN="$top/$1/r" LABCONTAINERS_IMAGE_STORES="$top/shared" HOME="$top/$1"
    export LABCONTAINERS_ROOT LABCONTAINERS_RUN LABCONTAINERS_IMAGE_STORES HOME
    shift
    setpriv --reuid 54321 --regid 54321 --clear-groups interpreter/bin/python -m labcontainers "$@"
}
cat > context/Dockerfile <<END
FROM lab/base
RUN mkdir /d && echo one > /d/x && echo seven > /seven && chown 7:8 /seven && chmod 640 /seven
RUN rm -rf /d && mkdir /d && echo two > /d/y
END
root build -q --network none -t team/tool:1 context > built
"""


def told(script: str) -> list[str]:
    """What a script tells, in which `root` and `guest STORE` are the command line of each."""
    words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", GUEST + script, "sh"]
    done = subprocess.run(
        [*words, str(Path(__file__).parents[2]), sys.prefix], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300
    )
    assert done.returncode == 0, done.stdout
    return done.stdout.splitlines()


@pytest.mark.needs("ids for others", "busybox")
def test_a_user_reads_roots_trees_where_they_are_with_the_owners_of_the_image() -> None:
    change = "ls /d; stat -c '%u:%g %a' /seven /bin; cat /seven; echo more >> /seven; rm /d/y; chown 9 /seven; stat -c %u /seven; ls /d"
    lines = told(
        f"""
        root image share --store shared --for-user guest team/tool:1
        guest first run --rm --network none team/tool:1 sh -c "{change}"
        readlink first/s/snapshots/*/fs | sed "s,$top/,,; s,[0-9a-f]\\{{64\\}},CHAIN,"
        guest first doctor | grep -o "read where they are.*"
        echo RUN rm -rf /bin/vi >> context/Dockerfile
        root build -q --network none -t later context > built
        root image share --store shared later
        guest first run --rm --network none later ls /d
        guest first image verify team/tool:1 | grep -q "all as their digests say" && echo clean
        """,
    )
    assert lines == [
        "Shared: team/tool:1", "Shown to guest", "y", "7:8 640", "0:0 755", "seven", "9", *["shared/for/54321/CHAIN/fs"] * 3,
        "read where they are, shown with your ids", "Shared: later:latest", "y", "clean",
    ]  # fmt: skip


@pytest.mark.needs("ids for others", "busybox")
def test_where_it_is_not_shown_a_user_has_what_is_in_it_unpacked() -> None:
    lines = told(
        """
        root image share --store shared team/tool:1
        guest first doctor | grep -o "fix: .* --for-user .*"
        root image share --store shared --for-user 54321
        root image share --store shared --for-user guest,54321
        grep -c "$top/shared/for/54321 " /proc/self/mounts
        guest first run --rm --network none team/tool:1 cat /d/y
        root image share --store shared --remove --for-user guest
        guest first run --rm --network none team/tool:1 cat /d/y 2>&1 || true
        ls shared/for
        grep -c "$top/shared/for/54321 " /proc/self/mounts || true
        guest second run --rm --network none team/tool:1 cat /d/y
        readlink second/s/snapshots/*/fs || echo unpacked
        LABCONTAINERS_IMAGE_STORES=/mnt/shared root doctor | grep -o "can be shown.*"
        root image share --store shared --for-user nobody 2>&1 || true
        """,
    )
    assert lines == [
        "Shared: team/tool:1", "fix: sudo labcontainers image share --store /mnt/shared --for-user 54321", "Shown to 54321",
        "Shown to guest", "Shown to 54321", "1", "two", "No longer shown to guest", "two", "0", "two", "unpacked",
        "can be shown to users with their own ids",
        "labcontainers: --for-user: nobody has no subordinate ids (give such ids by usermod --add-subuids and --add-subgids, or leave the "
        "user out)",
    ]  # fmt: skip


@pytest.mark.needs("busybox")
@pytest.mark.parametrize(
    ("user", "kind", "message"), [("no-such-user", InvalidArgument, "no such user"), ("0", Unsupported, "--for-user: 0")]
)
def test_who_cannot_read_it_with_own_ids_is_told(engine: Engine, place: Path, user: str, kind: type[Exception], message: str) -> None:
    engine.images.get("lab/base")
    with pytest.raises(kind, match=message):
        engine.images.share("lab/base", place / "shared", users=user)


@pytest.mark.needs("ordinary user", "a name", "busybox")
def test_a_store_of_an_ordinary_user_is_not_shown_to_others(engine: Engine, place: Path) -> None:
    engine.images.get("lab/base")
    with pytest.raises(Unsupported, match=r"subordinate ids|other ids"):
        engine.images.share("lab/base", place / "shared", users=str(os.geteuid()))
