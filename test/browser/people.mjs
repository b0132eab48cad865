// The public pages, as those see them who are logged in, who are not, and who are about to leave.
import { createHash, randomBytes } from 'node:crypto';
import { check, holds, looks, openPage, same } from './check.mjs';
import { look } from './pages.mjs';
import * as service from './service.mjs';

const athlete = 7;
const token = randomBytes(32).toString('hex');

// As a login leaves it; the trails and activities are the fixture's.
function fill() {
  const kept = createHash('sha256').update(Buffer.from(token, 'hex')).digest('hex');
  service.sql(`INSERT INTO strava.account (athlete_id, name, scopes) VALUES (${athlete}, 'Ada <b>Walker</b>', '{read,activity:read}')
      ON CONFLICT (athlete_id) DO NOTHING;
    INSERT INTO route_sections (activity_id, route_id, athlete_id, start_m, end_m, section_track)
      SELECT ${athlete} * 1000 + n, 'coast', ${athlete}, 700 * n, 700 * n + 400, 'LINESTRING(8.1 47, 8.11 47)' FROM generate_series(1, 9) n
      ON CONFLICT DO NOTHING;
    INSERT INTO route_stats (athlete_id, route_id, covered_length) VALUES (${athlete}, 'coast', 3600) ON CONFLICT DO NOTHING;
    INSERT INTO web.visitor (token, athlete_id, expires_at) VALUES ('\\x${kept}', ${athlete}, now() + interval '1 day')`);
}

async function visitor(kind, more) {
  const page = await openPage(kind, more);
  await page.context().addCookies([{ name: 'waymark_visitor', value: token, url: service.people, httpOnly: true, sameSite: 'Lax' }]);
  return page;
}

async function goes(page, path, heading) {
  const answer = await page.goto(`${service.people}${path}`);
  same(answer.status(), 200, 'status');
  same(await page.getByRole('heading', { level: 1 }).textContent(), heading, 'heading');
}

const all = [
  ['welcome', '/', 'Your trails', false],
  ['own page', '/', 'Ada <b>Walker</b>', true],
  ['before leaving', '/auth/disconnect', 'Disconnect and erase everything?', true],
  ['an odd way back', '/auth/strava/callback', 'Once more, please', false, 400],
];

async function inThisLook(kind) {
  const stranger = await openPage(kind);
  const known = await visitor(kind);
  for (const [name, path, heading, isKnown, status = 200] of all) {
    await check(`${name}, ${kind.name}`, async () => {
      const page = isKnown ? known : stranger;
      const answer = await page.goto(`${service.people}${path}`);
      same(answer.status(), status, 'status');
      same(await page.getByRole('heading', { level: 1 }).textContent(), heading, 'heading');
      page.complaints = page.complaints.filter((text) => !text.includes(`status of ${status}`));
      await look(page, `people-${name.replaceAll(' ', '-')}`, kind.name);
    });
  }
  await stranger.context().close();
  await known.context().close();
}

async function theirState(page) {
  await check('what was not granted, and what is wrong, is told', async () => {
    await goes(page, '/', 'Ada <b>Walker</b>');
    await page.getByText('Activities that only you can see').waitFor();
    service.sql(`UPDATE strava.account SET state = 'reauth', reason = 'it was <i>revoked</i>' WHERE athlete_id = ${athlete}`);
    await page.reload();
    await page.getByText('it was <i>revoked</i>').waitFor();
    same(await page.getByRole('link', { name: 'Connect with Strava' }).getAttribute('href'), '/auth/strava?again=1', 'where it leads');
    await look(page, 'people-reauth', 'wide-light');
    service.sql(`UPDATE strava.account SET state = 'ok', reason = NULL WHERE athlete_id = ${athlete}`);
  });
}

async function theDoors(page) {
  await check('the export is a file', async () => {
    await goes(page, '/', 'Ada <b>Walker</b>');
    const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Export' }).click()]);
    same(file.suggestedFilename(), 'waymark.geojson', 'its name');
  });
  await check('nobody leaves by one press', async () => {
    await goes(page, '/', 'Ada <b>Walker</b>');
    await page.getByRole('link', { name: 'Disconnect' }).click();
    await page.getByRole('link', { name: 'No, stay' }).click();
    await page.getByRole('heading', { level: 1, name: 'Ada <b>Walker</b>' }).waitFor();
  });
  await check('logging out', async () => {
    await page.getByRole('button', { name: 'Log out' }).click();
    await page.getByText('Connect with Strava').waitFor();
    await goes(page, '/', 'Your trails');
    holds(service.count(`web.visitor WHERE athlete_id = ${athlete}`) === 0, 'the login is still kept');
  });
}

export async function people(quick) {
  fill();
  for (const kind of quick ? [looks[0], looks[2]] : looks) {
    await inThisLook(kind);
  }
  if (quick) {
    return;
  }
  const page = await visitor(looks[2]);
  await theirState(page);
  await page.context().close();
  const plain = await visitor(looks[0], { javaScriptEnabled: false });
  await theDoors(plain);
  await plain.context().close();
}
