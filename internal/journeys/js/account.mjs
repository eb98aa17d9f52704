// An officer's log-in, first page, certificate and profile, and what goes wrong on the way.
import { act, advance, code, config, everywhere, journey, link, mark, noOverflow, problem, result, scan, shot, step, visit } from './lib.mjs';

const [one, two] = config.dev.officers;
const { clerk, admin } = config.given;
const newPIN = 'Rusa-Sambar-77 biru';
const lastPIN = 'Rusa-Sambar-88 hijau';

const is = (what, got, want) => { if (got !== want) problem(`${what}: ${got}, not ${want}`); };
const heading = (v) => v.page.locator('h1').innerText();
const press = (v, ms, en) => v.page.getByRole('button', { name: v.t(ms, en), exact: true }).click();
const follow = (v, ms, en) => v.page.getByRole('link', { name: v.t(ms, en) }).first().click();
const submit = (v) => v.page.locator('main form.card button[type=submit], main .card form button[type=submit]').first().click();
const session = async (v) => (await v.context.cookies()).find((c) => c.name === 'mohor-session')?.value;

async function first(v, who) {
  await v.page.fill('#ic', who.ic);
  await v.page.fill('#password', who.password);
  await v.page.click('#masuk');
  await v.page.locator('#code').waitFor();
}

async function logIn(v, who, at = '/login') {
  await v.page.goto(at);
  const since = await mark(who);
  await first(v, who);
  await v.page.fill('#code', await code(who, since));
  await v.page.click('#masuk');
  await v.page.waitForURL((u) => u.pathname.startsWith('/portal'));
}

const logOut = (v) => press(v, 'Log keluar', 'Log out').then(() => v.page.waitForURL(/\/login/));

// What is shown once in each language and size.
async function pages(v) {
  v.expect(422, /^\/(login|portal)/);
  v.expect(403, /^\/(login|portal)/);
  await step('log-in', async () => {
    await v.page.goto('/login');
    await scan(v, 'login');
    await v.page.click('#masuk');
    await v.page.locator('#ralat').waitFor();
    await scan(v, 'login-missing');
    const since = await mark(one);
    await first(v, one);
    await scan(v, 'login-code');
    const right = await code(one, since);
    await v.page.fill('#code', right === '000000' ? '000001' : '000000');
    await v.page.click('#masuk');
    await v.page.locator('#code-error').waitFor();
    await scan(v, 'login-code-wrong');
    await v.page.fill('#code', right);
    await v.page.click('#masuk');
    await v.page.waitForURL(/\/portal$/);
  });
  await step('pages of an officer', async () => {
    await scan(v, 'home');
    for (const [name, path] of [['certificate', '/portal/certificate'], ['pin', null], ['forgotten-pin', '/portal/certificate/forgotten'], ['renew', '/portal/certificate/renew'], ['suspend', '/portal/certificate/suspend'],
      ['revoke', '/portal/certificate/revoke'], ['replace', '/portal/certificate/replace'], ['remove', '/portal/certificate/remove'], ['add', '/portal/certificate/add'], ['profile', '/portal/profile'], ['email', '/portal/profile/email'],
      ['phone', '/portal/profile/phone'], ['password', '/portal/profile/password'], ['export', '/portal/profile/export'], ['delete', '/portal/profile/delete']]) {
      if (path) await v.page.goto(`${path}?system=${config.dev.system}`);
      else await follow(v, 'Tukar PIN', 'Change the PIN');
      await scan(v, `account-${name}`);
    }
    await v.page.goto(`/portal/certificate/revoke?system=${config.dev.system}`);
    await submit(v);
    await v.page.locator('#ralat').waitFor();
    await scan(v, 'account-revoke-missing');
  });
  await step('log-out', async () => {
    await v.page.goto('/portal/profile');
    const old = await session(v);
    await logOut(v);
    await scan(v, 'login-out');
    const r = await v.page.request.get('/v1/me', { headers: { Cookie: `mohor-session=${old}` } });
    is('the old cookie', r.status(), 401);
    await v.page.goBack();
    await v.page.waitForURL(/\/login|\/portal/);
    if (await v.page.locator('.myname').count()) problem('back after the log-out shows who it was');
  });
}

