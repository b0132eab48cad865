// Every button, pressed as a person would, with its effect on the page and in the database.
import { check, holds, isClean, same } from './check.mjs';
import * as service from './service.mjs';

const { sql, count } = service;

const row = (page, text) => page.getByRole('row').filter({ hasText: text });
const press = async (where, name) => where.getByRole('button', { name, exact: true }).click();
const go = (page, name) => page.getByRole('navigation').getByRole('link', { name, exact: true }).click();
const stateOf = (id) => sql(`SELECT state FROM q.job WHERE id = ${id}`);
const says = (page, text) => page.getByText(text).first().waitFor();

async function openCause(page, kind) {
  await go(page, 'Dead letters');
  await page.getByRole('row').filter({ has: page.getByRole('cell', { name: kind, exact: true }) }).getByRole('link').click();
  await page.getByRole('heading', { name: 'Dead letters of one cause' }).waitFor();
}

async function openJob(page, id) {
  await page.goto(`${service.origin}/admin/jobs/${id}`);
}

async function deadOnes(page, { one, all }) {
  const total = count(`q.dead WHERE kind = '${one}'`);
  for (const [button, fate] of [['Replay', 'ready'], ['Discard', null]]) {
    await openCause(page, one);
    const link = page.getByRole('table').getByRole('link').first();
    const id = (await link.textContent()).replace(/\D/g, '');
    await link.click();
    await press(page, button);
    await says(page, fate ? `Job ${id} is ${fate}` : `There is no job ${id}`);
    same(count(`q.dead WHERE id = ${id}`), 0, 'dead letters of that id');
    same(stateOf(id), fate ?? '', 'state');
  }
  same(count(`q.dead WHERE kind = '${one}'`), total - 2, 'dead letters left');
  for (const [i, word] of ['Replay', 'Discard'].entries()) {
    const kind = all[i];
    const n = count(`q.dead WHERE kind = '${kind}'`);
    holds(n > 100, `there are ${n} letters of ${kind}`);
    await openCause(page, kind);
    const live = count(`q.job WHERE kind = '${kind}'`);
    await press(page, `${word} ${n} jobs`);
    await says(page, 'There is no dead letter of this cause any more');
    same(count(`q.dead WHERE kind = '${kind}'`), 0, 'dead letters left');
    same(count(`q.job WHERE kind = '${kind}'`), word === 'Replay' ? live + n : live, 'live jobs');
    same(sql('SELECT jobs FROM q.audit ORDER BY id DESC LIMIT 1'), String(n), 'jobs in the audit');
  }
}

async function liveOnes(page, kind) {
  const [other, waiting] = sql(`SELECT id FROM q.job WHERE kind = '${kind}' AND state = 'waiting' ORDER BY id DESC LIMIT 2`).split('\n');
  const running = sql(`SELECT id FROM q.job WHERE kind = '${kind}' AND state = 'running' AND NOT cancel LIMIT 1`);
  await openJob(page, waiting);
  await press(page, 'Cancel');
  await says(page, `Job ${waiting} is`);
  same(sql(`SELECT outcome FROM q.done WHERE id = ${waiting}`), 'cancelled', 'outcome');
  await openJob(page, running);
  await press(page, 'Cancel');
  await says(page, 'and asked to stop');
  same(sql(`SELECT cancel FROM q.job WHERE id = ${running}`), 't', 'cancel');
  await openJob(page, other);
  await press(page, 'Run now');
  await says(page, `Job ${other} is ready`);
  same(stateOf(other), 'ready', 'state');
}

export async function pauses(page, queue, kind) {
  await go(page, 'Queues');
  const of = () => page.getByRole('table', { name: 'Queues' }).getByRole('row').filter({ has: page.getByRole('link', { name: queue, exact: true }) });
  const paused = (more) => count(`q.pause WHERE queue = '${queue}' AND ${more}`);
  await press(of(), 'Pause');
  await of().locator('.tag').waitFor();
  same(paused('kind IS NULL'), 1, 'pauses');
  await press(of(), 'Resume');
  await of().locator('.tag').waitFor({ state: 'detached' });
  same(paused('kind IS NULL'), 0, 'pauses');
  await go(page, 'Jobs');
  await page.getByLabel('Queue').fill(queue);
  await page.getByLabel('Kind').fill(kind);
  await press(page, 'Look');
  await press(page, 'Pause this kind');
  await says(page, 'This kind is paused');
  same(paused(`kind = '${kind}'`), 1, 'pauses of the kind');
  await press(page, 'Resume this kind');
  await page.getByRole('button', { name: 'Pause this kind' }).waitFor();
  await press(page, 'Pause this kind');
  await says(page, 'This kind is paused');
  await go(page, 'Queues');
  await press(page.getByRole('table', { name: 'What is paused' }).getByRole('row').filter({ hasText: kind }), 'Resume');
  await page.getByRole('table', { name: 'What is paused' }).getByRole('row').filter({ hasText: kind }).waitFor({ state: 'detached' });
  same(paused(`kind = '${kind}'`), 0, 'pauses of the kind');
}

