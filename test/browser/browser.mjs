// Debian's Chromium (chromium-headless-shell if it is installed: half the CPU time), a loopback server for pages and
// player libraries, and a way to wait for something to become true.

import assert from 'node:assert/strict';
import { createReadStream, existsSync } from 'node:fs';
import { mkdir, stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const types = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.mjs': 'text/javascript' };

// patience is how long is waited, in ms, for what must happen: much, as the machine may be slow, and busy with other tests.
const patience = Number(process.env.PATIENCE ?? 120_000);

// need returns an environment variable, or ends the run with a sentence that names it.
export function need(name) {
  const value = process.env[name];
  if (!value) throw new Error(`Set ${name}: see the head of the test file.`);
  return value;
}

const shell = '/usr/bin/chromium-headless-shell';

// launch starts the browser, with more arguments.
export function launch(more = []) {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? (existsSync(shell) ? shell : '/usr/bin/chromium'),
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--autoplay-policy=no-user-gesture-required',
      ...more,
    ],
  });
}

// serve serves files (path → absolute file name) on a loopback port of the system's choice: another origin than Sluice's.
export async function serve(files) {
  const server = createServer(async (request, response) => {
    const file = files[request.url];
    if (!file) {
      response.writeHead(404).end();
      return;
    }
    const { size } = await stat(file);
    response.writeHead(200, {
      'Content-Type': types[/\.\w+$/.exec(file)[0]] ?? 'application/octet-stream',
      'Content-Length': size,
    });
    createReadStream(file).pipe(response);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close: () => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve))),
  };
}

// operate signs a tab in with the admin token, as the form does that asks for it. The token lies there before the page
// first asks who is signed in: an answer that nobody is makes the page forget it.
export async function operate(page, url, token) {
  await page.addInitScript((held) => {
    if (window !== top || sessionStorage.getItem('operated')) return; // once: somebody who signs out stays out
    sessionStorage.setItem('operated', 'yes');
    sessionStorage.setItem('sluice.token', held);
  }, token);
  await page.goto(url);
}

// visit opens a page in a browser of its own, with its own cookies, that notes what a person would see as a fault: script errors, what the page
// writes to the console as one, and refusals by the content policy. That an answer was 401 or 404 the browser writes there by itself.
export async function visit(t, browser, width, height, more = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: 'light', ...more });
  t.after(() => context.close());
  context.setDefaultTimeout(patience); // of whatever is waited for
  const faults = [];
  await context.exposeFunction('violated', (what) => faults.push(what));
  await context.addInitScript(() =>
    document.addEventListener('securitypolicyviolation', (e) =>
      window.violated(`Content Security Policy: ${e.effectiveDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber}`),
    ),
  );
  const page = await context.newPage();
  page.on('pageerror', (e) => faults.push(e.message));
  page.on('console', (m) => {
    if (m.type() === 'error' && !/^Failed to load resource: (net::|the server responded)/.test(m.text())) faults.push(m.text());
  });
  return { page, faults };
}

// shot keeps a picture in the folder SHOTS, where that is set.
export async function shot(page, name, more = {}) {
  if (!process.env.SHOTS) return;
  await mkdir(process.env.SHOTS, { recursive: true });
  await page.screenshot({ path: join(process.env.SHOTS, `${name}.png`), ...more });
}

// fits fails where the page is wider than its window.
export async function fits(page) {
  const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(over <= 0, `the page is ${over} pixels wider than its window`);
}

// until asks again and again until the answer is true, and returns it; it throws what was waited for after ms.
export async function until(what, ask, ms = patience) {
  const end = Date.now() + ms;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`waited ${ms / 1000} s for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
