// What an attacker would do with the pages, in a real browser.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { act, active, advance, browser, code, config, journey, mark, plain, problem, result, shot, step, visit } from './lib.mjs';

const { given } = config;
const officer = config.dev.officers[0];
const ours = new URL(config.base).origin;

async function stored() {
  const seen = Object.fromEntries(Object.keys(given.texts).map((f) => [f, new Set()]));
  let pages = 0;
  let found = 0;
  const v = await visit(); // one browser: no other may open the same signing pages
  await v.context.addCookies([{ name: 'mohor-session', value: given.session, url: config.base }]);
  for (const lang of ['ms', 'en']) {
    await v.context.addCookies([{ name: 'mohor-lang', value: lang, url: config.base }]);
    const look = async (path) => {
      const r = await v.page.goto(path);
      if (r.status() !== 200) problem(`${path}: ${r.status()}`);
      // A signing page is opened first.
      const open = v.page.locator('main form:not(:has([name=pin])) button[type=submit]').first();
      if (path.includes('/sign/') && !path.includes('/portal/') && await v.page.locator('[name=pin]').count() === 0 && await open.count()) {
        await open.click();
        await v.page.locator('[name=pin]').waitFor();
      }
      pages++;
      const bad = await active(v.page);
      found += bad.length;
      for (const b of bad) problem(`${path}: active: ${b}`);
      const text = plain(await v.page.evaluate(() => document.body.innerText + [...document.querySelectorAll('input,textarea')].map((e) => e.value).join(' ')));
      for (const [field, all] of Object.entries(given.texts)) for (const t of all) if (text.includes(plain(t))) seen[field].add(t);
    };
    await step(`lists in ${lang}`, async () => {
      for (const path of ['/portal', '/portal/sign', '/portal/profile', '/portal/certificate']) await look(path);
      for (const list of ['/portal/batches', '/portal/history']) {
        for (let at = list, k = 0; at && k < 12; k++) {
          await look(at);
          if (k === 0 && lang === 'ms') await shot(v, `serang-${list.slice(8)}`);
          const next = v.page.locator('main a[href*="after="]').last();
          const to = await next.count() ? await next.getAttribute('href') : '';
          at = to && to !== at ? new URL(to, v.page.url()).href : '';
        }
      }
    });
    await step(`signing pages in ${lang}`, async () => {
      for (const [k, path] of given.pages.entries()) {
        if (lang === 'en' && k % 4) continue;
        await look(path);
        if (k === 8 && lang === 'ms') await shot(v, 'serang-sign');
      }
    });
  }
  await v.end();
  result('pages', pages);
  result('active', found);
  result('seen', Object.fromEntries(Object.entries(seen).map(([f, s]) => [f, `${s.size}/${given.texts[f].length}`])));
}

async function enter(p, who) {
  const since = await mark(who);
  await p.goto(`${config.base}/login`);
  await p.locator('#ic').fill(who.ic);
  await p.locator('#password').fill(who.password);
  await p.locator('main form:has(#ic) button[type=submit]').first().click();
  await p.locator('#code').fill(await code(who, since));
  await p.locator('main form:has(#code) button[type=submit]').first().click();
  await p.waitForURL(/\/portal$/);
}

async function foreign() {
  // Its complaints are expected: another site is what complains.
  const context = await (await browser()).newContext();
  const p = await context.newPage();
  await enter(p, officer);
  const cookie = (await context.cookies()).find((c) => c.name === 'mohor-session').value;
  await act('before');
  let links = 0;
  await step('links change nothing', async () => {
    const todo = ['/portal'];
    const done = new Set();
    while (todo.length && done.size < 120) {
      const path = todo.shift();
      if (done.has(path)) continue;
      done.add(path);
      const r = await p.request.get(config.base + path, { headers: { 'Sec-Fetch-Site': 'same-origin', Accept: 'text/html' } });
      links++;
      if (!(r.headers()['content-type'] ?? '').startsWith('text/html')) continue;
      for (const [, href] of (await r.text()).matchAll(/ (?:href|src|hx-get|action|data-[a-z]+)="(\/[^"]*)"/g)) {
        const at = href.replaceAll('&amp;', '&');
        if (!at.startsWith('/assets/') && !at.startsWith('/dev/') && !at.startsWith('/docs') && !at.includes('/events')) todo.push(at);
      }
    }
    const added = await act('same');
    if (added?.length) problem(`walking over the links did ${added.join(', ')}`);
  });
  result('links', links);
  let requests = 0;
  let carried = 0;
  p.on('request', (r) => { if (r.url().startsWith(ours)) requests++; });
  await step('forms of another site', async () => {
    await p.goto(`${given.evil}/forms`);
    const n = await p.locator('form').count();
    for (let k = 0; k < n; k++) {
      const answered = p.waitForResponse((r) => r.url().startsWith(ours) && r.request().method() === 'POST', { timeout: 20_000 }).catch(() => null);
      await p.evaluate((k) => document.forms[k].submit(), k);
      const r = await answered;
      if (!r) continue;
      if ((await r.request().allHeaders()).cookie?.includes('mohor-session')) carried++;
      // JSON routes say 401: no session came with it.
      if (r.status() < 400) problem(`${r.url()} answered a foreign form ${r.status()} to ${r.headers().location ?? ''}`);
    }
    await p.evaluate(async ({ base, forms }) => {
      for (const path of forms) {
        for (const [method, type] of [['POST', 'text/plain'], ['POST', 'application/x-www-form-urlencoded'], ['POST', 'application/json'], ['PUT', 'application/json'], ['DELETE', 'text/plain']]) {
          await fetch(base + path, { method, credentials: 'include', mode: type === 'application/json' || method !== 'POST' ? 'cors' : 'no-cors', headers: { 'Content-Type': type }, body: '{"x":1}' }).catch(() => {});
        }
      }
    }, { base: config.base, forms: given.forms });
    const added = await act('same');
    if (added?.length) problem(`another site did ${added.join(', ')}`);
    if (carried) problem(`${carried} foreign forms carried the session`);
    await advance(60); // another site's requests have used up what this network may ask
    const me = await p.request.get(`${config.base}/v1/me`, { headers: { Cookie: `mohor-session=${cookie}` } });
    if (me.status() !== 200) problem(`the session has ended: ${me.status()}`);
  });
  if (requests < given.forms.length * 3) problem(`only ${requests} requests were made`);
  result('requests', requests);
  await step('frames of another site', async () => {
    const paths = ['/', '/login', '/portal', '/portal/profile', '/verify', '/status', '/candidate', new URL(given.signing).pathname];
    await p.goto(`${given.evil}/frames?paths=${paths.join(',')}`);
    await p.waitForLoadState('load');
    let frames = 0;
    for (const f of p.frames()) {
      if (f === p.mainFrame()) continue;
      frames++;
      const text = await f.evaluate(() => (document.querySelector('main') ? document.body.innerText : '')).catch(() => '');
      if (text !== '' || f.url().startsWith(ours) && await f.locator('form').count()) problem(`${f.url()} is shown in a frame`);
    }
    if (frames < paths.length) problem(`${frames} frames`);
    result('frames', frames);
  });
  await context.close();
}

