package api

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"sluice/internal/account"
	"sluice/internal/grant"
	"sluice/internal/signing"
	"sluice/internal/video"
)

// PlaybackGranter decides about grants and signs them.
type PlaybackGranter interface {
	// Give gives p a grant. fault.NotFound for what is not there or out of reach, fault.Conflict for what can't be watched yet.
	Give(ctx context.Context, p account.Principal, r grant.Request) (grant.Grant, error)
}

// CookieRules are the attributes of the cookies that grants travel in.
type CookieRules struct {
	Domain   string        // empty: the host that answers
	Path     string        // empty: the folder of what the grant opens
	SameSite http.SameSite // 0: Lax
	Secure   bool
	// Set is whether cookies that this API sets come to the edge: where both have one host, or the domain covers both.
	Set bool
}

// PlaybackGrantRequest asks for the right to watch.
type PlaybackGrantRequest struct {
	Video         string    `json:"video,omitempty" maxLength:"40" example:"01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"Id of the video to watch. One of video, playback and all is needed"`
	Playback      string    `json:"playback,omitempty" maxLength:"40" example:"p-01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"Playback id to watch by"`
	All           bool      `json:"all,omitempty" example:"false" doc:"Everything that you may see, by cookies or as a query to put behind any address; good for Sluice's own edges alone"`
	Way           string    `json:"way,omitempty" enum:"cookies,url,manifest" example:"manifest" doc:"How the right travels: cookies, with which plain addresses play; manifest, an address that plays everywhere; url, the address of one file. Absent: manifest for a video, cookies for everything"`
	Path          string    `json:"path,omitempty" maxLength:"500" example:"poster.jpg" doc:"The one file that is meant, below the generation that plays. Needed for url; a manifest's path is answered as manifest, since its address alone would not open its segments"`
	ExpiresIn     int64     `json:"expires_in,omitempty" minimum:"1" example:"3600" doc:"Seconds. Absent: the setting grants.expiry, and for one video its length more; at most grants.longest, and for what members alone may watch grants.members and the length"`
	NotBefore     time.Time `json:"not_before,omitzero" example:"2026-03-09T14:05:06Z" doc:"From when on it is good; absent: at once"`
	IP            string    `json:"ip,omitempty" maxLength:"50" example:"203.0.113.0/24" doc:"Addresses that it is good for, one or a network. CloudFront knows IPv4 alone; Sluice's own edges know IPv6 too. Absent: all"`
	MaxResolution int       `json:"max_resolution,omitempty" enum:"240,360,480,720,1080,1440,2160" example:"720" doc:"Largest short side in pixels that it opens: of those above, manifests tell nothing and segments are refused. Absent: all there is"`
}

// PlaybackCookie is one cookie of a grant, for who sets it by themselves.
type PlaybackCookie struct {
	Name     string `json:"name" example:"CloudFront-Policy" doc:"Name"`
	Value    string `json:"value" example:"eyJTdGF0ZW1lbnQiOlt7…" doc:"Value"`
	Domain   string `json:"domain,omitempty" example:"example.com" doc:"Of the setting playback_cookies.domain; absent for the host alone"`
	Path     string `json:"path" example:"/stream/holiday-01jq3v8k2m4n5p6r7s8t9v0w1x/" doc:"Addresses that it is sent to"`
	Secure   bool   `json:"secure" example:"true" doc:"Whether it is sent by https alone"`
	HTTPOnly bool   `json:"http_only" example:"true" doc:"Scripts can't read it"`
	SameSite string `json:"same_site" enum:"lax,strict,none" example:"lax" doc:"Whether pages of other sites send it"`
}

