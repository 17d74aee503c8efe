package delivery

import (
	"bytes"
	"compress/gzip"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"sluice/internal/fault"
	"sluice/internal/manifest"
	"sluice/internal/signing"
)

// multivariant is the playlist of a generation that lists its rungs.
const multivariant = "index.m3u8"

// within refuses what is in the folder of a rung above the playback's cap. Which rungs are below it, the playlist under that cap says: where all
// are above, the lowest stays.
func (e *edge) within(ctx context.Context, v *request) error {
	if v.MaxResolution == 0 || v.choosable() {
		return nil
	}
	rung := v.rung()
	if rung == "" { // stills; media that is in no rung's folder can't be told
		if strings.HasPrefix(v.kind, "video/") {
			return errCapped
		}
		return nil
	}
	list := target{generation: v.generation, file: multivariant, kind: playlistKind}
	all, err := e.manifest(ctx, v.Prefix, list, manifest.Choice{})
	if err != nil {
		return err
	}
	allowed, err := e.manifest(ctx, v.Prefix, list, manifest.Choice{}.Capped(v.MaxResolution))
	if err != nil {
		return err
	}
	if slices.Contains(allowed.template.Folders(), rung) || !slices.Contains(all.template.Folders(), rung) && !named(rung) {
		return nil
	}
	return errCapped
}

// named reports whether a folder is called like a rung, "1080p/".
func named(folder string) bool {
	n, ok := strings.CutSuffix(folder, "p/")
	_, err := strconv.Atoi(n)
	return ok && err == nil
}

// serveManifest answers with a playlist, an MPD or a track: as the device gets it, and signed where the signature came in the address.
func (e *edge) serveManifest(w http.ResponseWriter, r *http.Request, v *request) error {
	var choice manifest.Choice
	h := w.Header()
	if v.choosable() {
		query, err := url.ParseQuery(v.query)
		if err != nil {
			return fault.New(fault.Invalid, "delivery.choose", "bad_query", "The query of this address can't be read; use the address as it was given.", nil)
		}
		if choice, err = Choose(Classify(r.Header.Get), query); err != nil {
			return err
		}
		choice = choice.Capped(v.MaxResolution)
		h.Set("Accept-CH", DeviceHints())
		h.Add("Vary", strings.Join(DeviceHeaders, ", "))
	}
	m, err := e.manifest(r.Context(), v.Prefix, v.target, choice)
	if err != nil {
		return err
	}
	h.Add("Vary", "Accept-Encoding")
	if sign := e.signer(r, v); sign != nil && m.template.Refers() {
		return e.sendSigned(w, r, v, m, sign)
	}
	text, tag := m.text, m.tag
	if m.squeezed != nil && squeezable(r) {
		text, tag = m.squeezed, m.tag+"-gzip"
		h.Set("Content-Encoding", "gzip")
		h.Set("Content-Length", strconv.Itoa(len(text)))
		r = bounded(r, 0)
	}
	e.describe(h, v, quoted(tag))
	http.ServeContent(w, bounded(r, 1), "", m.modified, bytes.NewReader(text))
	return nil
}

// buffers are for manifests that are made for one request.
var buffers = sync.Pool{New: func() any { return new([2][]byte) }}

// longSigned is the length from which a manifest for one request is compressed: a signature a reference makes it long, and is the same each time.
const longSigned = 8 << 10

// sendSigned answers with the manifest for this one request, which nobody keeps.
func (e *edge) sendSigned(w http.ResponseWriter, r *http.Request, v *request, m *entry, sign manifest.Signer) error {
	space := buffers.Get().(*[2][]byte)
	defer buffers.Put(space)
	text, err := m.template.Sign(space[0][:0], sign)
	if err != nil {
		return err
	}
	space[0] = text
	h := w.Header()
	e.describe(h, v, nil)
	if len(text) >= longSigned && squeezable(r) {
		if text, err = gzipped(space[1][:0], text, gzip.BestSpeed); err != nil {
			return err
		}
		space[1] = text
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Cache-Control", "private, no-store")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodGet {
		_, _ = w.Write(text) // the client is gone if this fails
	}
	return nil
}

// signer is what makes the queries of a manifest's references; nil where they get none. A canned signature is for one address. A custom one for
// exactly this address with max_resolution in it opens the rungs up to there: each gets a signature of its own. Any other is for a
// pattern, and goes behind each reference as it is.
func (e *edge) signer(r *http.Request, v *request) manifest.Signer {
	if v.grant == nil || v.credential.Policy == "" {
		return nil
	}
	scheme, host := e.address(r)
	base := scheme + "://" + host + v.path.String()
	resource := v.grant.Policy().Resource
	if v.choosable() && resource == base+"?"+v.query && strings.Contains("&"+v.query, "&max_resolution=") && !strings.Contains(resource, "*") {
		top := base[:strings.LastIndexByte(base, '/')+1]
		return func(folder string) (string, error) { return e.narrow(v, top, folder) }
	}
	if resource == base || resource == base+"?"+v.query && !strings.Contains(resource, "*") {
		return nil
	}
	return manifest.Everywhere(string(v.credential.AppendQuery(nil)))
}

// narrow is the query for what is in one folder below top, under the conditions of the visit's own signature. It is made once for each signature.
func (e *edge) narrow(v *request, top, folder string) (string, error) {
	if folder == "" { // what lies beside the manifest: a pattern for it would open all of the rungs
		return "", nil
	}
	name, ok := strings.CutSuffix(folder, "/")
	if !ok || strings.Trim(name, ".") == "" || strings.ContainsFunc(name, func(c rune) bool {
		return !('0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '-' || c == '_' || c == '.')
	}) {
		return "", fault.New(fault.Internal, "delivery.sign", "manifest_unfit", "The stored manifest can't be signed rung by rung; encode the video again.", nil)
	}
	g := v.grant
	resource := top + folder + "*"
	g.mu.Lock()
	defer g.mu.Unlock()
	if query, ok := g.narrow[resource]; ok {
		return query, nil
	}
	signers := v.ring.users
	if v.ring.internal[g.KeyPairID()] {
		signers = v.ring.members
	}
	key, err := signers.Signer(e.Now())
	if err != nil {
		return "", err
	}
	policy := g.Policy()
	c, err := key.Sign(signing.Policy{Resource: resource, Expires: policy.Expires, NotBefore: policy.NotBefore, Client: policy.Client})
	if err != nil {
		return "", err
	}
	if g.narrow == nil {
		g.narrow = map[string]string{}
	}
	g.narrow[resource] = string(c.AppendQuery(nil))
	return g.narrow[resource], nil
}

// squeezable reports whether a client takes gzip (RFC 9110 §12.5.3).
func squeezable(r *http.Request) bool {
	for _, line := range r.Header.Values("Accept-Encoding") {
		for one := range strings.SplitSeq(line, ",") {
			coding, weight, _ := strings.Cut(one, ";")
			if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
				q, err := strconv.ParseFloat(strings.TrimPrefix(strings.TrimSpace(weight), "q="), 64)
				return strings.TrimSpace(weight) == "" || err == nil && q > 0
			}
		}
	}
	return false
}
