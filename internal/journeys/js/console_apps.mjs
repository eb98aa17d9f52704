// Apps, their credentials and events, and ICT systems, as administrators keep them.
import { act, advance, api, code, config, enter, everywhere, journey, mark, problem, scan, step, visit } from './lib.mjs';

const { jdn, sap, ap, hook, back, key, logo } = config.given;
const officer = config.dev.officers[0];
const system = config.dev.system;
const id = 'lejar-pukal';

const is = (what, got, want) => { if (got !== want) problem(`${what}: ${got}, not ${want}`); };
const press = (v, ms, en) => v.page.getByRole('main').getByRole('button', { name: v.t(ms, en), exact: true }).click();
const follow = (v, ms, en) => v.page.getByRole('main').getByRole('link', { name: v.t(ms, en) }).first().click();
const said = (v, ms, en) => v.page.getByRole('status').getByText(v.t(ms, en)).waitFor();
const title = (v, ms, en) => v.page.getByRole('heading', { level: 1, name: v.t(ms, en) }).waitFor();

// shown takes the secret from the page that shows it.
async function shown(v) {
  await title(v, 'Simpan rahsia ini sekarang', 'Keep this secret now');
  return (await v.page.locator('#rahsia').innerText()).trim();
}

// hidden: neither back nor a reload brings a secret up again.
async function hidden(v, secret) {
  await follow(v, 'Sudah disimpan', 'I have kept it');
  await v.page.getByRole('heading', { level: 2, name: v.t('Kelayakan', 'Credentials') }).waitFor();
  for (const again of ['goBack', 'reload', 'goForward', 'goBack']) {
    await v.page[again]();
    if ((await v.page.content()).includes(secret)) problem(`${again} shows the secret again`);
  }
  await v.page.goto(`/admin/apps/${id}`);
  if ((await v.page.content()).includes(secret)) problem('the page of the app has the secret');
}

async function registered(s, j) {
  await step('a SAP registers', async () => {
    await s.page.goto('/admin/apps');
    await follow(s, 'Daftar aplikasi', 'Register an app');
    await title(s, 'Daftar aplikasi', 'Register an app');
    await scan(s, 'console-apps-new');
    s.expect(422, '/admin/apps/new');
    await press(s, 'Daftar aplikasi', 'Register the app');
    await s.page.locator('#ralat').waitFor();
    await s.page.locator('#app_id-error').waitFor();
    await scan(s, 'console-apps-new-missing');
    await s.page.fill('#app_id', id);
    await s.page.fill('#name', 'Lejar pukal Jabatan Akauntan Negara Malaysia');
    await s.page.fill('#redirect_uris', 'http://bukan.example/balik');
    await press(s, 'Daftar aplikasi', 'Register the app');
    await s.page.locator('#redirect_uris-error').waitFor();
    await s.page.fill('#redirect_uris', 'https://lejar.example/balik\nhttps://lejar.example/balik/lain');
    await press(s, 'Daftar aplikasi', 'Register the app');
    await said(s, 'Cadangan telah dihantar.', 'The proposal is sent.');
    await scan(s, 'console-apps-proposed');
  });
  await step('JDN confirms', async () => {
    await j.page.goto('/admin/apps?q=tiada');
    await scan(j, 'console-apps-none');
    await j.page.goto('/admin/apps');
    await scan(j, 'console-apps-awaiting');
    await follow(j, 'Semak cadangan', 'Look at the proposal');
    await title(j, 'Sahkan cadangan', 'Confirm a proposal');
    await scan(j, 'console-apps-confirm-new');
    await press(j, 'Sahkan', 'Confirm');
    await said(j, 'Cadangan telah disahkan', 'The proposal is confirmed');
    await j.page.getByText(j.t('Belum ada kelayakan', 'No credential is in force')).waitFor();
  });
}

