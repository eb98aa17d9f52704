// A system's officer signs on the gateway's page.
import { advance, api, axe, code, config, everywhere, journey, mark, noOverflow, problem, result, scan, shot, step, tabOrder, visit } from './lib.mjs';

const { key, back, pdfs } = config.given;
const officer = config.dev.officers[0];
const hash = (name) => ({ name, digest: { alg: 'SHA-256', value: 'LUsq9prqLRm6heerwwCFRQisYDQzAgKukkb8egTE15w=' } });

// ask has the system ask for a signature: { url, code }.
async function ask(rest, who = officer) {
  await advance(61); // nobody asks as fast as this
  const since = await mark(who.ic);
  const r = await api('POST', '/v1/transactions', { ic: who.ic, system: config.dev.system, redirect_uri: `${back}/kembali`, state: 'asal', ...rest }, { 'X-API-Key': key });
  if (r.status !== 201) throw new Error(r.raw);
  return { url: r.body.signing_url, path: new URL(r.body.signing_url).pathname, fingerprint: r.body.fingerprint, code: await code(who.ic, since) };
}
const raw = (...names) => ({ format: 'RAW', documents: names.map(hash) });
const pades = (...ids) => ({ format: 'PADES', documents: ids.map((id) => ({ document_id: id })) });
const wrong = (c) => String((Number(c[0]) + 1) % 10) + c.slice(1);

// look is a scan; axe itself cannot run without scripts.
const look = async (v, name) => (v.noJS ? (await noOverflow(v), await shot(v, name)) : scan(v, name));

async function open(v, tx) {
  await v.page.goto(tx.url);
  await v.page.getByRole('button', { name: v.t('Buka halaman tandatangan', 'Open the signing page') }).click();
  await v.page.locator('h1').first().waitFor();
  if (tx.fingerprint) await v.page.getByText(tx.fingerprint, { exact: true }).waitFor();
}
async function confirm(v, tx, { pin = officer.pin, otp = tx.code } = {}) {
  await v.page.fill('#pin', pin);
  await v.page.fill('#otp', otp);
  await v.page.getByRole('button', { name: v.t('Tandatangan', 'Confirm Signature'), exact: true }).click();
}
const verdict = (v, ms, en) => v.page.getByRole('heading', { level: 1, name: v.t(ms, en), exact: true }).waitFor();

async function aHash(v) {
  const header = `110FGOM07022411247A29911.35${officer.ic}`;
  const tx = await ask({ ...raw('Baucar Bayaran 2026/04/001'), data_header: header, classification: 'terhad', total: { amount: '29911.35', currency: 'MYR' } });
  const before = { ...v.count };
  await open(v, tx);
  await v.page.getByText(header).waitFor();
  await confirm(v, tx);
  await verdict(v, 'TELAH DITANDATANGANI', 'SIGNED');
  await look(v, 'sign-signed');
  await v.page.getByRole('link', { name: v.t('Kembali ke', 'Back to') }).click();
  await v.page.getByRole('heading', { name: 'iGFMAS' }).waitFor();
  const at = new URL(v.page.url());
  if (at.searchParams.get('state') !== 'asal' || at.searchParams.get('status') !== 'SIGNED') problem(`back at ${at.search}`);
  result(`hash-${v.lang}-${v.size}`, { clicks: v.count.clicks - before.clicks, typed: v.count.typed - before.typed });
}

async function mistakes(v) {
  const tx = await ask(raw('Baucar Bayaran 2026/04/002'));
  await v.page.goto(tx.url);
  await look(v, 'sign-gate');
  await open(v, tx);
  await look(v, 'sign-hash');
  if (!v.noJS && v.size === 'desktop') {
    const order = await tabOrder(v);
    for (const at of order) if (!at.seen && at.id !== 'otp') // whose boxes show it
      problem(`nothing shows that the focus is at ${at.tag} ${at.name}`);
    const names = order.map((at) => at.id || at.name);
    if (names.indexOf('pin') > names.indexOf('otp')) problem(`the keyboard goes ${names}`);
  }
  for (const status of [400, 403]) v.expect(status, `${tx.path}/confirm`);
  const error = v.page.getByRole('alert');
  await confirm(v, tx, { pin: '', otp: '' });
  await error.getByText(v.t('Masukkan PIN sijil anda.', 'Enter the PIN of your certificate.')).waitFor();
  await shot(v, 'sign-empty');
  await confirm(v, tx, { otp: wrong(tx.code) });
  await error.getByText(v.t('Baki cubaan: 2', '2 tries left')).waitFor();
  await look(v, 'sign-wrong-code');
  await confirm(v, tx, { pin: 'bukan-pin-ini' });
  await error.getByText(v.t('PIN salah', 'The PIN is wrong')).waitFor();
  await look(v, 'sign-wrong-pin');
  // The other language, in the middle of it all.
  await v.page.getByRole('link', { name: v.t('English', 'Bahasa Melayu') }).click();
  await v.page.getByText(v.t('Transaction number', 'No. transaksi')).waitFor();
  await v.page.getByRole('link', { name: v.t('Bahasa Melayu', 'English') }).click();
  await v.page.getByText(v.t('No. transaksi', 'Transaction number')).waitFor();
  await advance(301);
  await v.page.reload();
  await v.page.getByText(v.t('Kod itu tidak boleh digunakan lagi', 'That code cannot be used any more')).waitFor();
  await look(v, 'sign-code-dead');
  const since = await mark(officer.ic);
  await v.page.getByRole('button', { name: v.t('Hantar kod baharu', 'Send a new code') }).click();
  await v.page.getByText(v.t('Kod sah sehingga', 'The code is valid until')).waitFor();
  await shot(v, 'sign-resent');
  if (!v.noJS && !await v.page.locator('#code').isDisabled()) problem('another code can be asked for at once');
  await confirm(v, tx, { otp: await code(officer.ic, since) });
  await verdict(v, 'TELAH DITANDATANGANI', 'SIGNED');
}

