"""What Docker's command line offers, as its own `--help` prints it; the page docs/compatibility.md has a row for each of these.

It must not know what this engine can. To take it anew: `docker --help`, `docker GROUP --help` and `docker GROUP COMMAND --help`.
"""

from __future__ import annotations

VERSION = "28.5.2"

# a flag with a short name is SHORT,LONG
RUN = tuple(
    tuple(names.split(","))
    for names in """
    --add-host --annotation -a,--attach --blkio-weight --blkio-weight-device --cap-add --cap-drop --cgroup-parent --cgroupns --cidfile
    --cpu-period --cpu-quota --cpu-rt-period --cpu-rt-runtime -c,--cpu-shares --cpus --cpuset-cpus --cpuset-mems -d,--detach
    --detach-keys --device --device-cgroup-rule --device-read-bps --device-read-iops --device-write-bps --device-write-iops
    --disable-content-trust --dns --dns-option --dns-search --domainname --entrypoint -e,--env --env-file --expose --gpus --group-add
    --health-cmd --health-interval --health-retries --health-start-interval --health-start-period --health-timeout --help -h,--hostname
    --init -i,--interactive --ip --ip6 --ipc --isolation --kernel-memory -l,--label --label-file --link --link-local-ip --log-driver
    --log-opt --mac-address -m,--memory --memory-reservation --memory-swap --memory-swappiness --mount --name --network --network-alias
    --no-healthcheck --oom-kill-disable --oom-score-adj --pid --pids-limit --platform --privileged -p,--publish -P,--publish-all --pull
    -q,--quiet --read-only --restart --rm --runtime --security-opt --shm-size --sig-proxy --stop-signal --stop-timeout --storage-opt
    --sysctl --tmpfs -t,--tty --ulimit --use-api-socket -u,--user --userns --uts -v,--volume --volume-driver --volumes-from -w,--workdir
    """.split()
)
# accepted though no help tells of them: other names, and those of Windows
RUN_HIDDEN = (
    ("--dns-opt",),
    ("--net",),
    ("--net-alias",),
    ("--cpu-count",),
    ("--cpu-percent",),
    ("--io-maxbandwidth",),
    ("--io-maxiops",),
)
ONLY_RUN = frozenset({"-d", "--detach", "--detach-keys", "--sig-proxy"})

# the commands of the groups, and the flags of those that this engine has too, besides run and create
GROUPS = {
    "container": """
        attach commit cp create diff exec export inspect kill logs ls pause port prune rename restart rm run start stats stop top
        unpause update wait
    """.split(),
    "image": """
        build history import inspect load ls prune pull push rm save tag
    """.split(),
    "volume": """
        create inspect ls prune rm
    """.split(),
    "network": """
        connect create disconnect inspect ls prune rm
    """.split(),
    "system": """
        df events info prune
    """.split(),
    "manifest": """
        annotate create inspect push rm
    """.split(),
    "builder": """
        build prune
    """.split(),
    "buildx": """
        bake build create debug dial-stdio du history imagetools inspect install ls prune rm stop uninstall use version
    """.split(),
}
COMMANDS = """
    run exec ps build bake pull push images login logout search version info builder buildx compose container context image manifest
    network plugin system trust volume swarm attach commit cp create diff events export history import inspect kill load logs pause port
    rename restart rm rmi save start stats stop tag top unpause update wait
""".split()

