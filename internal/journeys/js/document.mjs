// An officer's way with one PDF: upload, place, PIN and code, signed; what is refused; what is
// interrupted.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { act, advance, code, config, journey, mark, problem, result, scan, shot, step, visit } from './lib.mjs';

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
  const to = join(dir, name);
  writeFileSync(to, Buffer.from(bytes, 'base64'));
  return to;
}

// scanned is a picture of a page in which no script runs, so neither does axe.
const scanned = (v, name) => shot(v, name);

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

// touchTo drags the box with a finger.
async function touchTo(v, x, y) {
  await v.page.locator('[data-box]').scrollIntoViewIfNeeded();
  const b = await v.page.locator('[data-box]').boundingBox();
  const s = await v.page.locator('[data-preview-sheet] canvas').boundingBox();
  const cdp = await v.context.newCDPSession(v.page);
  const touch = (type, points) => cdp.send('Input.dispatchTouchEvent', { type, touchPoints: points });
  const from = { x: b.x + b.width / 3, y: b.y + b.height / 3 };
  const to = { x: s.x + s.width * x, y: s.y + s.height * y };
  await touch('touchStart', [from]);
  for (let k = 1; k <= 5; k++) await touch('touchMove', [{ x: from.x + (to.x - from.x) * k / 5, y: from.y + (to.y - from.y) * k / 5 }]);
  await touch('touchEnd', []);
}

// sign goes on from the form to the signed document.
async function sign(v) {
  const since = await mark(officer);
  await submit(v.page.locator('form.placing')).click();
  await confirm(v, since);
}

async function says(v, what) {
  const text = await v.page.locator('main').innerText();
  if (!text.includes(what)) problem(`the page does not say "${what}": ${text.slice(0, 300)}`);
}

const desktop = { lang: 'ms', size: 'desktop' };

// What cannot be signed is told with its reason, and what to do.
async function refused(v) {
  for (const [name, status, ...words] of [
    ['text', 422, 'bukan PDF yang lengkap'], ['empty', 422, 'bukan PDF yang lengkap'], ['forbidden', 422, 'salinan tanpa sekatan'],
    ['certified', 422, 'mengunci dokumen'], ['script', 422, 'tidak boleh ditandatangani', 'Skrip di dalam dokumen'],
  ]) {
    await step(name, async () => {
      v.expect(status, '/portal/sign');
      v.expect(status, /^\/portal\/sign\/do_/);
      await upload(v, files[name]);
      if (new URL(v.page.url()).pathname !== '/portal/sign') { // that it is so is found when it is asked for
        await ready(v);
        await submit(v.page.locator('form.placing')).click();
      }
      await v.page.locator('#ralat').waitFor();
      for (const w of words) await says(v, w);
      if (new URL(v.page.url()).pathname !== '/portal/sign') await ready(v);
      if (name === 'text' || name === 'certified') await scan(v, `doc-refused-${name}`);
    });
  }
  await step('nothing chosen', async () => {
    await v.page.goto('/portal/sign');
    await submit(v.page.locator('main form')).click();
    await v.page.locator('#ralat a[href="#file"]').waitFor();
  });
  await step('names', async () => {
    const b = readFileSync(files.portrait);
    for (const [name, shows] of [
      ['<img src=x onerror=alert(1)>.pdf', '<img src=x onerror=alert(1)>.pdf'], ['memo\u202Efdp.exe.pdf', 'memofdp.exe.pdf'], [`${'a'.repeat(240)}.pdf`, `${'a'.repeat(112)}….pdf`],
    ]) {
      await v.page.goto('/portal/sign');
      await v.page.locator('#file').setInputFiles({ name, mimeType: 'application/pdf', buffer: b });
      await submit(v.page.locator('main form')).click();
      await ready(v);
      const got = await v.page.locator('.named bdi').innerText();
      if (got !== shows) problem(`the name is shown as ${JSON.stringify(got)}`);
    }
    await scan(v, 'doc-long-name');
  });
  await step('a password', async () => {
    v.expect(422, '/portal/sign');
    await upload(v, files.password);
    await v.page.locator('#password').fill('salah');
    await v.page.locator('#file').setInputFiles(files.password);
    await submit(v.page.locator('main form')).click();
    await v.page.locator('#ralat a[href="#password"]').waitFor();
    await scan(v, 'doc-password');
    if (await v.page.locator('#password').inputValue() !== '') problem('the password is in the page again');
    await v.page.locator('#password').fill('buka');
    await v.page.locator('#file').setInputFiles(files.password);
    await submit(v.page.locator('main form')).click();
    await v.page.locator('form.placing').waitFor();
    await v.page.locator('[data-preview-error]').waitFor();
    await shot(v, 'doc-password-place');
  });
  await step('an action in it', async () => {
    await upload(v, files.link);
    await ready(v);
    await says(v, 'Tindakan menghantar data borang');
    await scan(v, 'doc-warnings');
  });
}

