package grant

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"sluice/internal/account"
	"sluice/internal/fault"
	"sluice/internal/signing"
	"sluice/internal/video"
)

// Delivery is how a grant travels.
type Delivery string

// The ways.
const (
	Cookies  Delivery = "cookies"  // by cookies that the viewer sends along; addresses stay plain
	URL      Delivery = "url"      // in the address of one file
	Manifest Delivery = "manifest" // in the address of a manifest, whose every URI then carries it
)

// Ways returns every way.
func Ways() []Delivery { return []Delivery{Cookies, URL, Manifest} }

// Store is the records that grants are decided by. Each method is one transaction.
type Store interface {
	// Video returns one video; fault.NotFound for none or a deleted one.
	Video(ctx context.Context, id video.ID) (video.Video, error)
	// PlaybackByID returns one playback as it is in force, the zero Playback for none.
	PlaybackByID(ctx context.Context, id video.PlaybackID, n int) (p video.Playback, served bool, err error)
	// AddPlayback makes a playback; one with a base once for each base and cap.
	AddPlayback(ctx context.Context, p video.PlaybackForm) (video.PlaybackForm, error)
}

// Config is what grants are made from.
type Config struct {
	Store Store
	Keys  *Keys
	// EdgeURL is where viewers fetch; Address makes the address there of a key in the media bucket.
	EdgeURL string
	Address func(edge, key string) string
	Usual   time.Duration // how long a grant is good that says nothing of it; one of a video for the video's length more
	Longest time.Duration // how long it may be asked for
	Members time.Duration // how long one is good at most of what members alone may watch; one of a video for the video's length more
	Now     func() time.Time
}

// Service gives grants. It may be used by many goroutines.
type Service struct{ Config }

// New makes a Giver.
func New(c Config) *Service {
	c.EdgeURL = strings.TrimRight(c.EdgeURL, "/")
	return &Service{c}
}

// Request asks for a grant of one of: a video, a playback of a video, or everything.
type Request struct {
	Video         video.ID
	Playback      video.PlaybackID
	All           bool
	Way           Delivery
	Path          string        // of a file below the generation: "poster.jpg"; empty: all of them
	For           time.Duration // 0: the usual time
	NotBefore     time.Time     // zero: good at once
	Client        netip.Prefix  // zero: from anywhere
	MaxResolution int           // 0: no cap but the playback's own
}

// Grant is what was given.
type Grant struct {
	Way        Delivery
	Policy     video.Policy // of what it opens; empty for everything
	Folder     string       // of addresses at the edge; empty for everything
	Resource   string       // what the credential is for
	Credential signing.Credential
	Expires    time.Time // zero where none is needed
	// Addresses of what it opens, with the credential where that travels in them; empty for what there is none of.
	HLS, DASH, Poster, Thumbnail, File string
}

// Give gives p a grant. fault.NotFound (no_video, no_playback, no_file) for what is not there or out of p's reach; fault.Conflict (not_playable) for what
// can't be watched yet; fault.Invalid (grant_bad_time, grant_not_whole) for what no grant can say.
func (g *Service) Give(ctx context.Context, p account.Principal, r Request) (Grant, error) {
	if r.All {
		from, until, err := g.times(r, g.Usual)
		if err != nil {
			return Grant{}, err
		}
		return g.everything(ctx, p, r, from, until)
	}
	o, err := g.opening(ctx, p, r)
	if err != nil {
		return Grant{}, err
	}
	from, until, err := g.times(r, g.whole(g.Usual, o))
	if err != nil {
		return Grant{}, err
	}
	out := Grant{Way: r.Way, Policy: o.policy, Folder: o.folder}
	if r.Path != "" {
		if out.File, err = g.file(o, r.Path); err != nil {
			return Grant{}, err
		}
	}
	if r.Way == URL && manifests[path.Ext(r.Path)] {
		out.Way = Manifest // one signed file would not open its segments
	}
	g.plain(&out, o)
	if o.policy == video.Public {
		return out, nil
	}
	purpose := signing.ForPlayback
	if o.policy == video.Members {
		purpose = signing.ForMembers
		until = g.sooner(until, g.whole(g.Members, o))
	}
	signer, err := g.Keys.Signer(ctx, purpose, nil)
	if err != nil {
		return Grant{}, err
	}
	return g.sign(out, r, o, signer, signing.Policy{NotBefore: from, Expires: until, Client: r.Client})
}

