// The pages that a stranger can open, and the hosted signing page, as they are shown.
import { advance, code, config, everywhere, journey, mark, problem, result, scan, step } from './lib.mjs';

// sign asks for another code and signs with it.
async function sign(v) {
  const [officer] = config.dev.officers;
  await advance(90);
  const before = await mark(officer);
  await v.page.getByRole('button', { name: 'Hantar kod baharu' }).click();
  await v.page.locator('#pin').fill(officer.pin);
  await v.page.locator('#otp').fill(await code(officer, before));
  await v.page.getByRole('button', { name: 'Tandatangan', exact: false }).first().click();
  await v.page.getByText('TELAH DITANDATANGANI').first().waitFor();
  await scan(v, 'signed');
}

await journey(() => everywhere({}, async (v) => {
  for (const [name, path, status, options] of [
    ['landing', '/', 200],
    // So long that axe takes 15 s: once.
    ...(v.lang === 'ms' && v.size === 'phone' ? [['reference', '/docs', 200]] : []),
    ['record-unknown', '/s/AAAAAAAAAAAAAAAAAAAAAA', 200],
    ['missing', '/s/x', 404],
    ['confirm-unknown', '/e/AAAAAAAAAAAAAAAAAAAAAA', 200],
    ['disown-unknown', '/r/AAAAAAAAAAAAAAAAAAAAAA', 404],
  ]) {
    await step(name, async () => {
      if (status >= 400) v.expect(status, path);
      const r = await v.page.goto(path);
      if (r.status() !== status) problem(`${path} answered ${r.status()}`);
      await scan(v, name, options);
    });
  }
  if (!config.given['sign-ms-desktop']) return; // by hand: no app has asked
  await step('sign', async () => {
    await v.page.goto(config.given[`sign-${v.lang}-${v.size}`]);
    await scan(v, 'sign-open');
    await v.page.getByRole('button').first().click();
    await v.page.locator('#pin').waitFor();
    await scan(v, 'sign');
    if (v.lang === 'ms' && v.size === 'desktop') await sign(v);
    result(`clicks-${v.lang}-${v.size}`, v.count);
  });
}));
