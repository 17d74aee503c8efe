package api

import (
	"math"
	"time"

	"sluice/internal/video"
)

// Video is one video as every route tells it.
type Video struct {
	ID             string            `json:"id" example:"01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"Names the video; ids sort by the time they were made"`
	Owner          string            `json:"owner" example:"admin" doc:"Whose video it is: owners share the server's work fairly"`
	Workspace      string            `json:"workspace" example:"main" doc:"Id of the workspace whose members may see it"`
	Policy         string            `json:"playback_policy" enum:"public,signed,members" example:"signed" doc:"Who may watch: public, who knows the address; signed, who has a grant (POST /v1/keys) or a signature of a key pair, and who may see the video, by session or bearer token; members, who may see it alone, or who has the server's own grant"`
	Name           string            `json:"name" example:"holiday.mp4" doc:"The filename of the upload, or the key of an object that an S3 client put"`
	Title          string            `json:"title" example:"Our holiday" doc:"Set by people; empty until then"`
	Description    string            `json:"description" example:"Two weeks by the sea." doc:"Set by people; empty until then"`
	Tags           []string          `json:"tags" example:"[\"sea\",\"summer\"]" doc:"Set by people"`
	Metadata       map[string]string `json:"metadata" example:"{\"project\":\"7\"}" doc:"Set by people or programs: any keys and values"`
	Status         string            `json:"status" enum:"waiting,processing,ready,failed" example:"ready" doc:"waiting for the source or for a worker; processing; ready to watch; failed for good. A ready video stays ready while it is encoded again"`
	Waiting        *Waiting          `json:"waiting,omitempty" doc:"What it waits for, while nothing of its newest generation runs; absent while something runs, and once all is done"`
	Playable       bool              `json:"playable" example:"true" doc:"Whether playback can start now"`
	Progress       float64           `json:"progress" minimum:"0" maximum:"1" example:"1" doc:"How far the newest generation is, 0 to 1"`
	ETA            *int64            `json:"eta_ms,omitempty" example:"42000" doc:"Milliseconds until the newest generation is ready, if its steps go on as they went; absent while nothing runs or that is unknown"`
	Error          *Error            `json:"error,omitempty" doc:"Why the newest generation failed; absent unless it did. While an older one plays, status is ready all the same. For editors and administrators alone"`
	Playback       *Playback         `json:"playback,omitempty" doc:"Where to play it; absent until playable. These addresses are without a credential: of a video that is not public, POST /v1/keys with its id answers with ones that play"`
	Renditions     []Rendition       `json:"renditions" doc:"What was made of the picture, largest first; empty until playable and for audio alone"`
	Audio          []AudioRendition  `json:"audio" doc:"What was made of the sound; empty until playable and for silent sources"`
	DurationMS     *int64            `json:"duration_ms,omitempty" example:"93500" doc:"Milliseconds it plays; what the source was measured to have until then; absent before"`
	Added          []Addition        `json:"added,omitempty" doc:"What was added so that sound and picture begin and end together, where the source's do not; absent where nothing was. Stretches of 100 ms or less are not listed"`
	Bytes          int64             `json:"bytes" example:"48210332" doc:"Bytes of all that was made and published; 0 until playable"`
	Created        Time              `json:"created" doc:"When the upload was granted, or the object was found"`
	Updated        Time              `json:"updated" doc:"When it last changed"`
	Received       Time              `json:"received,omitzero" doc:"When the source was there; absent before"`
	TimeToPlayable *int64            `json:"time_to_playable_ms,omitempty" example:"8400" doc:"Milliseconds from received until it could first be played; absent until playable"`
	Generation     int               `json:"generation" example:"1" doc:"Number of the generation that plays; 0 for none"`
	Newest         int               `json:"newest_generation" example:"1" doc:"Number of the newest generation; above generation while an encode is under way or has failed"`
	Settings       VideoSettings     `json:"settings" doc:"Settings of the newest generation"`
	Source         *Source           `json:"source,omitempty" doc:"The uploaded object; absent until it is there"`
}

