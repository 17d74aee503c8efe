package sandbox

import (
	"bytes"
	"context"
	"strings"
	"time"

	"sluice/internal/fault"
)

// checkProgram stands in for a program: the child confines itself, tries what must fail, and exits.
const checkProgram = "sandbox-check"

// Check starts a confined child that tries to read a file and to open a socket, and returns fault.Unavailable
// "sandbox_unavailable" unless both are refused. Call it at boot.
func Check() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute) // a busy machine is slow to start a process
	defer cancel()
	cmd, err := Command(ctx, Policy{}, checkProgram)
	if err != nil {
		return unavailable(err.Error(), err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return unavailable(strings.TrimSpace(stderr.String()), err)
	}
	return nil
}

func unavailable(reason string, cause error) error {
	return fault.New(fault.Unavailable, "sandbox.check", "sandbox_unavailable",
		"The media tools cannot be confined here ("+reason+"). Run on Linux 5.13 or later with Landlock and seccomp "+
			"enabled, or allow unsandboxed media tools in the configuration, knowing that an exploited decoder then has the server's rights.", cause)
}