async function newcomer(v) {
  await logIn(v, clerk);
  await scan(v, 'home-newcomer');
  await v.page.goto('/portal/certificate');
  await scan(v, 'account-certificate-none');
  await v.page.goto('/portal/profile');
  await scan(v, 'account-profile-newcomer');
}

async function enter(v, at = '/login') {
  await v.page.goto(at);
  await first(v, admin);
  await v.page.fill('#code', await act('totp'));
  await v.page.click('#masuk');
  await v.page.waitForURL((u) => /^\/(portal|admin)/.test(u.pathname));
}

async function administrator(v) {
  await enter(v);
  await scan(v, 'home-administrator');
  await v.page.goto('/portal/profile');
  await scan(v, 'account-profile-administrator');
}

async function passkeys(v) {
  const cdp = await v.context.newCDPSession(v.page);
  await cdp.send('WebAuthn.enable');
  await cdp.send('WebAuthn.addVirtualAuthenticator', { options: { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true } });
  await enter(v, '/login?next=/portal/profile/passkeys');
  is('after the log-in', new URL(v.page.url()).pathname, '/portal/profile/passkeys');
  await v.page.fill('#label', 'Komputer riba pejabat');
  await press(v, 'Buat kunci laluan', 'Make the passkey');
  await v.page.waitForURL(/\/portal\/profile$/);
  await v.page.getByText('Komputer riba pejabat').first().waitFor();
  await scan(v, 'account-profile-passkey');
  await logOut(v);
  v.count.clicks = 0;
  await press(v, 'Log masuk dengan kunci laluan', 'Log in with a passkey');
  await v.page.waitForURL(/\/admin$/);
  result('passkey', v.count.clicks);
  await v.page.goto('/portal/profile');
  await press(v, 'Buang Komputer riba pejabat', 'Remove Komputer riba pejabat');
  await v.page.locator('[role=status]').waitFor();
  is('passkeys left', await v.page.getByText('Komputer riba pejabat').count(), 0);
  await logOut(v);
  v.expect(404, '/login/passkey');
  v.expect(403, '/login/passkey');
  await press(v, 'Log masuk dengan kunci laluan', 'Log in with a passkey');
  await v.page.locator('#ralat').waitFor();
  await scan(v, 'login-passkey-refused');
}

async function forgottenPassword(v) {
  await v.page.goto('/login');
  await follow(v, 'Lupa kata laluan?', 'Forgotten your password?');
  await scan(v, 'forgotten');
  let since = await mark(two);
  await v.page.fill('#ic', two.ic);
  await v.page.click('#hantar');
  await v.page.locator('#code').waitFor();
  await scan(v, 'forgotten-reset');
  v.expect(400, '/login/forgotten/reset');
  v.expect(422, '/login/forgotten/reset');
  const mailed = await code(two, since);
  const fill = async (password, pin) => {
    await v.page.fill('#code', mailed);
    await v.page.fill('#password', password);
    await v.page.fill('#pin', pin);
    await v.page.click('#tukar');
  };
  await fill('1234567890', two.pin);
  await v.page.locator('#password-error').waitFor();
  await scan(v, 'forgotten-weak');
  two.password = 'gunung ledang di waktu pagi';
  await fill(two.password, two.pin);
  await v.page.waitForURL(/\/login$/);
  await scan(v, 'login-reset');
  since = await mark(two);
  await logIn(v, two);
  // With no PIN the agency has to confirm.
  await logOut(v);
  await v.page.goto('/login/forgotten');
  since = await mark(two);
  await v.page.fill('#ic', two.ic);
  await v.page.click('#hantar');
  await v.page.fill('#code', await code(two, since));
  await v.page.fill('#password', 'tujuh ekor rusa di tepi paya');
  await v.page.click('#tukar');
  await v.page.locator('.verdict').waitFor();
  await scan(v, 'forgotten-waits');
}

