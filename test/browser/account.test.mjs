// Accounts on the page, on a real server with a real mail server: every page is looked at on a phone's screen and a desktop's.
//
//   SLUICE_URL       of a server that runs and has no user but its first administrator
//   SLUICE_TOKEN     its admin token
//   SLUICE_EMAIL     of the first administrator
//   SLUICE_PASSWORD  temporary, as the server printed it
//   SLUICE_VIDEO     id of a video in the workspace main that is ready
//   SLUICE_MAIL      address that answers with the letters so far: a JSON list of {to, text}
//   SLUICE_POSTLESS  URL of a second server, without a mail server and with the same admin token
//   SHOTS            folder for screenshots; none are taken without it
//   PATIENCE         ms to wait for what must happen, 120000 unless told

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { fits, launch, need, operate, shot, until, visit } from './browser.mjs';

const own = 'marmalade turnip orbit 77'; // passwords that nobody guesses
const other = 'seven lamps under a quiet bridge';
const evil = `"><img src=x onerror="window.struck=1"><script>window.struck=1</script>{@html 1}`;

let browser, url, token, admin;

before(async () => {
  url = need('SLUICE_URL').replace(/\/$/, '');
  token = need('SLUICE_TOKEN');
  browser = await launch();
});

after(() => browser?.close());

const heading = (page, name) => page.getByRole('heading', { level: 1, name, exact: true }).waitFor();
const press = (page, name) => page.getByRole('button', { name, exact: true }).click();

// look sees that the page fits both screens, and keeps pictures of it.
async function look(page, name) {
  for (const [device, width, height] of [['phone', 390, 844], ['desktop', 1280, 800]]) {
    await page.setViewportSize({ width, height });
    await fits(page);
    await shot(page, `${name}-${device}`, { fullPage: true });
  }
}

// letter waits for the newest letter to an address that has what is asked for, and returns that.
function letter(to, what, than = '') {
  return until(`a letter to ${to}`, async () => {
    const all = await (await fetch(need('SLUICE_MAIL'))).json();
    const found = all.filter((l) => l.to === to).map((l) => what.exec(l.text)?.[1]).filter(Boolean).at(-1);
    return found !== than && found;
  });
}

