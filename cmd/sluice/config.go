package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"sluice/internal/engine"
	"sluice/internal/upload"
	"sluice/internal/video"
)

// Settings are what a person may set, by flag, by environment or in the file, in that order of strength.
type Settings struct {
	Data           string        `help:"Folder that holds everything: records, objects, keys, scratch." default:"./data" env:"SLUICE_DATA" type:"path"`
	Database       string        `help:"Where records and jobs are: postgres://user:password@host/name, or a SQLite file. Default: sluice.db in the data folder." env:"SLUICE_DATABASE" placeholder:"URL"`
	S3             S3            `embed:"" prefix:"s3-" envprefix:"SLUICE_S3_"`
	Roles          []string      `help:"What this process does: api, worker, edge. Fewer than all need database postgres://… and s3.endpoint." default:"api,worker,edge" env:"SLUICE_ROLES"`
	AdminToken     Secret        `help:"Admin token, the same for all processes with the role api. Default: one in the data folder." env:"SLUICE_ADMIN_TOKEN" placeholder:"TOKEN"`
	AdminEmail     string        `help:"E-mail address of the administrator whom the first start makes." default:"admin@localhost" env:"SLUICE_ADMIN_EMAIL"`
	SecondFactor   string        `help:"Who must have a second factor beside their password: optional (nobody), admins or everyone." default:"optional" enum:"optional,admins,everyone" env:"SLUICE_SECOND_FACTOR"`
	TrustedProxies []string      `help:"Addresses and networks of proxies whose X-Forwarded-For is believed, such as 127.0.0.1." env:"SLUICE_TRUSTED_PROXIES"`
	Cache          Cache         `embed:"" prefix:"cache-" envprefix:"SLUICE_CACHE_"`
	Listen         string        `help:"Address to listen on, host:port. Port 0 takes a free one." default:"127.0.0.1:8080" env:"SLUICE_LISTEN"`
	PublicURL      string        `help:"Address that clients use for the API and for uploads; signatures cover its host. Default: what the server listens on." env:"SLUICE_PUBLIC_URL"`
	EdgeURL        string        `help:"Address that players use. Default: the public URL." env:"SLUICE_EDGE_URL"`
	Suffixes       []string      `help:"File name endings that start a video, in any case. Default: the common video and audio ones." env:"SLUICE_SUFFIXES"`
	MaxResolution  int           `help:"Largest short side of the ladder in pixels: 240, 360, 480, 720, 1080, 1440 or 2160." default:"1080" env:"SLUICE_MAX_RESOLUTION"`
	Playback       string        `help:"Who may watch videos whose uploader doesn't say: public, signed or members. Kept with each video." default:"signed" enum:"public,signed,members" env:"SLUICE_PLAYBACK"`
	Grants         Grants        `embed:"" prefix:"grants-" envprefix:"SLUICE_GRANTS_"`
	Cookies        CookieRules   `embed:"" prefix:"playback-cookies-" envprefix:"SLUICE_PLAYBACK_COOKIES_"`
	SealKey        Secret        `help:"What the private keys in the database are sealed with; the same for all processes with the roles api and edge. Default: one in the data folder." env:"SLUICE_SEAL_KEY" placeholder:"TEXT"`
	ForgetSealed   bool          `help:"Start although the secret that sealed the private keys in the database is lost: those that the present one doesn't open are forgotten, and sign no more. For one start." env:"SLUICE_FORGET_SEALED"`
	UploadExpiry   time.Duration `help:"How long a presigned upload URL is good." default:"5m" env:"SLUICE_UPLOAD_EXPIRY"`
	RetireAfter    time.Duration `help:"How long viewers keep a generation that a new encode replaced." default:"1h" env:"SLUICE_RETIRE_AFTER"`
	EdgeAliases    []string      `help:"Other addresses of the edge, for whose hosts signatures are good too: scheme and host." env:"SLUICE_EDGE_ALIASES"`
	CORSOrigins    []string      `name:"cors-origins" help:"Origins of other pages that may call the API with a token, upload by presigned URL and play with cookies; * for all pages, which then may do so without cookies." env:"SLUICE_CORS_ORIGINS"`
	CDN            CDN           `embed:"" prefix:"cdn-" envprefix:"SLUICE_CDN_"`
	TLS            TLS           `embed:"" prefix:"tls-" envprefix:"SLUICE_TLS_"`
	Connections    Connections   `embed:"" prefix:"connections-" envprefix:"SLUICE_CONNECTIONS_"`
	Drain          Drain         `embed:"" prefix:"drain-" envprefix:"SLUICE_DRAIN_"`
	Workers        Workers       `embed:"" prefix:"workers-" envprefix:"SLUICE_WORKERS_"`
	Disk           Disk          `embed:"" prefix:"disk-" envprefix:"SLUICE_DISK_"`
	Limits         Limits        `embed:"" prefix:"limits-" envprefix:"SLUICE_LIMITS_"`
	Events         Events        `embed:"" prefix:"events-" envprefix:"SLUICE_EVENTS_"`
	Reconcile      Reconcile     `embed:"" prefix:"reconcile-" envprefix:"SLUICE_RECONCILE_"`
	Sweep          Sweep         `embed:"" prefix:"sweep-" envprefix:"SLUICE_SWEEP_"`
	Unsandboxed    bool          `help:"Run ffmpeg without the sandbox where it can't start. DANGEROUS: a hostile file may then read this machine's files and reach its network." env:"SLUICE_UNSANDBOXED"`
	SMTP           SMTP          `embed:"" prefix:"smtp-" envprefix:"SLUICE_SMTP_"`
	Notify         Notify        `embed:"" prefix:"notify-" envprefix:"SLUICE_NOTIFY_"`
	OIDC           OIDC          `embed:"" prefix:"oidc-" envprefix:"SLUICE_OIDC_"`
	Log            Log           `embed:"" prefix:"log-" envprefix:"SLUICE_LOG_"`
	File           string        `name:"config" help:"YAML file with these settings (public_url: …, limits: {bytes: …})." env:"SLUICE_CONFIG" type:"path" placeholder:"FILE"`
}