async function codeEnds(v) {
  await v.page.goto('/login');
  await first(v, one);
  v.expect(403, '/login/code');
  v.expect(410, '/login/code');
  for (let k = 0; k < 3; k++) {
    await v.page.fill('#code', '000000');
    await Promise.all([v.page.waitForResponse((r) => r.request().method() === 'POST'), v.page.click('#masuk')]);
  }
  for (let k = 0; k < 2 && await v.page.locator('#code').count(); k++) {
    await v.page.fill('#code', '000000');
    await Promise.all([v.page.waitForResponse((r) => r.request().method() === 'POST'), v.page.click('#masuk')]);
  }
  await v.page.locator('.verdict').waitFor();
  await scan(v, 'login-code-ended');
}

async function certificates(v) {
  await logIn(v, one);
  await step('change the PIN', async () => {
    await v.page.goto('/portal/certificate');
    await follow(v, 'Tukar PIN', 'Change the PIN');
    const credential = new URL(v.page.url()).searchParams.get('key');
    const fill = async (old, a, b) => {
      await v.page.fill('#old_pin', old);
      await v.page.fill('#new_pin', a);
      await v.page.fill('#new_pin_again', b);
      await submit(v);
    };
    v.expect(403, '/portal/certificate/pin');
    v.expect(400, '/portal/certificate/pin');
    v.expect(422, '/portal/certificate/pin');
    await fill('bukan-pin-itu-9', newPIN, newPIN);
    await v.page.locator('#old_pin-error').waitFor();
    await scan(v, 'account-pin-wrong');
    await fill(one.pin, '12345678', '12345678');
    await v.page.locator('#new_pin-error').waitFor();
    await scan(v, 'account-pin-weak');
    await fill(one.pin, newPIN, 'lain');
    await v.page.locator('#new_pin_again-error').waitFor();
    if ((await v.page.content()).includes(newPIN)) problem('the PIN is in the page');
    await fill(one.pin, newPIN, newPIN);
    await v.page.waitForURL(/\/portal\/certificate$/);
    await scan(v, 'account-pin-done');
    await act('signs', { credential, pin: newPIN });
  });
  await step('forgotten PIN', async () => {
    await v.page.goto('/portal/certificate');
    const serial = await v.page.locator('.mono').first().innerText();
    await follow(v, 'Lupa PIN', 'Forgotten PIN');
    await submit(v);
    await v.page.waitForURL(/\/rekey/);
    await scan(v, 'account-rekey');
    await act('mailed');
    const mailed = await link(one, /(?:[0-9A-Z]{4}-){3}[0-9A-Z]{4}/);
    v.expect(410, '/portal/certificate/rekey');
    v.expect(422, '/portal/certificate/rekey');
    const fill = async (given) => {
      await v.page.fill('#code', given);
      await v.page.fill('#new_pin', lastPIN);
      await v.page.fill('#new_pin_again', lastPIN);
      await submit(v);
    };
    await fill('AAAA-BBBB-CCCC-DDDD');
    await v.page.locator('#ralat').waitFor();
    await scan(v, 'account-rekey-wrong');
    await fill(mailed);
    await v.page.waitForURL(/\/portal\/certificate$/);
    await scan(v, 'account-rekey-waits');
    await v.page.goto('/portal');
    await scan(v, 'home-rekey');
    await act('rekeyed');
    await v.page.goto('/portal/certificate');
    await scan(v, 'account-rekey-done');
    const all = await v.page.locator('.mono').allInnerTexts();
    is('the serial numbers', all[0] !== serial && all.length >= 2, true);
  });
}

