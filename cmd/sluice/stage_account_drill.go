//go:build drill

package main

import (
	"context"
	"time"

	"sluice/internal/account"
	"sluice/internal/api"
	"sluice/internal/engine"
	"sluice/internal/grant"
	"sluice/internal/identity"
	"sluice/internal/notify"
	"sluice/internal/oauth"
	"sluice/internal/signing"
	"sluice/internal/video"
)

// What follows has a point before and after every method by which accounts, letters, programs and what is signed are moved. test/drill lists them.

func stageIdentity(s identity.Store) identity.Store { return stagedIdentity{s} }

type stagedIdentity struct{ identity.Store }

func (s stagedIdentity) Invite(ctx context.Context, u account.User, temp account.Temporary) error {
	return around("Invite", func() error { return s.Store.Invite(ctx, u, temp) })
}

func (s stagedIdentity) EditUser(ctx context.Context, id string, e account.UserEdit, act account.AuditEntry) (u account.User, err error) {
	err = around("EditUser", func() error { u, err = s.Store.EditUser(ctx, id, e, act); return err })
	return u, err
}

func (s stagedIdentity) RemoveUser(ctx context.Context, id string, act account.AuditEntry) error {
	return around("RemoveUser", func() error { return s.Store.RemoveUser(ctx, id, act) })
}

func (s stagedIdentity) FirstAdmin(ctx context.Context, u account.User, temp account.Temporary) (made bool, err error) {
	err = around("FirstAdmin", func() error { made, err = s.Store.FirstAdmin(ctx, u, temp); return err })
	return made, err
}

func (s stagedIdentity) Open(ctx context.Context, o account.NewSession) error {
	return around("Open", func() error { return s.Store.Open(ctx, o) })
}

func (s stagedIdentity) Enter(ctx context.Context, e account.SignIn) error {
	return around("Enter", func() error { return s.Store.Enter(ctx, e) })
}

func (s stagedIdentity) SeeSession(ctx context.Context, id string, at time.Time) error {
	return around("SeeSession", func() error { return s.Store.SeeSession(ctx, id, at) })
}

func (s stagedIdentity) EndSession(ctx context.Context, user, id string, act account.AuditEntry) error {
	return around("EndSession", func() error { return s.Store.EndSession(ctx, user, id, act) })
}

func (s stagedIdentity) EndSessions(ctx context.Context, user, but string, act account.AuditEntry) error {
	return around("EndSessions", func() error { return s.Store.EndSessions(ctx, user, but, act) })
}

func (s stagedIdentity) Strike(ctx context.Context, names []string, change func(string, account.FailureCount) account.FailureCount, act *account.AuditEntry) error {
	return around("Strike", func() error { return s.Store.Strike(ctx, names, change, act) })
}

func (s stagedIdentity) SetPassword(ctx context.Context, p account.NewPassword) error {
	return around("SetPassword", func() error { return s.Store.SetPassword(ctx, p) })
}

func (s stagedIdentity) Reissue(ctx context.Context, temp account.Temporary) error {
	return around("Reissue", func() error { return s.Store.Reissue(ctx, temp) })
}

func (s stagedIdentity) OfferCode(ctx context.Context, email, hash string, l account.Message, act account.AuditEntry, done engine.Handle) error {
	return around("OfferCode", func() error { return s.Store.OfferCode(ctx, email, hash, l, act, done) })
}

func (s stagedIdentity) Enqueue(ctx context.Context, jobs []engine.Job) error {
	return around("Enqueue.account", func() error { return s.Store.Enqueue(ctx, jobs) })
}

func (s stagedIdentity) OfferFactor(ctx context.Context, o account.SecondFactorSetup) error {
	return around("OfferFactor", func() error { return s.Store.OfferFactor(ctx, o) })
}

func (s stagedIdentity) SetFactor(ctx context.Context, f account.NewFactor) error {
	return around("SetFactor", func() error { return s.Store.SetFactor(ctx, f) })
}

func (s stagedIdentity) Prove(ctx context.Context, p account.Proof) error {
	return around("Prove", func() error { return s.Store.Prove(ctx, p) })
}

func (s stagedIdentity) SetCodes(ctx context.Context, c account.NewCodes) error {
	return around("SetCodes", func() error { return s.Store.SetCodes(ctx, c) })
}

func (s stagedIdentity) EndFactor(ctx context.Context, e account.FactorEnd) error {
	return around("EndFactor", func() error { return s.Store.EndFactor(ctx, e) })
}

