// What happens when a grant ends while somebody watches, and what a browser has kept of what it may not have any more. The page of the players is on another
// origin than the server.
//
//   RENEWAL_PAGE   origin of the page of the players, which cors_origins names
//   SLUICE_URL     of the server; the page of the product is built into it
//   SLUICE_TOKEN, SLUICE_VIDEO
//
// The video wants 60 s, more than any player buffers.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { launch, need, operate, until, visit } from './browser.mjs';

const [home, url, token, video] = ['RENEWAL_PAGE', 'SLUICE_URL', 'SLUICE_TOKEN', 'SLUICE_VIDEO'].map(need);
const short = 60; // seconds that a grant lasts: enough for a player to begin on a slow machine

let browser;

before(async () => {
  browser = await launch();
});

after(() => browser?.close());

const media = (address) => /\.(m4s|mp4)(\?|$)/.test(address);
const queryOf = (address) => address.split('?')[1] ?? '';

async function api(method, path, body) {
  const answer = await fetch(url + path, { method, headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' }, body: body && JSON.stringify(body) });
  assert.ok(answer.ok, `${method} ${path}: ${answer.status}`);
  return answer.status === 204 ? null : answer.json();
}

const grant = (what) => api('POST', '/v1/keys', { video, ...what });
const refused = (address) => until('the grant to end', async () => {
  const answer = await fetch(address);
  return answer.status === 403 && (await answer.json()).code;
});

// open is a page that plays, paused after its first second, with what the edge answered it.
async function open(t, player, address, proof = {}) {
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(120_000);
  const answers = [];
  page.on('response', (response) => media(response.url()) && answers.push(response));
  await page.goto(home);
  await page.waitForFunction('window.loaded');
  await page.evaluate(([player, address, proof]) => window.play(player, address, proof), [player, address, proof]);
  await page.evaluate(() => document.querySelector('video').play());
  await until('a second of playback', () => page.evaluate(() => document.querySelector('video').currentTime >= 1));
  await page.evaluate(() => document.querySelector('video').pause());
  return { page, answers };
}

const toTheEnd = (page) => page.evaluate(() => {
  const video = document.querySelector('video');
  video.currentTime = video.duration - 3;
  return video.play();
});
const ended = (page) => page.evaluate(() => document.querySelector('video').currentTime > document.querySelector('video').duration - 1);

// Each waits until a grant has ended.
describe('A grant that ends', { concurrency: 3 }, () => {
  for (const [player, form] of [['hls', 'hls'], ['shaka', 'dash'], ['dash', 'dash']]) {
    test(`${player} plays on past the end of a grant with a newer one`, { timeout: 600_000 }, async (t) => {
      const first = await grant({ expires_in: short });
      const { page, answers } = await open(t, player, first[form], { ahead: 10 });
      const known = answers[0].url();
      assert.equal(await refused(known), 'policy_expired');
      const second = await grant({});
      await page.evaluate((query) => (window.newest = query), second.query);
      const from = answers.length;
      await toTheEnd(page);
      await until('the end', () => ended(page));
      assert.deepEqual(await page.evaluate(() => window.player.errors), []);
      const since = answers.slice(from);
      assert.ok(since.length > 0 && since.every((answer) => answer.ok() && queryOf(answer.url()) === second.query), since.map((a) => `${a.status()} ${a.url().split('?')[0]}`).join('\n'));
    });
  }

  test('The browser by itself keeps the grant that it began with', { timeout: 600_000 }, async (t) => {
    const page = await (await browser.newContext()).newPage();
    t.after(() => page.context().close());
    if (!(await page.evaluate(() => document.createElement('video').canPlayType('application/vnd.apple.mpegurl')))) return t.skip('this browser has no player of its own');
    const first = await grant({ expires_in: short });
    const own = await open(t, 'native', first.hls);
    await refused(first.hls);
    await toTheEnd(own.page).catch((e) => t.diagnostic(e.message));
    await until('the refusal', () => own.page.evaluate(() => window.player.errors.length > 0));

    // The usual grant lasts for the whole of it, and longer.
    const usual = await grant({});
    const { duration_ms: length } = await api('GET', `/v1/videos/${video}`);
    assert.ok(Date.parse(usual.expires) - Date.now() > length);
    const whole = await open(t, 'native', usual.hls);
    await toTheEnd(whole.page);
    await until('the end', () => ended(whole.page));
  });

  test('The page renews its grant, and plays on', { timeout: 600_000 }, async (t) => {
    const { page, faults } = await visit(t, browser, 1280, 800);
    const queries = [];
    await page.route('**/v1/keys', async (route) => {
      const body = route.request().postDataJSON();
      if (!body.video) return route.continue();
      const answer = await route.fetch({ postData: JSON.stringify({ ...body, expires_in: short }) });
      queries.push((await answer.json()).query);
      await route.fulfill({ response: answer });
    });
    const answers = [];
    page.on('response', (response) => media(response.url()) && answers.push(response));
    await operate(page, url, token);
    await page.getByRole('heading', { level: 1, name: 'Videos', exact: true }).waitFor();
    const devtools = await page.context().newCDPSession(page); // or hls.js has all of a short video at once
    await devtools.send('Network.enable');
    await devtools.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput: 24 << 10, uploadThroughput: -1 });
    await page.goto(`${url}/#/v/${video}`);
    await until('the first segment', () => answers.find((answer) => answer.url().includes('.m4s')));
    assert.equal(await refused(answers[0].url()), 'policy_expired');
    await devtools.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: -1 });
    assert.ok(queries.length > 1, 'the page has not asked again');
    await toTheEnd(page);
    await until('the end', () => ended(page));
    assert.deepEqual(answers.filter((answer) => !answer.ok()).map((answer) => answer.status()), []);
    assert.ok(queries.indexOf(queryOf(answers.at(-1).url())) > 0, 'the last segment came by the first grant');
    assert.equal(await page.getByRole('alert').count(), 0);
    assert.deepEqual(faults, []);
  });
});

