package sandbox

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_X86_64

// archDenied are calls that only this architecture has, or that set limits.
var archDenied = []uint32{
	unix.SYS_FORK, unix.SYS_VFORK, unix.SYS_SETRLIMIT, unix.SYS_MODIFY_LDT, unix.SYS_IOPL, unix.SYS_IOPERM, unix.SYS_KEXEC_FILE_LOAD,
}

// archFilter kills calls of the x32 ABI, which shares the architecture's number and sets bit 30 of the call's.
var archFilter = []unix.SockFilter{
	{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, Jt: 0, Jf: 1, K: 0x40000000},
	ret(unix.SECCOMP_RET_KILL_PROCESS),
}
