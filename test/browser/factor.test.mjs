// The second factor on the page: an app that is not ours reads the picture and makes the codes.
//
//   SLUICE_URL       of a server that asks administrators for a second factor, has no mail server, and no user but its first administrator
//   SLUICE_TOKEN     its admin token
//   SLUICE_EMAIL     of the first administrator
//   SLUICE_PASSWORD  temporary, as the server printed it
//   SHOTS, PATIENCE  as in account.test.mjs

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import jsqr from 'jsqr';
import { TOTP, URI } from 'otpauth';
import { fits, launch, need, shot, visit } from './browser.mjs';

const own = 'marmalade turnip orbit 77';
const evil = `"><img src=x onerror="window.struck=1">`;

let browser, url, root;

before(async () => {
  url = need('SLUICE_URL').replace(/\/$/, '');
  browser = await launch();
});

after(() => browser?.close());

const heading = (page, name) => page.getByRole('heading', { level: 1, name, exact: true }).waitFor();
const press = (page, name) => page.getByRole('button', { name, exact: true }).click();

async function look(page, name) {
  for (const [device, width, height] of [['phone', 390, 844], ['desktop', 1280, 800]]) {
    await page.setViewportSize({ width, height });
    await fits(page);
    await shot(page, `${name}-${device}`, { fullPage: true });
  }
}

async function signIn(page, email, password) {
  await page.getByLabel('E-mail').fill(email);
  await page.getByLabel('Password', { exact: true }).fill(password);
  await press(page, 'Sign in');
}

async function signOut(page) {
  await page.getByRole('button', { name: /^Account of / }).click();
  await page.locator('#menu').getByText('Sign out', { exact: true }).click();
  await heading(page, 'Sign in');
}

// api asks with the admin token.
async function api(page, method, path, data) {
  const answer = await page.request.fetch(url + path, { method, headers: { Authorization: `Bearer ${need('SLUICE_TOKEN')}` }, data });
  assert.ok(answer.ok(), `${method} ${path}: ${answer.status()} ${await answer.text()}`);
  return answer.status() === 204 ? undefined : answer.json();
}

const clean = async (page, faults) => {
  assert.equal(await page.evaluate(() => window.struck), undefined, 'a script of a text was run');
  assert.deepEqual(faults, []);
};

// App is an authenticator app. A code works once, so each is of a later step than the one before.
class App {
  #totp;
  #last = 0;

