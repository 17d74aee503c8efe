package pipeline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"sluice/internal/engine"
	"sluice/internal/fault"
	"sluice/internal/ffmpeg"
	"sluice/internal/manifest"
	"sluice/internal/video"
)

// publish checks what the steps made, writes the playlists and the MPD, and flips the video's pointer to this generation.
func (p *Pipeline) publish(ctx context.Context, r *run) error {
	parts, err := p.Results.Parts(ctx, r.ref)
	if err != nil {
		return err
	}
	tracks, stills, err := assemble(*r.Plan, parts)
	if err != nil {
		return err
	}
	moved, err := p.settle(ctx, r, tracks, stills)
	if err != nil {
		return err
	}
	if err := endTogether(*r.Plan, tracks); err != nil {
		return err
	}
	added := addedTo(parts)
	if err := p.verify(ctx, r, tracks, stills, added); err != nil {
		return err
	}
	output, err := p.describe(ctx, r, tracks, stills)
	if err != nil {
		return err
	}
	output.Added = r.Plan.Additions(*r.Video.Facts, output.Duration, added[video.VideoTrack], added[video.AudioTrack])
	var next []engine.Job
	if old := r.Video.Published; old > 0 && old != r.ref.Generation {
		next = append(next, RetireJob(r.ref.Video, old, p.Now().Add(p.RetireAfter)))
	}
	p.at(r, "made")
	err = p.Store.Publish(ctx, r.ref, output, next, r.done)
	if err == nil || errors.Is(err, video.ErrStale) { // stale: over, maybe by a commit of this try whose answer was lost
		p.sources.forget(r.ref.Video, r.ref.Generation)
	}
	if err == nil && moved > 0 { // the sweep removes what this does not
		if _, err := p.Objects.DeletePrefix(ctx, p.Media, attemptsPrefix(r.Video.Prefix, r.ref.Generation)); err != nil {
			r.log.Warn("outputs of attempts are left over", "error", err)
		}
	}
	return err
}

// settleAtOnce is how many objects are moved side by side.
const settleAtOnce = 8

