import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:https'
import { type AddressInfo, createServer as createSocket, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BehaviorName, type Sandbox, startSandbox } from '@s4s/sandbox'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { here, s4s } from '../test-support/command-line.js'

interface Told {
  readonly base: string
  readonly vendor?: string
  readonly connects: boolean
  readonly findings: readonly {
    readonly check: string
    readonly level: string
    readonly sentence: string
    readonly remedy?: string
  }[]
}

let sandbox: Sandbox
beforeAll(async () => {
  sandbox = await startSandbox({ people: ['leo'] })
})
afterEach(() => sandbox.faults.clear())
afterAll(() => sandbox.stop())

const answering = (path: string, respond: () => Response | 'drop'): void =>
  void sandbox.faults.add({ match: (request) => request.path === path, respond })
const configured = async (change: (usual: Record<string, unknown>) => object): Promise<void> => {
  const path = '/fhir/.well-known/smart-configuration'
  const usual = (await (await fetch(sandbox.url + path)).json()) as Record<string, unknown>
  answering(path, () => Response.json({ ...usual, ...change(usual) }))
}
const stated = async (
  change: (usual: { rest: { resource: { type: string; searchParam: { name: string }[] }[] }[] }) => object,
): Promise<void> => {
  const usual = await (await fetch(`${sandbox.iss}/metadata`)).json()
  answering('/fhir/metadata', () => Response.json(change(usual as never)))
}
const examined = async (...words: string[]): Promise<Told & { readonly code: number }> => {
  const { code, out } = await here(['doctor', ...words, '--json'])
  return { ...(JSON.parse(out) as Told), code }
}
const levelOf = ({ findings }: Told, check: string): string | undefined =>
  findings.find((finding) => finding.check === check)?.level
const problems = ({ findings }: Told): string[] =>
  findings.filter(({ level }) => level === 'problem').map(({ check }) => check)

/** Where nothing listens any more. */
const freePort = async (socket: Server): Promise<number> => {
  await new Promise<void>((resolve) => socket.listen(0, '127.0.0.1', resolve))
  const { port } = socket.address() as AddressInfo
  await new Promise((resolve) => socket.close(resolve))
  return port
}

describe('s4s discover', () => {
  test('D-04 shows in a pipe what a server publishes, one fact a line and without colour', async () => {
    const { code, out, err } = await s4s(['discover', sandbox.iss], { FORCE_COLOR: '1' })
    expect([code, err]).toEqual([0, ''])
    expect(out).toContain(`base\t${sandbox.iss}\nfhirVersion\t4.0.1\n`)
    expect(out).toContain(`tokenEndpoint\t${sandbox.url}/token\n`)
    expect(out).toContain('codeChallengeMethods\tS256\n')
    expect(out).not.toContain('\u001b')
  })

  test.each([
    '',
    '/',
    '/fhir/',
    '/fhir/metadata',
    '/fhir/.well-known/smart-configuration',
    '/fhir/Patient/leo?_format=json#name',
  ])('finds the FHIR base from %s of its host', async (path) => {
    const { code, out } = await here(['discover', sandbox.url + path, '--json'])
    const found = JSON.parse(out)
    expect(code).toBe(0)
    expect(found.base.replace(/\/$/, '')).toBe(sandbox.iss)
    expect(found.configuration.source).toBe('well-known')
  })

  test('D-12 L-10 reads the CapabilityStatement of a server that has no SMART configuration, and names its product', async () => {
    await using meditech = await startSandbox({ people: ['leo'], behavesLike: 'meditech' })
    await using epic = await startSandbox({ people: ['leo'], behavesLike: 'epic' })
    const old = JSON.parse((await here(['discover', meditech.iss, '--json'])).out)
    expect(old.configuration).toMatchObject({
      source: 'capability-statement',
      tokenEndpoint: `${meditech.url}/token`,
    })
    const known = JSON.parse((await here(['discover', epic.iss, '--json'])).out)
    expect(known.vendor).toBe('epic')
  })

  test.each([
    [
      'http://fhir.hospital.example/r4',
      'the address must begin with https; plain http is for this machine only',
    ],
    ['hospital', 'hospital is not an address such as https://fhir.hospital.example/r4'],
    ['https://me:secret@hospital.example', 'the address holds a password; none is needed here'],
  ])('T4 does not understand %s, in one sentence', async (address, sentence) => {
    const { code, out, err } = await here(['discover', address])
    expect([code, out, err]).toEqual([2, '', `s4s: ${sentence}\nTry: s4s discover --help\n`])
  })

  test('says in one sentence why it found nothing', async () => {
    answering('/fhir/metadata', () =>
      Response.redirect('https://elsewhere.example/r4/metadata?x=secret', 308),
    )
    answering('/fhir/.well-known/smart-configuration', () => new Response('', { status: 503 }))
    const down = await here(['discover', sandbox.iss])
    expect([down.code, down.out]).toEqual([1, ''])
    expect(down.err).toMatch(
      /^s4s: 127\.0\.0\.1:\d+ answers 503 where its SMART configuration should be\. .+\n$/,
    )
    const port = await freePort(createSocket())
    const nothing = await here(['discover', `https://localhost:${port}/fhir`])
    expect(nothing.err).toMatch(/^s4s: nothing listens at localhost:\d+\. .+\n$/)
    const nobody = await here(['discover', 'https://fhir.hospital.invalid'])
    expect(nobody.err).toMatch(/^s4s: there is no host called fhir\.hospital\.invalid\. .+\n$/)
  })
})

