import { expect, test } from 'vitest'
import { createReader } from './fhir/reader.js'
import { collect, createClient, isSmartError, type Platform, usCore } from './index.js'
import { memoryStore, testPlatform } from './testing/index.js'
import { createTransport } from './util/transport.js'

// Mutated answers, callbacks and stored values: each ends as a result or as an error of the SDK. More of them, such as a
// million: S4S_FUZZ=1000000.

const most = Number(process.env.S4S_FUZZ ?? 4000)
const base = 'https://ehr.example/fhir'

/** The same numbers each time. */
function dice(seed: number): (sides: number) => number {
  let state = seed
  return (sides) => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) | 0
    return (state >>> 0) % sides
  }
}

const splinters = [
  ...[
    'null',
    '[]',
    '{}',
    'true',
    '-0',
    '1e999',
    '""',
    '"__proto__"',
    '"constructor"',
    '\\u0000',
    '\ud800',
    '\u2028',
  ],
  ...[
    '"resourceType"',
    '"entry"',
    '"next"',
    '"http://evil.example/x"',
    '"//evil.example"',
    '"../.."',
    '%00',
    '%2e%2e',
  ],
  ...[
    '[[[[',
    '}}',
    '"',
    '\\',
    '&',
    '=',
    '#',
    '?code=x',
    '&state=',
    '\r\n',
    `"${'x'.repeat(300)}"`,
    '['.repeat(500),
  ],
]

function mutated(text: string, roll: (sides: number) => number): string {
  let result = text
  for (let times = roll(4) + 1; times > 0; times--) {
    const at = roll(result.length + 1)
    const to = Math.min(result.length, at + roll(40))
    const splinter = splinters[roll(splinters.length)] ?? ''
    const ways = [
      () => result.slice(0, at) + result.slice(to),
      () => result.slice(0, to) + result.slice(at),
      () => result.slice(0, at) + splinter + result.slice(at),
      () => result.slice(0, at) + splinter + result.slice(to),
      () => result.slice(0, at),
      () => result.slice(0, at) + String.fromCharCode(roll(256)) + result.slice(at + 1),
    ]
    result = (ways[roll(ways.length)] as () => string)()
  }
  return result
}

/** Runs each input; what is thrown must be of the SDK, and what is returned must satisfy the check. */
async function run(title: string, work: (roll: (sides: number) => number) => Promise<void>): Promise<void> {
  const before = Object.getOwnPropertyNames(Object.prototype).sort().join()
  for (let seed = 1; seed <= most; seed++) {
    try {
      await work(dice(seed * 7919))
    } catch (error) {
      if (!isSmartError(error)) throw new Error(`${title}, seed ${seed}: ${String(error)}`, { cause: error })
    }
  }
  expect(Object.getOwnPropertyNames(Object.prototype).sort().join()).toBe(before)
}

const condition = (id: string, patient = 'p1'): object => ({
  resourceType: 'Condition',
  id,
  subject: { reference: `Patient/${patient}` },
  code: { coding: [{ system: 'http://snomed.info/sct', code: '38341003' }] },
  onsetDateTime: '2020-01-02',
})
const page = JSON.stringify({
  resourceType: 'Bundle',
  type: 'searchset',
  total: 3,
  link: [{ relation: 'next', url: `${base}/Condition?page=2` }],
  entry: ['c1', 'c2', 'c3'].map((id) => ({ resource: condition(id), search: { mode: 'match' } })),
})
const answer = (text: string): Response =>
  new Response(text, { headers: { 'content-type': 'application/fhir+json' } })
const plan = usCore.only('Patient', 'Problems')
/** Retries take no time; deadlines never come. */
const impatient: Platform['clock'] = {
  now: () => Date.UTC(2026, 0, 1),
  sleep: (wait, signal) =>
    wait < 12_000
      ? Promise.resolve()
      : new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason))),
}

