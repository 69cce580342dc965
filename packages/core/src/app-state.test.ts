import { afterEach, describe, expect, test } from 'vitest'
import { type ScriptedEhr, scriptedEhr } from '../test-support/ehr.js'
import { json, startServer, type TestServer } from '../test-support/server.js'
import { type AppState, appState, type Connection, isSmartError } from './index.js'

interface Basic {
  readonly id: string
  readonly meta: { readonly versionId: string }
  readonly subject?: { readonly reference: string }
  readonly extension?: readonly { readonly url: string; readonly valueString: string }[]
}

const opened: (ScriptedEhr | TestServer)[] = []
afterEach(async () => {
  await Promise.all(opened.splice(0).map((one) => ('server' in one ? one.server.stop() : one.stop())))
})
const codeOf = async (work: Promise<unknown>): Promise<string> => {
  const error = await work.then(
    () => undefined,
    (caught: unknown) => caught,
  )
  return isSmartError(error) ? error.code : `no SmartError: ${String(error)}`
}
const code = { system: 'https://app.example', code: 'state' }

/** A server that keeps Basic resources by version, as FHIR servers do. */
async function keeper(
  quirk: 'none' | 'no-body' = 'none',
): Promise<TestServer & { readonly kept: Map<string, Basic> }> {
  const kept = new Map<string, Basic>()
  let number = 0
  const server = await startServer(({ method, path, headers, body }, response) => {
    const [, id = ''] = /\/Basic\/([^?]+)/.exec(path) ?? []
    const found = kept.get(id)
    const etag = (basic: Basic): Record<string, string> => ({ etag: `W/"${basic.meta.versionId}"` })
    if (method === 'GET' && id)
      return found ? json(response, found, 200, etag(found)) : json(response, {}, 404)
    if (method === 'GET') {
      const query = new URL(path, 'http://x').searchParams
      const resources = [...kept.values()].filter((basic) =>
        query.has('subject:missing') ? !basic.subject : basic.subject?.reference === query.get('subject'),
      )
      return json(response, {
        resourceType: 'Bundle',
        type: 'searchset',
        entry: resources.map((resource) => ({ resource })),
      })
    }
    if (method !== 'POST' && headers['if-match'] !== (found && etag(found).etag))
      return json(response, {}, 412)
    if (method === 'DELETE') {
      kept.delete(id)
      return response.writeHead(204).end()
    }
    const made = {
      ...JSON.parse(body),
      id: id || `b${++number}`,
      meta: { versionId: `${++number}` },
    } as Basic
    kept.set(made.id, made)
    const location = `${server.url}/state/Basic/${made.id}/_history/${made.meta.versionId}`
    if (quirk === 'no-body') return response.writeHead(201, { location }).end()
    return json(response, made, method === 'POST' ? 201 : 200, { ...etag(made), location })
  })
  opened.push(server)
  return Object.assign(server, { kept })
}

async function opening(
  where: (url: string) => Record<string, unknown>,
  server: TestServer,
): Promise<{ readonly state: AppState; readonly connection: Connection; readonly one: ScriptedEhr }> {
  const one = await scriptedEhr({ wellKnown: () => where(server.url) })
  opened.push(one)
  const connection = await one.connect()
  return { state: appState(connection, { code }), connection, one }
}
const associated = (url: string): Record<string, unknown> => ({
  associated_endpoints: [{ url: `${url}/state`, capabilities: ['smart-app-state'] }],
})

