// Plays one ready video that needs a proof, in each way, with the players of other houses: the page and the API are on one host, the edge is on
// another host and port, over TLS with a CA of the test's own.
//
//   WAYS_PAGE   origin of the page and the API, WAYS_OTHER of the same page on a site that isn't allowed
//   WAYS_EDGE   origin of the edge
//   WAYS_CA     base64 of the SHA-256 of the CA's public key
//   WAYS_HOSTS  a pattern of the hosts, all of which are this machine
//   SLUICE_TOKEN, SLUICE_VIDEO
//   WAYS_FULL   every way with every player; without it each way and each player once
//
// The video wants 60 s, more than any player buffers.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, need, until } from './browser.mjs';

const [home, other, edge, token, video] = ['WAYS_PAGE', 'WAYS_OTHER', 'WAYS_EDGE', 'SLUICE_TOKEN', 'SLUICE_VIDEO'].map(need);
const players = [['hls', 'hls'], ['shaka', 'dash'], ['dash', 'dash']];

const full = Boolean(process.env.WAYS_FULL);

let browser;

before(async () => {
  browser = await launch([`--host-resolver-rules=MAP ${need('WAYS_HOSTS')} 127.0.0.1`, `--ignore-certificate-errors-spki-list=${need('WAYS_CA')}`]);
});

after(() => browser?.close());

// open is a page of a browser without cookies, with what the edge answered it since.
async function open(t, url) {
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(120_000);
  page.on('pageerror', (e) => t.diagnostic(`page error: ${e.message}`));
  const answers = [];
  page.on('response', (response) => {
    if (response.url().startsWith(edge) && response.request().method() === 'GET') answers.push(response);
  });
  await page.goto(url);
  await page.waitForFunction('window.loaded');
  return { page, answers };
}

// ask calls the API as the page's own script does.
function ask(page, method, path, body) {
  return page.evaluate(async ([address, method, token, body]) => {
    const answer = await fetch(address, {
      method,
      credentials: 'include',
      headers: { Authorization: `Bearer ${token}`, ...(body && { 'Content-Type': 'application/json' }) },
      body: body && JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`${method} ${address}: ${answer.status} ${await answer.text()}`);
    return answer.status === 204 ? null : answer.json();
  }, [path, method, token, body]);
}

const grant = (page, what) => ask(page, 'POST', '/v1/keys', { video, ...what });
const media = (url) => /\.(m4s|mp4)(\?|$)/.test(url);
const plain = (url) => url.split('?')[0];

// status is what the page's script sees of an address, without any proof unless told; null where it may not read the answer.
function status(page, url, options = {}) {
  return page.evaluate(([url, options]) => fetch(url, { cache: 'no-store', credentials: 'omit', ...options }).then((answer) => answer.status, () => null), [url, options]);
}

async function begin(page, player, url, proof) {
  await page.evaluate(([player, url, proof]) => window.play(player, url, proof), [player, url, proof]);
  await page.evaluate(() => document.querySelector('video').play());
  await until('2 s of playback', () => page.evaluate(() => document.querySelector('video').currentTime >= 2));
}

// ways are what a page asks for, what it tells its player, and how a request shows it.
const ways = {
  cookies: { what: { way: 'cookies' }, proof: { cookies: true }, shows: (url, sent) => !url.includes('Signature=') && !sent.authorization && /CloudFront-Signature=/.test(sent.cookie) },
  manifest: { what: { way: 'manifest' }, proof: {}, shows: (url, sent) => url.includes('Signature=') && !sent.authorization && !sent.cookie },
  bearer: { proof: { token }, shows: (url, sent) => !url.includes('Signature=') && sent.authorization === `Bearer ${token}` && !sent.cookie },
};

for (const [at, [name, way]] of Object.entries(ways).entries()) {
  for (const [player, form] of full ? players : [players[at]]) {
    test(`${player} plays ${form.toUpperCase()} by ${name}`, { timeout: 600_000 }, async (t) => {
      const { page, answers } = await open(t, home);
      const urls = way.what ? await grant(page, way.what) : (await ask(page, 'GET', `/v1/videos/${video}`)).playback;
      assert.ok(urls[form].startsWith(edge), urls[form]);
      await begin(page, player, urls[form], way.proof);
      assert.deepEqual(await page.evaluate(() => window.player.errors), []);

      const seen = answers.slice();
      for (const answer of seen) {
        const [sent, got] = [await answer.request().allHeaders(), await answer.allHeaders()];
        const what = `${plain(answer.url())}: ${answer.status()} ${JSON.stringify(got)}`;
        assert.ok([200, 206].includes(answer.status()), what);
        assert.ok(way.shows(answer.url(), sent), `${what} for ${JSON.stringify(Object.keys(sent))}`);
        assert.equal(got['access-control-allow-origin'], home, what);
        assert.equal(got['access-control-allow-credentials'], 'true', what);
        assert.match(got.vary, /\bOrigin\b/, what);
        assert.match(got['cache-control'], /^private/, what);
        assert.equal(sent.referer ?? '', sent.referer && home + '/', 'a referrer tells more than the page');
      }
      const segment = plain(seen.find((answer) => media(answer.url())).url());
      assert.equal(await status(page, segment), 403, 'a segment without a proof');

      // A page that isn't allowed reads nothing, whatever it has.
      const evil = await open(t, other);
      const signed = name === 'manifest' ? seen.find((answer) => media(answer.url())).url() : segment;
      for (const options of [{ credentials: 'include' }, { credentials: 'omit', headers: way.proof.token ? { Authorization: `Bearer ${token}` } : {} }]) {
        assert.equal(await status(evil.page, signed, options), null, `another page reads ${plain(signed)} with ${Object.keys(options)}`);
      }
      t.diagnostic(`${seen.length} answers, ${seen.filter((answer) => media(answer.url())).length} of media`);
    });
  }
}

for (const [player, form] of full ? players : players.slice(0, 1)) {
  test(`a playback id that is revoked stops ${player} at the next segment`, { timeout: 600_000 }, async (t) => {
    const { page, answers } = await open(t, home);
    const devtools = await page.context().newCDPSession(page); // what the browser itself has kept isn't the edge's to stop
    await devtools.send('Network.enable');
    await devtools.send('Network.setCacheDisabled', { cacheDisabled: true });
    const { id } = await ask(page, 'POST', `/v1/videos/${video}/playbacks`, { policy: 'signed' });
    const { [form]: url } = await grant(page, { video: undefined, playback: id, way: 'manifest' });
    assert.ok(url.includes(`/${id}/`), plain(url));
    await begin(page, player, url, { ahead: 10 });

    await ask(page, 'DELETE', `/v1/videos/${video}/playbacks/${id}`);
    const known = answers.find((answer) => media(answer.url())).url();
    await until('the edge to know', async () => (await status(page, known)) === 403);
    const from = answers.length;
    await page.evaluate(() => (document.querySelector('video').currentTime = document.querySelector('video').duration - 3));
    const next = await until('the next segment', () => answers.slice(from).find((answer) => media(answer.url())));
    assert.equal(next.status(), 403, plain(next.url()));
    assert.equal((await next.json()).code, 'playback_revoked');
    await until('the player to tell', () => page.evaluate(() => window.player.errors.length > 0));
    const played = answers.slice(from).filter((answer) => media(answer.url()) && answer.status() !== 403);
    assert.deepEqual(played.map((answer) => plain(answer.url())), []);
    assert.ok(await page.evaluate(() => document.querySelector('video').readyState < HTMLMediaElement.HAVE_CURRENT_DATA), 'a picture of after the revocation is shown');
  });
}
