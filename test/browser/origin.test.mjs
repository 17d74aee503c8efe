// Pages of other houses call the API across origins: one signs a person in by code and PKCE, lists videos and plays them; one plays by cookies; one that the
// server doesn't name gets nothing. All hosts are this machine, over TLS with a CA of the test's own.
//
//   ORIGIN_API, ORIGIN_EDGE    origins of the API and of the edge, on one site
//   ORIGIN_NEAR, ORIGIN_FAR    origins of pages in cors_origins: on that site, and on another
//   ORIGIN_OTHER               origin of a page on a third site, which isn't there
//   ORIGIN_CA, ORIGIN_HOSTS    base64 of the SHA-256 of the CA's public key, and a pattern of the hosts
//   SLUICE_CLIENT              client_id of a program of the kind spa that comes back to ORIGIN_FAR/
//   SLUICE_EMAIL, SLUICE_PASSWORD, SLUICE_TOKEN, SLUICE_VIDEO

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { launch, need, until } from './browser.mjs';

const [api, edge, near, far, other, video, token] = ['ORIGIN_API', 'ORIGIN_EDGE', 'ORIGIN_NEAR', 'ORIGIN_FAR', 'ORIGIN_OTHER', 'SLUICE_VIDEO', 'SLUICE_TOKEN'].map(need);

let browser;

before(async () => {
  browser = await launch([`--host-resolver-rules=MAP ${need('ORIGIN_HOSTS')} 127.0.0.1`, `--ignore-certificate-errors-spki-list=${need('ORIGIN_CA')}`]);
});

after(() => browser?.close());

// open is a page of a browser of its own, or of one that is there.
async function open(t, url, context) {
  if (!context) {
    context = await browser.newContext();
    t.after(() => context.close());
  }
  const page = await context.newPage();
  page.setDefaultTimeout(120_000);
  page.on('pageerror', (e) => t.diagnostic(`page error: ${e.message}`));
  await page.goto(url);
  await page.waitForFunction('window.loaded');
  return page;
}

// ask is what the page's script gets: status, body and the headers that it may read; null where it may read nothing.
function ask(page, url, { bearer, json, form, ...options } = {}) {
  return page.evaluate(async ([url, bearer, json, form, options]) => {
    const headers = { ...(bearer && { Authorization: `Bearer ${bearer}` }), ...(json && { 'Content-Type': 'application/json' }) };
    const body = json ? JSON.stringify(json) : form && new URLSearchParams(form);
    try {
      const answer = await fetch(url, { headers, body, method: body ? 'POST' : 'GET', credentials: 'omit', ...options });
      return { status: answer.status, body: await answer.json().catch(() => null), headers: Object.fromEntries(answer.headers) };
    } catch {
      return null;
    }
  }, [url, bearer, json, form, options]);
}

const signIn = async (page) => {
  await page.getByLabel('E-mail').fill(need('SLUICE_EMAIL'));
  await page.getByLabel('Password', { exact: true }).fill(need('SLUICE_PASSWORD'));
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
};

async function begin(page, player, url, proof = {}) {
  await page.evaluate(([player, url, proof]) => window.play(player, url, proof), [player, url, proof]);
  await page.evaluate(() => document.querySelector('video').play());
  await until('2 s of playback', () => page.evaluate(() => document.querySelector('video').currentTime >= 2));
  assert.deepEqual(await page.evaluate(() => window.player.errors), []);
}

test('A page of another site signs a person in by code and PKCE, lists videos and plays', { timeout: 600_000 }, async (t) => {
  const page = await open(t, far + '/');
  const where = await ask(page, `${api}/.well-known/openid-configuration`);
  assert.equal(where?.body.issuer, api);
  assert.equal((await ask(page, where.body.jwks_uri)).status, 200);

  const verifier = randomBytes(32).toString('base64url');
  const state = randomBytes(16).toString('base64url');
  await page.goto(`${where.body.authorization_endpoint}?` + new URLSearchParams({
    client_id: need('SLUICE_CLIENT'), redirect_uri: far + '/', response_type: 'code', scope: 'openid profile videos/read', state,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256',
  }));
  await signIn(page);
  await page.getByRole('button', { name: 'Allow', exact: true }).click();
  await page.waitForURL((url) => url.origin === far);
  await page.waitForFunction('window.loaded');
  const back = new URL(page.url()).searchParams;
  assert.equal(back.get('state'), state);
  assert.equal(back.get('iss'), api);
  const proof = { grant_type: 'authorization_code', code: back.get('code'), redirect_uri: far + '/', client_id: need('SLUICE_CLIENT') };
  const given = await ask(page, where.body.token_endpoint, { form: { ...proof, code_verifier: verifier } });
  assert.equal(given?.status, 200, JSON.stringify(given));
  const bearer = given.body.access_token;
  assert.equal((await ask(page, where.body.userinfo_endpoint, { bearer })).status, 200);
  const list = await ask(page, `${api}/v1/videos`, { bearer });
  assert.deepEqual(list?.body.items.map((v) => v.id), [video]);
  const plays = await ask(page, `${api}/v1/keys`, { bearer, json: { video } });
  assert.equal(plays?.status, 200, JSON.stringify(plays));
  await begin(page, 'dash', plays.body.dash);

  const again = await ask(page, where.body.token_endpoint, { form: { ...proof, code_verifier: 'v'.repeat(43) } });
  assert.equal(again?.body.error, 'invalid_grant', 'a page reads why it gets nothing');

  const another = await open(t, far + '/'); // what was used twice is over, and so is all that it gave
  const ended = await until('the token to end', async () => {
    const answer = await ask(another, `${api}/v1/videos`, { bearer });
    return answer?.status === 401 && answer;
  });
  assert.match(ended.headers['www-authenticate'], /invalid_token/, 'a page reads what is wrong with its token');
});

