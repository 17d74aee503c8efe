// Plays a video whose source has sound and picture of unequal length to its end, with the players of other houses. Players
// that use Media Source Extensions wait for every track, so that a track that is too short stops them for ever.
//
//   SLUICE_HLS   URL of its multivariant playlist
//   SLUICE_DASH  URL of its MPD
//   SLUICE_GAP   where the shorter track of the source begins or ends: seconds
//   SLUICE_END   how long the video lasts: seconds
//   CHROMIUM     the browser; browser.mjs says which without it

import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { after, before, test } from 'node:test';
import { launch, need, serve, until } from './browser.mjs';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const gap = Number(need('SLUICE_GAP'));
const end = Number(need('SLUICE_END'));

let browser, site;

before(async () => {
  site = await serve({
    '/': here('player.html'),
    '/player.mjs': here('player.mjs'),
    '/lib/hls.js': here('node_modules/hls.js/dist/hls.js'),
    '/lib/shaka.js': here('node_modules/shaka-player/dist/shaka-player.compiled.js'),
    '/lib/dash.js': here('node_modules/dashjs/dist/modern/umd/dash.all.min.js'),
  });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await site?.close();
});

for (const [player, url] of [
  ['hls', need('SLUICE_HLS')],
  ['shaka', need('SLUICE_HLS')],
  ['shaka', need('SLUICE_DASH')],
  ['dash', need('SLUICE_DASH')],
]) {
  test(`${player} plays ${url.split('.').at(-1)} across ${gap} s and to the end at ${end} s`, { timeout: 900_000 }, async (t) => {
    const page = await browser.newPage();
    t.after(() => page.close());
    page.setDefaultTimeout(120_000);
    await page.goto(site.url + '/');
    await page.waitForFunction('window.loaded');
    await page.evaluate(([name, url]) => window.play(name, url), [player, url]);
    const look = () => page.evaluate(() => {
      const { currentTime, duration, ended } = document.querySelector('video');
      return { currentTime, duration, ended };
    });
    const from = (time) => page.evaluate((time) => {
      const video = document.querySelector('video');
      video.currentTime = time;
      return video.play();
    }, time);

    const { duration } = await look();
    assert.ok(Math.abs(duration - end) < 0.5, `the player counts ${duration} s instead of ${end} s`);
    await from(Math.max(0, gap - 1));
    await until(`playback beyond ${gap} s`, async () => (await look()).currentTime > gap + 0.5);
    await from(duration - 2);
    await until('the end', async () => (await look()).ended);
    const { currentTime } = await look();
    assert.ok(Math.abs(currentTime - end) < 0.5, `ended at ${currentTime} s of ${end} s`);
    assert.deepEqual(await page.evaluate(() => window.player.errors), []);
  });
}
