// Measures Waymark's queue beside graphile-worker and pg-boss. queue.sh has started the server, made the database
// bench_waymark, and runs this with the Node that it installed, in the folder where the peers are.
//
// environment: PGHOST, QUEUE_WORKER and QUEUE_ADD (programs), SERVER_LOG, RECORD (lines for the record go there),
// QUICK (1: one short round), PARTS (names, empty: all), ROUNDS
import { execFile } from 'node:child_process';
import { appendFileSync, readdirSync, readFileSync, statSync, openSync, readSync, closeSync } from 'node:fs';
import { promisify } from 'node:util';
import { conninfo, connect, graphile, pgboss, sleep, systems, waymark } from './systems.mjs';

const quick = process.env.QUICK === '1';
const rounds = Number(process.env.ROUNDS || (quick ? 1 : 3));
const settleMs = 300; // an instance that says it is ready may still be about to listen
const monotonic = () => process.hrtime.bigint();
const seconds = (from, to) => Number(to - from) / 1e9;

const admin = await connect('postgres');
await admin.query("SET client_min_messages = 'warning'");

// ---- figures -----------------------------------------------------------------------------------

function median(values) {
    const v = [...values].sort((a, b) => a - b);
    return v.length % 2 ? v[(v.length - 1) / 2] : (v[v.length / 2 - 1] + v[v.length / 2]) / 2;
}

// The nearest rank.
function percentile(values, p) {
    const v = [...values].sort((a, b) => a - b);
    return v[Math.max(0, Math.ceil((p / 100) * v.length) - 1)];
}

function number(n) {
    if (n === undefined || Number.isNaN(n)) {
        return '-';
    }
    return n >= 100 ? Math.round(n).toLocaleString('en-US') : n >= 10 ? n.toFixed(1) : n.toFixed(2);
}

const spread = (v) => `${number(median(v))} [${number(Math.min(...v))}..${number(Math.max(...v))}]`;
const say = (text) => console.log(text);
const heading = (text) => say(`\n${text}`);
const row = (what, value, rest = '') => say(`  ${what.padEnd(34)} ${value.padStart(32)}  ${rest}`.trimEnd());

function keep(key, values) {
    appendFileSync(process.env.RECORD, `"${key}": ${JSON.stringify(values)}\n`);
}

let missed = 0;

function verdict(good) {
    missed += !good;
    return good ? 'ok' : 'MISSED';
}

// samples: system key -> one figure a round. The ratio is to the better of the peers in the same round.
function compare(key, samples, { unit, atLeast, aim, atMost }) {
    const peers = Object.keys(samples).filter((k) => k === 'graphile' || k === 'pgboss');
    for (const [k, v] of Object.entries(samples)) {
        const system = systems.find((s) => k.split('_')[0] === s.key);
        const label = k === system.key ? system.name : `${system.name}, ${k.slice(system.key.length + 1)}`;
        let rest = '';
        keep(`queue_${key}_${k}`, v.map((x) => Number(x.toPrecision(6))));
        if (system === waymark) {
            const best = v.map((_, i) => (atMost ? Math.min : Math.max)(...peers.map((p) => samples[p][i])));
            const ratios = v.map((x, i) => x / best[i]);
            const ratio = median(ratios);
            const met = atMost ? ratio <= atMost : ratio >= atLeast;
            rest = `${spread(ratios)} times the better peer; ${atMost ? `<= ${atMost}` : `>= ${atLeast}`}: ${verdict(met)}`;
            rest += aim ? `, aim ${aim}: ${ratio >= aim ? 'reached' : 'not reached'}` : '';
            keep(`queue_${key}_${k}_ratio`, ratios.map((x) => Number(x.toPrecision(4))));
        }
        row(label, `${spread(v)} ${unit}`, rest);
    }
}

// ---- databases and processes -------------------------------------------------------------------

let databases = 0;

// A new database with the system's schema, from its template.
async function fresh(system) {
    const name = `bench_${system.key}_${databases++}`;
    await admin.query(`CREATE DATABASE ${name} TEMPLATE bench_${system.key}`);
    return name;
}

// A client that closed is not gone at once, and hears of it as an error when it is thrown out.
async function drop(database) {
    for (let i = 0; i < 100 && (await backends(database)).length > 0; i++) {
        await sleep(10);
    }
    await admin.query(`DROP DATABASE ${database} WITH (FORCE)`);
}

