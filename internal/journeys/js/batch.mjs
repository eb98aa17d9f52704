// The officer's batches of certificates.
import { config, code, everywhere, journey, mark, problem, result, scan, shot, step, visit } from './lib.mjs';
import { basename } from 'node:path';
import { readFileSync } from 'node:fs';

const { given } = config;
const officer = config.dev.officers[0];
const batches = '/portal/batches';

async function login(v, next = '') {
  const since = await mark(officer);
  await v.page.goto(`/login${next && `?next=${next}`}`);
  await v.page.locator('#ic').fill(officer.ic);
  await v.page.locator('#password').fill(officer.password);
  await v.page.locator('main form button[type=submit]').last().click();
  await v.page.locator('#code').waitFor();
  await v.page.locator('#code').fill(await code(officer, since));
  await v.page.locator('main form button[type=submit]').last().click();
  await v.page.waitForURL((u) => u.pathname.startsWith('/portal'));
}

// sign gives PIN and code on the signing page, and comes back; to a page that it does not lead to yet.
async function sign(v, since, at = '') {
  await v.page.waitForURL('**/sign/**');
  await v.page.locator('#pin').fill(officer.pin);
  await v.page.locator('#otp').fill(await code(officer, since));
  await v.page.locator('form:has(#pin) button[type=submit]').last().click();
  if (at) {
    await v.page.locator('#pin').waitFor({ state: 'detached' });
    await v.page.goto(at);
    return;
  }
  await v.page.locator('a[href*="/portal/return"]').first().click();
  await v.page.waitForURL(`**${batches}/**`);
}

const heading = (v, text) => v.page.getByText(text).first();
const signed = (v, n) => heading(v, v.t(`${n} telah ditandatangani`, `${n} are signed`)).waitFor({ timeout: 120_000 });
const seal = (v) => v.page.getByRole('button', { name: v.t(/^Meterai dan tandatangan/, /^Seal and sign/) });
const signer = (v) => v.page.getByRole('button', { name: v.t(/^Tandatangani \d/, /^Sign (\d|the)/) });
const submit = (v) => v.page.locator('form:has(#file) button[type=submit]');
const path = (v) => new URL(v.page.url()).pathname;

async function upload(v, file, name = '', timeout = 60_000) {
  await v.page.goto(`${batches}/new`);
  if (name) await v.page.locator('#name').fill(name);
  await v.page.locator('#file').setInputFiles(file);
  await submit(v).click({ timeout });
}

// opened waits for a batch's page behind an upload.
async function opened(v) {
  await v.page.waitForURL((u) => /\/portal\/batches\/ba_/.test(u.pathname));
}

async function newcomer() {
  const v = await visit({ lang: 'ms' });
  await login(v);
  await v.page.getByRole('link', { name: 'Sijil pukal' }).first().click();
  await v.page.getByRole('link', { name: 'Kelompok baharu' }).click();
  await v.page.locator('#name').fill('SKM Julai 2026');
  await v.page.locator('#file').setInputFiles(given.hundred);
  await submit(v).click();
  await v.page.locator('figure.sheet img').waitFor();
  await v.page.getByRole('link', { name: 'Terakhir' }).click();
  await v.page.getByText('100 daripada 100').waitFor();
  const since = await mark(officer);
  await seal(v).click();
  await sign(v, since);
  await signed(v, 100);
  const [zip] = await Promise.all([v.page.waitForEvent('download'), v.page.getByRole('link', { name: /Muat turun ZIP/ }).click()]);
  await zip.saveAs(`${given.dir}/newcomer.zip`);
  result('newcomer', { ...v.count, seconds: Math.round(10 * v.seconds()) / 10 });
  await v.end();
}


