// States of the signing page that a gateway seldom has.
import { axe, config, everywhere, journey, problem, scan, shot, step, visit } from './lib.mjs';

const at = (name) => `/sign/${(name + config.given.fill).slice(0, 22)}`;
async function open(v, name) {
  await v.page.goto(at(name));
  await v.page.getByRole('button', { name: v.t('Buka halaman tandatangan', 'Open the signing page') }).click();
  await v.page.getByRole('heading', { level: 1 }).waitFor();
}

await journey(async () => {
  await everywhere({}, async (v) => {
    await step('waiting', async () => {
      await open(v, 'waiting');
      await v.page.getByRole('img', { name: v.t('Wau bulan', 'Moon kite') }).waitFor();
      await scan(v, 'sign-waiting');
      const notice = await v.page.locator('#notis').innerText();
      if (!notice.includes('DILARANG MEMBERI PINJAM') || notice.includes('It is forbidden') !== (v.lang === 'en')) problem(`the notice says ${notice}`);
    });
    for (const code of ['certificate_expired', 'hsm_unavailable', 'documents_mismatch']) {
      await step(code, async () => {
        v.expect(409, `${at('waiting')}/confirm`);
        await v.page.goto(at('waiting'));
        await v.page.fill('#pin', code);
        await v.page.fill('#otp', '123456');
        await v.page.getByRole('button', { name: v.t('Tandatangan', 'Confirm Signature'), exact: true }).click();
        await v.page.locator('#ralat').waitFor();
        await shot(v, `sign-${code}`);
      });
    }
    for (const [name, word] of [
      ['blocked', v.t('PIN DISEKAT', 'THE PIN IS BLOCKED')], ['signing', v.t('SEDANG DITANDATANGANI', 'BEING SIGNED')], ['partly', v.t('DITANDATANGANI, KECUALI BEBERAPA DOKUMEN', 'SIGNED, BUT FOR SOME DOCUMENTS')],
      ['portal', v.t('TELAH DITANDATANGANI', 'SIGNED')], ['needs', v.t('TERHENTI SEBELUM SELESAI', 'STOPPED BEFORE THE END')], ['failed', v.t('TIDAK BERJAYA', 'FAILED')],
    ]) {
      await step(name, async () => {
        await open(v, name);
        await v.page.getByRole('heading', { level: 1, name: word, exact: true }).waitFor();
        await scan(v, `sign-state-${name}`);
        if (name === 'partly') {
          await v.page.emulateMedia({ media: 'print' });
          await shot(v, 'sign-printed');
          await v.page.emulateMedia({ media: 'screen' });
        }
      });
    }
    await step('unwell', async () => {
      v.expect(503, at('unwell'));
      await v.page.goto(at('unwell'));
      await v.page.getByRole('button').first().click();
      await v.page.getByRole('heading', { level: 1, name: v.t('SILA CUBA SEBENTAR LAGI', 'PLEASE TRY AGAIN SHORTLY') }).waitFor();
      await scan(v, 'sign-state-unwell');
    });
  });
  await step('moving', async () => {
    const v = await visit({ lang: 'ms', size: 'phone' });
    await open(v, 'moving');
    await v.page.getByText('100 daripada 400').waitFor();
    const pages = v.count.pages;
    await v.page.getByText('200 daripada 400').waitFor();
    await v.page.getByText('300 daripada 400').waitFor();
    if (v.count.pages !== pages) problem('the page was loaded again');
    await v.page.getByRole('heading', { level: 1, name: 'TELAH DITANDATANGANI' }).waitFor();
    await v.end();
  });
  await step('at 400 %', async () => {
    const v = await visit({ lang: 'ms', size: 'phone', context: { viewport: { width: 320, height: 640 } } });
    for (const name of ['waiting', 'signing', 'partly', 'blocked']) {
      await open(v, name);
      await scan(v, `sign-320-${name}`);
    }
    await v.end();
  });
  await step('in the dark', async () => {
    const v = await visit({ lang: 'ms', size: 'phone', context: { colorScheme: 'dark' } });
    for (const name of ['waiting', 'signing', 'partly', 'blocked']) {
      await open(v, name);
      await axe(v);
      await shot(v, `sign-dark-${name}`);
    }
    await v.end();
  });
});
