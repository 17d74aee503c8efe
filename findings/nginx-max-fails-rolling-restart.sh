#!/usr/bin/env bash
# nginx answers 502 while a server of the upstream is up, if both were restarted within fail_timeout.
#
# Version: nginx 1.22.1 (Debian 12 nginx-light), seen on 2026-11-30.
# Input:   an upstream of two servers with default parameters (max_fails=1 fail_timeout=10s), restarted one after the
# other as a rolling restart does.
# Seen:    the first refused connection to each marks it as unavailable for 10 s, although it is back at once. While the
# second restarts, nginx does not try
# the first: "no live upstreams while connecting to upstream", 502. proxy_next_upstream does not help. With max_fails=0
# every request is answered 200.
# A good engineer would guess that a server which is up is tried before 502 is sent.
# Exits 0 while nginx behaves so, and not 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
pids=()
finish() {
	for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done
	wait 2>/dev/null || true
	rm -rf "$dir"
}
trap finish EXIT
nginx=$(command -v nginx || echo /usr/sbin/nginx)
if [[ ! -x $nginx ]]; then
	apt-get -q -y install --no-install-recommends nginx-light=1.22.1-9+deb12u* >/dev/null
	nginx=/usr/sbin/nginx
fi
"$nginx" -v

port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
a=$(port) b=$(port) front=$(port)
mkdir "$dir/www"
echo ok >"$dir/www/index.html"

# serve PORT starts a server and waits until it answers; its process is in $last.
serve() {
	python3 -m http.server -b 127.0.0.1 -d "$dir/www" "$1" >/dev/null 2>&1 &
	last=$!
	pids+=("$last")
	until curl -fso /dev/null "http://127.0.0.1:$1/"; do sleep 0.1; done
}
ask() { curl -so /dev/null -w '%{http_code}' "http://127.0.0.1:$front/"; }

# restarts PARAMETERS restarts both servers in turn, four requests while each is down, and prints the statuses.
restarts() {
	cat >"$dir/nginx.conf" <<-END
		$([[ $EUID -eq 0 ]] && echo "user root root;")
		daemon off; error_log $dir/error.log error; pid $dir/pid; worker_processes 1;
		events {}
		http {
			access_log off;
			client_body_temp_path $dir/t1; proxy_temp_path $dir/t2; fastcgi_temp_path $dir/t3; uwsgi_temp_path $dir/t4; scgi_temp_path $dir/t5;
			upstream u { server 127.0.0.1:$a $1; server 127.0.0.1:$b $1; }
			server { listen 127.0.0.1:$front; location / { proxy_pass http://u; } }
		}
	END
	serve "$a"; local first=$last
	serve "$b"; local second=$last
	"$nginx" -p "$dir" -c "$dir/nginx.conf" &
	local proxy=$!
	pids+=("$proxy")
	until [[ $(ask) == 200 ]]; do sleep 0.1; done
	local seen=()
	kill "$first"; wait "$first" 2>/dev/null || true
	for _ in 1 2 3 4; do seen+=("$(ask)"); done
	serve "$a"; first=$last
	kill "$second"; wait "$second" 2>/dev/null || true
	for _ in 1 2 3 4; do seen+=("$(ask)"); done
	kill "$first" "$proxy"
	wait "$first" "$proxy" 2>/dev/null || true
	echo "${seen[@]}"
}

default=$(restarts "") lenient=$(restarts "max_fails=0")
echo "default:     $default"
echo "max_fails=0: $lenient"
grep -m 1 -o 'no live upstreams[a-z ]*' "$dir/error.log"
[[ $default == *502* && $lenient != *502* ]]