async function aPDF(v) {
  const tx = await ask(pades(pdfs[0]));
  await open(v, tx);
  const at = (name) => v.page.locator(`[data-preview-${name}]`);
  await v.page.getByRole('button', { name: v.t('Lihat di sini', 'View it here') }).click();
  await at('short').getByText('1 / 3').waitFor();
  await scan(v, 'sign-preview');
  await at('next').click();
  await at('short').getByText('2 / 3').waitFor();
  if (!(await at('text').textContent()).includes('Lampiran A')) problem('the text of the sheet is not there');
  const width = () => v.page.locator('[data-preview-sheet] canvas').evaluate((c) => c.clientWidth);
  const was = await width();
  await at('in').click();
  await v.page.waitForFunction((w) => document.querySelector('[data-preview-sheet] canvas').clientWidth > w, was);
  await noOverflow(v);
  await at('close').click();
  await v.page.getByRole('button', { name: v.t('Lihat di sini', 'View it here') }).waitFor();
  // What cannot be shown says so.
  v.expect(503, `${tx.path}/documents/0`);
  await v.page.route('**/documents/0', (r) => r.fulfill({ status: 503, body: '' }));
  await v.page.getByRole('button', { name: v.t('Lihat di sini', 'View it here') }).click();
  await v.page.locator('.preview').getByRole('alert').getByText(v.t('tidak dapat diambil', 'cannot be fetched')).waitFor();
  await shot(v, 'sign-preview-failed');
  await v.page.unroute('**/documents/0');
  await v.page.getByRole('button', { name: v.t('Bukan saya / Batal', 'Not me / Cancel') }).click();
  await verdict(v, 'DIBATALKAN', 'CANCELLED');
  await scan(v, 'sign-cancelled');
}

async function lists(v) {
  let tx = await ask(pades(...pdfs));
  await open(v, tx);
  await v.page.getByRole('button', { name: v.t('Lihat di sini', 'View it here') }).nth(1).click();
  await v.page.locator('[data-preview-short]').getByText('1 / 3').waitFor();
  await scan(v, 'sign-list-preview');
  await v.page.getByRole('button', { name: v.t('Tutup pratonton', 'Close the preview') }).click();
  if (await v.page.locator('#pratonton').isVisible()) problem('the preview stays');

  tx = await ask(raw(...Array.from({ length: 60 }, (_, k) => `Baucar Bayaran 2026/04/${String(k + 1).padStart(3, '0')}`)));
  await open(v, tx);
  await scan(v, 'sign-list');
  await v.page.getByRole('link', { name: v.t('Dokumen seterusnya', 'Next documents') }).click();
  await v.page.getByText(v.t('No. 51 – 60; semuanya 60 dokumen.', 'No. 51 – 60, of 60 documents in all.')).waitFor();
  await shot(v, 'sign-list-2');
  await advance(31 * 60);
  await v.page.reload();
  await verdict(v, 'TAMAT TEMPOH', 'EXPIRED');
  await scan(v, 'sign-expired');
}

