// How the gateway is, as administrators see it: faults that are real, each with what to do.
import { act, config, enter, everywhere, journey, problem, scan, step, visit } from './lib.mjs';

const { admin, helper, auditor, dir } = config.given;
const is = (what, got, want) => { if (got !== want) problem(`${what}: ${got}, not ${want}`); };
const has = (what, text, part) => { if (!text.includes(part)) problem(`${what}: “${text}” lacks “${part}”`); };

const verdict = (v) => v.page.locator('#kesihatan-ringkas h1').innerText();
const fault = (v, id) => v.page.locator(`.health-fault[data-check="${id}"]`);
const board = (v) => v.page.goto('/admin/health');

// until looks and loads the page anew until a check is, or is not, among the faults.
async function until(v, id, there) {
  for (const end = Date.now() + 30_000; Date.now() < end;) {
    await act('look');
    await board(v);
    if (await fault(v, id).count() === (there ? 1 : 0)) return;
  }
  problem(`${id} is ${there ? 'not ' : ''}among the faults: ${await v.page.locator('main').innerText()}`);
}

// well looks until nothing is wrong: on a busy machine a part may be slow, and one that comes back
// fail once more.
async function well(v) {
  for (const end = Date.now() + 30_000; Date.now() < end;) {
    await act('look');
    await board(v);
    if (!await v.page.locator('tr[data-alarm], .health-fault').count()) return;
  }
}

async function faults(v) {
  await step('well', async () => {
    await well(v);
    is('verdict', await verdict(v), v.t('Semuanya baik', 'All is well'));
    await scan(v, 'console-health-well');
  });
  await step('a real installation without a backup', async () => {
    await act('earnest', true);
    await until(v, 'backup', true);
    has('the fault', await fault(v, 'backup').innerText(), v.t('Tiada sandaran pernah dicatat', 'No backup was ever noted'));
    has('what to do', await fault(v, 'backup').innerText(), `mohor backup mark --data ${dir} --copy`);
    await scan(v, 'console-health-backup');
    await act('backup');
    await until(v, 'backup', false);
    has('the backup', await v.page.locator('#kesihatan-semua').innerText(), v.t('Sandaran terakhir baharu dan telah disahkan', 'The last backup is recent and was verified'));
    await act('earnest', false);
    await act('look');
  });
  await step('Redis goes while somebody looks', async () => {
    await act('redisGone');
    await act('look');
    await act('look');
    await v.page.locator('.health-bar a').first().focus(); // which the page's own update must not take away
    await fault(v, 'redis').waitFor();
    is('focus', await v.page.evaluate(() => document.activeElement.getAttribute('href')), '/admin/health');
    is('verdict', await verdict(v), v.t('1 kerosakan', '1 fault'));
    has('what to do', await fault(v, 'redis').innerText(), 'systemctl restart redis-server');
    await scan(v, 'console-health-redis');
  });
  await step('acknowledge', async () => {
    await v.page.locator('tr[data-alarm] a.button').click();
    await v.page.locator('#note').waitFor();
    await scan(v, 'console-health-acknowledge');
    v.expect(422, /^\/admin\/health\/alarms\//);
    await v.page.fill('#note', 'ok');
    await v.page.click('main form button[type=submit]');
    await v.page.locator('#ralat').waitFor();
    is('what was typed', await v.page.inputValue('#note'), 'ok');
    await scan(v, 'console-health-acknowledge-wrong');
    await v.page.fill('#note', 'Pelayan Redis dihidupkan semula oleh pusat data');
    await v.page.click('main form button[type=submit]');
    await v.page.locator('tr[data-alarm]').waitFor();
    has('the alarm', await v.page.locator('tr[data-alarm]').innerText(), 'Pelayan Redis dihidupkan semula oleh pusat data');
    await act('redisBack');
    await until(v, 'redis', false);
  });
  await step('the mail server goes', async () => {
    await act('mailGone');
    await until(v, 'mail', true);
    has('the fault', await fault(v, 'mail').innerText(), v.t('Kod tidak sampai kepada pegawai', 'Codes do not reach officers'));
    has('what to do', await fault(v, 'mail').innerText(), `mohor doctor --data ${dir}`);
  });
}

async function token(v) {
  await step('and the HSM', async () => {
    await act('tokenGone');
    await until(v, 'hsm', true);
    await act('look');
    await board(v);
    is('verdict', await verdict(v), v.t('2 kerosakan', '2 faults'));
    has('the fault', await fault(v, 'hsm').innerText(), v.t('Tiada siapa boleh menandatangani', 'Nobody can sign'));
    await scan(v, 'console-health-faults');
  });
}

// Without the HSM nobody logs in: these are there already.
async function others(v, s, a) {
  await step('those who answer the telephone', async () => {
    await board(s);
    const text = await s.page.locator('main').innerText();
    has('an SAP is told', text, v.t('Perkhidmatan tandatangan terganggu', 'The signing service is disturbed'));
    has('an SAP is told', text, v.t('kod tidak sampai kepada pegawai', 'codes do not reach officers'));
    if (text.includes(dir) || await s.page.locator('pre').count()) problem(`an SAP is told too much: ${text}`);
    await scan(s, 'console-health-brief');
    s.expect(403, '/admin/health/alarms');
    await s.page.goto('/admin/health/alarms');
    await s.end();
  });
  await step('the auditor', async () => {
    await board(a);
    is('alarms', await a.page.locator('tr[data-alarm]').count(), 2);
    is('buttons', await a.page.locator('tr[data-alarm] a.button').count(), 0);
    await a.end();
  });
}

async function over(v) {
  await step('all is well again', async () => {
    await act('tokenBack');
    await act('mailBack');
    await until(v, 'hsm', false);
    await until(v, 'mail', false);
    await well(v);
    is('verdict', await verdict(v), v.t('Semuanya baik', 'All is well'));
    is('alarms', await v.page.locator('tr[data-alarm]').count(), 0);
  });
  await step('history', async () => {
    await v.page.goto('/admin/health/alarms');
    const text = await v.page.locator('main').innerText();
    has('history', text, 'Pelayan Redis dihidupkan semula oleh pusat data');
    is('over', await v.page.locator('tbody tr').count(), 3);
    await scan(v, 'console-health-history');
    v.expect(404, '/admin/health/alarms/al_none');
    await v.page.goto('/admin/health/alarms/al_none');
    await scan(v, 'console-health-gone');
  });
  await step('without scripts', async () => {
    const s = await visit({ lang: v.lang, size: v.size, noJS: true });
    await enter(s, admin);
    await board(s);
    is('verdict', await verdict(s), v.t('Semuanya baik', 'All is well'));
    await s.page.locator('.health-bar a').first().click();
    await scan(s, 'console-health-nojs');
    await s.end();
  });
}

journey(async () => {
  const v = await visit({});
  const s = await visit({}), a = await visit({});
  await step('ms-desktop', async () => {
    await enter(v, admin);
    await enter(s, helper);
    await enter(a, auditor);
    await faults(v);
  });
  await everywhere({}, async (x) => { // with one fault
    await enter(x, admin);
    await board(x);
    await scan(x, 'console-health-fault');
  });
  await step('ms-desktop', async () => {
    await token(v);
    await others(v, s, a);
    await over(v);
    await v.end();
  });
});
