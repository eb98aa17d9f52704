// An administrator's work queues: a list with wrong rows, what waits for whom, many at once by keyboard.
import { act, config, enter, everywhere, journey, problem, result, scan, step, visit } from './lib.mjs';

const { jdn, sap, ap, list } = config.given;
const is = (what, got, want) => { if (got !== want) problem(`${what}: ${got}, not ${want}`); };
const heading = (v) => v.page.locator('h1').innerText();
const press = (v, ms, en) => v.page.getByRole('button', { name: v.t(ms, en) }).first().click();
const see = (v, ms, en) => v.page.getByText(v.t(ms, en)).first().waitFor();
const tile = (v, ms, en) => v.page.locator('.tile', { hasText: v.t(ms, en) }).locator('.figure').innerText();

const as = async (who, at, f, options = {}) => {
  const v = await visit(options);
  await enter(v, who, at);
  await f(v);
  await v.end();
};

const file = { name: 'senarai-igfmas-fasa-1-dan-2.csv', mimeType: 'text/csv', buffer: Buffer.from(list) };

// short has one good row and two that are not.
const short = () => ({ ...file, buffer: Buffer.from(`${list.split('\n').slice(0, 2).join('\n').replace('800101140000', '810101140000')}\n80010114,TAN,x@janm.gov.my,JANM,${config.dev.system},,,\n810202141234,NORMAH BINTI ALI,normah@janm.gov.my,JKR,${config.dev.system},Pejabat Perakaunan Negeri Selangor,Fasa 1,\n`) });

