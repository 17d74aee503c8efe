package sandbox

import "golang.org/x/sys/unix"

// Offsets into struct seccomp_data (linux/seccomp.h) on little-endian machines.
const (
	offNumber   = 0
	offArch     = 4
	offArg0     = 16
	offArg2     = 32
	offArg2High = 36
)

// denied are the system calls that a media tool has no use for, on every architecture: other processes, networks,
// name spaces, mounts, kernel modules, keys, and the kernel interfaces with the longest record of holes.
var denied = []uint32{
	unix.SYS_SOCKET, unix.SYS_SOCKETPAIR, unix.SYS_CONNECT, unix.SYS_BIND, unix.SYS_LISTEN, unix.SYS_ACCEPT, unix.SYS_ACCEPT4,
	unix.SYS_SENDTO, unix.SYS_SENDMSG, unix.SYS_SENDMMSG,
	unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PROCESS_MADVISE, unix.SYS_KCMP,
	unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_GETFD, unix.SYS_PIDFD_SEND_SIGNAL,
	unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_CHROOT, unix.SYS_PIVOT_ROOT,
	unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_FSOPEN, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSPICK, unix.SYS_MOVE_MOUNT,
	unix.SYS_OPEN_TREE, unix.SYS_MOUNT_SETATTR, unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_QUOTACTL,
	unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_NAME_TO_HANDLE_AT, unix.SYS_FANOTIFY_INIT,
	unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD, unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER,
	unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY,
	unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_KEXEC_LOAD, unix.SYS_REBOOT, unix.SYS_ACCT,
	unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_ADJTIMEX, unix.SYS_CLOCK_ADJTIME, unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME,
	unix.SYS_PERSONALITY, unix.SYS_SYSLOG, unix.SYS_VHANGUP,
}

// filter is the seccomp program: calls of another ABI kill the process (their numbers mean other calls), the denied
// answer EPERM, clone is for threads alone, and the rest is allowed. A list of the allowed calls would be stricter,
// and break with every C library and codec library that starts to use a new one.
func filter() []unix.SockFilter {
	code := []unix.SockFilter{load(offArch), unlessNot(auditArch, 1), ret(unix.SECCOMP_RET_KILL_PROCESS), load(offNumber)}
	code = append(code, archFilter...)
	for _, list := range [][]uint32{denied, archDenied} {
		for _, number := range list {
			code = append(code, unlessEqual(number, 1), deny(unix.EPERM))
		}
	}
	// clone3 hides its flags behind a pointer: "not there" makes the C library fall back to clone.
	code = append(code, unlessEqual(unix.SYS_CLONE3, 1), deny(unix.ENOSYS))
	code = append(code,
		unlessEqual(unix.SYS_CLONE, 4),
		load(offArg0),
		unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, Jt: 0, Jf: 1, K: unix.CLONE_THREAD},
		ret(unix.SECCOMP_RET_ALLOW),
		deny(unix.EPERM),
	)
	// Limits may be read, never set: root could raise them.
	code = append(code,
		unlessEqual(unix.SYS_PRLIMIT64, 5),
		load(offArg2),
		unlessEqual(0, 2),
		load(offArg2High),
		unlessNot(0, 1),
		deny(unix.EPERM),
	)
	return append(code, ret(unix.SECCOMP_RET_ALLOW))
}

func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
}

// unlessEqual skips the next n instructions unless the loaded word is k.
func unlessEqual(k uint32, n uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 0, Jf: n, K: k}
}

// unlessNot skips the next n instructions if the loaded word is k.
func unlessNot(k uint32, n uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: n, Jf: 0, K: k}
}

func ret(action uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action}
}

func deny(errno unix.Errno) unix.SockFilter { return ret(unix.SECCOMP_RET_ERRNO | uint32(errno)) }