async function instances(page, host) {
  const draining = () => sql(`SELECT draining FROM q.instance WHERE host = '${host}'`);
  await go(page, 'Instances');
  await press(row(page, host), 'Drain');
  await row(page, host).getByText('drained').waitFor();
  same(draining(), 't', 'draining');
  await press(row(page, host), 'Claim again');
  await row(page, host).getByText('works').waitFor();
  same(draining(), 'f', 'draining');
}

async function schedules(page, name) {
  const paused = () => sql(`SELECT paused FROM q.cron WHERE name = '${name}'`);
  await go(page, 'Schedules');
  await press(row(page, name), 'Pause');
  await row(page, name).getByText('paused').waitFor();
  same(paused(), 't', 'paused');
  await press(row(page, name), 'Resume');
  await row(page, name).getByRole('button', { name: 'Pause' }).waitFor();
  same(paused(), 'f', 'paused');
  sql(`DELETE FROM q.job WHERE ukey LIKE 'cron:${name}%'`);
  await press(row(page, name), 'Run now');
  await row(page, name).waitFor();
  same(count(`q.job WHERE ukey LIKE 'cron:${name}%'`), 1, 'jobs of the schedule');
}

// Each field by itself: what is shown is what the database has, up to a hundred.
async function search(page) {
  const wanted = [
    ['Queue', 'mail', "queue = 'mail'"], ['Kind', 'step', "kind = 'step'"], ['Athlete', '7', 'tenant = 7'],
    ['Error has', 'printer', "strpos(last_error, 'printer') > 0"],
  ];
  for (const [label, text, where] of wanted) {
    await go(page, 'Jobs');
    await page.getByLabel(label).fill(text);
    await page.getByLabel('State').selectOption('waiting');
    await press(page, 'Look');
    await page.getByRole('table', { name: 'Jobs' }).waitFor();
    same(await page.getByLabel(label).inputValue(), text, label);
    const n = count(`q.job WHERE state = 'waiting' AND ${where}`);
    same(await page.getByRole('table', { name: 'Jobs' }).locator('tbody tr').filter({ has: page.getByRole('link') }).count(), Math.min(n, 100), label);
  }
  for (const state of ['ready', 'running', 'blocked', 'dead', 'done']) {
    await go(page, 'Jobs');
    await page.getByLabel('State').selectOption(state);
    await press(page, 'Look');
    await page.getByRole('table', { name: 'Jobs' }).locator('tbody tr').first().waitFor();
    const shown = await page.getByRole('table', { name: 'Jobs' }).locator('tbody tr td:nth-child(4)').allTextContents();
    holds(shown.length > 0 && shown.every((text) => text === state || (state === 'done' && text === 'cancelled')), `${state}: ${new Set(shown).size} states`);
  }
}

async function olderAudit(page) {
  await go(page, 'Audit');
  const first = await page.getByRole('row').nth(1).textContent();
  let n = await page.locator('tbody tr').count();
  for (let pages = 1; await page.getByRole('link', { name: 'Older' }).count(); pages++) {
    holds(pages < 20, 'there are ever more pages');
    await page.getByRole('link', { name: 'Older' }).click();
    await page.getByRole('table').waitFor();
    n += await page.locator('tbody tr').count();
  }
  same(n, count('q.audit'), 'rows of the audit');
  holds(await page.getByRole('row').nth(1).textContent() !== first, 'the last page begins as the first');
}

async function stoppedLane(page, button) {
  const id = sql("SELECT min(job) FROM q.halted");
  await go(page, 'Lanes');
  await press(row(page, 'ledger:<3>'), button);
  await page.getByRole('table').waitFor();
  same(count(`q.dead WHERE id = ${id}`), 0, 'dead letters of that id');
  same(count('q.halted'), 0, 'halted lanes');
}

async function logOut(page) {
  const [cookie] = await page.context().cookies();
  await press(page, 'Log out');
  await page.getByLabel('Admin secret').waitFor();
  const answer = await service.firstByte('/admin', `${cookie.name}=${cookie.value}`);
  same(answer.status, 303, 'status with the cookie of before');
}

// with: what this turn may use up.
export async function everyAction(page, turn, using) {
  const each = (name, fn) => check(`${name}, ${turn}`, async () => {
    await page.goto(`${service.origin}/admin`);
    await fn();
    if (turn !== 'without JavaScript') {
      await isClean(page);
    }
  });
  await each('replay and discard', () => deadOnes(page, using.dead));
  await each('cancel, run now', () => liveOnes(page, using.kind));
  await each('pause and resume', () => pauses(page, 'reports', using.kind));
  await each('drain and claim again', () => instances(page, using.host));
  await each('schedules', () => schedules(page, using.schedule));
  await each('a schedule with a problem', async () => {
    sql("UPDATE q.cron SET problem = 'a time zone that is no more', next_at = 'infinity' WHERE name = 'broken'");
    await go(page, 'Schedules');
    await press(row(page, 'broken'), 'Resume');
    await row(page, 'broken').getByRole('button', { name: 'Pause' }).waitFor();
    same(sql("SELECT problem IS NULL AND isfinite(next_at) FROM q.cron WHERE name = 'broken'"), 't', 'mended');
  });
  await each('search', () => search(page));
  await each('older audit', () => olderAudit(page));
  await each('a lane that is stopped', () => stoppedLane(page, using.lane));
  await check(`log out, ${turn}`, () => logOut(page));
}
