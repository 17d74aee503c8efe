package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"sluice/internal/account"
)

// FactorCode is a second factor that somebody shows.
type FactorCode struct {
	Code string `json:"code" minLength:"1" maxLength:"64" example:"493 027" doc:"The six digits that the app shows now, or a recovery code; spaces and dashes don't count"`
}

// FactorProof proves once more who somebody is.
type FactorProof struct {
	Password string `json:"password,omitempty" maxLength:"256" example:"correct horse battery staple" doc:"The password. May be absent for a first second factor, within 10 minutes of signing in"`
	Code     string `json:"code,omitempty" maxLength:"64" example:"493 027" doc:"A code of the app, or a recovery code; for who has a second factor"`
}

// Factor is what somebody may know of their second factor.
type Factor struct {
	Since    Time `json:"since,omitzero" doc:"Since when they have one; absent where they have none"`
	Demanded bool `json:"demanded" example:"false" doc:"Whether this server asks them for one (second_factor)"`
	Left     int  `json:"recovery_left" example:"10" doc:"Recovery codes that were not used yet"`
}

// FactorOffer is a second factor for somebody's app.
type FactorOffer struct {
	Secret  string `json:"secret" example:"JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP" doc:"What the app is told, in base32, for who types it (RFC 6238: SHA-1, six digits, 30 seconds)"`
	URI     string `json:"uri" example:"otpauth://totp/…" doc:"The same as an address that apps open; GET /v1/factor/image is its QR code"`
	Expires Time   `json:"expires" doc:"Until when its first code is taken"`
}

// FactorSet is a second factor that counts.
type FactorSet struct {
	Recovery []string `json:"recovery_codes" example:"[\"abcd-efgh-ijkl-mnop-qrst-uvwx\"]" doc:"Ten codes, each good once instead of one of the app. They are told here and never again"`
}

type factorOutput struct{ Body Factor }

type factorCodeInput struct{ Body FactorCode }

type factorProofInput struct{ Body FactorProof }

type factorOfferOutput struct{ Body FactorOffer }

type factorSetOutput struct {
	SetCookie []string `header:"Set-Cookie" doc:"Another session in the place of all others, and by what the browser is known at its next sign-in"`
	Body      FactorSet
}

type recoveryOutput struct{ Body FactorSet }

type imageOutput struct {
	ContentType string `header:"Content-Type" hidden:"true"`
	Policy      string `header:"Cross-Origin-Resource-Policy" hidden:"true"`
	Body        []byte
}

func (s *service) routeFactors() {
	tags := []string{"second factor"}
	known := known("Asks for no scope: it is for who has signed in by password and has a second factor.")
	first := enrolling("Asks for no scope: it is about who asks, and who must set up a second factor needs it too.")
	own := settled("Asks for no scope: it is about who asks.")
	tries := problems{http.StatusForbidden: {codeSessionRequired, "password_required", "code_required"}, http.StatusConflict: {"external_user", "factor_lost"},
		http.StatusTooManyRequests: {"try_later"}, http.StatusUnprocessableEntity: {"wrong_password", "wrong_code"}}
	with := func(conflicts ...string) problems {
		all := problems{}
		for status, codes := range tries {
			all[status] = append([]string{}, codes...)
		}
		all[http.StatusConflict] = append(all[http.StatusConflict], conflicts...)
		return all
	}
	route(s, known, huma.Operation{OperationID: "proveFactor", Method: http.MethodPost, Path: "/v1/session/factor", Tags: tags, Summary: "Show the second factor, after the password",
		Description:   "Opens a session in the place of the one that waited. A code of the app is good once, in its 30 seconds and those before and after. After five failures in a row each try waits longer, up to 15 minutes.",
		DefaultStatus: http.StatusCreated, MaxBodyBytes: smallBody},
		problems{http.StatusForbidden: {codeSessionRequired}, http.StatusConflict: {"factor_not_asked", "factor_lost"}, http.StatusTooManyRequests: {"try_later"},
			http.StatusUnprocessableEntity: {"wrong_code"}}, s.proveFactor)
	route(s, first, huma.Operation{OperationID: "getFactor", Method: http.MethodGet, Path: "/v1/factor", Tags: tags, Summary: "Tell whether one has a second factor"},
		problems{http.StatusForbidden: {codeSessionRequired}}, s.factor)
	route(s, first, huma.Operation{OperationID: "offerFactor", Method: http.MethodPost, Path: "/v1/factor", Tags: tags, Summary: "Begin to set up a second factor",
		Description:   "Makes a secret for an app, for this session alone. It counts once a code of it is shown (POST /v1/factor/confirm), within 15 minutes; until then whatever was before does.",
		DefaultStatus: http.StatusCreated, MaxBodyBytes: smallBody}, with(), s.offerFactor)
	route(s, first, huma.Operation{OperationID: "showFactor", Method: http.MethodGet, Path: "/v1/factor/image", Tags: tags, Summary: "Show the QR code of the second factor that is being set up",
		Responses: map[string]*huma.Response{"200": {Description: "The QR code", Content: map[string]*huma.MediaType{"image/png": {Schema: &huma.Schema{Type: "string", Format: "binary"}}}}}},
		problems{http.StatusForbidden: {codeSessionRequired}, http.StatusGone: {"offer_gone"}}, s.factorImage)
	route(s, first, huma.Operation{OperationID: "setFactor", Method: http.MethodPost, Path: "/v1/factor/confirm", Tags: tags, Summary: "Set up a second factor by its first code",
		Description:  "Ends every session of the user, and opens a new one for the browser that asks. A letter tells the user. Recovery codes from before are good no more.",
		MaxBodyBytes: smallBody},
		problems{http.StatusForbidden: {codeSessionRequired}, http.StatusGone: {"offer_gone"}, http.StatusUnprocessableEntity: {"wrong_code"}}, s.setFactor)
	route(s, own, huma.Operation{OperationID: "makeRecoveryCodes", Method: http.MethodPost, Path: "/v1/factor/recovery-codes", Tags: tags, Summary: "Make other recovery codes",
		Description: "Those from before are good no more.", DefaultStatus: http.StatusCreated, MaxBodyBytes: smallBody}, with("no_factor"), s.makeRecoveryCodes)
	route(s, own, huma.Operation{OperationID: "removeFactor", Method: http.MethodPost, Path: "/v1/factor/remove", Tags: tags, Summary: "Remove one's second factor",
		Description: "Ends every session of the user, and opens a new one for the browser that asks. A letter tells the user.", MaxBodyBytes: smallBody},
		with("no_factor", "factor_demanded"), s.removeFactor)
	route(s, needs(account.UsersAdmin), huma.Operation{OperationID: "resetFactor", Method: http.MethodDelete, Path: "/v1/users/{id}/factor", Tags: []string{"users"},
		Summary: "Remove the second factor of a user who has lost it", Description: "Ends their sessions, and a letter tells them. Their password stays as it is.", DefaultStatus: http.StatusNoContent},
		problems{http.StatusNotFound: {"no_user"}, http.StatusConflict: {"no_factor"}, http.StatusForbidden: {"own_factor"}}, s.resetFactor)
}

