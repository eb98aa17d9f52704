// Pictures of the manuals from those that the journeys took: node manual.mjs, after
// `make journeys`. Each is cut as web/manual/chapters.json and
// admin.json say, and written as WebP; what no journey took is named and left out.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const { chromium } = createRequire(join(root, 'bin/browser/'))('playwright-core');
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium' });
const page = await browser.newPage();
const assets = join(root, 'web/page/assets/manual');
rmSync(assets, { recursive: true, force: true });
for (const lang of ['ms', 'en']) {
  mkdirSync(join(assets, lang), { recursive: true });
  for (const { pictures = [] } of ['chapters', 'admin'].flatMap((book) => JSON.parse(readFileSync(join(root, `web/manual/${book}.json`))))) {
    for (const { name, shot, top = 0, height = 0 } of pictures) {
      // Where a journey looked at a page in Malay alone, that has to do.
      const taken = [lang, 'ms'].map((l) => join(root, `bin/screenshots/${l}-desktop/${shot}.png`)).find(existsSync);
      if (!taken) {
        console.error(`no picture: ${lang} ${shot}`);
        continue;
      }
      const png = readFileSync(taken).toString('base64');
      const webp = await page.evaluate(async ({ png, top, height }) => {
        const img = new Image();
        img.src = `data:image/png;base64,${png}`;
        await img.decode();
        const tall = Math.min(height || img.height, img.height - top);
        const scale = 960 / img.width;
        const canvas = document.createElement('canvas');
        [canvas.width, canvas.height] = [960, Math.round(tall * scale)];
        const at = canvas.getContext('2d');
        at.imageSmoothingQuality = 'high';
        at.drawImage(img, 0, top, img.width, tall, 0, 0, canvas.width, canvas.height);
        return canvas.toDataURL('image/webp', 0.82).split(',')[1];
      }, { png, top, height });
      writeFileSync(join(assets, lang, `${name}.webp`), Buffer.from(webp, 'base64'));
    }
  }
}
await browser.close();
