package sandbox

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_AARCH64

// archDenied are calls that set limits.
var archDenied = []uint32{unix.SYS_SETRLIMIT, unix.SYS_KEXEC_FILE_LOAD}

// archFilter is empty: 32-bit calls carry another architecture's number.
var archFilter []unix.SockFilter
