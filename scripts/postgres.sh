#!/usr/bin/env bash
# postgres.sh start|stop|restart DIR: a throwaway PostgreSQL for tests.
#
# start makes a cluster on a free port of 127.0.0.1 and prints its URL. Nothing in it outlives a crash of the machine (fsync
# is off). It installs postgresql where it is missing (Debian, Ubuntu). initdb refuses to run as root, so root runs the server
# as the user postgres; and as that user may not get into DIR, the cluster is a folder in /tmp, whose name DIR keeps. stop
# ends the server and removes the cluster. restart ends the server as a crash does, and starts it again on the same port.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
	echo "usage: scripts/postgres.sh start|stop|restart DIR" >&2
	exit 2
}

[[ $# -eq 2 && -n $2 ]] || usage
mkdir -p "$2"
dir=$(cd "$2" && pwd)
pointer=$dir/postgres.cluster # the name of the cluster's folder

# The newest version's folder of programs, empty where there is none. Debian keeps them off the PATH.
programs() {
	local found
	found=$(compgen -G '/usr/lib/postgresql/*/bin/initdb' | sort -V | tail -n 1) || true
	if [[ -z $found ]]; then found=$(command -v initdb || true); fi
	if [[ -n $found ]]; then dirname "$found"; fi
}

# as_server COMMAND…: root becomes the user that the package made.
as_server() {
	if [[ $(id -u) -eq 0 ]]; then
		(cd / && setpriv --reuid postgres --regid postgres --init-groups env HOME="$cluster" "$@")
	else
		(cd / && "$@")
	fi
}

start() {
	bin=$(programs)
	if [[ -z $bin ]]; then
		scripts/install.sh test >&2
		bin=$(programs)
	fi
	if [[ -z $bin ]]; then
		echo "PostgreSQL's server programs are missing: install postgresql (Debian: apt-get install postgresql), or set SLUICE_TEST_POSTGRES to the URL of a server whose user may create databases." >&2
		exit 1
	fi
	if [[ -e $pointer ]]; then
		echo "A PostgreSQL was started for $dir already: stop it first." >&2
		exit 1
	fi
	cluster=$(mktemp -d /tmp/sluice-pg.XXXXXX)
	echo "$cluster" >"$pointer"
	if [[ $(id -u) -eq 0 ]]; then chown postgres "$cluster"; fi
	# Other users of this machine don't get in: who is PostgreSQL's superuser runs programs as its user.
	local password
	password=$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')
	(umask 077 && echo "$password" >"$cluster/password")
	if [[ $(id -u) -eq 0 ]]; then chown postgres "$cluster/password"; fi
	as_server "$bin/initdb" -D "$cluster/data" -U postgres --auth=scram-sha-256 --pwfile="$cluster/password" --no-sync --no-locale -E UTF8 >"$cluster/setup.log" 2>&1 || fail
	# A port that is free now may be taken before the server has it: then the next one.
	local port try
	for try in 1 2 3 4 5 6 7 8; do
		port=$((20000 + (RANDOM * 32768 + RANDOM) % 40000))
		if as_server "$bin/pg_ctl" -D "$cluster/data" -l "$cluster/log" -w -t 60 start -o "-p $port -c listen_addresses=127.0.0.1 \
			-c unix_socket_directories=$cluster -c fsync=off -c synchronous_commit=off -c full_page_writes=off \
			-c max_connections=400 -c shared_buffers=64MB" >>"$cluster/setup.log" 2>&1; then
			echo "postgres://postgres:$password@127.0.0.1:$port/postgres?sslmode=disable"
			return
		fi
		echo "try $try: port $port" >>"$cluster/setup.log"
	done
	fail
}

fail() {
	cat "$cluster/setup.log" "$cluster/log" >&2 2>/dev/null || true
	echo "PostgreSQL did not start; its log is above." >&2
	stop
	exit 1
}

stop() {
	[[ -e $pointer ]] || return 0
	cluster=$(cat "$pointer")
	bin=$(programs)
	if [[ -f $cluster/data/postmaster.pid ]]; then
		as_server "$bin/pg_ctl" -D "$cluster/data" -m immediate -w -t 60 stop >/dev/null
	fi
	rm -rf "$cluster" "$pointer"
}

restart() {
	cluster=$(cat "$pointer")
	bin=$(programs)
	as_server "$bin/pg_ctl" -D "$cluster/data" -l "$cluster/log" -m immediate -w -t 60 restart >>"$cluster/setup.log" 2>&1 || fail
}

case $1 in
start) start ;;
restart) restart ;;
stop) stop ;;
*) usage ;;
esac