async function rotated(s, j) {
  let first;
  await step('a key is shown once', async () => {
    await s.page.goto(`/admin/apps/${id}`);
    await follow(s, 'Tambah kelayakan', 'Add a credential');
    await scan(s, 'console-apps-kinds');
    await follow(s, 'Kunci API', 'API key');
    await press(s, 'Buat kunci API', 'Make an API key');
    first = await shown(s);
    await scan(s, 'console-apps-secret');
    await hidden(s, first);
    is('before it is confirmed', await act('call', first), 401);
    await j.page.goto(`/admin/apps/${id}`);
    await follow(j, 'Sahkan', 'Confirm');
    await scan(j, 'console-apps-credential-confirm');
    await press(j, 'Sahkan kelayakan', 'Confirm the credential');
    await said(j, 'Kelayakan telah disahkan', 'The credential is confirmed');
    is('the key', await act('call', first), 200);
  });
  await step('and rotated', async () => {
    await j.page.goto(`/admin/apps/${id}`);
    await j.page.getByText(j.t('Berkuat kuasa', 'In force'), { exact: true }).waitFor();
    await follow(j, 'Putar', 'Rotate');
    await scan(j, 'console-apps-rotate');
    await press(j, 'Buat pengganti', 'Make the successor');
    const next = await shown(j);
    await scan(j, 'console-apps-rotated');
    is('the old key', await act('call', first), 200);
    is('the new key', await act('call', next), 200);
    await hidden(j, next);
    await scan(j, 'console-apps-app');
    // The old one stands last.
    await j.page.getByRole('link', { name: j.t('Batalkan', 'Revoke') }).last().click();
    await title(j, 'Batalkan kelayakan', 'Revoke the credential');
    await scan(j, 'console-apps-revoke');
    await press(j, 'Batalkan kelayakan', 'Revoke the credential');
    await said(j, 'Kelayakan telah dibatalkan', 'The credential is revoked');
    is('the old key', await act('call', first), 401);
    is('the new key', await act('call', next), 200);
    return next;
  });
  await step('other kinds', async () => {
    j.expect(422, `/admin/apps/${id}/credentials/new`);
    await j.page.goto(`/admin/apps/${id}/credentials/new?kind=private_key_jwt`);
    await j.page.fill('#jwks', 'bukan JSON');
    await press(j, 'Daftar kunci awam', 'Register a public key');
    await j.page.locator('#jwks-error').waitFor();
    await scan(j, 'console-apps-jwks-wrong');
    await j.page.fill('#jwks', JSON.stringify({ keys: [{ kty: 'EC', crv: 'P-256', kid: 'k1', use: 'sig', x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU', y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0' }] }));
    await press(j, 'Daftar kunci awam', 'Register a public key');
    await said(j, 'Kelayakan telah didaftarkan', 'The credential is registered');
    await j.page.goto(`/admin/apps/${id}/credentials/new?kind=certificate`);
    await j.page.fill('#certificate', 'AA:BB');
    await press(j, 'Daftar sijil klien', 'Register a client certificate');
    await j.page.locator('#certificate-error').waitFor();
    await scan(j, 'console-apps-certificate-wrong');
  });
}

async function stopped(s, j) {
  s.expect(422, `/admin/apps/${id}/suspend`);
  await s.page.goto(`/admin/apps/${id}`);
  await follow(s, 'Gantung aplikasi', 'Suspend the app');
  await press(s, 'Gantung aplikasi', 'Suspend the app');
  await s.page.locator('#reason-error').waitFor();
  await scan(s, 'console-apps-suspend-missing');
  await s.page.fill('#reason', 'Kunci mungkin bocor');
  await press(s, 'Gantung aplikasi', 'Suspend the app');
  await said(s, 'Aplikasi telah digantung', 'The app is suspended');
  await scan(s, 'console-apps-suspended');
  is('a SAP resumes', await s.page.getByRole('link', { name: s.t('Sambung semula', 'Have the app go on') }).count(), 0);
  await j.page.goto(`/admin/apps/${id}`);
  await follow(j, 'Sambung semula aplikasi', 'Have the app go on');
  await j.page.fill('#reason', 'Kunci sudah ditukar');
  await press(j, 'Sambung semula aplikasi', 'Have the app go on');
  await said(j, 'Aplikasi telah disambung semula', 'The app goes on');
}

