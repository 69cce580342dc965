import {
  type BehaviorName,
  confidentialClientId,
  confidentialClientSecret,
  type Sandbox,
  startSandbox,
} from '@s4s/sandbox'
import { afterEach, describe, expect, test } from 'vitest'
import { clientSecret } from './confidential.js'
import {
  type Connection,
  collect,
  createClient,
  definePlan,
  defineVendor,
  explainRecord,
  type PatientRecord,
  type Provider,
  type UsCoreClass,
  usCore,
  type Vendor,
} from './index.js'
import { testPlatform } from './testing/index.js'
import { vendors } from './vendors/index.js'

const running: Sandbox[] = []
afterEach(async () => {
  await Promise.all(running.splice(0).map((one) => one.stop()))
})

async function start(behavesLike?: BehaviorName, people: readonly string[] = ['eleanor']): Promise<Sandbox> {
  const sandbox = await startSandbox({ ...(behavesLike ? { behavesLike } : {}), people })
  running.push(sandbox)
  return sandbox
}

interface Wanted {
  readonly patient?: string
  readonly rows?: readonly Vendor[]
  readonly provider?: Partial<Provider>
}

async function connect(
  sandbox: Sandbox,
  { patient = 'eleanor', rows = vendors, provider = {} }: Wanted = {},
): Promise<Connection> {
  const client = createClient({
    platform: testPlatform(),
    redirectUri: 'http://127.0.0.1:9/callback',
    providers: [{ ...sandbox.provider, ...provider }],
    plan: usCore,
    vendors: rows,
  })
  const { url } = await client.authorize(sandbox.provider.id)
  const connection = await client.callback(await sandbox.approve(url, { patient }))
  sandbox.clearRequests()
  return connection
}

const keysOf = (record: PatientRecord): string[] =>
  [...record.resources()].map(({ resourceType, id }) => `${resourceType}/${id}`).sort()
const statusOf = (record: PatientRecord, name: string): string | undefined =>
  record.completeness.find(({ dataClass }) => dataClass === name)?.status
const all = async (sandbox: Sandbox, wanted?: Wanted): Promise<PatientRecord> =>
  collect(await connect(sandbox, wanted), { plan: usCore })
/** The rows with one trait of one of them taken away. */
const without = (id: string, trait: keyof Vendor): Vendor[] =>
  vendors.map((vendor) => (vendor.id === id ? defineVendor({ ...vendor, [trait]: undefined }) : vendor))

/** What each product does not hand out at all, whatever is asked. */
const withheld: Partial<Record<BehaviorName, RegExp>> = {
  epic: /^(RelatedPerson|Provenance)\//,
  'blue-button': /^(?!Patient\/|Coverage\/)/,
}

// Epic keeps nothing under these categories, so nothing can be found by them.
function* uncategorised(record: PatientRecord): Iterable<string> {
  for (const one of record.resources('Observation')) {
    const { id, category = [] } = one as unknown as {
      id?: string
      category?: { coding?: { code?: string }[] }[]
    }
    const codes = category.flatMap(({ coding = [] }) => coding.map(({ code }) => code))
    if (codes.every((code) => /^(procedure|therapy|activity)$/.test(code ?? ''))) yield `Observation/${id}`
  }
}

describe('the whole record, from every product', () => {
  test.each([
    'epic',
    'oracle-health',
    'veradigm',
    'eclinicalworks',
    'nextgen',
    'athenahealth',
    'meditech',
    'blue-button',
    'va',
  ] as const)(
    'PR-01 a server like %s is recognised, and what it holds is collected, each once',
    async (like) => {
      for (const patient of ['eleanor', 'camila']) {
        const whole = await all(await start(undefined, [patient]), { patient })
        const standard = keysOf(whole)
        const ofNoCategory = new Set(uncategorised(whole))
        const server = await start(like, [patient])
        const confidential = like === 'blue-button' && {
          ...{ clientId: confidentialClientId, auth: clientSecret(confidentialClientSecret) },
        }
        const vendor = vendors.find(({ id, software }) => id === like && software === undefined)
        const provider = { ...confidential, ...(vendor ? { vendor } : {}) }
        const record = await all(server, { patient, provider })
        const expected = standard.filter(
          (key) => !withheld[like]?.test(key) && !(like === 'epic' && ofNoCategory.has(key)),
        )
        expect(keysOf(record)).toEqual(expected)
        expect(record.issues.filter(({ kind }) => kind !== 'reference')).toEqual([])
      }
    },
    120_000,
  )
})

