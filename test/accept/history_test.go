package accept

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

// system is Sluice with its storage, as a history drives it.
type system interface {
	// client is an S3 client of the storage that tries once.
	client() *s3.Client
	// videos are those that are not deleted, whose keys begin with prefix.
	videos(ctx context.Context, prefix string) ([]clip, error)
	// remove deletes a video, as the API does; its objects go later.
	remove(ctx context.Context, id string) error
	// purge does the work that follows deletions. At the moment that stage names, meanwhile runs; it says whether the
	// process dies there.
	purge(ctx context.Context, stage string, meanwhile func() (dies bool)) error
	// reconcile looks through the storage.
	reconcile(ctx context.Context) error
	// tell is the storage's event of a key.
	tell(ctx context.Context, key string) error
	// away takes the database away while do runs. It returns true where a PUT of do can't have been accepted.
	away(do func()) (surely bool)
	// dying kills the process at some moment while do runs, and starts another.
	dying(do func())
	// restart kills the process and starts another.
	restart(ctx context.Context) error
	// sweep removes leftovers, days later.
	sweep(ctx context.Context) error
	// pins reads the pinned bytes of videos with keys below prefix, and of no video; staging lists what lies in the
	// storage and is no object.
	pins(ctx context.Context) (map[string]string, error)
	staging() ([]string, error)
	// prompt says that the storage is Sluice's, whose every answer is ours and which accepts a write before it answers.
	prompt() bool
}

// op is one operation of a history. What it is done to is chosen by number among what is there, so that a history makes
// sense with any of its operations left out.
type op struct {
	kind      string
	key, body int
	which     int
	stage     string // of a purge
	inner     *op    // done at that stage; nil for the process's death
}

func (o op) String() string {
	s := fmt.Sprintf("%s key=%d body=%d which=%d", o.kind, o.key, o.body, o.which)
	if o.stage != "" {
		s += " at " + o.stage + ": "
		if o.inner == nil {
			return s + "the process dies"
		}
		s += o.inner.String()
	}
	return s
}

// keys and bodies are few, so that the same ones meet often.
const keys, bodies = 2, 2

func keyOf(prefix string, n int) string { return fmt.Sprintf("%s/%c.mp4", prefix, 'a'+n%keys) }

func bodyOf(n int) string { return fmt.Sprintf("body %d", n%bodies) }

// stages are the moments of a deletion at which something else may happen.
var stages = []string{"DeleteWrite.before", "DeleteWrite.after", "Delete.before", "Delete.after", "Remove.before", "Remove.after"}

// kinds are the operations, each as often as it is listed.
var kinds = []string{
	"put", "put", "put", "put", "put", "put", "begin", "begin", "part", "part", "part", "complete", "complete", "complete", "complete", "abort",
	"unknown", "copy", "copy", "unput", "remove", "remove", "remove", "remove", "purge", "purge", "purge", "reconcile", "tell", "tell", "restart", "tick", "tick",
	"lost", "sweep",
}

// history makes the operations of a seed.
func history(seed uint64, length int) []op {
	random := rand.New(rand.NewPCG(seed, 9))
	one := func() op {
		return op{kind: kinds[random.IntN(len(kinds))], key: random.IntN(keys), body: random.IntN(bodies), which: random.IntN(8)}
	}
	all := make([]op, length)
	for i := range all {
		all[i] = one()
		if all[i].kind == "purge" && random.IntN(2) == 0 {
			all[i].stage = stages[random.IntN(len(stages))]
			if random.IntN(3) > 0 {
				all[i].inner = &op{kind: []string{"put", "put", "put", "unput", "tell", "reconcile"}[random.IntN(6)], key: random.IntN(keys), body: random.IntN(bodies)}
			}
		}
	}
	return all
}

// multipart is an upload in parts.
type multipart struct {
	key   string
	id    string
	body  string // of its one part; empty before
	etag  string
	state string // "open", "done" or "aborted"
	was   fact   // what it became
}

// play is one history under way.
type play struct {
	system
	model   *model
	prefix  string
	uploads []*multipart
	counts  map[string]int
}

