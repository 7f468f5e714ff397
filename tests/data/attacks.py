"""Known attacks on container engines and those who build and fetch images, with what holds against each here and its tests.

docs/security.md shows them. The numbers are of the weaknesses of other engines that were published; One that does not apply says why.
Sources: the advisories of the named projects, and the National Vulnerability Database.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack. `tests` are FILE::TEST below tests/, with the class between them; `applies` is False for one that is not ours."""

    name: str
    what: str
    holds: str
    tests: tuple[str, ...]
    applies: bool = True


_IMAGES = "security/test_hostile_images.py"
_CONFINED = "security/test_confinement.py"
_SHARING = "security/test_hostile_sharing.py"
_TERMINALS = "security/test_hostile_terminals.py"
_COPY = "security/test_copy_attacks.py"
_VOLUMES = "security/test_hostile_volumes.py"
_LAYERS = "security/test_hostile_layers.py"
_ARCHIVES = "security/test_hostile_archives.py"
_BUILDS = "security/test_hostile_builds.py"
_MOUNTS = "security/test_hostile_build_mounts.py"
_REGISTRIES = "security/test_hostile_registries.py"
_CACHES = "security/test_poisoned_caches.py"
_SOURCES = "security/test_hostile_sources.py"
_SHARED = "security/test_hostile_shared_stores.py"
_KERNEL = "security/test_kernel_facing.py"
_RACES = "security/test_races_at_start.py"
_CONFIGS = "security/test_hostile_configs.py"
_TOOLS = "security/test_hostile_tools.py"
_CLIENT = "unit/registry/test_registry_client.py"