// VideoDetail is one video with the steps of its newest generation.
type VideoDetail struct {
	Video
	Steps []Step `json:"steps" doc:"The steps of the newest generation, in their order; empty before ingest"`
}

// Error is why something failed.
type Error struct {
	Code    string `json:"code" example:"not_media" doc:"Stable name of the failure, for programs"`
	Message string `json:"message" example:"The file is not video or audio that can be read; upload the original file." doc:"A sentence that says what to do"`
}

// VideoSettings are the settings in force.
type VideoSettings struct {
	MaxResolution int `json:"max_resolution" example:"1080" doc:"Largest short side of a rendition, in pixels"`
}

// Playback is where to play a video.
type Playback struct {
	HLS       string `json:"hls" format:"uri" example:"http://localhost:8080/stream/holiday-01jq3v8k2m4n5p6r7s8t9v0w1x/1/index.m3u8" doc:"HLS multivariant playlist"`
	DASH      string `json:"dash" format:"uri" example:"http://localhost:8080/stream/holiday-01jq3v8k2m4n5p6r7s8t9v0w1x/1/index.mpd" doc:"DASH MPD"`
	Poster    string `json:"poster,omitempty" format:"uri" example:"http://localhost:8080/stream/holiday-01jq3v8k2m4n5p6r7s8t9v0w1x/1/poster.jpg" doc:"Full-size still; absent for audio alone"`
	Thumbnail string `json:"thumbnail,omitempty" format:"uri" example:"http://localhost:8080/stream/holiday-01jq3v8k2m4n5p6r7s8t9v0w1x/1/poster-thumbnail.jpg" doc:"Small still; absent for audio alone"`
}

// Rendition is one rung of the ladder, as it was made.
type Rendition struct {
	Name      string  `json:"name" example:"1080p" doc:"By the short side"`
	Width     int     `json:"width" example:"1920" doc:"Pixels"`
	Height    int     `json:"height" example:"1080" doc:"Pixels"`
	Codec     string  `json:"codec" example:"avc1.640028" doc:"As in RFC 6381"`
	Bitrate   int64   `json:"bitrate" example:"4120000" doc:"Average bits a second"`
	Bytes     int64   `json:"bytes" example:"41202332" doc:"Bytes of all its segments"`
	FrameRate float64 `json:"frame_rate" example:"29.97" doc:"Frames a second"`
}

// AudioRendition is one audio track, as it was made.
type AudioRendition struct {
	Name       string `json:"name" example:"audio" doc:"Names the track among the others"`
	Codec      string `json:"codec" example:"mp4a.40.2" doc:"As in RFC 6381"`
	Bitrate    int64  `json:"bitrate" example:"128000" doc:"Average bits a second"`
	Bytes      int64  `json:"bytes" example:"1496000" doc:"Bytes of all its segments"`
	Channels   int    `json:"channels" example:"2" doc:"Number of channels"`
	SampleRate int    `json:"sample_rate" example:"48000" doc:"Samples a second"`
	Language   string `json:"language" example:"en" doc:"BCP 47; empty where unknown"`
}

// Addition is a stretch that the published generation plays although the source has nothing there.
type Addition struct {
	Kind   string `json:"kind" enum:"silence,held_picture" example:"silence" doc:"What was added: silence, or the first or last picture standing still"`
	FromMS int64  `json:"from_ms" example:"5000" doc:"Where it begins: milliseconds from the start of the video"`
	ToMS   int64  `json:"to_ms" example:"60000" doc:"Where it ends: milliseconds from the start of the video"`
}

