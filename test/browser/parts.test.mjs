// An upload from the page of a file that is larger than the storage takes in one PUT. On the way to the storage the
// first PUT of one part breaks off, and the URL of another has expired.
//
//   SLUICE_URL    of a server on such a storage
//   SLUICE_TOKEN  its admin token
//   SLUICE_FILE   a video of three parts

import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { launch, need, operate, visit } from './browser.mjs';

let browser;

before(async () => {
  browser = await launch();
});

after(() => browser?.close());

test('The page sends a large file in parts, and only the parts that fail again', { timeout: 600_000 }, async (t) => {
  const [url, token, file] = [need('SLUICE_URL').replace(/\/$/, ''), need('SLUICE_TOKEN'), need('SLUICE_FILE')];
  const { page } = await visit(t, browser, 1440, 900);
  await operate(page, url + '/', token);
  await page.getByRole('heading', { name: 'Videos' }).waitFor();
  const granted = page.waitForResponse((r) => r.url() === `${url}/v1/uploads` && r.request().method() === 'POST');
  const completed = page.waitForResponse((r) => r.url().endsWith('/complete') && r.status() === 200, { timeout: 300_000 });
  await page.getByLabel('Files to upload').first().setInputFiles(file);
  const { id, parts } = await (await granted).json();
  assert.equal(parts?.count, 3);
  assert.ok((await completed).url().includes(id));
  const video = await (await page.request.get(`${url}/v1/videos/${id}`, { headers: { Authorization: `Bearer ${token}` } })).json();
  assert.ok(video.received, JSON.stringify(video));
  assert.equal((await (await completed).json()).bytes, statSync(file).size);
});
