// What administrators entered, or others had stored for them, on every page of the console.
import { active, advance, config, enter, journey, parsed, plain, problem, result, shot, step, visit } from './lib.mjs';

const { jdn, ap, lists, shown, names, marks, texts } = config.given;
const counts = { opened: 0, read: 0, active: 0 };
const seen = {};

// judge holds what a page is against what it may be. Addresses and forms that are wrong are refused.
function judge(path, status, bad, refused, says = '') {
  counts.active += bad.length;
  for (const b of bad) problem(`${path}: active: ${b}`);
  if (status >= 500 || status === 429 || status !== 200 && !refused) problem(`${path.slice(0, 200)}: ${status} ${says}`);
}

async function open(v, path) {
  const r = await v.page.goto(path);
  counts.opened++;
  judge(path, r.status(), await active(v.page), false);
}

const speak = (v, lang) => v.context.addCookies([{ name: 'mohor-lang', value: lang, url: config.base }]);

// read asks for many pages, in one language and the other, some at a time, for a gateway lets nobody ask for all at once.
async function read(v, paths, refused, look = () => {}) {
  for (let k = 0; k < paths.length; k += 60) {
    const some = paths.slice(k, k + 60);
    await speak(v, k % 120 ? 'en' : 'ms');
    await advance(60);
    for (const a of await parsed(v.page, some, some[0].path ? 1 : 3)) {
      counts.read++;
      judge(a.path.path ?? a.path, a.status, a.active, refused, a.main);
      look(a);
    }
  }
}

const file = /\.(png|csv)$|\/(file|csv|sample\.png)(\?|$)/; // which a browser does not show

async function pages(v) {
  for (const lang of ['ms', 'en']) {
    await speak(v, lang);
    await step(`opened in ${lang}`, async () => {
      for (const path of new Set([...lists, ...shown.filter((x) => x.real).map((x) => x.path)])) if (!file.test(path)) await open(v, path);
    });
  }
  await step('read', async () => {
    const paths = [...new Set(shown.map((x) => x.path))];
    const said = new Map();
    await read(v, paths, false, (a) => said.set(a.path, plain(a.text)));
    for (const { path, field, text } of shown) {
      if (!field) continue;
      const s = seen[field] ??= { of: new Set(), seen: new Set() };
      s.of.add(text);
      if (said.get(path).includes(plain(text))) s.seen.add(text);
    }
  });
  await step('lists to their ends', async () => {
    let todo = lists;
    for (let k = 0; todo.length && k < 8; k++) {
      const next = [];
      await read(v, todo, true, (a) => { if (a.next) next.push(a.next); });
      todo = next;
    }
  });
}

// In the address of a page: every name that a page reads, at once and alone; and in its path.
async function addresses(v) {
  const one = `//evil.example/"'><i data-serang>x</i>`;
  const query = (pairs) => new URLSearchParams(pairs).toString();
  await step('in addresses', async () => {
    const paths = [];
    for (const list of lists) {
      for (const text of [...marks, 'javascript:window.__x=1']) paths.push(`${list}?${query(names.map((n) => [n, text]))}`);
      for (const n of names) paths.push(`${list}?${query([[n, one]])}`);
    }
    for (const x of shown.filter((s) => s.real)) {
      for (const text of marks.slice(0, 2)) {
        paths.push(`${x.path.split('?')[0]}?${query(names.map((n) => [n, text]))}`);
        paths.push(x.path.replace(/[^/]+$/, encodeURIComponent(text)));
      }
    }
    await read(v, paths, true);
  });
}

