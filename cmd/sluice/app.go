package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sluice/internal/account"
	"sluice/internal/api"
	"sluice/internal/bucket"
	"sluice/internal/catalog"
	"sluice/internal/certificate"
	"sluice/internal/delivery"
	"sluice/internal/engine"
	"sluice/internal/ffmpeg"
	"sluice/internal/grant"
	"sluice/internal/identity"
	"sluice/internal/notify"
	"sluice/internal/oauth"
	"sluice/internal/pipeline"
	"sluice/internal/purge"
	"sluice/internal/sandbox"
	"sluice/internal/sweep"
	"sluice/internal/upload"
	"sluice/internal/video"
	"sluice/ui"
)

// App is the whole server as a value: Open makes it, Serve runs it until its context ends, Close gives everything back.
type App struct {
	settings Settings
	log      *slog.Logger
	token    string
	seal     []byte // what private keys in the database are sealed with
	local    string // where this machine's own processes reach the server
	keys     bucket.Credentials

	lock         *os.File
	certificates *certificate.Reloader // nil where the listener speaks no TLS
	listener     net.Listener
	store        *catalog.Store
	embedded     *bucket.Embedded // nil where objects are on another endpoint
	objects      *bucket.Store
	uploads      *upload.Service
	room         *room
	sweeper      *sweep.Sweeper
	inUse        func(dir string) bool // nil where this process takes no steps
	queue        *upload.Queue         // nil where no queue tells of objects
	identity     *identity.Service
	links        identity.Links // that the start prints
	first        string         // the temporary password of an administrator whom this start made
	engine       *engine.Engine
	mailer       *notify.Mailer // nil where no mail server is known
	purger       *purge.Purger  // nil where no CDN is told
	keyPairs     *grant.Keys    // that playback is signed with

	api, edge, page, s3 http.Handler
	access              access
	provider            *oauth.Provider     // nil where an external issuer gives the tokens
	party               *oauth.RelyingParty // nil where no external issuer signs people in on the page
	usage               func() ffmpeg.Usage
	health              *health
	drain               *drain
}

// Open makes the server of a data folder: what is missing is created, what is there is found again.
func Open(ctx context.Context, s Settings, log *slog.Logger) (_ *App, err error) {
	a := &App{settings: s, log: log, drain: &drain{log: log}}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	if err = a.openData(); err != nil {
		return nil, err
	}
	if a.certificates, err = a.openTLS(); err != nil {
		return nil, err
	}
	if a.listener, err = openListener(ctx, s.Listen); err != nil {
		return nil, fmt.Errorf("can't listen on %s: %w; name another address with --listen", s.Listen, err)
	}
	a.address()
	if a.store, err = catalog.Open(ctx, s.dsn(), log); err != nil {
		return nil, err
	}
	if err = a.openObjects(ctx); err != nil {
		return nil, err
	}
	if s.has(roleAPI) || s.has(roleEdge) {
		if err = a.openSeal(ctx); err != nil {
			return nil, err
		}
	}
	if err = a.openIdentity(); err != nil {
		return nil, err
	}
	if err = a.openRoles(); err != nil {
		return nil, err
	}
	return a, a.firstAdmin(ctx)
}

// openData takes the data folder and the secrets in it.
func (a *App) openData() (err error) {
	data := a.settings.Data
	if err = os.MkdirAll(data, 0o700); err != nil {
		return fmt.Errorf("data is %q, which can't be made: %w", data, err)
	}
	if _, err := os.Stat(filepath.Join(data, restoringFile)); err == nil {
		return fmt.Errorf("a restore into %s was broken off; run sluice restore again before the server", data)
	}
	if err := checkMoved(a.settings); err != nil {
		return err
	}
	if err := a.settings.requireShared(); err != nil {
		return err
	}
	if a.lock, err = lockData(data); err != nil {
		return err
	}
	if a.token = string(a.settings.AdminToken); a.token == "" {
		if a.token, err = adminToken(data); err != nil {
			return err
		}
	}
	if !a.settings.remote() {
		if a.keys, err = s3Keys(data); err != nil {
			return err
		}
	}
	return pipeline.Clean(a.scratch())
}

