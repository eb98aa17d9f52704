// From the mail with a link to an issued certificate: returned and mended, withdrawn, rejected; wrong codes, pictures
// that are none, links that are too old; the status for anybody; "this was not me".
import { act, advance, api, code, config, everywhere, journey, link, mail, mark, note, problem, result, scan, shot, step, tabOrder, visit } from './lib.mjs';

const password = 'payung biru di stesen';
const pin = 'Rusa-Sambar-7';
const file = (name, of, mimeType = 'image/jpeg') => ({ name, mimeType, buffer: Buffer.from(of, 'base64') });
const card = file('mykad.jpg', config.given.card);
const large = file('IMG_2041.jpg', config.given.large);
const text = file('mykad.jpg', Buffer.from('ini bukan gambar').toString('base64'));
const verification = (m) => /(?:[0-9A-Z]{4}-){3}[0-9A-Z]{4}/.exec(m.text)?.[0];
let issued = 0;

const heading = (v) => v.page.getByRole('heading', { level: 1 }).textContent();
const is = async (v, ms, en) => {
  const h = await heading(v);
  if (!h.includes(v.t(ms, en))) problem(`the heading is "${h}", not "${v.t(ms, en)}"`);
};
const press = (v, ms, en) => v.page.getByRole('button', { name: v.t(ms, en) }).click();

// confirm opens the link of a mail and presses the button; it gives the verification code.
async function confirm(v, who, seen) {
  const to = await link(who, /http\S+\/e\/[\w-]{22}/, 0);
  await v.page.goto(to);
  await seen?.('join-confirm');
  const before = await mark(who);
  await press(v, 'Sahkan e-mel ini', 'Confirm this address');
  await is(v, 'E-mel anda telah disahkan', 'Your address is confirmed');
  await seen?.('join-confirmed');
  await act('post');
  return mail(who, verification, before);
}

async function enter(v, who) {
  await v.page.locator('#ic').fill(who.ic);
  await v.page.locator('#password').fill(password);
  const before = await mark(who);
  await press(v, 'Teruskan', 'Continue');
  await v.page.locator('#code').fill(await code(who, before));
  await press(v, 'Log masuk', 'Log in');
}

async function open(v, who, given) {
  await v.page.getByRole('link', { name: v.t('Masukkan kod pengesahan', 'Enter the verification code') }).click();
  await v.page.locator('#code').fill(given.toLowerCase());
  await v.page.locator('#password').fill(password);
  await press(v, 'Simpan dan teruskan', 'Save and go on');
  await enter(v, who);
  await is(v, 'Permohonan sijil digital', 'Application for a certificate');
}

async function fill(v, { mykad = card, rest = true } = {}) {
  const p = v.page;
  if (rest) {
    await p.locator('#address').fill('Aras 1, Kompleks Kementerian Kewangan\nPresint 2');
    await p.locator('#postcode').fill('62594');
    await p.locator('#state').selectOption('W.P. Putrajaya');
    await p.locator('#phone').fill('03-8882 1000');
    await p.locator('#mobile').fill('012-345 6789');
    await p.getByRole('radio', { name: v.t('Wau bulan', 'Moon kite') }).check();
    await p.locator('#declaration').check();
  }
  await p.locator('#pin').fill(pin);
  await p.locator('#pin_again').fill(pin);
  if (mykad) await p.locator('#mykad').setInputFiles(mykad);
}
const send = (v) => press(v, 'Hantar permohonan', 'Send the application');

