package drill

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sluice/internal/api"
	"sluice/internal/catalog"
	"sluice/internal/delivery"
	"sluice/internal/engine"
	"sluice/internal/grant"
	"sluice/internal/identity"
	"sluice/internal/notify"
	"sluice/internal/oauth"
	"sluice/internal/pipeline"
	"sluice/internal/purge"
	"sluice/internal/sweep"
	"sluice/internal/upload"
)

// moves are the durable steps: what writes records or objects. Each has a point before and one after it. A method that several steps share is a move a step.
var moves = []string{
	"Grant", "Pin", "Received", "Enqueue", "Lost",
	"Begin.ingest", "Plan.ingest",
	"Begin.encode", "Begin.audio", "Begin.stills", "PutFile", "PutOwn", "Finish.encode", "Finish.audio", "Finish.stills",
	"Begin.publish", "Publish.publish",
	"Fail", "Edit", "Encode", "Retirable", "Retire",
	"Delete.record", "DeletePrefix", "DeleteWrite", "Delete.object", "Remove",
	"SetQueue", "CancelStep", "Redrive", "Retry",
	"Subscribe", "Claim", "Delay", "Settle", "Wake", "Unsubscribe",
	"DropCopies", "DueCopies", "CopiesDropped", "WakePurge",
	"Abandon", "Enqueue.sweep", "DeletePrefix.sweep", "Abort", "Forget",
	"TakeDuty", "KeepDuty", "EndDuty",
}

// lookMoves are those of a storage that reports nothing, and of operators who have it looked through: a drill of its
// own (look_test.go).
var lookMoves = []string{"Looked", "HurryDuty"}

// partMoves are those of a storage that takes large sources in parts: a drill of its own (parts_test.go).
var partMoves = []string{"BeginParts", "JoinParts", "Abort.upload"}

// reads are the methods of the same interfaces that move no fact. Progress is advisory: losing it loses nothing.
var reads = []string{
	"Videos", "Video", "Upload", "DutyState", "Unknown", "Parts", "Progress", "Removable", "Head", "Sizes", "List", "Local", "PresignPut", "PresignPart", "ListParts", "DeletedUpload",
	"Jobs", "Job", "JobAttempts", "Queues", "Subscriptions", "Outbox", "Abandoned", "Remains", "Aged", "Folders", "Multiparts",
	"Steps", "Detail", "Events", "Errors", "ErrorGroups", "Playback", "LocalPath", "Get", "Cached",
	"Login", "Account", "Accounts", "HasAdmin", "Session", "Sessions", "CodeOwner", "CodesLeft", "Token", "Tokens", "Programs", "Workspaces", "Acts", "Letters",
	"Client", "Clients", "Refreshable", "Denied", "SigningKeys", "KeyPairs", "PlaybackByID", "PlaybackForm", "Playbacks",
}

// upkeep are what commands and the start do with all records at once, while no server is at work on them.
var upkeep = []string{"Busy", "Close", "Compare", "CopyTo", "DB", "Empty", "ForgetSealed", "LettersBy", "MailBy", "Ping", "PurgesBy", "RecordAct", "Sources"}

// stores are what the rooms move facts and objects by.
var stores = []reflect.Type{
	reflect.TypeFor[upload.Store](), reflect.TypeFor[upload.Objects](),
	reflect.TypeFor[pipeline.Store](), reflect.TypeFor[pipeline.Results](), reflect.TypeFor[pipeline.Remover](), reflect.TypeFor[pipeline.Objects](),
	reflect.TypeFor[api.Videos](), reflect.TypeFor[api.Redriver](), reflect.TypeFor[api.Jobs](), reflect.TypeFor[api.Queues](), reflect.TypeFor[api.Subscriptions](),
	reflect.TypeFor[api.History](), reflect.TypeFor[api.Errors](), reflect.TypeFor[api.ClientStore](), reflect.TypeFor[api.Playbacks](),
	reflect.TypeFor[identity.Store](), reflect.TypeFor[notify.Letters](), reflect.TypeFor[oauth.Store](), reflect.TypeFor[grant.Store](), reflect.TypeFor[grant.KeyStore](),
	reflect.TypeFor[delivery.Playbacks](), reflect.TypeFor[delivery.Objects](),
	reflect.TypeFor[notify.Store](), reflect.TypeFor[sweep.Store](), reflect.TypeFor[sweep.History](), reflect.TypeFor[sweep.Objects](), reflect.TypeFor[engine.Duties](),
	reflect.TypeFor[api.CDNCopies](), reflect.TypeFor[purge.Store](),
}

// allPoints lists where the story can be killed.
func allPoints() (all []string) {
	for _, move := range moves {
		all = append(all, move+".before", move+".after")
	}
	for _, step := range []string{"ingest", "encode", "audio", "stills", "publish"} {
		all = append(all, step+".begun", step+".made", step+".done")
	}
	return all
}

func TestEveryDurableStepHasAPointBeforeAndAfterIt(t *testing.T) {
	named := map[string]bool{}
	for _, move := range slices.Concat(moves, accountMoves, externalMoves, differMoves, lookMoves, partMoves) {
		method, _, _ := strings.Cut(move, ".")
		named[method] = true
	}
	for _, store := range stores {
		for i := range store.NumMethod() {
			name := store.Method(i).Name
			if named[name] == slices.Contains(reads, name) {
				t.Errorf("%s.%s is to be listed once: among the moves, with points in cmd/sluice/stage_drill.go, or among the reads", store, name)
			}
		}
	}
	records := reflect.TypeFor[*catalog.Store]()
	for i := range records.NumMethod() {
		if name := records.Method(i).Name; named[name] == slices.Contains(slices.Concat(reads, upkeep), name) {
			t.Errorf("%s of the records is to be listed once: among the moves, the reads or the upkeep", name)
		}
	}
	mailer, err := notify.New(notify.Config{SMTP: notify.SMTP{From: "sluice@example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	purger, err := purge.New(purge.Config{Call: purge.Call{Method: "POST", URL: "http://cdn.example/{key}", Most: 1}})
	if err != nil {
		t.Fatal(err)
	}
	handlers := pipeline.New(pipeline.Config{}).Handlers()
	maps.Copy(handlers, mailer.Handlers())
	maps.Copy(handlers, mailer.LetterHandlers())
	maps.Copy(handlers, identity.New(identity.Config{}).Handlers())
	maps.Copy(handlers, purger.Handlers())
	maps.Copy(handlers, upload.New(upload.Config{}).Handlers())
	for kind := range handlers {
		ends := map[string][]string{
			"ingest": {"Begin.ingest", "Plan.ingest"}, "publish": {"Begin.publish", "Publish.publish"},
			"retire": {"DeletePrefix", "Retire"}, "abort": {"Abort.upload"}, "delete": {"DeletePrefix", "DeleteWrite", "Delete.object", "Remove"}, "notice": {"Pin", "Received"}, "look": {"Received", "Looked"}, "mail": {"Claim", "Settle"},
			"letter": {"ClaimLetter", "SettleLetter"}, "forgot": {"OfferCode"},
			"purge": {"DueCopies", "CopiesDropped"},
		}[kind]
		if ends == nil {
			ends = []string{"Begin." + kind, "Finish." + kind}
		}
		for _, end := range ends {
			if !slices.Contains(slices.Concat(moves, accountMoves, lookMoves, partMoves), end) {
				t.Errorf("a job of kind %s ends by %s, which is no move", kind, end)
			}
		}
	}
}
