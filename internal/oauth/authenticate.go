package oauth

import (
	"net/http"

	"sluice/internal/account"
)

// Authenticate turns an access token of this provider into who asks. ok is false where the request carries no JWT. The error is Unauthorized, code
// "invalid_token", for one that is not good.
func (p *Provider) Authenticate(r *http.Request) (who account.Principal, ok bool, err error) {
	token, ok := bearer(r.Header.Get("Authorization"))
	if !ok || !looksLikeJWT(token) {
		return account.Principal{}, false, nil
	}
	_, who, err = p.shown(r.Context(), token)
	return who, true, err
}
