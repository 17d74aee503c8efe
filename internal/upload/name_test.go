package upload

import (
	"context"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"sluice/internal/bucket"
	"sluice/internal/fault"
	"sluice/internal/video"
)

func TestAStemIsReadableAndSafe(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"Holiday 2024.mp4":               "Holiday 2024",
		"courses/week 1/intro.MOV":       "courses-week 1-intro",
		`C:\films\a.avi`:                 "C:-films-a",
		"日本語の動画.webm":                    "日本語の動画",
		"no suffix":                      "no suffix",
		"v1.2.final.mp4":                 "v1.2.final",
		".mp4":                           "video",
		"":                               "video",
		"...":                            "video",
		"../../etc/passwd":               "-..-etc-passwd",
		" . dots and blanks . .mp4":      "dots and blanks",
		"tab\tbell\a\x7f\u202egnp.mp4":   "tabbellgnp",
		strings.Repeat("a", 300) + ".ts": strings.Repeat("a", 100),
		strings.Repeat("ü", 80) + ".ts":  strings.Repeat("ü", 50),
		"50%25, a%2Fb%2e%2E.mp4":         "50-25, a-2Fb-2e-2E",
		"100%.mp4":                       "100%",
		"%%2f %\u200b41 %zz.mp4":         "%-2f %\u200b41 %zz",
		"x" + strings.Repeat("ü", 80):    "x" + strings.Repeat("ü", 49),
		strings.Repeat("a", 99) + ". b":  strings.Repeat("a", 99),
	}
	for name, want := range tests {
		got := Stem(name)
		if got != want {
			t.Errorf("Stem(%q) = %q, want %q", name, got, want)
		}
	}
	if got := Prefix("a.mp4", "01jq3v8k2m4n5p6r7s8t9v0w1x"); got != "streams/a-01jq3v8k2m4n5p6r7s8t9v0w1x" {
		t.Error(got)
	}
}

func FuzzStem(f *testing.F) {
	f.Add("a/b\\c.mp4")
	f.Add("\xff\xfe. .")
	f.Add("%%2541.%2")
	f.Fuzz(func(t *testing.T, name string) {
		s := Stem(name)
		if s == "" || len(s) > 100 || !utf8.ValidString(s) || strings.ContainsAny(s, "/\\\x00\n") || strings.Trim(s, ". ") != s || escapes.MatchString(s) {
			t.Errorf("Stem(%q) = %q", name, s)
		}
	})
}

func TestAPinIsNamedByTheWrite(t *testing.T) {
	t.Parallel()
	o := bucket.Object{Bucket: "uploads", Key: "a.mp4", ETag: "e", Modified: time.Unix(1, 0)}
	seen := map[string]bool{PinKey(o): true}
	same := o
	same.Size, same.ContentType, same.Modified = 5, "video/mp4", o.Modified.UTC()
	if PinKey(same) != PinKey(o) {
		t.Error("the same write has two pins")
	}
	for _, change := range []func(*bucket.Object){
		func(o *bucket.Object) { o.Bucket = "others" },
		func(o *bucket.Object) { o.Key = "b.mp4" },
		func(o *bucket.Object) { o.ETag = "f" },
		func(o *bucket.Object) { o.Modified = time.Unix(2, 0) },
	} {
		other := o
		change(&other)
		if seen[PinKey(other)] {
			t.Errorf("%+v shares a pin", other)
		}
		seen[PinKey(other)] = true
	}
}

func TestWhichObjectsStartAVideoIsASetting(t *testing.T) {
	t.Parallel()
	id := string(video.NewID(time.Now()))
	every, one := New(Config{Bucket: "uploads"}), New(Config{Bucket: "uploads", Suffixes: []string{".MP4"}})
	tests := []struct {
		bucket, key string
		every, one  bool
	}{
		{"uploads", "a.mp4", true, true},
		{"uploads", "deep/A.Mp4", true, true},
		{"uploads", "a.mkv", true, false},
		{"uploads", "a.mp3", true, false},
		{"uploads", "a.txt", false, false},
		{"uploads", "mp4", false, false},
		{"uploads", "a.mp4/", false, false},
		{"uploads", "a\x00.mp4", false, false},
		{"uploads", "a\xff.mp4", false, false},
		{"uploads", id + "/a\x00.mp4", false, false},
		{"uploads", ".a.mp4.sgwtmp.123", false, false},
		{"uploads", id + "/a.mkv", true, true}, // granted
		{"uploads", id + "/deep/a.txt", false, false},
		{"media", "sources/a.mp4", false, false},
	}
	for _, test := range tests {
		if got := every.starts(test.bucket, test.key); got != test.every {
			t.Errorf("by default %s/%s starts a video: %v", test.bucket, test.key, got)
		}
		if got := one.starts(test.bucket, test.key); got != test.one {
			t.Errorf("with .MP4 alone %s/%s starts a video: %v", test.bucket, test.key, got)
		}
	}
}

func TestWhatIsNotTakenIsToldWhy(t *testing.T) {
	t.Parallel()
	d := New(Config{Bucket: "uploads", MaxBytes: 100}) // without a store: a refused request must reach none
	tests := map[string]struct {
		request Request
		kind    fault.Kind
		code    string
	}{
		"no name":       {Request{}, fault.Invalid, "bad_filename"},
		"only a folder": {Request{Filename: "folder/"}, fault.Invalid, "bad_filename"},
		"not UTF-8":     {Request{Filename: "\xff.mp4"}, fault.Invalid, "bad_filename"},
		"endless":       {Request{Filename: strings.Repeat("a", 2000) + ".mp4"}, fault.Invalid, "bad_filename"},
		"text":          {Request{Filename: "a.txt"}, fault.Unsupported, "unsupported_type"},
		"no suffix":     {Request{Filename: "mp4"}, fault.Unsupported, "unsupported_type"},
		"odd type":      {Request{Filename: "a.mp4", ContentType: "video\r\nX: y"}, fault.Invalid, "bad_content_type"},
		"negative":      {Request{Filename: "a.mp4", Size: -1}, fault.Invalid, "bad_size"},
		"too large":     {Request{Filename: "a.mp4", Size: 101}, fault.TooLarge, "too_large"},
		"odd settings":  {Request{Filename: "a.mp4", Settings: video.Settings{MaxResolution: 777}}, fault.Invalid, "bad_max_resolution"},
	}
	for name, test := range tests {
		_, err := d.Grant(context.Background(), test.request)
		if got := fault.Of(err); err == nil || got.Kind != test.kind || got.Code != test.code || got.Message == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