// changed leaves a proposal, to be looked at.
async function changed(s, j) {
  await s.page.goto(`/admin/apps/${id}/change`);
  await s.page.check('#grants-RAW');
  await s.page.uncheck('#grants-verify');
  await s.page.fill('#rate', '20');
  await s.page.fill('#redirect_uris', 'https://lejar.example/balik');
  await press(s, 'Hantar perubahan', 'Send the change');
  await said(s, 'Cadangan telah dihantar.', 'The proposal is sent.');
  await scan(s, 'console-apps-changed');
  await s.page.goto(`/admin/apps/${id}/confirm`);
  is('a SAP confirms', await s.page.getByRole('button', { name: s.t('Sahkan', 'Confirm'), exact: true }).count(), 0);
  // What was seen is what is confirmed: another proposal came meanwhile.
  await j.page.goto(`/admin/apps/${id}/confirm`);
  await s.page.goto(`/admin/apps/${id}/change`);
  await s.page.fill('#rate', '25');
  await press(s, 'Hantar perubahan', 'Send the change');
  await said(s, 'Cadangan telah dihantar.', 'The proposal is sent.');
  j.expect(409, `/admin/apps/${id}/confirm`);
  await press(j, 'Sahkan', 'Confirm');
  await j.page.locator('#ralat').waitFor();
  await j.page.getByText(j.t('25 permintaan sesaat', '25 requests a second')).waitFor();
  await scan(j, 'console-apps-confirm-late');
}

async function events(j) {
  await j.page.goto(`/admin/apps/${id}/webhook`);
  await scan(j, 'console-apps-webhook-none');
  await follow(j, 'Buat rahsia webhook', 'Make a webhook secret');
  j.expect(422, `/admin/apps/${id}/webhook/secret`);
  await j.page.fill('#url', 'https://169.254.169.254/');
  await press(j, 'Buat rahsia webhook', 'Make a webhook secret');
  await j.page.locator('#url-error').waitFor();
  await scan(j, 'console-apps-webhook-wrong');
  await j.page.fill('#url', hook);
  await press(j, 'Buat rahsia webhook', 'Make a webhook secret');
  const secret = await shown(j);
  await scan(j, 'console-apps-webhook-secret');
  await follow(j, 'Sudah disimpan', 'I have kept it');
  await title(j, 'Webhook', 'Webhook');
  await j.page.goBack();
  if ((await j.page.content()).includes(secret)) problem('back shows the secret again');
  await j.page.goto(`/admin/apps/${id}/webhook`);
  // The receiver does not know the secret yet.
  await press(j, 'Hantar ping ujian', 'Send a test ping');
  await said(j, 'Ping telah dihantar', 'The ping is on its way');
  const row = j.page.locator('tbody tr').first();
  const until = async (text) => {
    for (let k = 0; k < 40 && !(await row.innerText()).includes(text); k++) {
      await advance(1);
      await j.page.reload();
      await row.waitFor();
    }
    if (!(await row.innerText()).includes(text)) problem(`the delivery: ${await row.innerText()}`);
  };
  await until('HTTP 401');
  await scan(j, 'console-apps-webhook-refused');
  await act('secret', secret);
  await advance(120);
  await until(j.t('Dihantar', 'Delivered'));
  is('events taken', await act('taken'), 1);
  await j.page.getByRole('button', { name: j.t('Hantar semula', 'Send again') }).first().click();
  await said(j, 'Acara dihantar sekali lagi', 'The event is sent once more');
  await until(j.t('Dihantar', 'Delivered'));
  await scan(j, 'console-apps-webhook');
}