describe('app state', () => {
  test('X-01 X-02 X-05 X-08 X-09 is made, found by code and subject, and carries the token', async () => {
    const server = await keeper()
    const { state, one } = await opening(associated, server)
    const made = await state.create({ 'https://app.example/page': { last: 3 } })
    expect(made).toMatchObject({ subject: 'patient', values: { 'https://app.example/page': { last: 3 } } })
    const global = await state.create({ 'https://app.example/all': true }, { subject: 'global' })
    const patient = `${one.provider.iss}/Patient/p1`
    expect(JSON.parse(server.heard[0]?.body ?? '')).toEqual({
      resourceType: 'Basic',
      code: { coding: [code] },
      subject: { reference: patient },
      extension: [{ url: 'https://app.example/page', valueString: '{"last":3}' }],
    })
    expect((await state.find()).map(({ id }) => id)).toEqual([made.id])
    expect((await state.find('global')).map(({ id }) => id)).toEqual([global.id])
    const queries = server.heard
      .filter(({ method }) => method === 'GET')
      .map(({ path }) => decodeURIComponent(path))
    expect(queries).toEqual([
      `/state/Basic?code=https://app.example|state&subject=${patient}`,
      '/state/Basic?code=https://app.example|state&subject:missing=true',
    ])
    expect(server.heard.every(({ headers }) => headers.authorization === 'Bearer access-1')).toBe(true)
  })

  test('X-06 a change names the version that it is based on', async () => {
    const server = await keeper()
    const { state } = await opening(associated, server)
    const made = await state.create({ a: 1 })
    const changed = await state.update(made, { a: 2 })
    expect(server.heard.at(-1)?.headers['if-match']).toBe(made.version)
    expect(JSON.parse(server.heard.at(-1)?.body ?? '')).toMatchObject({
      id: made.id,
      code: { coding: [code] },
    })
    expect(await codeOf(state.update(made, { a: 3 }))).toBe('FHIR_CONFLICT')
    expect(await codeOf(state.remove(made))).toBe('FHIR_CONFLICT')
    expect(changed.values).toEqual({ a: 2 })
  })

  test('X-06 fifty changes at once are all merged', async () => {
    const server = await keeper()
    const { state } = await opening(associated, server)
    const made = await state.create({ n: 0 })
    const add = async (n: number): Promise<void> => {
      for (;;) {
        const result = await state
          .update(
            made,
            { [`k${n}`]: n },
            { merge: (current, wanted) => ({ ...(current as object), ...wanted }) },
          )
          .catch((error: unknown) => error)
        if (!isSmartError(result)) return
        expect(result.code).toBe('FHIR_CONFLICT')
      }
    }
    await Promise.all(Array.from({ length: 50 }, (_, n) => add(n)))
    const [now] = await state.find()
    // The first of all replaced what was there: it was based on it.
    expect(Object.keys(now?.values ?? {}).filter((key) => key.startsWith('k')).length).toBe(50)
  })

  test('X-07 what was removed is not changed again', async () => {
    const server = await keeper()
    const { state } = await opening(associated, server)
    const made = await state.create({ a: 1 })
    await state.remove(made)
    const before = server.heard.length
    expect(await codeOf(state.update(made, { a: 2 }))).toBe('CONFIG_INVALID')
    expect(await codeOf(state.remove(made))).toBe('CONFIG_INVALID')
    expect(server.heard.length).toBe(before)
  })

  test('X-04 more than 256 kB is refused before it is sent, and no id or version is made up', async () => {
    const server = await keeper()
    const { state } = await opening(associated, server)
    expect(await codeOf(state.create({ a: 'é'.repeat(132_000) }))).toBe('CONFIG_INVALID')
    expect(server.heard).toEqual([])
    await state.create({ a: 1 })
    expect(server.heard[0]?.body).not.toMatch(/"id"|"meta"/)
  })

  test('X-03 the place is the base, another endpoint, or where an earlier draft put it', async () => {
    const server = await keeper()
    const legacy = await opening((url) => ({ smart_app_state_endpoint: `${url}/state` }), server)
    await legacy.state.create({ a: 1 })
    expect(server.heard.length).toBe(1)
    const onBase = await opening(() => ({ capabilities: ['smart-app-state'] }), server)
    expect(await codeOf(onBase.state.create({ a: 1 }))).toBe('FHIR_NOT_FOUND')
    expect(onBase.one.server.heard.at(-1)?.path).toBe('/fhir/Basic')
    const none = await scriptedEhr()
    opened.push(none)
    const connection = await none.connect()
    expect(() => appState(connection, { code })).toThrow(/keeps no state/)
  })

  test('X-03 a server that answers with an address only', async () => {
    const server = await keeper('no-body')
    const { state } = await opening(associated, server)
    expect((await state.create({ a: 1 })).values).toEqual({ a: 1 })
  })

  test('X-10 T57 what comes back is data, whatever it says', async () => {
    const server = await keeper()
    const { state } = await opening(associated, server)
    const made = await state.create({ a: 1 })
    const basic = server.kept.get(made.id) as Basic
    const extension = [
      { url: 'code', valueString: '"<img src=x onerror=alert(1)>"' },
      { url: 'broken', valueString: '{' },
      { url: 'deep', valueString: '['.repeat(5000) },
      { url: '__proto__', valueString: '{"x":1}' },
      { url: 'number', valueInteger: 5 },
      null,
    ]
    server.kept.set(made.id, { ...basic, extension } as never)
    const [read] = await state.find()
    expect(read?.values).toEqual({ code: '<img src=x onerror=alert(1)>', broken: undefined, deep: undefined })
    expect(({} as { x?: number }).x).toBeUndefined()
  })
})