// Workers says how much runs side by side on this machine.
type Workers struct {
	Encode int `help:"Encode steps side by side; 0 for one a core." default:"0" env:"ENCODE"`
}

// Disk says how full this machine's disk may get.
type Disk struct {
	Low Size `help:"Free space below which uploads are refused and work that fills the disk waits; 0 never does." default:"2GiB" env:"LOW"`
}

// Limits bound what a source may cost. 0 lifts a limit.
type Limits struct {
	Bytes    Size          `help:"Largest source." default:"100GB" env:"BYTES"`
	Duration time.Duration `help:"Longest source." default:"24h" env:"DURATION"`
	Pixels   int64         `help:"Largest picture, width × height." default:"40000000" env:"PIXELS"`
	Streams  int           `help:"Most streams in a source." default:"64" env:"STREAMS"`
	CPU      time.Duration `help:"CPU time of one tool process." default:"4h" env:"CPU"`
	Memory   Size          `help:"Address space of one tool process." default:"8GiB" env:"MEMORY"`
	Output   Size          `help:"Largest file that a tool process may write." default:"100GB" env:"OUTPUT"`
}

// Log says what is logged and how.
type Log struct {
	Level  string `help:"Least level that is logged: debug, info, warn or error." default:"info" enum:"debug,info,warn,error" env:"LEVEL"`
	Format string `help:"Log as text or json." default:"text" enum:"text,json" env:"FORMAT"`
}

// Size is a number of bytes, written like 500MB or 8GiB.
type Size int64

var units = []struct {
	name string
	size int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
}

