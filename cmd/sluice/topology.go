package main

import (
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"sluice/internal/bucket"
	"sluice/internal/engine"
	"sluice/internal/seal"
)

// The roles that a process may have.
const (
	roleAPI    = "api"    // API, page, S3 endpoint, uploads
	roleWorker = "worker" // the jobs
	roleEdge   = "edge"   // /stream/
)

// S3 says where objects are, if not in the data folder.
type S3 struct {
	Endpoint       string `help:"S3 endpoint that holds the objects, such as https://s3.eu-central-1.amazonaws.com. Default: the embedded one, over the data folder." env:"ENDPOINT"`
	PublicEndpoint string `help:"Address by which clients reach that endpoint; presigned URLs are made for it. Default: s3.endpoint." env:"PUBLIC_ENDPOINT"`
	Region         string `help:"Region that requests are signed for." default:"us-east-1" env:"REGION"`
	AccessKey      string `help:"Access key of that endpoint." env:"ACCESS_KEY"`
	SecretKey      Secret `help:"Secret key of that endpoint." env:"SECRET_KEY"`
	UploadsBucket  string `help:"Bucket that clients put sources in." default:"uploads" env:"UPLOADS_BUCKET"`
	SinglePut      Size   `help:"Largest source that clients send to that endpoint in one PUT, 5MiB to 5GiB; a larger one goes in parts." default:"5GiB" env:"SINGLE_PUT"`
	MediaBucket    string `help:"Bucket of pinned sources and outputs." default:"media" env:"MEDIA_BUCKET"`
}

// Cache bounds what a process keeps of objects that are on another machine.
type Cache struct {
	Bytes Size `help:"What is kept of remote objects beyond what is in use, in the data folder: sources on a worker, segments on an edge." default:"20GB" env:"BYTES"`
}

// remote reports whether objects are on an S3 endpoint of their own.
func (s *Settings) remote() bool { return s.S3.Endpoint != "" }

// shared reports whether several processes can work on the same records and objects.
func (s *Settings) shared() bool { return s.remote() && engine.IsPostgres(s.Database) }

func (s *Settings) has(role string) bool { return slices.Contains(s.Roles, role) }

// validateTopology refuses settings of where things are, and of who does what, that don't fit together.
func (s *Settings) validateTopology() error {
	if strings.Contains(s.Database, "://") {
		if u, err := url.Parse(s.Database); err != nil || !engine.IsPostgres(s.Database) || u.Host == "" && u.Query().Get("host") == "" {
			return fmt.Errorf("database is no URL of PostgreSQL; use postgres://user:password@host:5432/name, or nothing for a file in the data folder")
		}
	}
	for key, value := range map[string]string{"s3.endpoint": s.S3.Endpoint, "s3.public_endpoint": s.S3.PublicEndpoint} {
		if err := checkURL(value); err != nil {
			return fmt.Errorf("%s is %q; %w", key, value, err)
		}
	}
	switch {
	case s.remote() && (s.S3.AccessKey == "" || s.S3.SecretKey == ""):
		return fmt.Errorf("s3.endpoint is set and s3.access_key or s3.secret_key is not; set both")
	case !s.remote() && (s.S3.PublicEndpoint != "" || s.S3.AccessKey != "" || s.S3.SecretKey != ""):
		return fmt.Errorf("s3.public_endpoint, s3.access_key and s3.secret_key belong to s3.endpoint, which is not set; the embedded endpoint makes its own keys")
	case s.S3.SinglePut < bucket.LeastPart || s.S3.SinglePut > bucket.SinglePut:
		return fmt.Errorf("s3.single_put is %s; use 5MiB to 5GiB: S3 takes no smaller part and no larger PUT", s.S3.SinglePut)
	case s.S3.UploadsBucket == "" || s.S3.MediaBucket == "" || s.S3.UploadsBucket == s.S3.MediaBucket:
		return fmt.Errorf("s3.uploads_bucket is %q and s3.media_bucket %q; name two buckets", s.S3.UploadsBucket, s.S3.MediaBucket)
	case len(s.Roles) == 0:
		return fmt.Errorf("roles is empty; use some of api, worker and edge")
	case s.AdminToken != "" && len(s.AdminToken) < 16:
		return fmt.Errorf("admin_token is shorter than 16 characters; use a long random one")
	}
	if s.SealKey != "" && len(s.SealKey) < seal.Least {
		return fmt.Errorf("seal_key is shorter than 16 characters; use a long random one")
	}
	for _, r := range s.Roles {
		if !slices.Contains([]string{roleAPI, roleWorker, roleEdge}, r) {
			return fmt.Errorf("roles has %q; use some of api, worker and edge", r)
		}
	}
	if !s.shared() && !(s.has(roleAPI) && s.has(roleWorker) && s.has(roleEdge)) {
		return fmt.Errorf("roles is %s; a process that leaves work to others shares database and objects with them: set database to postgres://… and s3.endpoint", strings.Join(s.Roles, ","))
	}
	return nil
}

// dsn is the database, as the catalog opens it.
func (s *Settings) dsn() string {
	if s.Database == "" {
		return filepath.Join(s.Data, databaseFile)
	}
	return s.Database
}

// folders are those that work and uploads fill.
func (s *Settings) folders() []string {
	folders := []string{filepath.Join(s.Data, "scratch")}
	if s.remote() {
		return append(folders, filepath.Join(s.Data, "cache"))
	}
	return append(folders, filepath.Join(s.Data, "objects"))
}

// singlePut is the largest source that comes in one PUT; 0, no limit, on the embedded storage.
func (s *Settings) singlePut() int64 {
	if !s.remote() {
		return 0
	}
	return int64(s.S3.SinglePut)
}

// publicStorage is where clients reach the S3 endpoint.
func (s *Settings) publicStorage() string {
	switch {
	case !s.remote():
		return s.PublicURL
	case s.S3.PublicEndpoint != "":
		return strings.TrimRight(s.S3.PublicEndpoint, "/")
	default:
		return strings.TrimRight(s.S3.Endpoint, "/")
	}
}

const hidden = "(hidden)"

// redacted is a setting's value as it may be shown.
func redacted(key, value string) string {
	switch {
	case value == "":
		return ""
	case key == "database" && strings.Contains(value, "://"):
		u, err := url.Parse(value)
		if err != nil {
			return hidden
		}
		if q := u.Query(); q.Has("password") { // libpq's other place for it
			q.Set("password", hidden)
			u.RawQuery = q.Encode()
		}
		return u.Redacted()
	}
	return value
}
