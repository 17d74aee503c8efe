package client

import (
	"context"
	"time"
)

// Until is what Wait waits for.
type Until string

// What can be waited for.
const (
	UntilPlayable Until = "playable" // playback can start
	UntilReady    Until = "ready"    // the newest generation is published
)

// patience is how long Wait bears a server that is away: long enough for a restart.
const patience = 60 * time.Second

// Wait polls a video until it is what until says and returns it then, calling progress (if not nil) with each state on the way. Where the newest
// generation fails first, it returns the video and its *Failure. It bears a server that is away for a minute, so a restart does not end it.
func (c *Client) Wait(ctx context.Context, id string, until Until, progress func(Video)) (Video, error) {
	var away time.Time
	for pause := 250 * time.Millisecond; ; pause = min(pause*5/4, 2*time.Second) {
		v, err := c.Video(ctx, id)
		switch {
		case err == nil:
			away = time.Time{}
			if progress != nil {
				progress(v)
			}
			if reached(v, until) {
				return v, nil
			}
			if v.Error != nil {
				return v, v.Error
			}
		case !temporary(err):
			return Video{}, err
		case away.IsZero():
			away = time.Now()
		case time.Since(away) > patience:
			return Video{}, err
		}
		if !sleep(ctx, pause) {
			return v, ctx.Err()
		}
	}
}

// reached reports whether v is what until says.
func reached(v Video, until Until) bool {
	if until == UntilPlayable {
		return v.Playable
	}
	return v.Status == "ready" && v.Generation == v.Newest
}
