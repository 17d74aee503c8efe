#!/usr/bin/env bash
# mutants.sh GREMLINS [package...]: change one condition, bound or operator after the other in the packages of internal/
# that guard something, and run the tests of that package. Print each change that no test noticed ("LIVED") with its line,
# and a table at the end. Code that only the tests of other packages reach counts as not covered.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

gremlins=$(realpath "$1")
shift
packages=("$@")
if [[ $# == 0 ]]; then packages=(fault account signing grant delivery identity oauth upload sandbox); fi

# gremlins copies the whole folder for each worker, so it gets the sources alone.
dir=$(mktemp -d "${TMPDIR:-/tmp}/sluice-mutants.XXXXXX")
trap 'rm -rf "$dir"' EXIT
git ls-files -co --exclude-standard | tar -cf - -T - | tar -xf - -C "$dir"
cd "$dir"

for name in "${packages[@]}"; do
	echo "== internal/$name"
	# A mutant that loops is ended after 20 times what the package's tests take.
	"$gremlins" unleash --workers 1 --timeout-coefficient 20 "./internal/$name" >out.txt 2>&1 || { cat out.txt; exit 1; }
	grep -E '(LIVED|TIMED OUT) ' out.txt | while read -r line; do
		at=${line##* }
		file=${at%%:*} row=${at#*:}
		printf '%s\n      %s\n' "$line" "$(sed -n "${row%%:*}p" "internal/$name/$file" | sed 's/^[[:space:]]*//')"
	done || true
	printf '%-10s %s %s\n' "$name" "$(grep -o 'Killed: .*' out.txt)" "$(grep -o 'Test efficacy: .*' out.txt)" >>table.txt
done

echo
cat table.txt
