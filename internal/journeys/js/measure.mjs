// What pages weigh, and with given.times how fast they are seen: in a browser whose cache is empty, as
// a newcomer's. Times are of a processor slowed down and a network like a slow mobile one.
import { act, code, config, journey, mark, result, visit } from './lib.mjs';

const { given } = config;
const officer = config.dev.officers[0];
const heavy = /\/vendor\/(pdf|zxing)/; // fetched when a PDF is looked at, or a camera used

async function enter(v) {
  const since = await mark(officer);
  await v.page.goto('/login');
  await v.page.locator('#ic').fill(officer.ic);
  await v.page.locator('#password').fill(officer.password);
  await v.page.locator('main form:has(#ic) button[type=submit]').first().click();
  await v.page.locator('#code').fill(await code(officer, since));
  await v.page.locator('main form:has(#code) button[type=submit]').first().click();
  await v.page.waitForURL(/\/portal$/);
  return v.context.cookies();
}

// administrator logs in with password and TOTP.
async function administrator(v) {
  await v.page.goto('/login');
  await v.page.locator('#ic').fill(given.admin.ic);
  await v.page.locator('#password').fill(given.admin.password);
  await v.page.locator('main form:has(#ic) button[type=submit]').first().click();
  await v.page.locator('#code').fill(await act('totp'));
  await v.page.locator('main form:has(#code) button[type=submit]').first().click();
  await v.page.waitForURL(/\/(portal|admin)$/);
  return v.context.cookies();
}

// weigh opens a page in a browser that has no files of ours, and adds up what came.
async function weigh(path, cookies, slow, size) {
  const v = await visit({ size });
  if (cookies) await v.context.addCookies(cookies);
  const cdp = await v.context.newCDPSession(v.page);
  await cdp.send('Network.enable');
  const all = new Map();
  cdp.on('Network.responseReceived', (e) => all.set(e.requestId, { url: e.response.url, bytes: 0 }));
  cdp.on('Network.loadingFinished', (e) => { if (all.has(e.requestId)) all.get(e.requestId).bytes = e.encodedDataLength; });
  if (slow) {
    await cdp.send('Network.emulateNetworkConditions', { offline: false, latency: 150, downloadThroughput: 1_638_400 / 8, uploadThroughput: 768_000 / 8 });
    await cdp.send('Emulation.setCPUThrottlingRate', { rate: 6 });
  }
  await v.page.addInitScript(() => {
    window.mohorPaints = {};
    new PerformanceObserver((l) => { for (const e of l.getEntries()) if (e.name === 'first-contentful-paint') window.mohorPaints.first = e.startTime; }).observe({ type: 'paint', buffered: true });
    new PerformanceObserver((l) => { for (const e of l.getEntries()) window.mohorPaints.largest = e.startTime; }).observe({ type: 'largest-contentful-paint', buffered: true });
  });
  await v.page.goto(path, { waitUntil: 'networkidle' });
  await v.page.waitForFunction(() => window.mohorPaints.first && window.mohorPaints.largest);
  const paints = await v.page.evaluate(() => window.mohorPaints);
  const files = [...all.values()].filter((f) => f.url.startsWith('http'));
  const page = { bytes: 0, later: 0, requests: files.length, ...paints };
  for (const f of files) page[heavy.test(f.url) ? 'later' : 'bytes'] += f.bytes;
  await v.end();
  return page;
}

await journey(async () => {
  const v = await visit();
  const cookies = given.pages.some((p) => p.startsWith('/portal')) ? await enter(v) : [];
  await v.end();
  const w = await visit();
  const seat = await administrator(w);
  await w.end();
  const out = {};
  for (const path of given.pages) {
    const console = path.startsWith('/admin'); // a work place with a keyboard, on as slow a line
    const mine = path.startsWith('/portal') ? cookies : console ? seat : null;
    const rounds = [];
    for (let k = 0; k < (given.times ? 3 : 1); k++) rounds.push(await weigh(path, mine, Boolean(given.times), console ? 'desktop' : 'phone'));
    rounds.sort((a, b) => a.first - b.first);
    out[path] = rounds[Math.floor(rounds.length / 2)];
  }
  result('pages', out);
});