// Without the mouse, and by words of the document.
async function otherWays(v) {
  await step('keyboard', async () => {
    await upload(v, files.portrait);
    await ready(v);
    const field = (name) => v.page.locator(`#${name}`);
    await field('x').fill('30');
    await field('y').fill('100');
    await field('y').press('Tab');
    await v.page.locator('[data-box]').focus();
    for (const k of ['ArrowRight', 'ArrowRight', 'ArrowUp', 'Control+ArrowUp', 'Shift+ArrowRight', 'Shift+ArrowDown']) await v.page.keyboard.press(k);
    for (const [name, want] of [['x', '32'], ['y', '110'], ['width', '71'], ['height', '22']]) {
      const got = await field(name).inputValue();
      if (got !== want) problem(`${name} is ${got}, not ${want}`);
    }
    await field('page').fill('2');
    await field('page').press('Tab');
    await v.page.locator('[data-preview-sheet] canvas[aria-label*="2"]').waitFor();
    await field('x').fill('9000'); // comes back to the page
    await field('x').press('Tab');
    if (parseFloat(await field('x').inputValue()) > 210) problem('the box is beyond the page');
    await field('reason').fill('Diluluskan');
    await shot(v, 'doc-keyboard');
    const box = await shown(v);
    await sign(v);
    const signed = await fetched(v, await v.page.locator('main a.button[download]').getAttribute('href'), 'keyboard.pdf');
    result('at-keyboard', await act('compare', { original: files.portrait, signed, page: 2, box, size: [595, 842] }));
  });
  await step('anchor', async () => {
    await upload(v, files.portrait);
    await ready(v);
    await v.page.locator('#where-1').check();
    v.expect(422, /^\/portal\/sign\/do_/);
    for (const wrong of ['', 'Tandatangan Menteri', 'Tandatangan Pegawai']) { // the last is there three times
      await v.page.locator('#anchor').fill(wrong);
      await submit(v.page.locator('form.placing')).click();
      await v.page.locator('#ralat a[href="#anchor"]').waitFor();
    }
    await scan(v, 'doc-anchor');
    await v.page.locator('#anchor').fill('Tandatangan Pegawai 2');
    await sign(v);
    await act('judge', { file: await fetched(v, await v.page.locator('main a.button[download]').getAttribute('href'), 'anchor.pdf') });
  });
  await step('unseen', async () => {
    await upload(v, files.rotated);
    await v.page.locator('#where-2').check();
    await v.page.locator('details.more summary').first().click();
    await v.page.locator('[name=level][value=B-B]').check();
    await shot(v, 'doc-unseen');
    await sign(v);
    await act('judge', { file: await fetched(v, await v.page.locator('main a.button[download]').getAttribute('href'), 'unseen.pdf') });
  });
}

