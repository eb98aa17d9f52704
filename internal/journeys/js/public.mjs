// What anybody can do without a session: find the way, verify, look at a record, ask about a
// certificate, read help.
import { readFileSync } from 'node:fs';
import { advance, config, everywhere, journey, noOverflow, problem, scan, shot, step, visit } from './lib.mjs';

const { documents, record } = config.given;

// What is shown of each document: words of the verdict's heading, and of the page.
const verdicts = {
  valid: ['SAH (KOTAK PASIR)', 'VALID (SANDBOX)', 'Seluruh dokumen', 'The whole document'],
  changed: ['TIDAK SAH', 'NOT VALID', 'Ia diubah selepas itu', 'It was changed afterwards'],
  stranger: ['TIDAK DAPAT DISAHKAN', 'CANNOT BE CONFIRMED', 'tidak mengenali pihak yang mengeluarkan', 'do not know the authority'],
  several: ['TIDAK DAPAT DISAHKAN', 'CANNOT BE CONFIRMED', 'Tandatangan 2 daripada 2', 'Signature 2 of 2'],
  unsigned: ['TIADA TANDATANGAN DIGITAL', 'NO DIGITAL SIGNATURE', 'bukan bukti', 'proves nothing'],
  damaged: ['FAIL INI BUKAN PDF', 'THIS FILE IS NOT A PDF', 'Muat turun semula', 'Download the file again'],
  encrypted: ['TIDAK DAPAT DISAHKAN', 'CANNOT BE CONFIRMED', 'kata laluan', 'password'],
};

async function verify(v, name) {
  const [ms, en, textMS, textEN] = verdicts[name];
  await v.page.goto('/verify');
  await v.page.locator('#file').setInputFiles(documents[name]);
  await v.page.getByRole('button', { name: v.t('Sahkan dokumen', 'Verify the document') }).click();
  await v.page.getByRole('heading', { level: 1, name: v.t(ms, en), exact: true }).waitFor();
  await v.page.getByText(v.t(textMS, textEN)).first().waitFor();
  if (await v.page.locator('main img, main b').count()) problem(`${name}: something of the document is more than text`);
}

async function candidate(v, ic, number) {
  await v.page.goto('/candidate');
  await v.page.locator('#ic').fill(ic);
  await v.page.locator('#number').fill(number);
  await v.page.getByRole('button', { name: v.t('Semak status', 'Check status') }).click();
}

const heading = (v, ms, en) => v.page.getByRole('heading', { level: 1, name: v.t(ms, en), exact: true }).waitFor();

