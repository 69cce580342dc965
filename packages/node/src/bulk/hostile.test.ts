import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isSmartError, type PatientRecord, usCore } from '@s4s/core'
import { createBackendService, privateKeyJwt } from '@s4s/core/confidential'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Heard, json, startServer, type TestServer } from '../../../core/test-support/server.js'
import { nodePlatform } from '../platform.js'
import { type BulkOptions, type BulkRecords, bulkRecords } from './index.js'

const plan = usCore.only('Patient', 'Problems', 'Immunizations')
let folder: string
let options: BulkOptions
const servers: TestServer[] = []
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 's4s-bulk-'))
  options = { plan, folder, key: randomBytes(32).toString('base64') }
})
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop()))
  await rm(folder, { recursive: true, force: true })
})

type Answer = (request: Heard, response: ServerResponse) => unknown

interface Script {
  /** Lines by type, or what answers for the file. */
  readonly output?: readonly (readonly [type: string, body: string | Buffer | Answer, more?: object])[]
  readonly error?: readonly string[]
  readonly manifest?: (server: TestServer) => object | string
  readonly kickOff?: Answer
  readonly status?: Answer
  readonly metadata?: Answer
  /** Reads of single resources. */
  readonly read?: Answer
}

/** A server whose export is what a test says. */
async function exporting(
  script: Script,
): Promise<{ server: TestServer; run(more?: Partial<BulkOptions>): BulkRecords }> {
  const { output = [], error = [] } = script
  const server = await startServer((request, response) => {
    const path = request.path.split('?')[0] as string
    if (path.endsWith('smart-configuration')) return json(response, { token_endpoint: `${server.url}/token` })
    if (path === '/token')
      return json(response, {
        access_token: 'secret-token',
        token_type: 'bearer',
        expires_in: 300,
        scope: 'system/*.rs',
      })
    if (path === '/fhir/metadata')
      return script.metadata ? script.metadata(request, response) : json(response, {}, 404)
    if (path.endsWith('/$export')) {
      if (script.kickOff) return script.kickOff(request, response)
      return json(response, '', 202, { 'content-location': `${server.url}/status/1` })
    }
    if (path === '/status/1' && request.method === 'DELETE') return json(response, '', 202)
    if (path === '/status/1') {
      if (script.status) return script.status(request, response)
      const manifest = script.manifest?.(server) ?? {}
      if (typeof manifest === 'string') return json(response, manifest)
      return json(response, {
        transactionTime: '2026-01-02T03:04:05Z',
        request: 'x',
        requiresAccessToken: true,
        output: output.map(([type, , more], index) => ({
          type,
          url: `${server.url}/files/${index}`,
          ...more,
        })),
        error: error.map((_, index) => ({ type: 'OperationOutcome', url: `${server.url}/errors/${index}` })),
        ...manifest,
      })
    }
    if (path.startsWith('/fhir/') && script.read) return script.read(request, response)
    const [, kind, index] = /^\/(files|errors)\/(\d+)$/.exec(path) ?? []
    const body = kind === 'errors' ? error[Number(index)] : output[Number(index)]?.[1]
    if (typeof body === 'function') return body(request, response)
    response.writeHead(body === undefined ? 404 : 200, { 'content-type': 'application/fhir+ndjson' })
    response.end(body)
  })
  servers.push(server)
  const pair = (await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-384' }, false, [
    'sign',
    'verify',
  ])) as CryptoKeyPair
  const service = createBackendService({
    platform: nodePlatform(),
    provider: {
      id: 'town',
      name: 'Town',
      iss: `${server.url}/fhir`,
      clientId: 'svc',
      auth: privateKeyJwt(pair.privateKey, 'k'),
    },
    scope: 'system/*.rs',
  })
  return { server, run: (more = {}) => bulkRecords(service, { ...options, ...more }) }
}

async function all(records: BulkRecords): Promise<Map<string, PatientRecord>> {
  const found = new Map<string, PatientRecord>()
  for await (const record of records) found.set(record.patient, record)
  return found
}

const line = (resource: object): string => `${JSON.stringify(resource)}\n`
const patient = (id: string): string => line({ resourceType: 'Patient', id })
const problem = (id: string, of: unknown, more: object = {}): string =>
  line({ resourceType: 'Condition', id, subject: typeof of === 'string' ? { reference: of } : of, ...more })
