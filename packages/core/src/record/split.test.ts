import { type Sandbox, startSandbox } from '@s4s/sandbox'
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { ambientClock } from '../ambient.js'
import { type Connection, collect, createClient, definePlan, type PatientRecord, usCore } from '../index.js'
import { testPlatform } from '../testing/index.js'
import { divided, type Part } from './split.js'

const now = Date.UTC(2026, 0, 1)
const year = 365.25 * 86_400_000

describe('dividing a search by date', () => {
  const meets = (time: number | undefined, part: Part): boolean => {
    if (part['date:missing'] !== undefined) return time === undefined
    return (
      time !== undefined &&
      [part.date ?? []].flat().every((bound) => {
        const edge = Date.parse(bound.slice(2))
        return bound.startsWith('ge') ? time >= edge : time < edge
      })
    )
  }

  test('every result is in a part, whatever the dates, and no part is much larger than it should be', async () => {
    const time = fc.oneof(
      fc.constant(undefined),
      fc.integer({ min: -80, max: 3 }).map((years) => now + years * year),
      fc
        .double({ min: -5, max: 0, noNaN: true })
        .map((years) => Math.floor((now + years * year) / 1000) * 1000),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(time, { minLength: 20, maxLength: 400 }), async (times) => {
        const parts = await divided(
          'date',
          times.length,
          8,
          now,
          async (part) => times.filter((one) => meets(one, part)).length,
        )
        expect(parts).toBeDefined()
        for (const one of times) expect(parts?.filter((part) => meets(one, part)).length).toBe(1)
        expect(parts?.length).toBeLessThanOrEqual(30)
      }),
      { numRuns: 300 },
    )
  })

  test('a server that cannot count, or counts fewer than there are, is not divided', async () => {
    expect(await divided('date', 100, 8, now, async () => undefined)).toBeUndefined()
    expect(await divided('date', 100, 8, now, async () => 1)).toBeUndefined()
  })
})

describe('a long search', () => {
  let sandbox: Sandbox
  let connection: Connection
  // Few results a page, so that there are many pages.
  const plan = definePlan({
    id: 'long',
    title: 'Long',
    classes: usCore.only('Laboratory', 'Vital Signs').classes.map((row) => ({
      ...row,
      searches: row.searches.map((search) => ({ ...search, _count: 5 })),
    })),
  })
  beforeAll(async () => {
    sandbox = await startSandbox({ people: ['eleanor'] })
    const client = createClient({
      platform: testPlatform({
        clock: {
          ...ambientClock,
          // Waits before a retry are over at once; those that end a request are longer.
          sleep: (milliseconds, signal) =>
            ambientClock.sleep(milliseconds < 10_000 ? 1 : milliseconds, signal),
        },
      }),
      redirectUri: 'http://127.0.0.1:9/callback',
      providers: [sandbox.provider],
      plan,
    })
    const { url } = await client.authorize(sandbox.provider.id)
    connection = await client.callback(await sandbox.approve(url))
  })
  afterAll(() => sandbox.stop())
  // A server that takes its time, as all do: else the chain is done before its parts have begun.
  const slow = (): void =>
    void sandbox.faults.add({
      match: () => true,
      respond: () => new Promise((resolve) => setTimeout(() => resolve(undefined), 5)),
    })
  beforeEach(() => {
    sandbox.faults.clear()
    sandbox.clearRequests()
    slow()
  })
  const keys = (record: PatientRecord): string[] => [...record.resources()].map(({ id }) => id ?? '').sort()
  const statuses = (record: PatientRecord): unknown =>
    record.completeness.map(({ dataClass, status, count }) => [dataClass, status, count])
  const byDate = (): number =>
    sandbox.requests.filter(({ path }) => /[?&]date/.test(path) && !path.includes('_summary')).length
  const broken = (respond: (path: string) => Response | 'drop' | undefined): void =>
    void sandbox.faults.add({
      match: ({ path }) => /[?&]date/.test(path),
      respond: ({ path }) => respond(decodeURIComponent(path)),
    })

  test('is walked in parts side by side, and brings each resource once', async () => {
    const serial = await collect(connection, { plan, split: false })
    expect(byDate()).toBe(0)
    const asked = sandbox.requests.length
    sandbox.clearRequests()
    const split = await collect(connection, { plan })
    expect(byDate()).toBeGreaterThan(4)
    // The parts have counts of their own, which say nothing about the whole: it is not read once more.
    const counts = sandbox.requests.filter(({ path }) => path.includes('_summary')).length
    expect(sandbox.requests.length - counts).toBeLessThan(asked * 1.4)
    expect(keys(split)).toEqual(keys(serial))
    expect(statuses(split)).toEqual(statuses(serial))
  })

  test.each<[string, (path: string) => Response | 'drop' | undefined]>([
    ['refuses dates', () => new Response('{}', { status: 400 })],
    [
      'cannot say how many lack one',
      (path) => (path.includes('missing') ? new Response('{}', { status: 400 }) : undefined),
    ],
    ['finds nothing by date', () => Response.json({ resourceType: 'Bundle', type: 'searchset', total: 0 })],
    [
      'counts wrong',
      (path) =>
        path.includes('_summary')
          ? Response.json({ resourceType: 'Bundle', type: 'searchset', total: 9999 })
          : undefined,
    ],
    ['cuts connections of parts', (path) => (path.includes('_summary') ? undefined : 'drop')],
    [
      'answers parts with others',
      (path) =>
        path.includes('_summary')
          ? undefined
          : Response.json({
              resourceType: 'Bundle',
              type: 'searchset',
              entry: [
                {
                  resource: { resourceType: 'Observation', id: 'x', subject: { reference: 'Patient/other' } },
                },
              ],
            }),
    ],
  ])(
    'of a server that %s loses nothing',
    async (_, respond) => {
      const serial = await collect(connection, { plan, split: false })
      broken(respond)
      const split = await collect(connection, { plan })
      expect(keys(split)).toEqual(keys(serial))
      expect(statuses(split)).toEqual(statuses(serial))
    },
    60_000,
  )

  test('an abort ends its parts too', async () => {
    const stop = new AbortController()
    const work = collect(connection, {
      plan,
      signal: stop.signal,
      onProgress: () => byDate() > 2 && stop.abort(new Error('enough')),
    })
    await expect(work).rejects.toThrow('enough')
    const seen = sandbox.requests.length
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect(sandbox.requests.length).toBeLessThanOrEqual(seen + 8)
  })
})