await journey(async () => {
  await everywhere({}, async (v) => {
    await advance(120); // the limits of the visit before
    for (const [name, path, status = 200] of [
      ['landing', '/'], ['help', '/help'], ['help-trust', '/help/trust'], ['help-privacy', '/help/privacy'], ['scan', '/scan'], ['candidate', '/candidate'], ['verify', '/verify'],
      ['record-locked', '/s/AAAAAAAAAAAAAAAAAAAAAA'], ['record-unknown', '/s/x', 404], ['page-missing', '/tiada', 404],
    ]) {
      await step(name, async () => {
        if (status >= 400) v.expect(status, path);
        const r = await v.page.goto(path);
        if (r.status() !== status) problem(`${path} answered ${r.status()}`);
        await scan(v, `public-${name}`);
      });
    }
    await step('reference', async () => { // axe has it once, in pages.mjs
      await v.page.goto('/docs');
      await noOverflow(v);
      await shot(v, 'public-reference');
    });
    for (const name of Object.keys(verdicts)) {
      await step(`a document: ${name}`, async () => {
        await verify(v, name);
        if (name === 'several' || name === 'changed') {
          for (const d of await v.page.locator('details.more').all()) await d.evaluate((e) => { e.open = true; });
        }
        await scan(v, `public-verdict-${name}`);
      });
    }
    await step('no file, no PDF, a large one', async () => {
      v.expect(400, '/verify');
      await v.page.goto('/verify');
      await v.page.getByRole('button', { name: v.t('Sahkan dokumen', 'Verify the document') }).click();
      await v.page.getByRole('link', { name: v.t('Pilih fail PDF', 'Choose a PDF file') }).waitFor();
      await scan(v, 'public-verify-none');
      await v.page.locator('#file').setInputFiles(documents.nopdf);
      await v.page.getByText(v.t('Fail ini bukan PDF', 'This file is not a PDF')).waitFor();
      await shot(v, 'public-verify-nopdf');
      v.expect(413, '/verify');
      await v.page.locator('#file').setInputFiles(documents.large);
      await v.page.getByRole('button', { name: v.t('Sahkan dokumen', 'Verify the document') }).click();
      await v.page.getByText(v.t('terlalu besar', 'too large')).first().waitFor();
      await shot(v, 'public-verify-large');
    });
    await step('the record and its file', async () => {
      await v.page.goto(new URL(record).pathname + new URL(record).hash);
      await heading(v, 'SAH (KOTAK PASIR)', 'VALID (SANDBOX)');
      const [file] = await Promise.all([v.page.waitForEvent('download'), v.page.getByRole('button', { name: v.t('Muat turun PDF', 'Download PDF') }).click()]);
      const bytes = readFileSync(await file.path());
      if (!bytes.subarray(0, 5).equals(Buffer.from('%PDF-')) || file.suggestedFilename() !== 'S102200001.pdf') problem(`downloaded ${file.suggestedFilename()}, ${bytes.length} bytes`);
      await v.page.emulateMedia({ media: 'print' });
      await shot(v, 'public-record-print');
      await v.page.emulateMedia({ media: null });
    });
    await step('a candidate', async () => {
      v.expect(400, '/candidate');
      await candidate(v, '123', '');
      await v.page.getByRole('link', { name: v.t('Masukkan 12 digit', 'Enter the 12 digits') }).waitFor();
      await scan(v, 'public-candidate-wrong');
      await candidate(v, '800101-14-9001', 's102200001');
      await heading(v, 'SUDAH DIKELUARKAN', 'ISSUED');
      await scan(v, 'public-candidate-issued');
      await candidate(v, '800101149002', 'S102200002');
      await heading(v, 'SEDANG DISEDIAKAN', 'BEING PREPARED');
      await scan(v, 'public-candidate-batch');
      await candidate(v, '800101149001', 'S102200002');
      await heading(v, 'BELUM ADA', 'NONE YET');
      await scan(v, 'public-candidate-none');
    });
    await step('too often', async () => {
      v.expect(429, '/candidate');
      for (let k = 0; k < 6 && !await v.page.getByText(v.t('Sila tunggu sebentar', 'Please wait a moment')).count(); k++) await candidate(v, '800101149001', 'S102200002');
      await v.page.getByText(v.t(/Cuba lagi dalam \d+:\d\d/, /Try again in \d+:\d\d/)).waitFor();
      await scan(v, 'public-candidate-busy');
    });
  });
  await step('without scripts', async () => {
    await advance(120);
    const v = await visit({ noJS: true, size: 'phone' });
    await verify(v, 'valid');
    await shot(v, 'public-verdict-valid');
    await v.page.goto(new URL(record).pathname);
    await v.page.locator('#secret').fill(record);
    await v.page.getByRole('button', { name: 'Semak' }).click();
    await heading(v, 'SAH (KOTAK PASIR)');
    await v.page.locator('#secret').fill(record);
    const [file] = await Promise.all([v.page.waitForEvent('download'), v.page.getByRole('button', { name: 'Muat turun PDF' }).click()]);
    if (file.suggestedFilename() !== 'S102200001.pdf') problem(`downloaded ${file.suggestedFilename()}`);
    await shot(v, 'public-record');
    await v.end();
  });
});