const ids = (record: PatientRecord | undefined, of: string): (string | undefined)[] =>
  [...(record?.resources(of) ?? [])].map(({ id }) => id)
const row = (record: PatientRecord | undefined, dataClass: string): string | undefined => {
  const found = record?.completeness.find((one) => one.dataClass === dataClass)
  return found && `${found.status} ${found.count}${found.reason ? ` ${found.reason}` : ''}`
}
const tokensAt = (server: TestServer): string[] =>
  server.heard
    .filter(({ headers }) => headers.authorization?.includes('secret-token'))
    .map(({ path }) => path)
const failure = async (records: BulkRecords): Promise<string> =>
  all(records).then(
    () => 'none',
    (error: unknown) => {
      expect(String((error as Error).stack)).not.toContain('secret-token')
      return isSmartError(error) ? error.code : String(error)
    },
  )

describe('whose a line is', () => {
  test('T48 F32 lines of one patient are never in the record of another, whatever they say', async () => {
    const { run } = await exporting({
      output: [
        ['Patient', patient('a') + patient('b')],
        [
          'Condition',
          [
            problem('of-a', 'Patient/a'),
            problem('of-b', 'Patient/b/_history/3'),
            problem('both-disagree', 'Patient/a', { patient: { reference: 'Patient/b' } }),
            problem('elsewhere', 'https://other.example/fhir/Patient/a'),
            problem('stranger', 'Patient/c'),
            problem('traversal', 'Patient/../../a'),
            problem('looks-alike', 'Patient/A'),
            problem('__proto__', 'Patient/__proto__'),
          ].join(''),
        ],
        [
          'Immunization',
          line({ resourceType: 'Immunization', id: 'i', patient: { reference: 'Patient/b' } }),
        ],
      ],
    })
    const records = run()
    const found = await all(records)
    expect([...found.keys()].sort()).toEqual(['a', 'b'])
    expect(ids(found.get('a'), 'Problems')).toEqual(['of-a'])
    expect(ids(found.get('b'), 'Problems')).toEqual(['of-b'])
    expect([row(found.get('a'), 'Immunizations'), row(found.get('b'), 'Immunizations')]).toEqual([
      'none 0',
      'received 1',
    ])
    const issues = records.report()?.issues.map(({ kind, type, count }) => `${kind} ${type} ${count}`)
    expect(issues?.sort()).toEqual([
      'invalid-id Condition 1',
      'other-patient Condition 2',
      'unplaced Condition 3',
    ])
  })

  test('T48 of patients who were not asked for nothing is kept, also when the server sends it', async () => {
    const { run } = await exporting({
      output: [
        ['Patient', patient('a') + patient('b')],
        ['Condition', problem('1', 'Patient/a') + problem('2', 'Patient/b')],
      ],
    })
    const records = run({ patients: ['b'] })
    expect([...(await all(records)).keys()]).toEqual(['b'])
    expect(records.report()?.issues).toEqual([
      { kind: 'other-patient', type: 'Patient', count: 1 },
      { kind: 'other-patient', type: 'Condition', count: 1 },
    ])
  })
})

