package ffmpeg

import (
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"

	"sluice/internal/fault"
)

// outcome is what a bad end of a tool means: whether the work is worth trying again, and what a person is told.
type outcome struct {
	name    string           // of its row in docs/ERRORS.md
	signals []syscall.Signal // that ended the process, or
	says    []string         // any of these in its messages
	kind    fault.Kind
	code    string
	message string
	tries   int // how often the work is tried; 0: as often as the engine tries it, or waits where kind is Unavailable
}

// doubtful is how often work is tried whose tool failed for a reason that is not in the table: most such failures repeat
// at each try, and a machine that was out of order for a moment is in order at the third.
const doubtful = 3

// toolFailed is the code of failures that the file need not be to blame for.
const toolFailed = "tool_failed"

const failedMessage = "The media tool failed on this file; see the details of the attempt."

// outcomes are looked through from the first to the last: what ran out explains a failure better than the message that
// it led to, and a tool that was killed said nothing of the reason. The texts are those of ffmpeg 5.1 to 8.
var outcomes = []outcome{
	{name: "the limit of CPU time", signals: []syscall.Signal{syscall.SIGXCPU}, kind: fault.TooLarge, code: "too_costly",
		message: "The file costs more CPU time than the server allows. Upload a smaller or simpler version, or raise the CPU limit."},
	{name: "the limit of one output", signals: []syscall.Signal{syscall.SIGXFSZ}, says: []string{"File too large"}, kind: fault.TooLarge, code: "output_too_large",
		message: "An output grew over the server's limit for one file. Upload a shorter version, or raise the output limit."},
	{name: "a full disk", says: []string{"No space left on device", "Disk quota exceeded"}, kind: fault.Unavailable, code: "disk_full",
		message: "The server's disk is full. Free some space; the work is tried again."},
	{name: "the limit of memory", says: []string{"Cannot allocate memory", "malloc of size"}, kind: fault.TooLarge, code: "out_of_memory",
		message: "The file needs more memory than the server allows. Upload a version of smaller resolution, or raise the memory limit."},
	{name: "killed from outside", signals: []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT}, kind: fault.Internal,
		code: toolFailed, message: "The media tool was killed, maybe because the machine ran out of memory; the work is tried again."},
	{name: "crashed", signals: []syscall.Signal{syscall.SIGSEGV, syscall.SIGABRT, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGILL, syscall.SIGSYS, syscall.SIGTRAP},
		kind: fault.Internal, code: toolFailed, message: "The media tool crashed on this file; see the details of the attempt.", tries: doubtful},
	{name: "a part of the machine is short or away", says: []string{"Resource temporarily unavailable", "Too many open files", "Input/output error",
		"No such file or directory", "Permission denied", "Stale file handle", "Text file busy"}, kind: fault.Internal, code: toolFailed, message: failedMessage},
	{name: "channels that cannot be mixed", says: []string{"Rematrix is needed between", "Cannot select channel layout for the link", "Input channel layout",
		"Output channel layout", "Failed to configure input pad on Parsed_pan"}, kind: fault.Unsupported, code: "unsupported_audio", message: badSound},
	{name: "a decoder, filter or container that cannot take the media", says: []string{"Error reinitializing filters", "Failed to configure",
		"Error initializing complex filters", "Error initializing filter", "Impossible to convert between the formats", "Decoder not found", "Unknown decoder",
		"Error while opening decoder", "Unknown encoder", "Error while opening encoder", "Could not write header for output file", "No such filter",
		"Unrecognized option", "Option not found", "codec not currently supported in container", ") not found for input stream"},
		kind: fault.Unsupported, code: "unsupported_media",
		message: "The installed ffmpeg cannot convert this file. Upload a version in H.264 with AAC, or in another common codec."},
	{name: "anything else", kind: fault.Internal, code: toolFailed, message: failedMessage, tries: doubtful},
}

const badSound = "The sound cannot be converted: its channels or its codec do not fit the installed ffmpeg. " +
	"Upload a version with stereo or 5.1 sound in a common codec, or without sound."

// outcomeOf finds the row of outcomes for a process that ended by a signal (0: by itself), used up its CPU time, or said
// something.
func outcomeOf(signal syscall.Signal, spent bool, said string) outcome {
	for _, o := range outcomes {
		switch {
		case signal != 0 && slices.Contains(o.signals, signal),
			// ffmpeg catches SIGXCPU and ends like after TERM, so that the time tells more than the exit code.
			spent && slices.Contains(o.signals, syscall.SIGXCPU),
			slices.ContainsFunc(o.says, func(s string) bool { return strings.Contains(said, s) }):
			return o
		}
	}
	return outcomes[len(outcomes)-1]
}

// signalOf is the signal that ended a process; 0 where it ended by itself or never ran.
func signalOf(state *os.ProcessState) syscall.Signal {
	if state != nil {
		if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return status.Signal()
		}
	}
	return 0
}

// exhausted reports whether a tool said that memory or disk ran out, whatever it exited with.
func exhausted(said string) bool {
	code := outcomeOf(0, false, said).code
	return code == "disk_full" || code == "out_of_memory"
}

// failed reports whether a tool ended badly because of what it read or was asked for, or for no known reason: whoever ran
// it judges by what it made.
func failed(err error) bool {
	code := fault.Of(err).Code
	return code == toolFailed || code == "unsupported_media" || code == "unsupported_audio"
}

// Tries is how many attempts a failure is worth that a tool was at fault for; 0 leaves that to the engine.
func Tries(err error) int {
	var e *toolError
	if errors.As(err, &e) {
		return e.tries
	}
	return 0
}
