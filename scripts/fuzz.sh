#!/usr/bin/env bash
# Fuzzes each fuzz target of the repository, or those of the packages that are named, for FUZZTIME (60s). What it finds is kept below the package's
# testdata/fuzz, where `go test` tries it again ever after. `go test` itself runs the seeds alone.
set -euo pipefail
cd "$(dirname "$0")/.."

failed=0
for package in $(go list "${@:-./...}"); do
	dir=$(go list -f '{{.Dir}}' "$package")
	for target in $(grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go 2>/dev/null | sed 's/^func //' || true); do
		echo "== $package $target"
		go test "$package" -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-60s}" -parallel "${FUZZPARALLEL:-$(nproc)}" || failed=1
	done
done
exit "$failed"