// manifests are the endings of files that other files belong to.
var manifests = map[string]bool{".m3u8": true, ".mpd": true}

// whole is a time and the length of what is opened: players that can't get a new grant on their way, as the video elements of browsers and devices, reach the end.
func (g *Service) whole(life time.Duration, o opening) time.Duration {
	return min(life+o.output.Duration, g.Longest)
}

// times are when a grant begins, in the policy's sense (the last second before), and when it ends.
func (g *Service) times(r Request, usual time.Duration) (from, until time.Time, err error) {
	now := g.Now()
	until = now.Add(cmp.Or(r.For, usual)).Truncate(time.Second)
	bad := func(message string) error { return fault.New(fault.Invalid, "grant", "grant_bad_time", message, nil) }
	switch {
	case r.For < 0 || r.For > g.Longest:
		return from, until, bad(fmt.Sprintf("Grants are good for 1 s to %d s here; ask for less.", int64(g.Longest.Seconds())))
	case !r.NotBefore.IsZero() && !r.NotBefore.Before(until):
		return from, until, bad("The grant would end before it begins; ask for a later end or an earlier beginning.")
	case !r.NotBefore.IsZero():
		from = r.NotBefore.Truncate(time.Second).Add(-time.Second)
	}
	return from, until, nil
}

// sooner is an end, in so long at most.
func (g *Service) sooner(until time.Time, most time.Duration) time.Time {
	if bound := g.Now().Add(most).Truncate(time.Second); bound.Before(until) {
		return bound
	}
	return until
}

// everything grants what p may see. A policy can't name workspaces, which are in no address: so the key pair says for which ones it stands, and the edge heeds that.
func (g *Service) everything(ctx context.Context, p account.Principal, r Request, from, until time.Time) (Grant, error) {
	if r.MaxResolution != 0 || r.Path != "" || r.Way == Manifest {
		return Grant{}, fault.New(fault.Invalid, "grant.all", "grant_not_whole", "A grant of everything has neither a path nor a cap, and there is no manifest of everything; name a video.", nil)
	}
	reach := p.Reach()
	var workspaces []string
	if !reach.All {
		workspaces = slices.Compact(slices.Sorted(slices.Values(reach.Workspaces)))
		if len(workspaces) == 0 {
			return Grant{}, fault.New(fault.Forbidden, "grant.all", "forbidden", "You belong to no workspace; ask an administrator to add you to one.", nil)
		}
	}
	signer, err := g.Keys.Signer(ctx, signing.ForMembers, workspaces)
	if err != nil {
		return Grant{}, err
	}
	out := Grant{Way: r.Way, Resource: g.EdgeURL + "/stream/*", Expires: g.sooner(until, g.Members)}
	out.Credential, err = signer.Sign(signing.Policy{Resource: out.Resource, NotBefore: from, Expires: out.Expires, Client: r.Client})
	return out, err
}

// opening is what a grant opens.
type opening struct {
	folder     string // of addresses at the edge
	generation int
	policy     video.Policy
	output     video.Output
	prefix     string // of the keys of the video's generations
}

