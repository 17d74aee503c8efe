package api

import (
	"sluice/internal/video"
)

// Step is one step of the way of a video.
type Step struct {
	Name     string    `json:"name" enum:"ingest,encode,audio,stills,publish" example:"encode" doc:"Which step"`
	N        int       `json:"n" example:"0" doc:"Number of the chunk, for encode; else 0"`
	State    string    `json:"state" enum:"waiting,running,done,failed,canceled" example:"done" doc:"canceled: another step failed for good, or the video was deleted"`
	Progress float64   `json:"progress" minimum:"0" maximum:"1" example:"1" doc:"How far it is, 0 to 1"`
	Started  Time      `json:"started,omitzero" doc:"When its first attempt began; absent before"`
	Finished Time      `json:"finished,omitzero" doc:"When it ended; absent before"`
	Attempts []Attempt `json:"attempts" doc:"Every try at it, first to last; empty for those who may only watch"`
}

// Attempt is one try at a step.
type Attempt struct {
	Number   int    `json:"number" example:"1" doc:"From 1"`
	Worker   string `json:"worker" example:"media-1" doc:"Which worker made it"`
	Started  Time   `json:"started" doc:"When it began"`
	Finished Time   `json:"finished,omitzero" doc:"When it ended; absent while it runs, and where its worker was lost"`
	Error    *Error `json:"error,omitempty" doc:"Why it failed; absent unless it did"`
	Detail   string `json:"detail,omitempty" example:"[h264 @ 0x5581] error while decoding MB 12 30" doc:"The end of the tool's output, for operators"`
}

// steps tells the steps of a generation as JSON.
func steps(all []video.Step) []Step {
	out := make([]Step, 0, len(all))
	for _, st := range all {
		progress := st.Progress
		if st.State == video.StepDone {
			progress = 1
		}
		step := Step{Name: string(st.Name), N: st.N, State: string(st.State), Progress: round(progress, 4),
			Started: Time(st.Started), Finished: Time(st.Finished), Attempts: attempts(st.Attempts)}
		out = append(out, step)
	}
	return out
}

// attempts tells attempts as JSON.
func attempts(all []video.Attempt) []Attempt {
	out := make([]Attempt, 0, len(all))
	for _, a := range all {
		attempt := Attempt{Number: a.Number, Worker: a.Worker, Started: Time(a.Started), Finished: Time(a.Finished), Detail: a.Detail}
		if a.Failure != nil {
			attempt.Error = &Error{Code: a.Failure.Code, Message: a.Failure.Message}
		}
		out = append(out, attempt)
	}
	return out
}