RUNNING: tuple[Attack, ...] = (
    Attack(
        "runc CVE-2019-5736",
        "the image's program is `#!/proc/self/exe`, and root of the container writes to the engine's interpreter when that enters",
        "everything that enters a container runs from a sealed copy of the interpreter in memory",
        (
            f"{_IMAGES}::test_interpreter_of_the_engine_cannot_be_reached_through_proc_self_exe",
            f"{_IMAGES}::test_launcher_and_shims_run_from_a_sealed_copy",
        ),
    ),
    Attack(
        "runc CVE-2024-21626",
        "the working directory is /proc/self/fd/N, a descriptor of the host's that was left open",
        "all descriptors are closed before the working directory is entered, and one outside the root is refused",
        (
            f"{_IMAGES}::test_working_directory_behind_a_descriptor_is_refused_also_from_the_image_and_for_exec",
            f"{_IMAGES}::test_workload_and_exec_hold_three_descriptors",
        ),
    ),
    Attack(
        "runc CVE-2025-31133",
        "/dev/null of the image is a link to a file of the kernel, which is then mounted where a path should be masked",
        "/dev is always a file system of the engine's own, and what masks is opened before anything of the image",
        (
            f"{_IMAGES}::test_devices_of_an_image_are_never_used",
            f"{_CONFINED}::test_volume_over_dev_cannot_pass_another_file_off_as_the_null_device",
            f"{_RACES}::test_folders_that_are_swapped_while_others_start_lead_no_mask_and_no_device_astray",
        ),
    ),
    Attack(
        "runc CVE-2025-52565",
        "/dev/pts/N or /dev/console is a link, and the console is mounted on what it leads to",
        "the terminal is made in the container's own devpts and mounted by its descriptor",
        (
            f"{_TERMINALS}::test_image_cannot_lead_the_terminal_or_the_console_astray",
            f"{_TERMINALS}::test_exec_uses_nothing_but_the_true_multiplexer",
        ),
    ),
    Attack(
        "runc CVE-2019-19921, CVE-2025-52881",
        "/proc is a link or a volume with made-up files, so that labels and parameters are written elsewhere",
        "nothing is mounted over /proc, a link in its place is refused, and labels go to a descriptor that is known to be procfs",
        (
            f"{_IMAGES}::test_image_that_has_a_link_where_the_kernels_file_systems_belong_is_refused",
            f"{_CONFINED}::test_nothing_can_be_mounted_over_proc",
            f"{_SHARING}::test_a_profile_is_not_written_to_what_covers_proc",
        ),
    ),
    Attack(
        "runc CVE-2026-41579",
        "/dev of the image leads out of the root, and devices are made there",
        "the way to /dev is walked without following links",
        (
            f"{_IMAGES}::test_image_that_has_a_link_where_the_kernels_file_systems_belong_is_refused",
            f"{_TERMINALS}::test_image_whose_dev_is_a_link_is_refused",
            f"{_SHARING}::test_a_device_is_not_put_where_a_link_of_the_container_leads_on_the_host",
            f"{_SHARING}::test_a_device_is_not_put_through_a_link_of_an_image",
        ),
    ),
    Attack(
        "runc CVE-2021-30465",
        "one container turns folders of a shared volume into links while another one starts with a mount below them",
        "each mount point is opened below the new root by openat2(2) and mounted on by its descriptor",
        (
            f"{_CONFINED}::test_volume_whose_folders_turn_into_links_while_another_container_starts_leads_nowhere",
            f"{_VOLUMES}::test_a_mount_below_a_shared_volume_that_turns_into_a_link_leads_nowhere",
        ),
    ),
    Attack(
        "runc CVE-2023-27561, CVE-2023-28642",
        "/proc or /sys of the root is a link, or a volume covers /proc, so that nothing is masked",
        "both are refused before anything starts",
        (
            f"{_IMAGES}::test_image_that_has_a_link_where_the_kernels_file_systems_belong_is_refused",
            f"{_IMAGES}::test_image_that_has_a_file_where_the_kernels_file_systems_belong_is_refused",
            f"{_CONFINED}::test_nothing_can_be_mounted_over_proc",
            f"{_VOLUMES}::test_no_volume_covers_proc",
        ),
    ),
    Attack(
        "runc CVE-2024-45310",
        "a mount point is made through a link that appears at the right moment, which leaves an empty file or folder on the host",
        "mount points are made in a folder that is held by a descriptor below the root",
        (
            f"{_IMAGES}::test_folders_are_made_inside_the_root_however_the_image_bends_the_way",
            f"{_CONFINED}::test_volume_whose_folders_turn_into_links_while_another_container_starts_leads_nowhere",
            f"{_RACES}::test_folders_that_are_swapped_while_others_start_lead_no_mask_and_no_device_astray",
        ),
    ),
    Attack(
        "runc CVE-2023-25809",
        "without a namespace of control groups an ordinary user's container writes to those of the host",
        "each container has its own namespace of control groups, or none are to be seen",
        (f"{_CONFINED}::test_control_groups_are_the_containers_own_and_not_writable",),
    ),
    Attack(
        "runc CVE-2016-9962",
        "root of the container traces who joins by `exec`, and takes its descriptors of the host",
        "who joins has been made undumpable before, and holds nothing of the host when it is inside",
        (
            f"{_CONFINED}::test_joining_process_shows_nothing_of_the_host",
            f"{_KERNEL}::test_root_of_a_container_can_neither_trace_nor_read_who_joins_it",
            f"{_SHARING}::test_who_joins_a_pid_namespace_cannot_be_looked_into_before_it_is_confined",
        ),
    ),
    Attack(
        "runc CVE-2016-8867, CVE-2022-29162, moby CVE-2022-24769",
        "ambient or inheritable capabilities come to a user who should have none",
        "both sets are always empty, for `exec` too",
        (f"{_CONFINED}::test_nobody_inherits_capabilities_and_other_users_have_none",),
    ),
    Attack(
        "crun CVE-2026-30892, containerd CVE-2024-40635",
        "a user such as `1000:`, `0x0`, ` 1` or 4294967296 is taken for root",
        "a user is a whole number below 2³¹ or a name of the image, and anything else is refused",
        (
            f"{_IMAGES}::test_user_that_is_no_plain_number_or_name_never_becomes_root",
            f"{_IMAGES}::test_number_of_a_user_is_not_an_account_of_that_name",
            "unit/containers/test_fuzz_of_options.py::test_a_user_is_resolved_as_plain_rules_say_or_refused",
        ),
    ),
    Attack(
        "containerd CVE-2023-25173, moby CVE-2022-36109",
        "groups of the user are left out or added, and with them what they forbid or allow",
        "groups are exactly those of the image, the user's own among them",
        (f"{_IMAGES}::test_groups_of_the_user_are_exactly_those_of_the_image",),
    ),
    Attack(
        "containerd CVE-2021-41103",
        "another user of the machine runs a set-user-id program out of a layer",
        "all folders of the store are 0700",
        (
            f"{_CONFINED}::test_state_is_closed_to_every_other_user",
            f"{_VOLUMES}::test_no_other_user_reads_a_volume",
        ),
    ),
    Attack(
        "containerd CVE-2020-15257",
        "a container on the host's network speaks with the shim by an abstract socket",
        "sockets are files in folders of the user, and ask who is there",
        (
            f"{_CONFINED}::test_no_abstract_socket_is_ours_and_the_hosts_network_shows_no_way_to_a_shim",
            f"{_CONFINED}::test_socket_of_a_shim_answers_its_own_user_alone",
        ),
    ),
    Attack(
        "the kernel's keyrings, which have no namespace",
        "a container reads or changes keys of its user, or of another container",
        "each container, and each `exec`, has a session keyring of its own, and keyctl(2) is refused by default",
        (
            f"{_KERNEL}::test_each_container_has_a_session_keyring_of_its_own_and_an_exec_has_another",
            f"{_CONFINED}::test_dangerous_system_calls_are_denied_and_new_ones_unknown",
        ),
    ),
    Attack(
        "parameters of the kernel",
        "a container writes user.*, core_pattern or sysrq-trigger",
        "/proc/sys is read-only, and only parameters of namespaces can be asked for",
        (
            f"{_KERNEL}::test_no_container_changes_how_many_namespaces_its_user_may_make",
            f"{_KERNEL}::test_no_parameter_of_the_whole_machine_can_be_asked_for",
            f"{_CONFINED}::test_kernels_files_are_masked_or_cannot_be_written",
        ),
    ),
    Attack(
        "system calls that escapes begin with",
        "unshare, mount, bpf, io_uring, keyctl, AF_ALG and AF_VSOCK and others, in any architecture's numbers",
        "the default filter refuses them, and what it does not know does not exist (ENOSYS)",
        (
            f"{_CONFINED}::test_dangerous_system_calls_are_denied_and_new_ones_unknown",
            "unit/kernel/test_seccomp_libseccomp.py::test_default_profile_answers_as_when_the_library_compiles_it",
        ),
    ),
    Attack(
        "CVE-2026-31431, by 32-bit programs",
        "socketcall(2) makes a socket of AF_ALG or AF_VSOCK, which it asks for behind a pointer, where no filter sees it",
        "the default filter lets nobody make sockets by socketcall(2); 32-bit programs have socket(2), whose family is looked at",
        (
            f"{_CONFINED}::test_a_32_bit_program_makes_no_socket_past_the_filter",
            "unit/kernel/test_seccomp_libseccomp.py::test_default_profile_answers_as_when_the_library_compiles_it",
        ),
    ),
    Attack(
        "what a config says: NUL bytes, megabytes, a terminal's words",
        "variables, a user or a folder of an image's config crash who starts it, or write to the terminal of whoever reads the error",
        "what cannot be given to a program is refused in one short line, and no error carries a character that is not seen",
        (
            f"{_CONFIGS}::test_a_config_that_no_program_can_be_started_with_is_refused_in_one_plain_short_line",
            f"{_CONFIGS}::test_errors_never_carry_what_moves_a_cursor_or_ends_a_line",
        ),
    ),
    Attack(
        "containerd CVE-2026-53488",
        "labels of an image become settings or commands of who runs it",
        "labels are told, and nothing reads them but filters of the user's",
        (f"{_CONFIGS}::test_labels_of_an_image_are_words_and_set_nothing",),
    ),
    Attack(
        "podman CVE-2026-94603, containerd CVE-2026-53492",
        "annotations say that an image is a checkpoint, which brings its own settings in place of those of whoever runs it",
        "annotations of an image set nothing, and checkpoints are of files alone",
        (f"{_ARCHIVES}::test_annotations_of_an_image_change_nothing_of_how_it_runs",),
    ),
    Attack(
        "podman CVE-2022-1227",
        "`top` runs a program of the container with the rights of who asks",
        "whoever looks into a container reads the kernel's files, and runs nothing in there",
        (f"{_CONFIGS}::test_no_program_of_a_container_is_run_to_look_into_it",),
    ),
    Attack(
        "podman CVE-2021-20199",
        "who comes by a published port seems to come from the container's own loopback, which servers trust",
        "connections are made to the container's address, from that address",
        (f"{_CONFIGS}::test_who_comes_by_a_published_port_is_no_neighbour_on_the_loopback",),
    ),
    Attack(
        "podman CVE-2026-57231",
        "a variable of the image's config has a name alone, or is a star, and takes the values of whoever runs it",
        "variables come from the image and from the user's own flags, and a name without a value has none",
        (f"{_TOOLS}::test_a_variable_of_an_image_without_a_value_takes_none_of_the_hosts",),
    ),
    Attack(
        "TIOCSTI, and terminals that are handed in",
        "a program types commands at the terminal of whoever started it",
        "a container has a terminal of its own, and holds no descriptor of the user's",
        (
            f"{_TERMINALS}::test_program_cannot_type_at_the_users_terminal",
            f"{_TERMINALS}::test_program_holds_no_descriptor_of_the_users_terminal",
            f"{_TERMINALS}::test_terminal_of_one_container_is_not_that_of_another",
        ),
    ),
    Attack(
        "chroot(2) twice",
        "root of the container climbs out of a root that is only chroot's",
        "the root is changed by pivot_root(2), and the old one is unmounted",
        (f"{_CONFINED}::test_chroot_inside_does_not_lead_out",),
    ),
)

