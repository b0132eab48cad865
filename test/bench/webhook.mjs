// A plain receiver of pushed events: http and pg, one INSERT a request, the pool as large as pg makes it.
import http from 'node:http'
import pg from 'pg'

const pool = new pg.Pool({ max: 10 })
const insert = {
    name: 'insert',
    text: `INSERT INTO plain_event (object_type, object_id, aspect_type, owner_id, subscription_id, event_time, updates)
           VALUES ($1, $2, $3, $4, $5, $6, $7)`,
}

const server = http.createServer((req, res) => {
    const chunks = []
    req.on('data', (chunk) => chunks.push(chunk))
    req.on('end', async () => {
        try {
            const e = JSON.parse(Buffer.concat(chunks).toString())
            await pool.query({
                ...insert,
                values: [e.object_type, e.object_id, e.aspect_type, e.owner_id, e.subscription_id, e.event_time,
                    JSON.stringify(e.updates)],
            })
            res.writeHead(200).end()
        } catch {
            res.writeHead(503).end()
        }
    })
})
server.listen(0, '127.0.0.1', () => console.log(`127.0.0.1:${server.address().port}`))
process.on('SIGTERM', () => process.exit(0))