// CPU of a process and its threads so far, in seconds; 0 when it is gone.
function cpu(pid) {
    try {
        return readdirSync(`/proc/${pid}/task`)
            .map((t) => Number(readFileSync(`/proc/${pid}/task/${t}/schedstat`, 'utf8').split(' ')[0]) / 1e9)
            .reduce((a, b) => a + b, 0);
    } catch {
        return 0;
    }
}

async function backends(database) {
    const r = await admin.query('SELECT pid FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()', [database]);
    return r.rows.map((x) => x.pid);
}

// Instances of a system on a database of its own, ready and idle; whoever comes gets what fn returns.
async function withInstances(system, many, options, fn) {
    const database = await fresh(system);
    const client = await connect(database);
    const running = [];
    for (let i = 0; i < many; i++) {
        running.push(await system.start(database, options));
    }
    await sleep(settleMs);
    try {
        return await fn({ database, client, running });
    } finally {
        await Promise.all(running.map((i) => i.kill()));
        await client.end();
        await drop(database);
    }
}

// Puts n jobs before idle instances, all at one moment: one transaction, flushed before it commits. Returns one of the last.
async function release(system, { database, client }, n) {
    await client.query('BEGIN');
    const last = await system.fill(client, database, n);
    await admin.query('CHECKPOINT');
    await client.query('COMMIT');
    return last;
}

// Looks by the key of one of the last jobs until that is gone, then for any: what is left of many dead rows to skip.
async function untilNoneLeft(system, client, last) {
    while ((await client.query({ name: 'there', text: system.there, values: [last] })).rowCount > 0) {
        await sleep(5);
    }
    while ((await client.query({ name: 'left', text: system.left })).rowCount > 0) {
        await sleep(1);
    }
    return monotonic();
}

// The wall clock less the monotonic one, in ns, read as the former ticks over to its next millisecond.
function wallOffset() {
    const ms = Date.now();
    let next, at;
    do {
        next = Date.now();
        at = monotonic();
    } while (next === ms);
    return BigInt(next) * 1000000n - at;
}

// When the first handler started. Waymark's history says when it was claimed, which is a little earlier.
async function firstStart(system, { client, running }) {
    if (system !== waymark) {
        return running.map((i) => i.first).filter((x) => x !== null).reduce((a, b) => (a < b ? a : b));
    }
    const r = await client.query('SELECT (extract(epoch FROM min(started_at)) * 1000000)::bigint AS us FROM q.done');
    return BigInt(r.rows[0].us) * 1000n - wallOffset();
}

// ---- throughput --------------------------------------------------------------------------------

async function checkDone(client, n) {
    const r = await client.query(
        'SELECT count(*)::integer AS n, count(DISTINCT id)::integer AS jobs, max(attempt) AS attempts FROM q.done');
    if (r.rows[0].n !== n || r.rows[0].jobs !== n || r.rows[0].attempts !== 1) {
        throw new Error(`of ${n} jobs ${r.rows[0].jobs} are done, ${r.rows[0].n} times, attempts ${r.rows[0].attempts}`);
    }
}

// Jobs a second from the first start until none is left, CPU seconds a thousand jobs cost, and each owner's share.
async function throughput(system, many, n, options) {
    return withInstances(system, many, options, async (set) => {
        const servers = await backends(set.database);
        const cpuBefore = [...set.running.map((i) => i.pid), ...servers].map(cpu);
        const last = await release(system, set, n);
        const end = await untilNoneLeft(system, set.client, last);
        const after = [...set.running.map((i) => i.pid), ...servers].map(cpu);
        const spent = after.map((x, i) => x - cpuBefore[i]);
        const result = {
            rate: n / seconds(await firstStart(system, set), end),
            clientUs: (spent.slice(0, many).reduce((a, b) => a + b, 0) / n) * 1e6,
        };
        if (system === waymark) {
            await checkDone(set.client, n);
            result.shares = (await set.client.query('SELECT owner, count(*)::integer AS n FROM q.done GROUP BY owner')).rows.map((r) => r.n);
        }
        return result;
    });
}

// What Waymark is run with where jobs come in batches.
const waymarkBatch = { mode: 'batch', concurrency: Number(process.env.WAYMARK_CONCURRENCY || 4), batch: Number(process.env.WAYMARK_BATCH || 500) };
const batchOptions = (system) => (system === waymark ? waymarkBatch : { mode: 'batch', concurrency: 24 });

