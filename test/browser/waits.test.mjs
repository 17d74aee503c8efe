// The page says why a video waits.
//
//   SLUICE_URL       of a server whose queue "encode" is paused
//   SLUICE_TOKEN     its admin token
//   SLUICE_VIDEO     id of a video that stands in that queue
//   SHOTS, PATIENCE  as in account.test.mjs

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fits, launch, need, operate, shot, until } from './browser.mjs';

let browser, url;

before(async () => {
  url = need('SLUICE_URL').replace(/\/$/, '');
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

const paused = /Waits until its queue is resumed: (it is next|\d+ jobs? (is|are) before it)\./;

test('a video of a paused queue says so on its card and on its page', { timeout: 300_000 }, async (t) => {
  const page = await open(t);
  const id = need('SLUICE_VIDEO');
  await operate(page, url, need('SLUICE_TOKEN'));
  await until('the reason on the card', async () => paused.test(await page.locator(`li[data-id="${id}"]`).innerText()));
  await look(page, 'waits-cards');
  await page.goto(`${url}/#/v/${id}`);
  await until('the reason on the page', async () => paused.test(await page.locator('.title').innerText()));
  await look(page, 'waits-video');
});

test('each reason is a sentence', { timeout: 300_000 }, async (t) => {
  const soon = new Date(Date.now() + 600_000).toISOString();
  const reasons = [
    [{ for: 'worker', queue: 'encode', ahead: 3, workers: 1, eta_seconds: 120 }, 'Waits for a free worker: 3 jobs are before it, about 2 min.'],
    [{ for: 'worker', queue: 'encode', ahead: 1, workers: 1 }, 'Waits for a free worker: 1 job is before it.'],
    [{ for: 'worker', queue: 'encode', ahead: 0, workers: 1, eta_seconds: 12 }, 'Waits for a free worker: it is next, about 15 s.'],
    [{ for: 'worker', queue: 'encode', ahead: 1000, workers: 1 }, 'Waits for a free worker: 1000 or more jobs are before it.'],
    [{ for: 'worker', queue: 'encode', ahead: 2, workers: 0 }, 'Waits for a worker: no process takes this kind of work.'],
    [{ for: 'disk', queue: 'encode', ahead: 2, workers: 1 }, 'Waits for room on the server’s disk: 2 jobs are before it.'],
    [{ for: 'storage', queue: 'encode', workers: 1, next_try: soon }, /^Waits for the storage: next try in \d+ s\.$/],
    [{ for: 'source' }, 'Waits for its file.'],
  ];
  const page = await open(t);
  const items = reasons.map(([waiting], n) => ({
    id: String(n).padStart(26, '0'), name: `clip ${n}.mp4`, status: waiting.for === 'source' ? 'waiting' : 'processing', progress: 0.3, waiting,
    created: new Date().toISOString(), workspace: 'main', playback_policy: 'signed', owner: 'admin',
  }));
  await page.route(/\/v1\/videos(\?|$)/, (route) => route.fulfill({ json: { items } }));
  await operate(page, url, need('SLUICE_TOKEN'));
  for (const [n, [, want]] of reasons.entries()) {
    const said = (await page.locator(`li[data-id="${items[n].id}"] .why`).innerText()).replaceAll('\u00a0', ' ');
    want instanceof RegExp ? assert.match(said, want) : assert.equal(said, want);
  }
  await look(page, 'waits-reasons');
});
