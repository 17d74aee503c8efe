#!/usr/bin/env bash
# test.sh [--ceph] [go test flags] [packages]: all Go tests, or those of some packages, with a PostgreSQL of their own. With
# --ceph it starts a Ceph too, and runs the tests that use it; without, those tests are skipped. Both end with the script,
# however it ends.
#
# SLUICE_TEST_POSTGRES is the URL of PostgreSQL, SLUICE_TEST_CEPH the folder of Ceph or "off", SLUICE_TEST_BINARY the server
# that the tests start. Two packages run at a time, because those that encode keep two cores busy by themselves. At the end
# it prints the CPU seconds of each package (test/measure); go test caches no result of a test that it runs by -exec.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

dir=$(mktemp -d "${TMPDIR:-/tmp}/sluice-test.XXXXXX")
tests=

# The tests are a process group of their own (set -m), so that one signal ends them with all that they started.
finish() {
	local code=$?
	trap - EXIT INT TERM HUP
	if [[ -n $tests ]] && kill -0 -- "-$tests" 2>/dev/null; then
		kill -INT -- "-$tests" 2>/dev/null || true
		wait "$tests" 2>/dev/null || true
		kill -KILL -- "-$tests" 2>/dev/null || true
	fi
	scripts/postgres.sh stop "$dir" >/dev/null || true
	scripts/ceph.sh stop "$dir" || true
	rm -rf "$dir"
	exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

SLUICE_TEST_POSTGRES=$(scripts/postgres.sh start "$dir")
SLUICE_TEST_CEPH=off
if [[ ${1:-} == --ceph ]]; then
	shift
	SLUICE_TEST_CEPH=$(scripts/ceph.sh start "$dir")
fi
SLUICE_TEST_BINARY=$dir/sluice
export SLUICE_TEST_POSTGRES SLUICE_TEST_CEPH SLUICE_TEST_BINARY
go build -o "$SLUICE_TEST_BINARY" ./cmd/sluice # once, and not again by each package
go build -o "$dir/measure" ./test/measure

# Without a package among the arguments it is all of them but those of `make test-faults`. The longest comes first, so that
# the others run beside it.
mapfile -t packages < <(go list ./... | grep -vE '/test/(bench|drill|mutants|s3suite|topology|e2e)$|/internal/ffmpeg$')
packages=(./test/e2e ./internal/ffmpeg "${packages[@]}")
for argument in "$@"; do
	if [[ $argument == ./* ]]; then packages=(); fi
done

# table prints the packages that took a CPU second or more, the dearest first, and the sums.
table() {
	[[ -s $dir/cost ]] || return 0
	echo
	echo "CPU s  wall s  package"
	sort -rn "$dir/cost" | awk -F '\t' -v root="$PWD/" '
		{ cpu += $1; sub(root, "", $3) }
		$1 >= 1 { printf "%5.0f  %6.0f  %s\n", $1, $2, $3; next }
		{ rest += $1; n++ }
		END {
			if (n) printf "%5.0f  %6s  %d others\n", rest, "", n
			printf "%5.0f  %6.0f  all, without compiling\n", cpu, wall
		}' wall="$SECONDS"
}

set -m
# make check runs go vet.
go test -p 2 -timeout 60m -vet=off -exec "'$dir/measure' '$dir/cost'" "$@" "${packages[@]}" </dev/null &
tests=$!
code=0
wait "$tests" || code=$?
table
exit "$code"
