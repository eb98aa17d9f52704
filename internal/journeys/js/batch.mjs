// The officer's batches of certificates.
import { config, code, everywhere, journey, mark, problem, result, scan, shot, step, visit } from './lib.mjs';
import { basename } from 'node:path';
import { readFileSync } from 'node:fs';

const { given } = config;
const officer = config.dev.officers[0];
const batches = '/portal/batches';

async function login(v, next = '') {
  const since = await mark(officer);
  await v.page.goto(`/login${next && `?next=${next}`}`);
  await v.page.locator('#ic').fill(officer.ic);
  await v.page.locator('#password').fill(officer.password);
  await v.page.locator('main form button[type=submit]').last().click();
  await v.page.locator('#code').waitFor();
  await v.page.locator('#code').fill(await code(officer, since));
  await v.page.locator('main form button[type=submit]').last().click();
  await v.page.waitForURL((u) => u.pathname.startsWith('/portal'));
}

// sign gives PIN and code on the signing page.
async function sign(v, since) {
  await v.page.waitForURL('**/sign/**');
  await v.page.locator('#pin').fill(officer.pin);
  await v.page.locator('#otp').fill(await code(officer, since));
  await v.page.locator('form:has(#pin) button[type=submit]').last().click();
  await v.page.locator('a[href*="/portal/return"]').first().click();
  await v.page.waitForURL(`**${batches}/**`);
}

const heading = (v, text) => v.page.getByText(text).first();
const signed = (v, n) => heading(v, v.t(`${n} telah ditandatangani`, `${n} are signed`)).waitFor({ timeout: 120_000 });
const seal = (v) => v.page.getByRole('button', { name: v.t(/^Meterai dan tandatangan/, /^Seal and sign/) });
const signer = (v) => v.page.getByRole('button', { name: v.t(/^Tandatangan \d/, /^Sign (\d|the)/) });
const submit = (v) => v.page.locator('form:has(#file) button[type=submit]');
const path = (v) => new URL(v.page.url()).pathname;

async function upload(v, file, name = '') {
  await v.page.goto(`${batches}/new`);
  if (name) await v.page.locator('#name').fill(name);
  await v.page.locator('#file').setInputFiles(file);
  await submit(v).click();
}

// opened waits for a batch's page behind an upload.
async function opened(v) {
  await v.page.waitForURL((u) => /\/portal\/batches\/ba_/.test(u.pathname));
}

async function newcomer() {
  const v = await visit({ lang: 'ms' });
  await login(v);
  await v.page.getByRole('link', { name: 'Sijil pukal' }).first().click();
  await v.page.getByRole('link', { name: 'Kelompok baharu' }).click();
  await v.page.locator('#name').fill('SKM Julai 2026');
  await v.page.locator('#file').setInputFiles(given.hundred);
  await submit(v).click();
  await v.page.locator('figure.sheet img').waitFor();
  await v.page.getByRole('link', { name: 'Terakhir' }).click();
  await v.page.getByText('100 daripada 100').waitFor();
  const since = await mark(officer);
  await seal(v).click();
  await sign(v, since);
  await signed(v, 100);
  const [zip] = await Promise.all([v.page.waitForEvent('download'), v.page.getByRole('link', { name: /Muat turun ZIP/ }).click()]);
  await zip.saveAs(`${given.dir}/newcomer.zip`);
  result('newcomer', { ...v.count, seconds: Math.round(10 * v.seconds()) / 10 });
  await v.end();
}

await journey(async () => {
  await step('newcomer', newcomer);
});
