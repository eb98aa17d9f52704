// Administrators are appointed by two, set themselves up in the browser, log in by passkey; lost
// log-ins, agencies and offices, holds and disposals.
import { act, config, enter, everywhere, journey, mail, mark, noOverflow, problem, result, scan, step, visit } from './lib.mjs';

const { first, second, sa, auditor } = config.given;
const one = config.dev.officers[0];
const is = (what, got, want) => { if (got !== want) problem(`${what}: ${got}, not ${want}`); };
const press = (v, ms, en) => v.page.getByRole('button', { name: v.t(ms, en), exact: true }).click();
const follow = (v, ms, en) => v.page.getByRole('link', { name: v.t(ms, en), exact: true }).first().click();
const seen = (v, ms, en) => v.page.getByText(v.t(ms, en)).first().waitFor();
const said = (v) => v.page.locator('[role=status] .note').waitFor();
const submit = (v) => v.page.locator('main form button[type=submit]').last().click();
const setupOf = (to, since) => mail({ email: to }, (m) => /setup_[a-z2-7]{26}/.exec(m.text)?.[0], since);

const leave = (v) => press(v, 'Log keluar', 'Log out').then(() => v.page.waitForURL(/\/login/));
const change = async (v, who, at) => { await leave(v); await enter(v, who, at); };

// What is shown once in each language and size.
async function pages(v) {
  v.expect(404, '/setup');
  v.expect(422, /^\/(setup|admin)/);
  await v.page.goto('/setup');
  await scan(v, 'console-office-setup');
  await v.page.fill('#code', 'setup_aaaaaaaaaaaaaaaaaaaaaaaaaa');
  await submit(v);
  await v.page.locator('#ralat').waitFor();
  await scan(v, 'console-office-setup-unknown');
  await enter(v, first);
  for (const [name, path] of [['appointments', '/admin/appointments'], ['awaiting', '/admin/appointments?state=AWAITING'], ['new', '/admin/appointments/new'], ['accounts', '/admin/accounts'], ['reset', '/admin/accounts/new'],
    ['agencies', '/admin/agencies'], ['agency-new', '/admin/agencies/new'], ['agency', '/admin/agencies/JANM'], ['retention', '/admin/retention'], ['hold', '/admin/retention/holds/new'], ['disposal-none', '/admin/retention/disposals/new']]) {
    await v.page.goto(path);
    await scan(v, `console-office-${name}`);
  }
  await v.page.goto('/admin/appointments/new');
  await submit(v);
  await v.page.locator('#ralat').waitFor();
  await scan(v, 'console-office-new-missing');
  await v.page.goto('/admin/appointments?role=SA');
  await v.page.locator('tbody a').first().click();
  await v.page.locator('.facts').waitFor();
  await scan(v, 'console-office-appointment');
  await follow(v, 'Tamatkan pelantikan', 'End the appointment');
  await v.page.locator('#when').waitFor();
  await scan(v, 'console-office-end');
}

const newcomer = { ic: '790308109903', name: 'NORAINI BINTI OTHMAN', email: 'noraini@janm.gov.my', password: 'lembing perak di dinding' };

async function propose(v, role, who, scope) {
  await follow(v, 'Cadangkan pelantikan', 'Propose an appointment');
  await v.page.locator(`input[name=role][value=${role}]`).check();
  for (const [field, value] of Object.entries(scope)) await v.page.selectOption(`#${field}`, value);
  await v.page.fill('#ic', who.ic);
  await v.page.fill('#name', who.name);
  await v.page.fill('#email', who.email);
  await v.page.fill('#document', 'JANM.100-1/1 (12)');
  await submit(v);
  await said(v);
}

async function confirm(v, name) {
  await v.page.goto('/admin/appointments?state=AWAITING');
  await v.page.getByRole('link', { name, exact: true }).click();
  await v.page.locator('.facts').waitFor();
  await scan(v, 'console-office-confirm');
  await press(v, 'Sahkan', 'Confirm');
  await said(v);
}

// setUp is what somebody appointed does with the code of the mail; the app's seed comes back.
async function setUp(v, who, setup, wrong) {
  await v.page.goto('/setup');
  await v.page.fill('#code', setup);
  await submit(v);
  await v.page.locator('.seed').waitFor();
  const seed = (await v.page.locator('.seed .mono').innerText()).replaceAll(' ', '');
  const fill = async (word, code) => {
    await v.page.fill('#password', word);
    await v.page.fill('#again', word);
    await v.page.fill('#totp', code);
    await submit(v);
  };
  if (wrong) {
    await scan(v, 'console-office-setup-app');
    await fill('1234567890', await act('shown', seed));
    await v.page.locator('#password-error').waitFor();
    await scan(v, 'console-office-setup-weak');
    const right = await act('shown', seed);
    await fill(who.password, right === '000000' ? '000001' : '000000');
    await v.page.locator('#totp-error').waitFor();
    is('the seed after a wrong code', (await v.page.locator('.seed .mono').innerText()).replaceAll(' ', ''), seed);
  }
  await fill(who.password, await act('shown', seed));
  await v.page.locator('.verdict.good').waitFor();
  if (v.page.url().includes('setup_')) problem('the set-up code is in the address');
  return seed;
}

