// Somebody signs in on the page by another issuer, node-oidc-provider, and comes back to where they were.
//
//   SLUICE_URL    of a server whose oidc.issuer and oidc.client_id are that one's, called "The office"
//   SLUICE_TOKEN  its admin token
//   SHOTS, PATIENCE  as in account.test.mjs

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fits, launch, need, shot, visit } from './browser.mjs';

let browser, url;

before(async () => {
  url = need('SLUICE_URL').replace(/\/$/, '');
  browser = await launch();
});

after(() => browser?.close());

const heading = (page, name) => page.getByRole('heading', { level: 1, name, exact: true }).waitFor();

test('Who has an account elsewhere signs in with it, and is brought back', { timeout: 600_000 }, async (t) => {
  const { page, faults } = await visit(t, browser, 390, 844);
  await page.goto(`${url}/#/account`);
  const there = page.getByRole('link', { name: 'Sign in with The office' });
  await there.waitFor();
  await fits(page);
  await shot(page, 'signin-elsewhere-phone');
  await there.click();
  await heading(page, 'Your account');
  assert.equal(page.url(), `${url}/#/account`);
  await page.getByText('You sign in elsewhere and have none here.').waitFor();
  assert.equal(await page.getByRole('button', { name: 'Change', exact: true }).count(), 0);
  const { id, role } = await (await page.request.get(`${url}/v1/session`)).json();
  assert.equal(role, 'viewer');

  // What an administrator sees of them.
  const admin = await visit(t, browser, 1280, 800);
  await admin.page.goto(`${url}/#token=${encodeURIComponent(need('SLUICE_TOKEN'))}`);
  await heading(admin.page, 'Videos');
  await admin.page.goto(`${url}/#/people`);
  await admin.page.locator(`a[href="#/people/${id}"]`).click();
  await admin.page.getByRole('button', { name: 'Disable…' }).waitFor();
  assert.equal(await admin.page.getByRole('button', { name: 'Reset password…' }).count(), 0);
  await admin.page.getByRole('button', { name: 'Disable…' }).click();
  await admin.page.getByRole('dialog').getByRole('button', { name: 'Disable', exact: true }).click();
  await admin.page.getByText('disabled', { exact: true }).waitFor();
  await page.reload();
  await heading(page, 'Sign in');

  // A program that can't prove whom it signs out sends them here.
  await admin.page.goto(`${url}/#/signout`);
  await heading(admin.page, 'Sign out?');
  await fits(admin.page);
  await shot(admin.page, 'signout-desktop');
  await admin.page.getByRole('button', { name: 'Sign out' }).click();
  await heading(admin.page, 'Sign in');
  assert.deepEqual([...faults, ...admin.faults], []);
});
