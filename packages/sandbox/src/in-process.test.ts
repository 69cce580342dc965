import { createServer } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type Sandbox, startSandbox } from './sandbox.js'

let sandbox: Sandbox
beforeAll(async () => {
  sandbox = await startSandbox({ people: ['leo'] })
})
afterEach(() => sandbox.faults.clear())
afterAll(() => sandbox.stop())

const always = (): boolean => true

describe('sandbox.fetch', () => {
  test('answers as fetch does: with a URL, headers and a body', async () => {
    const address = `${sandbox.iss}/metadata`
    const [near, far] = [await sandbox.fetch(new URL(address)), await fetch(address)]
    expect(near.url).toBe(far.url)
    expect(near.status).toBe(far.status)
    expect(near.headers.get('content-type')).toBe(far.headers.get('content-type'))
    expect(await near.text()).toBe(await far.text())
    expect((await sandbox.fetch(address, { method: 'HEAD' })).body).toBeNull()
  })

  test('follows a redirect, stops at one or fails at one, as it is told', async () => {
    const form = (redirect: RequestRedirect): RequestInit => ({
      method: 'POST',
      body: new URLSearchParams({ revoke: 'nothing' }),
      redirect,
    })
    const followed = await sandbox.fetch(`${sandbox.url}/manage`, form('follow'))
    expect([followed.status, followed.redirected, followed.url]).toEqual([200, true, `${sandbox.url}/manage`])
    expect((await sandbox.fetch(`${sandbox.url}/manage`, form('manual'))).status).toBe(303)
    await expect(sandbox.fetch(`${sandbox.url}/manage`, form('error'))).rejects.toThrow(TypeError)
  })

  test('a cut connection is a network error', async () => {
    sandbox.faults.add({ match: always, respond: () => 'drop' })
    await expect(sandbox.fetch(`${sandbox.iss}/metadata`)).rejects.toThrow(TypeError)
  })

  test('whoever waits for an answer that never comes can stop waiting', async () => {
    const stop = new AbortController()
    sandbox.faults.add({
      match: always,
      respond: () => {
        queueMicrotask(() => stop.abort())
        return 'hang'
      },
    })
    await expect(sandbox.fetch(`${sandbox.iss}/metadata`, { signal: stop.signal })).rejects.toMatchObject({
      name: 'AbortError',
    })
  })

  test('another server is out of reach, also on this machine', async () => {
    const seen: unknown[] = []
    const other = createServer((socket) => seen.push(socket))
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    const { port } = other.address() as { port: number }
    await expect(sandbox.fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow(TypeError)
    expect(seen).toEqual([])
    other.close()
  })
})