// A form that comes back has what was typed.
async function forms(v) {
  await step('in forms', async () => {
    const sent = [];
    const done = new Set();
    for (const path of new Set([...lists, ...shown.filter((x) => x.real).map((x) => x.path)])) {
      if (file.test(path)) continue;
      await advance(1);
      const all = (await v.page.request.get(path, { headers: { Accept: 'text/html' } }));
      if (!(all.headers()['content-type'] ?? '').startsWith('text/html')) continue;
      const html = await all.text();
      const found = await v.page.evaluate((html) => [...new DOMParser().parseFromString(html, 'text/html').querySelectorAll('main form[method=post]:not([enctype])')].map((f) => ({
        at: f.getAttribute('action'), all: [...new FormData(f)].map(([k, x]) => [k, typeof x === 'string' ? x : '']), typed: [...f.querySelectorAll('input:not([type=hidden],[type=checkbox],[type=radio],[type=file]),textarea')].map((e) => e.name), hidden: [...f.querySelectorAll('input[type=hidden]')].map((e) => e.name) })), html);
      for (const f of found) {
        // A row of a list has the form of another.
        const one = `${f.at ?? path} ${f.all.map(([k]) => k)}`;
        if (done.has(one)) continue;
        done.add(one);
        for (const text of marks) {
          sent.push({ path: f.at ?? path, body: [...f.all.filter(([k]) => !f.typed.includes(k)), ...f.typed.map((k) => [k, text])] });
        }
        // And where nobody types.
        sent.push({ path: f.at ?? path, body: f.all.map(([k, x]) => [k, k === 'form' ? x : marks[0]]) });
      }
    }
    if (sent.length < 100) problem(`only ${sent.length} forms`);
    await read(v, sent, true);
  });
}

// The page of rows that are refused.
async function rows(v) {
  await step('rows of a list', async () => {
    const head = 'no_kp,nama,emel,agensi,sistem,pejabat_perakaunan,fasa,tiket';
    const cell = (text) => `"${text.replaceAll('"', '""')}"`;
    for (let column = -1; column < 8; column++) {
      const good = (k) => [`8201011490${String(k).padStart(2, '0')}`, 'NORMAH BINTI ALI', `r${k}@janm.gov.my`, 'JANN', config.dev.system, '', '', ''];
      const lines = column < 0 ? [`${head},${marks.map(cell).join(',')}`, good(0).join(',')] : [head, ...texts.slice(-48).map((t, k) => good(k).map((x, c) => (c === column ? cell(t) : x)).join(','))];
      await speak(v, column % 2 ? 'en' : 'ms');
      await v.page.goto('/admin/list');
      await v.page.setInputFiles('#file', { name: `${marks[0]}.csv`, mimeType: 'text/csv', buffer: Buffer.from(lines.join('\n')) });
      await v.page.locator('main form button[type=submit]').first().click();
      await v.page.locator('#ralat, table.rows, .tiles').first().waitFor();
      counts.opened++;
      judge(`/admin/list, column ${column}`, 200, await active(v.page), false);
      if (column === 1) {
        await shot(v, 'serang-list');
        const text = plain(await v.page.evaluate(() => [...document.querySelectorAll('input')].map((e) => e.value).join(' ')));
        if (!text.includes(plain(marks[0]))) problem('the rows are not shown');
      }
    }
  });
}

await journey(async () => {
  const v = await visit();
  for (const status of [400, 401, 403, 404, 405, 409, 410, 413, 422]) v.expect(status, /^\/(admin|portal)/);
  await enter(v, jdn);
  await pages(v);
  await addresses(v);
  await rows(v);
  await enter(await again(v), jdn); // for what asks for a new log-in
  await forms(v);
  await v.end();
  const w = await visit({ lang: 'en', expect: [[403, /^\/admin/], [404, /^\/admin/]] });
  await enter(w, ap);
  await step('as an AP', () => read(w, [...lists, ...new Set(shown.filter((x) => x.real).map((x) => x.path))], true));
  await w.end();
  for (const [name, n] of Object.entries(counts)) result(name, n);
  result('seen', Object.fromEntries(Object.entries(seen).map(([f, s]) => [f, s.seen.size])));
});

async function again(v) {
  await v.context.clearCookies({ name: 'mohor-session' });
  return v;
}