await journey(async () => {
  await step('the SAP uploads 500 officers and mends three rows', () => as(sap, '/admin/list', async (v) => {
    await scan(v, 'console-queue-list');
    v.expect(422, /^\/admin\/list/);
    await press(v, 'Semak senarai', 'Check the list');
    await v.page.locator('#ralat').waitFor();
    await scan(v, 'console-queue-list-missing');
    const from = { ...v.count, at: v.seconds() };
    await v.page.setInputFiles('#file', file);
    await press(v, 'Semak senarai', 'Check the list');
    await see(v, 'Hasil semakan senarai', 'What the check found');
    is('rows that can be added', await tile(v, 'Boleh ditambah', 'Can be added'), '497');
    is('rows to be mended', await tile(v, 'Perlu dibetulkan', 'To be mended'), '3');
    await v.page.locator('#c-120-0').fill('800703140118');
    await v.page.locator('#c-251-3').fill('JANM');
    await v.page.locator('#c-402-2').fill('pegawai400@janm.gov.my');
    await press(v, 'Tambah semua 500 pegawai', 'Add all 500 officers');
    await see(v, '500 pegawai disenaraikan', '500 officers are listed');
    result('upload', `${v.count.clicks - from.clicks} clicks, ${v.count.chosen - from.chosen} file, ${v.count.typed - from.typed} fields, ${(v.seconds() - from.at).toFixed(1)} s`);
    await scan(v, 'console-queue-list-done');
  }));

  await step('JDN admits them at once', () => as(jdn, '/admin/queue', async (v) => {
    is('the queue to begin with', await v.page.locator('.tabs a.here').innerText().then((s) => s.replace(/\s+/g, ' ').trim()), 'Tambah medium 500');
    await scan(v, 'console-queue-admit');
    v.expect(422, '/admin/queue/confirm');
    await press(v, 'Tambah medium yang dipilih', 'Admit the chosen ones');
    await v.page.locator('#ralat').waitFor();
    await press(v, 'Tambah medium semua yang sepadan', 'Admit all that match');
    await see(v, 'Tambah medium untuk 500 pegawai?', 'Admit 500 officers?');
    await scan(v, 'console-queue-admit-confirm');
    await press(v, 'Ya, tambah 500', 'Yes, admit 500');
    await see(v, '500 pegawai ditambah', '500 officers admitted');
  }));

  await step('officers confirm and apply', () => act('joins', { From: 0, Confirm: 20, Apply: 13 }));

  await step('the AP validates by keyboard', () => as(ap, '/admin/queue', async (v) => {
    is('rows', await v.page.locator('tbody tr').count(), 13);
    await scan(v, 'console-queue-validate');
    await v.page.keyboard.press('j');
    await v.page.keyboard.press('o'); // the first one is looked at
    await see(v, 'Apa yang menunggu sekarang', 'What waits now');
    await scan(v, 'console-queue-enrolment');
    await v.page.getByRole('link', { name: v.t('Tunjuk salinan MyKad', 'Show the MyKad copy') }).click();
    await v.page.locator('#mykad img').waitFor();
    await v.page.locator('#mykad img').evaluate((i) => i.decode());
    await scan(v, 'console-queue-mykad');
    await v.page.goto('/admin/queue');
    await v.page.locator('[data-choose] table').waitFor();
    await v.page.keyboard.press('a');
    await v.page.keyboard.press('j');
    await v.page.keyboard.press('x'); // all but the first
    is('chosen', await v.page.locator('[data-chosen]').innerText(), v.t('12 dipilih', '12 chosen'));
    await scan(v, 'console-queue-chosen');
    await v.page.keyboard.press('?');
    await v.page.locator('#kekunci').waitFor();
    await v.page.keyboard.press('Escape');
    await press(v, 'Sahkan yang dipilih', 'Validate the chosen ones');
    await see(v, 'Sahkan 12 permohonan?', 'Validate 12 applications?');
    v.expect(422, '/admin/queue/do');
    await press(v, 'Ya, sahkan 12', 'Yes, validate 12');
    await v.page.locator('#reason-error').waitFor();
    await scan(v, 'console-queue-confirm-missing');
    await v.page.fill('#reason', 'Disemak dengan senarai jawatan 22/11');
    await press(v, 'Ya, sahkan 12', 'Yes, validate 12');
    await see(v, '12 permohonan disahkan', '12 applications validated');
    // The other one goes back.
    await v.page.locator('tbody a').first().click();
    await v.page.getByRole('link', { name: v.t('Kembalikan', 'Return'), exact: true }).click();
    await scan(v, 'console-queue-return');
    await v.page.fill('#text', 'Alamat pejabat bukan alamat JANM: sila betulkan.');
    await press(v, 'Kembalikan permohonan', 'Return the application');
    await see(v, 'Permohonan dikembalikan kepada pegawai', 'The application was given back');
    await scan(v, 'console-queue-returned');
  }));

  await step('JDN approves at once', () => as(jdn, '/admin/queue?tab=approve', async (v) => {
    await v.page.locator('[data-all]').check();
    await press(v, 'Luluskan yang dipilih', 'Approve the chosen ones');
    await v.page.fill('#reason', 'Surat JANM.100-1/1 (12)');
    await scan(v, 'console-queue-approve-confirm');
    // Meanwhile somebody else sends one of them back.
    const refused = await v.page.locator('input[name=id]').first().inputValue();
    await as(ap, `/admin/enrolments/${refused}/return`, async (w) => {
      await w.page.fill('#text', 'Nama pada MyKad berbeza daripada daftar.');
      await w.page.getByRole('button', { name: 'Kembalikan permohonan' }).click();
      await w.page.getByText('Permohonan dikembalikan kepada pegawai').waitFor();
    });
    await press(v, 'Ya, luluskan 12', 'Yes, approve 12');
    await see(v, 'Tidak dapat dibuat', 'Could not be done');
    is('approved', await tile(v, 'Diluluskan', 'Approved'), '11');
    is('refused', await tile(v, 'Tidak dapat dibuat', 'Could not be done'), '1');
    await scan(v, 'console-queue-outcome');
    await v.page.goto('/admin/queue?tab=done&state=ISSUED');
    result('issued', await v.page.locator('tbody tr').count());
    await v.page.locator('tbody a').first().click();
    await scan(v, 'console-queue-issued');
  }));

  await step('everywhere', () => everywhere({}, async (v) => {
    await enter(v, jdn, '/admin/rollout');
    await scan(v, 'console-queue-rollout');
    await v.page.goto('/admin/queue?tab=apply');
    await scan(v, 'console-queue-waiting');
    await v.page.locator('tbody a').first().click();
    await scan(v, 'console-queue-officer');
    await v.page.goto('/admin/list');
    await v.page.setInputFiles('#file', short());
    await v.page.getByRole('button', { name: v.t('Semak senarai', 'Check the list') }).click();
    await see(v, 'Hasil semakan senarai', 'What the check found');
    await scan(v, 'console-queue-mend');
  }));

  await step('a file of refused rows, and one officer', () => as(jdn, '/admin/queue?tab=approve', async (v) => {
    await scan(v, 'console-queue-empty');
    await v.page.goto('/admin/list');
    await v.page.setInputFiles('#file', short());
    await press(v, 'Semak senarai', 'Check the list');
    await see(v, 'Hasil semakan senarai', 'What the check found');
    v.expect(422, '/admin/list/mend');
    await press(v, 'Tambah semua 3 pegawai', 'Add all 3 officers');
    await v.page.locator('#ralat').waitFor();
    await scan(v, 'console-queue-mend-failed');
    const coming = v.page.waitForEvent('download');
    await press(v, 'Muat turun 2 baris', 'Download the 2 refused');
    is('the file', (await coming).suggestedFilename(), 'baris-ditolak.csv');
    await v.page.goto('/admin/list/one');
    await scan(v, 'console-queue-one');
    v.expect(422, '/admin/list/one');
    await press(v, 'Tambah pegawai', 'Add the officer');
    await v.page.locator('#ralat').waitFor();
    await scan(v, 'console-queue-one-missing');
  }));

  await step('without scripts', () => as(sap, '/admin/list', async (v) => {
    await v.page.setInputFiles('#file', { ...file, buffer: Buffer.from(`no_kp,nama,emel,agensi,sistem\n820101149999,NORMAH BINTI ALI,normah@janm.gov.my,JANM,${config.dev.system}\n820101,TAN,tan@janm.gov.my,JANM,${config.dev.system}\n`) });
    await v.page.getByRole('button', { name: 'Semak senarai' }).click();
    await v.page.getByRole('button', { name: 'Tambah yang betul sahaja' }).or(v.page.getByRole('button', { name: 'Tambah 1 yang betul sahaja' })).click();
    await see(v, '1 pegawai ditambah', '1 officer was added');
    await v.page.locator('#leave-3').check();
    await v.page.getByRole('button', { name: 'Semak semula' }).click();
    await see(v, 'Tiada baris untuk ditambah', 'There is no row to add');
  }, { noJS: true }));
});