async function appoint(v) {
  v.expect(400, /^\/setup/);
  v.expect(403, /^\/setup/);
  v.expect(422, /^\/setup/);
  v.expect(410, /^\/setup/);
  v.expect(404, /^\/setup/);
  await enter(v, first, '/admin/appointments');
  await seen(v, '1 agensi tiada AP', '1 agency has no AP');
  await propose(v, 'SAP', newcomer, { system: config.dev.system });
  await seen(v, 'Anda yang mencadangkannya.', 'You proposed it.');
  await scan(v, 'console-office-proposed');
  is('a button to confirm one\'s own', await v.page.getByRole('button', { name: v.t('Sahkan', 'Confirm'), exact: true }).count(), 0);
  await change(v, second, '/admin/appointments');
  const since = await mark(newcomer);
  await confirm(v, newcomer.name);
  await act('mailed');
  await v.page.reload();
  await scan(v, 'console-office-confirmed');
  const setup = await setupOf(newcomer.email, since);
  await leave(v);
  const seed = await setUp(v, newcomer, setup, true);
  await scan(v, 'console-office-setup-done');
  // The code was spent.
  await v.page.goto('/setup');
  await v.page.fill('#code', setup);
  await submit(v);
  await v.page.locator('#code-error').waitFor();

  // Password and authenticator app, then a passkey, by which the next log-in goes to the console.
  const cdp = await v.context.newCDPSession(v.page);
  await cdp.send('WebAuthn.enable');
  await cdp.send('WebAuthn.addVirtualAuthenticator', { options: { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true } });
  await enter(v, newcomer, '/portal/profile/passkeys', () => act('shown', seed));
  await v.page.fill('#label', 'Komputer riba pejabat');
  await press(v, 'Buat kunci laluan', 'Make the passkey');
  await seen(v, 'Komputer riba pejabat', 'Komputer riba pejabat');
  await leave(v);
  await v.page.goto('/login?next=/admin');
  v.count.clicks = 0;
  await press(v, 'Log masuk dengan kunci laluan', 'Log in with a passkey');
  await v.page.waitForURL(/\/admin$/);
  result('clicks of a log-in by passkey', v.count.clicks);
  is('who is logged in', await v.page.locator('.myname').innerText(), newcomer.name);
  // A SAP's menu has no appointments, and the page is closed.
  is('doors to appointments', await v.page.locator('nav.side a[href="/admin/appointments"]').count(), 0);
  v.expect(403, '/admin/appointments');
  v.expect(403, '/admin/agencies');
  v.expect(403, '/admin/accounts');
  for (const path of ['/admin/appointments', '/admin/agencies', '/admin/accounts']) {
    await v.page.goto(path);
    await v.page.locator('.verdict.bad').waitFor();
  }
}

// An officer of the register is made AP by the SA: no code is mailed, the second factor is added in the profile.
async function helper(v) {
  await enter(v, sa, '/admin/appointments');
  await propose(v, 'AP', one, {});
  await change(v, second, '/admin/appointments');
  await confirm(v, one.name);
  await seen(v, 'Log masuk pegawai sedia ada', 'Logs in as an officer');
  await scan(v, 'console-office-factorless');
  await leave(v);
  await v.page.goto('/login?next=/portal/profile');
  const since = await mark(one);
  await v.page.fill('#ic', one.ic);
  await v.page.fill('#password', one.password);
  await v.page.click('#masuk');
  await v.page.fill('#code', await mail(one, (m) => m.code, since));
  await v.page.click('#masuk');
  await v.page.waitForURL(/\/portal\/profile/);
  await scan(v, 'console-office-factor-wait');
  await follow(v, 'Tambah faktor kedua', 'Add the second factor');
  await v.page.locator('ol.course').waitFor();
  await scan(v, 'console-office-factor');
  await press(v, 'Tunjukkan kod QR', 'Show the QR code');
  await v.page.locator('.seed').waitFor();
  await scan(v, 'console-office-factor-seed');
  const seed = (await v.page.locator('.seed .mono').innerText()).replaceAll(' ', '');
  await v.page.fill('#totp', await act('shown', seed));
  await submit(v);
  await v.page.locator('.verdict.good').waitFor();
  await enter(v, one, '/admin', () => act('shown', seed));
}

async function resetAccount(v) {
  v.expect(403, /^\/admin\/accounts/);
  v.expect(422, /^\/admin\/accounts/);
  await enter(v, first, '/admin/accounts');
  await follow(v, 'Tetapkan semula akaun', 'Reset an account');
  await v.page.fill('#ic', '900101105555');
  await submit(v);
  await v.page.locator('#ic-error').waitFor();
  await v.page.goto(`/admin/accounts/new?ic=${newcomer.ic}`);
  await seen(v, newcomer.name, newcomer.name);
  await v.page.fill('#reason', 'Telefon hilang; dipanggil balik ke pejabat');
  await scan(v, 'console-office-reset-ask');
  await submit(v);
  await said(v);
  await scan(v, 'console-office-resets');
  await v.page.getByRole('link', { name: newcomer.name, exact: true }).click();
  await seen(v, 'Anda yang memintanya.', 'You asked for it.');
  await change(v, second, '/admin/accounts');
  await v.page.getByRole('link', { name: newcomer.name, exact: true }).click();
  await v.page.locator('.facts').waitFor();
  await scan(v, 'console-office-reset-confirm');
  const since = await mark(newcomer);
  await press(v, 'Sahkan penetapan semula', 'Confirm the reset');
  await said(v);
  await act('mailed');
  const setup = await setupOf(newcomer.email, since);
  await leave(v);
  newcomer.password = 'gunung ledang di waktu pagi';
  const seed = await setUp(v, newcomer, setup, false);
  await enter(v, newcomer, '/admin', () => act('shown', seed));
}

