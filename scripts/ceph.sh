#!/usr/bin/env bash
# ceph.sh start|stop DIR: a throwaway Ceph (one monitor, one OSD in memory, one object gateway) for tests: an S3 server that
# shares no line with ours.
#
# start prints the folder that holds it. Its file url names the address of the gateway, on 127.0.0.1, and its file admin
# holds an access key and a secret that may create users by the gateway's admin API: one request instead of one start of
# radosgw-admin, which costs a CPU second. Ceph needs about 150 MB of memory and what is stored, at most 2 GB. stop ends its processes and
# removes the folder.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
	echo "usage: scripts/ceph.sh start|stop DIR" >&2
	exit 2
}

[[ $# -eq 2 && -n $2 ]] || usage
mkdir -p "$2"
dir=$(cd "$2" && pwd)
pointer=$dir/ceph.cluster # the name of the cluster's folder

configure() {
	cat >"$cluster/ceph.conf" <<-END
		[global]
		fsid = $(cat /proc/sys/kernel/random/uuid)
		mon host = v2:127.0.0.1:$1
		public network = 127.0.0.0/8
		ms bind ipv6 = false
		keyring = $cluster/keyring
		run dir = $cluster
		crash dir = $cluster
		admin socket = $cluster/\$name.\$pid.asok
		log file = $cluster/\$name.log
		mon cluster log file = $cluster/cluster.log
		pid file =
		mon data = $cluster/mon
		mon data avail warn = 1
		mon data avail crit = 1
		mon allow pool size one = true
		mon max pg per osd = 1000
		paxos propose interval = 0.05
		osd data = $cluster/osd
		osd objectstore = memstore
		memstore device bytes = 2147483648
		osd crush chooseleaf type = 0
		osd pool default size = 1
		osd pool default min size = 1
		osd pool default pg num = 1
		osd pool default pgp num = 1
		osd pool default pg autoscale mode = off
		rgw frontends = beast endpoint=127.0.0.1:$2
		rgw thread pool size = 64
		rgw dynamic resharding = false
		rgw enable apis = s3, admin
	END
	echo "http://127.0.0.1:$2" >"$cluster/url"
}

# spawn NAME COMMAND…: leaves its process id for stop.
spawn() {
	local name=$1
	shift
	setsid "$@" </dev/null >"$cluster/$name.out" 2>&1 &
	echo $! >>"$cluster/pids"
	last=$!
	disown # so that its end is nobody's news
}

# answers URL: whether something speaks HTTP there.
answers() { (exec 3<>"/dev/tcp/127.0.0.1/${1##*:}" && printf 'GET / HTTP/1.0\r\n\r\n' >&3 && read -r -t 10 line <&3 && [[ $line == HTTP/* ]]) 2>/dev/null; }

# bring_up tries once, with ports that may turn out to be taken.
bring_up() {
	local port id secret
	port=$((10000 + RANDOM % 22000)) # below the ports that connections take
	rm -rf "${cluster:?}"/*
	mkdir "$cluster/mon" "$cluster/osd"
	configure "$port" $((port + 1))
	ceph-authtool "$cluster/keyring" --create-keyring --gen-key -n mon. --cap mon 'allow *'
	ceph-authtool "$cluster/keyring" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *'
	monmaptool --create --fsid "$(awk '$1 == "fsid" { print $3 }' "$cluster/ceph.conf")" --addv a "[v2:127.0.0.1:$port]" "$cluster/monmap"
	ceph-mon -c "$cluster/ceph.conf" -i a --mkfs --monmap "$cluster/monmap" --keyring "$cluster/keyring"
	spawn mon ceph-mon -c "$cluster/ceph.conf" -i a -f
	id=$(cat /proc/sys/kernel/random/uuid)
	timeout 60 ceph -c "$cluster/ceph.conf" osd new "$id" || return 1
	timeout 60 ceph -c "$cluster/ceph.conf" auth get-or-create osd.0 mon 'allow *' osd 'allow *' >>"$cluster/keyring" || return 1
	ceph-osd -c "$cluster/ceph.conf" -i 0 --mkfs --osd-uuid "$id"
	spawn osd ceph-osd -c "$cluster/ceph.conf" -i 0 -f
	secret=$(cat /proc/sys/kernel/random/uuid)
	timeout 60 radosgw-admin -c "$cluster/ceph.conf" user create --uid accounts --display-name accounts \
		--access-key accounts --secret-key "$secret" --caps 'users=write' || return 1
	echo "accounts $secret" >"$cluster/admin"
	spawn gateway radosgw -c "$cluster/ceph.conf" -n client.admin --no-mon-config -f
	for _ in $(seq 600); do
		if answers "$(cat "$cluster/url")"; then return; fi
		kill -0 "$last" 2>/dev/null || return 1
		sleep 0.2
	done
	return 1
}

start() {
	if ! command -v radosgw >/dev/null || ! command -v ceph-osd >/dev/null || ! command -v ceph-mon >/dev/null; then
		scripts/install.sh storage >&2
	fi
	if [[ -e $pointer ]]; then
		echo "A Ceph was started for $dir already: stop it first." >&2
		exit 1
	fi
	cluster=$(mktemp -d /tmp/sluice-ceph.XXXXXX)
	echo "$cluster" >"$pointer"
	for _ in 1 2 3 4; do
		if bring_up >>"$dir/ceph.log" 2>&1; then
			echo "$cluster"
			return
		fi
		finish
	done
	cat "$dir/ceph.log" "$cluster"/*.out >&2 2>/dev/null || true
	echo "Ceph did not start; its log is above." >&2
	stop
	exit 1
}

# finish ends the processes.
finish() {
	local id
	[[ -e $cluster/pids ]] || return 0
	while read -r id; do kill -KILL "$id" 2>/dev/null || true; done <"$cluster/pids"
	rm "$cluster/pids"
}

stop() {
	[[ -e $pointer ]] || return 0
	cluster=$(cat "$pointer")
	finish
	rm -rf "$cluster" "$pointer"
}

case $1 in
start) start ;;
stop) stop ;;
*) usage ;;
esac