FILES: tuple[Attack, ...] = (
    Attack(
        "docker cp CVE-2018-15664",
        "a folder is swapped for a link while `cp` walks through it",
        "the container is held still, and its tree is walked by descriptors below its root",
        (
            f"{_COPY}::test_directory_that_is_swapped_for_a_link_never_leads_to_the_host",
            f"{_COPY}::test_tree_that_changes_while_it_is_read_shows_nothing_of_the_host",
        ),
    ),
    Attack(
        "docker cp CVE-2019-14271",
        "who works on a container's files loads libraries, locales or modules of the container",
        "what enters a root has loaded all that it needs, and opens nothing by name there",
        (
            f"{_COPY}::test_libraries_and_modules_of_a_container_are_never_loaded",
            f"{_IMAGES}::test_code_of_the_image_is_never_loaded_by_the_engines_own_processes",
            f"{_KERNEL}::test_no_library_locale_or_module_of_a_container_is_opened_by_who_enters_it",
        ),
    ),
    Attack(
        "docker cp CVE-2026-17106",
        "a folder becomes a link while it is read, so that the archive has a link and files below it, which are written where that leads",
        "a tree is walked by descriptors, and what comes out is written below a descriptor of the target, without following links",
        (
            f"{_COPY}::test_tree_that_changes_while_it_is_read_shows_nothing_of_the_host",
            f"{_COPY}::test_links_of_an_archive_lead_nothing_out",
            f"{_COPY}::test_links_in_the_destination_are_replaced_and_not_followed",
        ),
    ),
    Attack(
        "moby CVE-2026-41567",
        "what is copied into a container is compressed, and xz or unpigz of the container unpacks it with all rights of who copies",
        "archives are unpacked by the engine itself, and no program of a container or an image is run for that",
        (
            f"{_TOOLS}::test_no_program_of_a_container_unpacks_what_is_copied_into_it",
            f"{_TOOLS}::test_no_program_of_an_image_unpacks_what_a_build_adds_to_it",
        ),
    ),
    Attack(
        "moby CVE-2026-41568, CVE-2026-42306",
        "who copies mounts the container's volumes anew, and the way to one becomes a link at that moment",
        "a running container's own mounts are used; else each mount point is opened below the root and mounted on by its descriptor",
        (
            f"{_VOLUMES}::test_copying_to_a_volume_below_a_volume_that_turns_into_a_link_leads_nowhere",
            f"{_COPY}::test_volume_behind_a_link_of_the_image_is_mounted_inside",
        ),
    ),
    Attack(
        "podman CVE-2023-0778",
        "a file of a volume turns into a link while the volume is exported",
        "there is no export of volumes; what `cp` takes of one is opened below the root, also while other containers change it",
        (f"{_VOLUMES}::test_files_of_a_shared_volume_that_turn_into_links_show_nothing_of_the_host",),
    ),
    Attack(
        "ld.so.preload of an image",
        "the image's /etc/ld.so.preload names a library, which every tool that is run in its root loads",
        "no program of the host is run in a root: what enters is the engine's own interpreter, which is loaded before",
        (
            f"{_TOOLS}::test_what_an_image_has_in_ld_so_preload_is_read_by_no_tool_of_the_engine",
            f"{_TOOLS}::test_nor_by_the_oci_runtime_command",
        ),
    ),
    Attack(
        "containerd CVE-2022-23648",
        "a volume of the image's config is ../../etc, or a link to the host's root, and its content is copied out",
        "a volume begins with what lies below the image's root, and links are copied as links",
        (
            f"{_IMAGES}::test_volumes_of_an_images_config_reach_no_file_of_the_host",
            f"{_VOLUMES}::test_nothing_of_the_host_is_copied_into_a_volume",
            f"{_VOLUMES}::test_a_link_of_the_image_leads_the_copy_to_the_images_own_files",
        ),
    ),
    Attack(
        "podman CVE-2026-55686",
        "the working directory leads through a link of the image, and is made and given away on the host",
        "it is made below the container's root",
        (f"{_IMAGES}::test_folders_are_made_inside_the_root_however_the_image_bends_the_way",),
    ),
    Attack(
        "buildah CVE-2024-9676, containerd CVE-2026-47262",
        "/etc/passwd or /etc/group of the image is a link to the host, a pipe, or enormous, with groups without end",
        "both are opened below the root without waiting, and a bounded part of a regular file is read",
        (
            f"{_IMAGES}::test_passwd_of_an_image_is_read_without_harm",
            f"{_CONFIGS}::test_groups_without_end_take_no_memory_and_no_time_of_the_machine",
            "unit/runtime/test_fuzz_of_accounts.py::test_a_file_of_any_bytes_names_accounts_or_none",
        ),
    ),
)

