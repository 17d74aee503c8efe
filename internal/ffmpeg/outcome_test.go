package ffmpeg

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/fault"
)

// toolThatRuns is a Tool whose ffmpeg is a shell script.
func toolThatRuns(t *testing.T, script string) *Tool {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ffmpeg")
	text := "#!/bin/sh\n[ \"$1\" = -version ] && echo ffmpeg version 5.1 && exit\n" + script + "\n"
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	tool, err := New(Config{FFmpeg: path, Unsandboxed: true})
	if err != nil {
		t.Fatal(err)
	}
	return tool
}

// TestRun_EachOutcome_HasItsCodeTriesAndRow ends a process in each way of the table, and looks for the row in the docs.
func TestRun_EachOutcome_HasItsCodeTriesAndRow(t *testing.T) {
	t.Parallel()
	docs := string(read(t, "../../docs/ERRORS.md"))
	for _, o := range outcomes {
		scripts := map[string]string{}
		for _, said := range o.says {
			scripts[said] = fmt.Sprintf("echo '[x @ 0x1] %s 10 channels' >&2; exit 1", said)
		}
		for _, signal := range o.signals {
			scripts[signal.String()] = fmt.Sprintf("kill -%d $$", int(signal))
		}
		if len(scripts) == 0 {
			scripts["nothing that is known"] = "echo Conversion failed! >&2; exit 1"
		}
		tries := fmt.Sprint(o.tries)
		switch {
		case o.kind == fault.Unavailable:
			tries = "waits"
		case fault.Permanent(fault.New(o.kind, "", "", "", nil)):
			tries = "1"
		case o.tries == 0:
			tries = "8"
		}
		if row := fmt.Sprintf("| %s | `%s` | %s |", o.name, o.code, tries); !strings.Contains(docs, row) {
			t.Errorf("docs/ERRORS.md lacks the row %s", row)
		}
		for name, script := range scripts {
			t.Run(o.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				_, err := toolThatRuns(t, script).run(t.Context(), spec{op: "test", dir: t.TempDir()})
				if codeOf(err) != o.code || fault.Of(err).Kind != o.kind || Tries(err) != o.tries {
					t.Errorf("got %v, kind %v, %d tries; want %s, %v, %d", err, fault.Of(err).Kind, Tries(err), o.code, o.kind, o.tries)
				}
			})
		}
	}
}

func TestOutcomeOf_ToolIsKilledWhileItWarns_BlamesTheSignal(t *testing.T) {
	t.Parallel()
	if o := outcomeOf(syscall.SIGKILL, false, "Failed to configure output pad on x"); o.code != toolFailed || o.tries != 0 {
		t.Errorf("got %+v", o)
	}
}
