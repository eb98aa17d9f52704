// The office in one story: an administrator is appointed, lists officers, others validate and approve
// them; a certificate is revoked by two; an app gets its keys; the auditor asks who looked.
import { act, config, enter, journey, mail, mark, problem, result, scan, step, visit } from './lib.mjs';

const { password, jdn, second, ap, auditor, list, officers, person, lang } = config.given;
const sap = { ic: '790308109903', name: 'NORAINI BINTI OTHMAN', email: 'noraini@janm.gov.my', password: 'lembing perak di dinding' };
const is = (what, got, want) => { if (got !== want) problem(`${what}: ${got}, not ${want}`); };
const press = (v, ms, en) => v.page.getByRole('main').getByRole('button', { name: v.t(ms, en), exact: true }).click();
const follow = (v, ms, en) => v.page.getByRole('main').getByRole('link', { name: v.t(ms, en) }).first().click();
const title = (v, ms, en) => v.page.getByRole('heading', { level: 1, name: v.t(ms, en) }).waitFor();
const see = (v, ms, en) => v.page.locator('main').getByText(v.t(ms, en)).first().waitFor();
const said = (v) => v.page.locator('[role=status] .note').waitFor();
const submit = (v) => v.page.locator('main form button[type=submit]').last().click();

const spent = { clicks: 0, typed: 0, seconds: 0 };

// as has somebody log in, do f and go; counted says that it is work on the list of officers.
async function as(ic, at, f, { counted = false, word = password, totp } = {}) {
  const v = await visit({ lang });
  await enter(v, { ic, password: word }, at, totp);
  const out = await f(v);
  if (counted) {
    spent.clicks += v.count.clicks;
    spent.typed += v.count.typed;
    spent.seconds += v.seconds();
  }
  await v.end();
  return out;
}

async function appointed() {
  await as(jdn, '/admin/appointments', async (v) => {
    await follow(v, 'Cadangkan pelantikan', 'Propose an appointment');
    await v.page.locator('input[name=role][value=SAP]').check();
    await v.page.selectOption('#system', config.dev.system);
    for (const field of ['ic', 'name', 'email']) await v.page.fill(`#${field}`, sap[field]);
    await v.page.fill('#document', 'JANM.100-1/1 (12)');
    await submit(v);
    await said(v);
  });
  const since = await mark(sap);
  await as(second, '/admin/appointments?state=AWAITING', async (v) => {
    await v.page.getByRole('link', { name: sap.name, exact: true }).click();
    await press(v, 'Sahkan', 'Confirm');
    await said(v);
  });
  await act('mailed');
  const setup = await mail(sap, (m) => /setup_[a-z2-7]{26}/.exec(m.text)?.[0], since);
  const v = await visit({ lang });
  await v.page.goto('/setup');
  await v.page.fill('#code', setup);
  await submit(v);
  await v.page.locator('.seed').waitFor();
  sap.seed = (await v.page.locator('.seed .mono').innerText()).replaceAll(' ', '');
  await v.page.fill('#password', sap.password);
  await v.page.fill('#again', sap.password);
  await v.page.fill('#totp', await act('shown', sap.seed));
  await submit(v);
  await v.page.locator('.verdict.good').waitFor();
  await v.end();
}

const asSAP = (at, f, counted) => as(sap.ic, at, f, { counted, word: sap.password, totp: () => act('shown', sap.seed) });

async function listed(v) {
  await v.page.setInputFiles('#file', { name: 'senarai.csv', mimeType: 'text/csv', buffer: Buffer.from(list) });
  await press(v, 'Semak senarai', 'Check the list');
  await v.page.locator('#c-120-0').fill('800507140118');
  await v.page.locator('#c-251-3').fill('JANM');
  await v.page.locator('#c-402-2').fill('pegawai400@janm.gov.my');
  await scan(v, 'console-mend');
  await v.page.locator('button[name=do][value=all]').click();
  await see(v, '500 pegawai disenaraikan', '500 officers are listed');
}

// all takes a step for all that wait, in as many goes as the gateway wants.
async function all(v, which, reason) {
  await v.page.locator(`button[name=do][value=all-${which}]`).click();
  const sure = v.page.locator('main form:has(input[name=until]):not(:has(input[name=after]))');
  await sure.waitFor();
  if (reason) await v.page.fill('#reason', reason);
  await submit(v);
  await sure.waitFor({ state: 'detached' });
  for (;;) {
    await v.page.locator('[role=status] .note, .tiles').first().waitFor();
    const more = v.page.locator('form:has(input[name=after]) button[type=submit]');
    if (await more.count() === 0) break;
    const left = await v.page.locator('input[name=after]').inputValue();
    await more.click();
    await v.page.locator(`input[name=after][value="${left}"]`).waitFor({ state: 'detached' });
  }
  await v.page.goto('/admin/queue');
}