LAYERS: tuple[Attack, ...] = (
    Attack(
        "containerd CVE-2021-32760, buildah's hard links",
        "an entry of a layer is a link to a file of the host, whose mode or owner is then changed",
        "each entry is made in a folder that is held by a descriptor below the tree",
        (
            f"{_LAYERS}::test_nothing_outside_the_tree_is_touched",
            f"{_LAYERS}::test_nor_by_a_layer_that_lies_on_another",
            f"{_IMAGES}::test_links_of_a_layer_lead_writes_into_the_root_alone",
        ),
    ),
    Attack(
        "archives of all kinds (podman CVE-2025-11395, Python CVE-2007-4559, CVE-2024-12718, CVE-2025-4138, CVE-2025-4330, CVE-2025-4517, "
        "CVE-2025-8194)",
        "names with .., absolute names, links and hard links out of the tree, devices, set-user-id bits, whiteouts, pax and sparse headers",
        "archives are read by a reader of the engine's own; Python's extractall and unpack_archive are not used anywhere",
        (
            f"{_LAYERS}::test_nothing_outside_the_tree_is_touched",
            f"{_LAYERS}::test_random_layers_are_unpacked_or_refused_and_never_leave_their_tree",
            f"{_COPY}::test_names_and_hard_links_of_an_archive_do_not_lead_out",
            f"{_COPY}::test_devices_setuid_bits_and_capabilities_do_not_come_out",
            f"{_BUILDS}::test_archive_unpacks_into_the_image_alone",
            "unit/house/test_house_rules.py::TestEveryModule::test_unpacks_no_archive_by_the_standard_library",
            f"{_SOURCES}::TestArchivesAsContexts::test_a_name_that_leads_out_is_refused",
        ),
    ),
    Attack(
        "bombs of compression",
        "a small layer inflates a thousandfold, or a window takes all memory",
        "content is inflated in pieces of 1 MiB, counted against the room on the disk, and windows are bounded",
        (
            f"{_REGISTRIES}::test_a_layer_that_inflates_a_thousandfold_takes_no_memory",
            "unit/store/test_compression.py::TestInflating::test_content_beyond_what_is_allowed_is_refused_as_it_comes",
            "unit/store/test_compression.py::TestInflating::test_a_zstd_window_beyond_128_mib_is_refused",
        ),
    ),
    Attack(
        "sizes that are not so",
        "a layer, an entry or a sparse file is said to be larger, smaller or negative",
        "sizes are compared with what comes",
        (
            f"{_REGISTRIES}::test_a_layer_that_claims_what_is_not_so_is_refused",
            f"{_REGISTRIES}::test_a_layer_that_is_larger_or_smaller_than_its_descriptor_is_refused",
            f"{_LAYERS}::test_a_file_that_is_larger_than_any_file_system_is_refused",
            f"{_ARCHIVES}::test_a_hostile_archive_is_refused_and_nothing_of_it_is_kept",
        ),
    ),
    Attack(
        "a million entries, ten thousand layers",
        "an image of very many small things takes all memory",
        "entries pass by one at a time and are counted; an image has at most 500 layers, as an overlay has",
        (
            f"{_REGISTRIES}::test_a_layer_of_a_million_tiny_files_is_counted_as_it_comes",
            f"{_REGISTRIES}::test_a_layer_that_claims_what_is_not_so_is_refused",
            f"{_LAYERS}::test_a_layer_of_very_many_entries_takes_little_memory",
            f"{_ARCHIVES}::test_an_archive_of_ever_more_entries_is_given_up",
        ),
    ),
    Attack(
        "buildkit CVE-2026-93318",
        "an image says that its layers have the diff_ids of another one's, and these are used in its place from then on",
        "a layer is kept under the digest of what was unpacked, and refused if its config says another one",
        (
            f"{_ARCHIVES}::test_a_hostile_archive_is_refused_and_nothing_of_it_is_kept",
            f"{_CACHES}::TestPoisoned::test_other_bytes_under_the_layers_name_are_no_hit",
        ),
    ),
    Attack(
        "containerd CVE-2026-53493",
        "indexes name each other again and again, so that a few of them lead to more manifests than anybody can read",
        "of an archive 20000 steps are gone, eight indexes deep; of a registry's index one manifest is asked for",
        (f"{_ARCHIVES}::test_a_hostile_archive_is_refused_and_nothing_of_it_is_kept",),
    ),
    Attack(
        "names without end",
        "folders that are nested two thousand deep, names of 4096 bytes",
        "trees are walked by descriptors and without recursion",
        (
            f"{_LAYERS}::test_a_directory_deeper_than_any_path_is_made_and_removed",
            f"{_COPY}::test_very_deep_trees_are_copied_or_refused_and_removed",
        ),
    ),
)

