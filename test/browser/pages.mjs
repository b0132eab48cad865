// Every page: how fast, how it looks, and whether everybody can use it.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { check, holds, isClean, looks, openPage, same } from './check.mjs';
import * as service from './service.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const rounds = 5;
const firstByteMs = process.env.WAYMARK_FULL ? 200 : 1000;
const findings = new Map();

export async function logIn(page) {
  await page.goto(`${service.origin}/admin`);
  await page.getByLabel('Admin secret').fill(service.secret);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('heading', { level: 1, name: 'Queues' }).waitFor();
}

export function allPages() {
  const cause = service.sql("SELECT cause FROM q.dead WHERE kind = 'pdf' LIMIT 1");
  const eventful = service.sql("SELECT id FROM q.job WHERE kind = 'eventful'");
  return [
    ['queues', '/admin'], ['jobs', '/admin/jobs'], ['job', `/admin/jobs/${eventful}`], ['job-dead', '/admin/jobs/1000003'],
    ['dead', '/admin/dead'], ['cause', `/admin/dead/${cause}?queue=reports&kind=pdf`], ['lanes', '/admin/lanes'],
    ['rates', '/admin/rates'], ['cron', '/admin/cron'], ['instances', '/admin/instances'], ['athletes', '/admin/athletes'],
    ['athlete', '/admin/athletes/7'], ['database', '/admin/database'], ['audit', '/admin/audit'],
  ];
}

// Searches, where a million jobs have to be passed by.
const searches = [
  ['jobs by queue', '/admin/jobs?queue=reports'], ['jobs by kind', '/admin/jobs?kind=fetch'], ['jobs by state', '/admin/jobs?state=done'],
  ['jobs by athlete', '/admin/jobs?athlete=7'], ['jobs by error', '/admin/jobs?error=printer'],
  ['jobs, nothing found', '/admin/jobs?queue=none&kind=none&athlete=4242'],
];

export async function times(cookie) {
  const table = [];
  for (const [name, path] of [...allPages(), ...searches]) {
    await check(`first byte of ${name}`, async () => {
      const took = [];
      for (let i = 0; i < rounds; i++) {
        const answer = await service.firstByte(path, cookie);
        same(answer.status, 200, 'status');
        took.push(answer.took);
      }
      const median = took.sort((a, b) => a - b)[Math.floor(rounds / 2)];
      table.push([name, median]);
      holds(median <= firstByteMs, `${median.toFixed(0)} ms until the first byte, more than ${firstByteMs}`);
    });
  }
  console.log(`first byte, ms, median of ${rounds}:`);
  for (let i = 0; i < table.length; i += 4) {
    console.log(table.slice(i, i + 4).map(([name, ms]) => `  ${name.padEnd(20)}${ms.toFixed(1).padStart(6)}`).join(''));
  }
}

// Findings of some weight fail; the others are counted.
async function isForAll(page, name) {
  await page.evaluate(axe);
  const { violations, passes } = await page.evaluate(() => window.axe.run(document));
  holds(passes.length > 5, `axe has only looked at ${passes.length} rules`);
  for (const v of violations) {
    const key = `${v.impact} ${v.id}`;
    findings.set(key, (findings.get(key) ?? new Set()).add(name));
  }
  const bad = violations.filter((v) => v.impact === 'serious' || v.impact === 'critical');
  same(bad.map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => `${n.target} ${n.failureSummary}`).join(' | ')}`).join('\n'), '', 'axe');
}

export async function look(page, name, shot) {
  await isClean(page);
  await page.screenshot({ path: `${process.env.SHOTS}/${shot}-${name}.png` });
  await isForAll(page, name);
}

export async function everyPage() {
  for (const kind of looks) {
    const page = await openPage(kind);
    await check(`login, ${kind.name}`, async () => {
      await page.goto(`${service.origin}/admin`);
      await look(page, 'login', kind.name);
    });
    await check(`getting in, ${kind.name}`, () => logIn(page));
    for (const [name, path] of allPages()) {
      await check(`${name}, ${kind.name}`, async () => {
        const answer = await page.goto(`${service.origin}${path}`);
        same(answer.status(), 200, 'status');
        same(await page.getByRole('heading', { level: 1 }).count(), 1, 'headings of the first level');
        await look(page, name, kind.name);
      });
    }
    await page.context().close();
  }
}

export function tellFindings() {
  console.log(`axe: ${findings.size ? '' : 'no findings'}`);
  for (const [what, where] of findings) {
    console.log(`  ${what}: ${[...where].join(', ')}`);
  }
}
