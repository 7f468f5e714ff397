"""The seccomp profile that a container gets unless its user says otherwise: in effect Docker's own default, as data.

It must not know how a filter is compiled or loaded.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from labcontainers.kernel.seccomp_profile import ALLOW, ENOSYS, EPERM, ArgumentTest, Condition, Profile, Rule

# Source for which calls are allowed: docs.docker.com "Seccomp security profiles" and the default profile of Docker 29.
_ALLOWED: Final = """
    accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown chown32 clock_adjtime clock_adjtime64
    clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64 close close_range
    connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2
    epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fadvise64_64
    fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr
    flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue
    futex_time64 futex_wait futex_waitv futex_wake futimesat getcpu getcwd getdents getdents64 getegid getegid32 geteuid geteuid32
    getgid getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid
    getresgid32 getresuid getresuid32 getrlimit get_robust_list getrusage getsid getsockname getsockopt get_thread_area gettid
    gettimeofday getuid getuid32 getxattr getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel ioctl
    io_destroy io_getevents io_pgetevents io_pgetevents_time64 ioprio_get ioprio_set io_setup io_submit ipc kill landlock_add_rule
    landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listmount listxattr listxattrat
    llistxattr _llseek lremovexattr lseek lsetxattr lstat lstat64 madvise map_shadow_stack membarrier memfd_create memfd_secret
    mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 mprotect mq_getsetattr mq_notify mq_open mq_timedreceive
    mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock
    munlockall munmap name_to_handle_at nanosleep newfstatat _newselect open openat openat2 pause pidfd_open pidfd_send_signal
    pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv preadv2 prlimit64 process_mrelease
    pselect6 pselect6_time64 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recv recvfrom recvmmsg
    recvmmsg_time64 recvmsg remap_file_pages removexattr removexattrat rename renameat renameat2 restart_syscall rmdir rseq
    rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64
    rt_tgsigqueueinfo sched_getaffinity sched_getattr sched_getparam sched_get_priority_max sched_get_priority_min
    sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam
    sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop semtimedop_time64 send sendfile sendfile64
    sendmmsg sendmsg sendto setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setpgid
    setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit set_robust_list
    setsid setsockopt set_thread_area set_tid_address setuid setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown
    sigaltstack signalfd signalfd4 sigprocmask sigreturn socketpair splice stat stat64 statfs statfs64 statmount statx
    symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime
    timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime
    timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask uname unlink unlinkat uretprobe utime utimensat
    utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write writev
"""

_BY_CAPABILITY: Final = {
    "DAC_READ_SEARCH": "open_by_handle_at",
    "SYS_ADMIN": """
        bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr lsm_list_modules
        lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname
        setns syslog umount umount2 unshare
    """,
    "SYS_BOOT": "reboot",
    "SYS_CHROOT": "chroot",
    "SYS_MODULE": "delete_module finit_module init_module",
    "SYS_PACCT": "acct",
    "SYS_PTRACE": "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace",
    "SYS_RAWIO": "ioperm iopl",
    "SYS_TIME": "clock_settime clock_settime64 settimeofday stime",
    "SYS_TTY_CONFIG": "vhangup",
    "SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "SYSLOG": "syslog",
    "BPF": "bpf",
    "PERFMON": "perf_event_open",
}

_BY_ARCHITECTURE: Final = (
    (("amd64",), "arch_prctl"),
    (("amd64", "x86"), "modify_ldt"),
    (("arm", "arm64"), "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls"),
)

# Before Linux 4.8 a tracer could change a call after the filter had judged it: seccomp(2), "Ptrace".
_SINCE_4_8: Final = "process_vm_readv process_vm_writev ptrace"

# Domains of socket(2) that may be opened, first and last. Left out are those that the kernel no longer has (DECnet 12, Econet 19,
# ATMSVC 20, IrDA 23, WANPIPE 25, ISDN 34, CAIF 37), AF_ALG 38 (kernel cryptography: large attack surface, no use in a container)
# and AF_VSOCK 40 (reaches other virtual machines, past the network namespace). socketcall(2), by which 32-bit programs may make sockets
# as well, takes the domain behind a pointer, where no filter sees it (CVE-2026-31431): of its calls all are allowed but that one.
_SOCKET_DOMAINS: Final = ((0, 11), (13, 18), (21, 22), (24, 24), (26, 33), (35, 36), (39, 39), (41, 45))

# PER_LINUX, PER_LINUX32, UNAME26 with either, and the value that only asks: personality(2).
_PERSONALITIES: Final = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)

# CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET: clone(2).
_NAMESPACE_FLAGS: Final = 0x7E020000


@cache
def default_profile() -> Profile:
    """The default profile: what it does not know fails with EPERM, what is newer than it with ENOSYS."""
    no_admin = Condition(capabilities=frozenset({"SYS_ADMIN"}))
    rules = [Rule(tuple(_ALLOWED.split()), ALLOW), Rule(tuple(_SINCE_4_8.split()), ALLOW, includes=Condition(minimal_kernel=(4, 8)))]
    for first, last in _SOCKET_DOMAINS:
        rules.append(Rule(("socket",), ALLOW, _between(first, last)))
    rules.extend(Rule(("personality",), ALLOW, (ArgumentTest(0, "EQ", value),)) for value in _PERSONALITIES)
    for architectures, names in _BY_ARCHITECTURE:
        rules.append(Rule(tuple(names.split()), ALLOW, includes=Condition(architectures=frozenset(architectures))))
    for capability, names in _BY_CAPABILITY.items():
        rules.append(Rule(tuple(names.split()), ALLOW, includes=Condition(capabilities=frozenset({capability}))))
    # A filter cannot look behind the pointer that clone3(2) takes; ENOSYS makes libc fall back to clone(2), whose flags it can see.
    rules.append(Rule(("clone",), ALLOW, (ArgumentTest(0, "MASKED_EQ", _NAMESPACE_FLAGS, 0),), excludes=no_admin))
    rules.append(Rule(("clone3",), ENOSYS, excludes=no_admin))
    return Profile(EPERM, tuple(rules))


def _between(first: int, last: int) -> tuple[ArgumentTest, ...]:
    if first == last:
        return (ArgumentTest(0, "EQ", first),)
    upper = ArgumentTest(0, "LE", last)
    return (ArgumentTest(0, "GE", first), upper) if first else (upper,)
