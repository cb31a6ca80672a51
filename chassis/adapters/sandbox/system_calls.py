"""The system calls that a confined child may use, by name with their numbers on x86-64 and aarch64.

Measured: these are the calls of ffmpeg, PyAV, libvips and Python while they process the whole test corpus (under
`strace -f`), and the variants of them that other versions of a C library use (`openat` for `open`). Everything else
fails: with EPERM, or with ENOSYS if it is newer than Linux 5.0, because libraries try new calls and fall back to old
ones. Calls that nothing but an attack makes end the process. `seccomp` makes the filter of it.

Numbers: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h of the kernel; "-" where an
architecture does not have the call.
"""

NUMBERED_ALIKE_FROM = 424
"""From this number on, which is that of Linux 5.1, calls have the same number on every architecture."""

# Files: only reading, writing and looking; Landlock says which. No call changes modes, owners, times or attributes,
# makes a link, a folder or a special file, removes or renames. Processes: only threads of its own, see `seccomp`.
_ALLOWED = """
read 0 63; write 1 64; readv 19 65; writev 20 66; pread64 17 67; pwrite64 18 68; preadv 295 69; pwritev 296 70;
close 3 57; lseek 8 62; ftruncate 77 46; fadvise64 221 223; dup 32 23; dup2 33 -; dup3 292 24; open 2 -; openat 257
56; stat 4 -; lstat 6 -; fstat 5 80; newfstatat 262 79; statx 332 291; access 21 -; faccessat 269 48; faccessat2 439
439; readlink 89 -; readlinkat 267 78; getcwd 79 17; getdents64 217 61; brk 12 214; munmap 11 215; madvise 28 233;
futex 202 98; set_robust_list 273 99; set_tid_address 218 96; arch_prctl 158 -; rseq 334 293; exit 60 93; exit_group
231 94; rt_sigaction 13 134; rt_sigprocmask 14 135; rt_sigreturn 15 139; sigaltstack 131 132; restart_syscall 219
128; getpid 39 172; getppid 110 173; gettid 186 178; getuid 102 174; geteuid 107 175; getgid 104 176; getegid 108
177; time 201 -; gettimeofday 96 169; clock_gettime 228 113; clock_getres 229 114; clock_nanosleep 230 115;
nanosleep 35 101; times 100 153; getrusage 98 165; getrlimit 97 163; sched_yield 24 124; sched_getaffinity 204 123;
getcpu 309 168; sysinfo 99 179; uname 63 160; getrandom 318 278; poll 7 -; ppoll 271 73; select 23 -; pselect6 270
72
"""
# Arguments decide: the rules in `seccomp`.
_CONDITIONAL = """
mmap 9 222; mprotect 10 226; mremap 25 216; clone 56 220; clone3 435 435; execve 59 221; fcntl 72 25; ioctl 16 29;
kill 62 129; tgkill 234 131; prctl 157 167; prlimit64 302 261
"""
# Access to other processes, namespaces, mounts, kernel interfaces that have often had holes.
_KILLED = """
ptrace 101 117; process_vm_readv 310 270; process_vm_writev 311 271; pidfd_getfd 438 438; mount 165 40; umount2 166
39; pivot_root 155 41; chroot 161 51; fsopen 430 430; fspick 433 433; fsconfig 431 431; fsmount 432 432; move_mount
429 429; open_tree 428 428; mount_setattr 442 442; open_by_handle_at 304 265; unshare 272 97; setns 308 268; bpf 321
280; perf_event_open 298 241; userfaultfd 323 282; io_uring_setup 425 425; io_uring_enter 426 426; io_uring_register
427 427; add_key 248 217; request_key 249 218; keyctl 250 219; init_module 175 105; finit_module 313 273;
delete_module 176 106; kexec_load 246 104; reboot 169 142; swapon 167 224; swapoff 168 225; iopl 172 -; ioperm 173 -
"""


def _numbers(table: str, machine: str) -> dict[str, int]:
    column = {"x86_64": 1, "aarch64": 2}[machine]
    entries = (entry.split() for entry in table.replace("\n", " ").split(";"))
    return {entry[0]: int(entry[column]) for entry in entries if entry[column] != "-"}


def allowed(machine: str) -> dict[str, int]:
    """The calls that are allowed with any arguments, on `x86_64` or `aarch64`: number by name."""
    return _numbers(_ALLOWED, machine)


def conditional(machine: str) -> dict[str, int]:
    """The calls whose arguments decide."""
    return _numbers(_CONDITIONAL, machine)


def killed(machine: str) -> dict[str, int]:
    """The calls that end the process."""
    return _numbers(_KILLED, machine)