// A round takes every system once; which comes first changes from round to round.
const order = (round) => systems.map((_, i) => systems[(i + round) % systems.length]);

async function inRounds(measure) {
    const samples = Object.fromEntries(systems.map((s) => [s.key, []]));
    for (let r = 0; r < rounds; r++) {
        for (const system of order(r)) {
            samples[system.key].push(await measure(system, r));
        }
    }
    return samples;
}

const pick = (samples, field) => Object.fromEntries(Object.entries(samples).map(([k, v]) => [k, v.map((x) => x[field])]));

async function batchPart() {
    for (const n of quick ? [20000] : [20000, 100000]) {
        for (const many of [1, 2]) {
            heading(`batched, ${many} process${many > 1 ? 'es' : ''}, ${n.toLocaleString('en-US')} no-op jobs`);
            const samples = await inRounds((system) => throughput(system, many, n, batchOptions(system)));
            compare(`batch_x${many}_${n}`, pick(samples, 'rate'), { unit: 'jobs/s', atLeast: 1.3, aim: 2 });
            const us = Object.entries(pick(samples, 'clientUs')).map(([k, v]) => `${k} ${number(median(v))}`);
            say(`    CPU of the clients, us a job: ${us.join(', ')}`);
        }
    }
}

// ---- one job per fetch and completion ----------------------------------------------------------

async function plainRate(system, concurrency) {
    return withInstances(system, 1, { mode: 'plain', concurrency }, async (set) => {
        const n = 20000, windowMs = 2000;
        const remaining = async () => Number((await set.client.query(system.remaining)).rows[0].n);
        await release(system, set, n);
        let before;
        while ((before = await remaining()) > n - 200) {
            await sleep(20); // until it has got going: one of the peers needs a second or two
        }
        const from = monotonic();
        await sleep(windowMs);
        const after = await remaining();
        const to = monotonic();
        if (after === 0) {
            throw new Error(`${system.name} was done before ${windowMs} ms were over: too few jobs to measure it`);
        }
        return (before - after) / seconds(from, to);
    });
}

async function plainPart() {
    for (const concurrency of quick ? [10] : [10, 24]) {
        heading(`one job per fetch and per completion, one process, ${concurrency} at once`);
        const samples = await inRounds((system) => plainRate(system, concurrency));
        compare(`plain_c${concurrency}`, samples, { unit: 'jobs/s', atLeast: 1.3 });
    }
}

// ---- enqueue -----------------------------------------------------------------------------------

async function enqueueRate(system, calls, each) {
    const database = await fresh(system);
    const sender = await system.sender(database);
    const loads = Array.from({ length: calls }, (_, i) => sender.make(i * each, each));
    await sender.addMany(sender.make(0, 100));
    await admin.query('CHECKPOINT');
    const from = monotonic();
    for (const jobs of loads) {
        await sender.addMany(jobs);
    }
    const to = monotonic();
    await sender.close();
    await drop(database);
    return (calls * each) / seconds(from, to);
}

async function enqueueByLibpq(calls, each) {
    const database = await fresh(waymark);
    await admin.query('CHECKPOINT');
    const { stdout } = await promisify(execFile)(process.env.QUEUE_ADD, [conninfo(database), String(calls), String(each)]);
    await drop(database);
    const [s, rows] = stdout.trim().split(' ').map(Number);
    return rows / s;
}

async function enqueuePart() {
    for (const [calls, each] of [[20, 1000], [1, 20000]]) {
        heading(`enqueue, ${calls} call${calls > 1 ? 's' : ''} of ${each.toLocaleString('en-US')} jobs`);
        const libpq = [];
        const samples = await inRounds(async (system) => {
            if (system === waymark) {
                libpq.push(await enqueueByLibpq(calls, each));
            }
            return enqueueRate(system, calls, each);
        });
        const { graphile: g, pgboss: b, waymark: w } = samples;
        compare(`enqueue_${each}`, { graphile: g, pgboss: b, 'waymark_from Node': w, waymark_libpq: libpq },
            { unit: 'jobs/s', atLeast: 1 });
    }
}

// ---- latency -----------------------------------------------------------------------------------

