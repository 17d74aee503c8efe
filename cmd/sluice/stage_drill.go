//go:build drill

package main

import (
	"context"
	"time"

	"sluice/internal/bucket"
	"sluice/internal/engine"
	"sluice/internal/event"
	"sluice/internal/sweep"
	"sluice/internal/video"
)

// around does a move between its two points.
func around(move string, do func() error) error {
	failpoint(move + ".before")
	err := do()
	failpoint(move + ".after")
	return err
}

// stageRecords has a point before and after every method that moves facts. test/drill lists them.
func stageRecords(r records) records { return stagedRecords{r} }

type stagedRecords struct{ records }

func (s stagedRecords) Grant(ctx context.Context, v video.Video, up video.Upload, looks []engine.Job) error {
	return around("Grant", func() error { return s.records.Grant(ctx, v, up, looks) })
}

func (s stagedRecords) Looked(ctx context.Context, id video.ID, next time.Time, looks []engine.Job, done engine.Handle) error {
	return around("Looked", func() error { return s.records.Looked(ctx, id, next, looks, done) })
}

func (s stagedRecords) Received(ctx context.Context, v video.Video, src video.Source, next func(video.ID) []engine.Job) (id video.ID, fresh bool, err error) {
	err = around("Received", func() error { id, fresh, err = s.records.Received(ctx, v, src, next); return err })
	return id, fresh, err
}

func (s stagedRecords) Enqueue(ctx context.Context, jobs []engine.Job) error {
	return around("Enqueue", func() error { return s.records.Enqueue(ctx, jobs) })
}

func (s stagedRecords) Lost(ctx context.Context, id video.ID, published int, what event.Type, why video.Failure) (marked bool, err error) {
	err = around("Lost", func() error { marked, err = s.records.Lost(ctx, id, published, what, why); return err })
	return marked, err
}

func (s stagedRecords) Begin(ctx context.Context, ref video.StepRef, worker string, done engine.Handle) (w video.StepInput, err error) {
	err = around("Begin."+string(ref.Name), func() error { w, err = s.records.Begin(ctx, ref, worker, done); return err })
	return w, err
}

func (s stagedRecords) Plan(ctx context.Context, ref video.StepRef, facts video.Facts, plan video.Plan, next []engine.Job, done engine.Handle) error {
	return around("Plan."+string(ref.Name), func() error { return s.records.Plan(ctx, ref, facts, plan, next, done) })
}

func (s stagedRecords) Finish(ctx context.Context, ref video.StepRef, result video.Result, last []engine.Job, done engine.Handle) error {
	return around("Finish."+string(ref.Name), func() error { return s.records.Finish(ctx, ref, result, last, done) })
}

func (s stagedRecords) Publish(ctx context.Context, ref video.StepRef, output video.Output, next []engine.Job, done engine.Handle) error {
	return around("Publish."+string(ref.Name), func() error { return s.records.Publish(ctx, ref, output, next, done) })
}

func (s stagedRecords) Fail(ctx context.Context, ref video.StepRef, failure video.StepFailure, next []engine.Job, done engine.Handle) error {
	return around("Fail", func() error { return s.records.Fail(ctx, ref, failure, next, done) })
}

func (s stagedRecords) Remove(ctx context.Context, id video.ID, done engine.Handle) error {
	return around("Remove", func() error { return s.records.Remove(ctx, id, done) })
}

func (s stagedRecords) Retire(ctx context.Context, id video.ID, generation int, done engine.Handle) error {
	return around("Retire", func() error { return s.records.Retire(ctx, id, generation, done) })
}

func (s stagedRecords) Retirable(ctx context.Context, id video.ID, generation int, done engine.Handle) (prefix string, err error) {
	err = around("Retirable", func() error { prefix, err = s.records.Retirable(ctx, id, generation, done); return err })
	return prefix, err
}

func (s stagedRecords) Edit(ctx context.Context, id video.ID, edit video.Edit) (v video.Video, err error) {
	err = around("Edit", func() error { v, err = s.records.Edit(ctx, id, edit); return err })
	return v, err
}

func (s stagedRecords) Delete(ctx context.Context, id video.ID, next []engine.Job) error {
	return around("Delete.record", func() error { return s.records.Delete(ctx, id, next) })
}