test('What a browser has fetched it may show again until the grant ends, and nothing more of a playback id that was revoked', { timeout: 600_000 }, async (t) => {
  const { id } = await api('POST', `/v1/videos/${video}/playbacks`, { policy: 'signed' });
  const { hls } = await grant({ video: undefined, playback: id });
  const { page, answers } = await open(t, 'hls', hls, { ahead: 6, behind: 0 });
  const cached = new Set();
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('Network.enable');
  devtools.on('Network.requestServedFromCache', (e) => cached.add(e.requestId));
  const seen = new Map();
  devtools.on('Network.responseReceived', (e) => media(e.response.url) && seen.set(e.requestId, e.response));

  await page.evaluate(() => document.querySelector('video').play());
  await until('12 s of playback', () => page.evaluate(() => document.querySelector('video').currentTime >= 12));
  await page.evaluate(() => document.querySelector('video').pause());
  await api('DELETE', `/v1/videos/${video}/playbacks/${id}`);
  const known = answers.find((answer) => answer.url().includes('00001.m4s'));
  assert.match((await known.allHeaders())['cache-control'], /^private, max-age=\d+, immutable$/);
  assert.equal(await refused(known.url()), 'playback_revoked');

  seen.clear();
  const from = answers.length;
  await page.evaluate(() => (document.querySelector('video').currentTime = 0));
  await page.evaluate(() => document.querySelector('video').play());
  await until('the beginning once more', () => page.evaluate(() => !document.querySelector('video').seeking && document.querySelector('video').currentTime >= 1 && document.querySelector('video').currentTime < 12));
  const again = [...seen].filter(([, answer]) => answer.url.includes('.m4s'));
  assert.ok(again.length > 0, 'nothing was fetched again');
  for (const [request, answer] of again) {
    assert.ok(answer.status === 200 && (answer.fromDiskCache || answer.fromPrefetchCache || cached.has(request)), `${answer.status} ${answer.url.split('?')[0]}: not from the browser's own cache`);
  }
  await page.evaluate(() => (document.querySelector('video').currentTime = document.querySelector('video').duration - 3));
  const next = await until('the next segment', () => answers.slice(from).find((answer) => answer.status() === 403));
  assert.equal((await next.json()).code, 'playback_revoked');
});