// Milliseconds from the call that adds a job until its handler starts, in another process.
async function latencies(system) {
    const n = quick ? 60 : 200;
    const options = { report: 'each', ...(system === waymark ? { concurrency: 4, batch: 50 } : { mode: 'usual', concurrency: 10 }) };
    return withInstances(system, 1, options, async ({ database, running }) => {
        const sender = await system.sender(database);
        const sent = [];
        await sender.addOne(-1);
        await sleep(settleMs);
        for (let i = 0; i < n; i++) {
            sent.push(monotonic());
            await sender.addOne(i);
            await sleep(20 + (i % 5)); // so that polls cannot keep step with it
        }
        await sleep(settleMs);
        await sender.close();
        // By number; Waymark's by id, which grow by one.
        const starts = [...running[0].starts].sort(([a], [b]) => a - b).slice(1);
        if (starts.length !== n) {
            throw new Error(`${system.name} started ${starts.length} of ${n} jobs`);
        }
        const ms = sent.map((at, i) => seconds(at, starts[i][1]) * 1000);
        return { p50: percentile(ms, 50), p99: percentile(ms, 99) };
    });
}

async function latencyPart() {
    heading('start of a single job when idle, from the call that adds it');
    const samples = await inRounds(latencies);
    say('  p50');
    compare('latency_p50_ms', pick(samples, 'p50'), { unit: 'ms', atMost: 1 });
    say('  p99');
    compare('latency_p99_ms', pick(samples, 'p99'), { unit: 'ms', atMost: 1 });
}

// ---- idle --------------------------------------------------------------------------------------

// What the server logged from that offset on: statement texts by database.
function logged(offset) {
    const size = statSync(process.env.SERVER_LOG).size, buffer = Buffer.alloc(size - offset);
    const file = openSync(process.env.SERVER_LOG);
    readSync(file, buffer, 0, buffer.length, offset);
    closeSync(file);
    const found = {};
    for (const [, database, text] of buffer.toString().matchAll(/^([a-z0-9_]+)\|LOG: {2}(?:statement|execute [^:]*): (.*)/gm)) {
        (found[database] ??= []).push(text);
    }
    return found;
}

async function idlePart() {
    const s = quick ? 8 : 20, runs = [];
    heading(`one idle instance of each, side by side for ${s} s`);
    await admin.query("ALTER SYSTEM SET log_line_prefix = '%d|'");
    await admin.query('SELECT pg_reload_conf()');
    for (const system of systems) {
        const database = await fresh(system);
        await admin.query(`ALTER DATABASE ${database} SET log_statement = 'all'`);
        const options = system === waymark ? { concurrency: 4, batch: 50 } : { mode: 'usual', concurrency: 10 };
        runs.push({ system, database, instance: await system.start(database, options) });
    }
    await sleep(quick ? 3000 : 6000); // what it does once, at its start, is over
    const offset = statSync(process.env.SERVER_LOG).size;
    for (const run of runs) {
        const servers = new Map((await backends(run.database)).map((pid) => [pid, cpu(pid)]));
        run.before = { own: cpu(run.instance.pid), servers };
    }
    await sleep(s * 1000);
    for (const run of runs) {
        run.own = ((cpu(run.instance.pid) - run.before.own) / s) * 1000;
        // Some of its connections come and go; what those that went have used is not known.
        const used = (await backends(run.database)).map((pid) => cpu(pid) - (run.before.servers.get(pid) ?? 0));
        run.server = (used.reduce((a, b) => a + b, 0) / s) * 1000;
    }
    const texts = logged(offset);
    for (const run of runs) {
        const statements = (texts[run.database] ?? []).length / s;
        const line = run.system === waymark ? `<= 1 query/s: ${verdict(statements <= 1)}` : '';
        row(run.system.name, `${number(statements)} queries/s`,
            `CPU ${number(run.own)} ms/s, its backends' ${number(run.server)} ms/s; ${line}`);
        keep(`queue_idle_${run.system.key}`, { queries_s: statements, cpu_ms_s: run.own, server_ms_s: run.server });
        if (process.env.VERBOSE) {
            const counts = new Map();
            (texts[run.database] ?? []).forEach((t) => counts.set(t, (counts.get(t) ?? 0) + 1));
            [...counts].sort((a, b) => b[1] - a[1]).slice(0, 12).forEach(([t, c]) => say(`    ${c} x ${t.slice(0, 120)}`));
        }
        await run.instance.kill();
        await drop(run.database);
    }
    await admin.query('ALTER SYSTEM RESET log_line_prefix');
    await admin.query('SELECT pg_reload_conf()');
}