// pages goes through all states of batches, with a picture of each.
async function pages(v) {
  const at = `${v.lang}-${v.size}`;
  await login(v, batches);
  await v.page.locator('h1').waitFor();
  await scan(v, 'batch-list-first');
  await step('new', async () => {
    await v.page.goto(`${batches}/new`);
    await v.page.locator('summary', { hasText: v.t('Lajur yang', 'Columns that') }).click();
    await scan(v, 'batch-new');
    v.expect(422, batches);
    await v.page.locator('#name').fill('Nama yang kekal');
    await submit(v).click();
    await v.page.locator('#ralat').waitFor();
    if (await v.page.locator('#name').inputValue() !== 'Nama yang kekal') problem('the name was lost');
    await scan(v, 'batch-new-wrong');
  });
  await step('refused rows', async () => {
    await upload(v, given[`wrong-${at}`], `SKM ${at}`);
    await opened(v);
    await v.page.locator('figure.sheet img').waitFor();
    await scan(v, 'batch-open-refused');
    v.expect(409, /\/sign$/);
    await seal(v).click();
    await v.page.locator('#ralat').waitFor();
    await scan(v, 'batch-open-tick');
    const first = path(v);
    await v.page.locator('#file').setInputFiles(given[`mended-${at}`]);
    await submit(v).click();
    await heading(v, v.t('12 diterima, tiada', '12 accepted, none')).waitFor();
    if (path(v) === first) problem('the list was not replaced');
    await scan(v, 'batch-open');
    await v.page.locator('#cari').fill('contoh 00007');
    await v.page.locator('form.find button').click();
    await v.page.getByText(v.t('7 daripada 12', '7 of 12')).waitFor();
    await v.page.locator('#cari').fill('12');
    await v.page.locator('form.find button').click();
    await v.page.getByText(v.t('12 daripada 12', '12 of 12')).waitFor();
    await v.page.locator('#cari').fill('tiada orang ini');
    await v.page.locator('form.find button').click();
    await v.page.getByText(v.t('Tiada yang sepadan', 'Nothing matches')).waitFor();
    await scan(v, 'batch-find-none');
  });
  await step('sealed', async () => {
    const since = await mark(officer);
    await seal(v).click();
    await v.page.waitForURL('**/sign/**');
    await v.page.goto(batches);
    await v.page.getByRole('link', { name: `SKM ${at}`, exact: true }).first().click();
    await v.page.getByText(v.t('Halaman tandatangan sudah dibuka', 'The signing page is open already')).waitFor();
    await scan(v, 'batch-sealed');
    const again = await mark(officer);
    await signer(v).click();
    await sign(v, Math.max(since, again));
    await signed(v, 12);
    await scan(v, 'batch-signed');
    await v.page.getByRole('link', { name: v.t('Senarai dokumen', 'List of documents') }).click();
    await scan(v, 'batch-items');
    await v.page.locator('#cari').fill('00011');
    await v.page.locator('form.find button').click();
    if (await v.page.locator('tbody tr').count() !== 1) problem('a name that one has was found otherwise');
    const [pdf] = await Promise.all([v.page.waitForEvent('download'), v.page.locator('a[href$="/fail"]').click()]);
    if (!(await pdf.suggestedFilename()).endsWith('.pdf')) problem(`a certificate is called ${pdf.suggestedFilename()}`);
    await v.page.locator('#state').selectOption('refused');
    await v.page.locator('form.find button').click();
    await v.page.getByText(v.t('Tiada dokumen yang', 'No document matches')).waitFor();
    await scan(v, 'batch-items-none');
  });
  await step('cancelled', async () => {
    await upload(v, given[`drop-${at}`], `Batal ${at}`);
    await opened(v);
    await v.page.locator('summary', { hasText: v.t('Batalkan kelompok ini', 'Cancel this batch') }).click();
    await shot(v, 'batch-cancelling');
    await v.page.getByRole('button', { name: v.t('Batalkan kelompok', 'Cancel the batch') }).click();
    await heading(v, v.t('Dibatalkan', 'Cancelled')).waitFor();
    await scan(v, 'batch-cancelled');
  });
  await v.page.goto(batches);
  await scan(v, 'batch-list');
}