describe('s4s doctor', () => {
  test('finds nothing against a server that has all of it, and says so in sentences', async () => {
    const { code, out } = await s4s(['doctor', sandbox.iss])
    expect(code).toBe(0)
    expect(out).toContain('ok\tIt takes PKCE with S256.\n')
    expect(out).toMatch(/^ok\tIt offers 31 of the 31 classes of the plan US Core/m)
    expect(out).not.toMatch(/^problem/m)
    for (const line of out.trimEnd().split('\n')) expect(line).toMatch(/^(ok|note|problem)\t[A-Z].*\.$/)
  })

  test.each([
    ['epic', 'refresh', 'note', /no refresh token/],
    ['eclinicalworks', 'refresh', 'note', /no refresh token/],
    ['veradigm', 'scopes', 'note', /scopes of SMART 1/],
    ['oracle-health', 'scopes', 'ok', /scopes of SMART 2/],
    ['meditech', 'configuration', 'note', /no SMART configuration/],
  ] as [BehaviorName, string, string, RegExp][])(
    'at a server like %s it tells of %s',
    async (behavesLike, check, level, sentence) => {
      await using like = await startSandbox({ people: ['leo'], behavesLike })
      const told = await examined(like.iss, '--plan', 's4s-pilot')
      const found = told.findings.find((finding) => finding.check === check)
      expect([told.code, found?.level]).toEqual([0, level])
      expect(found?.sentence).toMatch(sentence)
      if (told.vendor === undefined) return
      expect(told.vendor).toBe(behavesLike)
      // Each trait of the row with its reason.
      expect(told.findings.filter((finding) => finding.check === 'vendor').length).toBeGreaterThan(1)
    },
  )

  test.each<[string, (usual: Record<string, unknown>) => object, string, string]>([
    ['no PKCE but plain', () => ({ code_challenge_methods_supported: ['plain'] }), 'pkce', 'problem'],
    ['no word about PKCE', () => ({ code_challenge_methods_supported: undefined }), 'pkce', 'note'],
    ['no sign-in for people', () => ({ authorization_endpoint: undefined }), 'authorization', 'problem'],
    ['no revocation', () => ({ revocation_endpoint: undefined }), 'revocation', 'note'],
    [
      'no standalone launch',
      ({ capabilities }) => ({
        capabilities: (capabilities as string[]).filter((name) => name !== 'launch-standalone'),
      }),
      'standalone',
      'problem',
    ],
    [
      'nothing that lasts',
      ({ capabilities, scopes_supported: scopes }) => ({
        capabilities: (capabilities as string[]).filter((name) => name !== 'permission-offline'),
        scopes_supported: (scopes as string[]).filter((name) => name !== 'offline_access'),
      }),
      'refresh',
      'note',
    ],
    ['tokens elsewhere', () => ({ token_endpoint: 'https://auth.example/t' }), 'token-origin', 'note'],
  ])('a server with %s', async (_, change, check, level) => {
    await configured(change)
    const told = await examined(sandbox.iss)
    expect(levelOf(told, check)).toBe(level)
    expect(problems(told)).toEqual(level === 'problem' ? [check] : [])
    expect([told.code, told.connects]).toEqual(level === 'problem' ? [1, false] : [0, true])
    expect(told.findings.find((finding) => finding.check === check)?.remedy).toBeTruthy()
  })

  test('names the classes of the plan that the CapabilityStatement lacks, and what they are searched by', async () => {
    await stated((usual) => ({
      ...usual,
      rest: usual.rest.map((rest) => ({
        ...rest,
        resource: rest.resource
          .filter(({ type }) => type !== 'Immunization')
          .map((row) =>
            row.type === 'Observation'
              ? { ...row, searchParam: row.searchParam.filter(({ name }) => name !== 'category') }
              : row,
          ),
      })),
    }))
    const told = await examined(sandbox.iss, '--plan', 's4s-pilot')
    const text = told.findings.map(({ sentence }) => sentence).join('\n')
    expect(text).toContain('Immunizations: it does not list Immunization, so none will come.')
    expect(text).toMatch(/^Laboratory: it does not list the search of Observation by category;/m)
    expect(text).not.toMatch(/^Allergies/m)
    expect(text).toMatch(/^It offers 7 of the 10 classes/m)
    expect(told.code).toBe(0)
  })

  test('an older FHIR, a clock that is wrong and an address inside are noted', async () => {
    const usual = await (await fetch(`${sandbox.iss}/metadata`)).json()
    const date = new Date(Date.now() + 10 * 60_000).toUTCString()
    for (const path of ['metadata', '.well-known/smart-configuration'])
      answering(`/fhir/${path}`, () =>
        path === 'metadata'
          ? Response.json({ ...usual, fhirVersion: '3.0.2' }, { headers: { date } })
          : new Response('{}', { status: 404, headers: { date } }),
      )
    const told = await examined(sandbox.iss)
    const say = (check: string): string =>
      told.findings.find((finding) => finding.check === check)?.sentence ?? ''
    expect(say('fhir-version')).toContain('FHIR 3.0.2')
    expect(say('clock')).toMatch(/10 min ahead of/)
    expect(say('private')).toContain('not on the public internet')
    expect(told.code).toBe(0)
  })

  test('T31 a base that redirects is told with where it leads, and without its query', async () => {
    answering('/fhir/metadata', () => Response.redirect(`${sandbox.url}/r4/metadata?code=secret`, 302))
    const { code, out } = await here(['doctor', sandbox.iss])
    expect(code).toBe(1)
    expect(out).toMatch(
      /^problem\t.* to http:\/\/127\.0\.0\.1:\d+\/r4\/metadata, and redirects are not followed/m,
    )
    expect(out).not.toContain('secret')
  })

  test('a server that is down, cut off or no FHIR server is a problem, not a crash', async () => {
    const socket = createSocket((other) => other.destroy()).listen(0, '127.0.0.1')
    await new Promise((resolve) => socket.once('listening', resolve))
    const cut = await examined(`http://127.0.0.1:${(socket.address() as AddressInfo).port}/fhir`)
    socket.close()
    expect([cut.code, problems(cut)]).toEqual([1, ['answer']])
    answering('/fhir/metadata', () => new Response('<html>', { headers: { 'content-type': 'text/html' } }))
    answering('/fhir/.well-known/smart-configuration', () => new Response('[{'))
    const page = await examined(sandbox.iss)
    expect([page.code, problems(page)]).toEqual([1, ['configuration']])
    expect(page.findings[0]?.sentence).toContain('There is no FHIR server at')
  })

  test('a certificate that nobody vouches for is told as such', async () => {
    const folder = mkdtempSync(join(tmpdir(), 's4s-tls-'))
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
    execFileSync(
      'openssl',
      ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1'].concat(
        ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', cert],
      ),
      { stdio: 'ignore' },
    )
    const server = createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (_, response) =>
      response.end('{}'),
    ).listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    const { port } = server.address() as AddressInfo
    const told = await examined(`https://localhost:${port}/fhir`)
    server.close()
    rmSync(folder, { recursive: true })
    expect([told.code, problems(told)]).toEqual([1, ['tls']])
    expect(told.findings[0]?.sentence).toContain('signed by nobody that this machine trusts')
  })

  test('an option or a plan that there is none of is not understood', async () => {
    expect((await here(['doctor', sandbox.iss, '--plan', 'all'])).err).toBe(
      's4s: --plan is us-core or s4s-pilot\nTry: s4s doctor --help\n',
    )
    expect((await here(['doctor', sandbox.iss, '--url', 'x'])).code).toBe(2)
    expect((await here(['doctor', sandbox.iss, 'more'])).code).toBe(2)
    expect((await here(['doctor'])).code).toBe(2)
    const help = await here(['doctor', '--help'])
    expect([help.code, help.out.includes('--plan'), help.out.includes('\u001b')]).toEqual([0, true, false])
  })
})