/** Every seventh request is cut, put off, or told that its pages have expired; a chain of pages only once. */
function injure(sandbox: Sandbox): void {
  let count = 0
  const expired = new Set<string>()
  sandbox.faults.add({
    match: ({ path }) => path.startsWith('/fhir/') && ++count % 7 === 0,
    respond: ({ path }) => {
      if (count % 3 === 0) return 'drop'
      if (count % 3 === 1) return new Response('', { status: 429, headers: { 'retry-after': '0' } })
      const type = path.split(/[/?]/)[2] ?? ''
      const later = /[?&](_page|sessionID|pageContext|cursor|continue)=/.test(path)
      if (!later || expired.has(type)) return undefined
      expired.add(type)
      const issue = [{ severity: 'error', code: 'expired' }]
      return new Response(JSON.stringify({ resourceType: 'OperationOutcome', issue }), { status: 410 })
    },
  })
}

describe('the whole record, from every product, over a bad line', () => {
  const products: readonly BehaviorName[] = [
    ...(['epic', 'oracle-health', 'veradigm', 'eclinicalworks', 'nextgen'] as const),
    ...(['athenahealth', 'meditech'] as const),
  ]
  const cases: [BehaviorName, string][] = products.map((like) => [like, 'daniel'])
  test.each([...cases, ['epic', 'priya'] as const, ['athenahealth', 'priya'] as const])(
    'PR-08 F25 %s, %s: 429s, cut connections and expired pages cost nothing',
    async (like, patient) => {
      const sandbox = await start(like, [patient])
      const connection = await connect(sandbox, { patient })
      const whole = keysOf(await collect(connection, { plan: usCore }))
      injure(sandbox)
      const record = await collect(connection, { plan: usCore })
      expect(keysOf(record)).toEqual(whole)
      expect(new Set(whole).size).toBe(whole.length)
      expect(record.count()).toBeGreaterThan(patient === 'priya' ? 20_000 : 400)
      // Only what the product does not hand out to anybody.
      for (const { dataClass, status } of record.completeness)
        if (status !== 'received' && status !== 'none')
          expect([like, dataClass]).toEqual(['epic', expect.stringMatching(/^(Related Persons|Provenance)$/)])
    },
    120_000,
  )

  test('a class that is refused is said to be, and nothing else is lost', async () => {
    const sandbox = await start('nextgen', ['daniel'])
    const connection = await connect(sandbox, { patient: 'daniel' })
    const whole = keysOf(await collect(connection, { plan: usCore }))
    injure(sandbox)
    sandbox.faults.add({
      match: ({ path }) => path.startsWith('/fhir/Immunization'),
      respond: () => new Response('', { status: 403 }),
    })
    const record = await collect(connection, { plan: usCore })
    const without = (key: string): boolean => !/^(Immunization|Provenance)\//.test(key)
    expect(keysOf(record).filter(without)).toEqual(whole.filter(without))
    expect(statusOf(record, 'Immunizations')).toBe('refused')
  })
})

const classes = (...names: readonly UsCoreClass[]) => ({ plan: usCore.only(...names) })

