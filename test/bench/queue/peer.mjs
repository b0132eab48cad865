// One process of a peer: an instance that works a queue, started by queue.mjs, which tells it by what settings and
// hears from it by messages.
//
// argument: { system, database, mode: plain | batch | usual, concurrency, report: first | each | none }
// messages out: ready; first (a handler starts for the first time, at ns); each (one started: n, at ns)
import { Logger, run } from 'graphile-worker';
import { PgBoss } from 'pg-boss';

const config = JSON.parse(process.argv[2]);
const connectionString = `postgres:///${config.database}?host=${encodeURIComponent(process.env.PGHOST)}&user=postgres`;
const monotonic = () => String(process.hrtime.bigint());
let started = 0;

// The no-op.
function handler(payload) {
    if (config.report === 'each') {
        process.send({ each: payload.n, at: monotonic() });
    } else if (started++ === 0 && config.report === 'first') {
        process.send({ first: monotonic() });
    }
}

// Batched: what the documentation's performance page ran its record with.
async function graphile() {
    const batch = { localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 };
    await run({
        preset: {
            worker: {
                connectionString,
                concurrentJobs: config.concurrency,
                maxPoolSize: config.concurrency + 1,
                logger: new Logger(() => () => {}),
                ...(config.mode === 'batch' ? batch : {}),
            },
        },
        noHandleSignals: true,
        taskList: { noop: (payload) => handler(payload) },
    });
}

// Batched: whole batches at a time for as long as they are full. Plain, one job per fetch, it goes on without a pause only
// while its cached count says there is more, so that count is taken each second; by default it is each minute.
async function pgboss() {
    const often = { superviseIntervalSeconds: 1, monitorIntervalSeconds: 1, queueCacheIntervalSeconds: 1 };
    const how = { batch: { batchSize: 500, burstWhenBatchFull: true }, plain: { burstWhenReadyExceeds: 1 }, usual: {} };
    const boss = new PgBoss({
        connectionString,
        max: config.concurrency + 1,
        schedule: false,
        useListenNotify: true,
        ...(config.mode === 'plain' ? often : {}),
    });
    boss.on('error', (error) => {
        console.error(String(error));
    });
    await boss.start();
    await boss.work('noop', { localConcurrency: config.concurrency, ...how[config.mode] }, async (jobs) => {
        for (const job of jobs) {
            handler(job.data);
        }
    });
}

process.on('disconnect', () => process.exit(0));
await { graphile, pgboss }[config.system]();
process.send({ ready: true });
