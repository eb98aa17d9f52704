// What anybody can do without a session: find the way, verify, look at a record, read help.
import { config, everywhere, journey, problem, scan, step, visit } from './lib.mjs';

await journey(() => everywhere({}, async (v) => {
  for (const [name, path, status = 200] of [
    ['landing', '/'], ['help', '/help'], ['help-trust', '/help/trust'], ['help-privacy', '/help/privacy'], ['scan', '/scan'], ['candidate', '/candidate'], ['verify', '/verify'],
    ['record-locked', '/s/AAAAAAAAAAAAAAAAAAAAAA'], ['record-unknown', '/s/x', 404], ['page-missing', '/tiada', 404],
  ]) {
    await step(name, async () => {
      if (status >= 400) v.expect(status, path);
      const r = await v.page.goto(path);
      if (r.status() !== status) problem(`${path} answered ${r.status()}`);
      await scan(v, `public-${name}`);
    });
  }
}));