REGISTRIES: tuple[Attack, ...] = (
    Attack(
        "containerd CVE-2020-15157",
        "a layer lies at an address elsewhere, or the registry redirects, and that host asks for the password",
        "credentials go to the registry alone; who was redirected to gets none, whatever it asks",
        (
            f"{_REGISTRIES}::test_a_layer_elsewhere_gets_no_credentials_of_the_registry",
            f"{_REGISTRIES}::test_a_redirect_to_another_host_gets_no_credentials_of_the_registry",
            "unit/registry/test_registry_auth.py::TestCredentialsGoNowhereElse::test_a_host_that_was_redirected_to_cannot_ask_for_a_password",
        ),
    ),
    Attack(
        "moby CVE-2026-92543",
        "the name of a registry has one address in a network that may do without TLS, and another one that is the attacker's",
        "a registry may do without TLS by its own name, or if all of its addresses, and who answers, are in networks that are named",
        (
            "unit/registry/test_registry_transport.py::test_a_registry_is_insecure_by_its_name_or_by_the_network_of_its_address",
            "unit/registry/test_registry_transport.py::test_who_answers_for_a_name_without_tls_must_be_in_the_network_too",
        ),
    ),
    Attack(
        "image-spec CVE-2021-41190",
        "one document is a manifest to one reader and an index to another",
        "what has the fields of both, or another type than it was sent as, is refused",
        (
            f"{_REGISTRIES}::test_a_document_of_two_kinds_is_refused",
            f"{_CLIENT}::test_a_manifest_that_is_not_what_it_should_be_is_refused",
            f"{_ARCHIVES}::test_a_hostile_archive_is_refused_and_nothing_of_it_is_kept",
        ),
    ),
    Attack(
        "documents that are too much",
        "a manifest or a config of 100 MB, or JSON that is nested without end",
        "documents are read up to 8 MiB and 64 levels",
        (
            f"{_REGISTRIES}::test_a_document_that_is_too_much_is_not_read",
            f"{_CLIENT}::test_a_manifest_of_100_megabytes_is_not_read",
        ),
    ),
    Attack(
        "a digest that is a path",
        "`sha256:../../x` gets into an address or the name of a file",
        "a digest is an algorithm and its digits, or it is refused",
        (
            f"{_REGISTRIES}::test_a_digest_that_is_a_path_gets_into_no_address_and_no_file",
            f"{_CLIENT}::test_what_is_no_name_gets_into_no_address",
        ),
    ),
    Attack(
        "slow loris",
        "the registry sends a byte now and then, for ever",
        "who sends too little in a window of time is left, and the download goes on from where it was",
        (
            f"{_CLIENT}::TestAServerThatStalls::test_is_left_though_a_byte_comes_now_and_then",
            f"{_CLIENT}::TestAServerThatStalls::test_that_says_nothing_at_all_is_left",
        ),
    ),
)