// A batch is followed until it is signed.
async function aBatch(v, documents) {
  const headers = { 'X-API-Key': key };
  const b = await api('POST', '/v1/batches', { name: 'Pukal April', kind: 'digest' }, headers);
  const lines = Array.from({ length: documents }, (_, k) => JSON.stringify(hash(`baucar-${k}`))).join('\n');
  const r = await fetch(`${config.base}/v1/batches/${b.body.batch_id}/items`, { method: 'POST', headers: { ...headers, 'Content-Type': 'application/x-ndjson' }, body: lines });
  if (!r.ok) throw new Error(await r.text());
  await api('POST', `/v1/batches/${b.body.batch_id}/seal`, {}, headers);
  const tx = await ask({ format: 'RAW', batch_id: b.body.batch_id });
  await open(v, tx);
  await confirm(v, tx);
  await v.page.getByRole('heading', { name: v.t('TELAH DITANDATANGANI', 'SIGNED'), exact: true }).waitFor({ timeout: 120_000 });
  await v.page.getByText(v.t('MAKLUMAT TANDATANGAN (SIGNATURE INFORMATION)', 'SIGNATURE INFORMATION')).waitFor();
}

// Five wrong PINs lock it for some time; ten since the last right one, for good.
async function locked(v, forGood) {
  const who = config.dev.officers[1];
  let tx;
  for (let k = 0; k < 5; k++) {
    if (k % 3 === 0) { // a code has three tries, whatever is wrong
      tx = await ask(raw('satu'), who);
      await open(v, tx);
      v.expect(403, `${tx.path}/confirm`);
    }
    const answered = v.page.waitForResponse((r) => r.url().endsWith('/confirm'));
    await confirm(v, tx, { pin: `bukan-pin-ini-${k}` });
    await answered;
    await v.page.locator('#ralat').waitFor();
  }
  if (forGood) {
    await verdict(v, 'PIN DISEKAT', 'THE PIN IS BLOCKED');
    await scan(v, 'sign-blocked');
    await v.page.getByRole('link', { name: v.t('Lupa PIN', 'Forgotten PIN') }).waitFor();
    return;
  }
  await verdict(v, 'PIN DIKUNCI', 'THE PIN IS LOCKED');
  await scan(v, 'sign-locked');
  await advance(60 * 60);
}

async function strangers(v) {
  const tx = await ask(raw('satu'));
  const other = await visit({ lang: v.lang, size: v.size });
  await open(other, tx);
  await other.end();
  v.expect(409, tx.path);
  await v.page.goto(tx.url);
  await verdict(v, 'HALAMAN INI TELAH DIBUKA DI PELAYAR LAIN', 'THIS PAGE WAS OPENED IN ANOTHER BROWSER');
  await scan(v, 'sign-elsewhere');
  v.expect(404, '/sign/AAECAwQFBgcICQoLDA0ODw');
  await v.page.goto('/sign/AAECAwQFBgcICQoLDA0ODw');
  await verdict(v, 'HALAMAN INI TIDAK BOLEH DIGUNAKAN', 'THIS PAGE CANNOT BE USED');
  await scan(v, 'sign-unknown');
}

await journey(async () => {
  await everywhere({}, async (v) => {
    v.expect('away', back); // the system's own page
    const all = (v.lang === 'ms') === (v.size === 'phone');
    await step('a hash', () => aHash(v));
    await step('a PDF', () => aPDF(v));
    await step('lists', () => lists(v));
    await step('mistakes', () => mistakes(v));
    await step('a batch', () => aBatch(v, 400));
    if (all) {
      await step('locked', () => locked(v, v.lang === 'en'));
      await step('strangers', () => strangers(v));
    }
  });
  await step('without scripts', async () => {
    const v = await visit({ lang: 'ms', size: 'phone', noJS: true, expect: [['away', back]] });
    await step('a hash', () => aHash(v));
    await step('mistakes', () => mistakes(v));
    await step('a PDF', async () => {
      const tx = await ask(pades(pdfs[0]));
      await open(v, tx);
      const link = v.page.getByRole('link', { name: 'Buka PDF dalam tab baharu' });
      await link.waitFor();
      if (await v.page.getByRole('button', { name: 'Lihat di sini' }).isVisible()) problem('a button that does nothing');
      const r = await v.context.request.get(await link.getAttribute('href'));
      if (!(await r.body()).toString('latin1').startsWith('%PDF-')) problem(`the PDF: ${r.status()}`);
      await look(v, 'sign-preview');
    });
    await step('a batch', () => aBatch(v, 400));
    await v.end();
  });
  await step('in the dark', async () => {
    const v = await visit({ lang: 'en', size: 'desktop', context: { colorScheme: 'dark' } });
    const tx = await ask(pades(pdfs[1]));
    await open(v, tx);
    await axe(v);
    await shot(v, 'sign-dark');
    v.expect(403, `${tx.path}/confirm`);
    await confirm(v, tx, { pin: 'bukan-pin-ini' });
    await v.page.locator('#ralat').waitFor();
    await axe(v);
    await confirm(v, tx);
    await verdict(v, 'TELAH DITANDATANGANI', 'SIGNED');
    await axe(v);
    await shot(v, 'sign-dark-signed');
    await v.end();
  });
});