func (s stagedIdentity) ResetFactor(ctx context.Context, id string, act account.AuditEntry) error {
	return around("ResetFactor", func() error { return s.Store.ResetFactor(ctx, id, act) })
}

func (s stagedIdentity) AddToken(ctx context.Context, k account.NewToken) error {
	return around("AddToken", func() error { return s.Store.AddToken(ctx, k) })
}

func (s stagedIdentity) SeeToken(ctx context.Context, id string, at time.Time) error {
	return around("SeeToken", func() error { return s.Store.SeeToken(ctx, id, at) })
}

func (s stagedIdentity) RevokeToken(ctx context.Context, user, id string, act account.AuditEntry) error {
	return around("RevokeToken", func() error { return s.Store.RevokeToken(ctx, user, id, act) })
}

func (s stagedIdentity) EndProgram(ctx context.Context, user, client string, act account.AuditEntry) error {
	return around("EndProgram", func() error { return s.Store.EndProgram(ctx, user, client, act) })
}

func (s stagedIdentity) Leave(ctx context.Context, user, id string, act account.AuditEntry) (hint string, err error) {
	err = around("Leave", func() error { hint, err = s.Store.Leave(ctx, user, id, act); return err })
	return hint, err
}

func (s stagedIdentity) Expel(ctx context.Context, e account.BackchannelLogout) (n int, err error) {
	err = around("Expel", func() error { n, err = s.Store.Expel(ctx, e); return err })
	return n, err
}

func (s stagedIdentity) AddWorkspace(ctx context.Context, w account.Workspace, act account.AuditEntry) error {
	return around("AddWorkspace", func() error { return s.Store.AddWorkspace(ctx, w, act) })
}

func (s stagedIdentity) RenameWorkspace(ctx context.Context, id, name string, act account.AuditEntry) (w account.Workspace, err error) {
	err = around("RenameWorkspace", func() error { w, err = s.Store.RenameWorkspace(ctx, id, name, act); return err })
	return w, err
}

func (s stagedIdentity) RemoveWorkspace(ctx context.Context, id string, act account.AuditEntry) error {
	return around("RemoveWorkspace", func() error { return s.Store.RemoveWorkspace(ctx, id, act) })
}

func (s stagedIdentity) Letter(ctx context.Context, id int64, act account.AuditEntry) (l account.Message, err error) {
	err = around("Letter", func() error { l, err = s.Store.Letter(ctx, id, act); return err })
	return l, err
}

func (s stagedIdentity) Prune(ctx context.Context, e account.Expired) error {
	return around("Prune", func() error { return s.Store.Prune(ctx, e) })
}

func stageLetters(l notify.Letters) notify.Letters { return stagedLetters{l} }

type stagedLetters struct{ notify.Letters }

func (s stagedLetters) ClaimLetter(ctx context.Context, id int64, done engine.Handle) (l account.Message, err error) {
	err = around("ClaimLetter", func() error { l, err = s.Letters.ClaimLetter(ctx, id, done); return err })
	return l, err
}

func (s stagedLetters) SettleLetter(ctx context.Context, l account.Message, state account.MessageState, why account.Trouble, done engine.Handle) error {
	return around("SettleLetter", func() error { return s.Letters.SettleLetter(ctx, l, state, why, done) })
}

func (s stagedLetters) DelayLetter(ctx context.Context, l account.Message, why account.Trouble) error {
	return around("DelayLetter", func() error { return s.Letters.DelayLetter(ctx, l, why) })
}

func (s stagedLetters) WakeLetters(ctx context.Context) (n int, err error) {
	err = around("WakeLetters", func() error { n, err = s.Letters.WakeLetters(ctx); return err })
	return n, err
}

func stageOAuth(s oauth.Store) oauth.Store { return stagedOAuth{s} }

type stagedOAuth struct{ oauth.Store }

func (s stagedOAuth) PutCode(ctx context.Context, c account.Code) error {
	return around("PutCode", func() error { return s.Store.PutCode(ctx, c) })
}

func (s stagedOAuth) Redeem(ctx context.Context, hash string, r account.TokenExchange) (g account.Consent, outcome account.Outcome, err error) {
	err = around("Redeem", func() error { g, outcome, err = s.Store.Redeem(ctx, hash, r); return err })
	return g, outcome, err
}

func (s stagedOAuth) Rotate(ctx context.Context, hash string, r account.Rotation) (g account.Consent, outcome account.Outcome, err error) {
	err = around("Rotate", func() error { g, outcome, err = s.Store.Rotate(ctx, hash, r); return err })
	return g, outcome, err
}