func (s *service) proveFactor(ctx context.Context, in *factorCodeInput) (*signedInOutput, error) {
	done, err := s.Identity.Prove(ctx, who(ctx), in.Body.Code)
	if err != nil {
		return nil, err
	}
	return signedIn(done), nil
}

func (s *service) factor(ctx context.Context, _ *struct{}) (*factorOutput, error) {
	f, err := s.Identity.Factor(ctx, who(ctx))
	if err != nil {
		return nil, err
	}
	return &factorOutput{Body: Factor{Since: Time(f.Since), Demanded: f.Demanded, Left: f.Left}}, nil
}

func (s *service) offerFactor(ctx context.Context, in *factorProofInput) (*factorOfferOutput, error) {
	o, err := s.Identity.OfferFactor(ctx, who(ctx), in.Body.Password, in.Body.Code)
	if err != nil {
		return nil, err
	}
	return &factorOfferOutput{Body: FactorOffer{Secret: o.Secret, URI: o.URI, Expires: Time(o.Expires)}}, nil
}

// factorImage answers with the image for this page alone: another site's page that embeds it is told nothing by its size.
func (s *service) factorImage(ctx context.Context, _ *struct{}) (*imageOutput, error) {
	body, err := s.Identity.FactorImage(ctx, who(ctx))
	if err != nil {
		return nil, err
	}
	return &imageOutput{ContentType: "image/png", Policy: "same-origin", Body: body}, nil
}

func (s *service) setFactor(ctx context.Context, in *factorCodeInput) (*factorSetOutput, error) {
	done, err := s.Identity.SetFactor(ctx, who(ctx), in.Body.Code)
	if err != nil {
		return nil, err
	}
	return &factorSetOutput{SetCookie: cookies(done.Admission), Body: FactorSet{Recovery: done.Recovery}}, nil
}

func (s *service) makeRecoveryCodes(ctx context.Context, in *factorProofInput) (*recoveryOutput, error) {
	codes, err := s.Identity.MakeRecoveryCodes(ctx, who(ctx), in.Body.Password, in.Body.Code)
	if err != nil {
		return nil, err
	}
	return &recoveryOutput{Body: FactorSet{Recovery: codes}}, nil
}

func (s *service) removeFactor(ctx context.Context, in *factorProofInput) (*signedInOutput, error) {
	done, err := s.Identity.RemoveFactor(ctx, who(ctx), in.Body.Password, in.Body.Code)
	if err != nil {
		return nil, err
	}
	return signedIn(done), nil
}

func (s *service) resetFactor(ctx context.Context, in *userInput) (*struct{}, error) {
	return nil, s.Identity.ResetFactor(ctx, who(ctx), in.ID)
}
