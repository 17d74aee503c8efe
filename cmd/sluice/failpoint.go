//go:build !drill

package main

import (
	"time"

	"sluice/internal/api"
	"sluice/internal/engine"
	"sluice/internal/grant"
	"sluice/internal/identity"
	"sluice/internal/notify"
	"sluice/internal/oauth"
	"sluice/internal/sweep"
)

// Where a drill stages its faults; this build has none.
var (
	failpoint   func(point string)
	moreBuckets []string
	now         = time.Now
)

// deleteAgain is when a deletion is repeated: a canceled attempt is gone by then, whatever held it up.
const deleteAgain = 2 * time.Minute

func stageRecords(r records) records { return r }

func stageBlobs(b blobs) blobs { return b }

func stageSweep(s sweep.Store) sweep.Store { return s }

func stageHistory(h sweep.History) sweep.History { return h }

func stageLeftovers(o sweep.Objects) sweep.Objects { return o }

func stageJobs(j operations) operations { return j }

func stageDuties(d engine.Duties) engine.Duties { return d }

func stageIdentity(s identity.Store) identity.Store { return s }

func stageLetters(l notify.Letters) notify.Letters { return l }

func stageOAuth(s oauth.Store) oauth.Store { return s }

func stageClients(s api.ClientStore) api.ClientStore { return s }

func stageKeyPairs(s grant.KeyStore) grant.KeyStore { return s }

func stagePlaybacks(s api.Playbacks) api.Playbacks { return s }

func stageGrants(s grant.Store) grant.Store { return s }
