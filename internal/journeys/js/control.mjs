// Pages with one fault each: what the harness must find. See control_test.go.
import { config, everywhere, journey, result, scan, step, tabOrder } from './lib.mjs';

await journey(() => everywhere({ langs: ['ms'], sizes: ['phone'], noJS: config.given.noJS, expect: [[404, '/expected']] }, async (v) => {
  for (const path of config.given.paths ?? []) {
    await step(path, async () => {
      await v.page.goto(path).catch(() => {}); // '/cut' has no answer
      if (path !== '/cut') await scan(v, `control${path.replaceAll('/', '-')}`);
    });
  }
  if (config.given.paths) return;
  await step('sound', async () => {
    await v.page.goto('/expected');
    await v.page.goto('/');
    await scan(v, 'control');
    const order = await tabOrder(v);
    await v.page.getByLabel('Nama').fill('Noraini');
    await v.page.getByLabel('Nama').press('Enter');
    await v.page.getByRole('heading', { name: 'Noraini' }).waitFor();
    result('count', v.count);
    result('tabs', order.map((at) => `${at.name}${at.seen ? '' : ' (not seen)'}`).join(', '));
    result('cookie', await v.page.getByTestId('cookie').textContent());
  });
  if (config.given.fail) await step('no such button', () => v.page.getByRole('button', { name: 'Tiada' }).click({ timeout: 200 }));
}));
