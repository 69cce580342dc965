import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Sandbox, startSandbox } from '../sandbox.js'

const verifier = 'v'.repeat(43)
const challenge = createHash('sha256').update(verifier).digest('base64url')
const redirect = 'http://127.0.0.1:1/callback'
let sandbox: Sandbox
let other: Sandbox
beforeAll(async () => {
  const clients = [{ clientId: 'named', name: 'Sleep <b>study</b>', redirectUris: [redirect] }]
  ;[sandbox, other] = await Promise.all([
    startSandbox({ people: ['leo', 'sam'], clients }),
    startSandbox({ people: ['leo'] }),
  ])
})
afterAll(() => Promise.all([sandbox.stop(), other.stop()]))

type Visit = (url: string, form?: Record<string, string> | URLSearchParams) => Promise<Response>

/** A browser as far as these pages need one: it follows redirects here and keeps cookies by path; they know no ports. */
function browser(): Visit {
  const cookies = new Map<string, { path: string; pair: string }>()
  const visit: Visit = async (url, form) => {
    const { origin, pathname } = new URL(url)
    const sent = [...cookies.values()].filter(({ path }) =>
      `${pathname}/`.startsWith(path.replace(/\/?$/, '/')),
    )
    const response = await fetch(url, {
      redirect: 'manual',
      headers: { cookie: sent.map(({ pair }) => pair).join('; '), accept: 'text/html' },
      ...(form ? { method: 'POST', body: new URLSearchParams(form) } : {}),
    })
    for (const line of response.headers.getSetCookie()) {
      const [pair = ''] = line.split(';')
      const path = /path=([^;]+)/.exec(line)?.[1] ?? '/'
      cookies.set(`${path} ${pair.split('=')[0]}`, { path, pair })
    }
    const next = new URL(response.headers.get('location') ?? redirect, url)
    return next.origin === origin ? visit(next.href) : response
  }
  return visit
}

const actionOf = (page: string, at = sandbox): string =>
  at.url + (/action="([^"]+)"/.exec(page)?.[1] ?? '/no-form')

async function approvalOf(visit: Visit, url: string, at = sandbox): Promise<string> {
  const page = await (await visit(url)).text()
  return (await visit(actionOf(page, at), { username: 'demo', answer: 'sign-in' })).text()
}

function authorizeUrl(change: Record<string, string> = {}, at = sandbox): string {
  return `${at.url}/auth?${new URLSearchParams({
    response_type: 'code',
    client_id: at.provider.clientId,
    redirect_uri: redirect,
    scope: 'launch/patient patient/Patient.rs',
    state: 'state-1',
    aud: at.iss,
    code_challenge: 'c'.repeat(43),
    code_challenge_method: 'S256',
    ...change,
  })}`
}

const approved = (scope: string, patient = 'leo'): Record<string, string> => ({
  answer: 'approve',
  patient,
  scope,
})

