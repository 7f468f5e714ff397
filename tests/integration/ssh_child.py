"""What a test of addresses such as git@HOST:PATH runs in a network namespace of its own, in which port 22 is free: a server and builds."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import sys
from pathlib import Path

from labcontainers import Engine
from labcontainers.build.result import Build
from tests.fakes.git_site import GitSite
from tests.fakes.ssh_site import SSH_PORT, ssh_site

# netdevice(7)
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1


def main(folder: Path) -> None:
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", _IFF_UP))
    site = GitSite(folder / "site")
    site.make("r.git")
    site.commit("r.git", {"Dockerfile": "FROM scratch\nCOPY f /\n", "f": "by ssh"}, tag="v1")
    context = folder / "context"
    context.mkdir()
    with ssh_site(folder / "ssh", SSH_PORT) as ssh, Engine(folder / "store", folder / "run") as engine:
        os.environ["HOME"] = str(ssh.home())
        url = f"{ssh.user}@127.0.0.1:{site.root / 'bare/r.git'}"

        def told(build: Build) -> str:
            top = Path(engine.store.snapshots.lower_paths(build.image.diff_ids)[0])
            return ",".join(f"{path.relative_to(top)}={path.read_text()}" for path in sorted(top.rglob("f")))

        agent = f"default={ssh.agent}"
        text = f"FROM scratch\nADD {url} /r/\n"
        print(told(engine.images.build(context, dockerfile_text=text, ssh=agent)))
        print(engine.images.build(context, dockerfile_text=text, ssh=agent).steps[-1].cached)
        print(told(engine.images.build(f"{url}#v1", ssh=agent)))
        text = "FROM scratch\nCOPY --from=r f /n/f\n"
        print(told(engine.images.build(context, dockerfile_text=text, build_contexts={"r": url}, ssh=agent)))


main(Path(sys.argv[1]))
