// The page's lists and its uploads where the server, the network or the session fails for a while.
//
//   SLUICE_URL       of a server with no user but its first administrator
//   SLUICE_TOKEN     its admin token
//   SLUICE_EMAIL     of the first administrator
//   SLUICE_PASSWORD  temporary, as the server printed it
//   SLUICE_FILE      a video file
//   SHOTS, PATIENCE  as in account.test.mjs

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fits, launch, need, operate, shot, until } from './browser.mjs';

let browser, url;
let password;
const own = 'marmalade turnip orbit 77'; // chosen at the first sign-in

before(async () => {
  url = need('SLUICE_URL').replace(/\/$/, '');
  password = need('SLUICE_PASSWORD');
  browser = await launch();
});

after(() => browser?.close());

async function open(t) {
  const page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(Number(process.env.PATIENCE ?? 120_000));
  t.after(() => page.context().close());
  return page;
}

async function look(page, name) {
  for (const [device, width, height] of [['phone', 390, 844], ['desktop', 1280, 800]]) {
    await page.setViewportSize({ width, height });
    await fits(page);
    await shot(page, `${name}-${device}`, { fullPage: true });
  }
}

// A server with more videos than the test wants to make: it answers pages of them by cursor, as the real one does.
function library(total) {
  const state = { newest: total, failing: false, requests: [] };
  const video = (n) => ({
    id: String(n).padStart(26, '0'), name: `clip ${n}.mp4`, status: 'processing', progress: 0.5, created: new Date().toISOString(),
    workspace: 'main', playback_policy: 'signed', owner: 'admin',
  });
  state.route = (route) => {
    const asked = new URL(route.request().url());
    state.requests.push(asked.pathname + asked.search);
    if (state.failing) return route.fulfill({ status: 503, contentType: 'application/problem+json', body: JSON.stringify({ detail: 'The database is away.', code: 'x' }) });
    const limit = Number(asked.searchParams.get('limit'));
    const from = Number(asked.searchParams.get('cursor') ?? state.newest + 1) - 1;
    const items = [];
    for (let n = from; n >= 1 && items.length < limit; n--) items.push(video(n));
    const last = from - items.length + 1;
    return route.fulfill({ json: { items, next: last > 1 ? String(last) : undefined } });
  };
  return state;
}

test('a list that is left open has no hole, does not grow and makes one request a look', { timeout: 900_000 }, async (t) => {
  const page = await open(t);
  const server = library(400);
  await page.route(/\/v1\/videos(\?|\/|$)/, server.route);
  await operate(page, url, need('SLUICE_TOKEN'));
  const shown = () => page.locator('ul[aria-label="Videos"] li').evaluateAll((all) => all.map((li) => Number(li.dataset.id)));
  await until('the first page', async () => (await shown()).length === 24);
  for (let pages = 2; pages <= 5; pages++) {
    await page.getByRole('button', { name: 'Load more' }).click();
    await until(`${pages} pages`, async () => (await shown()).length >= 24 * pages);
  }
  server.newest += 100; // more than four pages between two looks
  const whole = (from, ids) => ids.every((id, i) => id === from - i);
  await until('the new ones, without a hole', async () => {
    const ids = await shown();
    return ids[0] === 500 && ids.length === 120 && whole(500, ids);
  });
  // Each look makes one request, however many cards are on show: two sweeps of five pages are 18 requests at most.
  const before = server.requests.length;
  server.newest++;
  await until('a whole sweep more', async () => {
    const ids = await shown();
    return ids[0] === 501 && ids.length === 120 && whole(501, ids);
  });
  const made = server.requests.length - before;
  assert.ok(made <= 27, `${made} requests for a sweep over 120 cards`);
  assert.ok(server.requests.every((r) => r.startsWith('/v1/videos?')), `asked one by one: ${server.requests.find((r) => !r.startsWith('/v1/videos?'))}`);
  server.failing = true;
  await page.getByText('The database is away.').waitFor();
  server.failing = false;
  await until('the failure is no longer shown', async () => (await page.getByText('The database is away.').count()) === 0);
});