async function dressed(s, j) {
  await step('a system', async () => {
    await s.page.goto('/admin/systems');
    await scan(s, 'console-apps-systems');
    await follow(s, system, system);
    await title(s, 'iGFMAS', 'iGFMAS');
    await scan(s, 'console-apps-system');
    await follow(s, 'Ubah tajuk, notis dan templat', 'Change title, notice and template');
    await s.page.fill('#title', 'KEMENTERIAN KEWANGAN – JABATAN AKAUNTAN NEGARA MALAYSIA');
    await s.page.getByLabel('TOKEN').check();
    await s.page.fill('#header_template', '110FGOM{digits:10}A{amount}{ic}');
    await s.page.fill('#example', `110FGOM07022411247A29911.35${officer.ic}`);
    await press(s, 'Cuba templat', 'Try the template');
    await s.page.getByText(s.t('Pengepala ini tidak sepadan', 'This header does not fit')).waitFor();
    await scan(s, 'console-apps-header-differs');
    s.expect(422, `/admin/systems/${system}/change`);
    await s.page.fill('#header_template', '110FGOM{digits');
    await press(s, 'Cuba templat', 'Try the template');
    await s.page.locator('#header_template-error').waitFor();
    await s.page.fill('#header_template', '110FGOM{digits:11}A{amount}{ic}');
    await press(s, 'Cuba templat', 'Try the template');
    await s.page.getByText(s.t('Pengepala ini sepadan', 'This header fits')).waitFor();
    await scan(s, 'console-apps-header-fits');
    await press(s, 'Simpan', 'Save');
    await said(s, 'Paparan sistem telah disimpan', 'What the system shows is saved');
  });
  await step('its logo', async () => {
    await follow(s, 'Ubah logo', 'Change the logo');
    s.expect(422, `/admin/systems/${system}/logo`);
    await press(s, 'Simpan logo', 'Save the logo');
    await s.page.locator('#logo-error').waitFor();
    await s.page.setInputFiles('#logo', logo);
    await s.page.locator('[data-picture-of] img').waitFor();
    await scan(s, 'console-apps-logo');
    await press(s, 'Simpan logo', 'Save the logo');
    await said(s, 'Logo telah disimpan', 'The logo is saved');
    await scan(s, 'console-apps-system-dressed');
  });
  await step('as officers see it', async () => {
    await advance(61);
    const since = await mark(officer.ic);
    const r = await api('POST', '/v1/transactions', { ic: officer.ic, system, redirect_uri: back, format: 'RAW', data_header: `110FGOM07022411247A29911.35${officer.ic}`,
      documents: [{ name: 'Baucar 1', digest: { alg: 'SHA-256', value: 'LUsq9prqLRm6heerwwCFRQisYDQzAgKukkb8egTE15w=' } }] }, { 'X-API-Key': key });
    if (r.status !== 201) throw new Error(r.raw);
    await code(officer.ic, since);
    const o = await visit({ lang: s.lang });
    await o.page.goto(r.body.signing_url);
    await o.page.getByRole('button', { name: o.t('Buka halaman tandatangan', 'Open the signing page') }).click();
    await o.page.getByText('KEMENTERIAN KEWANGAN – JABATAN AKAUNTAN NEGARA MALAYSIA').first().waitFor();
    if (!await o.page.locator('.owner img').evaluate((i) => i.complete && i.naturalWidth === 144)) problem('the logo is not on the signing page');
    if (!(await o.page.locator('#notis').innerText()).includes('MENGGUNAKAN TOKEN')) problem('the notice does not say TOKEN');
    await scan(o, 'console-apps-signing');
    await o.end();
    const wrong = await api('POST', '/v1/transactions', { ic: officer.ic, system, redirect_uri: back, format: 'RAW', data_header: 'BAUCAR 1', documents: [{ name: 'Baucar 1', data: 'YQ==' }] }, { 'X-API-Key': key });
    is('another header', wrong.body.code, 'header_mismatch');
  });
  await step('no more tokens', async () => {
    await j.page.goto(`/admin/systems/${system}`);
    await follow(j, 'Tetapkan tarikh tamat token', 'Set when tokens end');
    j.expect(422, `/admin/systems/${system}/tokens`);
    await press(j, 'Tetapkan tarikh', 'Set the date');
    await j.page.locator('#day-error').waitFor();
    await scan(j, 'console-apps-tokens');
    await j.page.fill('#day', '2027-01-01');
    await press(j, 'Tetapkan tarikh', 'Set the date');
    await said(j, 'Tarikh tamat token telah ditetapkan', 'The date on which tokens end is set');
    await j.page.getByText(j.t('Token akan tamat', 'Tokens will end')).waitFor();
    await j.page.goto(`/admin/systems/${system}/tokens`);
    await press(j, 'Terima token semula', 'Take tokens again');
    await said(j, 'Sistem menerima token semula', 'The system takes tokens again');
    await j.page.goto('/admin/systems/new');
    await j.page.fill('#code', 'eperolehan');
    await j.page.fill('#title', 'ePerolehan');
    j.expect(422, '/admin/systems/new');
    await press(j, 'Daftar sistem', 'Register the system');
    await j.page.locator('#code-error').waitFor();
    await scan(j, 'console-apps-system-new');
    await j.page.fill('#code', 'MYSPIKE');
    await j.page.selectOption('#agency', 'JANM');
    await press(j, 'Daftar sistem', 'Register the system');
    await said(j, 'Sistem telah didaftarkan', 'The system is registered');
  });
}

