import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ambientClock, ambientFetch } from '@s4s/core'
import { describe, expect, test } from 'vitest'
import { migrate } from '../store/sql.js'
import { databases } from '../test-support/databases.js'
import { noPostgres } from '../test-support/postgres.js'
import { pacedFetch } from './paced-fetch.js'
import { workerTables } from './tables.js'
import { createTraffic, type Traffic, type Turn } from './traffic.js'

if (noPostgres !== undefined) console.warn(`Skipped: ${noPostgres}`)

const { all } = databases()

for (const [name, open, missing] of all) {
  describe.skipIf(missing !== undefined)(`traffic that is agreed on in ${name}`, () => {
    const make = async (): Promise<Traffic> => {
      const sql = open()
      await migrate(sql, 'traffic', workerTables('traffic'))
      return createTraffic(sql, 'traffic')
    }

    test('a hospital is asked no more often than agreed, by all together', async () => {
      const all = await Promise.all([make(), make(), make()])
      const turns = await Promise.all(
        Array.from({ length: 30 }, (_, at) => (all[at % 3] as Traffic).turn('mercy', 60, 10_000)),
      )
      const after = turns.flatMap((turn) => (turn.kind === 'go' ? [turn.after] : [])).sort((a, b) => a - b)
      // A tenth of a minute's at once, then one each second, as far as it is worth waiting for.
      expect(after.slice(0, 6)).toEqual([0, 0, 0, 0, 0, 0])
      after.slice(6).forEach((milliseconds, index) => {
        expect(milliseconds).toBeGreaterThan(index * 1000 - 900)
        expect(milliseconds).toBeLessThanOrEqual((index + 1) * 1000)
      })
      expect(after.length).toBeGreaterThanOrEqual(16)
      expect(after.length).toBeLessThanOrEqual(18)
      const held = turns.filter((turn) => turn.kind === 'held')
      expect(held.every((turn) => turn.why === 'busy' && turn.for > 10_000 && turn.for < 12_000)).toBe(true)
      expect(await all[0]?.turn('grace', 60, 10_000)).toMatchObject({ kind: 'go', after: 0 })
    })

    test('of many only one goes to see whether a hospital works again, and its word counts for all', async () => {
      const [one, other] = await Promise.all([make(), make()])
      const go = (await one.turn('down', 6000, 10_000)) as Extract<Turn, { kind: 'go' }>
      for (let time = 0; time < 5; time++) await one.heard('down', go, { kind: 'failed' })
      expect(await other.turn('down', 6000, 10_000)).toMatchObject({ kind: 'held', why: 'failing' })
      const rest = (await other.list()).find(({ provider }) => provider === 'down')?.until?.getTime() ?? 0
      expect(rest - Date.now()).toBeGreaterThan(10_000)
      // Those that were on their way do not make it longer.
      for (let time = 0; time < 5; time++) await other.heard('down', go, { kind: 'failed' })
      expect((await other.list()).find(({ provider }) => provider === 'down')?.until?.getTime()).toBe(rest)

      const sql = open()
      await sql.query(`UPDATE traffic.providers SET open_until = now() WHERE provider = 'down'`)
      const turns = await Promise.all(
        Array.from({ length: 20 }, (_, at) => (at % 2 ? one : other).turn('down', 6000, 10_000)),
      )
      const probes = turns.filter((turn) => turn.kind === 'go')
      expect(probes.length).toBe(1)
      expect(probes[0]).toMatchObject({ probe: true })
      await one.heard('down', probes[0] as typeof go, { kind: 'good' })
      expect(await other.turn('down', 6000, 10_000)).toMatchObject({
        kind: 'go',
        probe: false,
        troubled: false,
      })
    })

    const hour = 3_600_000
    test.each<[string, () => Record<string, string>, number]>([
      ['seconds', () => ({ 'retry-after': '3600' }), hour],
      ['a date', () => ({ 'retry-after': new Date(Date.now() + hour).toUTCString() }), hour],
      ['a date in the past', () => ({ 'retry-after': new Date(Date.now() - hour).toUTCString() }), 0],
      ['a year', () => ({ 'retry-after': String(365 * 86_400) }), 24 * hour],
      ['seconds of another name', () => ({ 'ratelimit-reset': '3600' }), hour],
      [
        'a time of day',
        () => ({ 'x-ratelimit-reset': String(Math.round((Date.now() + hour) / 1000)) }),
        hour,
      ],
      ['nothing', () => ({}), 5000],
      ['nonsense', () => ({ 'retry-after': 'later, perhaps' }), 5000],
    ])('F1 F2 how long a hospital asks to be left alone is heard: %s', async (_, headers, wanted) => {
      const ehr = createServer((_request, response) => response.writeHead(429, headers()).end())
      await new Promise<void>((resolve) => ehr.listen(0, '127.0.0.1', resolve))
      const iss = `http://127.0.0.1:${(ehr.address() as AddressInfo).port}/fhir`
      const traffic = await make()
      const held: number[] = []
      const paced = pacedFetch({
        ...{ provider: { id: iss.replace(/\W+/g, '-'), iss }, traffic, perMinute: 6000, fetch: ambientFetch },
        ...{ clock: ambientClock, failing: () => {}, onAnswer: () => {}, onTokens: () => {} },
        hold: (milliseconds) => held.push(milliseconds),
        onError: (error) => {
          throw error
        },
      })
      expect((await paced(`${iss}/Patient/1`)).status).toBe(429)
      const turn = await traffic.turn(iss.replace(/\W+/g, '-'), 6000, 10_000)
      const left = turn.kind === 'held' ? turn.for : 0
      expect(Math.abs(left - wanted)).toBeLessThan(3000)
      expect(held.length).toBe(wanted > 10_000 ? 1 : 0)
      await new Promise((resolve) => ehr.close(resolve))
    })
  })
}