// settle gives the outputs that an attempt put beside those of another their names, and returns how many it moved. The
// steps are done, so that each try at publish
// moves the same bytes: a late one changes nothing. Attempts that lost put only where nothing is.
func (p *Pipeline) settle(ctx context.Context, r *run, tracks []video.Track, stills []video.Object) (moved int, err error) {
	var objects []*video.Object
	for i := range tracks {
		objects = append(objects, &tracks[i].Init)
		for n := range tracks[i].Segments {
			objects = append(objects, &tracks[i].Segments[n].Object)
		}
	}
	for i := range stills {
		objects = append(objects, &stills[i])
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(settleAtOnce)
	for _, o := range objects {
		if o.At == "" {
			continue
		}
		moved++
		from := o.At
		o.At = ""
		group.Go(func() error {
			return p.Objects.Replace(ctx, p.Media, from, outputKey(r.Video, r.ref.Generation, o.Name))
		})
	}
	return moved, group.Wait()
}

// assemble joins the chunks' segments into whole tracks, video largest first, then audio, and checks that no segment is missing or out of place.
func assemble(plan video.Plan, parts []video.Part) (tracks []video.Track, stills []video.Object, err error) {
	byName := map[string]*video.Track{}
	slices.SortStableFunc(parts, func(a, b video.Part) int { return a.N - b.N })
	for _, part := range parts {
		if part.Name == video.Stills {
			stills = part.Result.Stills
		}
		for _, t := range part.Result.Tracks {
			whole := byName[t.Name]
			if whole == nil {
				byName[t.Name] = &t
				continue
			}
			if init := whole.Init; init.Name != t.Init.Name || init.Bytes != t.Init.Bytes || init.SHA256 != t.Init.SHA256 {
				return nil, nil, unfit("the init segments of two chunks of %s differ", t.Name)
			}
			whole.Segments = append(whole.Segments, t.Segments...)
		}
	}
	for _, rung := range plan.Rungs {
		if byName[rung.Name] == nil {
			return nil, nil, unfit("nothing was made of rung %s", rung.Name)
		}
		tracks = append(tracks, *byName[rung.Name])
	}
	if plan.Audio != nil {
		if byName[plan.Audio.Name] == nil {
			return nil, nil, unfit("nothing was made of the audio")
		}
		tracks = append(tracks, *byName[plan.Audio.Name])
	}
	for i := range tracks {
		if err := continuous(tracks[i]); err != nil {
			return nil, nil, err
		}
		manifest.Rate(&tracks[i])
	}
	return tracks, stills, nil
}

// continuous checks that a track's segments follow each other without a gap.
func continuous(t video.Track) error {
	var end uint64
	for i, s := range t.Segments {
		switch {
		case s.Number != int64(i+1):
			return unfit("%s: segment %d stands where %d should", t.Name, s.Number, i+1)
		case s.Bytes == 0 || s.Duration == 0:
			return unfit("%s: segment %d is empty", t.Name, s.Number)
		case i > 0 && s.Start != end:
			return unfit("%s: segment %d starts at %d, the one before ends at %d", t.Name, s.Number, s.Start, end)
		}
		end = s.Start + s.Duration
	}
	if len(t.Segments) == 0 {
		return unfit("%s has no segment", t.Name)
	}
	return nil
}

// endTogether checks that no track ends more than a segment before another: players that use Media Source Extensions
// stop for ever where one track ends before the presentation does.
func endTogether(plan video.Plan, tracks []video.Track) error {
	if plan.SegmentFrames == 0 || !plan.Together {
		return nil
	}
	first, last := tracks[0], tracks[0]
	for _, t := range tracks {
		if duration(t) < duration(first) {
			first = t
		}
		if duration(t) > duration(last) {
			last = t
		}
	}
	segment := time.Duration(float64(plan.SegmentFrames) / plan.Rate.Float() * float64(time.Second))
	if duration(last)-duration(first) > segment {
		return unfit("%s ends at %s, %s at %s", first.Name, duration(first), last.Name, duration(last))
	}
	return nil
}

// addedTo is how much of the end of the tracks of each kind is not of the source.
func addedTo(parts []video.Part) map[video.TrackKind]time.Duration {
	added := map[video.TrackKind]time.Duration{}
	for _, part := range parts {
		if len(part.Result.Tracks) > 0 {
			added[part.Result.Tracks[0].Kind] += part.Result.Added
		}
	}
	return added
}

// unfit says that the outputs don't pass. It is worth no second try: the steps that made them are done.
func unfit(format string, args ...any) error {
	return fault.New(fault.Invalid, "pipeline.publish", "output_unfit", "What was encoded did not pass the checks before publishing; encode the video again.", fmt.Errorf(format, args...))
}

// verify checks the outputs less what was added against the source, looks for each object with its size, and decodes the first, a middle
// and the last segment of each track: a tool's
// exit code proves nothing.
func (p *Pipeline) verify(ctx context.Context, r *run, tracks []video.Track, stills []video.Object, added map[video.TrackKind]time.Duration) error {
	// One listing costs a request for a thousand objects; ten hours of video have tens of thousands.
	sizes, err := p.Objects.Sizes(ctx, p.Media, generationPrefix(r.Video.Prefix, r.ref.Generation))
	if err != nil {
		return err
	}
	if err := p.whole(ctx, r, sizes, tracks, stills); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(p.Config.Workers)
	for _, t := range tracks {
		group.Go(func() error {
			source := r.Video.Facts.Duration
			switch {
			case t.Kind == video.VideoTrack:
				source = r.Video.Facts.Video.Duration
			case r.Plan.Sound(*r.Video.Facts) != nil:
				source = r.Plan.Sound(*r.Video.Facts).Duration
			}
			if err := ffmpeg.CheckDuration(duration(t)-added[t.Kind], source); err != nil {
				return err
			}
			return p.verifyTrack(ctx, r, t)
		})
	}
	return group.Wait()
}

// whole checks that every object is there with its size. A storage may list an object some time after it answered its
// PUT, or with its former size: each object that the listing does not show as it was made is asked for by itself before
// the generation fails for good.
func (p *Pipeline) whole(ctx context.Context, r *run, sizes map[string]int64, tracks []video.Track, stills []video.Object) error {
	objects := slices.Clone(stills)
	for _, t := range tracks {
		objects = append(objects, objectsOf(t)...)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(settleAtOnce)
	for _, o := range objects {
		key := outputKey(r.Video, r.ref.Generation, o.Name)
		if size, listed := sizes[key]; listed && size == o.Bytes {
			continue
		}
		if ctx.Err() != nil { // one is missing
			break
		}
		group.Go(func() error { return p.present(ctx, key, o) })
	}
	return group.Wait()
}

// present checks that one object is there with its size.
func (p *Pipeline) present(ctx context.Context, key string, o video.Object) error {
	there, err := p.Objects.Head(ctx, p.Media, key)
	switch {
	case fault.Is(err, fault.NotFound):
		return unfit("%s is not in the bucket", o.Name)
	case err != nil:
		return err
	case there.Size != o.Bytes:
		return unfit("%s has %d bytes in the bucket and had %d when it was made", o.Name, there.Size, o.Bytes)
	}
	return nil
}

// objectsOf are the objects of a track, its init segment first.
func objectsOf(t video.Track) []video.Object {
	objects := []video.Object{t.Init}
	for _, s := range t.Segments {
		objects = append(objects, s.Object)
	}
	return objects
}

// verifyTrack checks that a track decodes.
func (p *Pipeline) verifyTrack(ctx context.Context, r *run, t video.Track) error {
	objects := objectsOf(t)
	first, last := 1, len(objects)-1
	var files []string
	for _, i := range slices.Compact([]int{0, first, (first + last) / 2, last}) {
		file, err := p.Objects.Local(ctx, p.Media, outputKey(r.Video, r.ref.Generation, objects[i].Name))
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }() // what can't be removed from the cache is removed at the next start
		if err := file.Fetch(ctx); err != nil {
			return err
		}
		files = append(files, file.Path)
	}
	return p.Tool.Verify(ctx, files[0], files[1:], r.dir)
}

// duration is how long a track plays.
func duration(t video.Track) time.Duration {
	last := t.Segments[len(t.Segments)-1]
	return time.Duration(float64(last.Start+last.Duration) / float64(t.Timescale) * float64(time.Second))
}

// describe writes playlists and MPD, and returns what is published.
func (p *Pipeline) describe(ctx context.Context, r *run, tracks []video.Track, stills []video.Object) (video.Output, error) {
	var out video.Output
	for _, t := range tracks {
		out.Duration = max(out.Duration, duration(t))
		out.Bytes += t.Bytes
	}
	shown := manifest.Presentation{Tracks: tracks, Duration: out.Duration}
	files := map[string][]byte{manifest.HLS: manifest.Multivariant(shown), manifest.DASH: manifest.MPD(shown)}
	for _, t := range tracks {
		files[t.Name+"/"+manifest.HLS] = manifest.Media(t)
		if pictures := manifest.IFrames(t); pictures != nil {
			files[t.Name+"/"+manifest.IFrame] = pictures
		}
	}
	for name, body := range files {
		file := filepath.Join(r.dir, strings.ReplaceAll(name, "/", "_")) // each its own: the bucket links the file, so it must not be written again
		if err := os.WriteFile(file, body, 0o600); err != nil {
			return out, err
		}
		// The first try at publish wins: every one describes the same objects, and what is published never changes.
		object, err := p.Objects.PutFile(ctx, p.Media, outputKey(r.Video, r.ref.Generation, name), file, contentType(name))
		if err != nil {
			return out, err
		}
		out.Bytes += object.Size
	}
	for i, s := range stills {
		out.Bytes += s.Bytes
		key := outputKey(r.Video, r.ref.Generation, s.Name)
		if i == 0 {
			out.Poster = key
		} else {
			out.Thumbnail = key
		}
	}
	for i := range tracks {
		tracks[i].Segments = nil
	}
	out.Tracks = tracks
	out.HLS = outputKey(r.Video, r.ref.Generation, manifest.HLS)
	out.DASH = outputKey(r.Video, r.ref.Generation, manifest.DASH)
	return out, nil
}
