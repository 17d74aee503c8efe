package pipeline

import (
	"context"
	"path"

	"sluice/internal/engine"
	"sluice/internal/fault"
	"sluice/internal/ffmpeg"
	"sluice/internal/video"
)

// ingest probes the source, plans, and makes the steps of the generation.
func (p *Pipeline) ingest(ctx context.Context, r *run) error {
	if p.sources.waits(r.ref.Video, r.ref.Generation) { // known to need a copy: the room is asked for before the work
		file, err := p.pinned(ctx, r)
		if err != nil {
			return err
		}
		if err := p.reserve(r, file, copyNeed(file.Size)); err != nil {
			return err
		}
	}
	var facts video.Facts
	err := p.read(ctx, r, (*ffmpeg.Index).Probed, func(src ffmpeg.Source) (err error) {
		facts, err = p.Tool.Probe(ctx, src, path.Base(r.Video.Name))
		return err
	})
	if err != nil {
		return err
	}
	timed := facts // the facts of the file that is cut: the copy's, where there is one
	remux := ffmpeg.RemuxFor(facts)
	copied := ""
	if remux != "" {
		if copied, err = p.copied(ctx, r, remux, &facts); err != nil && fault.Of(err).Code == "remux_failed" && ffmpeg.Uncut(facts) {
			r.log.Info("the source is encoded in one piece", "why", err)
			remux, err = "", nil
		}
		if err != nil {
			return err
		}
	}
	if remux != "" {
		if timed, err = p.Tool.Probe(ctx, ffmpeg.Whole(copied), path.Base(copied)); err != nil {
			return err
		}
		timed = facts.OfCopy(timed)
	}
	settings := r.Settings
	if settings.MaxResolution == 0 {
		settings.MaxResolution = p.Resolution
	}
	plan, err := video.MakePlan(timed, settings, p.Config.Workers)
	if err != nil {
		return err
	}
	plan.Remux = remux
	p.at(r, "made")
	return p.Store.Plan(ctx, r.ref, timed, plan, stepJobs(r.ref, plan), r.done)
}

// stepJobs are the jobs of a plan, in the order of their worth to a viewer.
func stepJobs(ref video.StepRef, plan video.Plan) []engine.Job {
	var jobs []engine.Job
	add := func(name video.StepName, n int) {
		jobs = append(jobs, StepJob(video.StepRef{Video: ref.Video, Generation: ref.Generation, Name: name, N: n}))
	}
	if len(plan.Rungs) > 0 {
		for _, c := range plan.Chunks {
			add(video.Encode, c.N)
		}
		add(video.Stills, 0)
	}
	if plan.Audio != nil {
		add(video.Audio, 0)
	}
	return jobs
}
