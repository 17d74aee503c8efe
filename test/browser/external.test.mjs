// Somebody signs in on the page by another issuer, node-oidc-provider, and comes back to where they were.
//
//   SLUICE_URL    of a server whose oidc.issuer and oidc.client_id are that one's, called "The office"
//   SLUICE_TOKEN  its admin token
//   SLUICE_ISSUER the issuer's address
//   SLUICE_ONLY   of a second server, where that issuer alone signs people in (oidc.only), with the same admin token
//   SHOTS, PATIENCE  as in account.test.mjs

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fits, launch, need, operate, shot, visit } from './browser.mjs';

let browser, url;

before(async () => {
  url = need('SLUICE_URL').replace(/\/$/, '');
  browser = await launch();
});

after(() => browser?.close());

const heading = (page, name) => page.getByRole('heading', { level: 1, name, exact: true }).waitFor();

// look sees that the page fits both screens, and keeps pictures of it.
async function look(page, name) {
  for (const [device, width, height] of [['phone', 390, 844], ['desktop', 1280, 800]]) {
    await page.setViewportSize({ width, height });
    await fits(page);
    await shot(page, `${name}-${device}`);
  }
}

const elsewhere = 'Sign in with The office';

// leave answers the issuer, which asks whether to sign out there.
async function leave(page) {
  await heading(page, 'Sign out of the issuer?');
  await page.getByRole('button', { name: 'Yes' }).click();
}

test('Who has an account elsewhere signs in with it, and is brought back', { timeout: 600_000 }, async (t) => {
  const { page, faults } = await visit(t, browser, 390, 844);
  await page.goto(`${url}/#/account`);
  const there = page.getByRole('link', { name: elsewhere });
  await there.waitFor();
  assert.equal(await page.getByLabel('E-mail').count(), 0);
  assert.equal(await page.getByRole('link', { name: 'Forgot your password?' }).count(), 0);
  await look(page, 'signin-elsewhere');
  await page.getByRole('button', { name: 'Use a password' }).click();
  await page.getByLabel('E-mail').waitFor();
  await page.getByRole('link', { name: 'Forgot your password?' }).waitFor();
  await look(page, 'signin-elsewhere-password');
  await page.getByRole('button', { name: elsewhere }).click();
  await there.click();
  await heading(page, 'Your account');
  assert.equal(page.url(), `${url}/#/account`);
  await page.getByText('You sign in elsewhere and have none here.').waitFor();
  assert.equal(await page.getByRole('button', { name: 'Change', exact: true }).count(), 0);
  assert.equal(await page.getByText('Programs you let in').count(), 0);
  await look(page, 'account-elsewhere');
  const { id, role } = await (await page.request.get(`${url}/v1/session`)).json();
  assert.equal(role, 'viewer');

  // Signing out here signs out there, and the other way round.
  await page.getByRole('button', { name: /^Account of / }).click();
  await page.locator('#menu').getByText('Sign out', { exact: true }).click();
  await leave(page);
  await heading(page, 'Sign in');
  assert.equal(page.url(), `${url}/`);
  await there.click();
  await heading(page, 'Videos');
  await page.goto(`${need('SLUICE_ISSUER')}/session/end`);
  await leave(page);
  await heading(page, 'Signed out there');
  await page.goto(`${url}/#/account`);
  await heading(page, 'Sign in');
  await there.click();
  await heading(page, 'Your account');

  // What an administrator sees of them.
  const admin = await visit(t, browser, 1280, 800);
  await operate(admin.page, url, need('SLUICE_TOKEN'));
  await heading(admin.page, 'Videos');
  await admin.page.goto(`${url}/#/programs`);
  await admin.page.getByText('programs are registered there').waitFor();
  assert.equal(await admin.page.getByRole('navigation', { name: 'Administration' }).getByText('Programs').count(), 0);
  await look(admin.page, 'programs-elsewhere');
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

test('Where the issuer alone signs people in, nothing is about passwords', { timeout: 600_000 }, async (t) => {
  const only = need('SLUICE_ONLY');
  const { page, faults } = await visit(t, browser, 390, 844);
  await page.goto(only);
  await page.getByRole('link', { name: elsewhere }).waitFor();
  assert.equal(await page.getByRole('button', { name: 'Use a password' }).count(), 0);
  await look(page, 'signin-only');
  await page.getByRole('button', { name: 'Use the admin token' }).click();
  await page.getByLabel('Admin token').fill(need('SLUICE_TOKEN'));
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await heading(page, 'Videos');
  await page.goto(`${only}/#/people`);
  await page.getByText('People come by another issuer alone').waitFor();
  assert.equal(await page.getByRole('button', { name: 'Invite somebody' }).count(), 0);
  await look(page, 'people-only');
  assert.deepEqual(faults, []);
});
