// Batches, the outbox and templates of eCertificates, as administrators work with them.
import { act, config, enter, everywhere, journey, problem, scan, step, visit } from './lib.mjs';

const { jdn, second, auditor, sap, list, signs, crest } = config.given;

const press = (v, ms, en) => v.page.getByRole('main').getByRole('button', { name: v.t(ms, en), exact: true }).click();
const follow = (v, ms, en) => v.page.getByRole('main').getByRole('link', { name: v.t(ms, en), exact: true }).first().click();
const said = (v, ms, en) => v.page.getByRole('status').getByText(v.t(ms, en)).waitFor();
const title = (v, ms, en) => v.page.getByRole('heading', { level: 1, name: v.t(ms, en) }).waitFor();

// drawn waits for the picture of the page.
const drawn = (v) => v.page.waitForFunction(() => [...document.querySelectorAll('.works-sheet img')].every((i) => { i.loading = 'eager'; return i.complete && i.naturalWidth > 0; }));

// What is looked at in each language and size.
async function pages(v) {
  await enter(v, auditor);
  await v.page.goto('/admin/batches');
  await scan(v, 'console-works-batches');
  await v.page.goto('/admin/batches?status=EXPIRED');
  await scan(v, 'console-works-batches-none');
  await v.page.goto(`/admin/batches/${list}`);
  await scan(v, 'console-works-batch-open');
  await v.page.goto('/admin/outbox');
  await scan(v, 'console-works-outbox');
  await v.page.goto('/admin/templates');
  await scan(v, 'console-works-templates');
  await v.page.goto('/admin/templates/skm-1');
  await drawn(v);
  await scan(v, 'console-works-template-level');
}

// follows waits until the preview shows the last form, and gives its address.
async function follows(v, before) {
  await v.page.waitForFunction((was) => {
    const i = document.querySelector('[data-sheet]');
    return i.src !== was && i.complete && i.naturalWidth > 0;
  }, before);
}

const source = (v) => v.page.locator('[data-sheet]').getAttribute('src').then((s) => new URL(s, config.base).href);

async function templates(j, s) {
  await step('a JDN administrator proposes', async () => {
    await j.page.goto('/admin/templates');
    await follow(j, 'Umum (semua sijil)', 'Common (all certificates)');
    await title(j, 'Umum (semua sijil)', 'Common (all certificates)');
    await drawn(j);
    await scan(j, 'console-works-template');
    let was = await source(j);
    await j.page.getByLabel(j.t('Baris penandatangan 1 (Bahasa Melayu)', 'Signatory, line 1 (Malay)')).fill('Pemangku Ketua Pengarah');
    await follows(j, was);
    await j.page.getByLabel(j.t('Baris penandatangan 1 (Bahasa Inggeris)', 'Signatory, line 1 (English)')).fill('Acting Director General');
    was = await source(j);
    await j.page.check('#long');
    await follows(j, was);
    was = await source(j);
    await j.page.setInputFiles('#crest', crest);
    await follows(j, was);
    await scan(j, 'console-works-template-draft');
    j.expect(422, '/admin/templates/umum/draft');
    await j.page.fill('#p\\.certificate\\.qr\\.x', '900');
    await j.page.locator('[data-says].wrong').waitFor();
    await scan(j, 'console-works-template-wrong');
    j.expect(422, '/admin/templates/umum');
    await press(j, 'Cadangkan versi ini', 'Propose this version');
    await j.page.locator('#ralat').waitFor();
    await scan(j, 'console-works-template-refused');
    if (await j.page.getByLabel(j.t('Baris penandatangan 1 (Bahasa Melayu)', 'Signatory, line 1 (Malay)')).inputValue() !== 'Pemangku Ketua Pengarah') problem('what was typed is lost');
    await j.page.fill('#p\\.certificate\\.qr\\.x', '27');
    await j.page.fill('#reason', 'Pemangku dilantik mulai 1 Mei 2026');
    await j.page.setInputFiles('#crest', crest);
    await press(j, 'Cadangkan versi ini', 'Propose this version');
    await said(j, 'Cadangan disimpan', 'The proposal is kept');
    await drawn(j);
    await scan(j, 'console-works-version-own');
    if (await j.page.getByRole('button', { name: j.t('Sahkan', 'Confirm'), exact: true }).count()) problem('who proposed can confirm');
  });
  await step('another confirms', async () => {
    await s.page.goto('/admin/templates');
    await scan(s, 'console-works-templates-awaits');
    await follow(s, 'Semak dan putuskan', 'Check and decide');
    await title(s, 'Versi 1', 'Version 1');
    await drawn(s);
    await scan(s, 'console-works-version');
    await press(s, 'Sahkan', 'Confirm');
    await said(s, 'Versi ini kini berkuat kuasa.', 'This version is in force now.');
  });
  await step('without scripts', async () => {
    const n = await visit({ noJS: true });
    await n.context.addCookies(await j.context.cookies());
    await n.page.goto('/admin/templates/dkm');
    await n.page.fill('#t\\.ms\\.heading', 'Diploma Kemahiran Negara');
    await press(n, 'Lihat pratonton', 'Show preview');
    await n.page.locator('img[src^="data:image/png"]').waitFor();
    if (await n.page.inputValue('#t\\.ms\\.heading') !== 'Diploma Kemahiran Negara') problem('the draft is lost');
    await n.end();
  });
}