BUILDING: tuple[Attack, ...] = (
    Attack(
        "buildkit CVE-2024-23651",
        "two steps share a cache mount, and one replaces a path below it by a link while the other one mounts that",
        "a cache is mounted whole, and targets below it are opened by descriptors in the step's own root",
        (
            f"{_MOUNTS}::test_a_step_that_bends_a_shared_cache_shows_the_step_beside_it_nothing_of_the_host",
            f"{_MOUNTS}::test_a_path_below_a_cache_cannot_be_asked_for",
        ),
    ),
    Attack(
        "buildkit CVE-2024-23652",
        "a mount's target is replaced by a link, and what is cleaned up after the step is a file of the host",
        "empty mount points are looked for without following links, below the step's own tree",
        ("integration/test_run_mounts.py::TestWhatStays::test_a_link_in_the_place_of_a_mount_point_leads_nowhere",),
    ),
    Attack(
        "buildkit CVE-2024-23653, CVE-2026-33747, GHSA-7236-3392-c5c6",
        "a frontend that the Dockerfile names runs steps with all rights or without the filter, or writes outside of the store",
        "no frontend is fetched or run, and a step has more rights only by the user's own `--allow security.insecure`",
        (
            f"{_MOUNTS}::test_a_frontend_that_a_dockerfile_names_is_neither_fetched_nor_run",
            f"{_MOUNTS}::test_the_usual_first_line_asks_nobody",
            f"{_MOUNTS}::test_a_step_gets_more_rights_by_the_word_of_the_user_alone",
        ),
    ),
    Attack(
        "buildkit CVE-2026-15788",
        "a junction of NTFS in a cache on Windows leads a mount's `source` to a folder of the host",
        "there are no containers of Windows, and no path below a cache can be asked for",
        (f"{_MOUNTS}::test_a_path_below_a_cache_cannot_be_asked_for",),
        applies=False,
    ),
    Attack(
        "buildkit CVE-2026-15789",
        "who uploads a context calls it ../../x, and it is written there",
        "no context is uploaded: a folder is read where it is, an archive is unpacked into a new folder, and names become no paths",
        (
            f"{_SOURCES}::TestArchivesAsContexts::test_the_name_of_a_context_is_no_place",
            f"{_SOURCES}::TestArchivesAsContexts::test_a_name_that_leads_out_is_refused",
        ),
    ),
    Attack(
        "buildkit CVE-2026-15791",
        "a step that removes files removes those of the machine's own /tmp",
        "no step removes anything but below a descriptor of its own scratch tree",
        (f"{_BUILDS}::test_no_step_empties_the_folder_for_temporary_files_of_the_machine",),
    ),
    Attack(
        "buildkit CVE-2026-15792",
        "a frontend gives the server wrong arguments, and that ends with everybody's builds",
        "there is no server and no frontend: a build runs in its user's own process",
        (f"{_MOUNTS}::test_a_frontend_that_a_dockerfile_names_is_neither_fetched_nor_run",),
        applies=False,
    ),
    Attack(
        "buildkit CVE-2026-15793",
        "git makes a bundle of a repository whose names of branches are options or commands",
        "git is asked for no bundle, and for refs by their full names alone",
        (
            f"{_SOURCES}::TestRepositories::test_names_of_a_repository_are_no_options_and_no_commands",
            f"{_SOURCES}::TestRepositories::test_a_ref_is_no_option_and_no_command",
        ),
    ),
    Attack(
        "buildah CVE-2024-1753",
        "a step mounts a link of another image to /, and gets the host's root",
        "the source is looked up below the mounted root of that image",
        (f"{_MOUNTS}::test_a_mount_from_a_stage_by_its_link_to_the_root_shows_the_stage_and_not_the_host",),
    ),
    Attack(
        "buildah CVE-2024-9407",
        "bind-propagation with a comma or a colon adds options of mount(8)",
        "steps have no such word, and containers have the six",
        (
            f"{_MOUNTS}::test_no_mount_of_a_step_has_a_word_of_propagation",
            f"{_MOUNTS}::test_the_words_of_propagation_of_a_container_are_the_six",
        ),
    ),
    Attack(
        "buildah CVE-2024-9675",
        "the id of a cache is ../../x, and that folder of the host is mounted",
        "a cache lies under a digest of its id",
        (
            f"{_MOUNTS}::test_an_id_of_a_cache_leads_to_no_folder_of_the_host",
            "integration/test_run_mounts.py::TestCache::test_an_id_is_a_name_and_no_path",
        ),
    ),
    Attack(
        "buildah CVE-2024-11218",
        "stages are built at the same time, and one changes its tree while the other mounts it",
        "only the finished tree of a stage is mounted, and its processes have ended by then",
        (f"{_MOUNTS}::test_a_stage_is_mounted_as_it_was_at_its_end_whatever_it_left_running",),
    ),
    Attack(
        "moby CVE-2024-24557",
        "a poisoned image with the same history is taken for a step's result",
        "a step's key is a digest of the chain that it builds on, of its config and of all that it depends on",
        (
            f"{_CACHES}::TestPoisoned::test_a_layer_of_another_step_is_no_hit",
            f"{_CACHES}::TestPoisoned::test_other_bytes_under_the_layers_name_are_no_hit",
        ),
    ),
    Attack(
        "buildkit CVE-2026-33748",
        "the folder of a git address, `#ref:folder`, has .. in it or is a link of the repository out of it",
        "it is found below the tree that was checked out, and no link leads out of that",
        (f"{_SOURCES}::TestRepositories::test_a_folder_that_is_a_link_stays_in_the_tree",),
    ),
    Attack(
        "links in contexts, archives and submodules (podman CVE-2026-44517)",
        "COPY, ADD or a git submodule leads out of the context",
        "contexts are walked by descriptors, and git runs without hooks and without the user's configuration",
        (
            f"{_BUILDS}::test_copy_takes_nothing_from_outside_the_context",
            f"{_BUILDS}::test_links_of_the_context_lead_nowhere",
            f"{_BUILDS}::test_no_step_follows_a_link_of_the_image_to_the_host",
        ),
    ),
    Attack(
        "shared stores of images",
        "a folder that many users read has trees of somebody else, or links",
        "only what belongs to the store's owner, and to nobody who could change it meanwhile, is used",
        (
            f"{_SHARED}::test_a_tree_of_somebody_else_is_not_used",
            f"{_SHARED}::test_a_tree_that_is_a_link_is_not_used",
        ),
    ),
)

