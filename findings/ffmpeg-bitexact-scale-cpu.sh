#!/usr/bin/env bash
# ffmpeg's bicubic scaler makes other bytes on another kind of CPU, and "-flags +bitexact" does not change that; the
# scaler's own flags do.
#
# Version: ffmpeg 5.1.9 (Debian 12), x86_64 with AVX2, seen on 2026-11-30.
# Input:   one second of testsrc2, 640x360, yuv420p, scaled to 426x240; once with all CPU extensions and once with
# "-cpuflags 0".
# Seen:    default flags           the bytes differ
#          -flags +bitexact        the bytes differ: the option is the codecs', the scaler does not read it
#          scale=flags=bicubic+accurate_rnd+bitexact   the bytes are the same
# libx264 with asm=1 and asm=0                the bytes are the same once the SEI that names the options is removed
# A good engineer would guess that bitexact covers the whole command. A segment that a second machine makes again would
# then replace one of other bytes.
# Exits 0 while ffmpeg behaves so, and not 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
if ! command -v ffmpeg >/dev/null; then
	apt-get -q -y install --no-install-recommends ffmpeg=7:5.1.* >/dev/null
fi
ffmpeg -version | head -n 1
ffmpeg -nostdin -v error -f lavfi -i testsrc2=s=640x360:r=25:d=1 -pix_fmt yuv420p -f rawvideo "$dir/in.yuv"
raw=(-f rawvideo -s 640x360 -r 25 -pix_fmt yuv420p -i "$dir/in.yuv")

# scaled SCALE OPTIONS... prints the hash of the scaled pictures.
scaled() {
	local scale=$1
	shift
	ffmpeg -nostdin -v error "$@" "${raw[@]}" -vf "$scale" -f rawvideo - | md5sum
}
# coded ASM prints the hash of the stream without its SEI.
coded() {
	ffmpeg -nostdin -v error "${raw[@]}" -c:v libx264 -preset veryfast -threads 2 -x264-params "asm=$1" -bsf:v filter_units=remove_types=6 -f h264 - | md5sum
}
# compare NAME WANT A B fails unless the hashes A and B are WANT ("same" or "other").
compare() {
	local got=other
	[[ $3 == "$4" ]] && got=same
	echo "$1: $got"
	[[ $got == "$2" ]]
}
plain=scale=426:240:flags=bicubic
exact=$plain+accurate_rnd+bitexact
compare "default flags" other "$(scaled "$plain")" "$(scaled "$plain" -cpuflags 0)"
compare "-flags +bitexact" other "$(scaled "$plain" -flags +bitexact)" "$(scaled "$plain" -flags +bitexact -cpuflags 0)"
compare "accurate_rnd+bitexact" same "$(scaled "$exact")" "$(scaled "$exact" -cpuflags 0)"
compare "libx264 asm=0" same "$(coded 1)" "$(coded 0)"