// What is left, cancelled, too late, done twice: all leads on.
async function interrupted(v) {
  await upload(v, files.portrait);
  await ready(v);
  const at = v.page.url();
  await submit(v.page.locator('form.placing')).click();
  await v.page.waitForURL('**/sign/**');
  await step('left and come back', async () => {
    await v.page.goto(at);
    await v.page.getByRole('link', { name: v.t('Teruskan ke PIN dan kod', 'Go on to PIN and code') }).waitFor();
    await scan(v, 'doc-waiting');
    await v.page.locator('.note a.button').click();
    await v.page.waitForURL('**/sign/**');
  });
  await step('cancelled', async () => {
    await v.page.goto(at);
    await v.page.locator('form[action$="/cancel"] button').click();
    await says(v, 'Permintaan dibatalkan');
    await ready(v);
    await scan(v, 'doc-cancelled');
  });
  await step('too late', async () => {
    await submit(v.page.locator('form.placing')).click();
    await v.page.waitForURL('**/sign/**');
    for (let k = 0; k < 4; k++) { // the session stays awake
      await advance(500);
      await v.page.goto('/portal/sign');
    }
    await v.page.goto(at);
    await says(v, 'Masa untuk PIN dan kod telah tamat');
    await scan(v, 'doc-expired');
  });
  await step('two tabs', async () => {
    const other = await v.context.newPage();
    await other.goto(at);
    await other.locator('[data-box]').waitFor();
    await sign(v);
    const signed = v.page.url();
    await submit(other.locator('form.placing')).click(); // it knows nothing of the first
    await other.locator('.verdict.good').waitFor();
    await other.close();
    await v.page.reload();
    await v.page.locator('.verdict.good').waitFor();
    await v.page.goBack(); // to the signing page, or to what it became
    await v.page.goto(signed);
    await v.page.goto(at); // without naming the transaction
    await v.page.locator('.verdict.good').waitFor();
    await v.page.locator('[data-preview-open]').click();
    await v.page.locator('[data-preview-view] canvas[role=img]').waitFor();
  });
  await step('addresses that lead nowhere', async () => {
    v.expect(404, /^\/portal\//);
    for (const [path, to] of [
      ['/portal/return?state=doc:https://evil.example&transaction_id=//evil.example', '/portal'], ['/portal/return?state=batch:../../logout', '/portal'],
      ['/portal/return?state=doc:do_aaaaaaaaaaaaaaaaaaaaaaaaaa', '/portal/sign/do_aaaaaaaaaaaaaaaaaaaaaaaaaa'], ['/portal/return?transaction_id=tx_aaaaaaaaaaaaaaaaaaaaaaaaaa', '/portal/history/tx_aaaaaaaaaaaaaaaaaaaaaaaaaa'],
      ['/portal/sign/%2e%2e', ''], ['/portal/sign/do_1', '/portal/sign/do_1'], ['/portal/history/tx_x%2fy', ''],
    ]) {
      await v.page.goto(path);
      const got = new URL(v.page.url());
      if (got.origin !== new URL(config.base).origin || to && got.pathname !== to) problem(`${path} led to ${got}`);
    }
    await v.page.goto('/portal/sign/do_aaaaaaaaaaaaaaaaaaaaaaaaaa');
    await scan(v, 'doc-gone');
  });
}

async function history(v) {
  await step('history', async () => {
    await v.page.goto('/portal/history');
    await v.page.locator('tbody tr').first().waitFor();
    await scan(v, 'history');
    let rows = await v.page.locator('tbody tr').count();
    while (await v.page.locator('a[rel=next]').count()) {
      await v.page.locator('a[rel=next]').click();
      await v.page.waitForLoadState();
      rows += await v.page.locator('tbody tr').count();
    }
    if (rows < 60) problem(`${rows} rows of history`);
    await v.page.locator('#status').selectOption('CANCELLED');
    await v.page.locator('.filter button').click();
    await v.page.waitForURL('**status=CANCELLED**');
    const tags = new Set(await v.page.locator('tbody .tag').allInnerTexts());
    if (tags.size !== 1) problem(`the filter shows ${[...tags]}`);
    await v.page.locator('#status').selectOption('FAILED');
    await v.page.locator('.filter button').click();
    await v.page.locator('.empty').waitFor();
    await scan(v, 'history-none');
    await v.page.goto('/portal/history?after=x&status=y');
    await v.page.locator('tbody tr').first().waitFor();
  });
  await step('evidence', async () => {
    await v.page.goto('/portal/history?status=SIGNED');
    await v.page.locator('tbody a').first().click();
    await v.page.locator('.timeline').waitFor();
    await scan(v, 'history-evidence');
    const file = JSON.parse(readFileSync(await fetched(v, await v.page.locator('a[href$="/evidence.json"]').getAttribute('href'), 'evidence.json'), 'utf8'));
    const fingerprint = await v.page.locator('.facts .mono').first().innerText();
    if (file.fingerprint !== fingerprint || !file.intended_at || file.documents.length < 1) problem(`the evidence file is about ${JSON.stringify(file)}`);
    await v.page.emulateMedia({ media: 'print' });
    await shot(v, 'history-evidence-print');
    await v.page.emulateMedia({ media: null });
  });
}

await journey(async () => {
  await step('desktop', async () => {
    const v = await visit(desktop);
    await step('an empty history', async () => {
      await login(v);
      await scan(v, 'doc-upload');
      await v.page.goto('/portal/history');
      await v.page.locator('.empty').waitFor();
      await scan(v, 'history-empty');
    });
    await upload(v, files.voucher);
    await ready(v);
    await scan(v, 'doc-place');
    await placed(v, 'portrait', [595, 842], 3, () => dragTo(v, 0.55, 0.3));
    await scan(v, 'doc-signed');
    await placed(v, 'rotated', [842, 595], 2, () => dragTo(v, 0.2, 0.65));
    await placed(v, 'offset', [400, 600], 1, () => dragTo(v, 0.45, 0.1));
    await act('many', 60);
    await history(v);
    await step('refused', () => refused(v));
    await step('other ways', () => otherWays(v));
    await step('interrupted', () => interrupted(v));
    await v.end();
  });
  await step('without scripts', async () => {
    const v = await visit({ ...desktop, noJS: true });
    await login(v);
    await upload(v, files.portrait);
    await v.page.locator('#page').fill('2');
    await v.page.locator('#x').fill('400');
    await v.page.locator('#y').fill('50,5');
    v.expect(400, /^\/portal\/sign\/do_/);
    v.expect(422, /^\/portal\/sign\/do_/);
    await submit(v.page.locator('form.placing')).click();
    await v.page.locator('#ralat').waitFor();
    await scanned(v, 'doc-outside');
    await v.page.locator('#x').fill('60');
    await sign(v);
    await scanned(v, 'doc-signed');
    await v.page.goto('/portal/history');
    await v.page.locator('tbody a').first().click();
    await v.page.locator('.timeline').waitFor();
    await v.end();
  });
  for (const [lang, size] of [['en', 'phone'], ['ms', 'phone'], ['en', 'desktop']]) {
    await step(`${lang}-${size}`, async () => {
      const v = await visit({ lang, size });
      await login(v);
      await scan(v, 'doc-upload');
      await upload(v, files.portrait);
      await ready(v);
      await scan(v, 'doc-place');
      await (size === 'phone' ? touchTo(v, 0.4, 0.3) : dragTo(v, 0.4, 0.3));
      await shot(v, 'doc-moved');
      const box = await shown(v);
      await sign(v);
      await scan(v, 'doc-signed');
      const signed = await fetched(v, await v.page.locator('main a.button[download]').getAttribute('href'), `${lang}-${size}.pdf`);
      result(`at-${lang}-${size}`, await act('compare', { original: files.portrait, signed, page: 3, box, size: [595, 842] }));
      await v.page.goto('/portal/history');
      await scan(v, 'history');
      await v.page.locator('tbody a').first().click();
      await v.page.locator('.timeline').waitFor();
      await scan(v, 'history-evidence');
      await v.end();
    });
  }
});