describe('what a row knows, and what goes wrong without it', () => {
  test('an unknown product is met with the standard, and its CapabilityStatement is asked once', async () => {
    const sandbox = await start()
    const connection = await connect(sandbox)
    expect(connection.provider.vendor).toBeUndefined()
    sandbox.faults.add({ match: ({ path }) => path === '/fhir/metadata', respond: () => 'drop' })
    expect((await connect(sandbox)).provider.vendor).toBeUndefined()
  })

  test('a product is remembered with the connection, and known by its FHIR base without a question', async () => {
    const sandbox = await start('epic')
    const platform = testPlatform()
    const options = {
      platform,
      redirectUri: 'http://127.0.0.1:9/callback',
      providers: [sandbox.provider],
      plan: usCore,
      vendors,
    }
    const client = createClient(options)
    const { url } = await client.authorize(sandbox.provider.id)
    const later = createClient(options)
    await later.callback(await sandbox.approve(url, { patient: 'eleanor' }))
    sandbox.clearRequests()
    const [stored] = await createClient(options).connections()
    expect(stored?.provider.vendor?.id).toBe('epic')
    expect(sandbox.requests).toEqual([])
    for (const [iss, id] of [
      ['https://fhir4.healow.com/fhir/r4/AACJCD', 'eclinicalworks'],
      ['https://WEBPRD.ochin.org/prd-fhir/MyChartAACI/api/FHIR/R4/', 'epic'],
      ['https://fhir-myrecord.cerner.com/r4/1/', 'oracle-health'],
      ['https://api.platform.athenahealth.com/fhir/r4', 'athenahealth'],
      ['https://fhir.nextgen.com/nge/prod/fhir-api-r4/fhir/r4/', 'nextgen'],
      ['https://healow.com.evil.example/fhir', undefined],
    ] as const) {
      const { createRecognition } = await import('./recognise.js')
      const transport = (() => {
        throw new Error('asked')
      }) as never
      const known = createRecognition({ platform, transport }, vendors).known({ ...sandbox.provider, iss })
      expect(known.vendor?.id).toBe(id)
    }
  })

  test('Q71 Epic moreSearches: problems that are over', async () => {
    const sandbox = await start('epic')
    const problems = async (rows: readonly Vendor[]): Promise<number> =>
      (await collect(await connect(sandbox, { rows }), classes('Problems'))).count('Problems')
    expect(await problems(vendors)).toBeGreaterThan(await problems(without('epic', 'moreSearches')))
  })

  test('Epic refusedValues: categories that it refuses are not asked for, and reported', async () => {
    const sandbox = await start('epic')
    const tests = async (rows: readonly Vendor[]) =>
      (await collect(await connect(sandbox, { rows }), classes('Tests and Imaging'))).completeness[0]
    const known = await tests(vendors)
    expect(known?.status).toBe('none')
    expect(known?.queries.filter(({ status }) => status === 'not-supported')).toHaveLength(3)
    expect((await tests(without('epic', 'refusedValues')))?.status).toBe('refused')
  })

  test('Q65 Epic heldBack: what is held back makes a class incomplete, the usual remark does not', async () => {
    const sandbox = await start('epic')
    const issue = (code: string): object => ({
      severity: 'warning',
      code: 'suppressed',
      details: { coding: [{ system: 'urn:oid:1.2.840.114350.1.13.0.1.7.2.657369', code }] },
    })
    sandbox.faults.add({
      match: ({ path }) => path.includes('/Goal?'),
      respond: () =>
        new Response(
          JSON.stringify({
            resourceType: 'Bundle',
            type: 'searchset',
            entry: [
              {
                resource: { resourceType: 'OperationOutcome', issue: [issue('59204'), issue('4119')] },
                search: { mode: 'outcome' },
              },
            ],
          }),
          { headers: { 'content-type': 'application/fhir+json' } },
        ),
    })
    const goals = async (rows: readonly Vendor[]) =>
      collect(await connect(sandbox, { rows }), classes('Goals', 'Procedures'))
    const known = await goals(vendors)
    expect([statusOf(known, 'Goals'), statusOf(known, 'Procedures')]).toEqual(['truncated', 'received'])
    expect(statusOf(await goals(without('epic', 'heldBack')), 'Goals')).toBe('none')
  })

  test.each([
    ['epic', 'Procedures'],
    ['eclinicalworks', 'Specimens'],
  ] as const)('Q66 %s totals: a total that is none is neither believed nor reported', async (like, name) => {
    const sandbox = await start(like)
    const row = async (rows: readonly Vendor[]) =>
      (await collect(await connect(sandbox, { rows }), classes(name))).completeness[0]
    expect((await row(vendors))?.queries[0]).not.toHaveProperty('total')
    expect((await row(without(like, 'totals')))?.queries[0]).toHaveProperty('total')
  })

  test('Q78 a server that counts more than it hands out is not called whole', async () => {
    const sandbox = await start('nextgen')
    const record = await collect(
      await connect(sandbox, { rows: without('nextgen', 'pageParameter') }),
      classes('Encounters'),
    )
    expect(record.completeness[0]?.warnings).toEqual([{ severity: 'warning', code: 'incomplete' }])
    const [explained] = explainRecord(record, usCore.only('Encounters'))
    expect(explained).toMatchObject({
      whole: false,
      sentence: expect.stringContaining('although it counts more'),
    })
    const whole = await collect(await connect(sandbox), classes('Encounters'))
    expect(whole.count('Encounters')).toBe(record.completeness[0]?.queries[0]?.total)
    expect(whole.completeness[0]?.warnings).toEqual([])
  })

  test.each(['oracle-health', 'eclinicalworks', 'veradigm'] as const)(
    'Q38 Q40 %s patientFrom: the patient that the token response does not name',
    async (like) => {
      const sandbox = await start(like)
      expect((await connect(sandbox)).patient).toBe('eleanor')
      await expect(connect(sandbox, { rows: without(like, 'patientFrom') })).rejects.toMatchObject({
        code: 'TOKEN_PATIENT_MISSING',
      })
    },
  )

  test.each(['oracle-health', 'veradigm'] as const)(
    'Q19 %s scopeDialect: scopes in the other syntax are dropped or refused',
    async (like) => {
      const sandbox = await start(like)
      expect((await connect(sandbox)).scopes).toEqual(
        expect.arrayContaining([expect.stringMatching(/^patient\/Observation\./)]),
      )
      const rows = without(like, 'scopeDialect')
      const scopes = await connect(sandbox, { rows }).then(
        (one) => one.scopes,
        (error: Error) => error.message,
      )
      expect(String(scopes)).not.toContain('patient/Observation')
    },
  )

  test('Q16 eClinicalWorks audience: the base without its last slash', async () => {
    const sandbox = await start('eclinicalworks')
    const provider = { iss: `${sandbox.iss}/` }
    expect((await connect(sandbox, { provider })).patient).toBe('eleanor')
    await expect(
      connect(sandbox, { provider, rows: without('eclinicalworks', 'audience') }),
    ).rejects.toThrow()
  })

  test('Q15 NextGen audience: none', async () => {
    const sandbox = await start('nextgen')
    await connect(sandbox)
    await expect(connect(sandbox, { rows: without('nextgen', 'audience') })).rejects.toThrow()
  })

  test.each([
    ['eclinicalworks', 'linkOrigins'],
    ['nextgen', 'linksInAnyCase'],
  ] as const)('Q77 %s %s: links as they are meant', async (like, trait) => {
    const sandbox = await start(like)
    const labs = async (rows: readonly Vendor[]) =>
      (await collect(await connect(sandbox, { rows }), classes('Laboratory'))).completeness[0]
    expect((await labs(vendors))?.status).toBe('received')
    expect(await labs(without(like, trait))).toMatchObject({
      status: 'truncated',
      reason: 'FHIR_FOREIGN_URL',
    })
    // Whatever the links say, every request went to the server itself, and below its base.
    expect(sandbox.requests.every(({ path }) => !path.startsWith('/fhir') || path.startsWith('/fhir/'))).toBe(
      true,
    )
  })

  test('Q56 NextGen badQuery: a 404 that means a missing category', async () => {
    const sandbox = await start('nextgen')
    const bare = definePlan({
      id: 'bare',
      title: 'Bare',
      classes: usCore.only('Care Plans').classes.map((one) => ({ ...one, searches: [{}] })),
    })
    const plans = async (rows: readonly Vendor[]) =>
      (await collect(await connect(sandbox, { rows }), { plan: bare })).completeness[0]
    expect((await plans(vendors))?.queries.length).toBeGreaterThan(1)
    expect((await plans(without('nextgen', 'badQuery')))?.status).toBe('not-supported')
  })

  test('Q50 athenahealth refreshScope: a refresh names what was granted', async () => {
    const sandbox = await start('athenahealth')
    await (await connect(sandbox)).refresh()
    const plain = await connect(sandbox, { rows: without('athenahealth', 'refreshScope') })
    await expect(plain.refresh()).rejects.toMatchObject({ code: 'TOKEN_REFUSED', reason: 'invalid_scope' })
  })

  test('Q69 athenahealth requestContext: the practice goes with every request, its slash as it is', async () => {
    const sandbox = await start('athenahealth')
    const record = await all(sandbox)
    expect(statusOf(record, 'Laboratory')).toBe('received')
    const asked = sandbox.requests.filter(
      ({ path }) => path.startsWith('/fhir/') && !path.includes('.well-known'),
    )
    expect(asked.every(({ path }) => path.includes('ah-practice=Organization/a-1.Practice-80000'))).toBe(true)
    const plain = await connect(sandbox, { rows: without('athenahealth', 'requestContext') })
    await expect(collect(plain, classes('Laboratory'))).resolves.toMatchObject({
      completeness: [{ status: 'refused' }],
    })
  })

  test.each(['scopes', 'patientFrom'] as const)('Q20 Q38 Blue Button %s', async (trait) => {
    const sandbox = await start('blue-button')
    const credentials = { clientId: confidentialClientId, auth: clientSecret(confidentialClientSecret) }
    const row = vendors.find(({ id }) => id === 'blue-button') as Vendor
    const connection = await connect(sandbox, { provider: { ...credentials, vendor: row } })
    expect(connection.patient).toBe('eleanor')
    expect(connection.requestedScopes).toEqual(
      ['launch/patient', 'patient/Coverage.read', 'patient/Patient.read', 'profile'].sort(),
    )
    const vendor = defineVendor({ ...row, [trait]: undefined })
    await expect(connect(sandbox, { provider: { ...credentials, vendor } })).rejects.toThrow()
  })

  test.each(['audience', 'scopeDialect'] as const)('Q15 Q20 VA %s', async (trait) => {
    const sandbox = await start('va')
    const row = vendors.find(({ id }) => id === 'va') as Vendor
    await (await connect(sandbox, { provider: { vendor: row } })).refresh()
    await expect(
      connect(sandbox, { provider: { vendor: defineVendor({ ...row, [trait]: undefined }) } }),
    ).rejects.toThrow()
  })

  test('Q86 eClinicalWorks requestsPerMinute: it waits for the next minute before it is blocked', async () => {
    const sandbox = await start()
    let now = Date.UTC(2026, 0, 1, 12, 0, 50)
    const slept: number[] = []
    const platform = testPlatform()
    const clock = {
      now: () => now,
      // Deadlines are sleeps too; only the wait for the next minute is passed over.
      sleep: (wait: number, signal?: AbortSignal) => {
        if (wait > 11_000) return platform.clock.sleep(wait, signal)
        slept.push(wait)
        now += wait
        return Promise.resolve()
      },
    }
    const vendor = defineVendor({
      id: 'slow',
      name: 'Slow',
      requestsPerMinute: { value: 10, why: 'test', source: 'https://example.org', seen: '2026-11' },
    })
    const client = createClient({
      platform: { ...platform, clock },
      redirectUri: 'http://127.0.0.1:9/callback',
      providers: [{ ...sandbox.provider, vendor }],
      plan: usCore,
    })
    const { url } = await client.authorize(sandbox.provider.id)
    const connection = await client.callback(await sandbox.approve(url, { patient: 'eleanor' }))
    for (let at = 0; at < 14; at++) await connection.read('Patient', 'eleanor')
    expect(slept.filter((wait) => wait > 5000)).toHaveLength(1)
    sandbox.faults.add({
      match: ({ path }) => path.startsWith('/fhir/Patient'),
      respond: () => new Response('Too Many Requests', { status: 429 }),
      times: 1,
    })
    now = Date.UTC(2026, 0, 1, 13, 0, 55)
    await connection.read('Patient', 'eleanor')
    expect(now % 60_000).toBeLessThan(2000)
  })
})