func (s stagedOAuth) EndFamily(ctx context.Context, client, hash string) (others bool, err error) {
	err = around("EndFamily", func() error { others, err = s.Store.EndFamily(ctx, client, hash); return err })
	return others, err
}

func (s stagedOAuth) EndGrant(ctx context.Context, id string) error {
	return around("EndGrant", func() error { return s.Store.EndGrant(ctx, id) })
}

func (s stagedOAuth) Deny(ctx context.Context, id string, expires time.Time) error {
	return around("Deny", func() error { return s.Store.Deny(ctx, id, expires) })
}

func (s stagedOAuth) PutSigningKey(ctx context.Context, k account.SigningKey) error {
	return around("PutSigningKey", func() error { return s.Store.PutSigningKey(ctx, k) })
}

func (s stagedOAuth) RenewSigningKey(ctx context.Context, r account.Renewal) error {
	return around("RenewSigningKey", func() error { return s.Store.RenewSigningKey(ctx, r) })
}

func stageClients(s api.ClientStore) api.ClientStore { return stagedClients{s} }

type stagedClients struct{ api.ClientStore }

func (s stagedClients) AddClient(ctx context.Context, c account.Client, act account.AuditEntry) error {
	return around("AddClient", func() error { return s.ClientStore.AddClient(ctx, c, act) })
}

func (s stagedClients) EditClient(ctx context.Context, id string, edit account.ClientEdit, act account.AuditEntry) (c account.Client, err error) {
	err = around("EditClient", func() error { c, err = s.ClientStore.EditClient(ctx, id, edit, act); return err })
	return c, err
}

func (s stagedClients) RemoveClient(ctx context.Context, id string, act account.AuditEntry) error {
	return around("RemoveClient", func() error { return s.ClientStore.RemoveClient(ctx, id, act) })
}

func stageKeyPairs(s grant.KeyStore) grant.KeyStore { return stagedKeyPairs{s} }

type stagedKeyPairs struct{ grant.KeyStore }

func (s stagedKeyPairs) AddKeyPair(ctx context.Context, r signing.Record, act account.AuditEntry, replaced *account.Retirement) error {
	return around("AddKeyPair", func() error { return s.KeyStore.AddKeyPair(ctx, r, act, replaced) })
}

func (s stagedKeyPairs) FirstKeyPair(ctx context.Context, r signing.Record, act account.AuditEntry) (kept signing.Record, err error) {
	err = around("FirstKeyPair", func() error { kept, err = s.KeyStore.FirstKeyPair(ctx, r, act); return err })
	return kept, err
}

func (s stagedKeyPairs) RetireKeyPair(ctx context.Context, r account.Retirement) (kept signing.Record, err error) {
	err = around("RetireKeyPair", func() error { kept, err = s.KeyStore.RetireKeyPair(ctx, r); return err })
	return kept, err
}

func (s stagedKeyPairs) RemoveKeyPair(ctx context.Context, id string, act account.AuditEntry) error {
	return around("RemoveKeyPair", func() error { return s.KeyStore.RemoveKeyPair(ctx, id, act) })
}

func stagePlaybacks(s api.Playbacks) api.Playbacks { return stagedPlaybacks{s} }

// playbackStore lends its name to a field: the interface's own is that of one of its methods.
type playbackStore interface{ api.Playbacks }

type stagedPlaybacks struct{ playbackStore }

func (s stagedPlaybacks) AddPlayback(ctx context.Context, p video.PlaybackForm) (made video.PlaybackForm, err error) {
	err = around("AddPlayback", func() error { made, err = s.playbackStore.AddPlayback(ctx, p); return err })
	return made, err
}

func (s stagedPlaybacks) EditPlayback(ctx context.Context, id video.ID, p video.PlaybackID, edit video.PlaybackEdit) (form video.PlaybackForm, err error) {
	err = around("EditPlayback", func() error { form, err = s.playbackStore.EditPlayback(ctx, id, p, edit); return err })
	return form, err
}

func (s stagedPlaybacks) RevokePlayback(ctx context.Context, id video.ID, p video.PlaybackID) error {
	return around("RevokePlayback", func() error { return s.playbackStore.RevokePlayback(ctx, id, p) })
}

func stageGrants(s grant.Store) grant.Store { return stagedGrants{s} }

type stagedGrants struct{ grant.Store }

func (s stagedGrants) AddPlayback(ctx context.Context, p video.PlaybackForm) (made video.PlaybackForm, err error) {
	err = around("AddPlayback.grant", func() error { made, err = s.Store.AddPlayback(ctx, p); return err })
	return made, err
}
