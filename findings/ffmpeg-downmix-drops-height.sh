#!/usr/bin/env bash
# ffmpeg's downmix to stereo leaves the height channels out without a word, and refuses ten channels without names, while
# it mixes eight without names as 7.1.
#
# Version: ffmpeg 5.1.9 (Debian 12), seen on 2026-11-30.
# Input:   half a second of a 500 Hz tone in one channel, silence in the others, as WAV.
# Seen:    7.1.4, tone in TFR              exit 0, no message, a silent stereo track
#          8 channels without names        exit 0 (taken for 7.1)
#          10 channels without names       exit 1, "Rematrix is needed between 10 channels and stereo"
# A good engineer would guess that -ac 2 mixes every channel of every layout. An immersive master loses its heights, and a
# field recorder's track fails, only in its last step.
# Exits 0 while ffmpeg behaves so, and not 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
if ! command -v ffmpeg >/dev/null; then
	apt-get -q -y install --no-install-recommends ffmpeg=7:5.1.* >/dev/null
fi
ffmpeg -version | head -n 1
tone='0.5*sin(2*PI*500*t)'
failed=0

# stereo FILE mixes a file to stereo and prints "silent", "heard" or "refused".
stereo() {
	if ! ffmpeg -nostdin -v error -i "$1" -ac 2 -f s16le "$dir/out.raw" -y 2>"$dir/said"; then
		echo refused
	elif tr -d '\0' <"$dir/out.raw" | grep -q .; then
		echo heard
	else
		echo silent
	fi
}
# expect NAME WANT FILE
expect() {
	local got
	got=$(stereo "$3")
	echo "$1: $got"
	[[ $got == "$2" ]] || failed=1
}
ffmpeg -nostdin -v error -f lavfi -i "aevalsrc=0|0|0|0|0|0|0|0|0|$tone|0|0:d=0.5:c=FL+FR+FC+LFE+BL+BR+SL+SR+TFL+TFR+TBL+TBR" "$dir/height.wav"
ffmpeg -nostdin -v error -f lavfi -i "aevalsrc=$tone:d=0.5:c=mono" -filter_complex \
	"asplit=8[a][b][c][d][e][f][g][h];[a][b][c][d][e][f][g][h]amerge=inputs=8" -c:a pcm_s16le "$dir/eight.mkv"
ffmpeg -nostdin -v error -f lavfi -i "aevalsrc=$tone:d=0.5:c=mono" -filter_complex \
	"asplit=10[a][b][c][d][e][f][g][h][i][j];[a][b][c][d][e][f][g][h][i][j]amerge=inputs=10" -c:a pcm_s16le "$dir/ten.mkv"
expect "7.1.4, tone in TFR" silent "$dir/height.wav"
expect "8 channels without names" heard "$dir/eight.mkv"
expect "10 channels without names" refused "$dir/ten.mkv"
exit "$failed"