describe('what is not found by searching', () => {
  test('a result that only a report points to is read, and put where its category belongs', async () => {
    const sandbox = await start()
    const whole = await all(sandbox)
    const [report] = whole.lines('DiagnosticReport')
    const key =
      /"reference":"(Observation\/[^"]+)"/.exec(
        String([...whole.lines('DiagnosticReport')].find((line) => line.includes('Observation/')) ?? report),
      )?.[1] ?? ''
    const id = key.split('/')[1] as string
    // Every search leaves it out; by its id it is there.
    sandbox.faults.add({
      match: ({ path }) => path.startsWith('/fhir/Observation?') && !path.includes('_id='),
      respond: async ({ path }) => {
        if (path.includes('hidden=1')) return undefined
        const answer = await sandbox.fetch(`${sandbox.url}${path}&hidden=1`, {
          headers: { authorization: sandbox.requests.at(-1)?.authorization ?? '' },
        })
        const bundle = (await answer.json()) as { entry?: { resource: { id: string } }[] }
        const entry = bundle.entry?.filter(({ resource }) => resource.id !== id)
        return new Response(JSON.stringify({ ...bundle, total: undefined, entry }), {
          headers: { 'content-type': 'application/fhir+json' },
        })
      },
    })
    expect(keysOf(await all(sandbox))).toEqual(keysOf(whole))
  })
})
