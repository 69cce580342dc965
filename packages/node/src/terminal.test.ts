import { request as httpRequest } from 'node:http'
import { isSmartError, usCore } from '@s4s/core'
import { type Sandbox, startSandbox } from '@s4s/sandbox'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { connectFromTerminal } from './terminal.js'

let sandbox: Sandbox
beforeAll(async () => {
  sandbox = await startSandbox({ people: ['leo'] })
})
afterAll(() => sandbox.stop())

const connect = (open: (url: string) => Promise<void>, more: object = {}) =>
  connectFromTerminal({
    providers: [sandbox.provider],
    provider: sandbox.provider.id,
    plan: usCore.only('Patient'),
    open,
    ...more,
  })
const redirectOf = (url: string): URL => new URL(new URL(url).searchParams.get('redirect_uri') ?? '')
const isClosed = (origin: string): Promise<boolean> =>
  fetch(origin).then(
    () => false,
    () => true,
  )

describe('A-22 a sign-in from a terminal', () => {
  test('goes to the person’s own browser and comes back to loopback, once', async () => {
    let page: Response | undefined
    let origin = ''
    const connection = await connect(async (url) => {
      const back = await sandbox.approve(url)
      origin = redirectOf(url).origin
      expect(origin).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
      void fetch(back).then((response) => {
        page = response
      })
    })
    expect((await connection.read('Patient', connection.patient)).id).toBe('leo')
    await expect.poll(() => page?.status).toBe(200)
    expect(page?.headers.get('content-security-policy')).toMatch(/^default-src 'none';/)
    expect(page?.headers.get('referrer-policy')).toBe('no-referrer')
    await expect.poll(() => isClosed(origin)).toBe(true)
  })

  test('C-01 T15 strays, forgeries and other names of the host do not end the wait', async () => {
    const statuses: number[] = []
    const connection = await connect(async (url) => {
      const { origin } = redirectOf(url)
      for (const path of [
        '/favicon.ico',
        '/',
        '/callback',
        '/callback?code=x',
        '/callback?code=x&state=y',
        '/callback?state=y&error=access_denied',
      ])
        statuses.push((await fetch(origin + path)).status)
      const back = await sandbox.approve(url)
      statuses.push((await fetch(back, { method: 'POST' })).status)
      statuses.push(
        await new Promise<number>((resolve) => {
          httpRequest(back, { headers: { host: 'rebinding.example' } }, (response) =>
            resolve(response.statusCode ?? 0),
          ).end()
        }),
      )
      void fetch(back)
    })
    expect(connection.status).toBe('active')
    expect(statuses).toEqual(Array(8).fill(404))
  })

  test('C-05 a no is a no, told without the server’s words', async () => {
    let text = ''
    const error = await connect(async (url) => {
      const back = new URL(await sandbox.deny(url))
      back.searchParams.set('error_description', '<b>words</b>')
      void fetch(back).then(async (response) => {
        text = await response.text()
      })
    }).catch((caught: unknown) => caught)
    expect(isSmartError(error) && error.code).toBe('AUTHORIZATION_DENIED')
    await expect.poll(() => text).toContain('Not connected')
    expect(text).not.toContain('words')
  })

  test('C-04 C-05 T15 a no without a state is asked about: a forged one ends nothing, the person’s own does', async () => {
    const connection = await connect(async (url) => {
      const { origin } = redirectOf(url)
      const asked = await fetch(`${origin}/callback?error=access_denied`)
      expect(await asked.text()).toContain('<button>Stop</button>')
      expect((await fetch(`${origin}/callback?stop=x`, { method: 'POST' })).status).toBe(404)
      void fetch(await sandbox.approve(url))
    })
    expect(connection.status).toBe('active')
    const error = await connect(async (url) => {
      const { origin } = redirectOf(url)
      const html = await (await fetch(`${origin}/callback?error=access_denied`)).text()
      const [, action = ''] = /action="([^"]+)"/.exec(html) ?? []
      void fetch(new URL(action, `${origin}/callback`), { method: 'POST' }).catch(() => {})
    }).catch((caught: unknown) => caught)
    expect(isSmartError(error) && error.code).toBe('AUTHORIZATION_DENIED')
  })

  test('F68 whoever opens the page may never come back, or fail', async () => {
    const connection = await connect(async (url) => {
      void fetch(await sandbox.approve(url))
      await new Promise(() => {})
    })
    expect(connection.status).toBe('active')
    await expect(
      connect(async () => {
        throw new Error('no browser here')
      }),
    ).rejects.toThrow('no browser here')
  })

  test('a port that is taken, and a path that is none, are typed errors', async () => {
    const port = Number(new URL(sandbox.url).port)
    for (const wrong of [{ port }, { path: 'callback' }, { path: '/a?b' }]) {
      const error = await connect(async () => {}, wrong).catch((caught: unknown) => caught)
      expect(isSmartError(error) && error.code).toBe('CONFIG_INVALID')
    }
  })

  test('F68 C-12 nobody comes back: the wait ends when the launch does', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    try {
      const error = await connect(async () => void vi.advanceTimersByTime(3600_000)).catch(
        (caught: unknown) => caught,
      )
      expect(isSmartError(error) && error.code).toBe('AUTHORIZATION_EXPIRED')
    } finally {
      vi.useRealTimers()
    }
  })

  test('F68 C-12 an abort ends the wait and closes the listener', async () => {
    const stop = new AbortController()
    let origin = ''
    const work = connect(
      async (url) => {
        origin = redirectOf(url).origin
        stop.abort(new Error('enough'))
      },
      { signal: stop.signal },
    )
    await expect(work).rejects.toThrow('enough')
    await expect.poll(() => isClosed(origin)).toBe(true)
  })

  test.each(['/callback', '/start'])('A-16 A-17 a long request to %s arrives as a form', async (path) => {
    const scope = [
      'launch/patient',
      'patient/Patient.rs',
      ...Array.from({ length: 60 }, (_, n) => `patient/Observation.rs?category=http://example.org/c|${n}`),
    ].join(' ')
    sandbox.clearRequests()
    const connection = await connect(
      async (url) => {
        const html = await (await fetch(url)).text()
        const [, action = ''] = /action="([^"]+)"/.exec(html) ?? []
        const fields = new URLSearchParams()
        for (const [, name = '', value = ''] of html.matchAll(/name="([^"]+)" value="([^"]*)"/g))
          fields.set(
            name,
            value.replace(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code))),
          )
        expect(fields.toString().length).toBeGreaterThan(2000)
        void fetch(await sandbox.approve({ action, fields: Object.fromEntries(fields) }))
      },
      { providers: [{ ...sandbox.provider, scope }], path },
    )
    expect(connection.patient).toBe('leo')
    expect(sandbox.requests.some(({ method, path: at }) => method === 'POST' && at === '/auth')).toBe(true)
  })

  test('A-16 A-17 a long request is posted by a page of the listener', async () => {
    const scope = [
      'launch/patient',
      ...Array.from({ length: 60 }, (_, n) => `patient/Observation.rs?category=http://example.org/c|${n}`),
    ].join(' ')
    let html = ''
    const stop = new AbortController()
    await connect(
      async (url) => {
        const response = await fetch(url)
        html = await response.text()
        expect(response.headers.get('content-security-policy')).toMatch(/script-src 'nonce-[^']+'/)
        stop.abort(new Error('seen'))
      },
      { providers: [{ ...sandbox.provider, scope }], signal: stop.signal },
    ).catch(() => {})
    expect(html).toContain(`<form method="post" action="${sandbox.url}/auth">`)
    expect(html).toContain('name="code_challenge_method" value="S256"')
  })
})
