// Plays one ready video with the players of other houses, from another origin than Sluice's.
//
//   SLUICE_HLS   URL of its multivariant playlist
//   SLUICE_DASH  URL of its MPD
//   CHROMIUM     the browser; browser.mjs says which without it
//
// SLUICE_URL, SLUICE_TOKEN and SLUICE_VIDEO (an id) may stand in for the two URLs. The video wants two renditions and 8 s or more.

import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { after, before, test } from 'node:test';
import { launch, need, serve, until } from './browser.mjs';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));

let browser, site, urls;

before(async () => {
  urls = await playback();
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

async function playback() {
  if (process.env.SLUICE_HLS && process.env.SLUICE_DASH) return { hls: process.env.SLUICE_HLS, dash: process.env.SLUICE_DASH };
  const answer = await fetch(`${need('SLUICE_URL')}/v1/videos/${need('SLUICE_VIDEO')}`, {
    headers: { Authorization: `Bearer ${need('SLUICE_TOKEN')}` },
  });
  assert.equal(answer.status, 200, await answer.clone().text());
  return (await answer.json()).playback;
}

for (const [player, form] of [
  ['hls', 'hls'],
  ['shaka', 'dash'],
  ['shaka', 'hls'],
  ['dash', 'dash'],
]) {
  test(`${player} plays ${form.toUpperCase()}, switches levels, seeks and ends`, { timeout: 900_000 }, async (t) => {
    const page = await browser.newPage();
    t.after(() => page.close());
    page.setDefaultTimeout(120_000);
    page.on('pageerror', (e) => t.diagnostic(`page error: ${e.message}`));
    await page.goto(site.url + '/');
    await page.waitForFunction('window.loaded');
    await page.evaluate(([name, url]) => window.play(name, url), [player, urls[form]]);
    const time = () => page.evaluate(() => document.querySelector('video').currentTime);

    const widths = await page.evaluate(() => window.player.widths());
    const [small, large] = [widths[0], widths.at(-1)];
    assert.ok(small < large, `the player found pictures of ${widths} pixels; the test wants a video with two renditions or more`);

    // shown waits for a picture of that width. On a slow machine playback could end first: so it begins again before that.
    const shown = (wide) => until(`a picture ${wide} pixels wide`, () => page.evaluate((wide) => {
      const video = document.querySelector('video');
      if (video.videoWidth === wide) return true;
      if (video.ended || video.currentTime > video.duration - 4) {
        video.currentTime = 0;
        void video.play();
      }
      return false;
    }, wide));

    // The smallest first, so that the switch upwards is seen wherever the player's own choice began.
    await page.evaluate(() => window.player.force(0));
    await page.evaluate(() => document.querySelector('video').play());
    const start = await time();
    await until('2 s of playback', async () => (await time()) >= start + 2);
    await shown(small);
    await page.evaluate((n) => window.player.force(n), widths.length - 1);
    await shown(large);

    // Near the end, but before the last rendition's segments are all there: the seek has to load.
    const end = await page.evaluate(() => document.querySelector('video').duration);
    await page.evaluate(() => {
      const video = document.querySelector('video');
      window.over = new Promise((resolve) => video.addEventListener('ended', () => resolve(video.currentTime), { once: true }));
      video.currentTime = video.duration - 1.5;
      return video.play();
    });
    const stopped = await until('the end', () => Promise.race([page.evaluate(() => window.over), wait(120_000)]));
    assert.ok(Math.abs(stopped - end) < 0.5, `ended at ${stopped} s of ${end} s`);

    const errors = await page.evaluate(() => window.player.errors);
    assert.deepEqual(errors, []);
    t.diagnostic(`${widths.length} renditions, ${small} → ${large} pixels wide, ended at ${stopped.toFixed(2)} s of ${end.toFixed(2)} s`);
  });
}

// The link that the page and sluice put print is opened in a new tab too: the browser's own player shows it.
for (const [what, address] of [
  ['the printed HLS link', () => urls.hls],
  ['a link signed by its query', () => process.env.SLUICE_SIGNED],
]) {
  test(`${what}, opened as a document, plays`, { timeout: 900_000 }, async (t) => {
    const at = address();
    if (!at) return t.skip('no such link is given');
    const page = await browser.newPage();
    t.after(() => page.close());
    const refused = [];
    page.on('console', (m) => /Content Security Policy/.test(m.text()) && refused.push(m.text()));
    const answer = await page.goto(at);
    const policy = answer.headers()['content-security-policy'];
    for (const part of ["default-src 'none'", "frame-ancestors 'none'"]) assert.ok(policy.includes(part), policy);
    assert.ok(!/script-src|unsafe|\*|https?:/.test(policy), policy);
    await page.waitForSelector('video', { state: 'attached' });
    await until('2 s of playback', () =>
      page.evaluate(() => {
        const video = document.querySelector('video');
        if (video.error) throw new Error(`the player ended with ${video.error.code}: ${video.error.message}`);
        if (video.paused) video.play().catch(() => {}); // as the press of a key does
        return video.currentTime > 2 && video.videoWidth > 0;
      }),
    );
    assert.deepEqual(refused, []);
  });
}

function wait(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}