async function registry(v) {
  await enter(v, first, '/admin/agencies');
  await follow(v, 'Daftar agensi', 'Register an agency');
  await v.page.fill('#code', 'JANM');
  await v.page.fill('#name', 'Lain');
  v.expect(422, /^\/admin\/agencies/);
  await submit(v);
  await v.page.locator('#code-error').waitFor();
  await v.page.fill('#code', 'KKM');
  await v.page.fill('#name', 'Kementerian Kesihatan Malaysia');
  await submit(v);
  await said(v);
  await v.page.goto('/admin/agencies/JANM');
  await v.page.locator('details.more summary').first().click();
  await follow(v, 'Daftarkan Pej. Perakaunan Putrajaya', 'Register Pej. Perakaunan Putrajaya');
  is('the name of the office', await v.page.inputValue('#title'), 'Pej. Perakaunan Putrajaya');
  await v.page.fill('#office', 'PUTRAJAYA');
  await v.page.fill('#phase', '1');
  await v.page.locator('#pejabat button[type=submit]').click();
  await said(v);
  await scan(v, 'console-office-offices');
  await follow(v, 'Ubah Pej. Perakaunan Putrajaya', 'Change Pej. Perakaunan Putrajaya');
  await v.page.fill('#title', 'Pejabat Perakaunan Putrajaya');
  await v.page.locator('#pejabat button[type=submit]').click();
  await said(v);
  await press(v, 'Keluarkan Pejabat Perakaunan Putrajaya', 'Remove Pejabat Perakaunan Putrajaya');
  await said(v);
  await v.page.goto('/admin/agencies');
  is('agencies without AP', await v.page.locator('td .tag.wait').count() > 0, true);
}

async function kept(v) {
  v.expect(422, /^\/admin\/retention/);
  await enter(v, first, '/admin/retention');
  await follow(v, 'Kenakan tegahan', 'Place a hold');
  await v.page.fill('#ic', '12');
  await v.page.fill('#reason', 'Kes mahkamah 22NCC-1-01/2026');
  await submit(v);
  await v.page.locator('#ic-error').waitFor();
  is('the reason is kept', await v.page.inputValue('#reason'), 'Kes mahkamah 22NCC-1-01/2026');
  await v.page.fill('#ic', one.ic);
  await submit(v);
  await said(v);
  await scan(v, 'console-office-held');
  await change(v, auditor, '/admin/retention');
  is('an auditor places', await v.page.getByRole('link', { name: v.t('Kenakan tegahan', 'Place a hold') }).count(), 0);
  await change(v, second, '/admin/retention');
  await v.page.locator('tbody a').first().click();
  await v.page.fill('#reason', 'Kes telah selesai');
  await scan(v, 'console-office-lift');
  await submit(v);
  await said(v);
}

async function ended(v) {
  v.expect(422, /^\/admin\/appointments/);
  await enter(v, second, '/admin/appointments');
  await v.page.getByRole('link', { name: newcomer.name, exact: true }).click();
  await follow(v, 'Tamatkan pelantikan', 'End the appointment');
  await submit(v);
  await v.page.locator('#document-error').waitFor();
  await v.page.fill('#document', 'JANM.100-1/1 (13)');
  await submit(v);
  await said(v);
  await scan(v, 'console-office-ended');
  await v.page.goto('/admin/appointments?state=ENDED');
  await v.page.getByRole('link', { name: newcomer.name, exact: true }).waitFor();
}

await journey(async () => {
  const alone = (name, options, f) => step(name, async () => {
    const v = await visit(options);
    await f(v);
    await v.end();
  });
  // Each language and each size once here; the rest of ms-desktop is below.
  await everywhere({ langs: ['ms'], sizes: ['desktop'] }, pages);
  await everywhere({ langs: ['en'], sizes: ['phone'] }, pages);
  await alone('appointed by two, set up, by passkey', {}, appoint);
  await alone('an officer becomes AP', {}, helper);
  await alone('reset by two', {}, resetAccount);
  await alone('agencies and offices', {}, registry);
  await alone('holds', { lang: 'en' }, kept);
  await alone('ended', { lang: 'en' }, ended);
  await alone('without scripts', { noJS: true, size: 'phone' }, async (v) => {
    await v.page.goto('/setup');
    await noOverflow(v);
    await enter(v, first, '/admin/appointments');
    await noOverflow(v);
  });
});
