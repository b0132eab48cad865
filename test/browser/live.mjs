// Pages that are watched, and the keyboard.
import { check, holds, isClean, looks, openPage, same } from './check.mjs';
import { logIn } from './pages.mjs';
import * as service from './service.mjs';

const { sql, until } = service;
const soonMs = 5000;

const ready = async (page) => Number((await page.getByRole('table', { name: 'Queues' }).getByRole('row')
  .filter({ has: page.getByRole('link', { name: 'reports', exact: true }) }).getByRole('cell').nth(1).textContent()).replace(/\D/g, ''));
const add = (n) => sql(`INSERT INTO q.job (queue, kind) SELECT 'reports', 'fresh' FROM generate_series(1, ${n})`);

async function changesAppear(page) {
  await page.goto(`${service.origin}/admin`);
  await page.evaluate(() => { window.same = true; });
  await page.getByText('Live', { exact: true }).waitFor();
  const before = await ready(page);
  add(7);
  await until(async () => await ready(page) === before + 7, soonMs, 'seven more are shown');
  same(await page.evaluate(() => window.same), true, 'the page was not loaded anew');
  await isClean(page);
}

async function fingersAreSafe(page) {
  const button = page.getByRole('button', { name: 'Pause' }).first();
  await button.focus();
  const before = await ready(page);
  const handle = await button.elementHandle();
  add(3);
  await service.pause(4000);
  same(await handle.evaluate((e) => e.isConnected && e === document.activeElement), true, 'the button is still there');
  await page.getByRole('link', { name: 'Waymark' }).focus();
  await until(async () => await ready(page) === before + 3, soonMs, 'three more are shown afterwards');
}

async function outlivesARestart(page) {
  await page.goto(`${service.origin}/admin`);
  await page.getByText('Live', { exact: true }).waitFor();
  await page.evaluate(() => { window.same = true; });
  await service.stop();
  await page.getByText('Not live').waitFor();
  await service.pause(4000); // long enough for one who tries again to be turned away
  await service.start();
  add(5);
  const want = service.count("q.job WHERE queue = 'reports' AND state = 'ready'");
  await page.getByText('Live', { exact: true }).waitFor({ timeout: 15000 });
  await until(async () => await ready(page) === want, 15000, 'what was added meanwhile is shown');
  same(await page.evaluate(() => window.same), true, 'the page was not loaded anew');
}

// A service that answers, but not with a stream (it is stopping, or too many watch), is asked again later.
async function outlivesARefusal(page) {
  let refusals = 2;
  await page.route('**/admin/live/**', (route) => (refusals-- > 0 ? route.fulfill({ status: 503, body: '' }) : route.continue()));
  await page.goto(`${service.origin}/admin`);
  await page.getByText('Not live').waitFor();
  await page.getByText('Live', { exact: true }).waitFor({ timeout: 30000 });
  await page.unroute('**/admin/live/**');
  page.complaints.length = 0; // of the refusals
}

export async function live() {
  const page = await openPage(looks[0]);
  await logIn(page);
  await check('a change appears by itself', () => changesAppear(page));
  await check('a focused button is not replaced', () => fingersAreSafe(page));
  await check('a page outlives a refusal', () => outlivesARefusal(page));
  await check('a page outlives a restart', () => outlivesARestart(page));
  await page.context().close();
}

// ---- the keyboard -------------------------------------------------------------------------------------------

const focused = (page) => page.evaluate(() => {
  const e = document.activeElement;
  const { outlineStyle, outlineWidth } = getComputedStyle(e);
  const { left, top, width, height } = e.getBoundingClientRect();
  return {
    name: e.textContent.trim(), tag: e.tagName, id: e.id,
    // What is taller than the window fills it.
    seen: left >= 0 && (top >= 0 || top + height >= innerHeight) && width > 0 && height > 0,
    ring: outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2,
  };
});

async function tabTo(page, name) {
  for (let i = 0; i < 60; i++) {
    await page.keyboard.press('Tab');
    const at = await focused(page);
    holds(at.tag === 'BODY' || (at.ring && at.seen), `the focus on ${at.tag} "${at.name}" cannot be seen`);
    if (at.name === name) {
      return;
    }
  }
  throw new Error(`60 times Tab do not lead to "${name}"`);
}

export async function keyboard() {
  const page = await openPage(looks[1]);
  await check('keyboard: login', async () => {
    await page.goto(`${service.origin}/admin`);
    await page.keyboard.type('not the secret');
    await page.keyboard.press('Enter');
    await page.getByText('That is not the admin secret').waitFor();
    await page.keyboard.type(service.secret);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: 'Queues' }).waitFor();
  });
  await check('keyboard: the skip link', async () => {
    await tabTo(page, 'Skip to content');
    await page.keyboard.press('Enter');
    await until(async () => (await focused(page)).id === 'main', 2000, 'the content has the focus');
  });
  await check('keyboard: menu and button', async () => {
    await page.goto(`${service.origin}/admin`);
    await tabTo(page, 'Schedules');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: 'Schedules' }).waitFor();
    await tabTo(page, 'Pause');
    await page.keyboard.press('Enter');
    await page.getByText('paused').first().waitFor();
    same(service.count('q.cron WHERE paused'), 1, 'paused schedules');
  });
  await page.context().close();
}
