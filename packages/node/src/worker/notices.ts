import { patient, type Sql } from '../store/sql.js'

/** A participant has to sign in at a provider again, or nothing more can be collected there. */
export interface Notice {
  readonly connection: string
  readonly provider: string
  /** Why: an error code whose remedy is `reconnect`. */
  readonly code: string
  readonly at: Date
}

/** Notices, one for a connection, from when access was found to have ended until it works again. */
export interface Notices {
  put(notice: Omit<Notice, 'at'>): Promise<void>
  remove(connection: string): Promise<void>
  list(): Promise<Notice[]>
  /** Those that the app was not told of yet. */
  untold(): Promise<Notice[]>
  told(connection: string): Promise<void>
}

export function createNotices(given: Sql, schema: string): Notices {
  const sql = patient(given)
  const table = `${schema}.notices`
  const read = async (where: string): Promise<Notice[]> => {
    const { rows } = await sql.query(
      `SELECT connection, provider, code, at FROM ${table} ${where} ORDER BY at DESC LIMIT 1000`,
    )
    return rows.map(({ connection, provider, code, at }) =>
      Object.freeze({
        connection: String(connection),
        provider: String(provider),
        code: String(code),
        at: new Date(at as Date),
      }),
    )
  }
  return {
    async put({ connection, provider, code }) {
      await sql.query(
        `INSERT INTO ${table} (connection, provider, code) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
        [connection, provider, code],
      )
    },
    async remove(connection) {
      await sql.query(`DELETE FROM ${table} WHERE connection = $1`, [connection])
    },
    list: () => read(''),
    untold: () => read('WHERE told_at IS NULL'),
    async told(connection) {
      await sql.query(`UPDATE ${table} SET told_at = now() WHERE connection = $1`, [connection])
    },
  }
}