// slow is a batch that takes long enough to be watched, paused and stopped.
async function slow() {
  const v = await visit({ lang: 'ms', size: 'phone' });
  await login(v, batches);
  await upload(v, given.many, 'Beribu-ribu', 180_000);
  await v.page.waitForURL((u) => /\/portal\/batches\/ba_/.test(u.pathname), { timeout: 120_000 });
  const since = await mark(officer);
  const at = path(v);
  await seal(v).click();
  await sign(v, since, at);
  const done = () => v.page.locator('#siap').evaluate((p) => p.value);
  await step('progress', async () => {
    await v.page.locator('#siap').waitFor();
    const first = await done();
    await v.page.waitForFunction((n) => document.querySelector('#siap')?.value > n, first);
    await shot(v, 'batch-signing');
  });
  await step('paused', async () => {
    await v.page.getByRole('button', { name: 'Jeda' }).click();
    await v.page.getByRole('button', { name: 'Sambung' }).waitFor();
    await scan(v, 'batch-paused');
    const other = await v.context.newPage();
    await other.goto(path(v));
    await other.getByRole('button', { name: 'Sambung' }).click();
    await other.getByRole('button', { name: 'Jeda' }).waitFor();
    await v.page.getByRole('button', { name: 'Jeda' }).waitFor(); // this window heard of it
    await other.close();
  });
  await step('stopped', async () => {
    await v.page.getByRole('button', { name: 'Hentikan' }).click();
    await heading(v, 'Penandatanganan terhenti').waitFor();
    await scan(v, 'batch-stopped');
    const again = await mark(officer);
    await v.page.getByRole('button', { name: /yang selebihnya/ }).click();
    await sign(v, again, at);
    await signed(v, given.rows.toLocaleString('en'));
    await shot(v, 'batch-many');
    result('many', { rows: given.rows, seconds: Math.round(v.seconds()) });
  });
  await v.end();
}

// twoWindows: both seal at once; going back shows how things are.
async function twoWindows() {
  const v = await visit({ lang: 'en' });
  await login(v, batches);
  await upload(v, given.other, 'Two windows');
  await opened(v);
  const at = path(v);
  const one = v.page;
  const two = await v.context.newPage();
  await two.goto(at);
  v.expect(409, `${at}/sign`);
  const press = (p) => p.getByRole('button', { name: /^Seal and sign/ }).click();
  await Promise.all([press(one), press(two)]);
  // By what is shown: the page of a refusal takes the batch's address as soon as its script has run.
  await Promise.all([one, two].map((p) => p.getByText('The signing page is open already').or(p.getByRole('heading', { level: 1, name: 'Digital signature' })).first().waitFor()));
  const signing = [one, two].filter((p) => new URL(p.url()).pathname.startsWith('/sign/'));
  if (signing.length !== 1) problem(`${signing.length} windows came to a signing page`);
  const [behind] = [one, two].filter((p) => p !== signing[0]);
  await behind.getByText('The signing page is open already').waitFor();
  await shot({ ...v, page: behind }, 'batch-second-window');
  await signing[0].goBack();
  await signing[0].getByText('4 documents are sealed').waitFor();
  await signing[0].close();
  v.page = behind;
  const since = await mark(officer);
  await behind.getByRole('button', { name: /^Sign 4/ }).click();
  await sign(v, since);
  await signed(v, 4);
  await v.page.goBack();
  await v.page.goto(at);
  await signed(v, 4);
  await v.end();
}