// Source is the uploaded object and, once it was probed, what is in it.
type Source struct {
	Bucket     string        `json:"bucket" example:"uploads" doc:"Bucket it was put into"`
	Key        string        `json:"key" example:"holiday.mp4" doc:"Key it was put under"`
	ETag       string        `json:"etag" example:"9bb58f26192e4ba00f01e2e7b136bbd8" doc:"Entity tag of the object, without quotes"`
	Bytes      int64         `json:"bytes" example:"73400320" doc:"Bytes of the object"`
	Container  string        `json:"container,omitempty" example:"mov,mp4,m4a,3gp,3g2,mj2" doc:"ffprobe's name of the container; absent until probed"`
	DurationMS *int64        `json:"duration_ms,omitempty" example:"93500" doc:"Milliseconds, measured over its packets; absent until probed"`
	Video      *SourceVideo  `json:"video,omitempty" doc:"The picture; absent until probed and for audio alone"`
	Audio      []SourceAudio `json:"audio" doc:"The audio tracks that can be decoded, in the container's order; empty until probed"`
	Warnings   []Error       `json:"warnings,omitempty" doc:"What is wrong with the source and does not keep it from being played; absent where nothing is"`
}

// SourceVideo is the picture of a source.
type SourceVideo struct {
	Index      int     `json:"index" example:"0" doc:"Index of the track in the file, from 0"`
	Codec      string  `json:"codec" example:"h264" doc:"ffprobe's name of the codec"`
	Width      int     `json:"width" example:"1920" doc:"Coded pixels, before rotation"`
	Height     int     `json:"height" example:"1080" doc:"Coded pixels, before rotation"`
	Rotation   int     `json:"rotation" enum:"0,90,180,270" example:"0" doc:"Clockwise degrees it is turned to stand upright"`
	FrameRate  float64 `json:"frame_rate" example:"29.97" doc:"Frames a second; of a variable rate, the nearest standard one"`
	VFR        bool    `json:"vfr" example:"false" doc:"Whether the frame rate varies"`
	Interlaced bool    `json:"interlaced" example:"false" doc:"Whether the pictures are interlaced"`
	PixFmt     string  `json:"pix_fmt" example:"yuv420p" doc:"ffmpeg's name of the pixel format"`
	HDR        bool    `json:"hdr" example:"false" doc:"Whether the transfer function is PQ or HLG"`
}

// SourceAudio is one audio stream of a source.
type SourceAudio struct {
	Index      int    `json:"index" example:"1" doc:"Index of the track in the file, from 0"`
	Used       bool   `json:"used" example:"true" doc:"Whether the audio rendition is made of this track"`
	Codec      string `json:"codec" example:"aac" doc:"ffprobe's name of the codec"`
	Channels   int    `json:"channels" example:"2" doc:"Number of channels"`
	SampleRate int    `json:"sample_rate" example:"48000" doc:"Samples a second"`
	Language   string `json:"language" example:"en" doc:"As the container says; empty where it does not"`
}

// view tells v as JSON.
func (s *service) view(v video.Video) Video {
	out := Video{ID: string(v.ID), Owner: v.Owner, Workspace: v.Workspace, Policy: string(v.Policy), Name: v.Name, Title: v.Title, Description: v.Description, Tags: v.Tags, Metadata: v.Metadata,
		Status: string(v.Status), Playable: v.Output != nil, Progress: round(v.Progress, 4), ETA: s.eta(v),
		Renditions: []Rendition{}, Audio: []AudioRendition{},
		Created: Time(v.Created), Updated: Time(v.Updated), Received: Time(v.Received),
		Generation: v.Published, Newest: v.Newest, Settings: VideoSettings{MaxResolution: v.Settings.MaxResolution}, Source: source(v)}
	if out.Tags == nil {
		out.Tags = []string{}
	}
	if out.Metadata == nil {
		out.Metadata = map[string]string{}
	}
	if out.Settings.MaxResolution == 0 {
		out.Settings.MaxResolution = s.MaxResolution
	}
	if v.Failure != nil {
		out.Error = &Error{Code: v.Failure.Code, Message: v.Failure.Message}
	}
	if v.Facts != nil {
		out.DurationMS = ms(v.Facts.Duration)
	}
	if v.Output != nil {
		s.published(&out, *v.Output)
		if !v.Playable.IsZero() && !v.Received.IsZero() {
			out.TimeToPlayable = ms(v.Playable.Sub(v.Received))
		}
	}
	return out
}