async function signIn(page, secret) {
  await page.getByLabel('E-mail').fill(need('SLUICE_EMAIL'));
  await page.getByLabel('Password', { exact: true }).fill(secret);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
}

test('uploads outlive the session of their person and are sent again after a timeout', { timeout: 900_000 }, async (t) => {
  const page = await open(t);
  await page.goto(`${url}/#/signin`);
  await signIn(page, password);
  await page.getByRole('heading', { level: 1, name: /password/i }).waitFor();
  for (const field of await page.locator('input[autocomplete="new-password"]').all()) await field.fill(own);
  await page.locator('form button.main').click();
  await page.getByRole('heading', { level: 1, name: 'Videos' }).waitFor();

  let release;
  const held = new Promise((resolve) => (release = resolve));
  let puts = 0;
  await page.route(/X-Amz-Signature/, async (route) => {
    if (route.request().method() !== 'PUT') return route.continue();
    puts++;
    if (puts === 1) {
      await held;
      return route.fulfill({ status: 400, contentType: 'application/xml', headers: { 'Access-Control-Allow-Origin': '*' },
        body: '<?xml version="1.0"?><Error><Code>RequestTimeout</Code><Message>The connection was not read from or written to.</Message></Error>' });
    }
    return route.continue();
  });
  await page.getByLabel('Files to upload').first().setInputFiles(need('SLUICE_FILE'));
  await until('the PUT', () => puts === 1);
  await page.context().clearCookies(); // the session ends
  await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
  await page.getByRole('heading', { level: 1, name: 'Sign in' }).waitFor();
  await page.getByText('Your uploads continue while this page is open.').waitFor();
  await look(page, 'signed-out-uploading');
  release();
  await signIn(page, own);
  await page.getByRole('heading', { level: 1, name: 'Videos' }).waitFor();
  await page.locator('li[data-phase="sent"], ul[aria-label="Videos"] li').first().waitFor();
  assert.ok(puts >= 2, `${puts} PUTs`);
  await until('the video', async () => (await page.locator('ul[aria-label="Videos"] li').count()) === 1);
  await look(page, 'signed-in-again');
});

test('an upload goes on whose answer 401 comes after the next sign-in', { timeout: 900_000 }, async (t) => {
  const page = await open(t);
  await page.goto(`${url}/#/signin`);
  await signIn(page, own);
  await page.getByRole('heading', { level: 1, name: 'Videos' }).waitFor();
  let answer;
  const held = new Promise((resolve) => (answer = resolve));
  let asked = 0;
  await page.route(`${url}/v1/uploads`, async (route) => {
    if (++asked > 1) return route.continue();
    await held; // a slow line
    return route.fulfill({ status: 401, contentType: 'application/problem+json', body: JSON.stringify({ detail: 'Sign in.', code: 'unauthorized' }) });
  });
  await page.getByLabel('Files to upload').first().setInputFiles(need('SLUICE_FILE'));
  await until('the question', () => asked === 1);
  await page.context().clearCookies(); // the session ends
  await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
  await page.getByRole('heading', { level: 1, name: 'Sign in' }).waitFor();
  await signIn(page, own);
  await page.getByRole('heading', { level: 1, name: 'Videos' }).waitFor();
  answer();
  await until('the next question', () => asked === 2);
  await until('both videos', async () => (await page.locator('ul[aria-label="Videos"] li').count()) === 2);
});

