// What a journey's script may use. It is
//
//   import { journey, everywhere, step, scan } from './lib.mjs';
//   await journey(() => everywhere({}, async (v) => {
//     await step('the first page', async () => {
//       await v.page.goto('/');
//       await scan(v, 'first');
//     });
//   }));
//
// and is run by a test (run in run_test.go), or by hand against `mohor serve --dev`:
//   node internal/journeys/js/pages.mjs DIR/dev.json
//
// v is a visit: a browser context of its own with one page, in a language and a size.
// Whatever the browser complains of in a visit is a problem: console errors, exceptions,
// breaches of the Content-Security-Policy, requests to other origins, answers of 400 and above
// that were not expected. A problem fails the journey at its end, so that one run names all.
//
// Wait for what is shown (v.page.getByRole(…).waitFor(), locators' own waiting), never for
// a time. The gateway's clock goes with the browser's while a test runs; advance(seconds) moves
// it on at once (a code expires, a limit refills). The browser does not notice: its countdowns
// and its cookies' Max-Age go on from where they were. To let a page's own timers see the future
// call v.page.clock.install() before the page is opened and v.page.clock.fastForward(ms) after.
import { createRequire } from 'node:module';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const require = createRequire(join(root, 'bin/browser/'));

// config has dev (dev.json: base_url, api_key, system, mailbox_url, officers with ic, name, email,
// pin, credentials), base, given (from the Go test), browser, act and shots.
export const config = process.argv[2] ?
  { dev: JSON.parse(readFileSync(process.argv[2], 'utf8')), shots: join(root, 'bin/screenshots') } :
  JSON.parse(readFileSync(0, 'utf8'));
config.given ??= {};
config.base = config.given.base ?? config.dev?.base_url;

export const sizes = {
  phone: { viewport: { width: 360, height: 780 }, deviceScaleFactor: 2, hasTouch: true },
  tablet: { viewport: { width: 768, height: 1024 }, deviceScaleFactor: 1, hasTouch: true },
  desktop: { viewport: { width: 1280, height: 800 }, deviceScaleFactor: 1 },
};

const began = Date.now();
const say = (o) => process.stdout.write(JSON.stringify(o) + '\n');
let failed = false;
let where = 'before the first step';

// problem fails the journey, which goes on.
export function problem(text) {
  failed = true;
  say({ problem: `${where}: ${text}` });
}

// note is shown with go test -v.
export const note = (text) => say({ note: `${where}: ${text}` });

// result gives the Go test a value.
export const result = (name, value) => say({ result: name, value });

// step names what is done, so that whatever fails in it says where. It may be nested.
export async function step(name, f) {
  const outer = where;
  const start = Date.now();
  where = outer.startsWith('before') ? name : `${outer} › ${name}`;
  try {
    const value = await f();
    say({ step: where, seconds: (Date.now() - start) / 1000 });
    return value;
  } catch (e) {
    if (e && typeof e === 'object' && !e.at) e.at = where;
    throw e;
  } finally {
    where = outer;
  }
}

const visits = new Set();
const engines = new Map();