func (a *App) scratch() string { return filepath.Join(a.settings.Data, "scratch") }

// address fills in the addresses that follow from where the server listens.
func (a *App) address() {
	at := a.listener.Addr().(*net.TCPAddr)
	host := at.IP.String()
	if at.IP.IsUnspecified() {
		host = "localhost"
	}
	a.local = a.scheme() + "://" + net.JoinHostPort(host, fmt.Sprint(at.Port))
	s := &a.settings
	if s.PublicURL == "" {
		s.PublicURL = a.local
	}
	if s.EdgeURL == "" {
		s.EdgeURL = s.PublicURL
	}
}

// openTool finds ffmpeg and makes sure that it can be confined.
func (a *App) openTool() (*ffmpeg.Tool, error) {
	if err := sandbox.Check(); err != nil {
		if !a.settings.Unsandboxed {
			return nil, fmt.Errorf("the sandbox can't start here: %w; Sluice does not run ffmpeg without it unless --unsandboxed says so", err)
		}
		a.log.Warn("ffmpeg runs WITHOUT the sandbox: a hostile file may read this machine's files and reach its network", "reason", err)
	} else {
		a.settings.Unsandboxed = false
	}
	return ffmpeg.New(ffmpeg.Config{Limits: a.settings.limits(), Unsandboxed: a.settings.Unsandboxed, Logger: a.log})
}

// openObjects makes the one client of the S3 endpoint, and starts the embedded one where there is no other.
func (a *App) openObjects(ctx context.Context) (err error) {
	s := a.settings
	a.room = newRoom(int64(s.Disk.Low), a.log, s.folders()...)
	if s.remote() {
		a.objects, err = bucket.Open(ctx, bucket.Config{
			Endpoint: s.S3.Endpoint, Region: s.S3.Region, Credentials: bucket.Credentials{Access: s.S3.AccessKey, Secret: string(s.S3.SecretKey)},
			Cache: filepath.Join(s.Data, "cache"), CacheBytes: int64(s.Cache.Bytes),
		})
		if err != nil {
			return err
		}
		return a.objects.CheckBuckets(ctx, s.S3.UploadsBucket, s.S3.MediaBucket)
	}
	a.embedded, err = bucket.OpenEmbedded(ctx, bucket.EmbeddedConfig{
		Root: filepath.Join(s.Data, "objects"), Socket: filepath.Join(s.Data, "s3.sock"), Credentials: a.keys,
		Buckets: s.buckets(), Domain: s.domain(), Logger: a.log,
		MaxBytes: int64(s.Limits.Bytes), Room: a.room.check,
		Created: func(ctx context.Context, o bucket.Object) error { return a.uploads.Created(ctx, o) },
	})
	if err != nil {
		return err
	}
	a.objects, err = bucket.Open(ctx, bucket.Config{Embedded: a.embedded, Credentials: a.keys})
	return err
}