const temporary = /Temporary password: (\S{43})/;
const resetLink = /(http\S+#\/reset\?code=[\w-]{43})/;

async function signIn(page, email, password) {
  await page.getByLabel('E-mail').fill(email);
  await page.getByLabel('Password', { exact: true }).fill(password);
  await press(page, 'Sign in');
}

// settle goes the way of a temporary password: sign-in, a password of one's own, the library.
async function settle(page, email, password, fresh) {
  await page.goto(`${url}/#/signin`);
  await signIn(page, email, password);
  await heading(page, 'Choose a password');
  await page.getByLabel('New password').fill(fresh);
  await press(page, 'Save and go on');
  await heading(page, 'Videos');
}

async function menu(page, item) {
  await page.getByRole('button', { name: /^Account of / }).click();
  await page.locator('#menu').getByText(item, { exact: true }).click();
}

// api asks with the admin token.
async function api(page, method, path, data) {
  const answer = await page.request.fetch(url + path, { method, headers: { Authorization: `Bearer ${token}` }, data });
  assert.ok(answer.ok(), `${method} ${path}: ${answer.status()} ${await answer.text()}`);
  return answer.status() === 204 ? undefined : answer.json();
}

const clean = async (page, faults) => {
  assert.equal(await page.evaluate(() => window.struck), undefined, 'a script of a text was run');
  assert.deepEqual(faults, []);
};

// The tests follow each other on one server, as people would.
test('The first administrator signs in with what the server printed, and must choose a password', { timeout: 600_000 }, async (t) => {
  const { page, faults } = await visit(t, browser, 1280, 800);
  const told = [];
  page.on('console', (m) => m.type() === 'error' && told.push(m.text()));
  await page.goto(url + '/');
  await heading(page, 'Sign in');
  assert.deepEqual(told, [], 'that nobody is signed in is no error');
  assert.equal(await page.evaluate(() => document.activeElement.name), 'username', 'the first field has the focus');
  assert.deepEqual(await page.locator('form input').evaluateAll((all) => all.map((i) => i.autocomplete)), ['username', 'current-password']);
  await look(page, 'signin');
  await signIn(page, 'nobody@example.com', 'not the password');
  await page.getByText("don't go together").waitFor();
  await look(page, 'signin-wrong');
  await page.keyboard.press('Escape');
  await signIn(page, need('SLUICE_EMAIL'), need('SLUICE_PASSWORD'));
  await heading(page, 'Choose a password');
  assert.equal(await page.evaluate(() => document.activeElement.autocomplete), 'new-password');
  await look(page, 'change');
  for (const place of ['#/people', '#/jobs', `#/v/${need('SLUICE_VIDEO')}`]) {
    await page.goto(url + '/' + place);
    await heading(page, 'Choose a password');
  }
  await page.reload();
  await page.getByLabel('Temporary password').fill(need('SLUICE_PASSWORD'));
  await page.getByLabel('New password').fill('short');
  await press(page, 'Save and go on');
  await page.getByText('use 12 to 128').waitFor();
  await look(page, 'change-refused');
  await page.getByLabel('New password').fill(own);
  await press(page, 'Save and go on');
  await page.getByRole('button', { name: /^Account of / }).waitFor();
  await page.goto(`${url}/#/`);
  await heading(page, 'Videos');
  await look(page, 'library');
  await page.getByRole('button', { name: /^Account of / }).click();
  await look(page, 'menu');
  await page.keyboard.press('Escape');
  admin = await page.context().storageState(); // for the tests to come
  await clean(page, faults);
});

// desk opens the page as the administrator.
const desk = (t) => visit(t, browser, 1280, 800, { storageState: admin });

test('An invitation is a letter, a challenge and then the library, and texts are text', { timeout: 600_000 }, async (t) => {
  const { page, faults } = await desk(t);
  await page.goto(`${url}/#/workspaces`);
  await heading(page, 'Workspaces');
  await press(page, 'New workspace');
  await page.getByLabel('Name', { exact: true }).fill('Wide World of Films');
  assert.equal(await page.getByLabel('Id, for ever').inputValue(), 'wide-world-of-films');
  await page.getByLabel('Name', { exact: true }).fill(evil.slice(0, 100));
  await page.getByLabel('Id, for ever').fill('films');
  await press(page, 'Save');
  await page.getByRole('list', { name: 'Workspaces' }).getByText(evil.slice(0, 100)).first().waitFor();
  await look(page, 'workspaces');

  await page.getByRole('link', { name: 'People', exact: true }).first().click();
  await heading(page, 'People');
  await press(page, 'Invite somebody');
  await page.getByLabel('E-mail').fill('ada@example.com');
  await page.getByLabel('Name, if you like').fill(evil.slice(0, 100));
  await page.getByRole('radio', { name: /^editor/ }).check();
  await page.getByRole('checkbox', { name: evil.slice(0, 100) }).check();
  await look(page, 'invite');
  await press(page, 'Invite');
  await page.getByText('is on its way to').waitFor();
  await page.getByRole('link', { name: evil.slice(0, 100) }).waitFor();
  await look(page, 'people');
  const first = await letter('ada@example.com', temporary);

  await page.getByRole('link', { name: evil.slice(0, 100) }).click();
  await heading(page, evil.slice(0, 100));
  await press(page, 'Invite again…');
  await page.getByRole('dialog').getByText('another temporary password').waitFor();
  await look(page, 'ask');
  await page.getByRole('dialog').getByRole('button', { name: 'Send' }).click();
  await page.getByText('They are invited again.').waitFor();
  await look(page, 'person-invited');
  const second = await letter('ada@example.com', temporary, first);

  const ada = await visit(t, browser, 1280, 800);
  await ada.page.goto(`${url}/#/signin`);
  await signIn(ada.page, 'ada@example.com', first);
  await ada.page.getByText("don't go together").waitFor();
  await ada.page.getByLabel('Password', { exact: true }).fill(second);
  await press(ada.page, 'Sign in');
  await heading(ada.page, 'Choose a password');
  await ada.page.getByLabel('New password').fill(own);
  await ada.page.keyboard.press('Enter');
  await heading(ada.page, 'Videos');
  assert.ok(ada.page.url().endsWith('/#/'), ada.page.url());

  // An editor: no people, no jobs; uploads go to one of their workspaces.
  assert.deepEqual(await ada.page.getByRole('navigation', { name: 'Site' }).getByRole('link').allInnerTexts(), ['Errors']);
  await ada.page.getByLabel('Workspace of uploads').selectOption('films');
  const asked = ada.page.waitForRequest((r) => r.url().endsWith('/v1/uploads'));
  await ada.page.getByLabel('Files to upload').first().setInputFiles({ name: 'letter.mp4', mimeType: 'video/mp4', buffer: Buffer.from('Dear Sir or Madam, this is no video.') });
  assert.equal((await asked).postDataJSON().workspace, 'films');
  const failed = ada.page.locator('li[data-status="failed"]');
  await failed.waitFor();
  await look(ada.page, 'library-editor');
  await failed.getByRole('link').click();
  await press(ada.page, 'Edit');
  await ada.page.getByLabel('Title').fill(evil);
  await ada.page.getByLabel('Description').fill(evil);
  await ada.page.getByLabel('Tags').fill(evil);
  await ada.page.locator('select[name=workspace]').selectOption('main');
  await ada.page.getByLabel('Who may watch').selectOption('members');
  await look(ada.page, 'details');
  await press(ada.page, 'Save');
  await heading(ada.page, evil);
  await ada.page.getByText('Members of the workspace').waitFor();
  const film = await api(page, 'GET', `/v1/videos/${ada.page.url().split('/v/')[1]}`);
  assert.deepEqual([film.workspace, film.playback_policy], ['main', 'members']);
  await look(ada.page, 'video-editor');
  await ada.page.goto(`${url}/#/people`);
  await heading(ada.page, 'This page is for administrators');
  await clean(ada.page, ada.faults);

  await page.goto(`${url}/#/letters`);
  await page.getByText('sent', { exact: true }).first().waitFor();
  await look(page, 'letters');
  await page.goto(`${url}/#/record`);
  await page.getByText('invited again').waitFor();
  await look(page, 'record');
  await page.goto(`${url}/#/errors`);
  await page.getByRole('list', { name: 'Errors, newest first' }).waitFor();
  await clean(page, faults);
});

test('A forgotten password is a letter with a link that works once', { timeout: 600_000 }, async (t) => {
  const { page, faults } = await visit(t, browser, 1280, 800);
  await page.goto(url + '/');
  await page.getByRole('link', { name: 'Forgot your password?' }).click();
  await heading(page, 'Forgot your password?');
  await look(page, 'forgot');
  await page.getByLabel('E-mail').fill('ada@example.com');
  await press(page, 'Mail me a link');
  await page.getByText('a letter is on its way').waitFor();
  await look(page, 'forgot-sent');
  const to = await letter('ada@example.com', resetLink);
  await page.goto(to);
  await heading(page, 'Choose a new password');
  assert.ok(page.url().endsWith('#/reset'), `the code stays in the address: ${page.url()}`);
  await look(page, 'reset');
  await page.getByLabel('New password').fill('password1234');
  await press(page, 'Save');
  await page.getByText('easy to guess;').waitFor();
  await page.getByLabel('New password').fill(other);
  await press(page, 'Save');
  await page.getByText('Your password is changed').waitFor();
  await look(page, 'reset-done');
  await page.getByRole('link', { name: 'Sign in' }).click();
  await signIn(page, 'ada@example.com', other);
  await heading(page, 'Videos');

  await page.goto('about:blank');
  await page.goto(to);
  await page.getByLabel('New password').fill(own);
  await press(page, 'Save');
  await page.getByRole('link', { name: 'Ask for another link' }).waitFor();
  await look(page, 'reset-gone');
  await clean(page, faults);
});

test('A viewer sees what is ready in their workspaces, and nothing to change', { timeout: 600_000 }, async (t) => {
  const { page, faults } = await visit(t, browser, 1280, 800);
  await api(page, 'POST', '/v1/users', { email: 'vic@example.com', name: 'Vic', role: 'viewer', workspaces: ['main'] });
  await settle(page, 'vic@example.com', await letter('vic@example.com', temporary), own);
  await page.locator(`li[data-id="${need('SLUICE_VIDEO')}"]`).waitFor();
  assert.equal(await page.getByRole('list', { name: 'Videos' }).getByRole('listitem').count(), 1, 'what failed is shown too');
  assert.equal(await page.getByRole('button', { name: /Upload|Choose files/ }).count(), 0);
  assert.equal(await page.getByRole('radio').count(), 0);
  assert.deepEqual(await page.getByRole('navigation', { name: 'Site' }).getByRole('link').allInnerTexts(), []);
  await look(page, 'library-viewer');
  await page.locator(`li[data-id="${need('SLUICE_VIDEO')}"]`).getByRole('link').click();
  await page.locator('video').waitFor();
  for (const name of ['Edit', 'Delete video…', 'Encode again']) assert.equal(await page.getByRole('button', { name, exact: true }).count(), 0, name);
  await look(page, 'video-viewer');
  await menu(page, 'Your account');
  await heading(page, 'Your account');
  await clean(page, faults);
});

test('A personal token is shown once, works, and is revoked', { timeout: 600_000 }, async (t) => {
  const { page, faults } = await desk(t);
  await page.goto(`${url}/#/account`);
  await heading(page, 'Your account');
  await press(page, 'New token');
  await page.getByLabel('What it is for').fill(evil.slice(0, 100));
  await page.getByRole('checkbox', { name: /users\/admin/ }).check();
  await look(page, 'token-form');
  await press(page, 'Make the token');
  const secret = await page.getByRole('textbox', { name: 'Token' }).inputValue();
  assert.match(secret, /^sluice_pat_/);
  await look(page, 'account');
  const use = async () => (await fetch(`${url}/v1/users`, { headers: { Authorization: `Bearer ${secret}` } })).status;
  assert.equal(await use(), 200);
  await page.reload();
  await page.getByRole('list', { name: 'Personal tokens' }).getByText(evil.slice(0, 100)).first().waitFor();
  assert.ok(!(await page.content()).includes(secret));
  await page.getByRole('button', { name: /^Revoke / }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click();
  await page.getByText('There are none.').waitFor();
  assert.equal(await use(), 401);
  await clean(page, faults);
});

test('Who ends all other sessions sends those browsers to sign in, and back to where they were', { timeout: 600_000 }, async (t) => {
  const one = await visit(t, browser, 1280, 800);
  const two = await visit(t, browser, 1280, 800);
  for (const { page } of [one, two]) {
    await page.goto(url + '/');
    await signIn(page, 'ada@example.com', other);
    await heading(page, 'Videos');
  }
  await two.page.goto(`${url}/#/errors`);
  await heading(two.page, 'Errors');
  await menu(one.page, 'Your account');
  await one.page.getByText('this one').waitFor();
  await look(one.page, 'sessions');
  await press(one.page, 'End all others…');
  await one.page.getByRole('dialog').getByRole('button', { name: 'End them' }).click();
  await until('one session', async () => (await one.page.getByRole('list', { name: 'Sessions' }).getByRole('listitem').count()) === 1);
  await heading(two.page, 'Sign in'); // at its next look at the server
  await two.page.getByText('Your session has ended.').waitFor();
  await look(two.page, 'signin-ended');
  await signIn(two.page, 'ada@example.com', other);
  await heading(two.page, 'Errors');

  // The password: the other browser has to sign in again.
  await press(one.page, 'Change');
  await one.page.getByLabel('Current password').fill('not the one it is');
  await one.page.getByLabel('New password').fill(own);
  await press(one.page, 'Save');
  await one.page.getByText('The current password is another one').waitFor();
  await look(one.page, 'password');
  await one.page.getByLabel('Current password').fill(other);
  await press(one.page, 'Save');
  await one.page.getByText('all other sessions have ended').waitFor();
  await heading(two.page, 'Sign in');
  await menu(one.page, 'Sign out');
  await heading(one.page, 'Sign in');
  assert.ok(one.page.url().endsWith('/#/'), one.page.url());
  await one.page.reload();
  await heading(one.page, 'Sign in');
  await clean(one.page, one.faults);
  await clean(two.page, two.faults);
});

test('No address of the page sends anybody to another one', { timeout: 600_000 }, async (t) => {
  const { page, faults } = await visit(t, browser, 1280, 800);
  const hosts = new Set();
  page.on('request', (r) => hosts.add(new URL(r.url()).host));
  const there = encodeURIComponent('//evil.test/');
  for (const trick of ['/#/signin?return_to=//evil.test/', `/#/signin?return_to=${there}`, '/#/signin?next=%5C%5Cevil.test', '/#//evil.test/', '/#javascript:alert(1)', '/?return_to=https://evil.test/#/signin', '/#/v/..%2F..%2F', '/#/signin?return=%09//evil.test']) {
    await page.goto('about:blank');
    await page.goto(url + trick);
    await signIn(page, 'ada@example.com', own);
    await heading(page, 'Videos');
    assert.equal(new URL(page.url()).origin, new URL(url).origin);
    await menu(page, 'Sign out');
    await heading(page, 'Sign in');
  }
  hosts.delete('');
  assert.deepEqual([...hosts], [new URL(url).host]);
  await clean(page, faults);
});

test('A program is let in by who signs in for it, and by nobody else', { timeout: 600_000 }, async (t) => {
  const tool = 'http://127.0.0.1:9'; // nobody is there: the browser is answered by the test
  const { page, faults } = await desk(t);
  await page.goto(`${url}/#/programs`);
  await heading(page, 'Programs');
  await press(page, 'New program');
  await page.getByLabel('Name, as people see it').fill(evil.slice(0, 100));
  await page.getByRole('radio', { name: /^Browser application/ }).check();
  await page.getByLabel('Where people come back to, an address a line').fill('javascript:alert(1)');
  await press(page, 'Save');
  await page.locator('form .note').waitFor();
  await look(page, 'program-form');
  await page.getByLabel('Where people come back to, an address a line').fill(`${tool}/callback`);
  await press(page, 'Save');
  const id = await page.getByRole('textbox', { name: 'client_id' }).inputValue();
  await press(page, 'New program');
  await page.getByLabel('Name, as people see it').fill('Importer');
  await page.getByRole('radio', { name: /^Service/ }).check();
  await page.getByRole('radio', { name: /^editor/ }).check();
  await press(page, 'Save');
  assert.match(await page.getByRole('textbox', { name: 'client_secret' }).inputValue(), /^sluice_cs_/);
  await look(page, 'programs');

  const verifier = randomBytes(32).toString('base64url');
  const ask = `${url}/oauth/authorize?` + new URLSearchParams({
    response_type: 'code', client_id: id, redirect_uri: `${tool}/callback`, scope: 'openid videos/read', state: 'kept',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256',
  });
  const ada = await visit(t, browser, 1280, 800);
  await ada.page.route(`${tool}/**`, (r) => r.fulfill({ contentType: 'text/html', body: '<!doctype html><title>The tool</title>' }));
  await ada.page.goto(ask);
  await heading(ada.page, 'Sign in');
  await ada.page.getByText('To go on to').waitFor();
  await look(ada.page, 'signin-program');
  await signIn(ada.page, 'ada@example.com', own);
  await heading(ada.page, 'Let it in?');
  await ada.page.getByText('See videos and their history').waitFor();
  await look(ada.page, 'authorize');
  await press(ada.page, 'Allow');
  await ada.page.waitForURL(`${tool}/callback?*`);
  const given = new URL(ada.page.url()).searchParams;
  assert.equal(given.get('state'), 'kept');
  const answer = await fetch(`${url}/oauth/token`, {
    method: 'POST',
    body: new URLSearchParams({ grant_type: 'authorization_code', code: given.get('code'), redirect_uri: `${tool}/callback`, client_id: id, code_verifier: verifier }),
  });
  const { access_token: access } = await answer.json();
  const reads = async () => (await fetch(`${url}/v1/videos`, { headers: { Authorization: `Bearer ${access}` } })).status;
  assert.equal(await reads(), 200);

  // Both she and an administrator see that she let it in, and she takes it back.
  const { id: her } = (await api(page, 'GET', '/v1/users')).items.find((u) => u.email === 'ada@example.com');
  await page.goto(`${url}/#/people/${her}`);
  await page.getByRole('list', { name: 'Programs let in' }).getByRole('listitem').waitFor();
  await look(page, 'person-programs');
  await ada.page.goto(`${url}/#/account`);
  const letIn = ada.page.getByRole('list', { name: 'Programs let in' }).getByRole('listitem');
  await letIn.getByText('See videos and their history').waitFor();
  await look(ada.page, 'account-programs');
  await letIn.getByRole('button', { name: /^Take back what / }).click();
  await ada.page.getByRole('dialog').getByRole('button', { name: 'Take back', exact: true }).click();
  await until('the program to be let in no more', async () => (await reads()) === 401);
  assert.equal(await letIn.count(), 0);

  await ada.page.goto(`${ask}&prompt=consent`);
  await press(ada.page, 'Don’t allow');
  await ada.page.waitForURL(`${tool}/callback?*`);
  assert.equal(new URL(ada.page.url()).searchParams.get('error'), 'access_denied');
  await ada.page.goto(`${ask}&prompt=login`);
  await heading(ada.page, 'Let it in?');
  await press(ada.page, 'Allow'); // the program wants a sign-in that is newer
  await heading(ada.page, 'Sign in');
  await signIn(ada.page, 'ada@example.com', own);
  await press(ada.page, 'Allow');
  await ada.page.waitForURL(`${tool}/callback?code=*`);

  await ada.page.goto('about:blank');
  await ada.page.goto(`${url}/#/signin?request=eyJhbGciOiJub25lIn0.e30.`);
  await ada.page.getByText('This sign-in has expired').waitFor();
  await look(ada.page, 'authorize-gone');
  await clean(ada.page, ada.faults);
  await clean(page, faults);
});

test('An administrator disables, enables, resets and deletes an account', { timeout: 600_000 }, async (t) => {
  const { page, faults } = await desk(t);
  const vic = await visit(t, browser, 1280, 800);
  await vic.page.goto(url + '/');
  await signIn(vic.page, 'vic@example.com', own);
  await heading(vic.page, 'Videos');

  await page.goto(`${url}/#/people`);
  await page.getByRole('link', { name: 'Vic', exact: true }).click();
  await heading(page, 'Vic');
  await page.getByRole('list', { name: 'Sessions' }).getByRole('listitem').first().waitFor();
  await look(page, 'person');
  await page.getByRole('radio', { name: /^editor/ }).check();
  await press(page, 'Save');
  await page.getByText('Saved.').waitFor();
  await vic.page.reload();
  await vic.page.getByRole('button', { name: 'Upload' }).waitFor();

  const ask = async (button, yes) => {
    await press(page, button);
    await page.getByRole('dialog').getByRole('button', { name: yes, exact: true }).click();
  };
  await ask('Disable…', 'Disable');
  await page.getByText('disabled', { exact: true }).waitFor();
  await heading(vic.page, 'Sign in');
  await look(page, 'person-disabled');
  await ask('Enable…', 'Enable');
  await page.getByText('active', { exact: true }).waitFor();
  const before = await letter('vic@example.com', temporary);
  await ask('Reset password…', 'Reset');
  await page.getByText('must choose a password').waitFor();
  await settle(vic.page, 'vic@example.com', await letter('vic@example.com', temporary, before), other);
  await ask('Delete…', 'Delete');
  await heading(page, 'People');
  await page.getByRole('list', { name: 'People' }).waitFor();
  assert.equal(await page.getByRole('link', { name: 'Vic', exact: true }).count(), 0);
  await heading(vic.page, 'Sign in');

  // Oneself: the last administrator stays one.
  const me = (await api(page, 'GET', '/v1/users')).items.find((u) => u.email === need('SLUICE_EMAIL'));
  await page.goto(`${url}/#/people/${me.id}`);
  await page.getByText('This is you.').waitFor();
  await page.getByRole('radio', { name: /^viewer/ }).check();
  await press(page, 'Save');
  await page.getByText('This is the last administrator').waitFor();
  await look(page, 'person-self');
  await page.goto(`${url}/#/workspaces`);
  await page.getByRole('button', { name: /^Remove / }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Remove', exact: true }).click();
  await page.getByRole('dialog').getByRole('alert').waitFor(); // people belong to it
  await look(page, 'ask-refused');
  await clean(page, faults);
  await clean(vic.page, vic.faults);
});

test('Without a mail server an administrator passes on what the letter says', { timeout: 600_000 }, async (t) => {
  const { page, faults } = await visit(t, browser, 1280, 800);
  const there = need('SLUICE_POSTLESS');
  await operate(page, there, token);
  await heading(page, 'Videos');
  await look(page, 'library-empty');
  await menu(page, 'Your account');
  await page.getByText('You are here with the admin token').waitFor();
  await look(page, 'account-token');
  await page.goto(`${there}/#/people`);
  await press(page, 'Invite somebody');
  await page.getByLabel('E-mail').fill('bo@example.com');
  await press(page, 'Invite');
  await press(page, 'Show the temporary password');
  const secret = await page.getByRole('textbox', { name: 'Temporary password' }).inputValue();
  await look(page, 'people-postless');
  await page.goto(`${there}/#/letters`);
  await page.getByRole('button', { name: 'Read the letter to bo@example.com' }).click();
  await page.locator('pre').getByText(secret).waitFor();
  await look(page, 'letters-postless');
  const bo = await visit(t, browser, 390, 844);
  await bo.page.goto(`${there}/#/signin`);
  await signIn(bo.page, 'bo@example.com', secret);
  await heading(bo.page, 'Choose a password');
  await press(bo.page, 'Sign out');
  await heading(bo.page, 'Sign in');
  await clean(page, faults);
  await clean(bo.page, bo.faults);
});

test('In the dark every page is as legible', { timeout: 600_000 }, async (t) => {
  const { page, faults } = await visit(t, browser, 1280, 800, { storageState: admin, colorScheme: 'dark' });
  for (const [name, title] of [['people', 'People'], ['account', 'Your account'], ['workspaces', 'Workspaces'], ['letters', 'Letters'], ['record', 'Record']]) {
    await page.goto(`${url}/#/${name}`);
    await heading(page, title);
    await page.locator('main li').first().waitFor();
    await look(page, `dark-${name}`);
  }
  await clean(page, faults);
});