test('G8 F14 F15 F16 T61 mutated pages: no crash, and never a resource of another patient', async () => {
  await run('page', async (roll) => {
    const asked: string[] = []
    const fetch = async (input: string | URL | Request): Promise<Response> => {
      const url = String(input)
      asked.push(url)
      if (url.endsWith('/Patient/p1')) return answer('{"resourceType":"Patient","id":"p1"}')
      return answer(mutated(page.replace('"Patient/p1"', `"Patient/${roll(3) === 0 ? 'p2' : 'p1'}"`), roll))
    }
    const platform = testPlatform({ fetch, clock: impatient })
    const transport = createTransport(platform)
    const provider = { id: 'mercy', name: 'Mercy', iss: base }
    const reader = createReader(base, {
      ...platform,
      provider,
      send: ({ url, signal }) => transport({ url, within: [base], ...(signal ? { signal } : {}) }),
    })
    const record = await collect(
      { ...reader, id: 'c', patient: 'p1', provider, scopes: ['patient/*.rs'] },
      { plan, platform },
    )
    for (const line of record.lines('Condition')) {
      const { subject } = JSON.parse(line) as { subject?: { reference?: unknown } }
      expect(subject?.reference).not.toBe('Patient/p2')
    }
    for (const { url } of asked.map((one) => ({ url: new URL(one) })))
      expect(url.origin).toBe('https://ehr.example')
    expect(record.completeness).toHaveLength(2)
  })
}, 3_600_000)

const configuration = JSON.stringify({
  issuer: 'https://ehr.example',
  authorization_endpoint: 'https://ehr.example/authorize',
  token_endpoint: 'https://ehr.example/token',
  capabilities: ['launch-standalone', 'permission-v2'],
  code_challenge_methods_supported: ['S256'],
})
const token = JSON.stringify({
  access_token: 'access-1',
  token_type: 'Bearer',
  expires_in: 3600,
  scope: 'launch/patient patient/*.rs',
  refresh_token: 'refresh-1',
  patient: 'p1',
})
const provider = { id: 'mercy', name: 'Mercy', iss: base, clientId: 'app' }

test('G8 T14 mutated configurations, token responses and callbacks: a connection or an error of the SDK', async () => {
  await run('launch', async (roll) => {
    const wound = roll(3)
    const fetch = async (input: string | URL | Request): Promise<Response> => {
      const url = String(input)
      if (url.includes('.well-known'))
        return answer(wound === 0 ? mutated(configuration, roll) : configuration)
      if (url.endsWith('/metadata')) return new Response('', { status: 404 })
      return answer(wound === 1 ? mutated(token, roll) : token)
    }
    const redirectUri = 'https://app.example/callback'
    const platform = testPlatform({ fetch, clock: impatient })
    const client = createClient({ platform, redirectUri, providers: [provider], plan })
    const { url, state } = await client.authorize('mercy')
    const target = new URL(url)
    // Wherever it leads, over https or to this machine, and by nothing that runs.
    expect(['https:', 'http:']).toContain(target.protocol)
    expect(target.searchParams.get('code_challenge_method')).toBe('S256')
    const callback = `${redirectUri}?code=c&state=${state}`
    const connection = await client.callback(wound === 2 ? mutated(callback, roll) : callback)
    expect(connection.patient).toMatch(/^[A-Za-z0-9._-]+$/)
  })
}, 3_600_000)

test('G8 F76 mutated stored connections: listed and used, or passed over', async () => {
  const redirectUri = 'https://app.example/callback'
  const store = memoryStore()
  const fetch = async (input: string | URL | Request): Promise<Response> => {
    const url = String(input)
    if (url.includes('.well-known')) return answer(configuration)
    return answer(url.endsWith('/token') ? token : '{"resourceType":"Patient","id":"p1"}')
  }
  const options = { redirectUri, providers: [provider], plan }
  const client = createClient({ ...options, platform: testPlatform({ fetch, store, clock: impatient }) })
  const { state } = await client.authorize('mercy')
  await client.callback(`${redirectUri}?code=c&state=${state}`)
  const [key = ''] = await store.keys('connection/')
  const good = (await store.get(key)) ?? ''
  await run('stored', async (roll) => {
    const own = memoryStore()
    await own.set(key, mutated(good, roll))
    const asked: string[] = []
    const platform = testPlatform({
      store: own,
      clock: impatient,
      fetch: async (input) => {
        asked.push(String(input))
        return fetch(String(input))
      },
    })
    const [found] = await createClient({ ...options, platform }).connections()
    if (!found) return
    await found.read('Patient', 'p1')
  })
}, 3_600_000)