describe('what a file holds', () => {
  test.each<[string, string | Buffer, string]>([
    ['a line without end', Buffer.alloc(3_000_000, 97), 'too-long'],
    ['bytes that are no text', Buffer.concat([randomBytes(500), Buffer.from([0xff, 0xfe, 10])]), 'no-'],
    ['half a line', '{"resourceType":"Condition","id":"x","subj', 'no-json'],
    [
      'what is nested a hundred thousand deep',
      `{"resourceType":"Condition","id":"x","a":${'['.repeat(1e5)}${']'.repeat(1e5)}}\n`,
      'too-deep',
    ],
    ['what is no resource', '5\n[]\nnull\n"x"\n{}\n', 'no-resource'],
    ['a page of HTML', '<html>\n<body>Sign in</body>\n</html>\n', 'no-json'],
  ])('F15 F29 T14 %s costs its own lines and nothing else, and is said', async (_, hostile, why) => {
    const { run } = await exporting({
      output: [
        ['Patient', patient('a')],
        ['Condition', Buffer.concat([Buffer.from(problem('good', 'Patient/a')), Buffer.from(hostile)])],
        ['Immunization', ''],
      ],
    })
    const records = run({ maxLineBytes: 1_000_000 })
    const record = (await all(records)).get('a')
    expect(ids(record, 'Problems')).toEqual(['good'])
    expect([row(record, 'Problems'), row(record, 'Immunizations')]).toEqual([
      'truncated 1 structure',
      'none 0',
    ])
    const issues = records.report()?.issues ?? []
    expect(issues.length).toBeGreaterThan(0)
    expect(issues.every(({ kind, detail }) => kind === 'invalid-line' && detail?.startsWith(why))).toBe(true)
  })

  test('F20 a file with fewer lines than the server counts is fetched again, and then called incomplete', async () => {
    let asked = 0
    const short: Answer = (_, response) => {
      asked++
      response.end(problem('1', 'Patient/a') + (asked === 2 ? problem('2', 'Patient/a') : ''))
    }
    const output = [
      ['Patient', patient('a'), { count: 1 }],
      ['Condition', short, { count: 2 }],
    ] as const
    const mended = await exporting({ output })
    const whole = (await all(mended.run())).get('a')
    expect([asked, row(whole, 'Problems')]).toEqual([2, 'received 2'])
    asked = 2
    const short2 = await exporting({ output })
    const records = short2.run()
    expect(row((await all(records)).get('a'), 'Problems')).toBe('truncated 1 incomplete')
    expect(records.report()?.issues).toEqual([{ kind: 'file', type: 'Condition', detail: 'count', count: 1 }])
  })

  test('F5 a file that cannot be had makes its class incomplete for everybody, and no other', async () => {
    const { run } = await exporting({
      output: [
        ['Patient', patient('a') + patient('b')],
        ['Condition', problem('1', 'Patient/a')],
        ['Condition', (_, response) => json(response, {}, 403)],
      ],
    })
    const found = await all(run())
    expect(row(found.get('a'), 'Problems')).toBe('truncated 1 FHIR_FORBIDDEN')
    expect(row(found.get('b'), 'Problems')).toBe('failed 0 FHIR_RESPONSE_INVALID')
    expect(row(found.get('b'), 'Immunizations')).toBe('none 0')
  })

  test('F10 what the server says in its files of errors is believed', async () => {
    const outcome = (severity: string, expression?: string): string =>
      line({
        resourceType: 'OperationOutcome',
        issue: [
          {
            severity,
            code: 'exception',
            diagnostics: 'canary',
            ...(expression ? { expression: [expression] } : {}),
          },
        ],
      })
    const about = await exporting({
      output: [['Patient', patient('a')]],
      error: [outcome('error', 'Condition') + outcome('warning')],
    })
    const named = (await all(about.run())).get('a')
    expect([row(named, 'Patient'), row(named, 'Immunizations')]).toEqual(['received 1', 'none 0'])
    expect(row(named, 'Problems')).toBe('failed 0 FHIR_RESPONSE_INVALID')
    const any = await exporting({ output: [['Patient', patient('a')]], error: [outcome('fatal')] })
    const records = any.run()
    const unknown = (await all(records)).get('a')
    expect(row(unknown, 'Immunizations')).toBe('failed 0 FHIR_RESPONSE_INVALID')
    expect(JSON.stringify([records.report(), unknown?.completeness])).not.toContain('canary')
  })

  test('a clinician whom the server does not export is read once for all who name them', async () => {
    const named = { recorder: { reference: 'Practitioner/dr' } }
    const { server, run } = await exporting({
      output: [
        ['Patient', patient('a') + patient('b')],
        ['Condition', problem('1', 'Patient/a', named) + problem('2', 'Patient/b', named)],
      ],
      read: ({ path }, response) =>
        path.endsWith('/Practitioner/dr')
          ? json(response, { resourceType: 'Practitioner', id: 'dr' })
          : json(response, {}, 404),
    })
    const found = await all(run({ plan: usCore.only('Patient', 'Problems', 'Clinicians') }))
    for (const one of ['a', 'b']) expect(ids(found.get(one), 'Practitioner')).toEqual(['dr'])
    expect(server.heard.filter(({ path }) => path.includes('/Practitioner/')).length).toBe(1)
  })

  test('F36 a server that says nothing of itself exports all the same, and what it says it lacks is not asked for', async () => {
    const clock = { now: Date.now, sleep: async () => {} }
    const output = [['Patient', patient('a')]] as const
    const silent = await exporting({ output, metadata: (_, response) => json(response, '', 500) })
    expect(row((await all(silent.run({ platform: { clock } }))).get('a'), 'Problems')).toBe('none 0')
    const resource = ['Patient', 'Condition'].map((type) => ({ type }))
    const small = await exporting({
      output,
      metadata: (_, response) => json(response, { rest: [{ resource }] }),
    })
    const plan = usCore.only('Patient', 'Problems', 'Immunizations', 'Provenance')
    const record = (await all(small.run({ plan }))).get('a')
    expect([row(record, 'Problems'), row(record, 'Immunizations'), row(record, 'Provenance')]).toEqual([
      'none 0',
      'not-supported 0 FHIR_NOT_FOUND',
      'not-supported 0 _revinclude',
    ])
    const asked = small.server.heard.find(({ path }) => path.includes('$export'))?.path as string
    expect(new URL(asked, 'http://x').searchParams.get('_type')).toBe('Patient,Condition')
  })

  test('F61 F79 a download that is cut off again and again goes on where it was', async () => {
    const text = Array.from({ length: 3000 }, (_, n) =>
      problem(`${n}`, 'Patient/a', { note: 'x'.repeat(300) }),
    ).join('')
    const bytes = Buffer.from(text)
    const ranges: string[] = []
    const cutting: Answer = ({ headers }, response) => {
      const from = Number(/bytes=(\d+)-/.exec(headers.range ?? '')?.[1] ?? 0)
      ranges.push(headers.range ?? 'all')
      if (from > 0) expect(headers['if-range']).toBe('"v1"')
      const whole = { etag: '"v1"', 'content-length': String(bytes.length - from) }
      response.writeHead(from > 0 ? 206 : 200, {
        ...whole,
        ...(from > 0 ? { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` } : {}),
      })
      const end = Math.min(bytes.length, from + 300_000)
      response.write(bytes.subarray(from, end), () =>
        end < bytes.length ? setTimeout(() => response.destroy(), 20) : response.end(),
      )
    }
    const { run } = await exporting({
      output: [
        ['Patient', patient('a')],
        ['Condition', cutting, { count: 3000 }],
      ],
    })
    expect(row((await all(run())).get('a'), 'Problems')).toBe('received 3000')
    expect(ranges.length).toBeGreaterThan(2)
    expect(new Set(ranges).size).toBe(ranges.length)
  })

  test('a server that cannot go on sends the file again, and nothing stands twice', async () => {
    let asked = 0
    const text = Array.from({ length: 2000 }, (_, n) =>
      problem(`${n}`, 'Patient/a', { note: 'x'.repeat(300) }),
    ).join('')
    const { run } = await exporting({
      output: [
        ['Patient', patient('a')],
        [
          'Condition',
          (_, response) => {
            const last = ++asked === 2
            response.writeHead(200, { 'content-length': String(text.length) })
            response.write(last ? text : text.slice(0, 300_000), () =>
              last ? response.end() : setTimeout(() => response.destroy(), 20),
            )
          },
          { count: 2000 },
        ],
      ],
    })
    expect(row((await all(run())).get('a'), 'Problems')).toBe('received 2000')
    expect(asked).toBe(2)
  })

  test('F27 a file without end is given up at the cap', async () => {
    const endless: Answer = (_, response) => {
      const more = (): void => {
        if (!response.destroyed) response.write(Buffer.alloc(65_536, 32), () => setImmediate(more))
      }
      more()
    }
    const { run } = await exporting({
      output: [
        ['Patient', patient('a')],
        ['Condition', endless],
      ],
    })
    const found = await all(run({ maxFileBytes: 2_000_000 }))
    expect(row(found.get('a'), 'Problems')).toBe('failed 0 FHIR_RESPONSE_TOO_LARGE')
  })
})

describe('where the token goes', () => {
  test('T30 a state at another server is not asked for, with or without a token', async () => {
    const other = await startServer((_, response) => json(response, {}))
    servers.push(other)
    const { run } = await exporting({
      kickOff: (_, response) => json(response, '', 202, { 'content-location': `${other.url}/status/1` }),
    })
    expect(await failure(run())).toBe('FHIR_FOREIGN_URL')
    expect(other.heard).toEqual([])
  })

  test('T28 T29 a file elsewhere gets the token only where the app listed it, and none when none is needed', async () => {
    const other = await startServer((_, response) => void response.end(problem('1', 'Patient/a')))
    servers.push(other)
    const withFile = (requiresAccessToken: boolean): Script => ({
      output: [['Patient', patient('a')]],
      manifest: (server) => ({
        requiresAccessToken,
        output: [
          { type: 'Patient', url: `${server.url}/files/0` },
          { type: 'Condition', url: `${other.url}/x.ndjson` },
        ],
      }),
    })
    const needed = await exporting(withFile(true))
    const refused = needed.run()
    expect(row((await all(refused)).get('a'), 'Problems')).toBe('failed 0 FHIR_FOREIGN_URL')
    expect(refused.report()?.issues[0]?.detail).toBe('FHIR_FOREIGN_URL')
    expect(other.heard).toEqual([])

    const listed = await exporting(withFile(true))
    expect(row((await all(listed.run({ fileOrigins: [other.url] }))).get('a'), 'Problems')).toBe('received 1')
    expect(tokensAt(other)).toEqual(['/x.ndjson'])

    other.heard.splice(0)
    const open = await exporting(withFile(false))
    expect(row((await all(open.run())).get('a'), 'Problems')).toBe('received 1')
    expect(other.heard.length).toBe(1)
    expect(tokensAt(other)).toEqual([])
    expect(tokensAt(open.server)).not.toContain('/files/0')
  })

  test('T2 T31 a file inside a private network, by plain http or behind a redirect is not fetched', async () => {
    const other = await startServer((_, response) => void response.end(problem('1', 'Patient/a')))
    servers.push(other)
    for (const [url, code] of [
      ['https://169.254.169.254/latest', 'CONFIG_PRIVATE_ADDRESS'],
      ['https://10.0.0.1/x', 'CONFIG_PRIVATE_ADDRESS'],
      ['http://files.example/x', 'CONFIG_INSECURE_URL'],
      ['file:///etc/passwd', 'FHIR_FOREIGN_URL'],
      ['/files/1', 'FHIR_REDIRECTED'],
    ] as const) {
      const { run } = await exporting({
        output: [
          ['Patient', patient('a')],
          ['Condition', (_, response) => void response.writeHead(302, { location: `${other.url}/x` }).end()],
        ],
        manifest: (server) => ({
          requiresAccessToken: false,
          output: [
            { type: 'Patient', url: `${server.url}/files/0` },
            { type: 'Condition', url: url.startsWith('/') ? server.url + url : url },
          ],
        }),
      })
      const records = run()
      await all(records)
      expect([url, records.report()?.issues[0]?.detail]).toEqual([url, code])
    }
    expect(other.heard).toEqual([])
  })
})

describe('how an export ends without records', () => {
  test.each<[string, Script, string]>([
    ['no manifest', { manifest: () => '<html>' }, 'FHIR_RESPONSE_INVALID'],
    [
      'a manifest that does not say whether to send a token',
      { manifest: () => '{"transactionTime":"2026-01-01T00:00:00Z","output":[]}' },
      'FHIR_RESPONSE_INVALID',
    ],
    [
      'a file without a URL',
      { manifest: () => ({ output: [{ type: 'Patient' }] }) },
      'FHIR_RESPONSE_INVALID',
    ],
    ['no place to ask at', { kickOff: (_, response) => json(response, '', 202) }, 'FHIR_RESPONSE_INVALID'],
    [
      'a refusal',
      { kickOff: (_, response) => json(response, { resourceType: 'OperationOutcome' }, 403) },
      'FHIR_FORBIDDEN',
    ],
    ['no such group', { kickOff: (_, response) => json(response, '', 404) }, 'FHIR_NOT_FOUND'],
    [
      'no file that can be had',
      { output: [['Patient', (_, response) => json(response, '', 403)]] },
      'FHIR_FORBIDDEN',
    ],
    ['an export that is always gone', { status: (_, response) => json(response, '', 404) }, 'FHIR_GONE'],
  ])('%s is an error with a code', async (_, script, code) => {
    const { run } = await exporting(script)
    expect(await failure(run({ group: 'g1' }))).toBe(code)
  })

  test('F2 F35 a server that never finishes, or asks to come back in hours, ends the wait', async () => {
    let now = Date.now()
    const slept: number[] = []
    const clock = {
      now: () => now,
      sleep: async (milliseconds: number) => {
        slept.push(milliseconds)
        now += milliseconds
      },
    }
    const { run } = await exporting({
      status: (_, response) => json(response, '', 202, { 'retry-after': '18000' }),
    })
    expect(await failure(run({ maxWait: 3_600_000, platform: { clock } }))).toBe('FHIR_TIMEOUT')
    // Not five hours.
    expect(new Set(slept)).toEqual(new Set([300_000]))
  })

  test('F68 who aborts while the server works stops at once, and the server is told', async () => {
    const stop = new AbortController()
    const { server, run } = await exporting({
      status: (_, response) => json(response, '', 202, { 'retry-after': '120' }),
    })
    const onProgress = (): void => void setTimeout(() => stop.abort(new Error('enough')), 10)
    const begun = Date.now()
    await expect(all(run({ signal: stop.signal, onProgress }))).rejects.toThrow('enough')
    expect(Date.now() - begun).toBeLessThan(5000)
    expect(server.heard.at(-1)?.method).toBe('DELETE')
    expect(await readdir(join(folder, 'files'))).toEqual([])
  })

  test('an export that failed is begun anew by the next process, and one that only cannot be reached is not', async () => {
    let broken = true
    const { server, run } = await exporting({
      output: [['Patient', patient('a')]],
      status: (request, response) => {
        if (broken) return json(response, { resourceType: 'OperationOutcome' }, 500)
        const output = [{ type: 'Patient', url: `http://${request.headers.host}/files/0` }]
        return json(response, { transactionTime: '2026-01-02T03:04:05Z', requiresAccessToken: true, output })
      },
    })
    const clock = { now: Date.now, sleep: async () => {} }
    expect(await failure(run({ platform: { clock } }))).toBe('FHIR_SERVER_ERROR')
    broken = false
    expect((await all(run())).size).toBe(1)
    expect(server.heard.filter(({ path }) => path.includes('$export')).length).toBe(2)
  })

  test('a file whose address has ended is fetched from where it is now', async () => {
    let polls = 0
    const { run } = await exporting({
      output: [
        ['Patient', patient('a')],
        ['Condition', problem('1', 'Patient/a')],
        ['Condition', (_, response) => json(response, '<Error><Code>AccessDenied</Code></Error>', 403)],
      ],
      manifest: (server) => ({
        output: [
          { type: 'Patient', url: `${server.url}/files/0` },
          { type: 'Condition', url: `${server.url}/files/${polls++ === 0 ? 2 : 1}` },
        ],
      }),
    })
    expect(row((await all(run())).get('a'), 'Problems')).toBe('received 1')
  })

  test('F78 a folder that cannot be written is an error with a code', async () => {
    const { run } = await exporting({ output: [['Patient', patient('a')]] })
    await writeFile(join(folder, 'file'), '')
    expect(await failure(run({ folder: join(folder, 'file', 'export') }))).toBe('CONFIG_STORAGE_FAILED')
  })

  test('F76 a file that was altered on disk is not believed', async () => {
    const { run } = await exporting({
      output: [['Patient', patient('a') + patient('b')]],
    })
    const records = run()[Symbol.asyncIterator]()
    await records.next()
    await records.return?.()
    for (const name of await readdir(join(folder, 'patients'), { recursive: true })) {
      const path = join(folder, 'patients', name)
      const bytes = await readFile(path).catch(() => undefined)
      if (bytes)
        await writeFile(path, Buffer.concat([bytes.subarray(0, 20), Buffer.of(1), bytes.subarray(21)]))
    }
    expect(await failure(run())).toBe('CONFIG_STORAGE_FAILED')
  })

  test('T37 another key finds no export and destroys none', async () => {
    const { run } = await exporting({ output: [['Patient', patient('a') + patient('b')]] })
    const records = run()[Symbol.asyncIterator]()
    await records.next()
    await records.return?.()
    expect(await failure(run({ key: randomBytes(32).toString('base64') }))).toBe('CONFIG_INVALID')
    expect((await all(run())).size).toBe(2)
  })

  test('wrong options are said at once', async () => {
    const { run } = await exporting({})
    expect(() => run({ key: 'short' })).toThrow('32 bytes')
    expect(() => run({ group: '../x' })).toThrow(TypeError)
    expect(() => run({ patients: [] })).toThrow(TypeError)
    expect(() => run({ since: new Date('x') })).toThrow(TypeError)
    expect(() => run({ typeFilters: ['category=x'] })).toThrow(TypeError)
    expect(() => run({ maxLineBytes: 1e9 })).toThrow(TypeError)
    expect(() => run({ fileOrigins: ['nowhere'] })).toThrow('fileOrigins')
  })
})