// run plays a history, and says where it is not what the model says.
func run(ctx context.Context, s system, prefix string, all []op, counts map[string]int) error {
	p := &play{system: s, model: newModel(s.prompt()), prefix: prefix, counts: counts}
	for n, o := range all {
		err := p.do(ctx, o)
		if err == nil {
			err = p.look(ctx, false)
		}
		if err != nil {
			return fmt.Errorf("operation %d, %v: %w", n+1, o, err)
		}
	}
	if err := p.settle(ctx); err != nil {
		return fmt.Errorf("at the end: %w", err)
	}
	return nil
}

// settle has everything come to its end, and looks whether anything is lost or left over.
func (p *play) settle(ctx context.Context) error {
	for range 2 {
		if err := errors.Join(p.purge(ctx, "", nil), p.reconcile(ctx)); err != nil {
			return err
		}
		p.model.seen()
	}
	if err := errors.Join(p.sweep(ctx), p.look(ctx, true)); err != nil {
		return err
	}
	videos, err := p.videos(ctx, "") // histories before this one left theirs on a foreign storage
	if err != nil {
		return err
	}
	pins, err := p.pins(ctx)
	if err != nil {
		return err
	}
	if err := p.model.left(videos, pins); err != nil {
		return err
	}
	rest, err := p.staging()
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("left over in the storage: %v", rest)
	}
	return err
}

// look compares all that is there with the model.
func (p *play) look(ctx context.Context, settled bool) error {
	videos, err := p.videos(ctx, p.prefix+"/")
	if err != nil {
		return err
	}
	objects := map[string]fact{}
	out, err := p.client().ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String("uploads"), Prefix: aws.String(p.prefix + "/")})
	if err != nil {
		return err
	}
	for _, o := range out.Contents {
		objects[*o.Key] = fact{*o.Key, strings.Trim(*o.ETag, `"`), o.LastModified.Unix()}
	}
	return p.model.look(videos, objects, settled)
}

// wrote notes what a write left: err is what its client was told.
func (p *play) wrote(ctx context.Context, key, body string, err error) (fact, error) {
	head, herr := p.client().HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String("uploads"), Key: &key})
	if herr != nil {
		if err != nil && code(herr) == "NotFound" {
			return fact{}, nil // it was refused, and nothing is there
		}
		return fact{}, fmt.Errorf("a write was answered %w, and a HEAD %w", err, herr)
	}
	f := fact{key, strings.Trim(*head.ETag, `"`), head.LastModified.Unix()}
	if err == nil || p.model.current[key] != f {
		p.model.stored(f, body, err == nil)
	}
	return f, nil
}

func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return fmt.Sprint(err)
}

func pick[T any](all []T, n int) (one T, ok bool) {
	if len(all) == 0 {
		return one, false
	}
	return all[n%len(all)], true
}

