// An upload from the page to a storage that is not Sluice's own and reports nothing: the page itself tells the server.
//
//   SLUICE_URL    of a server that runs on such a storage, with a first look a minute after a grant
//   SLUICE_TOKEN  its admin token
//   SLUICE_FILE   a small video

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, need, until, visit } from './browser.mjs';

let browser, url, token, file;

before(async () => {
  url = need('SLUICE_URL').replace(/\/$/, '');
  token = need('SLUICE_TOKEN');
  file = need('SLUICE_FILE');
  browser = await launch();
});

after(() => browser?.close());

async function signIn(page) {
  await page.goto(url + '/');
  await page.getByRole('button', { name: 'Use the admin token' }).click();
  await page.getByLabel('Admin token').fill(token);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await page.getByRole('heading', { name: 'Videos' }).waitFor();
}

test('The page completes an upload that no storage event reports', { timeout: 600_000 }, async (t) => {
  const { page } = await visit(t, browser, 1440, 900);
  await signIn(page);
  const granted = page.waitForResponse((r) => r.url() === `${url}/v1/uploads` && r.request().method() === 'POST');
  const completed = page.waitForResponse((r) => r.url().endsWith('/complete') && r.status() === 200, { timeout: 300_000 });
  await page.getByLabel('Files to upload').first().setInputFiles(file);
  const { id, url: at } = await (await granted).json();
  assert.notEqual(new URL(at).origin, url, 'the file goes to the server itself');
  assert.ok((await completed).url().includes(id));
  const video = await (await page.request.get(`${url}/v1/videos/${id}`, { headers: { Authorization: `Bearer ${token}` } })).json();
  assert.ok(video.received, JSON.stringify(video));
  assert.equal(video.waiting?.for ?? 'worker', 'worker');
});

test('A server that does not find the file yet leaves it uploaded, and the page says when it looks next', { timeout: 600_000 }, async (t) => {
  const { page } = await visit(t, browser, 1440, 900);
  await page.route('**/v1/uploads/*/complete', (route) =>
    route.fulfill({ status: 503, contentType: 'application/problem+json', body: '{"status":503,"code":"storage_unavailable","detail":"The storage can’t be reached."}' }));
  await signIn(page);
  await page.getByLabel('Files to upload').first().setInputFiles(file);
  const row = page.locator('section[aria-label=Uploads] li');
  await until('the next look', async () => /Uploaded, next look in \d+\u00a0s/.test(await row.innerText().catch(() => '')), 60_000);
});