test('A page of another site plays with a token, and reads what it is refused', { timeout: 600_000 }, async (t) => {
  const page = await open(t, far + '/');
  const list = await ask(page, `${api}/v1/videos`, { bearer: token });
  assert.deepEqual(list?.body.items.map((v) => v.id), [video]);
  const plays = await ask(page, `${api}/v1/keys`, { bearer: token, json: { video } });
  assert.equal(plays?.status, 200);
  await begin(page, 'hls', plays.body.hls);
  const bearing = await open(t, far + '/');
  await begin(bearing, 'shaka', list.body.items[0].playback.dash, { token });

  const gone = await ask(page, `${api}/v1/videos/01jq3v8k2m4n5p6r7s8t9v0w1x`, { bearer: token });
  assert.equal(gone?.body.code, 'no_video');
  const made = await ask(page, `${api}/v1/uploads`, { bearer: token, json: { filename: 'a.mp4' } });
  assert.ok(made?.headers.location.endsWith(made.body.id), JSON.stringify(made));
  assert.equal((await ask(page, `${api}/v1/videos/${made.body.id}`, { bearer: token, method: 'DELETE' }))?.status, 204);
});

test('A page on the same site plays by cookies that the API gives it', { timeout: 600_000 }, async (t) => {
  const page = await open(t, near + '/');
  const given = await ask(page, `${api}/v1/keys`, { bearer: token, json: { video, way: 'cookies' }, credentials: 'include' });
  assert.equal(given?.status, 200);
  assert.ok(!given.body.hls.includes('Signature='));
  await begin(page, 'hls', given.body.hls, { cookies: true });
});

test('The session of a person in the same browser opens nothing to another page', { timeout: 600_000 }, async (t) => {
  const page = await open(t, near + '/');
  const own = await page.context().newPage();
  own.setDefaultTimeout(120_000);
  await own.goto(api + '/');
  await signIn(own);
  await own.getByRole('heading', { level: 1, name: 'Videos', exact: true }).waitFor();
  const sent = page.waitForRequest((request) => request.url() === `${api}/keys`);
  const asked = await ask(page, `${api}/keys`, { credentials: 'include' });
  assert.match((await (await sent).allHeaders()).cookie ?? '', /__Host-sluice=/, 'the browser sends the session along');
  assert.equal(asked?.status, 401);
  assert.equal((await ask(page, `${api}/v1/keys`, { json: { all: true }, credentials: 'include' }))?.body.code, 'cross_site');
  assert.equal(await ask(page, `${api}/v1/videos`, { credentials: 'include' }), null, 'what comes by cookies can not be read');
  assert.equal((await ask(page, `${api}/v1/videos`))?.status, 401);
});

test('A page that is not named gets nothing, whatever it has', { timeout: 600_000 }, async (t) => {
  const page = await open(t, other + '/');
  for (const [path, options] of [['/v1/videos', { bearer: token }], ['/v1/videos', {}], ['/keys', { credentials: 'include' }], ['/v1/keys', { bearer: token, json: { video } }], ['/v1/keys', { bearer: token, json: { video }, credentials: 'include' }]]) {
    assert.equal(await ask(page, api + path, options), null, `${path} ${Object.keys(options)}`);
  }
  // A frame without an origin of its own, on a page that is named, is none.
  const named = await open(t, far + '/');
  const sandboxed = await named.evaluate(([url, token]) => new Promise((resolve) => {
    const frame = document.createElement('iframe');
    frame.sandbox = 'allow-scripts';
    frame.srcdoc = `<script>fetch('${url}', { headers: { Authorization: 'Bearer ${token}' } }).then((a) => parent.postMessage(a.status, '*'), () => parent.postMessage('nothing', '*'))</` + 'script>';
    addEventListener('message', (e) => resolve(e.data), { once: true });
    document.body.append(frame);
  }), [`${api}/v1/videos`, token]);
  assert.equal(sandboxed, 'nothing');
});