// openRoles wires the rooms that this process's roles need.
func (a *App) openRoles() error {
	s := a.settings
	a.uploads = upload.New(upload.Config{
		Store: stageRecords(a.store), Objects: stageBlobs(a.objects), Bucket: s.S3.UploadsBucket, MediaBucket: s.S3.MediaBucket, PublicURL: s.publicStorage(),
		Policy: video.Policy(s.Playback), Expiry: s.UploadExpiry, Suffixes: s.Suffixes, MaxBytes: int64(s.Limits.Bytes), Now: now, Logger: a.log,
		Ingest: pipeline.IngestJob, Room: a.uploadRoom(), Away: func() error { return a.health.trouble(partObjects) }, FirstLook: s.firstLook(),
		SinglePut: s.singlePut(),
	})
	a.s3 = bucket.ProxyTo(s.publicStorage())
	checks := map[string]func(context.Context) error{
		"catalog": a.store.Ping, partObjects: a.checkObjects, "disk": func(context.Context) error { return a.room.check(0) },
	}
	var err error
	if s.has(roleAPI) || s.has(roleEdge) {
		tokens, err := a.openTokens()
		if err != nil {
			return err
		}
		if a.access, err = newAccess(s.PublicURL, adminBearer{a.token}, &a.links, a.identity, tokens); err != nil {
			return err
		}
		if err := a.openKeys(); err != nil {
			return err
		}
	}
	if s.has(roleAPI) {
		if err := a.openAPI(); err != nil {
			return err
		}
	}
	if s.has(roleEdge) {
		if err := a.openEdge(); err != nil {
			return err
		}
	}
	if a.mailer, err = a.openMail(); err != nil {
		return err
	}
	if a.purger, err = a.openPurge(); err != nil {
		return err
	}
	if s.has(roleWorker) {
		err = a.openWorker(checks)
	} else {
		a.engine, err = engine.New(a.store.DB(), engine.Config{Stage: stageDuties, Logger: a.log}) // takes no jobs
	}
	if err != nil {
		return err
	}
	a.health = newHealth(a.log, checks)
	return nil
}

// uploadRoom is what uploads are refused by while the disk that they fill is low: none where objects are on another endpoint, whose room we don't know.
func (a *App) uploadRoom() func(int64) error {
	if a.settings.remote() {
		return nil
	}
	return a.room.admit
}

// openAPI wires what clients and people ask.
func (a *App) openAPI() (err error) {
	s, staged := a.settings, stageRecords(a.store)
	a.sweeper = a.openSweeper()
	a.api = api.New(api.Config{
		Videos: staged, History: a.store, Errors: a.store, Subscriptions: staged, Uploads: a.uploads, Notices: a.uploads, Sweeper: a.sweeper,
		Reconciler: reconciler{a}, ReconcileEvery: s.Reconcile.Every, Looks: s.remote(),
		PublicURL: s.PublicURL, EdgeURL: s.EdgeURL, URL: delivery.URL,
		Now: now, MaxResolution: s.MaxResolution, Policy: video.Policy(s.Playback), Version: version(),
		Delete: func(v video.Video) []engine.Job { return s.deletion(v, now()) },
		Encode: func(id video.ID, generation int) []engine.Job {
			return []engine.Job{pipeline.IngestJob(id, generation)}
		},
		Jobs: stageJobs(a.store.Jobs()), Queues: stageJobs(a.store.Jobs()), Standings: a.store.Jobs(), Redriver: staged, Copies: staged, StepOf: pipeline.StepOf,
		StepJobs: func(ref video.StepRef) []engine.Job { return []engine.Job{pipeline.StepJob(ref)} },
		Abandon: func(ref video.StepRef) []engine.Job {
			return []engine.Job{pipeline.RetireJob(ref.Video, ref.Generation, time.Now().Add(s.RetireAfter))}
		},
		Identity: a.identity, Mail: a.identity.Mail, Demand: a.identity.Demand, LetterText: func(l account.Message) (string, string) { return notify.LetterText(l, s.PublicURL) },
		KeyPairs: a.keyPairs, Playbacks: stagePlaybacks(a.store), Giver: a.giver(), CookieRules: s.Cookies.rules(s.PublicURL, s.EdgeURL), LongestGrant: s.Grants.Longest,
		Logger: a.log, Refused: a.refused, Clients: stageClients(a.store), SignIns: a.signIns(), Links: &a.links, KeyRing: a.keyRing(), Issuers: a.issuers(), IssuerOnly: a.settings.OIDC.Only, Leave: a.leave(), ClientSecret: oauth.NewSecret,
	})
	a.page = ui.Handler(ui.Config{EdgeURL: s.EdgeURL, PublicURL: s.PublicURL, StorageURL: s.publicStorage(), NotFound: http.HandlerFunc(notServed)})
	if a.embedded != nil {
		a.s3 = bucket.CORS(a.origins(), bucket.Gate(a.room.admit, a.embedded.Handler()))
	}
	a.queue, err = openQueue(s.Events, a.uploads, a.log)
	return err
}