// PlaybackGrant is the right to watch.
type PlaybackGrant struct {
	Way       string           `json:"way" enum:"cookies,url,manifest" example:"manifest" doc:"How it travels"`
	Policy    string           `json:"policy,omitempty" enum:"public,signed,members" example:"signed" doc:"Who may watch it. What is public needs no grant: its addresses are plain, and there is no credential. Absent for everything"`
	Expires   Time             `json:"expires,omitzero" doc:"When it ends; absent where none is needed"`
	KeyPair   string           `json:"key_pair_id,omitempty" example:"K2JCJMDEHXQW5F" doc:"The key pair that signed it"`
	Resource  string           `json:"resource,omitempty" example:"http://localhost:8080/stream/holiday-01jq3v8k2m4n5p6r7s8t9v0w1x/1/*" doc:"What it opens"`
	Query     string           `json:"query,omitempty" example:"Policy=…&Signature=…&Key-Pair-Id=…" doc:"It, to put behind an address that it opens"`
	Cookies   []PlaybackCookie `json:"cookies,omitempty" doc:"It, as cookies; they are set on this answer too where the edge would get them. Only for the way cookies"`
	HLS       string           `json:"hls,omitempty" format:"uri" example:"http://localhost:8080/stream/holiday-01jq3v8k2m4n5p6r7s8t9v0w1x/1/index.m3u8?Policy=…" doc:"HLS multivariant playlist, with the credential where the way is manifest"`
	DASH      string           `json:"dash,omitempty" format:"uri" example:"http://localhost:8080/stream/holiday-01jq3v8k2m4n5p6r7s8t9v0w1x/1/index.mpd?Policy=…" doc:"DASH MPD, with the credential where the way is manifest"`
	Poster    string           `json:"poster,omitempty" format:"uri" example:"http://localhost:8080/stream/holiday-01jq3v8k2m4n5p6r7s8t9v0w1x/1/poster.jpg?Policy=…" doc:"Full-size still, as hls; absent for audio alone"`
	Thumbnail string           `json:"thumbnail,omitempty" format:"uri" example:"http://localhost:8080/stream/holiday-01jq3v8k2m4n5p6r7s8t9v0w1x/1/poster-thumbnail.jpg?Policy=…" doc:"Small still, as hls; absent for audio alone"`
	URL       string           `json:"url,omitempty" format:"uri" example:"http://localhost:8080/stream/holiday-01jq3v8k2m4n5p6r7s8t9v0w1x/1/poster.jpg?Expires=…" doc:"The file of path, with the credential unless the way is cookies"`
}

type keyInput struct {
	Body PlaybackGrantRequest
}

type keyQueryInput struct {
	Video         string    `query:"video" maxLength:"40" example:"01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"Id of the video to watch. With neither video nor playback: everything that you may see"`
	Playback      string    `query:"playback" maxLength:"40" example:"p-01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"Playback id to watch by"`
	Way           string    `query:"way" enum:"cookies,url,manifest" default:"cookies" doc:"As in createKey"`
	Path          string    `query:"path" maxLength:"500" doc:"As in createKey"`
	ExpiresIn     int64     `query:"expires_in" minimum:"1" doc:"As in createKey"`
	NotBefore     time.Time `query:"not_before" doc:"As in createKey"`
	IP            string    `query:"ip" maxLength:"50" doc:"As in createKey"`
	MaxResolution int       `query:"max_resolution" enum:"240,360,480,720,1080,1440,2160" doc:"As in createKey"`
}

type keyOutput struct {
	SetCookie []string `header:"Set-Cookie"`
	Body      PlaybackGrant
}

func (s *service) routeKeys() {
	tags := []string{"playback"}
	refused := problems{http.StatusNotFound: {codeNoVideo, codeNoPlayback}, http.StatusConflict: {"not_playable", "too_many_playbacks"}, http.StatusForbidden: {codeForbidden},
		http.StatusUnprocessableEntity: {"grant_bad_time", "grant_bad_path", "grant_not_whole"}}
	const what = "For who may see the video, once it can be played. The right follows CloudFront's rules for private content: a custom policy, or for one file without " +
		"conditions a canned one. What is public needs none."
	route(s, needs(account.VideosRead), huma.Operation{OperationID: "createKey", Method: http.MethodPost, Path: "/v1/keys", Tags: tags,
		Summary: "Get the right to watch: as cookies, as a manifest that plays everywhere, or as the address of one file", Description: what, MaxBodyBytes: smallBody}, refused, s.createKey)
	route(s, needs(account.VideosRead), huma.Operation{OperationID: "getKeys", Method: http.MethodGet, Path: "/keys", Tags: tags,
		Summary: "Get the right to watch, asked for in the query", Description: what}, refused, s.getKeys)
}

func (s *service) createKey(ctx context.Context, in *keyInput) (*keyOutput, error) {
	b := in.Body
	named := 0
	for _, is := range []bool{b.Video != "", b.Playback != "", b.All} {
		if is {
			named++
		}
	}
	if named != 1 {
		return nil, invalid(codeInvalid, "body", "expected one of video, playback and all")
	}
	if b.Way == "" {
		b.Way = string(grant.Manifest)
		if b.All {
			b.Way = string(grant.Cookies)
		}
	}
	return s.give(ctx, b, "body")
}

