#!/usr/bin/env bash
# libx264 with two frame threads makes other bytes each time it runs, on one machine, where the VBV limits the rate.
#
# Version: x264 core 164 of ffmpeg 5.1.9 (Debian 12), x86_64, seen on 2026-11-30.
# Input:   four seconds of testsrc2, 320x180, 25 pictures a second, encoded 12 times with -crf 21 -preset veryfast.
# Seen:    -threads 2 -maxrate 120k -bufsize 120k   12 different streams
#          -threads 2, no maxrate                   one stream
#          -threads 1 -maxrate 120k -bufsize 120k   one stream
#          -threads 2 -maxrate 120k -bufsize 120k -x264-params sliced-threads=1   2 streams in one run, not checked
# x264's "deterministic" option is on in all of them: it covers the motion search, not the rate control, which estimates
# the frames that other threads have under way from how far they are at that moment.
# A good engineer would guess that the same command makes the same file on the same machine.
# Exits 0 while x264 behaves so, and not 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
if ! command -v ffmpeg >/dev/null; then
	apt-get -q -y install --no-install-recommends ffmpeg=7:5.1.* >/dev/null
fi
ffmpeg -version | head -n 1
ffmpeg -nostdin -v error -f lavfi -i testsrc2=s=320x180:r=25:d=4 -pix_fmt yuv420p -f yuv4mpegpipe "$dir/in.y4m"

# streams OPTIONS... prints how many different streams 12 runs make.
streams() {
	for _ in {1..12}; do
		ffmpeg -nostdin -v error -i "$dir/in.y4m" -c:v libx264 -preset veryfast -crf 21 "$@" -f h264 - | md5sum
	done | sort -u | wc -l
}
vbv=(-maxrate 120k -bufsize 120k)
many=$(streams -threads 2 "${vbv[@]}")
echo "two threads and VBV: $many streams"
((many > 1))
for options in "-threads 2" "-threads 1 ${vbv[*]}"; do
	read -ra words <<<"$options"
	n=$(streams "${words[@]}")
	echo "$options: $n"
	((n == 1))
done
