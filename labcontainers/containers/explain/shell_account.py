"""The last lines of a container's shell script: who its program runs as, and how it is executed; pure, it must not run anything.

The account is looked up in the image's own files by the engine's rules (runtime.account), since chroot(1) would ask the host's, too.
"""

from __future__ import annotations

import resource
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from labcontainers.containers.explain.shell_inside import ROOT, not_done
from labcontainers.kernel.capabilities import names_of

Arguments = Mapping[str, Any]
_quote = shlex.quote
# What chroot(1) needs when the bounding set is as it shall be already.
_FOR_CHROOT = frozenset(("SYS_CHROOT", "SETUID", "SETGID"))


class Account:
    """Gathered from several operations of a plan."""

    def __init__(self) -> None:
        self.user = ""
        self.groups: Sequence[str] = ()
        self.keep = 0
        self.directory = "/"
        self.no_new_privileges = False
        self.limits: list[Arguments] = []
        self.program: Arguments = {"arguments": [], "environment": []}

    def take(self, name: str, arguments: Arguments) -> None:
        """One operation that commands_of has no commands for."""
        if name == "account":
            self.user, self.groups = arguments["user"] or "0", arguments.get("groups", ())
        elif name == "bounding":
            self.keep = arguments["keep"]
        elif name == "chdir":
            self.directory = arguments["path"]
        elif name == "no_new_privs":
            self.no_new_privileges = True
        elif name == "rlimit":
            self.limits.append(arguments)
        elif name == "exec":
            self.program = arguments

    def commands(self) -> Iterable[str]:
        """The lines, of which the last one does not return."""
        yield from _look_up(self.user)
        yield from _groups_of(self.user, self.groups)
        yield from (f"prlimit --pid $$ --{_limit_name(a['kind'])}={_limit(a['soft'])}:{_limit(a['hard'])}" for a in self.limits)
        if self.program.get("init"):
            yield not_done("the engine's small init is number 1 of the container (--init): here it is the program itself")
        names = {entry.partition("=")[0] for entry in self.program["environment"]}
        environment = [*map(_quote, self.program["environment"]), *([] if "HOME" in names else ['HOME="$home"'])]
        # the container's PATH need not lead to these
        yield "setpriv=$(command -v setpriv) chroot=$(command -v chroot) capsh=$(command -v capsh || :)"
        by = self._by_setpriv() if names_of(self.keep) >= _FOR_CHROOT else self._by_capsh()
        *before, last = by
        yield from before
        yield " ".join(["exec env -i", *environment, last])

    def _by_setpriv(self) -> Iterable[str]:
        kept = ",".join(f"+{name.lower().removeprefix('cap_')}" for name in sorted(names_of(self.keep)))
        privileges = f"--bounding-set=-all,{kept} --inh-caps=-all" + (" --no-new-privs" if self.no_new_privileges else "")
        program = [_quote(word) for word in self.program["arguments"]]
        if self.directory != "/":
            yield "# the working directory is entered by the image's own shell, which it must have"
            program = ["/bin/sh", "-c", _quote(f'cd {_quote(self.directory)} && exec "$@"'), "sh", *program]
        who = '--userspec="+$uid:+$gid" --groups="$groups"'
        yield " ".join([f'"$setpriv" {privileges} "$chroot" {who} "{ROOT}"', *program])

    def _by_capsh(self) -> Iterable[str]:
        """Where chroot(1) would lack what it needs, one process does all of it; its program is the image's shell."""
        kept = " ".join(str(number) for number in range(64) if self.keep >> number & 1)
        yield "# chroot(1) needs capabilities that are not kept: capsh (libcap) drops them after it; the image must have a shell"
        yield "drop=; number=0"
        yield "while [ $number -le $(cat /proc/sys/kernel/cap_last_cap) ]; do"
        yield f'    case " {kept} " in *" $number "*) ;; *) drop="$drop${{drop:+,}}$number" ;; esac'
        yield "    number=$((number + 1))"
        yield "done"
        words = f'"$capsh" --chroot="{ROOT}" --drop="$drop" --inh= --noamb' + (" --no-new-privs" if self.no_new_privileges else "")
        words += ' --groups="$numbers" --gid="$gid" --uid="$uid" --shell=/bin/sh --'
        shell = _quote(f'cd {_quote(self.directory)} && exec "$@"')
        yield " ".join([words, "-c", shell, "sh", *map(_quote, self.program["arguments"])])


def _look_up(text: str) -> Iterable[str]:
    """The shell's variables name, uid, gid and home."""
    user, _, group = text.partition(":")
    user = user or "0"
    field, uid, root = ("$3", user, user == "0") if user.isdigit() else ("$1", "", False)
    yield "# who it runs as, by the image's own /etc/passwd and /etc/group"
    yield f"entry=$(awk -F: -v user={_quote(user)} '{field} == user {{ print; exit }}' \"{ROOT}\"/etc/passwd 2>/dev/null || :)"
    yield "IFS=: read -r name _ uid gid _ home _ <<ENTRY"
    yield "$entry"
    yield "ENTRY"
    if uid:
        yield f': "${{uid:={uid}}}" "${{gid:=0}}" "${{home:={"/root" if root else "/"}}}"'
    else:
        yield f'[ -n "$uid" ] || {{ echo {_quote(f"unable to find user {user}")} >&2; exit 125; }}'
    if group:
        yield f"gid={_group(group)}"


def _group(text: str) -> str:
    """A group's number, as an expression of the shell."""
    if text.isdigit():
        return text
    return f"$(awk -F: -v group={_quote(text)} '$1 == group {{ print $3; exit }}' \"{ROOT}\"/etc/group)"


def _groups_of(user: str, added: Sequence[str]) -> Iterable[str]:
    """The variables `numbers` and, for chroot(1), `groups`, whose numbers begin by + lest they are taken for names."""
    yield 'numbers=$({ echo "$gid"'
    yield from (f"    echo {_group(text)}" for text in added)
    if not user.partition(":")[2]:
        member = '{ split($4, members, ","); for (i in members) if (members[i] == name) print $3 }'
        yield f'    [ -z "$name" ] || awk -F: -v name="$name" {_quote(member)} "{ROOT}"/etc/group 2>/dev/null || :'
    yield "} | sort -nu | paste -sd, -)"
    yield "groups=+$(echo \"$numbers\" | sed 's/,/,+/g')"


def _limit(value: int) -> str:
    return "unlimited" if value in (-1, resource.RLIM_INFINITY) else str(value)


def _limit_name(kind: int) -> str:
    name = next(name for name in dir(resource) if name.startswith("RLIMIT_") and getattr(resource, name) == kind)
    return name.removeprefix("RLIMIT_").lower()
