package main

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"time"

	"sluice/internal/account"
	"sluice/internal/delivery"
	"sluice/internal/engine"
	"sluice/internal/fault"
	"sluice/internal/identity"
	"sluice/internal/seal"
	"sluice/internal/text"
)

// The session's cookie. A browser takes __Host-… only over TLS, for one host and every path (RFC 6265bis §4.1.3.2).
const (
	secureCookie = "__Host-sluice"
	plainCookie  = "sluice" // where public_url is http://
)

// openIdentity makes the room of accounts.
func (a *App) openIdentity() error {
	secure := strings.HasPrefix(a.settings.PublicURL, "https://")
	cookie := plainCookie
	if secure {
		cookie = secureCookie
	}
	c := identity.Config{
		Store: stageIdentity(a.store), Cookie: cookie, Secure: secure, Mail: a.settings.SMTP.Host != "", Hashes: runtime.NumCPU(), Now: now, Log: a.log,
		Site: "Sluice " + strings.ReplaceAll(hostOf(a.settings.PublicURL), ":", "."), Demand: account.SecondFactorPolicy(a.settings.SecondFactor),
	}
	var err error
	if a.settings.has(roleAPI) { // else nobody signs in here
		c.Seal, err = seal.New(a.seal, "sluice second factor")
	}
	a.identity, a.links.Now, a.links.Record = identity.New(c), now, a.store.RecordAct
	return err
}

// firstAdmin makes an administrator where there is none; greet prints how to sign in.
func (a *App) firstAdmin(ctx context.Context) error {
	if !a.settings.has(roleAPI) || a.settings.OIDC.Only { // a password would open nothing
		return nil
	}
	password, err := a.identity.First(ctx, a.settings.AdminEmail)
	if fault.Of(err).Code == "email_taken" && err != nil {
		a.log.Warn("there is no administrator, and admin_email belongs to another user; make one with 'sluice users role'", "admin_email", a.settings.AdminEmail)
		return nil
	}
	a.first = password
	return err
}

// forgetful is the duty that forgets what has expired of accounts.
func (a *App) forgetful() engine.Duty {
	return engine.Duty{Name: "accounts", Every: identity.PruneEvery, Do: a.identity.Prune}
}

// checkIdentity refuses settings of accounts that can't be used.
func (s *Settings) checkIdentity() error {
	if name, host, ok := strings.Cut(s.AdminEmail, "@"); !ok || name == "" || host == "" || strings.ContainsFunc(s.AdminEmail, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("admin_email is %q; use an address such as admin@example.com", s.AdminEmail)
	}
	for _, p := range s.TrustedProxies {
		if _, err := proxyPrefix(p); err != nil {
			return fmt.Errorf("trusted_proxies has %q; use addresses and networks such as 127.0.0.1 or 10.0.0.0/8", p)
		}
	}
	return nil
}

func proxyPrefix(text string) (netip.Prefix, error) {
	if ip, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	return netip.ParsePrefix(text)
}

// proxies are those whose X-Forwarded-For is believed.
func (a *App) proxies() (all []netip.Prefix) {
	for _, text := range a.settings.TrustedProxies {
		if p, err := proxyPrefix(text); err == nil { // checkIdentity has let only these through
			all = append(all, p.Masked())
		}
	}
	return all
}

// calling tells the handlers where each request comes from.
func (a *App) calling(next http.Handler) http.Handler {
	proxies := a.proxies()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller := account.Caller{Address: clientAddress(r, proxies), Agent: printable(r.UserAgent(), 200)}
		if c, err := r.Cookie(a.identity.Config.Cookie); err == nil {
			caller.Cookie = c.Value
		}
		if c, err := r.Cookie(a.identity.DeviceCookie()); err == nil {
			caller.Device = c.Value
		}
		next.ServeHTTP(w, r.WithContext(account.WithCaller(r.Context(), caller)))
	})
}

// clientAddress is the address of the client, empty where it can't be told.
func clientAddress(r *http.Request, proxies []netip.Prefix) string {
	at := delivery.ClientAddress(r, proxies)
	if !at.IsValid() {
		return ""
	}
	return at.WithZone("").String()
}

// printable is text on one line, of at most so many characters.
func printable(s string, most int) string {
	clean := []rune(text.Line(s))
	return string(clean[:min(len(clean), most)])
}

// greetFirst says how to sign in for the first time.
func (a *App) greetFirst() string {
	if a.first == "" {
		return ""
	}
	return fmt.Sprintf("\nSign in once, by %s, and choose a password:\n\n  Page        %s/#/signin\n  E-mail      %s\n  Password    %s\n",
		now().Add(7*24*time.Hour).Format("2 January 2006, 15:04"), a.settings.PublicURL, a.settings.AdminEmail, a.first)
}