describe('sign-in and approval', () => {
  test('lists the people, what is asked in words, and until when', async () => {
    const page = await approvalOf(
      browser(),
      authorizeUrl({ scope: 'launch/patient offline_access patient/Immunization.rs' }),
    )
    expect(page).toContain('Leo Rivera')
    expect(page).toContain('Read vaccinations in this record')
    expect(page).toMatch(/Access lasts until \w+ \d+, \d{4}/)
    expect(await approvalOf(browser(), authorizeUrl())).toContain('Access lasts for this visit only')
  })

  test('every input has a label, the page a language, a title and one heading', async () => {
    const visit = browser()
    const signIn = await (await visit(authorizeUrl())).text()
    const approval = await (await visit(actionOf(signIn), { username: 'demo', answer: 'sign-in' })).text()
    for (const page of [signIn, approval]) {
      expect(page).toContain('<html lang="en">')
      expect(page).toMatch(/<title>[^<]+<\/title>/)
      expect(page.match(/<h1/g)).toHaveLength(1)
      const unlabelled = page.replaceAll(/<label.*?<\/label>/gs, '')
      expect(unlabelled).not.toMatch(/<input(?! type="hidden")/)
    }
  })

  test('an app goes by its name, escaped', async () => {
    const page = await approvalOf(browser(), authorizeUrl({ client_id: 'named' }))
    expect(page).toContain('Let Sleep &#60;b&#62;study&#60;/b&#62; read a record?')
  })

  test('a scope whose escapes are broken gets its page like any other', async () => {
    const scope = 'launch/patient patient/Observation.rs?category=%zz'
    expect(await approvalOf(browser(), authorizeUrl({ scope }))).toContain('only %zz')
  })

  test('a record that is not on the list is refused', async () => {
    const visit = browser()
    const page = await approvalOf(visit, authorizeUrl())
    const answer = await visit(actionOf(page), approved('patient/Patient.rs', 'eleanor'))
    expect(answer.status).toBe(400)
    expect(answer.headers.get('location')).toBeNull()
  })

  test('a scope that was not asked for is not granted by adding it to the form', async () => {
    const visit = browser()
    const page = await approvalOf(visit, authorizeUrl({ code_challenge: challenge }))
    const body = new URLSearchParams(approved('patient/Patient.rs'))
    body.append('scope', 'patient/*.cruds')
    const location = (await visit(actionOf(page), body)).headers.get('location') ?? ''
    const response = await fetch(`${sandbox.url}/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'authorization_code',
        code: new URL(location).searchParams.get('code') ?? '',
        redirect_uri: redirect,
        code_verifier: verifier,
        client_id: sandbox.provider.clientId,
      }),
    })
    expect(await response.json()).toMatchObject({ scope: 'patient/Patient.rs' })
  })

  test('two tabs, and two hospitals on one machine, do not end each other’s sign-in', async () => {
    const visit = browser()
    const first = await approvalOf(visit, authorizeUrl({ state: 'first' }))
    const second = await approvalOf(visit, authorizeUrl({ state: 'second' }))
    const third = await approvalOf(visit, authorizeUrl({ state: 'third' }, other), other)
    const states = []
    for (const [page, at] of [
      [first, sandbox],
      [second, sandbox],
      [third, other],
    ] as const) {
      const back = await visit(actionOf(page, at), approved('patient/Patient.rs'))
      states.push(new URL(back.headers.get('location') ?? '').searchParams.get('state'))
    }
    expect(states).toEqual(['first', 'second', 'third'])
  })

  test('E-02 of two tabs with one launch, the second to approve is refused', async () => {
    const launch = new URL(sandbox.launch('https://app.example/', { patient: 'sam' })).searchParams.get(
      'launch',
    )
    const url = authorizeUrl({ scope: 'launch patient/Patient.rs', launch: launch ?? '' })
    const [one, two] = [browser(), browser()]
    const pages = [await approvalOf(one, url), await approvalOf(two, url)]
    expect(pages[0]).not.toContain('Whose record?')
    const answers = [
      await one(actionOf(pages[0] ?? ''), approved('patient/Patient.rs')),
      await two(actionOf(pages[1] ?? ''), approved('patient/Patient.rs')),
    ].map((answer) => new URL(answer.headers.get('location') ?? '').searchParams)
    expect(answers[0]?.get('code')).toBeTruthy()
    expect(answers[1]?.get('error')).toBe('invalid_request')
  })

  test('a sign-in without its cookies has to start again', async () => {
    const page = await (await browser()(authorizeUrl())).text()
    expect((await browser()(actionOf(page))).status).toBe(400)
  })

  test('a form that is far too long is answered with 413', async () => {
    const visit = browser()
    const page = await (await visit(authorizeUrl())).text()
    expect((await visit(actionOf(page), { username: 'x'.repeat(2_000_000) })).status).toBe(413)
  })
})

describe('other pages', () => {
  test('R-02 a request that cannot go back to its app gets a page that says so, escaped and without script', async () => {
    const answer = await browser()(authorizeUrl({ client_id: '<script>alert(1)</script>' }))
    expect(answer.status).toBe(400)
    expect(answer.headers.get('content-security-policy')).toContain("default-src 'none'")
    const text = await answer.text()
    expect(text).toContain('invalid_client')
    expect(text).not.toContain('<script')
  })

  test('the front page says what an app needs to know', async () => {
    const text = await (await browser()(`${sandbox.url}/`)).text()
    for (const part of [sandbox.iss, sandbox.provider.clientId, 'Leo Rivera', '/manage'])
      expect(text).toContain(part)
  })

  test('V-03 what an app revoked is no longer on the page of apps with access', async () => {
    const visit = browser()
    const page = await approvalOf(
      visit,
      authorizeUrl({ client_id: 'named', code_challenge: challenge, scope: 'launch/patient offline_access' }),
    )
    const form = new URLSearchParams([
      ...Object.entries(approved('launch/patient')),
      ['scope', 'offline_access'],
    ])
    const location = (await visit(actionOf(page), form)).headers.get('location') ?? ''
    const post = async (path: string, more: Record<string, string>): Promise<Record<string, string>> => {
      const body = new URLSearchParams({ client_id: 'named', ...more })
      const text = await (await fetch(sandbox.url + path, { method: 'POST', body })).text()
      return text === '' ? {} : JSON.parse(text)
    }
    const { refresh_token = '' } = await post('/token', {
      grant_type: 'authorization_code',
      code: new URL(location).searchParams.get('code') ?? '',
      redirect_uri: redirect,
      code_verifier: verifier,
    })
    const manage = async (): Promise<string> => (await fetch(`${sandbox.url}/manage`)).text()
    expect(await manage()).toContain('Sleep &#60;b&#62;study')
    await post('/token/revocation', { token: refresh_token })
    expect(await manage()).not.toContain('Sleep &#60;b&#62;study')
  })
})
