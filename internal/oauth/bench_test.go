package oauth

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"sluice/internal/account"
)

// shelf is a store in memory that has one service, and keeps keys.
type shelf struct {
	Store
	client account.Client
	keys   []account.SigningKey
}

func (s *shelf) Client(context.Context, string) (account.Client, error)    { return s.client, nil }
func (s *shelf) Denied(context.Context, time.Duration) ([]string, error)   { return nil, nil }
func (s *shelf) SigningKeys(context.Context) ([]account.SigningKey, error) { return s.keys, nil }
func (s *shelf) PutSigningKey(_ context.Context, k account.SigningKey) error {
	s.keys = append(s.keys, k)
	return nil
}

// BenchmarkVerify is what an access token of this server costs whoever asks with it, while what is known is fresh.
func BenchmarkVerify(b *testing.B) {
	c := account.Client{ID: "service", Kind: account.ServiceClient, Role: account.Viewer, Scopes: account.Scopes{account.VideosRead}}
	p, err := New(Config{Store: &shelf{client: c}, Users: &people{}, Issuer: "https://video.example.com", Secret: []byte("a secret of the folder"), Access: time.Hour, Idle: time.Hour, Most: time.Hour,
		Rotate: 48 * time.Hour, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	key, err := p.ring.signer(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	token, _, err := p.access(key, c, account.Consent{}, "videos/read")
	if err != nil {
		b.Fatal(err)
	}
	r := httptest.NewRequestWithContext(b.Context(), "GET", "/v1/videos", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok, err := p.Authenticate(r); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}