test('the edit form sends what was changed there, and nothing else', { timeout: 900_000 }, async (t) => {
  const page = await open(t);
  const headers = { Authorization: `Bearer ${need('SLUICE_TOKEN')}` };
  const id = (await (await page.request.get(`${url}/v1/videos`, { headers })).json()).items[0].id;
  const change = (data) => page.request.patch(`${url}/v1/videos/${id}`, { headers, data });
  assert.ok((await change({ title: 'Before', tags: ['one, with a comma', 'two'] })).ok());
  await operate(page, url, need('SLUICE_TOKEN'));
  await page.goto(`${url}/#/v/${id}`);
  await page.getByRole('heading', { level: 1, name: 'Before' }).waitFor();
  await page.getByRole('button', { name: 'Edit', exact: true }).click();
  assert.ok((await change({ title: 'By somebody else' })).ok());
  await page.getByLabel('Description').fill('What it shows.');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('What it shows.').first().waitFor();
  const after = await (await page.request.get(`${url}/v1/videos/${id}`, { headers })).json();
  assert.equal(after.title, 'By somebody else');
  assert.deepEqual(after.tags, ['one, with a comma', 'two']);
  assert.equal(after.description, 'What it shows.');
});

test('a player that the server no longer has is said to be missing, and a reload brings it', { timeout: 900_000 }, async (t) => {
  const page = await open(t);
  const headers = { Authorization: `Bearer ${need('SLUICE_TOKEN')}` };
  const video = await until('a video that plays', async () => (await (await page.request.get(`${url}/v1/videos`, { headers })).json()).items.find((v) => v.playback));
  const chunk = /\/assets\/hls[^/]*\.js$/;
  await page.route(chunk, (route) => route.fulfill({ status: 404, contentType: 'text/plain', body: '404 page not found' }));
  await operate(page, url, need('SLUICE_TOKEN'));
  await page.goto(`${url}/#/v/${video.id}`);
  await page.getByText('The player could not be loaded').waitFor();
  await look(page, 'player-missing');
  await page.unroute(chunk);
  await page.getByRole('button', { name: 'Reload the page' }).click();
  await until('the video to load', () => page.evaluate(() => (document.querySelector('video')?.readyState ?? 0) >= 1));
});

test('the list of people that is left open follows the server, page by page', { timeout: 900_000 }, async (t) => {
  const page = await open(t);
  const headers = { Authorization: `Bearer ${need('SLUICE_TOKEN')}` };
  const invite = async (name) => {
    const answer = await page.request.post(`${url}/v1/users`, { headers, data: { email: `${name}@example.com`, name, role: 'viewer' } });
    assert.ok(answer.ok(), await answer.text());
    return (await answer.json()).id;
  };
  const ids = [];
  for (const name of ['bea', 'cem', 'dora', 'edda', 'finn']) ids.push(await invite(name)); // beside the first administrator
  let failing = false;
  await page.route(/\/v1\/users\?/, (route) => {
    if (failing) return route.fulfill({ status: 503, contentType: 'application/problem+json', body: JSON.stringify({ detail: 'The database is away.', code: 'x' }) });
    const asked = new URL(route.request().url());
    asked.searchParams.set('limit', '2'); // three pages
    return route.continue({ url: asked.href });
  });
  await operate(page, url, need('SLUICE_TOKEN'));
  await page.goto(`${url}/#/people`);
  const shown = () => page.locator('ul[aria-label="People"] li a.name').allInnerTexts();
  for (const count of [2, 4, 6]) {
    await until(`${count} people`, async () => (await shown()).length === count);
    if (count < 6) await page.getByRole('button', { name: 'Load more' }).click();
  }
  const all = await shown();
  assert.deepEqual(all.slice(1), ['bea', 'cem', 'dora', 'edda', 'finn']);
  assert.equal(await page.getByRole('button', { name: 'Load more' }).count(), 0);
  assert.ok((await page.request.delete(`${url}/v1/users/${ids[1]}`, { headers })).ok());
  await invite('gina');
  const looked = () => page.evaluate(() => document.dispatchEvent(new Event('visibilitychange'))); // sooner than in 10 s
  await until('the one who is gone, and the new one', async () => {
    await looked();
    return (await shown()).slice(1).join() === 'bea,dora,edda,finn,gina';
  });
  failing = true;
  await looked();
  await page.getByText('The database is away.').waitFor();
  assert.equal((await shown()).length, 6);
  failing = false;
  await until('the failure is no longer shown', async () => {
    await looked();
    return (await page.getByText('The database is away.').count()) === 0;
  });
});