func (s stagedRecords) Encode(ctx context.Context, id video.ID, settings video.Settings, next func(generation int) []engine.Job) (v video.Video, err error) {
	err = around("Encode", func() error { v, err = s.records.Encode(ctx, id, settings, next); return err })
	return v, err
}

func (s stagedRecords) Redrive(ctx context.Context, id video.ID, only *video.StepRef, jobs func(video.StepRef) []engine.Job) (v video.Video, err error) {
	err = around("Redrive", func() error { v, err = s.records.Redrive(ctx, id, only, jobs); return err })
	return v, err
}

func (s stagedRecords) CancelStep(ctx context.Context, ref video.StepRef, next []engine.Job) error {
	return around("CancelStep", func() error { return s.records.CancelStep(ctx, ref, next) })
}

func (s stagedRecords) Subscribe(ctx context.Context, sub event.Subscription) (kept event.Subscription, err error) {
	err = around("Subscribe", func() error { kept, err = s.records.Subscribe(ctx, sub); return err })
	return kept, err
}

func (s stagedRecords) Unsubscribe(ctx context.Context, id string) error {
	return around("Unsubscribe", func() error { return s.records.Unsubscribe(ctx, id) })
}

func (s stagedRecords) Claim(ctx context.Context, subscription string, done engine.Handle) (m event.Mail, err error) {
	err = around("Claim", func() error { m, err = s.records.Claim(ctx, subscription, done); return err })
	return m, err
}

func (s stagedRecords) Settle(ctx context.Context, m event.Mail, state event.State, why event.Trouble, every time.Duration, done engine.Handle) error {
	return around("Settle", func() error { return s.records.Settle(ctx, m, state, why, every, done) })
}

func (s stagedRecords) Delay(ctx context.Context, m event.Mail, why event.Trouble) error {
	return around("Delay", func() error { return s.records.Delay(ctx, m, why) })
}

func (s stagedRecords) Wake(ctx context.Context) (n int, err error) {
	err = around("Wake", func() error { n, err = s.records.Wake(ctx); return err })
	return n, err
}

func (s stagedRecords) DueCopies(ctx context.Context, limit int, done engine.Handle) (all []video.Copies, err error) {
	err = around("DueCopies", func() error { all, err = s.records.DueCopies(ctx, limit, done); return err })
	return all, err
}

func (s stagedRecords) CopiesDropped(ctx context.Context, told []video.Copies, done engine.Handle) error {
	return around("CopiesDropped", func() error { return s.records.CopiesDropped(ctx, told, done) })
}

func (s stagedRecords) WakePurge(ctx context.Context) (woken bool, err error) {
	err = around("WakePurge", func() error { woken, err = s.records.WakePurge(ctx); return err })
	return woken, err
}

func (s stagedRecords) DropCopies(ctx context.Context, id video.ID) error {
	return around("DropCopies", func() error { return s.records.DropCopies(ctx, id) })
}

// stageBlobs has a point before and after every method that makes or removes an object.
func stageBlobs(b blobs) blobs { return stagedBlobs{b} }

type stagedBlobs struct{ blobs }

func (s stagedBlobs) Pin(ctx context.Context, src bucket.Object, to, key string) (o bucket.Object, err error) {
	err = around("Pin", func() error { o, err = s.blobs.Pin(ctx, src, to, key); return err })
	return o, err
}

func (s stagedBlobs) PutFile(ctx context.Context, to, key, path, contentType string) (o bucket.Object, err error) {
	err = around("PutFile", func() error { o, err = s.blobs.PutFile(ctx, to, key, path, contentType); return err })
	return o, err
}

func (s stagedBlobs) PutOwn(ctx context.Context, to, key, path, contentType string) (own bool, err error) {
	err = around("PutOwn", func() error { own, err = s.blobs.PutOwn(ctx, to, key, path, contentType); return err })
	return own, err
}

func (s stagedBlobs) Replace(ctx context.Context, in, from, key string) error {
	return around("Replace", func() error { return s.blobs.Replace(ctx, in, from, key) })
}

func (s stagedBlobs) Delete(ctx context.Context, from, key string) error {
	return around("Delete.object", func() error { return s.blobs.Delete(ctx, from, key) })
}

func (s stagedBlobs) DeleteWrite(ctx context.Context, o bucket.Object) (other bool, err error) {
	err = around("DeleteWrite", func() error { other, err = s.blobs.DeleteWrite(ctx, o); return err })
	return other, err
}