// openWorker wires what takes videos along their way, and adds to checks.
func (a *App) openWorker(checks map[string]func(context.Context) error) error {
	s := a.settings
	tool, err := a.openTool()
	if err != nil {
		return err
	}
	way := pipeline.New(pipeline.Config{
		Store: stageRecords(a.store), Results: a.store, Remover: stageRecords(a.store), Objects: stageBlobs(a.objects), Tool: tool, Media: s.S3.MediaBucket, Scratch: a.scratch(),
		Resolution: s.MaxResolution, Workers: s.Workers.Encode, RetireAfter: s.RetireAfter, Now: now, Log: a.log, At: failpoint,
		Space: a.room.space, Spare: a.spare, Wake: a.hasten, Alone: !s.shared(),
		Arrived: a.uploads.Created,
	})
	a.inUse = way.InUse
	machine, err := os.Hostname()
	if err != nil {
		return err
	}
	queues := []engine.Queue{
		{Name: pipeline.EncodeQueue, Workers: s.Workers.Encode},
		{Name: pipeline.StillQueue, Workers: max(1, s.Workers.Encode/2)},
		{Name: pipeline.IngestQueue, Workers: 2},
		{Name: pipeline.ControlQueue, Workers: 4},
		{Name: upload.EventQueue, Workers: 4},
		{Name: identity.Queue, Workers: 2},
	}
	var outside map[string]engine.Worker // what talks to servers of others
	if a.mailer != nil {                 // else its jobs wait for a process that knows a mail server
		outside = handlers(a.mailer.Handlers(), a.mailer.LetterHandlers())
		queues = append(queues, engine.Queue{Name: notify.Queue, Workers: 2})
	}
	if a.purger != nil {
		outside = handlers(outside, a.purger.Handlers())
		queues = append(queues, engine.Queue{Name: purge.Queue, Workers: 1})
	}
	a.engine, err = engine.New(a.store.DB(), engine.Config{
		Name: machine, Roles: strings.Join(s.Roles, ","), Workers: handlers(way.Handlers(), a.uploads.Handlers(), a.identity.Handlers(), outside), Stage: stageDuties, Now: now, Logger: a.log, Queues: queues,
		Hold: way.Hold,
	})
	if err != nil {
		return err
	}
	a.usage = tool.Usage
	checks["jobs"] = func(context.Context) error { return a.engine.Ready() }
	checks["tools"] = func(context.Context) error { return tool.Check() }
	return nil
}

// spare removes what is kept of remote objects and not in use.
func (a *App) spare() {
	if err := a.objects.Spare(); err != nil {
		a.log.Error("cached files could not be removed", "error", err)
	}
}

// hasten has a job that waits for room tried now.
func (a *App) hasten(job int64) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := a.engine.Hasten(ctx, job); err != nil {
		a.log.Warn("a job that waits for room could not be hastened; it is tried at its time", "job", job, "error", err)
	}
}

// checkObjects asks the endpoint for the heads of both buckets.
func (a *App) checkObjects(ctx context.Context) error {
	return a.objects.CheckBuckets(ctx, a.settings.S3.UploadsBucket, a.settings.S3.MediaBucket)
}

// longestPut is how long a PUT that began within its URL's time may take.
const longestPut = 24 * time.Hour