PYTHON: tuple[Attack, ...] = (
    Attack(
        "P1: the interpreter is out of reach",
        "the launcher is the host's own python, which root of a container could write to",
        "the launcher runs from a memory file with all seals, isolated (`-I -S`)",
        (f"{_KERNEL}::test_the_interpreter_is_sealed_and_can_be_changed_by_nobody",),
    ),
    Attack(
        "P2: nothing is loaded inside",
        "an import, a codec, a name service or a locale is looked for in the container's root",
        "all is loaded before; a hook on the interpreter's own audit events finds no import and nothing that is opened by name",
        (
            f"{_KERNEL}::test_who_is_inside_imports_nothing_and_opens_nothing_by_name",
            f"{_KERNEL}::test_no_library_locale_or_module_of_a_container_is_opened_by_who_enters_it",
        ),
    ),
    Attack(
        "P3: paths of a root are descriptors",
        "a path of a container's root is opened by its name",
        "openat2(2) below a descriptor of the root; where the kernel or a filter refuses that call, nothing starts",
        (
            f"{_IMAGES}::test_folders_are_made_inside_the_root_however_the_image_bends_the_way",
            "security/test_levels.py::test_without_openat2_nothing_starts",
        ),
    ),
    Attack(
        "P4: nothing is left open",
        "a descriptor or a working directory of the host's comes to the program",
        "everything is opened close-on-exec, the rest is closed, and the working directory is looked at",
        (
            f"{_IMAGES}::test_workload_and_exec_hold_three_descriptors",
            f"{_IMAGES}::test_working_directory_behind_a_descriptor_is_refused_also_from_the_image_and_for_exec",
        ),
    ),
    Attack(
        "P5: sockets are the user's",
        "another user speaks to a launcher or a shim",
        "sockets lie in folders of mode 0700, none is abstract, and a shim asks for the other side's user",
        (
            f"{_KERNEL}::test_no_socket_of_ours_is_anywhere_but_in_folders_of_its_user",
            f"{_CONFINED}::test_socket_of_a_shim_answers_its_own_user_alone",
            f"{_CONFINED}::test_nonsense_on_the_socket_of_a_shim_ends_the_connection_and_not_the_container",
        ),
    ),
)

# By the headings under which docs/security.md shows them.
ATTACKS: dict[str, tuple[Attack, ...]] = {
    "Starting and entering containers": RUNNING,
    "Files of containers": FILES,
    "Layers and archives": LAYERS,
    "Registries and documents": REGISTRIES,
    "Building": BUILDING,
    "An engine in Python": PYTHON,
}