// wrong files leave nothing behind.
async function wrong() {
  const v = await visit({ lang: 'ms' });
  await login(v, batches);
  const names = async () => {
    await v.page.goto(batches);
    return (await v.page.locator('tbody td:first-child a').allTextContents()).sort().join('|');
  };
  const before = await names();
  for (const status of [400, 413, 422]) v.expect(status, batches);
  for (const [name, file] of Object.entries(given.broken)) {
    await step(name, async () => {
      await upload(v, file, `Salah ${name}`);
      await v.page.locator('#ralat').waitFor();
      const said = (await v.page.locator('#ralat li').innerText()).trim();
      if (!await v.page.locator('#ralat a[href="#file"]').count()) problem(`${name} is not said of the file: ${said}`);
      if (said.length < 10 || /undefined|batch\./.test(said)) problem(`${name}: ${said}`);
      if (await v.page.locator('#name').inputValue() !== `Salah ${name}`) problem('the name was lost');
      result(`said-${name}`, said);
    });
  }
  await shot(v, 'batch-file-wrong');
  await step('the name', async () => {
    await upload(v, given.more, 'Salah ‮nama');
    await v.page.locator('#ralat a[href="#name"]').waitFor();
  });
  await step('broken off', async () => {
    await v.page.goto(`${batches}/new`);
    const form = await v.page.locator('form[enctype] input[name=form]').inputValue();
    const cookie = (await v.context.cookies()).map((c) => `${c.name}=${c.value}`).join('; ');
    const boundary = 'mohor-journey';
    const part = (name, more, body) => `--${boundary}\r\nContent-Disposition: form-data; name="${name}"${more}\r\n\r\n${body}`;
    const head = part('form', '', `${form}\r\n`) + part('kind', '', 'ecert\r\n') + part('name', '', 'Terputus\r\n') + part('file', '; filename="x.csv"\r\nContent-Type: text/csv', readFileSync(given.few, 'utf8').slice(0, 300));
    let go;
    const rest = new Promise((f) => { go = f; });
    const cut = new AbortController();
    const body = new ReadableStream({ async start(c) { c.enqueue(new TextEncoder().encode(head)); await rest; c.error(new Error('cut')); } });
    const sent = fetch(config.base + batches, { method: 'POST', body, duplex: 'half', signal: cut.signal, headers: { Cookie: cookie, 'Content-Type': `multipart/form-data; boundary=${boundary}`, 'Sec-Fetch-Site': 'same-origin' } }).catch(() => null);
    for (let k = 0; !(await names()).includes('Terputus'); k++) if (k > 200) throw new Error('the upload did not begin');
    cut.abort();
    go();
    if (await sent) problem('the upload was answered');
    for (let k = 0; (await names()).includes('Terputus'); k++) if (k > 200) throw new Error('half an upload stays');
  });
  if (await names() !== before) problem(`left behind: ${await names()}; before: ${before}`);
  await step('twice', async () => {
    await upload(v, given.more, 'Sekali');
    await opened(v);
    const first = path(v);
    await upload(v, given.more, 'Dua kali');
    await opened(v);
    await v.page.getByText('Tiada baris yang diterima').waitFor();
    if (await seal(v).count()) problem('what is empty can be sealed');
    await scan(v, 'batch-none');
    await v.page.goto(first);
    await v.page.locator('summary', { hasText: 'Tambah atau ganti' }).click();
    await v.page.locator('#file').setInputFiles(given.more);
    await submit(v).click();
    await v.page.getByText('2 diterima, 2 baris ditolak').waitFor();
    await v.page.locator('#how-1').check();
    await v.page.locator('#file').setInputFiles(given.broken['program.csv']);
    v.expect(422, `${first}/list`);
    await submit(v).click();
    await v.page.locator('#ralat a[href="#file"]').waitFor();
    await v.page.locator('#how-0').check();
    await v.page.locator('#file').setInputFiles(given.broken['program.csv']);
    await submit(v).click();
    await v.page.getByRole('heading', { name: 'Kelompok baharu' }).waitFor();
    await shot(v, 'batch-replace-wrong');
  });
  await v.end();
}

// inert: whatever a list holds, no page of ours does anything with it.
async function inert() {
  const v = await visit({ lang: 'ms' });
  v.page.on('dialog', (d) => { problem(`a dialog: ${d.message()}`); d.dismiss(); });
  await login(v, batches);
  const check = async (what, ours = 'p[hidden=no]') => {
    const found = await v.page.evaluate((ours) => {
      const main = document.querySelector('main');
      const bad = [...main.querySelectorAll('script, iframe, object, embed, math, style, link, base, meta, template, body, textarea, svg:not(.mark), img:not([src^="/portal/batches/"]), [hx-get], [hx-post], form:not([action^="/portal/batches"])')].filter((e) => !e.matches(ours) || e.matches('svg') && e.textContent).map((e) => e.outerHTML.slice(0, 120));
      for (const e of document.querySelectorAll('*')) for (const a of e.attributes) if (/^on|^hx-on/.test(a.name) || /^\s*(javascript|data):/i.test(a.value) && a.name === 'href') bad.push(`${a.name}=${a.value}`);
      if (document.querySelectorAll('h1').length !== 1) bad.push('another heading');
      if (/[\u0000\u202a-\u202e\u2066-\u2069]/.test(document.documentElement.textContent)) bad.push('a character that turns text round');
      return { bad, ran: window.__x };
    }, ours);
    if (found.ran !== undefined) problem(`${what}: a script ran`);
    for (const b of found.bad) problem(`${what}: ${b}`);
  };
  let signedOne = false;
  for (const file of given.hostile) {
    await step(basename(file), async () => {
      v.expect(422, batches);
      await upload(v, file, basename(file));
      await v.page.waitForURL((u) => /\/portal\/batches(\/ba_.*)?$/.test(u.pathname) && !u.pathname.endsWith('/new'));
      await check('the batch');
      if (await v.page.locator('#ralat').count()) {
        problem(`refused whole: ${await v.page.locator('#ralat').innerText()}`);
        return;
      }
      const taken = await v.page.locator('figure.sheet img').count();
      result(`rows-${basename(file)}`, { refused: await v.page.locator('.tall tbody tr').count(), taken: taken ? await v.page.locator('.leaf [aria-current]').innerText() : '0' });
      if (!signedOne) {
        await shot(v, 'batch-hostile');
        await noOverflowOn(v);
      }
      const at = path(v);
      await v.page.goto(`${at}/items`);
      await check('the items');
      await v.page.goto(`${at}?cari=${encodeURIComponent('"><script>window.__x=1</script>')}`);
      await check('a search');
      if (!taken || signedOne) return;
      signedOne = true;
      await v.page.locator('#accept').check();
      const since = await mark(officer);
      await seal(v).click();
      await v.page.waitForURL('**/sign/**');
      await check('the signing page', '[action^="/sign/"], svg[focusable=false]');
      await sign(v, since);
      await v.page.getByText(/telah ditandatangani/).first().waitFor();
      await check('the signed batch');
      await v.page.goto(`${at}/items`);
      await check('the signed items');
      await shot(v, 'batch-hostile-items');
    });
  }
  await v.page.goto(batches);
  await check('the list');
  await v.end();
}