async function batches(v) {
  await step('a SAP pauses, resumes, cancels', async () => {
    await act('signs');
    await v.page.goto(`/admin/batches/${signs}`);
    await scan(v, 'console-works-batch-signing');
    await follow(v, 'Jeda penandatanganan', 'Pause signing');
    await title(v, 'Jeda penandatanganan', 'Pause signing');
    v.expect(422, /\/pause$/);
    await press(v, 'Jeda penandatanganan', 'Pause signing');
    await v.page.locator('#reason-error').waitFor();
    await scan(v, 'console-works-batch-pause');
    await v.page.fill('#reason', 'Jumlah perlu disemak semula');
    await press(v, 'Jeda penandatanganan', 'Pause signing');
    await said(v, 'Kelompok dijeda.', 'The batch is paused.');
    await scan(v, 'console-works-batch-paused');
    await follow(v, 'Sambung semula', 'Resume');
    await v.page.fill('#reason', 'Jumlah telah disemak');
    await press(v, 'Sambung semula', 'Resume');
    await said(v, 'Penandatanganan disambung semula.', 'Signing goes on.');
    // The page follows by itself to the end.
    await v.page.getByRole('main').getByText(v.t('Selesai', 'Done'), { exact: true }).first().waitFor({ timeout: 60_000 });
    await scan(v, 'console-works-batch-done');
    await v.page.goto(`/admin/batches/${list}`);
    await follow(v, 'Batalkan kelompok', 'Cancel the batch');
    await scan(v, 'console-works-batch-cancel');
    await v.page.fill('#reason', 'Senarai calon yang salah');
    await press(v, 'Batalkan kelompok', 'Cancel the batch');
    await said(v, 'Kelompok dibatalkan.', 'The batch is cancelled.');
  });
}

async function outbox(j) {
  await step('a letter is dropped', async () => {
    await j.page.goto('/admin/outbox');
    await scan(j, 'console-works-outbox-letters');
    if (await j.page.getByRole('link', { name: 'Buang' }).count()) problem('a letter that is on its way can be dropped');
    await act('gaveUp');
    await j.page.goto('/admin/outbox?state=failed');
    await follow(j, 'Buang', 'Drop');
    await title(j, 'Buang', 'Drop');
    await scan(j, 'console-works-outbox-drop');
    await j.page.fill('#reason', 'Pegawai telah diberitahu');
    await press(j, 'Buang', 'Drop');
    await said(j, 'Surat dibuang.', 'The letter was dropped.');
  });
}

await journey(async () => {
  await everywhere({}, pages);
  const j = await visit();
  const s = await visit();
  const a = await visit();
  await enter(j, jdn);
  await enter(s, second);
  await templates(j, s);
  await enter(a, sap);
  await batches(a);
  await outbox(j);
  for (const v of [j, s, a]) await v.end();
});
