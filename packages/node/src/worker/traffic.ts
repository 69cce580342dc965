import { patient, type Sql } from '../store/sql.js'

/** How a provider is dealt with, by every process. */
export interface ProviderTraffic {
  readonly provider: string
  /**
   * `paused`: by hand. `waiting`: it asked to be left alone. `failing`: it failed so often in a row that it is left
   * alone for a while; then one request goes to see.
   */
  readonly state: 'working' | 'paused' | 'waiting' | 'failing'
  /** When it is asked again; absent when paused, as nobody knows. */
  readonly until?: Date
  /** The error code behind it. */
  readonly reason?: string
}

/**
 * Leave to send one request, or how long to wait for it. Milliseconds; `Infinity` while the provider is paused. `busy`:
 * too many others are before it.
 */
export type Turn =
  | { readonly kind: 'go'; readonly after: number; readonly probe: boolean; readonly troubled: boolean }
  | { readonly kind: 'held'; readonly for: number; readonly why: 'paused' | 'waiting' | 'failing' | 'busy' }

/** What came of a request. `asked`: the milliseconds that the provider wants to be left alone for. */
export type Answer = { readonly kind: 'good' | 'failed' } | { readonly kind: 'asked'; readonly for: number }

/**
 * The traffic to providers, over all processes: one row for each provider holds how fast it is asked, until when it
 * asked for rest, and how often it failed in a row. By the database's clock, so that all agree on the time.
 */
export interface Traffic {
  /** @param most milliseconds that a turn may lie ahead; one that lies further is not taken */
  turn(provider: string, perMinute: number, most: number): Promise<Turn>
  heard(provider: string, turn: Extract<Turn, { kind: 'go' }>, answer: Answer): Promise<void>
  pause(provider: string): Promise<void>
  /** Ends a pause, and forgets what the provider asked for and how it failed. */
  resume(provider: string): Promise<void>
  /** Every provider that was ever asked. */
  list(): Promise<ProviderTraffic[]>
}

/** Failures in a row after which a provider is left alone. */
export const mostFailures = 5
/** For so long the first time, and twice as long each time it fails again. Seconds. */
const firstRest = 15
const longestRest = 15 * 60
/** What a provider asks for is believed up to this. Milliseconds. */
const longestAsked = 24 * 3600_000
/** A request that goes to see has so long to bring an answer before another goes. Seconds. */
const probeSeconds = 20
/** Until then, others look again this often. Milliseconds. */
const probePause = 250