// published adds what the published generation made.
func (s *service) published(v *Video, o video.Output) {
	v.Playback = &Playback{HLS: s.address(o.HLS), DASH: s.address(o.DASH), Poster: s.address(o.Poster), Thumbnail: s.address(o.Thumbnail)}
	v.DurationMS, v.Bytes = ms(o.Duration), o.Bytes
	for _, a := range o.Added {
		v.Added = append(v.Added, Addition{Kind: string(a.Kind), FromMS: a.From.Milliseconds(), ToMS: a.To.Milliseconds()})
	}
	for _, t := range o.Tracks {
		switch t.Kind {
		case video.VideoTrack:
			v.Renditions = append(v.Renditions, Rendition{Name: t.Name, Width: t.Width, Height: t.Height, Codec: t.Codec,
				Bitrate: t.Average, Bytes: t.Bytes, FrameRate: round(t.FrameRate.Float(), 3)})
		case video.AudioTrack:
			v.Audio = append(v.Audio, AudioRendition{Name: t.Name, Codec: t.Codec, Bitrate: t.Average, Bytes: t.Bytes,
				Channels: t.Channels, SampleRate: t.SampleRate, Language: t.Language})
		}
	}
}

func (s *service) address(key string) string { return s.URL(s.EdgeURL, key) }

// eta is how long the newest generation will still take, if its steps go on as they went and as many side by side as now; nil while that is unknown: while
// nothing runs, and before one hundredth is done, when the guess would be worth nothing. What time passed between attempts, and what failed, doesn't count.
func (s *service) eta(v video.Video) *int64 {
	underWay := v.Newest > v.Published && v.Failure == nil
	if !underWay || v.Running == 0 || v.Progress < 0.01 || v.Progress > 1 {
		return nil
	}
	return ms(time.Duration(float64(v.Spent) * (1 - v.Progress) / v.Progress / float64(v.Running)))
}

// source tells the source of v and what probing found in it; nil before it is there.
func source(v video.Video) *Source {
	if v.Source == nil {
		return nil
	}
	out := &Source{Bucket: v.Source.Bucket, Key: v.Source.Key, ETag: v.Source.ETag, Bytes: v.Source.Size, Audio: []SourceAudio{}}
	if v.Facts == nil {
		return out
	}
	out.Container, out.DurationMS = v.Facts.Container, ms(v.Facts.Duration)
	if f := v.Facts.Video; f != nil {
		out.Video = &SourceVideo{Index: f.Index, Codec: f.Codec, Width: f.Width, Height: f.Height, Rotation: f.Rotation, FrameRate: round(f.Rate.Float(), 3),
			VFR: f.VFR, Interlaced: f.Interlaced, PixFmt: f.PixFmt, HDR: f.HDR()}
	}
	for _, a := range v.Facts.Audio {
		out.Audio = append(out.Audio, SourceAudio{Index: a.Index, Used: v.Facts.Encoded(a.Index), Codec: a.Codec, Channels: a.Channels, SampleRate: a.SampleRate, Language: a.Language})
	}
	for _, w := range v.Facts.Warnings {
		out.Warnings = append(out.Warnings, Error{Code: w.Code, Message: w.Message})
	}
	return out
}

// ms is d in whole milliseconds.
func ms(d time.Duration) *int64 {
	n := d.Milliseconds()
	return &n
}

// round keeps so many decimals of f.
func round(f float64, decimals int) float64 {
	p := math.Pow10(decimals)
	return math.Round(f*p) / p
}
