// The page says why a video waits.
//
//   SLUICE_URL       of a server whose queue "encode" is paused
//   SLUICE_TOKEN     its admin token
//   SLUICE_VIDEO     id of a video that stands in that queue
//   SHOTS, PATIENCE  as in account.test.mjs

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
