package delivery

import (
	"bytes"
	"compress/gzip"
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"sluice/internal/fault"
	"sluice/internal/manifest"
)

const (
	// manifestBytes bounds the manifests that are kept, with what was made of them.
	manifestBytes = 64 << 20
	// longestManifest is a playlist of two days in segments of four seconds, or an MPD of as many rungs as nobody makes.
	longestManifest = 8 << 20
	// squeezeFrom is the length from which gzip is worth its while.
	squeezeFrom = 1 << 10
)

// entry is a manifest, as one choice of devices gets it, or a track. It never changes.
type entry struct {
	template *manifest.Template
	text     []byte
	squeezed []byte // by gzip; nil where that isn't worth it
	tag      string
	modified time.Time
	bytes    int
}

// manifestCache keeps manifests, the last used longest. Nothing in it was signed: who may have it is decided before, each time.
type manifestCache struct {
	limit  int
	flight singleflight.Group

	mu     sync.Mutex
	recent list.List // of shelved
	known  map[string]*list.Element
	bytes  int
}

type shelved struct {
	key string
	*entry
}

func newManifestCache(limit int) *manifestCache {
	return &manifestCache{limit: limit, known: map[string]*list.Element{}}
}

// get returns what is kept under key, or makes it, once for all who ask at a time.
func (s *manifestCache) get(ctx context.Context, key string, makeIt func(context.Context) (*entry, error)) (*entry, error) {
	if m := s.recall(key); m != nil {
		return m, nil
	}
	result := s.flight.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		m, err := makeIt(ctx)
		if err == nil {
			s.keep(key, m)
		}
		return m, err
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case r := <-result:
		m, _ := r.Val.(*entry)
		return m, r.Err
	}
}

func (s *manifestCache) recall(key string) *entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.known[key]
	if !ok {
		return nil
	}
	s.recent.MoveToFront(at)
	return at.Value.(shelved).entry
}

func (s *manifestCache) keep(key string, m *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.known[key]; there || m.bytes > s.limit {
		return
	}
	s.known[key] = s.recent.PushFront(shelved{key, m})
	for s.bytes += m.bytes; s.bytes > s.limit; {
		oldest := s.recent.Remove(s.recent.Back()).(shelved)
		delete(s.known, oldest.key)
		s.bytes -= oldest.bytes
	}
}

// manifest is what a device of a choice gets of a playlist or an MPD.
func (e *edge) manifest(ctx context.Context, prefix string, t target, choice manifest.Choice) (*entry, error) {
	object := t.key(prefix)
	return e.manifests.get(ctx, object+"\x00"+choice.Key(), func(ctx context.Context) (*entry, error) {
		text, modified, err := e.stored(ctx, object)
		if err != nil {
			return nil, err
		}
		return compose(text, modified, t, choice)
	})
}

// compose makes it.
func compose(text []byte, modified time.Time, t target, choice manifest.Choice) (_ *entry, err error) {
	m := &entry{modified: modified}
	cut := manifest.CutPlaylist
	switch t.kind {
	case mpdKind:
		cut = manifest.CutMPD
	case trackKind:
		cut = manifest.CutTrack
	}
	if choice != (manifest.Choice{}) {
		apply := choice.Playlist
		if t.kind == mpdKind {
			apply = choice.MPD
		}
		if text, err = apply(text); err != nil {
			return nil, err
		}
	}
	m.text = text
	if m.template, err = cut(text); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	m.tag = hex.EncodeToString(sum[:12])
	if len(text) >= squeezeFrom {
		if m.squeezed, err = gzipped(nil, text, gzip.DefaultCompression); err != nil {
			return nil, err
		}
	}
	const cuts = 4 // a template holds some bytes a reference, and a reference is some characters of the text
	m.bytes = cuts*len(text) + len(m.squeezed)
	return m, nil
}

// stored reads an object whole.
func (e *edge) stored(ctx context.Context, key string) (text []byte, modified time.Time, err error) {
	var body io.ReadCloser
	if name, local := e.Objects.LocalPath(e.MediaBucket, key); local {
		o, err := open(name)
		if err != nil {
			return nil, time.Time{}, e.absent(ctx, key, err)
		}
		body, modified = os.NewFile(uintptr(o.fd), name), o.changed
	} else {
		remote, object, err := e.Objects.Get(ctx, e.MediaBucket, key, "")
		if err != nil {
			return nil, time.Time{}, unkeyed(err)
		}
		body, modified = remote, object.Modified
	}
	text, err = io.ReadAll(io.LimitReader(body, longestManifest+1))
	if err = errors.Join(err, body.Close()); err != nil {
		return nil, time.Time{}, away(err)
	}
	if len(text) > longestManifest {
		return nil, time.Time{}, fault.New(fault.Internal, "delivery", "manifest_unfit", "The stored manifest is too long; encode the video again.", nil)
	}
	return text, modified, nil
}

// squeezers are gzip writers for what is made for one request.
var squeezers = sync.Pool{New: func() any {
	w, _ := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed) // the level is one
	return w
}}

// gzipped appends text to dst, by gzip.
func gzipped(dst, text []byte, level int) ([]byte, error) {
	out := bytes.NewBuffer(dst)
	var w *gzip.Writer
	if level == gzip.BestSpeed {
		w = squeezers.Get().(*gzip.Writer)
		defer squeezers.Put(w)
		w.Reset(out)
	} else {
		var err error
		if w, err = gzip.NewWriterLevel(out, level); err != nil {
			return nil, err
		}
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
