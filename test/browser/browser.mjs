// Everything the admin pages can do, in a browser. Run by browser.sh.
import { everyAction, pauses } from './actions.mjs';
import { check, closeBrowser, failed, looks, openBrowser, openPage, passed, same } from './check.mjs';
import { keyboard, live } from './live.mjs';
import { people } from './people.mjs';
import { allPages, everyPage, logIn, look, tellFindings, times } from './pages.mjs';
import * as service from './service.mjs';

const begun = performance.now();
const since = (from) => `${((performance.now() - from) / 1000).toFixed(0)} s`;

async function part(name, fn) {
  const start = performance.now();
  const before = failed;
  try {
    await fn();
  } catch (error) {
    await check(name, () => { throw error; });
  }
  console.log(`${name.padEnd(44)}${failed === before ? 'ok' : `${failed - before} FAILED`}`.padEnd(60) + since(start));
}

async function wrongSecret() {
  const page = await openPage(looks[0]);
  await check('a wrong secret', async () => {
    await page.goto(`${service.origin}/admin/jobs?queue=reports`);
    await page.getByLabel('Admin secret').fill('not the secret');
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByText('That is not the admin secret').waitFor();
    await page.getByLabel('Admin secret').fill(service.secret);
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByRole('heading', { level: 1, name: 'Jobs' }).waitFor();
    same(await page.getByLabel('Queue').inputValue(), 'reports', 'where one wanted to go');
  });
  const [cookie] = await page.context().cookies();
  await page.context().close();
  return `${cookie.name}=${cookie.value}`;
}

async function withoutScript() {
  const page = await openPage(looks[2], { javaScriptEnabled: false });
  await check('log in, without JavaScript', () => logIn(page));
  for (const [name, path] of allPages()) {
    await check(`${name}, without JavaScript`, async () => {
      const answer = await page.goto(`${service.origin}${path}`);
      same(answer.status(), 200, 'status');
      await page.locator('table, dl').first().waitFor();
    });
  }
  await everyAction(page, 'without JavaScript',
    { dead: { one: 'xlsx', all: ['parse', 'name'] }, kind: 'xlsx', host: 'peak-01', schedule: 'yearly', lane: 'Discard it' });
  await page.context().close();
}

async function withScript() {
  const page = await openPage(looks[0]);
  await check('log in', () => logIn(page));
  await everyAction(page, 'by a click',
    { dead: { one: 'pdf', all: ['digest', 'fetch'] }, kind: 'pdf', host: '<i>peak</i>-02', schedule: 'nightly', lane: 'Retry it' });
  await page.context().close();
}

function haltAgain() {
  service.sql(`UPDATE q.dead SET lane = 'ledger:<3>', halt = true WHERE id = (SELECT min(id) FROM q.dead WHERE kind = 'sql');
    UPDATE q.job SET state = 'blocked' WHERE lane = 'ledger:<3>';
    INSERT INTO q.halted (lane, job) SELECT lane, id FROM q.dead WHERE lane = 'ledger:<3>'`);
}

// A little of everything, for the ordinary tests.
async function quickly() {
  const page = await openPage(looks[3]);
  await check('log in', () => logIn(page));
  await check('two pages', async () => {
    for (const [name, path] of allPages().filter(([each]) => each === 'dead' || each === 'lanes')) {
      await page.goto(`${service.origin}${path}`);
      await look(page, name, 'quick');
    }
  });
  await check('pause and resume', () => pauses(page, 'reports', 'pdf'));
  await people(true);
}

async function main() {
  await service.start();
  service.fill();
  console.log(`${await openBrowser()} and a database of ${service.sql('SELECT pg_size_pretty(pg_database_size(current_database()))')}, in ${since(begun)}`);
  if (process.env.QUICK) {
    await quickly();
    return;
  }
  let cookie = '';
  await part('login', async () => { cookie = await wrongSecret(); });
  await part('times', () => times(cookie));
  await part('pages, in four looks', everyPage);
  await part('pages of people, in four looks', () => people(false));
  tellFindings();
  await part('actions', withScript);
  haltAgain();
  await part('pages and actions without JavaScript', withoutScript);
  await part('keyboard', keyboard);
  await part('live', live);
}

try {
  await main();
} catch (error) {
  await check('the run', () => { throw error; });
  console.log(service.tail());
} finally {
  await closeBrowser();
  service.cleanUp();
}
console.log(`in ${since(begun)}`);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