func (s *service) getKeys(ctx context.Context, in *keyQueryInput) (*keyOutput, error) {
	if in.Video != "" && in.Playback != "" {
		return nil, invalid(codeInvalid, "query", "expected video or playback, or none of them")
	}
	return s.give(ctx, PlaybackGrantRequest{Video: in.Video, Playback: in.Playback, All: in.Video == "" && in.Playback == "", Way: in.Way, Path: in.Path, ExpiresIn: in.ExpiresIn,
		NotBefore: in.NotBefore, IP: in.IP, MaxResolution: in.MaxResolution}, "query")
}

// give reads a request whose fields were named in that place, and answers it.
func (s *service) give(ctx context.Context, b PlaybackGrantRequest, place string) (*keyOutput, error) {
	r := grant.Request{All: b.All, Way: grant.Delivery(b.Way), Path: b.Path, NotBefore: b.NotBefore, MaxResolution: b.MaxResolution}
	var ok bool
	if r.Video, ok = video.ParseID(b.Video); !ok && b.Video != "" {
		return nil, noVideo()
	}
	if r.Playback, ok = video.ParsePlaybackID(b.Playback); !ok && b.Playback != "" {
		return nil, noPlayback()
	}
	if r.Way == grant.URL && b.Path == "" && !b.All {
		return nil, invalid(codeInvalid, place+".path", "expected the path of a file for the way url, such as poster.jpg")
	}
	if b.ExpiresIn > int64(s.LongestGrant.Seconds()) {
		return nil, invalid("grant_bad_time", place+".expires_in", "expected at most the seconds of the setting grants.longest")
	}
	r.For = time.Duration(b.ExpiresIn) * time.Second
	if b.IP != "" {
		if r.Client, ok = readNetwork(b.IP); !ok {
			return nil, invalid(codeInvalid, place+".ip", "expected an address or a network such as 203.0.113.0/24")
		}
	}
	given, err := s.Giver.Give(ctx, who(ctx), r)
	if err != nil {
		return nil, err
	}
	return s.told(given), nil
}

// readNetwork reads a network, or an address as the network of it alone.
func readNetwork(text string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), true
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked(), err == nil
}

// told is a grant as it is answered.
func (s *service) told(g grant.Grant) *keyOutput {
	out := &keyOutput{Body: PlaybackGrant{Way: string(g.Way), Policy: string(g.Policy), Expires: Time(g.Expires), KeyPair: g.Credential.KeyPairID, Resource: g.Resource,
		HLS: g.HLS, DASH: g.DASH, Poster: g.Poster, Thumbnail: g.Thumbnail, URL: g.File}}
	if g.Credential == (signing.Credential{}) {
		return out
	}
	out.Body.Query = string(g.Credential.AppendQuery(nil))
	if g.Way != grant.Cookies {
		return out
	}
	for _, c := range g.Credential.Cookies() {
		told := s.cookie(c, g)
		if s.CookieRules.Set {
			out.SetCookie = append(out.SetCookie, told.String())
		}
		same := map[http.SameSite]string{http.SameSiteStrictMode: "strict", http.SameSiteNoneMode: "none"}[told.SameSite]
		if same == "" {
			same = "lax"
		}
		out.Body.Cookies = append(out.Body.Cookies, PlaybackCookie{Name: told.Name, Value: told.Value, Domain: told.Domain, Path: told.Path, Secure: told.Secure, HTTPOnly: told.HttpOnly, SameSite: same})
	}
	return out
}

// cookie is one of a grant as browsers shall keep it.
func (s *service) cookie(c signing.Cookie, g grant.Grant) *http.Cookie {
	rules := s.CookieRules
	at := rules.Path
	if at == "" {
		at = "/stream/"
		if g.Folder != "" {
			at += url.PathEscape(g.Folder) + "/"
		}
	}
	if rules.SameSite == 0 {
		rules.SameSite = http.SameSiteLaxMode
	}
	return &http.Cookie{Name: c.Name, Value: c.Value, Domain: rules.Domain, Path: at, Expires: g.Expires, Secure: rules.Secure, HttpOnly: true, SameSite: rules.SameSite}
}
