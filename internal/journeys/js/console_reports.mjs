// The auditor's questions, and reports.
import { act, config, enter, everywhere, journey, problem, scan, step, visit } from './lib.mjs';

const [officer] = config.dev.officers;
const { auditor, ap, jdn } = config.given;
const is = (what, got, want) => { if (got !== want) problem(`${what}: ${got}, not ${want}`); };

async function taken(v, link) {
  const coming = v.page.waitForEvent('download');
  await link.click();
  return (await coming).path();
}

async function reports(v) {
  await v.page.goto('/admin/reports');
  is('cards', await v.page.locator('.tile').count(), 11);
  await scan(v, 'console-reports-cards');
  await v.page.locator('.tile', { hasText: v.t('Tandatangan harian', 'Signatures by day') }).click();
  await v.page.locator('figure.plot').waitFor();
  is('bars', await v.page.locator('.bars rect').count(), 1);
  is('signatures', (await v.page.locator('table.rows tbody tr').first().locator('td').nth(4).innerText()).trim(), '3');
  await scan(v, 'console-reports-daily');
  for (const name of ['refusals', 'channels', 'users']) {
    await v.page.goto(`/admin/reports/${name}`);
    await v.page.locator('figure.plot').waitFor();
    await scan(v, `console-reports-${name}`);
  }
  const words = await v.page.goto('/admin/reports/refusals').then(() => v.page.locator('table.rows tbody').innerText());
  for (const word of [v.t('PIN salah', 'Wrong PIN'), v.t('Kod salah', 'Wrong code')]) if (!words.includes(word)) problem(`${word} is not among ${words}`);
  await v.page.goto('/admin/reports/expiring?days=7');
  await v.page.locator('.empty').waitFor();
  await scan(v, 'console-reports-empty');
  await v.page.goto('/admin/reports/daily?days=999');
  await v.page.locator('#days-error, #ralat').first().waitFor();
  await scan(v, 'console-reports-wrong');
}

async function audit(v) {
  await v.page.goto('/admin/audit/looks');
  await scan(v, 'console-reports-looks');
  await v.page.fill('#about', 'x');
  await v.page.getByRole('button', { name: v.t('Siapa telah melihat?', 'Who has looked?') }).click();
  await v.page.locator('#ralat').waitFor();
  await scan(v, 'console-reports-looks-wrong');
  await v.page.fill('#about', `${officer.ic.slice(0, 6)}-${officer.ic.slice(6, 8)}-${officer.ic.slice(8)}`);
  await v.page.getByRole('button', { name: v.t('Siapa telah melihat?', 'Who has looked?') }).click();
  const look = v.page.locator('table.rows tbody tr', { hasText: v.t('Melihat maklumat pegawai', 'Looked at an officer') }).first();
  await look.waitFor();
  const said = await look.innerText();
  for (const part of [jdn, v.t('Pentadbir GPKI JDN', 'GPKI administrator, JDN'), '127.0.0.1']) if (!said.includes(part)) problem(`${part} is not in ${said}`);
  await scan(v, 'console-reports-looked');
  await look.locator('a').first().click();
  await v.page.getByText(v.t('Rekod ini ada dalam rantaian', 'This record is in the chain')).waitFor();
  await scan(v, 'console-reports-record');
  await v.page.goto('/admin/audit');
  await v.page.locator('table.rows').waitFor();
  await scan(v, 'console-reports-search');
  await v.page.goto('/admin/audit?action=tiada');
  await v.page.locator('.empty').waitFor();
  await scan(v, 'console-reports-search-none');
}

// damaged: a record that somebody spoiled in the database is shown as one, beside the others.
async function damaged(v) {
  const seq = await act('damaged');
  try {
    for (const [path, name] of [[`/admin/audit/looks?about=${officer.ic}`, 'looked'], ['/admin/audit?action=enrol.read', 'search']]) {
      await v.page.goto(path);
      const bad = v.page.locator(`tr[data-unreadable="${seq}"]`);
      await bad.getByText(v.t('Tidak dapat dibaca', 'Unreadable')).waitFor();
      if (await v.page.locator('table.rows tbody tr').count() < 2) problem(`${path}: the others are not there`);
      await scan(v, `console-reports-damaged-${name}`);
    }
    await v.page.locator(`tr[data-unreadable="${seq}"] a`).click();
    await v.page.getByText(v.t('Simpan semuanya seperti sedia ada', 'Keep everything as it is')).waitFor();
    await scan(v, 'console-reports-damaged-record');
  } finally {
    await act('mended');
  }
}

async function evidence(v) {
  await v.page.goto(`/admin/audit/looks?about=${officer.ic}`);
  await v.page.locator('table.rows tbody tr', { hasText: 'Melihat maklumat pegawai' }).first().locator('a').first().click();
  await v.page.getByText('Rekod ini ada dalam rantaian').waitFor();
  await act('checked', await taken(v, v.page.getByRole('link', { name: 'Muat turun bukti rekod ini' })));
  await v.page.goto(`/admin/audit?about=${officer.ic}`);
  await v.page.locator('summary', { hasText: 'Bawa keluar sebagai bukti' }).click();
  await act('checked', await taken(v, v.page.getByRole('link', { name: /Muat turun bukti/ })));
  await act('inert', await taken(v, v.page.getByRole('link', { name: 'Muat turun CSV' })));
  await act('inert', await taken(v, v.page.getByRole('link', { name: 'Muat turun XLSX' })));
  await v.page.goto('/admin/audit?action=audit.export');
  await v.page.locator('table.rows').waitFor();
  is('exports in the audit', await v.page.locator('table.rows tbody tr').count(), 4);
  await v.page.goto('/admin/reports/daily');
  await taken(v, v.page.getByRole('link', { name: 'Muat turun XLSX' }));
}

await journey(async () => {
  const both = async (v) => {
    v.expect(422, /^\/admin/);
    v.expect(400, /^\/admin/);
    await enter(v, auditor);
    await step('reports', () => reports(v));
    await step('audit', () => audit(v));
    await step('damaged', () => damaged(v));
    if (v.lang === 'ms' && v.size === 'desktop') await step('evidence', () => evidence(v));
  };
  await everywhere({ langs: ['ms'], sizes: ['desktop'] }, both);
  await everywhere({ langs: ['en'], sizes: ['phone'] }, both);
  await step('an AP has no audit', async () => {
    const v = await visit({});
    v.expect(403, /^\/admin\/audit/);
    await enter(v, ap);
    if (await v.page.locator('a[href="/admin/audit"]').count()) problem('the menu leads to the audit');
    for (const path of ['/admin/audit', '/admin/audit/1', '/admin/audit/looks', '/admin/audit/file?seq=1']) is(path, (await v.page.goto(path)).status(), 403);
    is('reports', (await v.page.goto('/admin/reports/pending')).status(), 200);
    await v.end();
  });
});
