package client

import (
	"bytes"
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Video is one video. A pointer is nil, and a time zero, where the server does not know it (yet).
type Video struct {
	ID             string            `json:"id"`
	Owner          string            `json:"owner"`
	Workspace      string            `json:"workspace"`       // id of the one whose members may see it
	Policy         string            `json:"playback_policy"` // who may watch: "public", "signed" or "members"
	Name           string            `json:"name"`            // filename of the upload, or key of the object
	Title          string            `json:"title"`
	Description    string            `json:"description"`
	Tags           []string          `json:"tags"`
	Metadata       map[string]string `json:"metadata"`
	Status         string            `json:"status"`            // "waiting", "processing", "ready" or "failed"
	Waiting        *Waiting          `json:"waiting,omitempty"` // what it waits for; nil while a step of it runs, and once all is done
	Playable       bool              `json:"playable"`          // playback can start now
	Progress       float64           `json:"progress"`          // of the newest generation, 0 to 1
	ETA            *int64            `json:"eta_ms,omitempty"`
	Error          *Failure          `json:"error,omitempty"`    // why the newest generation failed
	Playback       *Playback         `json:"playback,omitempty"` // nil until playable
	Renditions     []Rendition       `json:"renditions"`         // largest first; empty until playable
	Audio          []AudioRendition  `json:"audio"`
	DurationMS     *int64            `json:"duration_ms,omitempty"`
	Added          []Addition        `json:"added,omitempty"` // so that sound and picture begin and end together
	Bytes          int64             `json:"bytes"`           // of all that was made and published
	Created        time.Time         `json:"created"`
	Updated        time.Time         `json:"updated"`
	Received       time.Time         `json:"received,omitzero"` // when the source was there
	TimeToPlayable *int64            `json:"time_to_playable_ms,omitempty"`
	Generation     int               `json:"generation"`        // that plays; 0 for none
	Newest         int               `json:"newest_generation"` // above Generation while an encode is under way or has failed
	Settings       Settings          `json:"settings"`
	Source         *Source           `json:"source,omitempty"` // nil until the object is there
	Steps          []Step            `json:"steps,omitempty"`  // of the newest generation; in lists always empty
}

// Waiting is what a video waits for.
type Waiting struct {
	For      string    `json:"for"`                   // "source", "worker", "paused", "disk", "storage", "database" or "retry"
	NextLook time.Time `json:"next_look,omitzero"`    // when the server looks for the source by itself; zero where the PUT itself records it
	Code     string    `json:"code,omitempty"`        // of the error of the last try; empty where there was none
	NextTry  time.Time `json:"next_try,omitzero"`     // when the next try is due, after an error; zero where none is
	Queue    string    `json:"queue,omitempty"`       // of its next job; empty for "source"
	Ahead    *int      `json:"ahead,omitempty"`       // jobs of the queue that start before it; 1000 means that many or more
	Workers  *int      `json:"workers,omitempty"`     // jobs of the queue that can run side by side now; 0 where no process works on it
	ETA      *int64    `json:"eta_seconds,omitempty"` // estimate of the seconds until its next job starts; nil where nothing is known
}

// Settings are what may be chosen for one encode.
type Settings struct {
	MaxResolution int `json:"max_resolution,omitempty"` // largest short side in pixels: 240, 360, 480, 720, 1080, 1440 or 2160; 0 for the server's default
}

// Failure is why a video or an attempt failed. As an error it is what Wait answers with.
type Failure struct {
	Code    string `json:"code"`    // stable: "not_media"
	Message string `json:"message"` // a sentence that says what to do
}

func (f *Failure) Error() string { return f.Message + " (" + f.Code + ")" }

// Playback is where to play a video: absolute URLs.
type Playback struct {
	HLS       string `json:"hls"`
	DASH      string `json:"dash"`
	Poster    string `json:"poster,omitempty"`    // empty for audio alone
	Thumbnail string `json:"thumbnail,omitempty"` // empty for audio alone
}

// Rendition is one rung of the ladder.
type Rendition struct {
	Name      string  `json:"name"`   // "1080p"
	Width     int     `json:"width"`  // pixels
	Height    int     `json:"height"` // pixels
	Codec     string  `json:"codec"`  // RFC 6381
	Bitrate   int64   `json:"bitrate"`
	Bytes     int64   `json:"bytes"`
	FrameRate float64 `json:"frame_rate"`
}

// AudioRendition is one audio track.
type AudioRendition struct {
	Name       string `json:"name"`
	Codec      string `json:"codec"` // RFC 6381
	Bitrate    int64  `json:"bitrate"`
	Bytes      int64  `json:"bytes"`
	Channels   int    `json:"channels"`
	SampleRate int    `json:"sample_rate"` // Hz
	Language   string `json:"language"`    // BCP 47; empty where unknown
}

// Addition is a stretch that the published video plays although the source has nothing there.
type Addition struct {
	Kind   string `json:"kind"`    // "silence", or "held_picture": the first or last picture standing still
	FromMS int64  `json:"from_ms"` // from the start of the video
	ToMS   int64  `json:"to_ms"`
}

// Source is the uploaded object and what probing found in it.
type Source struct {
	Bucket     string        `json:"bucket"`
	Key        string        `json:"key"`
	ETag       string        `json:"etag"`
	Bytes      int64         `json:"bytes"`
	Container  string        `json:"container,omitempty"`
	DurationMS *int64        `json:"duration_ms,omitempty"`
	Video      *SourceVideo  `json:"video,omitempty"` // nil for audio alone
	Audio      []SourceAudio `json:"audio"`
	Warnings   []Failure     `json:"warnings,omitempty"` // what is wrong with it and does not keep it from being played
}

// SourceVideo is the picture of a source.
type SourceVideo struct {
	Index      int     `json:"index"` // in the file, from 0
	Codec      string  `json:"codec"`
	Width      int     `json:"width"`    // coded pixels
	Height     int     `json:"height"`   // coded pixels
	Rotation   int     `json:"rotation"` // clockwise degrees
	FrameRate  float64 `json:"frame_rate"`
	VFR        bool    `json:"vfr"`
	Interlaced bool    `json:"interlaced"`
	PixFmt     string  `json:"pix_fmt"`
	HDR        bool    `json:"hdr"`
}

// SourceAudio is one audio stream of a source.
type SourceAudio struct {
	Index      int    `json:"index"` // in the file, from 0
	Used       bool   `json:"used"`  // the audio rendition is made of it
	Codec      string `json:"codec"`
	Channels   int    `json:"channels"`
	SampleRate int    `json:"sample_rate"` // Hz
	Language   string `json:"language"`
}

// Step is one step of the newest generation.
type Step struct {
	Name     string    `json:"name"` // "ingest", "encode", "audio", "stills" or "publish"
	N        int       `json:"n"`    // the chunk, for encode
	State    string    `json:"state"`
	Progress float64   `json:"progress"`
	Started  time.Time `json:"started,omitzero"`
	Finished time.Time `json:"finished,omitzero"`
	Attempts []Attempt `json:"attempts"`
}

// Attempt is one try at a step.
type Attempt struct {
	Number   int       `json:"number"` // from 1
	Worker   string    `json:"worker"`
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished,omitzero"`
	Error    *Failure  `json:"error,omitempty"`
	Detail   string    `json:"detail,omitempty"` // the end of the tool's output
}

// Event is one thing that happened to a video.
type Event struct {
	ID    int64           `json:"id"` // grows with time
	Video string          `json:"video"`
	Type  string          `json:"type"` // "video.ready"
	Time  time.Time       `json:"time"`
	Data  json.RawMessage `json:"data,omitempty"`
}

// Edit is a change of what a person may change; nil leaves a field as it is.
type Edit struct {
	Title       *string            `json:"title,omitempty"`       // up to 200 characters
	Description *string            `json:"description,omitempty"` // up to 5000 characters
	Tags        *[]string          `json:"tags,omitempty"`        // all of them: up to 50, of up to 100 characters
	Metadata    *map[string]string `json:"metadata,omitempty"`    // all of it: up to 50 keys
}

// Query chooses videos.
type Query struct {
	Status string // empty for all
}

func videoPath(id string) string { return "/v1/videos/" + url.PathEscape(id) }

// Video returns one video with its steps.
func (c *Client) Video(ctx context.Context, id string) (Video, error) {
	var v Video
	err := c.call(ctx, http.MethodGet, videoPath(id), nil, &v)
	return v, err
}

// VideoJSON returns one video exactly as the server writes it, without the newline at its end.
func (c *Client) VideoJSON(ctx context.Context, id string) (json.RawMessage, error) {
	var raw json.RawMessage
	err := c.call(ctx, http.MethodGet, videoPath(id), nil, &raw)
	return bytes.TrimSpace(raw), err
}

// Videos goes through all videos that q chooses, newest first, fetching pages as it goes. It ends after the first error.
func (c *Client) Videos(ctx context.Context, q Query) iter.Seq2[Video, error] {
	return func(yield func(Video, error) bool) {
		query := url.Values{"limit": {"200"}}
		if q.Status != "" {
			query.Set("status", q.Status)
		}
		for {
			var page struct {
				Items []Video
				Next  string
			}
			if err := c.call(ctx, http.MethodGet, "/v1/videos?"+query.Encode(), nil, &page); err != nil {
				yield(Video{}, err)
				return
			}
			for _, v := range page.Items {
				if !yield(v, nil) {
					return
				}
			}
			if page.Next == "" {
				return
			}
			query.Set("cursor", page.Next)
		}
	}
}

// Events goes through the events of a video with ids above after, oldest first. It ends after the first error.
func (c *Client) Events(ctx context.Context, id string, after int64) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for {
			var page struct {
				Items []Event
				Next  int64
			}
			path := videoPath(id) + "/events?limit=200&after=" + strconv.FormatInt(after, 10)
			if err := c.call(ctx, http.MethodGet, path, nil, &page); err != nil {
				yield(Event{}, err)
				return
			}
			for _, e := range page.Items {
				if !yield(e, nil) {
					return
				}
			}
			if page.Next == 0 {
				return
			}
			after = page.Next
		}
	}
}

// Edit changes what a person may change and returns the video as it is then.
func (c *Client) Edit(ctx context.Context, id string, e Edit) (Video, error) {
	var v Video
	err := c.call(ctx, http.MethodPatch, videoPath(id), e, &v)
	return v, err
}

// Encode begins a new generation with settings; viewers keep the one that plays until it is ready.
func (c *Client) Encode(ctx context.Context, id string, s Settings) (Video, error) {
	var v Video
	err := c.call(ctx, http.MethodPost, videoPath(id)+"/encode", s, &v)
	return v, err
}

// Purge has the CDN in front drop its copies of a video, for administrators.
func (c *Client) Purge(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodPost, videoPath(id)+"/purge", nil, nil)
}

// Delete removes a video with its source and all that was made of it. One that is not there is an *Error of status 404.
func (c *Client) Delete(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, videoPath(id), nil, nil)
}