// What is looked at in each language and size.
async function pages(v) {
  await enter(v, jdn);
  for (const [name, path] of [['list', '/admin/apps'], ['app-full', `/admin/apps/${id}`], ['confirm', `/admin/apps/${id}/confirm`], ['change', `/admin/apps/${id}/change`],
    ['add', `/admin/apps/${id}/credentials/new?kind=client_secret`], ['webhook', `/admin/apps/${id}/webhook`],
    ['systems', '/admin/systems'], ['system', `/admin/systems/${system}`], ['system-change', `/admin/systems/${system}/change`], ['tokens-now', `/admin/systems/${system}/tokens`]]) {
    await v.page.goto(path);
    await scan(v, `console-apps-${name}`);
  }
}

async function stale(j) {
  await advance(11 * 60);
  await j.page.goto(`/admin/apps/${id}/credentials/new?kind=basic`);
  await title(j, 'Log masuk sekali lagi dahulu', 'Log in once more first');
  await press(j, 'Log masuk semula', 'Log in again');
  await j.page.fill('#ic', jdn.ic);
  await j.page.fill('#password', jdn.password);
  await j.page.click('#masuk');
  await j.page.fill('#code', await act('totp', jdn.ic));
  await j.page.click('#masuk');
  await j.page.getByRole('button', { name: j.t('Buat kata laluan Basic', 'Make a Basic password') }).waitFor();
}

await journey(async () => {
  const s = await visit();
  const j = await visit();
  await enter(s, sap);
  await enter(j, jdn);
  await registered(s, j);
  await rotated(s, j);
  await step('an app is stopped', () => stopped(s, j));
  await step('a change', () => changed(s, j));
  await step('events', () => events(j));
  await dressed(s, j);
  await step('a log-in of long ago', () => stale(j));
  await step('a form of JDN alone', async () => {
    s.expect(403, '/admin/systems/new');
    await s.page.goto('/admin/systems/new');
    await title(s, 'Halaman ini bukan untuk peranan anda', 'This page is not for your role');
  });
  await s.end();
  await j.end();
  await step('not for all', async () => {
    const v = await visit();
    await enter(v, ap);
    for (const path of ['/admin/apps', `/admin/apps/${id}`, '/admin/systems']) {
      v.expect(403, path);
      await v.page.goto(path);
      await title(v, 'Halaman ini bukan untuk peranan anda', 'This page is not for your role');
    }
    await v.end();
  });
  await everywhere({}, pages);
});