FLAGS = {
    "container attach": "--detach-keys --no-stdin --sig-proxy".split(),
    "container commit": "-a --author -c --change -m --message -p --pause".split(),
    "container cp": "-a --archive -L --follow-link -q --quiet".split(),
    "container diff": "".split(),
    "container exec": """
        -d --detach --detach-keys -e --env --env-file -i --interactive --privileged -t --tty -u --user -w --workdir
    """.split(),
    "container export": "-o --output".split(),
    "container inspect": "-f --format -s --size".split(),
    "container kill": "-s --signal".split(),
    "container logs": "--details -f --follow --since -n --tail -t --timestamps --until".split(),
    "container ls": "-a --all -f --filter --format -n --last -l --latest --no-trunc -q --quiet -s --size".split(),
    "container pause": "".split(),
    "container port": "".split(),
    "container prune": "--filter -f --force".split(),
    "container rename": "".split(),
    "container restart": "-s --signal -t --timeout".split(),
    "container rm": "-f --force -l --link -v --volumes".split(),
    "container start": "-a --attach --detach-keys -i --interactive".split(),
    "container stats": "-a --all --format --no-stream --no-trunc".split(),
    "container stop": "-s --signal -t --timeout".split(),
    "container top": "".split(),
    "container unpause": "".split(),
    "container update": """
        --blkio-weight --cpu-period --cpu-quota --cpu-rt-period --cpu-rt-runtime -c --cpu-shares --cpus --cpuset-cpus --cpuset-mems -m
        --memory --memory-reservation --memory-swap --pids-limit --restart
    """.split(),
    "container wait": "".split(),
    "image build": """
        --add-host --allow --annotation --attest --build-arg --build-context --builder --cache-from --cache-to --call --cgroup-parent
        --check -D --debug -f --file --iidfile --label --load --metadata-file --network --no-cache --no-cache-filter -o --output
        --platform --progress --provenance --pull --push -q --quiet --sbom --secret --shm-size --ssh -t --tag --target --ulimit
    """.split(),
    "image ls": "-a --all --digests -f --filter --format --no-trunc -q --quiet --tree".split(),
    "image rm": "-f --force --no-prune --platform".split(),
    "image history": "--format -H --human --no-trunc --platform -q --quiet".split(),
    "image prune": "-a --all --filter -f --force".split(),
    "network prune": "--filter -f --force".split(),
    "system df": "--format -v --verbose".split(),
    "builder prune": "-a --all --filter -f --force --keep-storage".split(),
    "buildx du": "--builder -D --debug --filter --format --verbose".split(),
    "buildx inspect": "--bootstrap --builder -D --debug".split(),
    "buildx ls": "--builder -D --debug --format --no-trunc".split(),
    "buildx prune": """
        -a --all --builder -D --debug --filter -f --force --keep-storage --max-used-space --min-free-space --reserved-space --verbose
    """.split(),
    "buildx version": "".split(),
    "system prune": "-a --all --filter -f --force --volumes".split(),
    "image tag": "".split(),
    "image pull": "-a --all-tags --disable-content-trust --platform -q --quiet".split(),
    "image push": "-a --all-tags --disable-content-trust --platform -q --quiet".split(),
    "image save": "-o --output --platform".split(),
    "image load": "-i --input --platform -q --quiet".split(),
    "image import": "-c --change -m --message --platform".split(),
    "login": "-p --password --password-stdin -u --username".split(),
    "logout": "".split(),
    "search": "-f --filter --format --limit --no-trunc".split(),
    "manifest annotate": "--arch --os --os-features --os-version --variant".split(),
    "manifest create": "-a --amend --insecure".split(),
    "manifest inspect": "--insecure -v --verbose".split(),
    "manifest push": "--insecure -p --purge".split(),
    "manifest rm": "".split(),
    "image inspect": "-f --format --platform".split(),
    "volume create": "-d --driver --label --name -o --opt".split(),
    "volume inspect": "-f --format".split(),
    "volume ls": "-f --filter --format -q --quiet".split(),
    "volume prune": "-a --all --filter -f --force".split(),
    "volume rm": "-f --force".split(),
    "events": "-f --filter --format --since --until".split(),
    "info": "-f --format".split(),
    "version": "-f --format".split(),
    "inspect": "-f --format -s --size --type".split(),
}
# commands and flags of other commands which are accepted though no help tells of them
COMMANDS_HIDDEN = ("help",)
HIDDEN = {"stop": ("--time",), "restart": ("--time",)}