async function left() {
  const { chromium } = createRequire(join(fileURLToPath(new URL('../../../', import.meta.url)), 'bin/browser/'))('playwright-core');
  const open = () => chromium.launchPersistentContext(given.profile, { executablePath: config.browser, locale: 'ms-MY' });
  let context = await open();
  let p = context.pages()[0] ?? await context.newPage();
  const secrets = [officer.pin, officer.password];
  const addresses = [];
  const watch = (c) => c.on('request', (r) => addresses.push(r.url()));
  watch(context);
  const nothing = async (where, also = []) => {
    const kept = await p.evaluate(() => JSON.stringify({ ...localStorage }) + JSON.stringify({ ...sessionStorage }) + document.documentElement.outerHTML + document.cookie + JSON.stringify(history.state));
    for (const s of [...secrets, ...also]) if (kept.includes(s)) problem(`${where}: a secret is in the page or its storage`);
  };
  await enter(p, officer);
  await nothing('the portal');
  for (const path of ['/portal/profile', '/portal/certificate', '/portal/history', '/portal/sign']) await p.goto(config.base + path);
  await p.locator('#file').setInputFiles(given.file);
  await p.locator('main form:has(#file) button[type=submit]').last().click();
  await p.waitForURL('**/portal/sign/do_*');
  const document = p.url();
  const since = await mark(officer);
  await p.locator('main form button[type=submit]:visible').last().click();
  await p.waitForURL('**/sign/**', { timeout: 30_000 });
  await p.locator('[name=pin]').waitFor();
  const typed = await code(officer, since);
  await step('an error page', async () => {
    await p.locator('[name=pin]').fill(`${officer.pin}`);
    await p.locator('[name=otp]').fill(typed === '111111' ? '222222' : '111111');
    await p.locator('form:has([name=pin]) button[type=submit]').last().click();
    await p.getByRole('alert').first().waitFor();
    await nothing('the signing page after an error');
  });
  await p.locator('[name=pin]').fill(officer.pin);
  await p.locator('[name=otp]').fill(typed);
  await p.locator('form:has([name=pin]) button[type=submit]').last().click();
  await p.locator('a[href*="/portal/return"]').first().waitFor();
  await nothing('the signed page', [typed]);
  await p.locator('a[href*="/portal/return"]').first().click();
  await p.waitForURL('**/portal/sign/do_*');
  const private_ = [`${config.base}/portal/profile`, document, `${document.split('?')[0]}/content?version=signed`, `${config.base}/portal/history`];
  for (const at of private_.slice(0, 2)) await p.goto(at);
  const got = await p.evaluate(async (at) => { const r = await fetch(at); return [r.status, r.headers.get('cache-control'), (await r.arrayBuffer()).byteLength]; }, private_[2]);
  if (got[0] !== 200 || got[1] !== 'no-store' || got[2] < 1000) problem(`the signed document came as ${got}`);
  await p.goto(private_[0]);
  await step('after the log-out', async () => {
    await p.locator('form[action="/logout"] button').first().click();
    await p.waitForURL(/\/login/);
    const personal = async (where) => {
      const text = await p.locator('body').innerText();
      for (const s of [officer.name, officer.ic, officer.email]) if (text.includes(s)) problem(`${where} shows ${s} at ${new URL(p.url()).pathname}`);
    };
    for (let k = 0; k < 6; k++) {
      await p.goBack({ timeout: 5_000 }).catch(() => {});
      await p.waitForLoadState();
      await personal(`back ${k + 1}`);
    }
    for (const at of private_) {
      const cached = await p.evaluate(async (at) => { try { const r = await fetch(at, { cache: 'only-if-cached', mode: 'same-origin' }); return r.status === 504 ? 0 : (await r.text()).length; } catch { return 0; } }, at);
      if (cached) problem(`${at} is cached, ${cached} characters`);
      await p.goto(at);
      await personal(at);
    }
  });
  for (const u of addresses) for (const s of [...secrets, typed, officer.ic, officer.name]) if (decodeURIComponent(u).includes(s)) problem(`a secret is in an address: ${new URL(u).pathname}`);
  await context.close();
  result('code', typed);
}

await journey(() => ({ stored, foreign, left })[given.part]());