  constructor(uri) {
    this.#totp = URI.parse(uri);
    assert.ok(this.#totp instanceof TOTP);
    assert.deepEqual([this.#totp.algorithm, this.#totp.digits, this.#totp.period], ['SHA1', 6, 30]);
  }

  get label() {
    return `${this.#totp.issuer} ${this.#totp.label}`;
  }

  get secret() {
    return this.#totp.secret.base32;
  }

  async code() {
    for (;;) {
      const now = Math.floor(Date.now() / 30_000);
      const step = Math.max(now, this.#last + 1);
      if (step <= now + 1) {
        this.#last = step;
        return this.#totp.generate({ timestamp: step * 30_000 });
      }
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}

// scan reads the picture as a camera would, and compares it with the text beside it.
async function scan(page) {
  const picture = page.getByRole('img', { name: 'QR code of the second factor' });
  await picture.waitFor();
  const { data, width, height } = await picture.evaluate(async (img) => {
    await img.decode();
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [img.naturalWidth, img.naturalHeight];
    const brush = canvas.getContext('2d');
    brush.drawImage(img, 0, 0);
    return { data: Array.from(brush.getImageData(0, 0, canvas.width, canvas.height).data), width: canvas.width, height: canvas.height };
  });
  const found = (jsqr.default ?? jsqr)(Uint8ClampedArray.from(data), width, height);
  assert.ok(found, 'no QR code is found');
  const app = new App(found.data);
  await page.getByText("Can't scan it?").click();
  assert.equal((await page.locator('.key code').innerText()).replaceAll(' ', ''), app.secret);
  assert.equal(await page.getByRole('link', { name: 'Open it in an app of this device' }).getAttribute('href'), found.data);
  return app;
}

// keep takes the recovery codes that are shown.
async function keep(page) {
  const list = page.getByRole('list', { name: 'Recovery codes' });
  await list.waitFor();
  const codes = await list.getByRole('listitem').allInnerTexts();
  assert.equal(new Set(codes).size, 10);
  return codes;
}

test('Who must have a second factor is led to set one up, and signs in by it', { timeout: 600_000 }, async (t) => {
  const { page, faults } = await visit(t, browser, 1280, 800);
  await page.goto(`${url}/#/signin`);
  await signIn(page, need('SLUICE_EMAIL'), need('SLUICE_PASSWORD'));
  await heading(page, 'Choose a password');
  await page.getByLabel('New password').fill(own);
  await press(page, 'Save and go on');
  await heading(page, 'Set up a second factor');
  const app = await scan(page);
  assert.match(app.label, new RegExp(`^Sluice \\S+ ${need('SLUICE_EMAIL')}$`));
  await look(page, 'secure');
  for (const place of ['#/people', '#/account', '#/']) {
    await page.goto(url + '/' + place);
    await heading(page, 'Set up a second factor');
  }
  await page.reload(); // another offer: the one before is gone
  const next = await scan(page);
  assert.notEqual(next.secret, app.secret);
  await page.getByLabel('Code that the app shows now').fill('000000');
  await press(page, 'Turn it on');
  await page.getByText('This is not the code').waitFor();
  await look(page, 'secure-wrong');
  await page.getByLabel('Code that the app shows now').fill(await next.code());
  await page.keyboard.press('Enter');
  const codes = await keep(page);
  await look(page, 'secure-codes');
  await press(page, 'I have kept them');
  await heading(page, 'Videos');
  await signOut(page);

  await signIn(page, need('SLUICE_EMAIL'), own);
  await heading(page, 'Is it you?');
  assert.equal(await page.evaluate(() => document.activeElement.autocomplete), 'one-time-code');
  await look(page, 'prove');
  for (const place of ['#/people', '#/account', '#/']) {
    await page.goto(url + '/' + place);
    await heading(page, 'Is it you?');
  }
  await page.getByLabel('Code of your app').fill('000 000');
  await press(page, 'Go on');
  await page.getByText('This code is not good').waitFor();
  await look(page, 'prove-wrong');
  await page.getByLabel('Code of your app').fill(await next.code());
  await page.keyboard.press('Enter');
  await heading(page, 'Videos');
  await signOut(page);

  await signIn(page, need('SLUICE_EMAIL'), own);
  await press(page, 'Use a recovery code');
  await look(page, 'prove-recovery');
  await page.getByLabel('Recovery code').fill(codes[0].toUpperCase());
  await press(page, 'Go on');
  await heading(page, 'Videos');
  await page.goto(`${url}/#/account`);
  await page.getByText('9 recovery codes are left.').waitFor();
  assert.equal(await page.getByRole('button', { name: 'Remove', exact: true }).count(), 0, 'who must have one can remove it');
  await press(page, 'New recovery codes');
  await page.getByLabel('Your password').fill(own);
  await press(page, 'Use a recovery code');
  await page.getByLabel('Recovery code').fill(codes[1]);
  await look(page, 'factor-again');
  await press(page, 'Make new codes');
  const fresh = await keep(page);
  assert.ok(!fresh.some((c) => codes.includes(c)));
  await press(page, 'I have kept them');
  await page.getByText('10 recovery codes are left.').waitFor();
  await page.reload();
  await page.getByText('10 recovery codes are left.').waitFor();
  assert.ok(!(await page.content()).includes(fresh[0]));
  root = await page.context().storageState();
  await clean(page, faults);
});

test('Who likes sets one up under their account, lets a program in by it, and removes it', { timeout: 600_000 }, async (t) => {
  const { page, faults } = await visit(t, browser, 1280, 800);
  const vic = await api(page, 'POST', '/v1/users', { email: 'vic@example.com', name: evil, role: 'viewer', workspaces: ['main'] });
  const { items } = await api(page, 'GET', '/v1/outbox/letters');
  const { secret: temporary } = await api(page, 'GET', `/v1/outbox/letters/${items.find((l) => l.user === vic.id).id}`);
  await page.goto(`${url}/#/signin`);
  await signIn(page, 'vic@example.com', temporary);
  await page.getByLabel('New password').fill(own);
  await press(page, 'Save and go on');
  await heading(page, 'Videos');
  await page.goto(`${url}/#/account`);
  await page.getByText('your password alone opens nothing then').waitFor();
  await look(page, 'factor-none');
  await press(page, 'Set up');
  const dropped = await scan(page);
  await press(page, 'Cancel');
  await press(page, 'Set up');
  const app = await scan(page);
  assert.notEqual(app.secret, dropped.secret);
  await look(page, 'factor-offer');
  await page.getByLabel('Code that the app shows now').fill(await app.code());
  await press(page, 'Turn it on');
  const codes = await keep(page);
  await look(page, 'factor-codes');
  await press(page, 'I have kept them');
  await page.getByText('Signing in asks for a code from now on.').waitFor();
  await look(page, 'factor-on');

  // A program sends somebody who is not signed in: the password, the code, and then the question.
  const tool = 'http://127.0.0.1:9';
  const { id } = await api(page, 'POST', '/v1/clients', { name: 'Tool', kind: 'spa', redirects: [`${tool}/callback`], scopes: ['videos/read'] });
  const verifier = randomBytes(32).toString('base64url');
  const other = await visit(t, browser, 1280, 800);
  await other.page.route(`${tool}/**`, (r) => r.fulfill({ contentType: 'text/html', body: '<!doctype html><title>The tool</title>' }));
  await other.page.goto(`${url}/oauth/authorize?` + new URLSearchParams({
    response_type: 'code', client_id: id, redirect_uri: `${tool}/callback`, scope: 'openid videos/read', state: 'kept',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256',
  }));
  await signIn(other.page, 'vic@example.com', own);
  await heading(other.page, 'Is it you?');
  await other.page.getByLabel('Code of your app').fill(await app.code());
  await press(other.page, 'Go on');
  await heading(other.page, 'Let it in?');
  await press(other.page, 'Allow');
  await other.page.waitForURL(`${tool}/callback?*`);
  const answer = await fetch(`${url}/oauth/token`, {
    method: 'POST',
    body: new URLSearchParams({ grant_type: 'authorization_code', code: new URL(other.page.url()).searchParams.get('code'), redirect_uri: `${tool}/callback`, client_id: id, code_verifier: verifier }),
  });
  const { id_token: token } = await answer.json();
  assert.deepEqual(JSON.parse(Buffer.from(token.split('.')[1], 'base64url')).amr, ['pwd', 'otp', 'mfa']);
  assert.deepEqual(other.faults, []);

  await press(page, 'Remove');
  await page.getByLabel('Your password').fill(own);
  await page.getByLabel('Code of your app').fill('000000');
  await press(page, 'Remove it');
  await page.getByText('This code is not good').waitFor();
  await look(page, 'factor-remove');
  await press(page, 'Use a recovery code');
  await page.getByLabel('Recovery code').fill(codes[2]);
  await press(page, 'Remove it');
  await page.getByText('Your second factor is removed').waitFor();
  await signOut(page);
  await signIn(page, 'vic@example.com', own);
  await page.getByRole('button', { name: /^Account of / }).waitFor();

  // An administrator resets that of somebody who has lost their phone.
  await page.goto(`${url}/#/account`);
  await press(page, 'Set up');
  const lost = await scan(page);
  await page.getByLabel('Code that the app shows now').fill(await lost.code());
  await press(page, 'Turn it on');
  await press(page, 'I have kept them');
  const desk = await visit(t, browser, 1280, 800, { storageState: root });
  await desk.page.goto(`${url}/#/people`);
  await desk.page.getByText('second factor').first().waitFor();
  await look(desk.page, 'people-factor');
  await desk.page.goto(`${url}/#/people/${vic.id}`);
  await press(desk.page, 'Reset second factor…');
  await look(desk.page, 'person-factor-ask');
  await desk.page.getByRole('dialog').getByRole('button', { name: 'Reset', exact: true }).click();
  await desk.page.getByText('Their second factor is gone.').waitFor();
  await look(desk.page, 'person-factor');
  await desk.page.getByText('reset the second factor of').first().waitFor();
  await page.reload();
  await heading(page, 'Sign in');
  await signIn(page, 'vic@example.com', own);
  await page.getByRole('button', { name: /^Account of / }).waitFor();
  await clean(desk.page, desk.faults);
  await clean(page, faults);
});
