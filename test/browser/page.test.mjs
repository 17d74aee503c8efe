// A person's first visit, on the real server: sign in, upload, follow, watch, edit, delete.
//
//   SLUICE_URL    of a server that runs
//   SLUICE_TOKEN  its admin token
//   SLUICE_FILE   a small video of 8 s or more
//   SHOTS         folder for screenshots; none are taken without it
//   CHROMIUM      the browser; browser.mjs says which without it

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { after, before, test } from 'node:test';
import { fits, launch, need, operate, shot, until, visit } from './browser.mjs';

let browser, url, token, file;

before(async () => {
  url = need('SLUICE_URL').replace(/\/$/, '');
  token = need('SLUICE_TOKEN');
  file = need('SLUICE_FILE');
  browser = await launch();
});

after(() => browser?.close());

const open = (t, width, height) => visit(t, browser, width, height);

for (const [device, width, height] of [
  ['desktop', 1440, 900],
  ['phone', 360, 740],
]) {
  test(`A video goes from a file to the screen and away again on a ${device}`, { timeout: 600_000 }, async (t) => {
    const { page, faults } = await open(t, width, height);

    await page.goto(url + '/');
    await page.getByRole('button', { name: 'Use the admin token' }).click();
    await page.getByLabel('Admin token').fill('not the token');
    await page.getByRole('button', { name: 'Sign in', exact: true }).click();
    await page.getByText('The server does not know this token').waitFor();
    await page.getByLabel('Admin token').fill(token);
    await page.getByRole('button', { name: 'Sign in', exact: true }).click();
    await page.getByRole('heading', { name: 'Videos' }).waitFor();

    const id = await upload(page);
    const card = page.locator(`li[data-id="${id}"]`);
    await card.waitFor();
    await fits(page);
    await shot(page, `${device}-processing`);
    const status = await until('the end of the encode', async () => {
      const now = await card.getAttribute('data-status');
      return (now === 'ready' || now === 'failed') && now;
    }, 300_000);
    assert.equal(status, 'ready', await card.innerText());
    await card.locator('img').waitFor();
    await until('the poster', () => card.locator('img').evaluate((img) => img.complete && img.naturalWidth > 0));
    await fits(page);
    await shot(page, `${device}-videos`);

    const auth = { Authorization: `Bearer ${token}` };
    const partner = await (await page.request.post(`${url}/v1/videos/${id}/playbacks`, { headers: auth, data: { name: 'Partner <i>site', max_resolution: 240 } })).json();

    await card.getByRole('link').click();
    const video = page.locator('video');
    await video.waitFor();
    await video.evaluate((v) => ((v.muted = true), v.play()));
    const start = await video.evaluate((v) => v.currentTime);
    await until('2 s of playback', () => video.evaluate((v, from) => v.currentTime >= from + 2, start));
    assert.ok(await video.evaluate((v) => v.videoWidth > 0), 'no picture');

    await links(page, id);
    await page.getByRole('button', { name: 'Revoke Partner <i>site' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Revoke', exact: true }).click();
    await until('the playback id to go', async () => (await page.getByRole('list', { name: 'Playback ids' }).count()) === 0);
    const left = await (await page.request.get(`${url}/v1/videos/${id}/playbacks`, { headers: auth })).json();
    assert.deepEqual(left.items.map((p) => [p.id, !!p.revoked]), [[partner.id, true]]);

    const title = `Seen on a ${device} <b>&amp;`;
    await page.getByRole('button', { name: 'Edit' }).click();
    await page.getByLabel('Title').fill(title);
    await page.getByLabel('Tags').fill('first\nsecond, and a comma\nfirst');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByRole('heading', { level: 1, name: title }).waitFor();
    assert.deepEqual(await page.getByRole('list', { name: 'Tags' }).locator('li').allInnerTexts(), ['first', 'second, and a comma']);
    await until('playback to go on after the edit', () => video.evaluate((v, from) => v.currentTime > from + 2.5 && !v.paused, start));
    await page.evaluate(() => scrollTo(0, 0));
    await fits(page);
    await shot(page, `${device}-video`, { fullPage: true });
    assert.ok(await page.locator('section:has(> table)').evaluate((s) => s.scrollWidth <= s.clientWidth), 'the renditions are wider than their panel');

    await page.locator('summary', { hasText: 'Events' }).click();
    await page.getByText('video.ready').first().waitFor();
    await page.locator('summary', { hasText: 'Steps' }).click();
    await page.getByRole('cell', { name: 'publish' }).waitFor();
    await fits(page);

    await page.getByRole('button', { name: 'Delete video' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
    await page.getByRole('heading', { name: 'Videos' }).waitFor();
    await until('the card to go', async () => (await card.count()) === 0);
    const answer = await page.request.get(`${url}/v1/videos/${id}`, { headers: { Authorization: `Bearer ${token}` } });
    assert.equal(answer.status(), 404);

    assert.deepEqual(faults, []);
  });
}

// links sees that a signed video's plain address is refused, and that one which is made to take away opens it with no other proof.
async function links(page, id) {
  const video = await (await page.request.get(`${url}/v1/videos/${id}`, { headers: { Authorization: `Bearer ${token}` } })).json();
  assert.equal(video.playback_policy, 'signed');
  assert.equal((await fetch(video.playback.hls)).status, 403);
  assert.equal(await page.getByRole('textbox', { name: 'HLS URL' }).count(), 0, 'a dead link is offered');
  await page.getByLabel('Links that play for').selectOption('1 hour');
  await page.getByRole('button', { name: 'Make', exact: true }).click();
  await page.getByText('Whoever has one of these can watch until').waitFor();
  const taken = await page.getByRole('textbox', { name: 'HLS URL' }).inputValue();
  assert.ok(taken.startsWith(`${video.playback.hls}?`), taken);
  const playlist = await fetch(taken);
  assert.equal(playlist.status, 200);
  const rung = (await playlist.text()).split('\n').find((line) => line && !line.startsWith('#'));
  assert.equal((await fetch(new URL(rung, taken))).status, 200, rung);
  await fits(page);
}

// upload puts the file in by the file chooser, sees its progress grow, and returns the id of its video.
async function upload(page) {
  // Slow enough to be watched: a loopback upload is over before the page has drawn it.
  const network = await page.context().newCDPSession(page);
  await network.send('Network.emulateNetworkConditions', {
    offline: false, latency: 20, downloadThroughput: -1, uploadThroughput: 100_000,
  });
  const granted = page.waitForResponse((r) => r.url().endsWith('/v1/uploads') && r.request().method() === 'POST');
  const chooser = page.waitForEvent('filechooser');
  await page.getByRole('button', { name: /^(Upload|Choose files)$/ }).first().click();
  await (await chooser).setFiles(file);
  const bar = page.getByRole('progressbar', { name: `Upload of ${basename(file)}` });
  await until('progress of the upload', async () => {
    const part = Number(await bar.getAttribute('aria-valuenow'));
    return part > 0 && part <= 100;
  });
  const id = (await (await granted).json()).id;
  await network.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: -1 });
  return id;
}

test('An upload that lost its connection is tried again, and a canceled one leaves nothing behind', { timeout: 600_000 }, async (t) => {
  const { page, faults } = await open(t, 1024, 768);
  await operate(page, url, token);
  await page.getByRole('heading', { name: 'Videos' }).waitFor();

  let puts = 0;
  await page.route('**', (route) => {
    if (route.request().method() !== 'PUT') return route.fallback();
    puts++;
    return puts === 1 ? route.abort('connectionreset') : undefined; // the second never gets an answer, so it can be canceled
  });
  const granted = page.waitForResponse((r) => r.url().endsWith('/v1/uploads') && r.request().method() === 'POST');
  await page.getByLabel('Files to upload').first().setInputFiles(file);
  const { id } = await (await granted).json();
  await page.getByText('The connection was lost during the upload. It is sent again').waitFor();
  await until('the second attempt', () => puts === 2);

  const find = () => page.request.get(`${url}/v1/videos/${id}`, { headers: { Authorization: `Bearer ${token}` } });
  assert.equal((await find()).status(), 200, 'the grant was not used again');
  await page.getByRole('button', { name: `Cancel ${basename(file)}` }).click();
  await until('the video to go', async () => (await find()).status() === 404);
  assert.equal(await page.getByRole('progressbar', { name: `Upload of ${basename(file)}` }).count(), 0);
  assert.deepEqual(faults, []);
});

test('A file that arrived although its answer was lost is not sent again', { timeout: 600_000 }, async (t) => {
  const { page, faults } = await open(t, 1024, 768);
  await operate(page, url, token);
  await page.getByRole('heading', { name: 'Videos' }).waitFor();
  let puts = 0;
  await page.route('**', async (route) => {
    if (route.request().method() !== 'PUT') return route.fallback();
    puts++;
    // The file is put from here: the browser's own body is not to be had.
    const { 'content-type': type } = route.request().headers();
    const answer = await fetch(route.request().url(), { method: 'PUT', headers: { 'Content-Type': type }, body: await readFile(file) });
    assert.equal(answer.status, 200);
    return route.abort('connectionreset');
  });
  const granted = page.waitForResponse((r) => r.url().endsWith('/v1/uploads') && r.request().method() === 'POST');
  await page.getByLabel('Files to upload').first().setInputFiles(file);
  const { id } = await (await granted).json();
  await page.locator(`li[data-id="${id}"]`).waitFor();
  assert.equal(puts, 1);
  const answer = await page.request.delete(`${url}/v1/videos/${id}`, { headers: { Authorization: `Bearer ${token}` } });
  assert.equal(answer.status(), 204);
  assert.deepEqual(faults, []);
});

for (const [device, width, height] of [
  ['desktop', 1440, 900],
  ['phone', 360, 740],
]) {
  test(`What failed is counted and listed on a ${device}`, { timeout: 600_000 }, async (t) => {
    const { page, faults } = await open(t, width, height);
    const auth = { Authorization: `Bearer ${token}` };
    const name = `<b>not a video on a ${device}.mp4`;
    const grant = await (await page.request.post(`${url}/v1/uploads`, { headers: auth, data: { filename: name } })).json();
    await page.request.fetch(grant.url, { method: grant.method, headers: grant.headers, data: 'Dear Sir or Madam, this is no video.' });

    await operate(page, url, token);
    await page.getByRole('link', { name: 'Errors' }).click();
    await page.getByRole('heading', { level: 1, name: 'Errors' }).waitFor();
    const list = page.getByRole('list', { name: 'Errors, newest first' });
    await list.getByRole('link', { name, exact: true }).waitFor();
    await fits(page);
    await shot(page, `${device}-errors`);

    await page.getByRole('list', { name: 'Errors by code and step' }).getByRole('link', { name: 'not_media' }).click();
    await page.getByRole('heading', { name: 'All with not_media' }).waitFor();
    assert.match(page.url(), /#\/errors\?code=not_media$/);
    await page.getByRole('link', { name: 'Show all codes' }).click();
    await list.getByRole('link', { name, exact: true }).click();
    await page.getByRole('heading', { level: 1, name, exact: true }).waitFor();
    assert.ok(page.url().endsWith(`#/v/${grant.id}`));

    assert.equal((await page.request.delete(`${url}/v1/videos/${grant.id}`, { headers: auth })).status(), 204);
    assert.deepEqual(faults, []);
  });
}

for (const [device, width, height] of [
  ['desktop', 1440, 900],
  ['phone', 360, 740],
]) {
  test(`A dead job is found and tried again, and a queue held up, on a ${device}`, { timeout: 600_000 }, async (t) => {
    const { page, faults } = await open(t, width, height);
    const auth = { Authorization: `Bearer ${token}` };
    const grant = await (await page.request.post(`${url}/v1/uploads`, { headers: auth, data: { filename: 'letter.mp4' } })).json();
    await page.request.fetch(grant.url, { method: grant.method, headers: grant.headers, data: 'Dear Sir or Madam, this is no video.' });

    await operate(page, url, token);
    await page.getByRole('link', { name: 'Jobs' }).click();
    await page.getByRole('heading', { level: 1, name: 'Jobs' }).waitFor();
    await page.getByRole('radio', { name: 'Dead' }).check();
    const job = page.locator('li[data-state="dead"]').filter({ has: page.locator(`a[href="#/v/${grant.id}"]`) });
    await job.waitFor();
    await job.getByRole('button', { name: 'Attempts' }).click();
    await job.getByText('(not_media)').first().waitFor();
    await fits(page);
    await shot(page, `${device}-jobs`);

    const before = await job.getAttribute('data-job');
    await job.getByRole('button', { name: 'Redrive' }).click();
    await until('the job to fail anew', async () => (await job.count()) === 1 && (await job.getAttribute('data-job')) !== before);

    const queue = page.locator('li[data-queue="still"]');
    await queue.getByRole('button', { name: 'Pause still' }).click();
    await queue.getByText('Paused', { exact: true }).waitFor();
    const asked = async () => (await (await page.request.get(`${url}/v1/queues`, { headers: auth })).json()).items.find((q) => q.name === 'still');
    assert.equal((await asked()).paused, true);
    await queue.getByRole('spinbutton').fill('3');
    await queue.getByRole('spinbutton').press('Tab');
    await until('the limit', async () => (await asked()).workers === 3);
    await queue.getByRole('spinbutton').fill('');
    await queue.getByRole('spinbutton').press('Tab');
    await until('no limit', async () => (await asked()).workers === undefined);
    await queue.getByRole('button', { name: 'Resume still' }).click();
    await until('the queue to open', async () => !(await asked()).paused);
    await fits(page);

    assert.equal((await page.request.delete(`${url}/v1/videos/${grant.id}`, { headers: auth })).status(), 204);
    assert.deepEqual(faults, []);
  });
}

test('The admin token lasts for its tab until it signs out, and is in no address', { timeout: 600_000 }, async (t) => {
  const { page, faults } = await open(t, 1024, 768);
  await operate(page, url, token);
  await page.getByRole('heading', { name: 'Videos' }).waitFor();
  assert.ok(!page.url().includes(token), page.url());
  await page.reload();
  await page.getByRole('heading', { name: 'Videos' }).waitFor();
  await page.getByRole('button', { name: 'Account of Admin token' }).click();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  await page.reload();
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  assert.deepEqual(faults, []);
});

test('A script or a style that got into a page is not run, and the tests would see it', { timeout: 600_000 }, async (t) => {
  for (const path of ['/', '/reference']) {
    const { page, faults } = await open(t, 1024, 768);
    await page.goto(url + path);
    await page.evaluate(() => {
      for (const kind of ['script', 'style']) {
        const injected = document.createElement(kind);
        injected.textContent = kind === 'script' ? 'window.injected = true' : 'body { display: none }';
        document.head.append(injected);
      }
    });
    await until(`two refusals on ${path}`, () => ['script-src', 'style-src'].every((rule) => faults.some((f) => f.includes(`Policy: ${rule}`))));
    assert.equal(await page.evaluate(() => window.injected), undefined);
    assert.notEqual(await page.evaluate(() => getComputedStyle(document.body).display), 'none');
  }
});

test('The reference page shows the API without help from another host', { timeout: 600_000 }, async (t) => {
  const { page, faults } = await open(t, 1280, 900);
  const hosts = new Set();
  page.on('request', (r) => r.url().startsWith('http') && hosts.add(new URL(r.url()).origin));
  await page.goto(`${url}/reference`);
  await page.getByText('/v1/uploads').first().waitFor();
  await fits(page);
  await shot(page, 'reference');
  assert.deepEqual([...hosts], [new URL(url).origin]);
  assert.deepEqual(faults, []);
});

test('An address signs nobody in but by the one-time link of the server, and asks who is signed in', { timeout: 600_000 }, async (t) => {
  const { page, faults } = await open(t, 1024, 768);
  const clean = async () => assert.ok(!/token=|admin=/.test(await page.evaluate(() => location.href)), 'the address keeps the credential');
  let taken = 0; // what the server gives for a code, which the server's own tests look at
  await page.route('**/v1/session/link', (route) => {
    taken++;
    return taken === 2
      ? route.fulfill({ status: 410, contentType: 'application/problem+json', body: JSON.stringify({ status: 410, code: 'link_gone', detail: 'This link was used.' }) })
      : route.fulfill({ status: 201, json: { token, expires: '2099-01-01T00:00:00.000Z' } });
  });

  await page.goto(`${url}/#token=${encodeURIComponent(token)}`); // anybody can send one with a token of theirs
  await page.getByRole('heading', { name: 'Sign in', exact: true }).waitFor();
  await page.getByText('A token in an address signs nobody in').waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length + localStorage.length), 0);
  await clean();

  await page.evaluate(() => (location.hash = `#admin=${'a'.repeat(43)}`)); // pasted into the tab
  await page.getByRole('heading', { name: 'Videos' }).waitFor();
  assert.equal(taken, 1);
  await clean();

  await page.evaluate(() => (location.hash = '#token=sluice_pat_of-somebody-else'));
  await page.getByRole('heading', { name: 'Videos' }).waitFor();
  await clean();
  assert.equal(await page.evaluate(() => sessionStorage.getItem('sluice.token')), token, 'a link changed who is signed in');

  for (const answer of ['Sign in as the operator', 'Stay admin']) {
    await page.evaluate(() => (location.hash = `#admin=${'b'.repeat(43)}`));
    await page.getByRole('heading', { name: 'Sign in as the operator?' }).waitFor();
    await clean();
    await fits(page);
    const before = taken;
    await page.getByRole('button', { name: answer, exact: true }).click();
    if (answer === 'Stay admin') assert.equal(taken, before, 'a link was followed that nobody wanted');
    else {
      await page.getByText('This link was used.').waitFor();
      assert.equal(taken, before + 1);
      await page.getByRole('button', { name: 'Stay admin', exact: true }).click();
    }
    await page.getByRole('heading', { name: 'Videos' }).waitFor();
  }
  assert.deepEqual(faults, []);
});
