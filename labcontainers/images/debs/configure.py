"""The last layer of an image of packages: what their maintainer scripts do, run inside the image by whoever can run a process there.

It must not know how. Source: Debian Policy 6.5, "Summary of ways maintainer scripts are called"; dpkg(1), --configure; invoke-rc.d(8).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from labcontainers.errors import StepFailed, Unsupported
from labcontainers.store.layout import Store
from labcontainers.store.snapshots import Layer, TreeWorker

# (lower paths, top first; scratch directory; arguments; environment) -> exit code and the end of what it wrote
Runner = Callable[[tuple[str, ...], Path, tuple[str, ...], tuple[str, ...]], tuple[int, str]]

_ENVIRONMENT = (
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "DEBIAN_FRONTEND=noninteractive",
    "DEBCONF_NONINTERACTIVE_SEEN=true",
    "LC_ALL=C.UTF-8",
    "HOME=/root",
    "SHELL=/bin/sh",
    # no order of a hash table by chance in what programs write
    "PERL_HASH_SEED=0",
    "PERL_PERTURB_KEYS=0",
    "PYTHONHASHSEED=0",
)
# policy-rc.d says that no service may be started. dpkg --configure runs no preinst, since it did not unpack; so we do.
_SCRIPT = """set -e
policy=/usr/sbin/policy-rc.d
test -e $policy || { printf '#!/bin/sh\\nexit 101\\n' > $policy; chmod 755 $policy; ours=$policy; }
export DPKG_MAINTSCRIPT_NAME=preinst DPKG_ROOT= DPKG_ADMINDIR=/var/lib/dpkg
for name in "$@"; do
  for script in /var/lib/dpkg/info/"$name".preinst /var/lib/dpkg/info/"$name":*.preinst; do
    if test -x "$script"; then
      DPKG_MAINTSCRIPT_PACKAGE="$name" DPKG_MAINTSCRIPT_ARCH=$(cat /var/lib/dpkg/arch) "$script" install
    fi
  done
done
unset DPKG_MAINTSCRIPT_NAME
/usr/bin/dpkg --configure --pending --force-confold --force-confdef
test -z "$ours" || rm "$ours"
"""


def configure(store: Store, layers: Sequence[Layer], names: Sequence[str], run: Runner, worker: TreeWorker, epoch_s: int) -> Layer:
    """The layer of what the maintainer scripts of these packages change, with no time later than `epoch_s` (Unix time) in it.

    Raises StepFailed, and Unsupported for an image without dpkg.
    """
    if "dpkg" not in names:
        raise Unsupported("--configure: the image has no dpkg to run maintainer scripts by", "add dpkg to --packages")
    below = [layer.diff_id for layer in layers]
    scratch = store.snapshots.new_tree(below)
    try:
        arguments = ("/bin/sh", "-c", _SCRIPT, "bootstrap", *names)
        environment = (*_ENVIRONMENT, f"SOURCE_DATE_EPOCH={epoch_s}")
        code, output = run(store.snapshots.lower_paths(below), scratch, arguments, environment)
        if code:
            last = [line.strip() for line in output.splitlines() if line.strip()][-1:]
            hint = f"it said: {last[0][:200]}" if last else "it said nothing"
            raise StepFailed("bootstrap --configure", code, output, hint)
        worker.call("labcontainers.images.debs.repeatable:make_repeatable", target=str(scratch / "fs"), epoch_s=epoch_s)
        return store.snapshots.commit(scratch, below)
    except BaseException:
        store.snapshots.discard(scratch)
        raise
