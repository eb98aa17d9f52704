// An officer's way with one PDF: upload, place, PIN and code, signed; what is refused; what is
// interrupted.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { act, advance, axe, code, config, everywhere, journey, mark, problem, result, scan, shot, step, visit } from './lib.mjs';

const officer = config.dev.officers[0];
const { files, dir } = config.given;
const submit = (form) => form.locator('button[type=submit]').last();

export async function login(v) {
  const since = await mark(officer);
  await v.page.goto('/login?next=/portal/sign');
  await v.page.locator('#ic').fill(officer.ic);
  await v.page.locator('#password').fill(officer.password);
  await submit(v.page.locator('main form')).click();
  await v.page.locator('#code').fill(await code(officer, since));
  await submit(v.page.locator('main form')).click();
  await v.page.locator('#file').waitFor();
}

async function upload(v, file) {
  await v.page.goto('/portal/sign');
  await v.page.locator('#file').setInputFiles(file);
  await submit(v.page.locator('main form')).click();
}

// ready: the page of the box is drawn, and the box on it.
const ready = (v) => v.page.locator('[data-box]').waitFor();

// confirm gives PIN and code on the signing page and comes back.
async function confirm(v, since) {
  await v.page.waitForURL('**/sign/**');
  const pin = v.page.locator('[name=pin]');
  const open = v.page.locator('form:not(:has([name=pin])) button[type=submit]').first();
  await pin.or(open).first().waitFor();
  if (!await pin.isVisible()) await open.click();
  await pin.fill(officer.pin);
  await v.page.locator('[name=otp]').fill(await code(officer, since));
  await submit(v.page.locator('form:has([name=pin])')).click();
  await v.page.locator('a[href*="/portal/return"]').first().click();
  await v.page.waitForURL('**/portal/sign/do_*');
}

// fetched saves what a link leads to.
async function fetched(v, href, name) {
  const bytes = await v.page.evaluate(async (href) => {
    const b = new Uint8Array(await (await fetch(href)).arrayBuffer());
    let s = '';
    for (let k = 0; k < b.length; k += 8192) s += String.fromCharCode(...b.subarray(k, k + 8192));
    return btoa(s);
  }, href);
  const { writeFileSync } = await import('node:fs');
  const to = join(dir, name);
  writeFileSync(to, Buffer.from(bytes, 'base64'));
  return to;
}

// shown is where the box is, as parts of the page.
async function shown(v) {
  return v.page.evaluate(() => {
    const b = document.querySelector('[data-box]').getBoundingClientRect();
    const s = document.querySelector('[data-preview-sheet] canvas').getBoundingClientRect();
    return [(b.left - s.left) / s.width, (b.top - s.top) / s.height, b.width / s.width, b.height / s.height];
  });
}

// dragTo moves the middle of the box to a part of the page with the mouse.
async function dragTo(v, x, y) {
  await v.page.locator('[data-box]').scrollIntoViewIfNeeded();
  const b = await v.page.locator('[data-box]').boundingBox();
  await v.page.mouse.move(b.x + b.width / 3, b.y + b.height / 3);
  await v.page.mouse.down();
  const s = await v.page.locator('[data-preview-sheet] canvas').boundingBox();
  const to = [s.x + s.width * x, s.y + s.height * y];
  for (let k = 1; k <= 5; k++) await v.page.mouse.move(b.x + (to[0] - b.x) * k / 5, b.y + (to[1] - b.y) * k / 5);
  await v.page.mouse.up();
}

async function placed(v, name, size, page, place) {
  await step(name, async () => {
    await upload(v, files[name]);
    await ready(v);
    await place();
    const box = await shown(v);
    const since = await mark(officer);
    await submit(v.page.locator('form.placing')).click();
    await confirm(v, since);
    const signed = await fetched(v, await v.page.locator('main a.button[download]').getAttribute('href'), `${name}.pdf`);
    result(`at-${name}`, await act('compare', { original: files[name], signed, page, box, size }));
    await act('judge', { file: signed });
  });
}

await journey(async () => {
  await step('desktop', async () => {
    const v = await visit({ lang: 'ms', size: 'desktop' });
    await step('log in', () => login(v));
    await scan(v, 'doc-upload');
    await upload(v, files.voucher);
    await ready(v);
    await scan(v, 'doc-place');
    await placed(v, 'portrait', [595, 842], 3, () => dragTo(v, 0.55, 0.3));
    await scan(v, 'doc-signed');
    await placed(v, 'rotated', [842, 595], 2, () => dragTo(v, 0.2, 0.65));
    await placed(v, 'offset', [400, 600], 1, () => dragTo(v, 0.45, 0.1));
    await v.end();
  });
});
