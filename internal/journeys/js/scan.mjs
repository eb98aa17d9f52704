// The camera and pictures of QR codes. The false camera of Chromium looks at a certificate's.
import { config, everywhere, journey, problem, scan, shot, step, visit } from './lib.mjs';

const { given } = config;
const title = (v) => v.t('SAH (KOTAK PASIR)', 'VALID (SANDBOX)');

await journey(async () => {
  await everywhere({ context: { permissions: ['camera'] } }, async (v) => {
    await step('camera', async () => {
      const asked = [];
      v.page.on('request', (r) => asked.push(r.url()));
      await v.page.goto('/scan');
      if (asked.some((u) => u.includes('zxing'))) problem('the reader is loaded before anybody scans');
      await v.page.getByRole('button', { name: v.t('Mulakan kamera', 'Start the camera') }).click();
      await v.page.getByRole('heading', { level: 1, name: title(v) }).waitFor();
      if (new URL(v.page.url()).hash) problem('the secret is in the address');
      await scan(v, 'public-record');
    });
    await step('the other language', async () => {
      await v.page.getByRole('link', { name: v.t('English', 'Bahasa Melayu') }).click();
      await v.page.getByRole('heading', { level: 1, name: v.t('VALID (SANDBOX)', 'SAH (KOTAK PASIR)') }).waitFor();
      await v.page.getByRole('link', { name: v.t('Bahasa Melayu', 'English') }).click();
      await v.page.getByRole('heading', { level: 1, name: title(v) }).waitFor();
    });
    await step('picture', async () => {
      await v.page.goto('/scan');
      await v.page.locator('#gambar').setInputFiles(given.record);
      await v.page.getByRole('heading', { level: 1, name: title(v) }).waitFor();
    });
    for (const [name, file] of Object.entries(given.foreign)) {
      await step(`a code of ${name}`, async () => {
        await v.page.goto('/scan');
        await v.page.locator('#gambar').setInputFiles(file);
        await v.page.locator('#asing').waitFor();
        await v.page.waitForFunction(() => document.getElementById('isinya').textContent.length > 0);
        if (new URL(v.page.url()).pathname !== '/scan') problem('it was opened');
        if (await v.page.locator('#isinya *').count()) problem('it is more than text');
        if (name === 'script') await scan(v, 'public-scan-foreign');
      });
    }
    await step('no picture', async () => {
      await v.page.goto('/scan');
      await v.page.locator('#gambar').setInputFiles(given.nocode);
      await v.page.getByText(v.t('bukan gambar yang dapat dibuka', 'not a picture that can be opened')).waitFor();
      await shot(v, 'public-scan-nopicture');
    });
  });
  await step('not permitted', async () => {
    const v = await visit();
    await v.page.goto('/scan');
    await v.page.getByRole('button', { name: 'Mulakan kamera' }).click();
    await v.page.getByText('Kamera tidak dibenarkan').waitFor();
    await scan(v, 'public-scan-refused');
    await v.end();
  });
  await step('without scripts', async () => {
    const v = await visit({ noJS: true, size: 'phone' });
    await v.page.goto('/scan');
    await v.page.getByText('Gunakan kamera telefon anda sendiri').waitFor();
    await shot(v, 'public-scan');
    await v.end();
  });
});
