package rig

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// mpd is what a player needs of a manifest whose segments are numbered along a timeline (ISO/IEC 23009-1 §5.3.9).
type mpd struct {
	Periods []struct {
		Sets []struct {
			Template        *template `xml:"SegmentTemplate"`
			Representations []struct {
				ID       string    `xml:"id,attr"`
				Template *template `xml:"SegmentTemplate"`
			} `xml:"Representation"`
		} `xml:"AdaptationSet"`
	} `xml:"Period"`
}

type template struct {
	Start    int    `xml:"startNumber,attr"`
	Init     string `xml:"initialization,attr"`
	Media    string `xml:"media,attr"`
	Timeline []struct {
		Duration int64 `xml:"d,attr"`
		Repeat   int   `xml:"r,attr"` // how often more
	} `xml:"SegmentTimeline>S"`
}

// number is a segment's in a template, with its width (§5.3.9.4.4).
var number = regexp.MustCompile(`\$Number(?:%0(\d+)d)?\$`)

// urls are the names that a template makes, the initialization's first.
func (t template) urls(representation string) []string {
	all, n := []string{t.Init}, t.Start
	for _, s := range t.Timeline {
		for range s.Repeat + 1 {
			all = append(all, number.ReplaceAllStringFunc(t.Media, func(found string) string {
				width, _ := strconv.Atoi(number.FindStringSubmatch(found)[1]) // 0 where there is none
				return fmt.Sprintf("%0*d", width, n)
			}))
			n++
		}
	}
	for i := range all {
		all[i] = strings.ReplaceAll(all[i], "$RepresentationID$", representation)
	}
	return all
}

// mpd reads a manifest from the edge and returns the addresses of all of its segments.
func (c *checker) mpd(at string) (segments []string) {
	c.Helper()
	status, body := Get(c, at)
	segments, err := Segments(at, body)
	if status != http.StatusOK || err != nil {
		c.Errorf("%s: %d, %v", at, status, err)
	}
	return segments
}

// Segments are the addresses of all segments that an MPD names, the initialization segments among them, where it came from at.
func Segments(at string, body []byte) (segments []string, err error) {
	var m mpd
	if err := xml.Unmarshal(body, &m); err != nil || len(m.Periods) != 1 || len(m.Periods[0].Sets) == 0 {
		return nil, fmt.Errorf("no MPD of one period: %w", err)
	}
	base, err := url.Parse(at)
	if err != nil {
		return nil, err
	}
	for _, set := range m.Periods[0].Sets {
		for _, r := range set.Representations {
			t := r.Template
			if t == nil {
				t = set.Template
			}
			if t == nil || t.Init == "" || len(t.Timeline) == 0 {
				return nil, fmt.Errorf("representation %s names no segments", r.ID)
			}
			for _, name := range t.urls(r.ID) {
				to, err := base.Parse(name)
				if err != nil {
					return nil, err
				}
				segments = append(segments, to.String())
			}
		}
	}
	return segments, nil
}