// opening finds what is asked for, and decides whether p may have it.
func (g *Service) opening(ctx context.Context, p account.Principal, r Request) (o opening, err error) {
	id, form := r.Video, video.Playback{}
	if r.Playback != "" {
		if form, _, err = g.Store.PlaybackByID(ctx, r.Playback, 0); err != nil {
			return o, err
		}
		if form.ID == "" || form.Revoked || id != "" && id != form.Video {
			return o, noPlayback()
		}
		id = form.Video
	}
	v, err := g.Store.Video(ctx, id)
	if err != nil || !p.MaySee(account.Subject{Owner: v.Owner, Workspace: v.Workspace, Ready: v.Status == video.Ready}) {
		switch {
		case err != nil && !fault.Is(err, fault.NotFound):
			return o, err
		case r.Playback != "":
			return o, noPlayback()
		default:
			return o, fault.New(fault.NotFound, "grant", "no_video", "There is no video with this id.", nil)
		}
	}
	if v.Output == nil || v.Published == 0 {
		return o, fault.New(fault.Conflict, "grant", "not_playable", "The video can't be watched yet; wait until it is ready.", nil)
	}
	o = opening{folder: path.Base(v.Prefix), generation: v.Published, policy: v.Policy, output: *v.Output, prefix: v.Prefix}
	base := string(v.ID)
	if form.ID != "" {
		o.folder, o.policy, base = string(form.ID), form.Policy, string(form.ID)
	}
	if r.MaxResolution != 0 && (form.MaxResolution == 0 || r.MaxResolution < form.MaxResolution) {
		capped, err := g.Store.AddPlayback(ctx, video.PlaybackForm{ID: video.NewPlaybackID(g.Now()), Video: v.ID, Base: base, MaxResolution: r.MaxResolution})
		if err != nil {
			return o, err
		}
		o.folder = string(capped.ID)
	}
	return o, nil
}

func noPlayback() error {
	return fault.New(fault.NotFound, "grant", "no_playback", "There is no such playback id, or it was revoked.", nil)
}

// plain fills in the addresses of what is opened.
func (g *Service) plain(out *Grant, o opening) {
	out.HLS, out.DASH = g.address(o, o.output.HLS), g.address(o, o.output.DASH)
	out.Poster, out.Thumbnail = g.address(o, o.output.Poster), g.address(o, o.output.Thumbnail)
}

// address is where a key of the video is at the edge, by the folder that is opened; empty for no key.
func (g *Service) address(o opening, key string) string {
	below, ok := strings.CutPrefix(key, o.prefix+"/")
	if !ok {
		return ""
	}
	return g.Address(g.EdgeURL, path.Dir(o.prefix)+"/"+o.folder+"/"+below)
}

// file is the address of a file of the published generation, which must be one that a signature can be for.
func (g *Service) file(o opening, name string) (string, error) {
	at := g.address(o, fmt.Sprintf("%s/%d/%s", o.prefix, o.generation, name))
	_, err := signing.Normalize(strings.TrimPrefix(at, g.EdgeURL))
	if err != nil || at == "" || path.Clean("/"+name) != "/"+name {
		return "", fault.New(fault.Invalid, "grant", "grant_bad_path", "The path is not that of a file; name one below the generation, such as poster.jpg or 720p/index.m3u8.", err)
	}
	return at, nil
}

// sign adds the credential to what was opened.
func (g *Service) sign(out Grant, r Request, o opening, signer signing.KeyPair, policy signing.Policy) (_ Grant, err error) {
	out.Expires = policy.Expires
	stream := strings.TrimSuffix(g.Address(g.EdgeURL, path.Dir(o.prefix)+"/"+o.folder+"/x"), "x")
	switch {
	case out.Way == Manifest:
		out.Resource = fmt.Sprintf("%s%d/*", stream, o.generation)
	case r.Path != "":
		out.Resource = out.File
	default:
		out.Resource = stream + "*"
	}
	if out.Resource == out.File && policy.NotBefore.IsZero() && !policy.Client.IsValid() {
		out.Credential, err = signer.SignCanned(out.File, policy.Expires)
	} else {
		policy.Resource = out.Resource
		out.Credential, err = signer.Sign(policy)
	}
	if err != nil || out.Way == Cookies {
		return out, err
	}
	for _, at := range []*string{&out.HLS, &out.DASH, &out.Poster, &out.Thumbnail, &out.File} {
		if *at != "" && (out.Way == Manifest || at == &out.File) {
			*at = out.Credential.SignedURL(*at)
		}
	}
	return out, nil
}