// journey runs f, ends what is still open and then the process.
export async function journey(f) {
  try {
    await f();
  } catch (e) {
    where = e?.at ?? where;
    problem((e?.stack ?? String(e)).replace(/\x1b\[\d+m/g, ''));
    for (const v of visits) { // where it went wrong
      await shot(v, 'failed').then((to) => note(`the page is in ${to}, at ${new URL(v.page.url()).href.slice(config.base.length)}`), () => {});
    }
  }
  for (const v of [...visits]) await v.end().catch((e) => problem(String(e)));
  for (const b of engines.values()) await (await b).close().catch(() => {});
  process.exitCode = failed ? 1 : 0;
}

// browser starts Chromium once, with given.args, or with engine 'firefox' Debian's Firefox (by WebDriver BiDi).
export function browser({ engine = 'chromium' } = {}) {
  if (!engines.has(engine)) {
    const playwright = require('playwright-core');
    const first = (...paths) => paths.find(existsSync);
    engines.set(engine, engine === 'firefox' ?
      playwright.firefox.launch({ channel: 'moz-firefox', executablePath: config.firefox || first('/usr/bin/firefox-esr') }) :
      playwright.chromium.launch({ executablePath: config.browser || first('/usr/bin/chromium', '/usr/bin/google-chrome'), args: config.given.args ?? [] }));
  }
  return engines.get(engine);
}

// everywhere takes f through one visit in each language and size, or in those of options.langs
// and options.sizes; the rest of options is visit's. given.langs and given.sizes say less still.
export async function everywhere(options, f) {
  const { langs, sizes: widths, ...rest } = options;
  for (const lang of config.given.langs ?? langs ?? ['ms', 'en']) {
    for (const size of config.given.sizes ?? widths ?? ['phone', 'desktop']) {
      await step(`${lang}-${size}`, async () => {
        const v = await visit({ ...rest, lang, size });
        await f(v);
        await v.end();
      });
    }
  }
}

// visit opens a page. Options: lang ('ms'), size ('desktop'), noJS (no script of a page runs),
// engine ('chromium' or 'firefox', or given.engine), context (more of playwright's options of a new context), expect (a list for v.expect).
//
// v.page       the page (paths are relative to the gateway)
// v.lang v.size
// v.t(ms, en)  the text in the visit's language
// v.expect(status, path)  from here on such an answer is no problem; path: string or RegExp
// v.count      { clicks, typed, chosen, keys, pages } so far: what a person did. clicks are links,
//              buttons, boxes; typed are fields; chosen are options and files; keys are keys pressed
// v.seconds()  since the visit began
// v.end()      reports what the browser complained of, closes
export async function visit(options = {}) {
  const { lang = 'ms', size = 'desktop', noJS = false, engine = config.given.engine } = options;
  const context = await (await browser({ engine })).newContext({
    baseURL: config.base, locale: lang === 'ms' ? 'ms-MY' : 'en-GB', timezoneId: 'Asia/Kuala_Lumpur', reducedMotion: 'reduce',
    javaScriptEnabled: !noJS, ...sizes[size], ...options.context,
  });
  context.setDefaultTimeout(20_000);
  await context.addCookies([{ name: 'mohor-lang', value: lang, url: config.base }]);
  const start = Date.now();
  const v = {
    context, lang, size, noJS, engine, ended: false,
    count: { clicks: 0, typed: 0, chosen: 0, keys: 0, pages: 0 },
    expected: [], t: (ms, en) => (lang === 'ms' ? ms : en),
    expect: (status, path) => { v.expected.push({ status, path }); },
    seconds: () => (Date.now() - start) / 1000,
  };
  for (const e of options.expect ?? []) v.expect(...e);
  await watch(v);
  v.page = await context.newPage();
  counting(v.page);
  owners.set(v.page, v);
  v.end = async () => {
    if (v.ended) return;
    v.ended = true;
    visits.delete(v);
    // What the page has still to say arrives before the answer to this.
    for (const p of context.pages()) await p.evaluate(() => 1).catch(() => {});
    await context.close();
  };
  visits.add(v);
  return v;
}

const owners = new WeakMap();
const page = (x) => x.page ?? x;
const owner = (x) => (x.page ? x : owners.get(x) ?? { lang: 'ms', size: 'desktop' });

// waited asks the page something that waits, which must come.
async function waited(p, f, argument) {
  let timer;
  const late = new Promise((_, refuse) => { timer = setTimeout(() => refuse(new Error('the page does not answer')), 60_000); });
  return Promise.race([p.evaluate(f, argument), late]).finally(() => clearTimeout(timer));
}

const matches = (want, path) => (want instanceof RegExp ? want.test(path) : want === path);

// Playwright stills a page for its picture by a style sheet, which Firefox holds against the policy: it
// is known by this hash of "body {}", and by being set by evaluated script, which a page of ours cannot have.
const playwrights = (text) => text.includes('sha256-YjaKGiklmzC6wjXA513HAMmzus8VE61XCOT+SmwNZWA=') || /style-src-elem .*%20%3E%20eval:\d+$/.test(text);

// watch makes a problem of what the browser complains of.
async function watch(v) {
  const ours = new URL(config.base).origin;
  const isExpected = (url, status) => {
    if (!URL.canParse(url)) return false;
    const path = new URL(url).pathname;
    return v.expected.some((e) => (!status || e.status === status) && matches(e.path, path));
  };
  v.context.on('console', (m) => {
    if (m.type() !== 'error' && m.type() !== 'assert') return;
    // The browser says of an answer of 400 and above what 'response' says, too.
    const { url } = m.location();
    if (/^Failed to load resource: the server responded with a status of/.test(m.text())) return;
    problem(`console: ${m.text()} (${url})`);
  });
  v.context.on('weberror', (e) => {
    const text = String(e.error().stack ?? e.error());
    if (!(v.engine === 'firefox' && playwrights(text))) problem(`exception: ${text}`);
  });
  v.context.on('request', (r) => {
    const u = new URL(r.url());
    if (/^https?:$/.test(u.protocol) && u.origin !== ours && !v.expected.some((e) => e.status === 'away' && matches(e.path, u.origin))) problem(`asks another origin: ${r.url()}`);
  });
  v.context.on('requestfailed', (r) => {
    const why = r.failure()?.errorText ?? '';
    // A page that goes away cuts what it had under way; a download is one, too.
    if (why !== 'net::ERR_ABORTED' && !isExpected(r.url())) problem(`no answer: ${r.method()} ${r.url()}: ${why}`);
  });
  v.context.on('response', (r) => {
    if (r.request().isNavigationRequest() && (r.status() < 300 || r.status() > 399)) v.count.pages++;
    if (r.status() >= 400 && !isExpected(r.url(), r.status())) problem(`${r.status()} for ${r.request().method()} ${r.url()}`);
  });
  await v.context.exposeBinding('__mohorPolicy', (_, what) => {
    if (!(v.engine === 'firefox' && playwrights(what))) problem(`Content-Security-Policy: ${what}`);
  });
  await v.context.addInitScript(() => {
    addEventListener('securitypolicyviolation', (e) => {
      window.__mohorPolicy(`${e.effectiveDirective} does not allow ${e.blockedURI} ${e.sample} at ${e.sourceFile ?? document.location.pathname}:${e.lineNumber}`);
    });
  });
}

// counting wraps what every click and every text goes through, of pages and of locators.
function counting(p) {
  const frame = Object.getPrototypeOf(p.mainFrame());
  const keyboard = Object.getPrototypeOf(p.keyboard);
  if (frame.mohorCounts) return;
  frame.mohorCounts = true;
  const wrap = (proto, methods, what, of) => {
    for (const m of methods) {
      const plain = proto[m];
      if (!plain) throw new Error(`playwright has no ${m}`);
      proto[m] = function (...args) {
        const v = owners.get(of(this));
        if (v) v.count[what]++;
        return plain.apply(this, args);
      };
    }
  };
  wrap(frame, ['click', 'tap', 'check', 'uncheck', 'dblclick'], 'clicks', (f) => f.page());
  wrap(frame, ['fill', 'type'], 'typed', (f) => f.page());
  wrap(frame, ['selectOption', 'setInputFiles'], 'chosen', (f) => f.page());
  wrap(frame, ['press'], 'keys', (f) => f.page());
  wrap(keyboard, ['press'], 'keys', (k) => k._page);
}

const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
let axeSource = null;

// axe judges the page as it is shown: what is serious or critical is a problem, the rest a note.
// except names rules that are not asked (say why where it is called). It returns all violations.
// It needs timers, which a visit without script has not: ask the same page in one with.
export async function axe(x, { except = [] } = {}) {
  const p = page(x);
  if (owner(x).noJS) return [];
  axeSource ??= readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
  if (!await p.evaluate(() => Boolean(window.axe))) await p.evaluate(axeSource);
  const rules = Object.fromEntries(except.map((id) => [id, { enabled: false }]));
  const { violations, passes } = await waited(p, ([values, rules]) =>
    window.axe.run(document, { runOnly: { type: 'tag', values }, rules, resultTypes: ['violations'] }), [tags, rules]);
  if (passes.length === 0) problem('axe: nothing was checked');
  for (const r of violations) {
    const at = r.nodes.slice(0, 5).map((n) => `${n.target.join(' ')} (${(n.any[0] ?? n.all[0] ?? n.none[0])?.message ?? n.html})`).join('; ');
    const text = `axe: ${r.impact} ${r.id}: ${r.help}, ${r.nodes.length} at ${new URL(p.url()).pathname}: ${at}`;
    if (r.impact === 'serious' || r.impact === 'critical') problem(text);
    else note(text);
  }
  return violations;
}

// noOverflow: nothing makes the page wider than the window.
export async function noOverflow(x) {
  const p = page(x);
  const wide = await p.evaluate(() => {
    const d = document.documentElement;
    if (d.scrollWidth <= d.clientWidth) return null;
    const over = [...document.body.querySelectorAll('*')].filter((e) => e.getBoundingClientRect().right > d.clientWidth + 0.5);
    return { by: d.scrollWidth - d.clientWidth, over: over.slice(-5).map((e) => `${e.tagName.toLowerCase()}${e.id ? `#${e.id}` : ''}.${e.className} "${(e.textContent ?? '').trim().slice(0, 40)}"`) };
  });
  if (wide) problem(`the page is ${wide.by} pixels too wide at ${new URL(p.url()).pathname}: ${wide.over.join('; ')}`);
}

const tallest = 6000; // no picture may be higher than 16,384 pixels of a screen, and nobody looks at it

// shot takes a picture of the whole page, bin/screenshots/<lang>-<size>/<name>.png, and returns its path.
export async function shot(x, name) {
  const p = page(x);
  const { lang, size, noJS, engine } = owner(x);
  const path = join(config.shots, `${lang}-${size}${engine === 'firefox' ? '-firefox' : ''}`, `${name}${noJS ? '-nojs' : ''}.png`);
  mkdirSync(dirname(path), { recursive: true });
  await p.waitForLoadState('load');
  if (!noJS) {
    await waited(p, async () => {
      await document.fonts.ready;
      await Promise.all([...document.images].filter((i) => i.loading !== 'lazy').map((i) => i.decode().catch(() => {})));
    });
  }
  const height = await p.evaluate(() => document.documentElement.scrollHeight);
  const options = engine === 'firefox' ? { path, animations: 'allow', caret: 'initial' } : { path, animations: 'disabled', caret: 'hide' };
  if (height <= tallest) {
    await p.screenshot({ ...options, fullPage: true });
    return path;
  }
  const viewport = p.viewportSize();
  await p.setViewportSize({ width: viewport.width, height: tallest });
  await p.screenshot(options);
  await p.setViewportSize(viewport);
  return path;
}

// scan is what every page gets: axe, width, language, picture.
export async function scan(x, name, options) {
  const outer = where;
  where = `${outer} › ${name}`;
  try {
    await noOverflow(x);
    const violations = await axe(x, options);
    await shot(x, name);
    return violations;
  } finally {
    where = outer;
  }
}

// tabOrder presses Tab until the focus is where it was before, or leaves the page, and says what
// has the focus each time: { tag, id, name, seen }. seen is false when nothing shows where the focus is.
export async function tabOrder(x, most = 100) {
  const p = page(x);
  const order = [];
  await p.evaluate(() => { document.activeElement?.blur(); document.querySelectorAll('[data-mohor-tab]').forEach((e) => e.removeAttribute('data-mohor-tab')); });
  for (let k = 0; k < most; k++) {
    await p.keyboard.press('Tab');
    const at = await p.evaluate(() => {
      const e = document.activeElement;
      if (!e || e === document.body || e.hasAttribute('data-mohor-tab')) return null;
      e.setAttribute('data-mohor-tab', '');
      const s = getComputedStyle(e);
      const label = e.labels?.[0]?.textContent ?? e.getAttribute('aria-label') ?? e.textContent ?? e.value ?? '';
      return { tag: e.tagName.toLowerCase(), id: e.id, name: label.trim().replace(/\s+/g, ' '), seen: s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0 || s.boxShadow !== 'none' };
    });
    if (!at) break;
    order.push(at);
  }
  return order;
}

// api asks the gateway as the sandbox's app, past the browser: { status, body, raw }.
export async function api(method, path, body, headers = {}) {
  const r = await fetch(config.base + path, {
    method, body: body === undefined ? undefined : JSON.stringify(body),
    headers: { 'X-API-Key': config.dev.api_key, ...(body === undefined ? {} : { 'Content-Type': 'application/json' }), ...headers },
  });
  const raw = await r.text();
  let json = null;
  try { json = JSON.parse(raw); } catch { /* not every answer is an object */ }
  return { status: r.status, body: json, raw };
}

// act has the Go test do something (its acts); advance moves the gateway's clock.
export async function act(name, argument = null) {
  const r = await fetch(`${config.act}/${name}`, { method: 'POST', body: JSON.stringify(argument) });
  if (!r.ok) throw new Error(`${name}: ${(await r.text()).trim()}`);
  return r.json();
}
export const advance = (seconds) => act('advance', seconds);

const address = (who) => (who.email ?? config.dev.officers.find((o) => o.ic === who)?.email ?? who);

async function mails(to) {
  const r = await fetch(`${config.dev.mailbox_url}?to=${encodeURIComponent(to)}`);
  if (!r.ok) throw new Error(`mailbox: ${r.status}`);
  return r.json(); // newest first
}

const taken = new Map();

// mark is how many mails an officer (or ic, or address) has; give it to mail or code to get one
// that came after.
export async function mark(who) {
  return (await mails(address(who))).length;
}

// mail waits for the newest mail after since that pick says something of, and returns that. Without
// since: after the one that mail or code gave last.
export async function mail(who, pick, since) {
  const to = address(who);
  const from = since ?? taken.get(to) ?? 0;
  const deadline = Date.now() + 60_000;
  for (;;) {
    const all = await mails(to);
    for (const [k, m] of all.slice(0, all.length - from).entries()) {
      const found = pick(m);
      if (found) {
        taken.set(to, all.length - k);
        return found;
      }
    }
    if (Date.now() > deadline) throw new Error(`no such mail to ${to}: ${all.length} there, ${from} before; newest: ${all[0]?.subject}`);
    await new Promise((again) => { setTimeout(again, 50); });
  }
}

// plain is a text without what a page may show otherwise.
export const plain = (text) => text.replace(/[\s\u0000\ufeff]+/g, '');

// harm is what of a payload of attack_test.go is more than text in a document.
function harm(d) {
  const out = [...d.querySelectorAll('[data-serang], iframe, object, embed, base, math, meta[http-equiv=refresh], [hx-get="/logout"]')].map((e) => e.outerHTML.slice(0, 120));
  for (const e of d.querySelectorAll('*')) {
    for (const a of e.attributes) {
      if (/^(on|hx-on)/i.test(a.name) || a.name === 'style' && /%|none/.test(a.value) && e.namespaceURI !== 'http://www.w3.org/2000/svg' && /display:none/.test(a.value)) out.push(`${e.tagName} ${a.name}`);
      // In the query of an address of ours it is text.
      if (!/^(href|src|srcset|action|formaction|data|poster|ping|xlink:href|hx-(get|post|put|patch|delete))$/i.test(a.name) || !URL.canParse(a.value, document.baseURI)) continue;
      const u = new URL(a.value, document.baseURI);
      if (/(^|\.)evil\.example$/.test(u.hostname) || /^(javascript|vbscript):$/.test(u.protocol) || u.protocol === 'data:' && !(e.localName === 'img' && u.pathname.startsWith('image/'))) out.push(`${e.tagName} ${a.name}=${a.value.slice(0, 80)}`);
    }
  }
  if (window.__x !== undefined) out.push('a script ran');
  return out;
}

// active is that of the page that is shown.
export const active = (x) => page(x).evaluate(`(${harm})(document)`);

// parsed asks for pages as the page that is shown would: of each { path, status, type, active, text, main, next }, where text
// is all that it says, and its fields and titles hold, and next leads on in a list. A path may be { path, body }, a
// form that is sent; atOnce are under way together.
export const parsed = (x, paths, atOnce = 3) => page(x).evaluate(`(async (paths) => {
  const harm = ${harm};
  const ask = async (x) => {
    const { path, body } = x.path ? x : { path: x };
    const r = await fetch(path, body ? { method: 'POST', body: new URLSearchParams(body) } : { headers: { Accept: 'text/html' } });
    const type = r.headers.get('Content-Type') ?? '';
    const raw = await r.text();
    if (!type.startsWith('text/html')) return { path, status: r.status, type, active: [], text: raw.slice(0, 100000), main: raw.slice(0, 400), next: '' };
    const d = new DOMParser().parseFromString(raw, 'text/html');
    return { path, status: r.status, type, active: harm(d), text: d.title + d.body.textContent + [...d.querySelectorAll('input,textarea,[title]')].map((e) => e.value ?? e.title).join(' '), main: (d.querySelector('main')?.textContent ?? '').slice(0, 400), next: d.querySelector('main a[rel=next]')?.getAttribute('href') ?? '' };
  };
  const out = [];
  const todo = paths.entries();
  await Promise.all(Array.from({ length: ${atOnce} }, async () => { for (const [k, path] of todo) out[k] = await ask(path); }));
  return out;
})(${JSON.stringify(paths)})`);

// enter logs an administrator in, who has ic and password: at leads to a page, without it to the
// console's first. The test has the act totp, or totp says where else the second factor's code is from.
export async function enter(v, { ic, password }, at = '', totp = () => act('totp', ic)) {
  await v.page.goto(at ? `/login?next=${encodeURIComponent(at)}` : '/login');
  await v.page.fill('#ic', ic);
  await v.page.fill('#password', password);
  await v.page.click('#masuk');
  await v.page.locator('#code').waitFor();
  await v.page.fill('#code', await totp());
  await v.page.click('#masuk');
  const { pathname } = new URL(at || '/admin', config.base);
  await v.page.waitForURL((u) => u.pathname === pathname);
}

// code waits for a one-time code; link for the first link that matches (a RegExp).
export const code = (who, since) => mail(who, (m) => m.code, since);
export const link = (who, pattern, since) => mail(who, (m) => pattern.exec(m.text)?.[0], since);