async function renewal(v) {
  await act('nearEnd', two.ic);
  await logIn(v, two);
  await scan(v, 'home-ending');
  await v.page.goto('/portal/certificate');
  await scan(v, 'account-ending');
  await follow(v, 'Perbaharui sijil', 'Renew the certificate');
  await v.page.fill('#old_pin', two.pin);
  await submit(v);
  await v.page.waitForURL(/\/portal\/certificate$/);
  await scan(v, 'account-renewed');
}

async function sessions(v) {
  const other = await visit({ lang: v.lang, size: 'phone' });
  await logIn(other, one);
  await logIn(v, one, '/login?next=/portal/profile');
  await scan(v, 'account-sessions');
  const ours = v.page.locator('li', { has: v.page.locator('.tag', { hasText: v.t('Yang ini', 'This one') }) });
  is('this session', await ours.count(), 1);
  const before = await v.page.locator('form[action$="/sessions/end"]').count();
  await v.page.locator('form[action$="/sessions/end"] button').first().click();
  await v.page.locator('[role=status]').waitFor();
  is('other sessions', await v.page.locator('form[action$="/sessions/end"]').count(), before - 1);
  if (before > 1) {
    await press(v, 'Log keluar dari semua yang lain', 'Log out everywhere else');
    await v.page.locator('[role=status]').waitFor();
  }
  await other.page.goto('/portal');
  is('the other browser', new URL(other.page.url()).pathname, '/login');
  await shot(other, 'login-ended-elsewhere');
  await other.end();
  await step('fresh', async () => {
    await advance(11 * 60);
    await v.page.goto('/portal/profile/email');
    await scan(v, 'account-again');
    await press(v, 'Log masuk semula', 'Log in again');
    await v.page.waitForURL(/\/login/);
    const since = await mark(one);
    await first(v, one);
    await v.page.fill('#code', await code(one, since));
    await v.page.click('#masuk');
    await v.page.waitForURL(/\/portal\/profile\/email$/);
  });
  await step('e-mail', async () => {
    v.expect(400, '/portal/profile/email');
    v.expect(422, '/portal/profile/email');
    await v.page.fill('#email', 'bukan e-mel');
    await submit(v);
    await v.page.locator('#email-error').waitFor();
    await scan(v, 'account-email-wrong');
    await v.page.fill('#email', 'nama.baharu@jpk.gov.my');
    await submit(v);
    await v.page.waitForURL(/\/portal\/profile$/);
    await scan(v, 'account-email-pending');
    await act('mailed');
    for (const to of [one.email, 'nama.baharu@jpk.gov.my']) {
      const at = await link(to.includes('baharu') ? { email: to } : one, /\/e\/[A-Za-z0-9_-]{22}/);
      await act('confirmed', at);
    }
    await v.page.goto('/portal/profile');
    await v.page.getByText('nama.baharu@jpk.gov.my').first().waitFor();
    is('changes under way', await v.page.locator('form[action$="/email/cancel"]').count(), 0);
    await scan(v, 'account-email-done');
  });
}

async function phoneChange(v) {
  await logIn(v, two, '/login?next=/portal/profile/phone');
  v.expect(422, /phone/);
  v.expect(404, /phone/);
  const since = await mark(two);
  await v.page.fill('#mobile', '012-345 6789');
  await submit(v);
  if (await v.page.locator('#ralat').count()) { // who was made without an application has no number
    await scan(v, 'account-phone-none');
    return;
  }
  await v.page.locator('#code').waitFor();
  await scan(v, 'account-phone-code');
  await v.page.fill('#code', await code(two, since));
  await submit(v);
  await v.page.waitForURL(/\/portal\/profile$/);
  await scan(v, 'account-phone-done');
}