// do does one operation. It is an error where the answer is not the model's.
func (p *play) do(ctx context.Context, o op) error {
	key, body := keyOf(p.prefix, o.key), bodyOf(o.body)
	up, any := pick(p.uploads, o.which)
	p.counts[o.kind]++
	switch o.kind {
	case "put":
		return p.put(ctx, key, body)
	case "lost":
		var err error
		if surely := p.away(func() { _, err = p.client().PutObject(ctx, putting(key, body)) }); surely && err == nil {
			return errors.New("without a database a PUT is answered 200")
		} else if err != nil && !p.prompt() {
			return fmt.Errorf("the storage is there and answers a PUT %w", err)
		}
		_, err = p.wrote(ctx, key, body, err)
		return err
	case "killed":
		return p.killed(ctx, *o.inner)
	case "begin":
		out, err := p.client().CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: aws.String("uploads"), Key: &key})
		if err == nil {
			p.uploads = append(p.uploads, &multipart{key: key, id: *out.UploadId, state: "open"})
		}
		return err
	case "part":
		if !any {
			return nil
		}
		return p.part(ctx, up, body)
	case "complete":
		if !any {
			return nil
		}
		return p.complete(ctx, up)
	case "unknown":
		return p.complete(ctx, &multipart{key: key, id: "00000000-0000-4000-8000-000000000000", state: "aborted", etag: `"9a0364b9e99bb480dd25e1f0284c8555"`})
	case "abort":
		if !any {
			return nil
		}
		_, err := p.client().AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: aws.String("uploads"), Key: &up.key, UploadId: &up.id})
		if up.state != "open" && !p.prompt() {
			return nil
		}
		if open := up.state == "open"; open != (err == nil) || !open && code(err) != "NoSuchUpload" {
			return fmt.Errorf("aborting an upload that is %s is answered %w", up.state, err)
		}
		if up.state == "open" {
			up.state = "aborted"
		}
		return nil
	case "copy":
		from := keyOf(p.prefix, o.key+1)
		was, there := p.model.current[from]
		_, err := p.client().CopyObject(ctx, &s3.CopyObjectInput{Bucket: aws.String("uploads"), Key: &key, CopySource: aws.String("uploads/" + from)})
		if (!there || p.model.writes[was].deleted) && code(err) == "NoSuchKey" {
			return nil
		}
		if err != nil || !there {
			return fmt.Errorf("a copy of %v (there: %v) is answered %w", was, there, err)
		}
		_, err = p.wrote(ctx, key, p.model.writes[was].body, nil)
		return err
	case "unput":
		_, err := p.client().DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String("uploads"), Key: &key})
		p.model.unstored(key)
		return err
	case "remove":
		f, any := pick(p.model.live(), o.which)
		if !any {
			return nil
		}
		id := p.model.writes[f].video
		err := p.remove(ctx, id)
		p.model.removed(id)
		return err
	case "purge":
		var inner error
		err := p.purge(ctx, o.stage, func() bool {
			if o.inner != nil {
				p.counts["within a deletion"]++
				inner = p.do(ctx, *o.inner)
			} else {
				p.counts["died"]++
			}
			return o.inner == nil
		})
		return errors.Join(err, inner)
	case "reconcile":
		err := p.reconcile(ctx)
		p.model.seen()
		return err
	case "tell":
		err := p.tell(ctx, key)
		if f, there := p.model.current[key]; there && !p.model.writes[f].deleted {
			p.model.writes[f].due = true
		}
		return err
	case "restart":
		return p.restart(ctx)
	case "sweep":
		for _, up := range p.uploads { // the sweep aborts what was left alone for days
			if up.state == "open" {
				up.state = "aborted"
			}
		}
		return p.sweep(ctx)
	case "tick":
		time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second)))
		return nil
	}
	return fmt.Errorf("there is no operation %s", o.kind)
}

// killed does an operation whose process dies during it or soon after. A client that got no answer then asks again,
// and the second answer has to be that of the model.
func (p *play) killed(ctx context.Context, o op) (err error) {
	key, body := keyOf(p.prefix, o.key), bodyOf(o.body)
	up, any := pick(p.uploads, o.which)
	p.counts["killed in "+o.kind]++
	switch o.kind {
	case "put":
		p.dying(func() { _, err = p.client().PutObject(ctx, putting(key, body)) })
		_, err = p.wrote(ctx, key, body, err)
		return err
	case "copy":
		from := keyOf(p.prefix, o.key+1)
		was, there := p.model.current[from]
		if !there || p.model.writes[was].deleted {
			return nil
		}
		p.dying(func() {
			_, err = p.client().CopyObject(ctx, &s3.CopyObjectInput{Bucket: aws.String("uploads"), Key: &key, CopySource: aws.String("uploads/" + from)})
		})
		_, err = p.wrote(ctx, key, p.model.writes[was].body, err)
		return err
	case "part":
		if !any || up.state != "open" {
			return nil
		}
		p.dying(func() { err = p.part(ctx, up, body) })
		if err != nil {
			err = p.part(ctx, up, body)
		}
		return err
	case "complete":
		if !any || up.state != "open" || up.body == "" {
			return nil
		}
		p.dying(func() { _, err = p.join(ctx, up) })
		if err != nil {
			return p.complete(ctx, up)
		}
		up.state = "done"
		up.was, err = p.wrote(ctx, up.key, up.body, nil)
		return err
	case "abort":
		if !any || up.state != "open" {
			return nil
		}
		abort := func() {
			_, err = p.client().AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: aws.String("uploads"), Key: &up.key, UploadId: &up.id})
		}
		p.dying(abort)
		if err != nil {
			abort()
		}
		if up.state = "aborted"; code(err) == "NoSuchUpload" {
			err = nil
		}
		return err
	case "unput":
		unput := func() {
			_, err = p.client().DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String("uploads"), Key: &key})
		}
		p.dying(unput)
		if err != nil {
			unput()
		}
		p.model.unstored(key)
		return err
	case "remove":
		p.dying(func() { err = p.do(ctx, o) })
		return err
	}
	return fmt.Errorf("the process does not die in %s", o.kind)
}

