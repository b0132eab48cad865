// The three queues, each as the benchmark sees it: how a database for it is made, how jobs get in, how an instance is
// started, and what its tables say of the jobs that are left.
import { spawn, fork } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { Logger, makeWorkerUtils, runMigrations } from 'graphile-worker';
import pg from 'pg';
import { PgBoss } from 'pg-boss';

const host = process.env.PGHOST;
const quiet = new Logger(() => () => {});

export const url = (database) => `postgres:///${database}?host=${encodeURIComponent(host)}&user=postgres`;
export const conninfo = (database) => `host=${host} user=postgres dbname=${database}`;

export async function connect(database) {
    const client = new pg.Client({ host, user: 'postgres', database });
    await client.connect();
    return client;
}

// ---- instances ---------------------------------------------------------------------------------

const instances = new Set();
process.on('exit', () => instances.forEach((i) => i.child.kill('SIGKILL')));

// child; first: when a handler first started (ns, monotonic), for those that say so; starts: of each job; owner.
function instance(child) {
    const i = { child, pid: child.pid, first: null, starts: new Map(), owner: null };
    instances.add(i);
    i.gone = once(child, 'exit');
    i.kill = async () => {
        child.kill('SIGKILL');
        await i.gone;
        instances.delete(i);
    };
    i.gone.then(([status]) => {
        if (status) {
            console.error(`an instance ended with status ${status}`);
            process.exit(1);
        }
    });
    return i;
}

async function startPeer(system, database, options) {
    const child = fork('./peer.mjs', [JSON.stringify({ system, database, report: 'first', ...options })]);
    const i = instance(child);
    const ready = new Promise((resolve) => {
        child.on('message', (m) => {
            if (m.ready) {
                resolve();
            } else if (m.first) {
                i.first = BigInt(m.first);
            } else {
                i.starts.set(m.each, BigInt(m.at));
            }
        });
    });
    await ready;
    return i;
}

async function startWaymark(database, options) {
    const batch = options.batch ?? (options.mode === 'batch' ? 500 : 1);
    const args = { db: conninfo(database), queue: 'bench', channel: 'bench', batch, 'batch-max': Math.min(batch, 500),
        concurrency: options.concurrency, 'poll-ms': 30000, log: 'warn' }; // the poll of a configuration that says nothing
    const flags = options.report === 'each' ? ['--report'] : [];
    const child = spawn(process.env.QUEUE_WORKER, Object.entries(args).flatMap(([k, v]) => [`--${k}`, String(v)]).concat(flags),
        { stdio: ['ignore', 'pipe', 'inherit'] });
    const i = instance(child);
    const ready = new Promise((resolve) => {
        createInterface({ input: child.stdout }).on('line', (line) => {
            const [what, id, ns] = line.split(' ');
            if (what === 'ready') {
                i.owner = id;
                resolve();
            } else if (what === 'start') {
                i.starts.set(Number(id), BigInt(ns));
            }
        });
    });
    await ready;
    return i;
}

// ---- the queues --------------------------------------------------------------------------------

export const graphile = {
    key: 'graphile',
    name: 'graphile-worker',
    prepare: (database) => runMigrations({ connectionString: url(database), logger: quiet }),
    // Adds n jobs in the client's transaction; returns one of the last.
    async fill(client, database, n) {
        await client.query(
            `SELECT count(*) FROM graphile_worker.add_jobs((SELECT array_agg(
                ('noop', json_build_object('n', i), NULL, NULL, NULL, NULL, NULL, NULL)::graphile_worker.job_spec ORDER BY i)
                FROM generate_series(1, $1::integer) i))`, [n]);
        return (await client.query('SELECT max(id) AS id FROM graphile_worker._private_jobs')).rows[0].id;
    },
    there: 'SELECT 1 FROM graphile_worker._private_jobs WHERE id = $1',
    left: 'SELECT 1 FROM graphile_worker._private_jobs LIMIT 1',
    remaining: 'SELECT count(*) AS n FROM graphile_worker._private_jobs',
    start: (database, options) => startPeer('graphile', database, options),
    async sender(database) {
        const utils = await makeWorkerUtils({ connectionString: url(database), logger: quiet });
        return {
            make: (from, n) => Array.from({ length: n }, (_, i) => ({ identifier: 'noop', payload: { n: from + i } })),
            addMany: (jobs) => utils.addJobs(jobs),
            addOne: (n) => utils.addJob('noop', { n }),
            close: () => utils.release(),
        };
    },
};

export const pgboss = {
    key: 'pgboss',
    name: 'pg-boss',
    async prepare(database) {
        const boss = await new PgBoss({ connectionString: url(database), supervise: false, schedule: false }).start();
        await boss.createQueue('noop', { notify: true });
        await boss.createQueue('unheard'); // as it is by default
        await boss.stop({ graceful: false });
    },
    async fill(client, database, n) {
        const sender = await this.sender(database);
        const db = { executeSql: (text, values) => client.query(text, values) };
        for (let from = 0; from < n; from += 10000) {
            await sender.boss.insert('noop', sender.make(from, Math.min(10000, n - from)), { db });
        }
        await sender.close();
        return (await client.query("SELECT id FROM pgboss.job WHERE name = 'noop' ORDER BY created_on DESC, id DESC LIMIT 1")).rows[0].id;
    },
    there: "SELECT 1 FROM pgboss.job WHERE name = 'noop' AND id = $1 AND state < 'completed'",
    left: "SELECT 1 FROM pgboss.job WHERE name = 'noop' AND state < 'completed' LIMIT 1",
    remaining: "SELECT count(*) AS n FROM pgboss.job WHERE name = 'noop' AND state < 'completed'",
    start: (database, options) => startPeer('pgboss', database, options),
    async sender(database) {
        const boss = await new PgBoss({ connectionString: url(database), supervise: false, schedule: false, migrate: false }).start();
        return {
            boss,
            make: (from, n) => Array.from({ length: n }, (_, i) => ({ data: { n: from + i } })),
            addMany: (jobs) => boss.insert('unheard', jobs),
            addOne: (n) => boss.send('noop', { n }),
            close: () => boss.stop({ graceful: false }),
        };
    },
};

export const waymark = {
    key: 'waymark',
    name: 'waymark',
    prepare: null, // the shell has made its template
    async fill(client, database, n, kind = 'noop', payload = {}) {
        const added = await client.query(
            `SELECT max(a) AS id FROM q.add((SELECT jsonb_agg(jsonb_build_object('queue', 'bench', 'kind', $2::text,
                'payload', $3::jsonb || jsonb_build_object('n', i))) FROM generate_series(1, $1::integer) i)) a`,
            [n, kind, JSON.stringify(payload)]);
        await client.query('NOTIFY bench');
        return added.rows[0].id;
    },
    there: 'SELECT 1 FROM q.job WHERE id = $1',
    left: 'SELECT 1 FROM q.job LIMIT 1',
    remaining: 'SELECT count(*) AS n FROM q.job',
    start: startWaymark,
    async sender(database) {
        const client = await connect(database);
        return {
            make: (from, n) => Array.from({ length: n }, (_, i) => ({ queue: 'bench', kind: 'noop', payload: { n: from + i } })),
            addMany: (jobs) => client.query({ name: 'add', text: 'SELECT q.add($1)', values: [JSON.stringify(jobs)] }),
            // Two statements of one message are one transaction.
            addOne: (n) => client.query(`SELECT q.add('[{"queue": "bench", "kind": "noop", "payload": {"n": ${n}}}]'); NOTIFY bench`),
            close: () => client.end(),
        };
    },
};

export const systems = [graphile, pgboss, waymark];
export { sleep };
