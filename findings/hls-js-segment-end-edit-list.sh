#!/usr/bin/env bash
# hls.js counts the end of a segment with the composition offsets of its samples and without the track's edit list: with
# B-frames the segment ends too late by the edit, two frames here. MSE in Chromium applies the edit list.
#
# Version: hls.js 1.7.4, Chromium of Debian 12, ffmpeg 5.1.9 (Debian 12), Node 20 or later; seen on 2026-12-01.
# Input:   8 s of testsrc2 at 5 frames a second, libx264, as fragmented MP4 in HLS (VOD, two segments of 4 s); once with
#          two B-frames (positive offsets, edit list of 0.4 s), once without B-frames.
# Seen:    B-frames:    the last segment's video ends at 8.4 for hls.js, at 8.0 in the SourceBuffer
#          no B-frames: 8.0 and 8.0
# At 25 frames a second the difference is 0.08 s and nobody notices. A good engineer would guess that the end which the
# player computes and the end of the buffer it fills are the same, since both come from the same boxes.
# Exits 0 while hls.js behaves so, and not 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for tool in ffmpeg chromium; do
	command -v "$tool" >/dev/null || apt-get -q -y install --no-install-recommends "$tool" >/dev/null
done
cd "$dir"
npm install --silent --no-audit --no-fund hls.js@1.7.4 playwright-core@1.65.1

for bf in 2 0; do
	mkdir "bf$bf"
	ffmpeg -nostdin -v error -f lavfi -i testsrc2=s=320x180:r=5:d=8 -c:v libx264 -preset veryfast \
		-bf "$bf" -b_strategy 0 -g 20 -keyint_min 20 -sc_threshold 0 -pix_fmt yuv420p \
		-movflags +frag_keyframe+delay_moov+default_base_moof "bf$bf/all.mp4"
done

cat >run.mjs <<'JS'
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { chromium } from 'playwright-core';

// A playlist of the file's fragments by byte range: one fragment is one segment.
async function playlist(folder) {
  const all = await readFile(`${folder}/all.mp4`);
  const boxes = [];
  for (let at = 0; at < all.length; at += all.readUInt32BE(at)) {
    boxes.push([all.toString('latin1', at + 4, at + 8), at, all.readUInt32BE(at)]);
  }
  const moov = boxes.find(([type]) => type === 'moov');
  const lines = ['#EXTM3U', '#EXT-X-VERSION:7', '#EXT-X-TARGETDURATION:4', '#EXT-X-PLAYLIST-TYPE:VOD'];
  lines.push(`#EXT-X-MAP:URI="all.mp4",BYTERANGE="${moov[1] + moov[2]}@0"`);
  boxes.forEach(([type, at, size], i) => {
    if (type === 'moof') lines.push('#EXTINF:4,', `#EXT-X-BYTERANGE:${size + boxes[i + 1][2]}@${at}`, 'all.mp4');
  });
  return lines.join('\n') + '\n#EXT-X-ENDLIST\n';
}

const page = '<video muted></video><script src="/node_modules/hls.js/dist/hls.js"></script>';
const server = createServer(async (request, response) => {
  if (request.url === '/') return response.setHeader('Content-Type', 'text/html').end(page);
  if (request.url.endsWith('.m3u8')) return response.end(await playlist('.' + request.url.slice(0, 4)));
  const body = await readFile('.' + request.url).catch(() => null);
  const [, from, to] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '') ?? [];
  response.writeHead(body ? (from ? 206 : 200) : 404).end(from ? body.subarray(Number(from), Number(to) + 1) : body);
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const args = ['--headless', '--no-sandbox', '--disable-gpu'];
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args });
const tab = await browser.newPage();
await tab.goto(`http://127.0.0.1:${server.address().port}/`);
const ends = {};
for (const bf of [2, 0]) {
  ends[bf] = await tab.evaluate(async (url) => {
    const video = document.querySelector('video');
    const hls = new Hls();
    const last = new Promise((resolve, reject) => {
      hls.on(Hls.Events.FRAG_BUFFERED, (_, { frag }) => {
        if (frag.sn === 1) resolve(frag.elementaryStreams.video.endPTS);
      });
      hls.on(Hls.Events.ERROR, (_, data) => data.fatal && reject(new Error(data.details)));
    });
    hls.loadSource(url);
    hls.attachMedia(video);
    const computed = await last;
    const buffered = video.buffered.end(video.buffered.length - 1);
    hls.destroy();
    return { computed, buffered };
  }, `/bf${bf}/list.m3u8`);
}
await browser.close();
server.close();
for (const [bf, { computed, buffered }] of Object.entries(ends)) {
  console.log(`B-frames ${bf}: hls.js ends at ${computed.toFixed(3)}, the buffer at ${buffered.toFixed(3)}`);
}
const late = (e) => e.computed - e.buffered;
process.exitCode = Math.abs(late(ends[2]) - 0.4) < 0.05 && Math.abs(late(ends[0])) < 0.05 ? 0 : 1;
JS
node run.mjs
