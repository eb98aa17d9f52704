// The files of web/page/assets/vendor under the strict policy of the pages. See vendor_test.go.
import { config, everywhere, journey, noOverflow, result, shot, step } from './lib.mjs';

await journey(() => everywhere({ langs: ['ms'], sizes: ['desktop'] }, async (v) => {
  await step('htmx', async () => {
    await v.page.goto('/htmx');
    await v.page.getByRole('button', { name: 'Muat' }).click();
    await v.page.getByText('Dimuatkan').waitFor();
    await v.page.getByText('kemajuan 3').waitFor();
    result('sheets', await v.page.evaluate(() => document.adoptedStyleSheets.length + document.querySelectorAll('style, [style]').length));
    await shot(v, 'vendor-htmx');
  });
  await step('zxing', async () => {
    await v.page.goto('/zxing');
    await v.page.locator('output[data-done]').waitFor();
    result('qr', await v.page.locator('output').textContent());
  });
  await step('JPEG 2000', async () => {
    await v.page.goto('/jpx');
    await v.page.locator('output[data-done]').waitFor();
    result('jpx', await v.page.locator('output').textContent());
  });
  for (const name of config.given.pdfs) {
    await step(`pdf.js: ${name}`, async () => {
      await v.page.goto(`/pdf?${name}`);
      await v.page.locator('output[data-done]').waitFor();
      result(name, JSON.parse(await v.page.locator('output').textContent()));
      await noOverflow(v);
      await shot(v, `vendor-pdf-${name}`);
    });
  }
}));
