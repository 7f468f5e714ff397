"""What an image or a stranger gives to the processes beside a container: passwd and group files, and messages on sockets."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
import tracemalloc
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from labcontainers.runtime import account
from labcontainers.runtime.handshake import Channel

LINES = st.lists(st.lists(st.sampled_from(["root", "ann", "0", "x", "", "1000", "-1", "²", "٣", "99999999999999999999", "a,b", "ann,ann"]),
                          max_size=8).map(":".join), max_size=6)  # fmt: skip
FILES = st.binary(max_size=120) | LINES.map(lambda lines: "\n".join(lines).encode())


@settings(max_examples=400, deadline=None)
@given(FILES, FILES, st.sampled_from(["ann", "root", "0", "1000", "ann:ann", "7:x", "ann:0"]))
@example(b"\xff:x:0:0::/:\n", b"\xff:x:0:\n", "ann")
@example(b"ann:x:1000:1000::/:\n", b"g:x:1:" + b"ann," * 300_000, "ann")
@example(b"ann:x:1:1::/:\n" * 80_000, b"", "nobody")
@example(b"a" * (3 << 20), b"", "a" * 20)
def test_a_file_of_any_bytes_names_accounts_or_none(passwd: bytes, group: bytes, user: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(f"{folder}/etc")
        Path(folder, "etc/passwd").write_bytes(passwd)
        Path(folder, "etc/group").write_bytes(group)
        tracemalloc.start()
        try:
            uid, gid, groups, home = account.resolve(user, folder)
        except account.UnknownAccount:
            return
        finally:
            most = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert most < 96 << 20
        assert all(0 <= number < 2**31 for number in (uid, gid, *groups))
        assert len(groups) <= 65537
        assert isinstance(home, str)
        if user in ("0", "1000"):
            assert uid == int(user)


MESSAGES = st.binary(max_size=200) | st.sampled_from([b"J", b"0", b"1", b"J{}"]).flatmap(
    lambda kind: st.binary(max_size=50).map(kind.__add__)
)


@settings(max_examples=400, deadline=None)
@given(MESSAGES)
@example(b"M")
@example(b"\x000")
@example(b"J" + b"[" * 3900)
@example(b'J{"a":NaN}')
@example(b"J" + b"9" * 4000)
@example(b"J\xff\xed\xa0\x80")
@example(b"\x000")
def test_a_message_of_any_bytes_is_understood_or_the_two_errors_that_a_shim_expects(data: bytes) -> None:
    theirs, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel = Channel(ours)
    try:
        theirs.send(data)
        theirs.close()
        message, fds = channel.receive()
    except (ValueError, IndexError):
        return
    finally:
        channel.close()
        theirs.close()
    assert fds == []
    assert message is None or isinstance(message, (dict, tuple)) or data[:1] == b"J"


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=9000))
def test_a_message_in_a_file_of_any_bytes_is_understood_or_refused(data: bytes) -> None:
    theirs, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel = Channel(ours)
    memory = os.memfd_create("test")
    try:
        os.write(memory, data)
        socket.send_fds(theirs, [b"M"], [memory])
        before = len(os.listdir("/proc/self/fd"))
        with contextlib.suppress(ValueError, IndexError):
            channel.receive()
        assert len(os.listdir("/proc/self/fd")) == before
    finally:
        os.close(memory)
        channel.close()
        theirs.close()
