// Command sluice is self-hosted video on demand: one binary that takes uploads, transcodes them and delivers them.
package main

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/alecthomas/kong"

	"sluice/internal/sandbox"
)

// The exit codes of every command.
const (
	exitFailed   = 1 // the work was done and something of it failed
	exitUsage    = 2 // the command line or the configuration is wrong
	exitNoServer = 3 // no server answers, or it refuses the token
)

// exitError is an error with an exit code of its own.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string { return e.err.Error() }
func (e exitError) Unwrap() error { return e.err }

type commands struct {
	Serve         Serve         `cmd:"" help:"Run the server: API, S3 endpoint, workers, edge and page."`
	Put           Put           `cmd:"" help:"Upload files and wait until they play."`
	Errors        Errors        `cmd:"" help:"List or count what went wrong, over all videos."`
	Jobs          Jobs          `cmd:"" help:"Show the work on videos, try it again, or cancel it."`
	Queues        Queues        `cmd:"" help:"Show the kinds of work, hold them up, and limit them."`
	Users         Users         `cmd:"" help:"Who may sign in: invite, change, shut out, reset."`
	Keys          KeyPairs      `cmd:"" help:"The key pairs that playback is signed with: make, bring and retire them."`
	Subscriptions Subscriptions `cmd:"" help:"Who is told by mail when videos fail and when they are ready again."`
	OAuth         OAuth         `cmd:"" name:"oauth" help:"The keys that sign access tokens."`
	Clients       Clients       `cmd:"" help:"Which programs may ask for tokens by OAuth 2.0."`
	Backup        Backup        `cmd:"" help:"Back up a data folder while its server runs."`
	Restore       Restore       `cmd:"" help:"Make a data folder from a backup, or check one."`
	Purge         PurgeCopies   `cmd:"" help:"Have the CDN drop its copies of videos."`
	Sweep         SweepUp       `cmd:"" help:"Show what nobody needs any more, and remove it with --delete."`
	Reconcile     Compare       `cmd:"" help:"Show when the storage is next compared with the records, and compare them now with --now."`
	Move          Move          `cmd:"" help:"Move a stopped installation from its data folder to PostgreSQL and S3."`
	Config        ShowConfig    `cmd:"" help:"Print the configuration in force and where each value came from."`
	Version       VersionFlag   `cmd:"" help:"Print the version."`
}

// VersionFlag prints the version that was built.
type VersionFlag struct{}

// Run prints the version.
func (VersionFlag) Run() error {
	fmt.Println("sluice " + version())
	return nil
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

func main() {
	sandbox.Main() // takes over where this process is a sandboxed child
	os.Exit(run(os.Args[1:]))
}

// run is the program without the process: it returns the exit code.
func run(args []string) int {
	var cmd commands
	files := &fileResolver{}
	parser, err := kong.New(&cmd,
		kong.Name("sluice"),
		kong.Description("Self-hosted video on demand."),
		kong.UsageOnError(),
		kong.Resolvers(files),
		kong.Bind(files),
	)
	if err != nil {
		panic(err) // the grammar above is wrong
	}
	if err := files.open(args, os.Getenv("SLUICE_CONFIG")); err != nil {
		fmt.Fprintln(os.Stderr, "sluice: "+err.Error())
		return exitUsage
	}
	ctx, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "sluice: "+files.explain(err, args))
		return exitUsage
	}
	return exitCode(ctx.Run(ctx))
}

func exitCode(err error) int {
	if err == nil {
		return 0
	}
	var exit exitError
	if errors.As(err, &exit) {
		if exit.err != nil {
			fmt.Fprintln(os.Stderr, "sluice: "+exit.Error())
		}
		return exit.code
	}
	fmt.Fprintln(os.Stderr, "sluice: "+err.Error())
	return exitFailed
}
