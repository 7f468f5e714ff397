"""The process that `exec` is to run, from its flags and from the container's own process."""

from __future__ import annotations

from labcontainers.bundles.arguments import refuse
from labcontainers.bundles.creating import read_json
from labcontainers.oci.runtime_spec import PROCESS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from labcontainers.bundles.arguments import Parsed
    from labcontainers.bundles.states import State
    from labcontainers.oci.runtime_spec import Document


def process_of_exec(state: State, said: Parsed) -> Document:
    """What is to run: --process, or the container's own process changed by flags and arguments. Raises InvalidArgument and NotFound."""
    texts, switches = said.texts, said.switches
    if "--process" in texts:
        process: Document = PROCESS(read_json(texts["--process"]), "process")
    else:
        if len(said.rest) < 2:
            refuse("exec: the command is missing, and so is --process")
        own = state.values["config"]["process"]
        if own is None:
            refuse(f"container {state.id!r} was never made")
        process = {**own, "args": said.rest[1:], "env": [*own["env"], *said.many.get("--env", [])], "terminal": False, "consoleSize": None}
    if "--tty" in switches:
        process["terminal"] = True
    if "--cwd" in texts:
        process["cwd"] = texts["--cwd"]
    if "--user" in texts:
        process["user"] = {**process["user"], **_ids(texts["--user"])}
    if groups := said.many.get("--additional-gids"):
        process["user"] = {**process["user"], "additionalGids": [_id(text, "--additional-gids") for text in groups]}
    if added := [name if name.upper().startswith("CAP_") else f"CAP_{name}" for name in said.many.get("--cap", [])]:
        names = ("bounding", "effective", "permitted", "inheritable", "ambient")
        sets = process["capabilities"] or {name: [] for name in names}
        # as runc: what is added is not handed on to programs of other users
        process["capabilities"] = {name: [*sets[name], *(added if name in names[:3] else ())] for name in names}
    if "--no-new-privs" in switches:
        process["noNewPrivileges"] = True
    if "--apparmor" in texts:
        process["apparmorProfile"] = texts["--apparmor"]
    if texts.get("--process-label"):
        process["selinuxLabel"] = texts["--process-label"]
    if not process["cwd"].startswith("/"):
        refuse(f"--cwd: {process['cwd']!r} is not an absolute path")
    return process


def _ids(text: str) -> Document:
    """Plain decimal numbers alone, `UID` or `UID:GID` (CVE-2026-30892)."""
    user, separator, group = text.partition(":")
    return {"uid": _id(user, "--user"), **({"gid": _id(group, "--user")} if separator else {})}


def _id(text: str, flag: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 11 and int(text) < 2**32 - 1):
        refuse(f"{flag}: {text!r} is no id")
    return int(text)
