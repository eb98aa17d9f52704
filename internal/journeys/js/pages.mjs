// The pages that a stranger can open, and the hosted signing page, as they are shown.
import { config, everywhere, journey, problem, result, scan, step } from './lib.mjs';

await journey(() => everywhere({}, async (v) => {
  for (const [name, path, status, options] of [
    ['landing', '/', 200],
    // So long that axe takes 15 s: once. Two of its examples cannot be scrolled by keyboard.
    ...(v.lang === 'ms' && v.size === 'phone' ? [['reference', '/docs', 200, { except: ['scrollable-region-focusable'] }]] : []),
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
  await step('sign', async () => {
    await v.page.goto(config.given[`sign-${v.lang}-${v.size}`]);
    await scan(v, 'sign-open');
    await v.page.getByRole('button').first().click();
    await v.page.locator('#pin').waitFor();
    await scan(v, 'sign');
    result(`clicks-${v.lang}-${v.size}`, v.count);
  });
}));