func putting(key, body string) *s3.PutObjectInput {
	return &s3.PutObjectInput{Bucket: aws.String("uploads"), Key: &key, Body: strings.NewReader(body)}
}

func (p *play) put(ctx context.Context, key, body string) error {
	if _, err := p.client().PutObject(ctx, putting(key, body)); err != nil {
		return err
	}
	_, err := p.wrote(ctx, key, body, nil)
	return err
}

func (p *play) part(ctx context.Context, up *multipart, body string) error {
	out, err := p.client().UploadPart(ctx, &s3.UploadPartInput{
		Bucket: aws.String("uploads"), Key: &up.key, UploadId: &up.id, PartNumber: aws.Int32(1), Body: strings.NewReader(body),
	})
	if up.state != "open" {
		if p.prompt() && code(err) != "NoSuchUpload" {
			return fmt.Errorf("a part of an upload that is %s is answered %w", up.state, err)
		}
		return nil
	}
	if err == nil {
		up.body, up.etag = body, *out.ETag
	}
	return err
}

// join asks the storage to complete an upload.
func (p *play) join(ctx context.Context, up *multipart) (*s3.CompleteMultipartUploadOutput, error) {
	parts := []types.CompletedPart{{ETag: &up.etag, PartNumber: aws.Int32(1)}}
	if up.etag == "" {
		parts[0].ETag = aws.String(`"9a0364b9e99bb480dd25e1f0284c8555"`)
	}
	return p.client().CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: aws.String("uploads"), Key: &up.key, UploadId: &up.id, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	})
}

// complete completes an upload. A second time it may be answered as the first one while its object is still there; else
// there is no such upload.
func (p *play) complete(ctx context.Context, up *multipart) error {
	out, err := p.join(ctx, up)
	switch {
	case up.state != "open" && !p.prompt(): // what another's server answers then is its own: Ceph 16 says 500
		return nil
	case up.state == "open" && up.body == "":
		if err == nil || p.prompt() && code(err) != "InvalidPart" {
			return fmt.Errorf("completing an upload without parts is answered %w", err)
		}
		return nil
	case up.state == "open":
		if err != nil {
			return fmt.Errorf("completing an upload is answered %w", err)
		}
		up.state = "done"
		up.was, err = p.wrote(ctx, up.key, up.body, nil)
		return err
	case !slices.Contains([]string{"", "NoSuchUpload"}, code(err)) && err != nil:
		return fmt.Errorf("completing an upload that is %s is answered %w", up.state, err)
	case err != nil:
		return nil
	case up.state == "aborted":
		return fmt.Errorf("completing an upload that was aborted, or never was, is answered 200 with ETag %s", *out.ETag)
	case p.model.current[up.key] != up.was || strings.Trim(*out.ETag, `"`) != up.was.etag:
		return fmt.Errorf("completing an upload again is answered 200 with ETag %s, and %v lies there", *out.ETag, p.model.current[up.key])
	}
	return nil
}

// shrink leaves out of a history what does not keep it from failing, for as long as it is given.
func shrink(all []op, limit time.Duration, fails func([]op) bool) []op {
	for until, size := time.Now().Add(limit), len(all)/2; size > 0; size /= 2 {
		for at := 0; at+size <= len(all); {
			if time.Now().After(until) {
				return all
			}
			if less := slices.Delete(slices.Clone(all), at, at+size); fails(less) {
				all = less
			} else {
				at += size
			}
		}
	}
	return all
}
