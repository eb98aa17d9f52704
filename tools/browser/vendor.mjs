// Copies the files that web/page/assets/vendor/README.md names out of the packages
// installed in bin/browser, and writes their SHA-256 into its table.
import { createHash } from 'node:crypto';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';

const root = new URL('../../', import.meta.url);
const vendor = new URL('web/page/assets/vendor/', root);
const readme = new URL('README.md', vendor);
const lines = readFileSync(readme, 'utf8').split('\n').map((line) => {
  const row = /^\| `([^`/]+)` \| `([^`]+)` \| /.exec(line);
  if (!row) return line;
  const from = new URL(`bin/browser/node_modules/${row[2]}`, root);
  copyFileSync(from, new URL(row[1], vendor));
  const sum = createHash('sha256').update(readFileSync(from)).digest('hex');
  return `| \`${row[1]}\` | \`${row[2]}\` | \`${sum}\` |`;
});
writeFileSync(readme, lines.join('\n'));