// deletion is the work that follows the deletion of a video. One that still waits for its source is kept, out of sight, until no PUT to its URL can come any
// more: that PUT would find no video of its own and begin a new one. Parts that an S3 server keeps for it go at once.
func (s *Settings) deletion(v video.Video, now time.Time) []engine.Job {
	if v.Source == nil {
		at := v.Created.Add(s.UploadExpiry + longestPut)
		jobs := pipeline.DeleteJobs(v.ID, v.Prefix, at, at.Add(deleteAgain))
		if s.remote() {
			jobs = append(jobs, pipeline.AbortJob(v.ID))
		}
		return jobs
	}
	return pipeline.DeleteJobs(v.ID, v.Prefix, time.Time{}, now.Add(deleteAgain))
}

// origins are the pages that may call the S3 endpoint from a browser.
func (a *App) origins() []string { return append(a.pages(), a.settings.CORSOrigins...) }

// Serve answers requests and runs jobs until ctx ends; then it gives running jobs back, leaves its load balancers, and
// lets requests finish.
func (a *App) Serve(ctx context.Context) error {
	c := a.settings.Connections
	server := &http.Server{
		Handler:           a.drain.closing(withBodyTimeout(c.Stall, a.routes())),
		ReadHeaderTimeout: c.Header,
		IdleTimeout:       c.Idle,
		ConnState:         (&connLimiter{most: c.most(), now: now, log: a.log}).follow,
		MaxHeaderBytes:    64 << 10,
		ConnContext:       delivery.OnConn,
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
	if a.settings.has(roleWorker) {
		if err := a.engine.Start(ctx); err != nil {
			return err
		}
	}
	failed := make(chan error, 1)
	go func() { failed <- a.listen(ctx, server) }()
	go a.health.watch(ctx)
	if a.settings.has(roleAPI) {
		for _, d := range a.duties() {
			go a.engine.Serve(ctx, d)
		}
	}
	if a.queue != nil {
		go a.queue.Run(ctx)
	}
	if a.mailer != nil { // of those that know a mail server, one at a time
		go a.engine.Serve(ctx, engine.Duty{Name: "outbox", Every: wakeEvery, Do: a.mailer.Wake})
	}
	if a.purger != nil {
		go a.engine.Serve(ctx, engine.Duty{Name: "purge", Every: wakeEvery, Do: a.purger.Wake})
	}
	err := a.writeServerFile()
	if err == nil {
		select {
		case err = <-failed:
		case <-ctx.Done():
		}
	}
	a.drain.leave()
	grace := a.settings.grace()
	if err != nil { // it does not listen: no balancer sends anything
		grace = 0
	}
	stopped, worked := context.WithoutCancel(ctx), make(chan error, 1)
	go func() {
		within, cancel := context.WithTimeout(stopped, requestsWithin)
		defer cancel()
		worked <- a.stopWork(within)
	}()
	err = errors.Join(err, a.drain.stop(stopped, grace, a.listener, server), <-worked)
	if rerr := os.Remove(filepath.Join(a.settings.Data, serverFile)); rerr != nil && !errors.Is(rerr, os.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	return err
}

// stopWork gives running jobs back.
func (a *App) stopWork(ctx context.Context) error {
	if !a.settings.has(roleWorker) {
		return nil
	}
	used := a.usage()
	a.log.Info("stopping", "tool_runs", used.Runs, "tool_cpu_seconds", used.CPU.Seconds(), "fetched_bytes", a.objects.Fetched())
	return a.engine.Stop(ctx)
}

// shutdown lets requests finish; those that don't in time are cut.
func shutdown(ctx context.Context, server *http.Server) error {
	if err := server.Shutdown(ctx); err != nil {
		return server.Close()
	}
	return nil
}

// Close gives back what Open took. It can be called at any point of Open.
func (a *App) Close() error {
	var errs []error
	if a.objects != nil {
		errs = append(errs, a.objects.Close())
	}
	if a.embedded != nil {
		errs = append(errs, a.embedded.Close())
	}
	if a.store != nil {
		errs = append(errs, a.store.Close())
	}
	if a.listener != nil {
		if err := a.listener.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if a.lock != nil {
		errs = append(errs, a.lock.Close())
	}
	return errors.Join(errs...)
}