async function noOverflowOn(v) {
  await v.page.setViewportSize({ width: 360, height: 780 });
  await scan(v, 'batch-hostile-narrow');
  await v.page.setViewportSize({ width: 1280, height: 800 });
}

// pdfs: a ZIP of letters, of which one cannot be signed as was asked, and is tried again.
async function pdfs() {
  const v = await visit({ lang: 'en' });
  await login(v, batches);
  await v.page.goto(`${batches}/new`);
  await v.page.locator('#kind-1').check();
  await v.page.locator('#file').setInputFiles(given.pdfs);
  await submit(v).click();
  await v.page.getByText('2 accepted, rows refused: 1').waitFor();
  await scan(v, 'batch-pdfs');
  const id = path(v).split('/').pop();
  const since = await mark(officer);
  // A seal that can be seen on page 2, which one letter does not have: no button of ours asks for it.
  const url = await v.page.evaluate(async ({ id, system, back }) => {
    const post = (at, body) => fetch(at, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }).then((r) => r.json());
    await post(`/v1/batches/${id}/seal`, { accept_refused: true });
    const visible = { page: 2, x: 50, y: 50, width: 200, height: 50 };
    return (await post('/v1/transactions', { system, format: 'PADES', batch_id: id, redirect_uri: back, state: `batch:${id}`, pades: { visible } })).signing_url;
  }, { id, system: config.dev.system, back: `${config.base}/portal/return` });
  await v.page.goto(url);
  await v.page.locator('main form button[type=submit]').first().click();
  await sign(v, since);
  await v.page.getByText('1 signed, 1 refused').waitFor();
  await scan(v, 'batch-refusals');
  await v.page.getByRole('button', { name: 'Try again: surat-2.pdf' }).click();
  await v.page.getByText('Signing has stopped').waitFor();
  const again = await mark(officer);
  await v.page.getByRole('button', { name: 'Sign the remaining 1' }).click();
  await sign(v, again);
  await signed(v, 2);
  await v.end();
}

// plain: the same way without a script.
async function plain() {
  const v = await visit({ lang: 'ms', size: 'phone', noJS: true });
  await login(v, batches);
  await upload(v, given.few, 'Tanpa skrip');
  await opened(v);
  await v.page.getByRole('link', { name: 'Selepas' }).click();
  await v.page.getByText('2 daripada 4').waitFor();
  const since = await mark(officer);
  await seal(v).click();
  await sign(v, since);
  await signed(v, 4);
  await shot(v, 'batch-signed');
  await v.end();
}

const only = given.only ?? [];
await journey(async () => {
  for (const [name, f] of Object.entries({ newcomer, plain, twoWindows, wrong, pdfs, inert, slow })) if (!only.length || only.includes(name)) await step(name, f);
  if (!only.length || only.includes('pages')) await step('pages', () => everywhere({}, pages));
});
