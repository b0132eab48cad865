// The service under test, on a private database in a scratch folder, and psql beside it.
import { execFileSync, spawn } from 'node:child_process';
import { appendFileSync, chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';

const waymark = process.env.WAYMARK_BINARY;
const source = process.env.WAYMARK_SOURCE;
export const scratch = mkdtempSync('/tmp/waymark-browser.');
const log = `${scratch}/log`;
const children = new Set();
let port = 0;
let service = null;
let database = '';
export let secret = '';
export let origin = '';
export let people = ''; // the public listener

export const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// Until fn gives something true.
export async function until(fn, ms, what) {
  const end = Date.now() + ms;
  for (;;) {
    const got = await fn();
    if (got) {
      return got;
    }
    if (Date.now() > end) {
      throw new Error(`not within ${ms} ms: ${what}`);
    }
    await pause(50);
  }
}

const freePort = () => new Promise((done) => {
  const s = net.createServer().listen(0, '127.0.0.1', () => {
    const { port: free } = s.address();
    s.close(() => done(free));
  });
});

const environment = (more) => ({
  PATH: process.env.PATH, HOME: scratch, LC_ALL: 'C.UTF-8', WAYMARK_DATA_DIR: `${scratch}/data`, WAYMARK_HTTP_LISTEN: 'off', ...more,
});

function launch(args, more) {
  const child = spawn(waymark, args, { env: environment(more), cwd: scratch, stdio: ['ignore', 'ignore', 'pipe'] });
  child.stderr.on('data', (text) => appendFileSync(log, text));
  children.add(child);
  child.on('exit', () => children.delete(child));
  return child;
}

export async function start() {
  chmodSync(scratch, 0o711); // as root, PostgreSQL runs as a user who must be able to come here
  mkdirSync(`${scratch}/data`, { recursive: true });
  port = port || await freePort();
  writeFileSync(log, '');
  // Strava is nowhere: nobody is connected, and nothing is asked.
  service = launch(['serve'], {
    WAYMARK_ADMIN_LISTEN: `127.0.0.1:${port}`, WAYMARK_HTTP_LISTEN: '127.0.0.1:0', STRAVA_CLIENT_ID: '1', STRAVA_CLIENT_SECRET: 'none',
    WAYMARK_STRAVA_API_URL: 'http://127.0.0.1:9', WAYMARK_STRAVA_OAUTH_URL: 'http://127.0.0.1:9',
  });
  const said = await until(() => {
    const text = readFileSync(log, 'utf8');
    if (service.exitCode !== null) {
      throw new Error(`the service ended: ${text}`);
    }
    return text.includes('waymark is running') && text;
  }, 60000, 'the service is up');
  origin = `http://${said.match(/listener=admin address=(\S+)/)[1]}`;
  people = `http://${said.match(/listener=http address=(\S+)/)[1]}`;
  const [, host] = said.match(/ host=(\S+)/);
  database = `user=waymark dbname=waymark host=${host}`;
  secret = said.match(/^ {4}([a-z0-9]{5}(-[a-z0-9]{5}){4})$/m)?.[1] ?? secret;
}

export async function stop() {
  const ended = new Promise((done) => service.on('exit', done));
  service.kill('SIGTERM');
  const status = await ended;
  if (status !== 0) {
    throw new Error(`the service ended with ${status}: ${readFileSync(log, 'utf8')}`);
  }
}

// The last of what it wrote.
export const tail = () => readFileSync(log, 'utf8').split('\n').slice(-8).join('\n');

export function command(...args) {
  execFileSync(waymark, args, { env: environment({ WAYMARK_ADMIN_LISTEN: 'off' }), cwd: scratch, stdio: 'pipe' });
}

const psql = (...args) => execFileSync('psql', ['-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', database, ...args],
  { env: environment({}), stdio: 'pipe', encoding: 'utf8' }).trim();

export const sql = (text) => psql('-c', text);
export const count = (text) => Number(sql(`SELECT count(*) FROM ${text}`));

// Schedules by the program, everything else by the fixture; and the hearts of the instances in it.
export function fill() {
  command('jobs', 'cron', 'add', 'nightly', '0 3 * * 1', '--kind', 'fetch', '--queue', 'races', '--tz', 'Europe/Zurich');
  command('jobs', 'cron', 'add', 'yearly', '30 4 1 1 *', '--kind', 'pdf', '--queue', 'reports', '--catchup', 'none');
  command('jobs', 'cron', 'add', 'broken', '0 4 * * *', '--kind', 'pdf', '--queue', 'reports');
  psql('-v', `many=${process.env.QUICK ? 1000 : 1000000}`, '-f', `${source}/test/browser/fixture.sql`);
  const beats = spawn('psql', ['-XqAt', '-d', database], { env: environment({}), stdio: ['pipe', 'ignore', 'ignore'] });
  beats.stdin.end("UPDATE q.instance SET beat = beat + 1, beat_at = clock_timestamp(), session = pg_backend_pid(), session_start ="
    + " (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()) WHERE place = 'fixture' \\watch 1\n");
  children.add(beats);
}

export function cleanUp() {
  for (const child of children) {
    child.kill('SIGKILL');
  }
  try {
    const [pid] = readFileSync(`${scratch}/data/pgdata/postmaster.pid`, 'utf8').split('\n');
    process.kill(Number(pid), 'SIGQUIT');
  } catch {
    // It has ended already.
  }
  rmSync(scratch, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
}

// Milliseconds to the first byte of an answer, on a connection that is there already.
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
export const firstByte = (path, cookie) => new Promise((done, fail) => {
  const begun = performance.now();
  http.get(`${origin}${path}`, { agent, headers: { Cookie: cookie } }, (answer) => {
    const took = performance.now() - begun;
    answer.resume();
    answer.on('end', () => done({ took, status: answer.statusCode }));
  }).on('error', fail);
});
