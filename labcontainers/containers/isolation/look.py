"""A look at one process as it is now, beside the process that looks: what is its own already; it must not read anything."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

from labcontainers.containers.isolation.process_facts import ProcessFacts, as_json, id_map_text
from labcontainers.markup import TABLE

# (name, value, whether it is its own)
LookRow = tuple[str, str, bool]


@dataclass(frozen=True, slots=True)
class Look:
    """The process `facts.pid`, which waits before `stage`, beside `host`, who looks; prints as tables."""

    stage: str
    facts: ProcessFacts
    host: ProcessFacts

    def groups(self) -> list[tuple[str, list[LookRow]]]:
        """Rows by title: namespaces, mounts, control group and network, identity."""
        facts, host = self.facts, self.host
        namespaces = []
        for kind, inode in facts.namespaces.items():
            own = inode is not None and inode != host.namespaces.get(kind)
            told = "not readable" if inode is None else f"{inode}{'' if own else ' (this machine’s)'}"
            namespaces.append((kind, told, own))
        mounts = []
        for mount in facts.mounts or ():
            own = not any(other.shows(mount) for other in host.mounts or ())
            mounts.append((mount.target, f"{mount.fstype}{', read-only' if mount.read_only else ''}", own))
        network = "not readable" if facts.addresses is None else ", ".join(facts.addresses) or "none"
        rest = [
            ("control group", facts.cgroup, facts.cgroup != host.cgroup),
            ("interfaces", ", ".join(facts.interfaces or ()) or "none", facts.interfaces != host.interfaces),
            ("addresses", network, facts.addresses != host.addresses),
            ("user ids", id_map_text(facts.uid_map), facts.uid_map != host.uid_map),
            ("capabilities", str(len(facts.effective)), facts.effective != host.effective),
            ("seccomp", facts.seccomp, facts.seccomp != host.seccomp),
            ("no new privileges", "yes" if facts.no_new_privileges else "no", facts.no_new_privileges != host.no_new_privileges),
        ]
        return [("Namespaces", namespaces), ("Mounts", mounts), ("Control group, network, identity", rest)]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {"stage": self.stage, **as_json(self.facts)}

    def __repr__(self) -> str:
        lines = [f"process {self.facts.pid} ({self.facts.command}) before the stage {self.stage}; * marks what is its own"]
        for title, rows in self.groups():
            width = max((len(name) for name, _, _ in rows), default=0)
            lines += [title, *(f"  {'*' if own else ' '} {name:<{width}}  {value}" for name, value, own in rows)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        body = ""
        for title, rows in self.groups():
            body += f'<tr><th colspan="2" style="text-align:left;padding:6px 0 1px;opacity:.7">{html.escape(title)}</th></tr>'
            for name, value, own in rows:
                strong = ";font-weight:bold" if own else ""
                body += f'<tr><td style="text-align:left;padding:1px 14px 1px 0">{html.escape(name)}</td>'
                body += f'<td style="text-align:left{strong}">{html.escape(value)}</td></tr>'
        head = f"process {self.facts.pid} before the stage {self.stage}; what is its own is bold"
        return f"<div>{html.escape(head)}</div>{TABLE}{body}</table>"
