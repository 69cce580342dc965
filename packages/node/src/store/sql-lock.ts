import { createHmac, randomUUID } from 'node:crypto'
import type { Lock } from '@s4s/core'
import { again, type Sql, type SqlSession, turnsOf } from './sql.js'

export const lockTables = (schema: string): readonly string[] => [
  `CREATE TABLE ${schema}.leases (
     name text PRIMARY KEY,
     owner uuid NOT NULL,
     until timestamptz NOT NULL,
     backend int NOT NULL,
     backend_since timestamptz,
     server_since timestamptz NOT NULL)`,
]

/** Seconds after which work whose process gave no sign of life no longer counts as under way. */
const leaseSeconds = 60

/**
 * A lock over every process that shares the database. Who waits holds one session, whatever the number of callers in a
 * process. Whoever works has left a lease besides: when the database is started anew its locks are gone, but work that
 * began before may still be under way, and a refresh token that is used twice can cost a participant their connection.
 */
export function sqlLock(sql: Sql, schema: string, ready: () => Promise<unknown>): Lock {
  const turns = turnsOf(sql)
  const turn: Lock = (name, work) => turns(`${schema} ${name}`, work)
  const { connect } = sql
  // An embedded database has one process, which takes turns already.
  if (!connect) return turn
  const leases = `${schema}.leases`
  return (name, work) =>
    turn(name, async () => {
      await ready()
      const id = createHmac('sha256', `s4s lock ${schema}`).update(name).digest('hex')
      const owner = randomUUID()
      const session = await begin(() => connect.call(sql), leases, id, owner)
      const beat = setInterval(
        () => {
          void sql
            .query(
              `UPDATE ${leases} SET until = now() + $3 * interval '1 second' WHERE name = $1 AND owner = $2`,
              [id, owner, leaseSeconds],
            )
            .catch(() => {})
        },
        (leaseSeconds / 3) * 1000,
      )
      beat.unref()
      try {
        return await work()
      } finally {
        clearInterval(beat)
        await end(sql, session, leases, id, owner)
      }
    })
}

// A database that is being started anew, or has no session left, is asked again: to wait is what a lock is for.
function begin(
  connect: () => Promise<SqlSession>,
  leases: string,
  id: string,
  owner: string,
): Promise<SqlSession> {
  return again(async () => {
    const session = await connect()
    listen(session)
    try {
      await session.query(`SELECT pg_advisory_lock(hashtextextended($1, 0))`, [id])
      while (!(await lease(session, leases, id, owner))) await pause(250)
      return session
    } catch (error) {
      session.release(true)
      throw error
    }
  })
}

/**
 * False while work that another process began may be under way. It no longer is when its session has ended on a server
 * that ran all the while: then its process has ended too.
 */
async function lease(session: SqlSession, leases: string, id: string, owner: string): Promise<boolean> {
  const { rows } = await session.query(
    `INSERT INTO ${leases} AS held (name, owner, until, backend, backend_since, server_since)
       SELECT $1, $2, now() + $3 * interval '1 second', pid, backend_start, pg_postmaster_start_time()
       FROM pg_stat_activity WHERE pid = pg_backend_pid()
     ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, until = excluded.until, backend = excluded.backend,
         backend_since = excluded.backend_since, server_since = excluded.server_since
       WHERE held.until < now() OR held.owner = excluded.owner OR held.server_since = excluded.server_since
         AND NOT EXISTS (SELECT 1 FROM pg_stat_activity a
           WHERE a.pid = held.backend AND a.backend_start IS NOT DISTINCT FROM held.backend_since)
     RETURNING 1 AS ok`,
    [id, owner, leaseSeconds],
  )
  return rows.length > 0
}

async function end(sql: Sql, session: SqlSession, leases: string, id: string, owner: string): Promise<void> {
  const done = async (): Promise<void> => {
    await session.query(`DELETE FROM ${leases} WHERE name = $1 AND owner = $2`, [id, owner])
    await session.query(`SELECT pg_advisory_unlock(hashtextextended($1, 0))`, [id])
    session.release()
  }
  await done().catch(async () => {
    // A session that does not answer may still hold the lock: closing it gives it back.
    session.release(true)
    await again(() => sql.query(`DELETE FROM ${leases} WHERE name = $1 AND owner = $2`, [id, owner])).catch(
      () => {},
    )
  })
}

const heard = new WeakSet<SqlSession>()

// A session that is cut off says so, and nobody may be waiting for it at that moment.
function listen(session: SqlSession): void {
  if (heard.has(session)) return
  heard.add(session)
  session.on?.('error', () => {})
}

const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, milliseconds)
  })