async function revoked() {
  await as(ap, `/admin/officers/${person.ic}`, async (v) => {
    await v.page.locator('.people-acts').getByRole('link', { name: v.t(/Batalkan sijil/, /Revoke/) }).click();
    await v.page.getByLabel(v.t('Tidak lagi bertugas', 'Cessation of operation')).check();
    await v.page.fill('#why', 'Surat perletakan jawatan bertarikh 1 November diterima');
    await submit(v);
    await see(v, 'Pentadbir kedua perlu mengesahkan', 'A second administrator has to confirm');
  });
  await as(jdn, '/admin/officers/requests', async (v) => {
    await follow(v, /Pembatalan sijil/, /Revocation of the certificate/);
    await title(v, 'Sahkan pembatalan sijil', 'Confirm the revocation');
    await v.page.fill('#why', 'Surat disemak dengan bahagian sumber manusia');
    await submit(v);
    await see(v, 'Sijil telah dibatalkan oleh dua pentadbir', 'The certificate is revoked by two administrators');
  });
  is('the state of the certificate', await act('state', person.ic), 'REVOKED');
}

const secret = async (v) => {
  await title(v, 'Simpan rahsia ini sekarang', 'Keep this secret now');
  return (await v.page.locator('#rahsia').innerText()).trim();
};

async function rotated() {
  await asSAP('/admin/apps', async (v) => {
    await follow(v, 'Daftar aplikasi', 'Register an app');
    await v.page.fill('#app_id', 'lejar');
    await v.page.fill('#name', 'Lejar pukal');
    await v.page.fill('#redirect_uris', 'https://lejar.example/balik');
    await submit(v);
    await said(v);
  });
  await as(second, '/admin/apps', async (v) => {
    await follow(v, 'Semak cadangan', 'Look at the proposal');
    await press(v, 'Sahkan', 'Confirm');
    await said(v);
  });
  const first = await asSAP('/admin/apps/lejar', async (v) => {
    await follow(v, 'Tambah kelayakan', 'Add a credential');
    await follow(v, 'Kunci API', 'API key');
    await press(v, 'Buat kunci API', 'Make an API key');
    return secret(v);
  });
  is('a key that nobody confirmed', await act('call', first), 401);
  await as(second, '/admin/apps/lejar', async (v) => {
    await follow(v, 'Sahkan', 'Confirm');
    await press(v, 'Sahkan kelayakan', 'Confirm the credential');
    await said(v);
    is('the key', await act('call', first), 200);
    await v.page.goto('/admin/apps/lejar');
    await follow(v, 'Putar', 'Rotate');
    await press(v, 'Buat pengganti', 'Make the successor');
    const next = await secret(v);
    is('the new key', await act('call', next), 200);
    is('the old key, for a while', await act('call', first), 200);
    await v.page.goto('/admin/apps/lejar');
    await v.page.getByRole('link', { name: v.t('Batalkan', 'Revoke') }).last().click();
    await press(v, 'Batalkan kelayakan', 'Revoke the credential');
    await said(v);
    is('the old key at the end', await act('call', first), 401);
    is('the new key at the end', await act('call', next), 200);
  });
}

async function asked(v) {
  await v.page.fill('#about', person.ic);
  await press(v, 'Siapa telah melihat?', 'Who has looked?');
  const rows = v.page.locator('table.rows tbody tr');
  await rows.first().waitFor();
  const text = await v.page.locator('table.rows tbody').innerText();
  for (const name of given.looked) if (!text.includes(name)) problem(`${name} looked and is not in ${text}`);
  await scan(v, 'console-looked');
  await rows.first().locator('a').first().click();
  await see(v, 'Rekod ini ada dalam rantaian', 'This record is in the chain');
}

const { given } = config;
await journey(async () => {
  await step('JDN appoints a SAP, another confirms, the SAP sets up', appointed);
  await step('the SAP lists 500 officers and mends three rows', () => asSAP('/admin/list', listed, true));
  await step('JDN admits them', () => as(second, '/admin/queue', (v) => all(v, 'admit'), { counted: true }));
  for (let from = 0; from < officers; from += 25) {
    const n = Math.min(25, officers - from);
    await step(`officers from ${from} confirm and apply`, () => act('joins', { From: from, Confirm: n, Apply: n }));
  }
  await step('the AP validates', () => as(ap, '/admin/queue', (v) => all(v, 'validate', 'Disemak dengan senarai jawatan'), { counted: true }));
  // Who appointed the SAP is one hand with the SAP, and approves nothing that the SAP listed.
  await step('another JDN approves', () => as(second, '/admin/queue?tab=approve', (v) => all(v, 'approve', 'Surat JANM.100-1/1 (12)'), { counted: true }));
  is('certificates', await act('issued'), officers);
  result('office', `${spent.clicks} clicks, ${spent.typed} fields, ${spent.seconds.toFixed(1)} s`);
  await step('a certificate is revoked by two', revoked);
  await step('an app is registered, and its key rotated', rotated);
  await step('the auditor asks who looked', () => as(auditor, '/admin/audit/looks', asked));
});
