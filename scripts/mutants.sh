#!/usr/bin/env bash
# mutants.sh GREMLINS [package...]: change one condition, bound or operator after the other in the packages of internal/
# that guard something, and run the tests of that package. Print each change that no test noticed ("LIVED") with its line,
# and a table at the end. Code that only the tests of other packages reach counts as not covered.
#
# The package "sql" is the conditions in the catalog's SQL statements, which are strings to a tool for Go: test/mutants.
# Tests run on SQLite and with -short, because each mutant runs them anew.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

gremlins=$(realpath "$1")
shift
packages=("$@")
if [[ $# == 0 ]]; then packages=(fault account signing grant delivery identity oauth upload sandbox catalog sql); fi

export SLUICE_TEST_POSTGRES=off
root=$PWD

# gremlins copies the whole folder for each worker, so it gets the sources alone.
dir=$(mktemp -d "${TMPDIR:-/tmp}/sluice-mutants.XXXXXX")
trap 'rm -rf "$dir"' EXIT
git ls-files -co --exclude-standard | while read -r name; do if [[ -e $name ]]; then echo "$name"; fi; done |
	tar -cf - -T - | tar -xf - -C "$dir"
cd "$dir"

for name in "${packages[@]}"; do
	if [[ $name == sql ]]; then
		echo "== statements of internal/catalog"
		(cd "$root" && go test ./test/mutants -run '^TestSQL_EachMutant' -count=1 -v -timeout 24h -args -full) >sql.txt 2>&1 || true
		grep -hE '^LIVED |^ *[a-z_]+_test.go:' sql.txt || true
		printf '%-10s Killed: %s, Lived: %s\n' sql "$(grep -c '^    --- PASS' sql.txt)" "$(grep -c '^LIVED' sql.txt)" >>table.txt
		continue
	fi
	echo "== internal/$name"
	# A mutant that loops is ended after 20 times what the package's tests take.
	GOFLAGS="${GOFLAGS:-} -short" "$gremlins" unleash --workers 1 --timeout-coefficient 20 \
		--invert-logical --invert-negatives=false --exclude-files '^sqlc/|/sqlc/' "./internal/$name" >out.txt 2>&1 || { cat out.txt; exit 1; }
	grep -E '(LIVED|TIMED OUT) ' out.txt | while read -r line; do
		at=${line##* }
		file=${at%%:*} row=${at#*:}
		printf '%s\n      %s\n' "$line" "$(sed -n "${row%%:*}p" "internal/$name/$file" | sed 's/^[[:space:]]*//')"
	done || true
	printf '%-10s %s %s\n' "$name" "$(grep -o 'Killed: .*' out.txt)" "$(grep -o 'Test efficacy: .*' out.txt)" >>table.txt
done

echo
cat table.txt