// ---- several instances -------------------------------------------------------------------------

// With the settings that `waymark serve` has by default, and with the largest batches, where one alone keeps the machine busy.
async function instancesPart() {
    const settings = [['as installed (2 x 50)', { ...waymarkBatch, concurrency: 2, batch: 50 }, 100000], ['large (4 x 500)', waymarkBatch, 400000]];
    for (const [name, options, jobs] of settings) {
        await fourBesideOne(name, options, quick ? 20000 : jobs);
    }
}

async function fourBesideOne(name, options, n) {
    const single = [], four = [], shares = [];
    heading(`four instances of Waymark on one queue, batches ${name}, ${n.toLocaleString('en-US')} jobs`);
    for (let r = 0; r < rounds; r++) {
        single.push((await throughput(waymark, 1, n, options)).rate); // beside the four: the machine changes its mind
        const x = await throughput(waymark, 4, n, options);
        four.push(x.rate);
        shares.push(...x.shares.map((k) => (100 * k) / n), ...Array(4 - x.shares.length).fill(0));
    }
    row('one instance', `${spread(single)} jobs/s`);
    row('four', `${spread(four)} jobs/s`, `${spread(four.map((x, i) => x / single[i]))} times one`);
    row('share of each', `${spread(shares)} %`);
    row('every job once, at its first attempt', 'yes'); // else throughput() has thrown
    keep(`queue_instances_4_${options.concurrency}x${options.batch}`, four.map(Math.round));
    keep(`queue_instances_1_${options.concurrency}x${options.batch}`, single.map(Math.round));
    keep(`queue_instances_share_${options.concurrency}x${options.batch}`, shares.map((x) => Number(x.toFixed(2))));
}

// ---- recovery ----------------------------------------------------------------------------------

async function recovery() {
    return withInstances(waymark, 1, { concurrency: 4, batch: 4 }, async ({ database, client, running }) => {
        const held = 4;
        await waymark.fill(client, database, held, 'hang');
        const count = async (text, owner) => Number((await client.query(`SELECT count(*) AS n FROM q.job WHERE ${text}`, [owner])).rows[0].n);
        while ((await count("state = 'running' AND owner = $1", running[0].owner)) < held) {
            await sleep(20);
        }
        running.push(await waymark.start(database, { concurrency: 4, batch: 4 }));
        await sleep(1500); // it has looked around once
        const from = monotonic();
        await running.shift().kill();
        while ((await count("state = 'running' AND owner = $1", running[0].owner)) === 0) {
            await sleep(10);
        }
        return seconds(from, monotonic());
    });
}

async function recoveryPart() {
    const s = [];
    heading('kill -9 of an instance of Waymark that holds jobs, until another has one of them under way');
    for (let r = 0; r < rounds; r++) {
        s.push(await recovery());
    }
    row('waymark', `${spread(s)} s`, 'the peers: not before 4 h and 15 min as installed; pg-boss some 10.6 s at best');
    keep('queue_recovery_s', s.map((x) => Number(x.toFixed(3))));
}

// ---- all of it ---------------------------------------------------------------------------------

const parts = { batch: batchPart, plain: plainPart, enqueue: enqueuePart, latency: latencyPart, idle: idlePart,
    instances: instancesPart, recovery: recoveryPart };
const chosen = process.env.PARTS ? process.env.PARTS.split(' ') : Object.keys(parts);

for (const peer of [graphile, pgboss]) {
    await admin.query(`CREATE DATABASE bench_${peer.key}`);
    await peer.prepare(`bench_${peer.key}`);
}
say('A figure is the median of its rounds, [lowest..highest]. waymark and pg-boss keep a row of every finished job;');
say('graphile-worker deletes it. A claim of waymark does not wait for the disk (one that a crash undoes is claimed again), the');
say('end of a job does; the peers wait for both.');
for (const name of chosen) {
    await parts[name]();
}
say(missed ? `\n${missed} target${missed > 1 ? 's' : ''} MISSED` : '\nevery target met');
keep('queue_targets_missed', missed);
process.exit(0);
