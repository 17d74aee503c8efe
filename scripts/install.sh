#!/usr/bin/env bash
# install.sh build|run|test|storage: makes sure that what Sluice needs for that is on this machine.
#
# Go, Node and make are checked and never installed: which of them a person wants is theirs to say. The rest comes from
# apt-get on Debian and Ubuntu (as root, or with sudo), and only what is missing. On any other system it says what is
# missing and how to get it, and exits with 1. Where nothing is missing it takes a fraction of a second.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

node_min=20.19 ffmpeg_min=5.1
packages=() # Debian packages to install
problems=() # what a person has to do themselves

usage() {
	echo "usage: scripts/install.sh build|run|test|storage" >&2
	exit 2
}

have() { command -v "$1" >/dev/null 2>&1; }

# at_least VERSION MINIMUM
at_least() { printf '%s\n%s\n' "$2" "$1" | sort -V -C; }

check_go() {
	local want version
	want=$(awk '$1 == "go" { print $2; exit }' go.mod)
	if ! have go; then
		problems+=("Go $want or newer is needed: get it from https://go.dev/dl/.")
		return
	fi
	# Run inside the module: a Go older than go.mod asks for fetches the newer one by itself, or says why it can't.
	if ! version=$(go env GOVERSION 2>&1); then
		problems+=("Go does not start here: $version")
	elif ! at_least "${version#go}" "$want"; then
		problems+=("Go $want or newer is needed and this is ${version#go}: get it from https://go.dev/dl/.")
	fi
}

check_node() {
	local version
	if ! have node || ! have npm; then
		problems+=("Node $node_min or newer with npm is needed: get it from https://nodejs.org/.")
		return
	fi
	version=$(node --version)
	at_least "${version#v}" "$node_min" ||
		problems+=("Node $node_min or newer is needed and this is ${version#v}: get it from https://nodejs.org/.")
}

check_make() { have make || problems+=("GNU make is needed."); }

# What a service needs of ffmpeg: libx264 and aac to encode, zscale to tone-map, and the option syntax of 5.1.
check_ffmpeg() {
	local version part
	if ! have ffmpeg || ! have ffprobe; then
		packages+=(ffmpeg)
		return
	fi
	version=$(ffmpeg -version | awk 'NR == 1 { print $3 }')
	# Distributions write "5.1.9-0+deb12u1", builds from git write "N-12345-g…": the latter can't be compared and are let through.
	if [[ $version =~ ^n?([0-9]+(\.[0-9]+)*) ]] && ! at_least "${BASH_REMATCH[1]}" "$ffmpeg_min"; then
		problems+=("ffmpeg $ffmpeg_min or newer is needed and this is $version.")
		return
	fi
	part=$(ffmpeg -hide_banner -encoders)
	[[ $part == *" libx264 "* ]] || problems+=("This ffmpeg has no libx264 encoder: install a build with --enable-gpl --enable-libx264.")
	[[ $part == *" aac "* ]] || problems+=("This ffmpeg has no aac encoder: install a full build.")
	part=$(ffmpeg -hide_banner -filters)
	[[ $part == *" zscale "* ]] || problems+=("This ffmpeg has no zscale filter: install a build with --enable-libzimg.")
}

# About 220 MB, for the tests on Ceph alone.
check_storage() {
	have radosgw && have radosgw-admin && have ceph-mon && have ceph-osd || packages+=(radosgw ceph-mon ceph-osd)
}

check_test() {
	have initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || packages+=(postgresql)
	# The shell takes half the CPU time of chromium, which does as well.
	have chromium-headless-shell || have chromium || have chromium-browser || have google-chrome ||
		packages+=(chromium-headless-shell)
	have xmllint || packages+=(libxml2-utils)
	have curl || packages+=(curl)
	have openssl || packages+=(openssl)
	have nginx || [[ -x /usr/sbin/nginx ]] || packages+=(nginx-light)
}

as_root() {
	if [[ $EUID -eq 0 ]]; then
		"$@"
	elif [[ -t 0 ]]; then
		sudo "$@"
	else
		sudo -n "$@"
	fi
}

apt() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
		-o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold "$@" </dev/null
}

# Debian's postgresql makes and starts a cluster of its own when it is installed. The tests start theirs, on a port of
# their own, so for the time of the installation that is switched off.
no_cluster=/etc/postgresql-common/createcluster.d/sluice-install.conf

install_packages() {
	echo "installing ${packages[*]}"
	apt update
	if [[ " ${packages[*]} " == *" postgresql "* ]]; then
		as_root mkdir -p "${no_cluster%/*}"
		trap 'as_root rm -f "$no_cluster"' EXIT
		echo "create_main_cluster = false" | as_root tee "$no_cluster" >/dev/null
	fi
	apt install --no-install-recommends "${packages[@]}"
	# The tests start what they need of Ceph themselves; its packages would have this machine watch for crashes of a cluster.
	if [[ " ${packages[*]} " == *" ceph-mon "* ]] && have systemctl; then
		as_root systemctl disable --now ceph-crash.service ceph.target >/dev/null 2>&1 || true
	fi
	# The tests start their own nginx; the package's would take port 80.
	if [[ " ${packages[*]} " == *" nginx-light "* ]] && have systemctl; then
		as_root systemctl disable --now nginx.service >/dev/null 2>&1 || true
	fi
}

examine() {
	packages=() problems=()
	check_go
	check_make
	check_node
	case $purpose in
	run) check_ffmpeg ;;
	test) check_ffmpeg; check_test ;;
	storage) check_ffmpeg; check_test; check_storage ;;
	esac
}

# end_on_problems says what a person has to do, if there is anything.
end_on_problems() {
	((${#problems[@]})) || return 0
	printf 'sluice: %s\n' "${problems[@]}" >&2
	exit 1
}

purpose=${1:-}
case $purpose in
build | run | test | storage) ;;
*) usage ;;
esac

examine
if ((${#packages[@]})); then
	if ! have apt-get; then
		problems+=("Missing here: ${packages[*]} (Debian's names). This script installs with apt-get alone: install them with your system's package manager.")
	elif [[ $EUID -ne 0 ]] && ! have sudo; then
		problems+=("Missing here: ${packages[*]}. As root: apt-get install ${packages[*]}")
	fi
fi
end_on_problems
if ((${#packages[@]})); then
	install_packages
	examine # what came must pass the same checks
	((${#packages[@]})) && problems+=("Still missing after installation: ${packages[*]}.")
	end_on_problems
fi