func (s stagedBlobs) DeletePrefix(ctx context.Context, from, prefix string) (n int, err error) {
	err = around("DeletePrefix", func() error { n, err = s.blobs.DeletePrefix(ctx, from, prefix); return err })
	return n, err
}

func (s stagedBlobs) BeginParts(ctx context.Context, in, key, contentType string) (id string, err error) {
	err = around("BeginParts", func() error { id, err = s.blobs.BeginParts(ctx, in, key, contentType); return err })
	return id, err
}

func (s stagedBlobs) JoinParts(ctx context.Context, m bucket.Multipart, parts []bucket.Part) error {
	return around("JoinParts", func() error { return s.blobs.JoinParts(ctx, m, parts) })
}

func (s stagedBlobs) Abort(ctx context.Context, m bucket.Multipart) error {
	return around("Abort.upload", func() error { return s.blobs.Abort(ctx, m) })
}

// stageSweep has a point before and after every method by which a sweep moves facts, and stageLeftovers before and after those that remove objects. Those that other rooms
// have too are points of their own here, because each point kills once.
func stageSweep(s sweep.Store) sweep.Store { return stagedSweep{s} }

type stagedSweep struct{ sweep.Store }

func (s stagedSweep) Abandon(ctx context.Context, id video.ID) (gone bool, err error) {
	err = around("Abandon", func() error { gone, err = s.Store.Abandon(ctx, id); return err })
	return gone, err
}

func (s stagedSweep) Enqueue(ctx context.Context, jobs []engine.Job) error {
	return around("Enqueue.sweep", func() error { return s.Store.Enqueue(ctx, jobs) })
}

func stageHistory(h sweep.History) sweep.History { return stagedHistory{h} }

type stagedHistory struct{ sweep.History }

func (s stagedHistory) Forget(ctx context.Context, before time.Time, limit int) (more bool, err error) {
	err = around("Forget", func() error { more, err = s.History.Forget(ctx, before, limit); return err })
	return more, err
}

func stageLeftovers(o sweep.Objects) sweep.Objects { return stagedLeftovers{o} }

type stagedLeftovers struct{ sweep.Objects }

func (s stagedLeftovers) DeletePrefix(ctx context.Context, from, prefix string) (n int, err error) {
	err = around("DeletePrefix.sweep", func() error { n, err = s.Objects.DeletePrefix(ctx, from, prefix); return err })
	return n, err
}

func (s stagedLeftovers) Abort(ctx context.Context, m bucket.Multipart) error {
	return around("Abort", func() error { return s.Objects.Abort(ctx, m) })
}

// stageJobs has a point before and after every method by which operators move jobs and queues.
func stageJobs(o operations) operations { return stagedJobs{o} }

type stagedJobs struct{ operations }

func (s stagedJobs) Retry(ctx context.Context, id int64) (j engine.Status, err error) {
	err = around("Retry", func() error { j, err = s.operations.Retry(ctx, id); return err })
	return j, err
}

func (s stagedJobs) SetQueue(ctx context.Context, name string, change engine.QueueChange) (q engine.QueueState, err error) {
	err = around("SetQueue", func() error { q, err = s.operations.SetQueue(ctx, name, change); return err })
	return q, err
}

// stageDuties has a point before and after every method that moves a duty.
func stageDuties(d engine.Duties) engine.Duties { return stagedDuties{d} }

type stagedDuties struct{ duties engine.Duties }

func (s stagedDuties) TakeDuty(ctx context.Context, d engine.Duty, due bool) (taken bool, err error) {
	err = around("TakeDuty", func() error { taken, err = s.duties.TakeDuty(ctx, d, due); return err })
	return taken, err
}

func (s stagedDuties) KeepDuty(ctx context.Context, d engine.Duty) (kept bool, err error) {
	err = around("KeepDuty", func() error { kept, err = s.duties.KeepDuty(ctx, d); return err })
	return kept, err
}

func (s stagedDuties) EndDuty(ctx context.Context, d engine.Duty, next time.Duration) error {
	return around("EndDuty", func() error { return s.duties.EndDuty(ctx, d, next) })
}

func (s stagedDuties) HurryDuty(ctx context.Context, name string) error {
	return around("HurryDuty", func() error { return s.duties.HurryDuty(ctx, name) })
}

func (s stagedDuties) DutyState(ctx context.Context, name string) (engine.DutyState, error) {
	return s.duties.DutyState(ctx, name)
}