async function ends(v) {
  await logIn(v, two, `/login?next=/portal/certificate/suspend?system=${config.dev.system}`);
  await v.page.getByLabel(v.t('Saya menerima kod atau permintaan yang mencurigakan', 'I got a code or a request that is suspicious')).check();
  await submit(v);
  await v.page.waitForURL(/\/portal\/certificate$/);
  await scan(v, 'account-suspended');
  await v.page.goto('/portal');
  await scan(v, 'home-suspended');
  await v.page.goto(`/portal/certificate/revoke?system=${config.dev.system}`);
  await v.page.getByLabel(v.t('Saya tidak lagi menandatangani dalam sistem ini', 'I no longer sign in this system')).check();
  await v.page.check('#sure');
  await submit(v);
  await v.page.waitForURL(/\/login|\/portal\/certificate$/);
  await scan(v, 'account-revoked');
}

async function passwordChange(v) {
  await logIn(v, clerk);
  await v.page.goto('/portal/profile/password');
  v.expect(403, '/portal/profile/password');
  v.expect(422, '/portal/profile/password');
  await v.page.fill('#old', 'bukan kata laluan');
  await v.page.fill('#new', 'lembing perak di dinding');
  await v.page.fill('#again', 'lembing perak di dinding');
  await submit(v);
  await v.page.locator('#old-error').waitFor();
  await scan(v, 'account-password-wrong');
  await v.page.fill('#old', clerk.password);
  await v.page.fill('#new', 'lembing perak di dinding');
  await v.page.fill('#again', 'lembing perak di dinding');
  await submit(v);
  await v.page.waitForURL(/\/login/);
  await scan(v, 'login-password');
  clerk.password = 'lembing perak di dinding';
  await logIn(v, clerk);
}

async function throttled(v) {
  v.expect(429, '/login');
  v.expect(429, '/login/code');
  v.expect(403, '/login/code');
  const post = async (path, body) => (await fetch(config.base + path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) })).json();
  for (let k = 0; k < 65; k++) { // from one address, by a program
    const { session_id: id } = await post('/v1/sessions', { ic: '850505105555', password: 'salah salah salah' });
    if (!id) break;
  }
  await v.page.goto('/login');
  await v.page.fill('#ic', '850505105555');
  await v.page.fill('#password', 'salah salah salah');
  await v.page.click('#masuk');
  await v.page.locator('[data-opens]').waitFor();
  if (!await v.page.locator('#masuk').isDisabled()) problem('the button can be pressed');
  await scan(v, 'login-throttled');
  await advance(15 * 60);
}

await journey(async () => {
  const only = config.given.only;
  const alone = async (name, options, f) => {
    if (only && !only.includes(name)) return;
    await step(name, async () => {
      const v = await visit(options);
      await f(v);
      await v.end();
    });
  };
  if (!only || only.includes('pages')) await everywhere({}, pages);
  await alone('without scripts', { noJS: true }, async (v) => { // axe is a script, too
    await v.page.goto('/login');
    if (await v.page.locator('form.passkey').isVisible()) problem('a passkey is offered without scripts');
    await noOverflow(v);
    await logIn(v, one);
    is('the heading', await heading(v), `Selamat datang, ${one.name}`);
    await logOut(v);
  });
  if (!only || only.includes('newcomer')) await everywhere({ langs: ['ms'] }, newcomer);
  await alone('newcomer in English', { lang: 'en', size: 'phone' }, newcomer);
  await alone('administrator', {}, administrator);
  await alone('passkeys', { lang: 'en' }, passkeys);
  await alone('forgotten password', {}, forgottenPassword);
  await alone('codes end', { size: 'phone' }, codeEnds);
  await alone('password', { lang: 'en', size: 'phone' }, passwordChange);
  await alone('certificates', {}, certificates);
  await alone('sessions', {}, sessions);
  await alone('telephone', {}, phoneChange);
  await alone('throttled', { size: 'phone' }, throttled);
  await alone('renewal', { size: 'phone' }, renewal);
  await alone('ends', {}, ends);
});