// The whole way, in each language and size.
async function whole(v) {
  const seen = v.noJS ? undefined : (name) => scan(v, name);
  const p = v.page;
  const who = await act('newcomer');
  const given = await confirm(v, who, seen);
  await step('wrong code', async () => {
    await p.goto('/join');
    await seen?.('join-code');
    v.expect(410, '/join');
    await p.locator('#code').fill('7QK2-M9XD-41RT-8WZB');
    await p.locator('#password').fill(password);
    await press(v, 'Simpan dan teruskan', 'Save and go on');
    await p.locator('#code-error').waitFor();
    if (await p.locator('#password').inputValue() || await p.locator('#code').inputValue()) problem('a secret is in the page again');
    await seen?.('join-code-wrong');
    v.expect(400, '/join');
    await p.locator('#code').fill(given);
    await p.locator('#password').fill(who.ic + 'x');
    await press(v, 'Simpan dan teruskan', 'Save and go on');
    await p.locator('#password-error').waitFor();
    await p.locator('#code').fill(given);
    await p.locator('#password').fill(password);
    await press(v, 'Simpan dan teruskan', 'Save and go on');
    await enter(v, who);
    await is(v, 'Permohonan sijil digital', 'Application for a certificate');
    await seen?.('join-apply');
  });
  await step('form with faults', async () => {
    v.expect(422, '/portal/application');
    await fill(v);
    if (!v.noJS) {
      await p.locator('.photo-preview img').waitFor();
      await seen?.('join-apply-filled');
    }
    await p.locator('#postcode').fill('6259');
    await p.locator('#pin_again').fill('Rusa-Sambar-8');
    await send(v);
    for (const field of ['postcode', 'pin_again', 'mykad']) await p.locator(`#${field}-error`).waitFor();
    if (await p.locator('#address').inputValue() !== 'Aras 1, Kompleks Kementerian Kewangan\nPresint 2') problem('the address is lost');
    if (!await p.getByRole('radio', { name: v.t('Wau bulan', 'Moon kite') }).isChecked() || !await p.locator('#declaration').isChecked() || await p.locator('#state').inputValue() !== 'W.P. Putrajaya') problem('a choice is lost');
    for (const field of ['pin', 'pin_again']) if (await p.locator(`#${field}`).inputValue()) problem('the PIN is in the page again');
    await seen?.('join-apply-faults');
  });
  await step('pictures', async () => {
    await p.locator('#postcode').fill('62594');
    await fill(v, { rest: false, mykad: text });
    if (v.noJS) {
      await send(v);
    } else {
      await p.locator('.photo-preview .error').waitFor();
      if (await p.locator('#mykad').evaluate((e) => e.files.length)) problem('what is no picture stays chosen');
      await seen?.('join-apply-no-picture');
    }
    await fill(v, { rest: false, mykad: large });
    if (v.noJS) {
      await send(v);
      await p.locator('#mykad-error').waitFor();
      await shot(v, 'join-apply-too-large');
      await fill(v, { rest: false });
    } else {
      await p.locator('.photo-preview img:visible').waitFor();
      const size = await p.locator('#mykad').evaluate((e) => e.files[0].size);
      if (size > 2 * 1024 * 1024) problem(`the picture still has ${size} bytes`);
      await seen?.('join-apply-made-smaller');
    }
    await send(v);
    await is(v, 'Permohonan saya', 'My applications');
    await p.getByText(v.t('Menunggu agensi', 'Waits for your agency')).first().waitFor();
    await seen?.('join-applied');
  });
  if (!v.noJS) {
    await step('returned', async () => {
      await act('decide', { ic: who.ic, step: 'return', reason: v.t('Salinan MyKad kabur; ambil gambar semula.', 'The copy of the MyKad is blurred; take it again.') });
      const next = await mail(who, verification);
      await p.goto('/portal/application');
      await p.locator('#code').waitFor();
      if (await p.locator('#phone').inputValue() !== '03-8882 1000' || !await p.getByRole('radio', { name: v.t('Wau bulan', 'Moon kite') }).isChecked()) problem('what was given is lost');
      await seen?.('join-returned');
      v.expect(410, '/portal/application');
      await p.locator('#code').fill(given); // the old one
      await p.locator('#declaration').check();
      await fill(v, { rest: false });
      await send(v);
      await p.locator('#code-error').waitFor();
      await seen?.('join-returned-wrong-code');
      await p.locator('#code').fill(next);
      await fill(v, { rest: false });
      await send(v);
      await is(v, 'Permohonan saya', 'My applications');
    });
  }
  await step('issued', async () => {
    await act('decide', { ic: who.ic, step: 'validate' });
    await p.goto('/portal/application');
    await p.getByText(v.t('Menunggu kelulusan JDN', "Waits for JDN's approval")).first().waitFor();
    await seen?.('join-validated');
    await act('decide', { ic: who.ic, step: 'approve' });
    await p.goto('/portal/application');
    await p.getByRole('link', { name: v.t('Ke halaman utama', 'Go to the portal') }).waitFor();
    await seen?.('join-issued');
    issued++;
  });
}

// Fewest clicks from the link to the application that is sent.
async function quick() {
  const v = await visit({ lang: 'ms', size: 'phone' });
  const who = await act('newcomer');
  await open(v, who, await confirm(v, who));
  await fill(v);
  await v.page.locator('.photo-preview img').waitFor();
  await send(v);
  await is(v, 'Permohonan saya', 'My applications');
  result('clicks', { ...v.count, seconds: v.seconds() });
  // Withdrawn.
  await v.page.getByText('Tarik balik permohonan ini').click();
  v.expect(422, '/portal/application/withdraw');
  await press(v, 'Tarik balik permohonan');
  await v.page.locator('#reason-error').waitFor();
  await scan(v, 'join-withdraw');
  await v.page.locator('#reason').fill('Saya bertukar ke jabatan lain');
  await press(v, 'Tarik balik permohonan');
  await v.page.getByText('Ditarik balik').first().waitFor();
  await scan(v, 'join-withdrawn');
  await v.end();
}