export function createTraffic(given: Sql, schema: string): Traffic {
  const sql = patient(given)
  const table = `${schema}.providers`
  const known = new Set<string>()

  const ensure = async (provider: string): Promise<void> => {
    if (known.has(provider)) return
    await sql.query(`INSERT INTO ${table} (provider) VALUES ($1) ON CONFLICT DO NOTHING`, [provider])
    known.add(provider)
  }

  return {
    async turn(provider, perMinute, most) {
      await ensure(provider)
      const each = 60_000 / perMinute
      // A tenth of a minute's requests may come at once; then they are spread.
      const burst = Math.max(0, Math.floor(perMinute / 10) - 1) * each
      const { rows } = await sql.query(
        `WITH before AS (
           SELECT *,
             paused_at IS NOT NULL OR wait_until > now() OR open_until > now() AS held,
             probe_until > now() AS probed,
             failures >= $5 AND open_until <= now() AND probe_until <= now() AS probe,
             greatest(0, extract(epoch FROM next_at - now()) * 1000 - $3::float8) AS ahead
           FROM ${table} WHERE provider = $1 FOR UPDATE)
         UPDATE ${table} t SET
           next_at = CASE WHEN before.held OR before.probed OR before.ahead > $4::float8 THEN t.next_at
             ELSE greatest(t.next_at, now()) + $2::float8 * interval '1 millisecond' END,
           probe_until = CASE WHEN before.probe AND NOT before.held THEN now() + $6::float8 * interval '1 second'
             ELSE t.probe_until END
         FROM before WHERE t.provider = before.provider
         RETURNING before.held, before.probed, before.probe, before.ahead::float8 AS ahead, before.failures > 0 AS troubled,
           before.paused_at IS NOT NULL AS paused, before.wait_until > now() AS waits,
           (extract(epoch FROM greatest(before.wait_until, before.open_until) - now()) * 1000)::float8 AS rest`,
        [provider, each, burst, most, mostFailures, probeSeconds],
      )
      const row = rows[0] ?? {}
      if (row.paused === true) return { kind: 'held', for: Number.POSITIVE_INFINITY, why: 'paused' }
      if (row.held === true)
        return {
          kind: 'held',
          for: Math.max(1, Number(row.rest)),
          why: row.waits === true ? 'waiting' : 'failing',
        }
      // Whoever went to see will know soon.
      if (row.probed === true) return { kind: 'held', for: probePause, why: 'failing' }
      const after = Number(row.ahead)
      if (after > most) return { kind: 'held', for: after, why: 'busy' }
      return { kind: 'go', after, probe: row.probe === true, troubled: row.troubled === true }
    },

    async heard(provider, turn, answer) {
      if (answer.kind === 'asked') {
        await sql.query(
          `UPDATE ${table} SET wait_until = greatest(wait_until, now() + $2::float8 * interval '1 millisecond'),
             failures = 0, open_until = 'epoch', probe_until = 'epoch', reason = 'FHIR_RATE_LIMITED' WHERE provider = $1`,
          [provider, Math.min(longestAsked, answer.for)],
        )
      } else if (answer.kind === 'failed') {
        // Those that were on their way when it was left alone say nothing new.
        await sql.query(
          `WITH before AS (
             SELECT provider, failures + 1 AS count FROM ${table}
             WHERE provider = $1 AND ($2 OR (open_until <= now() AND probe_until <= now())) FOR UPDATE)
           UPDATE ${table} t SET failures = before.count, reason = 'FHIR_UNREACHABLE', probe_until = 'epoch',
             open_until = CASE WHEN before.count >= $3
               THEN now() + least($5::float8, $4::float8 * 2 ^ least(10, before.count - $3)) * interval '1 second'
               ELSE t.open_until END
           FROM before WHERE t.provider = before.provider`,
          [provider, turn.probe, mostFailures, firstRest, longestRest],
        )
      } else if (turn.troubled) {
        await sql.query(
          `UPDATE ${table} SET failures = 0, open_until = 'epoch', probe_until = 'epoch', reason = NULL
           WHERE provider = $1 AND failures > 0`,
          [provider],
        )
      }
    },

    async pause(provider) {
      await ensure(provider)
      await sql.query(`UPDATE ${table} SET paused_at = coalesce(paused_at, now()) WHERE provider = $1`, [
        provider,
      ])
    },

    async resume(provider) {
      await ensure(provider)
      await sql.query(
        `UPDATE ${table} SET paused_at = NULL, wait_until = 'epoch', open_until = 'epoch', probe_until = 'epoch',
           failures = 0, reason = NULL WHERE provider = $1`,
        [provider],
      )
    },

    async list() {
      const { rows } = await sql.query(
        `SELECT provider, paused_at IS NOT NULL AS paused, wait_until > now() AS waits,
           greatest(open_until, probe_until) > now() AS open,
           (extract(epoch FROM greatest(wait_until, open_until)) * 1000)::float8 AS until, reason
         FROM ${table} ORDER BY provider`,
      )
      return rows.map((row) => {
        const state =
          row.paused === true
            ? 'paused'
            : row.waits === true
              ? 'waiting'
              : row.open === true
                ? 'failing'
                : 'working'
        return Object.freeze({
          provider: String(row.provider),
          state,
          ...(state === 'waiting' || state === 'failing' ? { until: new Date(Number(row.until)) } : {}),
          ...(state === 'working' || state === 'paused' || row.reason === null
            ? {}
            : { reason: String(row.reason) }),
        } satisfies ProviderTraffic)
      })
    },
  }
}
