#!/usr/bin/env bash
# test.sh [go test flags] [packages]: all Go tests, or those of some packages, with a PostgreSQL and a Ceph of their own that are gone
# afterwards, however they end.
#
# SLUICE_TEST_POSTGRES is the URL of the one, SLUICE_TEST_CEPH the folder of the other. Two packages run at a time, because those
# that encode keep two cores busy by themselves.
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
SLUICE_TEST_CEPH=$(scripts/ceph.sh start "$dir")
export SLUICE_TEST_POSTGRES SLUICE_TEST_CEPH

# Without a package among the arguments it is all of them but those of `make test-faults`. The longest comes first, so that
# the others run beside it.
mapfile -t packages < <(go list ./... | grep -vE '/test/(bench|drill|s3suite|topology)$')
packages=(./test/e2e "${packages[@]}")
for argument in "$@"; do
	if [[ $argument == ./* ]]; then packages=(); fi
done

set -m
go test -p 2 -timeout 60m "$@" "${packages[@]}" </dev/null &
tests=$!
wait "$tests"