// What ends otherwise: rejected, a link that is too old, a code that is.
async function ends() {
  const v = await visit({ lang: 'ms', size: 'desktop' });
  const who = await act('newcomer');
  await open(v, who, await confirm(v, who));
  const order = await tabOrder(v, 120);
  for (const at of order) if (!at.seen && at.tag !== 'main') note(`the focus is not seen at ${at.tag}#${at.id} "${at.name.slice(0, 40)}"`);
  await fill(v);
  await v.page.locator('.photo-preview img').waitFor();
  await v.page.getByRole('radio', { name: 'Wau bulan' }).focus();
  await v.page.keyboard.press('ArrowRight');
  if (!await v.page.getByRole('radio', { name: 'Gasing' }).isChecked()) problem('pictures cannot be chosen with the keyboard');
  await send(v);
  await is(v, 'Permohonan saya');
  await act('decide', { ic: who.ic, step: 'reject', reason: 'Pegawai tidak lagi bertugas dengan sistem ini' });
  await v.page.goto('/portal/application');
  await v.page.getByText('Pegawai tidak lagi bertugas').waitFor();
  await scan(v, 'join-rejected');
  await v.end();

  const late = await visit({ lang: 'ms', size: 'phone' });
  const other = await act('newcomer');
  const to = await link(other, /http\S+\/e\/[\w-]{22}/, 0);
  await advance(25 * 60 * 60);
  await late.page.goto(to);
  late.expect(404, /^\/e\//);
  await press(late, 'Sahkan e-mel ini');
  await is(late, 'Pautan ini tidak boleh digunakan');
  await scan(late, 'join-link-late');
  await late.end();
}

// Anybody asks: the same answer for who is known and who is not.
async function status(v) {
  const known = await act('newcomer');
  const said = [];
  for (const ic of [known.ic, '820101-14-5679']) {
    await v.page.goto('/status');
    if (said.length === 0) await scan(v, 'join-status');
    await v.page.locator('#ic').fill(ic);
    await press(v, 'Hantar status', 'Send the status');
    await is(v, 'Semak e-mel anda', 'Look in your e-mail');
    said.push(await v.page.locator('main').innerHTML());
  }
  if (said[0] !== said[1]) problem('known and unknown people get other answers');
  await scan(v, 'join-status-asked');
  v.expect(400, '/status');
  await v.page.goto('/status');
  await v.page.locator('#ic').fill('12');
  await press(v, 'Hantar status', 'Send the status');
  await v.page.locator('#ic-error').waitFor();
  await scan(v, 'join-status-wrong');
}

// "This was not me": before, after, and too late.
async function disown(v) {
  const officer = config.dev.officers[0];
  const ask = async () => {
    const before = await mark(officer);
    const r = await api('POST', '/v1/transactions', { ic: officer.ic, system: config.dev.system, format: 'RAW', documents: [{ name: 'Baucar 1', digest: { alg: 'SHA-256', value: 'n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=' } }] });
    if (r.status !== 201) throw new Error(r.raw);
    const text = await mail(officer, (m) => m.code && m, before);
    return { tx: r.body, code: text.code, to: /http\S+\/r\/[\w-]{22}/.exec(text.text)[0] };
  };
  const first = await ask();
  await v.page.goto(first.to);
  await is(v, 'Ini bukan saya', 'This was not me');
  await scan(v, 'join-disown');
  await press(v, 'Bukan saya', 'Not me');
  await is(v, 'Tiada apa-apa ditandatangani', 'Nothing was signed');
  await scan(v, 'join-disowned');
  v.expect(404, /^\/r\//);
  await v.page.goto(first.to);
  await is(v, 'Pautan ini tidak boleh digunakan', 'This link cannot be used');
  await scan(v, 'join-disown-again');
  const second = await ask();
  const done = await api('POST', `/v1/transactions/${second.tx.transaction_id}/sign`, { nonce: second.tx.nonce, pin: officer.pin, otp: second.code });
  if (done.status !== 200) throw new Error(done.raw);
  await v.page.goto(second.to);
  await scan(v, 'join-disown-late');
  await press(v, 'Bukan saya', 'Not me');
  await is(v, 'Terlewat', 'Too late');
  await scan(v, 'join-disown-too-late');
}

await journey(async () => {
  const limits = () => advance(20 * 60);
  if (config.given.part === 'way') {
    await step('whole', () => everywhere({}, async (v) => { await whole(v); await limits(); }));
  } else {
    await step('without scripts', async () => {
      const v = await visit({ lang: 'ms', size: 'phone', noJS: true });
      await whole(v);
      await v.end();
      await limits();
    });
    await step('quick', quick);
    await step('status', () => everywhere({}, async (v) => { await status(v); await limits(); }));
    await step('disown', () => everywhere({}, async (v) => { await disown(v); await limits(); }));
    await step('ends', ends);
  }
  result('issued', issued);
});
