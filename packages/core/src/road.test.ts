import { type Sandbox, startSandbox } from '@s4s/sandbox'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { clientSecret, privateKeyJwt } from './confidential.js'
import {
  type Client,
  type Connection,
  collect,
  createClient,
  type Provider,
  s4sPilot,
  usCore,
} from './index.js'
import { testPlatform } from './testing/index.js'

let sandbox: Sandbox
beforeAll(async () => {
  sandbox = await startSandbox({ id: 'mercy', name: 'Mercy Hospital' })
})
afterAll(() => sandbox.stop())

const clientOf = (provider: Partial<Provider> = {}, fetch?: typeof globalThis.fetch): Client =>
  createClient({
    platform: testPlatform(fetch ? { fetch } : {}),
    redirectUri: 'http://127.0.0.1:9/callback',
    providers: [{ ...sandbox.provider, ...provider }],
    plan: usCore,
  })

async function connect(client: Client, answer: Parameters<Sandbox['approve']>[1] = {}): Promise<Connection> {
  const { url } = await client.authorize('mercy')
  return client.callback(await sandbox.approve(url, answer))
}

describe('at a real authorization server', () => {
  test('S-02 a standalone launch connects the person who was picked', async () => {
    const connection = await connect(clientOf(), { patient: 'daniel' })
    expect(connection).toMatchObject({
      patient: 'daniel',
      access: 'ongoing',
      status: 'active',
      context: { fhirUser: 'Patient/daniel', needPatientBanner: true },
    })
    expect((await connection.read('Patient', connection.patient)).birthDate).toBe('1968-04-19')
  })

  test('E-02 a launch from the EHR connects the record that was open', async () => {
    const client = clientOf()
    const { url } = await client.launch(
      sandbox.launch('https://app.example/launch', { patient: 'eleanor', encounter: 'eleanor-encounter-1' }),
    )
    const connection = await client.callback(await sandbox.approve(url))
    expect(connection.context).toMatchObject({ patient: 'eleanor', encounter: 'eleanor-encounter-1' })
  })

  test('C-05 a no is AUTHORIZATION_DENIED, and the next try works', async () => {
    const client = clientOf()
    const denied = await sandbox.deny((await client.authorize('mercy')).url)
    await expect(client.callback(denied)).rejects.toMatchObject({
      code: 'AUTHORIZATION_DENIED',
      remedy: 'ask-participant',
    })
    await connect(client)
  })

  test('J-10 I-01 confidential clients connect, refresh and revoke: RS384, ES384 and a secret', async () => {
    const { confidentialClientId, confidentialClientSecret, asymmetricClientId } = await import(
      '@s4s/sandbox'
    )
    const ways: Partial<Provider>[] = [
      { clientId: confidentialClientId, auth: clientSecret(confidentialClientSecret) },
      ...sandbox.keys.map(({ privateKey, kid }) => ({
        clientId: asymmetricClientId,
        auth: privateKeyJwt(privateKey, kid),
      })),
    ]
    for (const way of ways) {
      const connection = await connect(clientOf(way))
      await connection.refresh()
      await connection.read('Patient', connection.patient)
      expect(await connection.revoke()).toMatchObject({ server: 'revoked', local: 'wiped' })
    }
  })

  test('M-07 M-08 refreshes follow the rotation, many at once too', async () => {
    const client = clientOf()
    const connection = await connect(client)
    for (let turn = 0; turn < 3; turn++)
      await Promise.all([connection.refresh(), connection.refresh(), connection.refresh()])
    expect((await connection.read('Patient', connection.patient)).id).toBe(connection.patient)
  })

  test('F39 a token endpoint that cuts the connection costs no access', async () => {
    const connection = await connect(clientOf())
    const lose = sandbox.faults.add({
      match: ({ method, path }) => method === 'POST' && path === '/token',
      respond: () => 'drop',
    })
    await expect(connection.refresh()).rejects.toMatchObject({ code: 'TOKEN_UNREACHABLE', remedy: 'retry' })
    lose()
    await connection.refresh()
  })

  test('V-04 a person who ends access on the hospital’s page is asked to sign in again', async () => {
    const client = clientOf()
    const connection = await connect(client)
    const page = await (await fetch(`${sandbox.url}/manage`)).text()
    for (const [, id = ''] of page.matchAll(/name="revoke" value="([^"]+)"/g)) {
      await fetch(`${sandbox.url}/manage`, { method: 'POST', body: new URLSearchParams({ revoke: id }) })
    }
    await expect(connection.read('Patient', connection.patient)).rejects.toMatchObject({
      code: 'TOKEN_ENDED',
      remedy: 'reconnect',
    })
    expect((await client.connections())[0]?.status).toBe('ended')
  })

  test('a job that knows only the id of a connection finds it, and can send its requests another way', async () => {
    const client = clientOf()
    const { url } = await client.authorize('mercy', { participant: 'ann' })
    const { id } = await client.callback(await sandbox.approve(url), { participant: 'ann' })
    const seen: string[] = []
    const watched = client.through({
      fetch: (input, init) => {
        seen.push(new URL(String(input)).pathname)
        return fetch(input, init)
      },
    })
    for (let again = 0; again < 2; again++) {
      const found = await watched.connection(id)
      expect(found).toMatchObject({ id, participant: 'ann', status: 'active' })
      await found?.read('Patient', found.patient)
    }
    expect(seen.length).toBe(2)
    for (const wrong of ['nobody', '', id.slice(1), 'ann'])
      expect(await client.connection(wrong)).toBeUndefined()
    await (await client.connection(id))?.revoke()
    expect(await watched.connection(id)).toBeUndefined()
  })

  test('the road needs no socket: an app’s tests can run in process', async () => {
    const client = clientOf({}, sandbox.fetch)
    const connection = await connect(client)
    expect((await collect(connection, { plan: s4sPilot })).count('Patient')).toBe(1)
  })
})

