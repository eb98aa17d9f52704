// Officers in the administrator's console: who calls, what is wrong, what is done about it.
import { act, config, enter, everywhere, journey, problem, scan, step, visit } from './lib.mjs';

const { people: [one, two, three], jdn, sap, ap, other } = config.given;
const is = (what, got, want) => { if (got !== want) problem(`${what}: ${got}, not ${want}`); };
const press = (v, ms, en) => v.page.locator('main').getByRole('button', { name: v.t(ms, en), exact: true }).click();
const follow = (v, ms, en) => v.page.locator('main').getByRole('link', { name: v.t(ms, en) }).first().click();
const see = (v, ms, en) => v.page.locator('main').getByText(v.t(ms, en)).first().waitFor();
const heading = (v, text) => v.page.getByRole('heading', { level: 1, name: text }).waitFor();

const as = async (who, at, f, options = {}) => {
  const v = await visit(options);
  await enter(v, who, at);
  await f(v);
  await v.end();
};

async function search(v, text) {
  await v.page.keyboard.press('Escape');
  await v.page.locator('h1').click();
  await v.page.keyboard.press('/');
  await v.page.locator('#q:focus').waitFor();
  await v.page.fill('#q', text);
  await v.page.keyboard.press('Enter');
  await v.page.waitForURL((u) => u.searchParams.get('q') === text);
}

const rows = (v) => v.page.locator('table.rows tbody tr').count();

// What an AP does about one who calls.
async function call(v) {
  await scan(v, 'console-people-list');
  is('officers of the agency', await rows(v), 3);
  for (const text of [one.ic, one.name, one.email, one.serial, BigInt(one.serial).toString(16)]) {
    await search(v, text);
    await v.page.getByRole('link', { name: one.name }).waitFor();
    is(`found by ${text}`, await rows(v), 1);
  }
  await search(v, 'zzzz');
  await see(v, 'Tiada pegawai ditemui', 'Nobody was found');
  await scan(v, 'console-people-none');
  await search(v, one.ic.slice(0, 6));
  await v.page.getByRole('link', { name: one.name }).click();
  await heading(v, one.name);
  await scan(v, 'console-people-officer');
  await v.page.locator('main').getByRole('link', { name: v.t('Tukar e-mel', 'Change the e-mail address') }).first().click();
  await heading(v, v.t('Tukar e-mel', 'Change the e-mail address'));
  v.expect(422, /^\/admin\/officers/);
  v.expect(403, /^\/admin\/officers/);
  await press(v, 'Tukar e-mel', 'Change the e-mail address');
  await v.page.locator('#email-error').waitFor();
  await scan(v, 'console-people-email-missing');
  await v.page.fill('#email', 'aminah.hassan@anm.gov.my');
  await press(v, 'Tukar e-mel', 'Change the e-mail address');
  await see(v, 'Pautan pengesahan akan dihantar', 'Links to confirm go to both addresses');
  await scan(v, 'console-people-change');
  await follow(v, 'Batalkan pertukaran e-mel', 'Cancel the change of address');
  await heading(v, v.t('Batalkan pertukaran e-mel', 'Cancel the change of address'));
  await press(v, 'Batalkan pertukaran e-mel', 'Cancel the change of address');
  await see(v, 'Pertukaran e-mel dibatalkan', 'The change of address is cancelled');
}

await journey(async () => {
  await act('asks', one);
  await step('an AP answers a call', () => as(ap, '/admin/officers', call));
  await step('an AP asks for a revocation: the certificate is suspended', () => as(ap, `/admin/officers/${two.ic}`, async (v) => {
    await v.page.locator('.people-acts').getByRole('link', { name: /Batalkan sijil/ }).click();
    await heading(v, 'Batalkan sijil');
    await scan(v, 'console-people-revoke');
    v.expect(422, /^\/admin\/officers/);
    v.expect(403, /^\/admin\/officers/);
    await press(v, 'Batalkan sijil');
    await v.page.locator('#ralat').waitFor();
    await scan(v, 'console-people-revoke-missing');
    await v.page.getByLabel('Tidak lagi bertugas').check();
    await v.page.fill('#why', 'Surat perletakan jawatan bertarikh 1 November diterima');
    await press(v, 'Batalkan sijil');
    await see(v, 'Pentadbir kedua perlu mengesahkan');
    await v.page.getByText('Digantung', { exact: true }).first().waitFor();
    await scan(v, 'console-people-asked');
    await v.page.goto('/admin/officers/requests');
    await v.page.getByRole('link', { name: /Pembatalan sijil/ }).click();
    await see(v, 'Anda yang meminta');
    is('who asked cannot confirm', await v.page.locator('#why').count(), 0);
    await scan(v, 'console-people-own');
  }));
  await step('another administrator confirms it', () => as(jdn, '/admin/officers/requests', async (v) => {
    await scan(v, 'console-people-waiting');
    await v.page.getByRole('link', { name: /Pembatalan sijil/ }).click();
    await heading(v, 'Sahkan pembatalan sijil');
    await scan(v, 'console-people-confirm');
    await v.page.fill('#why', 'Surat disemak dengan bahagian sumber manusia');
    await press(v, 'Sahkan pembatalan sijil');
    await see(v, 'Sijil telah dibatalkan oleh dua pentadbir');
    await scan(v, 'console-people-revoked');
    await v.page.goto(`/admin/officers/${three.ic}/retire`);
    await v.page.getByLabel('Pada tarikh dan masa tertentu').check();
    await v.page.fill('#at', '2031-01-02T08:00');
    await v.page.fill('#why', 'Bersara wajib');
    await scan(v, 'console-people-retire');
    await press(v, 'Tamatkan perkhidmatan');
    await see(v, 'Tarikhnya telah ditetapkan');
    await v.page.goto('/admin/revocations');
    await scan(v, 'console-people-revocations');
    await v.page.locator('main').getByRole('link', { name: /^Batalkan/ }).click();
    await heading(v, 'Batalkan pembatalan ini');
    await scan(v, 'console-people-unschedule');
    await v.page.fill('#why', 'Perkhidmatan dilanjutkan');
    await press(v, 'Batalkan pembatalan ini');
    await see(v, 'Pembatalan itu tidak akan berlaku lagi');
    await v.page.goto(`/admin/officers/${one.ic}/export`);
    await scan(v, 'console-people-export');
  }));
  await step('another agency finds nobody', () => as(other, '/admin/officers', async (v) => {
    await see(v, 'Belum ada pegawai');
    await scan(v, 'console-people-empty');
    for (const text of [one.ic, one.name, one.email, one.serial]) {
      await search(v, text);
      await see(v, 'Tiada pegawai ditemui');
    }
    v.expect(404, /^\/admin\/officers/);
    for (const below of ['', '/revoke', '/unlock', '/email', '/export']) {
      await v.page.goto(`/admin/officers/${one.ic}${below}`);
      await heading(v, 'Pegawai ini tidak ditemui');
    }
  }));
  await step('in English, and on a phone', () => everywhere({ langs: ['en', 'ms'], sizes: ['phone', 'desktop'] }, async (v) => {
    if (v.lang === 'ms' && v.size === 'desktop') return;
    await enter(v, sap, '/admin/officers');
    await scan(v, 'console-people-list');
    await v.page.goto(`/admin/officers/${one.ic}`);
    await scan(v, 'console-people-officer');
    await v.page.goto(`/admin/officers/${one.ic}/revoke`);
    await scan(v, 'console-people-revoke');
  }));
});