// UnmarshalText reads a size.
func (s *Size) UnmarshalText(text []byte) error {
	number, unit := string(text), int64(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(number, u.name); ok {
			number, unit = rest, u.size
			break
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
	if err != nil || n < 0 || n > (1<<62)/unit {
		return fmt.Errorf("%q is no size; write a number with B, KB, MB, GB, TB, KiB, MiB, GiB or TiB, such as 8GiB", text)
	}
	*s = Size(n * unit)
	return nil
}

func (s Size) String() string {
	for _, u := range slices.Backward(units[:8]) {
		if s != 0 && int64(s)%u.size == 0 {
			return strconv.FormatInt(int64(s)/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// Validate refuses what kong's types can't: it names the key, the value and what is allowed.
func (s *Settings) Validate() error {
	if err := (video.Settings{MaxResolution: s.MaxResolution}).Validate(); err != nil || s.MaxResolution == 0 {
		return fmt.Errorf("max_resolution is %d; use one of %v", s.MaxResolution, video.Resolutions())
	}
	if _, port, err := net.SplitHostPort(s.Listen); err != nil || !isPort(port) {
		return fmt.Errorf("listen is %q; use host:port, such as 127.0.0.1:8080 or :8080", s.Listen)
	}
	for key, value := range map[string]string{"public_url": s.PublicURL, "edge_url": s.EdgeURL} {
		if err := checkURL(value); err != nil {
			return fmt.Errorf("%s is %q; %w", key, value, err)
		}
	}
	for _, o := range s.CORSOrigins {
		if err := checkOrigin(o); err != nil {
			return err
		}
	}
	// AWS signs presigned URLs for seven days at most (SigV4, X-Amz-Expires).
	if s.UploadExpiry < time.Second || s.UploadExpiry > 7*24*time.Hour {
		return fmt.Errorf("upload_expiry is %s; use 1s to 168h", s.UploadExpiry)
	}
	if s.RetireAfter < 0 || s.Limits.Duration < 0 || s.Limits.CPU < 0 {
		return fmt.Errorf("retire_after, limits.duration and limits.cpu are times such as 90m; none may be below 0")
	}
	if s.Workers.Encode < 0 || s.Workers.Encode > 1024 {
		return fmt.Errorf("workers.encode is %d; use 0 (one a core) to 1024", s.Workers.Encode)
	}
	if s.Limits.Pixels < 0 || s.Limits.Streams < 0 {
		return fmt.Errorf("limits.pixels and limits.streams are numbers from 0 (no limit)")
	}
	if err := errors.Join(s.Events.validate(), s.Reconcile.validate(), s.Sweep.validate(), s.validateEdge(), s.validateTLS()); err != nil {
		return err
	}
	for _, x := range s.Suffixes {
		if !strings.HasPrefix(x, ".") || len(x) < 2 || strings.ContainsAny(x, "/\\ ") {
			return fmt.Errorf("suffixes has %q; use endings with their dot, such as .mp4", x)
		}
	}
	return errors.Join(s.SMTP.check(), s.Notify.check(), s.OIDC.check(), s.Grants.check(), s.Connections.check(), s.Drain.check(), s.Cookies.check(s.EdgeURL), s.validateTopology(), s.checkIdentity())
}

// isPort reports whether a port is one: 0 to 65535, or the name of a service.
func isPort(port string) bool {
	_, err := net.LookupPort("tcp", port)
	return err == nil && port != ""
}

func checkURL(value string) error {
	if value == "" {
		return nil
	}
	u, err := url.Parse(value)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return fmt.Errorf("use http:// or https:// with a host and nothing after it, such as https://video.example.com")
	}
	return nil
}

// finish fills in what depends on the machine or on other settings.
func (s *Settings) finish() error {
	var err error
	if s.Data, err = filepath.Abs(s.Data); err != nil {
		return err
	}
	if s.Database != "" && !engine.IsPostgres(s.Database) {
		if s.Database, err = filepath.Abs(s.Database); err != nil {
			return err
		}
	}
	if s.Workers.Encode == 0 {
		s.Workers.Encode = runtime.NumCPU()
	}
	if len(s.Suffixes) == 0 {
		s.Suffixes = upload.DefaultSuffixes()
	}
	s.PublicURL, s.EdgeURL = strings.TrimRight(s.PublicURL, "/"), strings.TrimRight(s.EdgeURL, "/")
	return nil
}

// limits are the settings' limits as the rooms take them.
func (s *Settings) limits() video.Limits {
	l := s.Limits
	return video.Limits{Bytes: int64(l.Bytes), Duration: l.Duration, Pixels: l.Pixels, Streams: l.Streams, CPU: l.CPU, Memory: int64(l.Memory), Output: int64(l.Output)}
}

// ShowConfig prints the configuration.
type ShowConfig struct {
	Settings `embed:""`
}

// Run prints each key with its value and its source, as YAML that can be read back but for its secrets.
func (c *ShowConfig) Run(ctx *kong.Context, files *fileResolver) error {
	if err := c.finish(); err != nil {
		return err
	}
	return printConfig(ctx.Stdout, ctx, files)
}

func printConfig(w io.Writer, ctx *kong.Context, files *fileResolver) error {
	group := ""
	for _, flag := range ctx.Selected().Flags {
		if flag.Name == "help" || flag.Name == "config" {
			continue
		}
		key := fileKey(flag.Name)
		value := flag.Target.Interface()
		if text, ok := value.(string); ok {
			value = redacted(key, text)
		}
		if g, rest, ok := strings.Cut(key, "."); ok {
			if group != g {
				fmt.Fprintf(w, "%s:\n", g)
				group = g
			}
			key = "  " + rest
		}
		line := fmt.Sprintf("%s: %s", key, show(value))
		if secret, ok := value.(Secret); ok && secret != "" || reflect.TypeOf(value) == reflect.TypeFor[[]Secret]() && reflect.ValueOf(value).Len() > 0 {
			line = fmt.Sprintf("  # %s is set and not shown", strings.TrimSpace(key)) // as a comment, so that what is printed can be read back
		}
		if _, err := fmt.Fprintf(w, "%-60s # %s\n", line, files.source(ctx, flag)); err != nil {
			return err
		}
	}
	return nil
}

// fileKey is a flag's key in the file: "limits.bytes" for --limits-bytes, "public_url" for --public-url.
func fileKey(flag string) string {
	for _, group := range []string{"workers", "disk", "limits", "events", "reconcile", "sweep", "smtp", "notify", "s3", "cache", "cdn", "tls", "connections", "drain", "oidc", "grants", "playback-cookies", "log"} { // the keys that hold keys
		if rest, ok := strings.CutPrefix(flag, group+"-"); ok {
			return strings.ReplaceAll(group, "-", "_") + "." + strings.ReplaceAll(rest, "-", "_")
		}
	}
	return strings.ReplaceAll(flag, "-", "_")
}

func show(value any) string {
	if v := reflect.ValueOf(value); v.Kind() == reflect.Slice {
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = strconv.Quote(fmt.Sprint(v.Index(i).Interface()))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	if s, ok := value.(string); ok {
		return strconv.Quote(s)
	}
	return fmt.Sprint(value)
}

// source says where the value of a flag came from.
func (f *fileResolver) source(ctx *kong.Context, flag *kong.Flag) string {
	for _, p := range ctx.Path {
		if p.Flag == flag && !p.Resolved {
			return "flag --" + flag.Name
		}
	}
	if name := setEnv(flag); name != "" {
		return "environment " + name
	}
	if _, ok := f.values[flag.Name]; ok {
		return "file " + f.path
	}
	return "default"
}

// setEnv names the environment variable that sets a flag, or nothing.
func setEnv(flag *kong.Flag) string {
	for _, name := range flag.Envs {
		if _, ok := os.LookupEnv(name); ok {
			return name
		}
	}
	return ""
}