describe('collecting from a real FHIR server', () => {
  test('F10 every data class has its row, and what came is what the server has', async () => {
    const connection = await connect(clientOf(), { patient: 'daniel' })
    const record = await collect(connection, { plan: usCore })
    expect(record.completeness.map(({ dataClass }) => dataClass)).toEqual(
      usCore.classes.map(({ name }) => name),
    )
    expect(record.completeness.filter(({ status }) => status !== 'received' && status !== 'none')).toEqual([])
    expect(record.issues).toEqual([])
    for (const name of [
      'Patient',
      'Laboratory',
      'Vital Signs',
      'Problems',
      'Medications',
      'Allergies',
      'Immunizations',
      'Procedures',
      'Documents',
      'Smoking Status',
    ]) {
      expect([name, record.count(name) > 0]).toEqual([name, true])
    }
    expect(record.attachments.length).toBeGreaterThan(5)
    expect(new Set(record.attachments.map(({ status }) => status))).toEqual(new Set(['received']))
  })

  test('H-04 N-10 a person who unticks a class makes it not granted, and it is not asked for', async () => {
    const scopes = ['launch/patient', 'patient/Patient.rs', 'patient/Condition.rs']
    const connection = await connect(clientOf(), { patient: 'daniel', scopes })
    expect(connection.access).toBe('once')
    sandbox.clearRequests()
    const record = await collect(connection, { plan: s4sPilot })
    const status = Object.fromEntries(record.completeness.map((row) => [row.dataClass, row.status]))
    expect(status).toMatchObject({
      Patient: 'received',
      Problems: 'received',
      Laboratory: 'not-granted',
      Documents: 'not-granted',
    })
    expect(sandbox.requests.some(({ path }) => path.includes('Observation'))).toBe(false)
  })

  test('F5 a type that fails for ever costs that type only', async () => {
    const connection = await connect(clientOf(), { patient: 'leo' })
    const disarm = sandbox.faults.add({
      match: ({ path }) => path.startsWith('/fhir/Immunization'),
      respond: () => new Response('{}', { status: 403 }),
    })
    const record = await collect(connection, { plan: s4sPilot })
    disarm()
    expect(record.completeness.find(({ dataClass }) => dataClass === 'Immunizations')?.status).toBe('refused')
    expect(record.count('Vital Signs')).toBeGreaterThan(0)
  })

  test('L-02 W-04 the token is seen by the FHIR base alone, in no log and in no error', async () => {
    const printed: string[] = []
    const methods = ['log', 'info', 'warn', 'error', 'debug'] as const
    const kept = methods.map((name) => console[name])
    for (const name of methods) console[name] = (...values: unknown[]) => void printed.push(values.join(' '))
    try {
      const connection = await connect(clientOf(), { patient: 'sam' })
      sandbox.clearRequests()
      await collect(connection, { plan: s4sPilot })
      await connection.fetch('../token').catch((error: unknown) => printed.push(String(error)))
      for (const { path, authorization } of sandbox.requests)
        if (authorization?.startsWith('Bearer')) expect(path.startsWith('/fhir')).toBe(true)
      const token =
        sandbox.requests.find(({ authorization }) => authorization)?.authorization?.slice('Bearer '.length) ??
        'none'
      expect(printed.join('\n')).not.toContain(token)
    } finally {
      methods.forEach((name, index) => {
        console[name] = kept[index] as never
      })
    }
  })
})

describe('a patient with 20,000 observations', () => {
  let big: Sandbox
  beforeAll(async () => {
    big = await startSandbox({ id: 'big', people: ['priya'] })
  })
  afterAll(() => big.stop())

  const connectBig = async (): Promise<Connection> => {
    const client = createClient({
      platform: testPlatform(),
      redirectUri: 'http://127.0.0.1:9/callback',
      providers: [big.provider],
      plan: usCore,
    })
    return client.callback(await big.approve((await client.authorize('big')).url))
  }

  test('is collected whole, with progress on the way', async () => {
    const seen: number[] = []
    const record = await collect(await connectBig(), {
      plan: usCore.only('Patient', 'Laboratory', 'Vital Signs'),
      onProgress: ({ resources }) => void seen.push(resources),
    })
    expect(record.count('Observation')).toBeGreaterThanOrEqual(20_000)
    expect(record.completeness.every(({ status }) => status === 'received')).toBe(true)
    expect(seen.length).toBeGreaterThan(10)
    expect(seen).toEqual([...seen].sort((one, other) => one - other))
  })

  test('F68 can be aborted at any page, and nothing is asked for after that', async () => {
    const connection = await connectBig()
    for (const pages of [1, 2, 17]) {
      const controller = new AbortController()
      const reason = new Error(`closed at page ${pages}`)
      let page = 0
      const work = collect(connection, {
        plan: usCore.only('Vital Signs'),
        signal: controller.signal,
        onProgress: () => {
          if (++page === pages) controller.abort(reason)
        },
      })
      await expect(work).rejects.toBe(reason)
      const asked = big.requests.length
      await new Promise((resolve) => setImmediate(resolve))
      expect(big.requests.length).toBeLessThanOrEqual(asked + 1)
    }
  })
})
