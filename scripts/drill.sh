#!/usr/bin/env bash
# drill.sh: every drill in its full form, one package after the other. A drill that fails doesn't keep the next from running. At the end it prints how
# long each package took and how many faults were injected, by drill and in all, and fails where a drill has.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

log=$(mktemp "${TMPDIR:-/tmp}/sluice-drill.XXXXXX")
trap 'rm -f "$log"' EXIT
failed=0

# drill PACKAGE [go test flags]
drill() {
	local start=$SECONDS
	go test -count=1 -v -timeout 3h "$@" -args -full </dev/null 2>&1 | tee -a "$log" || failed=1
	echo "took: $((SECONDS - start)) s for $1" | tee -a "$log"
}

drill ./test/drill
drill ./internal/upload -run Flood
drill ./internal/ffmpeg -run "SeveralTracks|ManyChannels|EachCodec|Corpus|RealFiles|RealSources"
drill ./test/e2e
drill ./test/topology
drill ./test/s3suite
drill ./test/accept

echo
grep '^took: ' "$log"
grep -h '^--- FAIL: ' "$log"
grep '^faults: ' "$log" | sort -k 4
grep '^faults: ' "$log" | awk '{ sum += $2 } END { print "faults: " sum + 0 " in all" }'
exit "$failed"
