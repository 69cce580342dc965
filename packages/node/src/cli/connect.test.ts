import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { s4sPilot } from '@s4s/core'
import { type BehaviorName, type Sandbox, startSandbox } from '@s4s/sandbox'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { fileStore } from '../file-store.js'
import { commandLine, type Ended, here, s4s } from '../test-support/command-line.js'

const key = randomBytes(32).toString('base64')
const env = { S4S_STORE_KEY: key }

let top: string
let sandbox: Sandbox
beforeAll(async () => {
  top = await mkdtemp(join(tmpdir(), 's4s-connect-'))
  await writeFile(join(top, 'key'), `${key}\n`)
  sandbox = await startSandbox({ people: ['leo', 'camila'] })
})
afterEach(() => sandbox.faults.clear())
afterAll(async () => {
  await sandbox.stop()
  await rm(top, { recursive: true, force: true })
})

// All that was ever said, to be looked through for tokens when the tests are over.
const said: string[] = []
const kept = (ended: Ended): Ended => {
  said.push(ended.out, ended.err)
  return ended
}
const storeOf = (name: string): string[] => ['--store', join(top, name), '--key-file', join(top, 'key')]
const signingIn =
  (ehr: Sandbox, patient: string, says: 'yes' | 'no' = 'yes') =>
  (text: string): void => {
    const url = /^https?:\S+$/m.exec(text)?.[0]
    if (url === undefined) return
    const answered = says === 'yes' ? ehr.approve(url, { patient }) : ehr.deny(url)
    void answered.then((back) => fetch(back))
  }
const connecting = async (store: string, ehr = sandbox, patient = 'leo', ...more: string[]): Promise<Ended> =>
  kept(
    await here(['connect', ehr.iss, '--client-id', ehr.provider.clientId, ...storeOf(store), ...more], {
      onErr: signingIn(ehr, patient),
    }),
  )
const connected = async (
  store: string,
  ehr = sandbox,
  patient = 'leo',
  ...more: string[]
): Promise<string> => {
  const { code, out, err } = await connecting(store, ehr, patient, ...more, '--json')
  expect([code, err]).toEqual([0, expect.stringMatching(/^Open this address/)])
  return (JSON.parse(out) as { id: string }).id
}
const collecting = async (store: string, id: string, out: string, ...more: string[]): Promise<Ended> =>
  kept(await here(['collect', id, ...storeOf(store), '--out', join(top, out), ...more]))
/** Every token that a store holds. */
const tokensIn = async (store: string): Promise<string[]> => {
  const files = fileStore(join(top, store), { key })
  const values = await Promise.all((await files.keys('connection/')).map((name) => files.get(name)))
  return values.flatMap((value) => {
    const { accessToken, refreshToken } = JSON.parse(value ?? '{}')
    return [accessToken, refreshToken].filter((token) => typeof token === 'string' && token !== '')
  })
}

describe('s4s connect', () => {
  test('A-22 signs in through the person’s browser, tells what was given, and is listed from then on', async () => {
    const child = spawn(
      process.execPath,
      [...commandLine, 'connect', sandbox.url, '--client-id', sandbox.provider.clientId].concat([
        '--store',
        join(top, 'first'),
        '--name',
        'Mercy Hospital',
        '--participant',
        'p-1',
      ]),
      { env: { ...process.env, ...env, FORCE_COLOR: '1' } },
    )
    let [out, err] = ['', '']
    child.stdout.on('data', (chunk) => {
      out += chunk
    })
    child.stderr.on('data', (chunk) => {
      err += chunk
      signingIn(sandbox, 'leo')(String(chunk))
    })
    const code = await new Promise((resolve) => child.once('close', resolve))
    said.push(out, err)
    expect(code).toBe(0)
    expect(err).toMatch(/^Open this address in a browser and sign in:\nhttp:\S+\n$/)
    expect(out).toMatch(
      /^connection\t127\.0\.0\.1-\S+\naccess\tAccess to Mercy Hospital lasts until it is ended/,
    )
    expect(out).toMatch(/^granted\t.*: Mercy Hospital gives access\.$/m)
    expect(out).not.toContain('\u001b')

    const listed = kept(await s4s(['connections', '--store', join(top, 'first')], env))
    const id = /^connection\t(\S+)$/m.exec(out)?.[1]
    expect(listed.out.split('\n')[1]).toMatch(
      new RegExp(`^${id}\tMercy Hospital\tp-1\tactive\tongoing\t\\d{4}-`),
    )
    const json = kept(await here(['connections', ...storeOf('first'), '--json']))
    expect(JSON.parse(json.out)).toMatchObject([{ id, participant: 'p-1', provider: { iss: sandbox.iss } }])
    // Nothing of it is to be read on disk without the key.
    const names = await readdir(join(top, 'first'), { recursive: true, withFileTypes: true })
    for (const name of names.filter((one) => one.isFile()))
      expect(await readFile(join(name.parentPath, name.name), 'latin1')).not.toMatch(/Mercy|accessToken|leo/)
  })

  test('C-05 a no at the provider is told as one, and nothing is kept', async () => {
    const words = ['connect', sandbox.iss, '--client-id', sandbox.provider.clientId, ...storeOf('denied')]
    const { code, out, err } = kept(await here(words, { onErr: signingIn(sandbox, 'leo', 'no') }))
    expect([code, out]).toEqual([1, ''])
    expect(err.split('\n').at(-2)).toMatch(/^s4s: access at 127\.0\.0\.1:\d+ was not approved$/)
    const listed = kept(await here(['connections', ...storeOf('denied'), '--json']))
    expect(JSON.parse(listed.out)).toEqual([])
  })

  test('scopes may be given in place of those of the plan, and what was not given is told', async () => {
    const { code, out } = await connecting(
      'narrow',
      sandbox,
      'leo',
      ...['--scope', 'launch/patient patient/Patient.rs patient/Condition.rs', '--plan', 's4s-pilot'],
    )
    expect(code).toBe(0)
    expect(out).toMatch(/^access\t.*one time/m)
    expect(out.match(/^granted\t/gm)?.length).toBe(2)
    expect(out.match(/^not-granted\t.*: left out, because it was not allowed at/gm)?.length).toBe(8)
  })

  test('the key of the store comes from a file or the environment, and never from the command line', async () => {
    const words = ['connections', '--store', join(top, 'first')]
    const expected = (sentence: string): object => ({
      code: 2,
      out: '',
      err: expect.stringContaining(sentence),
    })
    expect(await here(words)).toEqual(expected('the store needs its key, by --key-file or as S4S_STORE_KEY'))
    for (const typed of [['--key', key], [`--key=${key}`]]) {
      const refused = kept(await here([...words, ...typed]))
      expect(refused).toEqual(expected('s4s: there is no option --key\n'))
    }
    // Of what was typed by mistake nothing is repeated.
    expect(said.join('\n')).not.toContain(key)
    expect(await here([...words, '--key-file', join(top, 'none')])).toEqual(expected('cannot be read'))
    await writeFile(join(top, 'short'), 'secret')
    expect(await here([...words, '--key-file', join(top, 'short')])).toEqual(
      expected('the key of the store is'),
    )
    expect(await here(['connections', ...storeOf('nowhere')])).toEqual(expected('there is no store in'))
    await writeFile(join(top, 'other'), randomBytes(32).toString('base64'))
    const other = await here([...words, '--key-file', join(top, 'other')])
    expect([other.code, other.out, other.err]).toEqual([1, '', expect.stringMatching(/^s4s: .*key.*\n$/)])
  })

  test('what cannot work is refused before anybody signs in', async () => {
    const with_ = (...more: string[]): Promise<Ended> =>
      here(['connect', sandbox.iss, ...storeOf('none'), ...more])
    expect((await with_()).code).toBe(2)
    expect((await with_('--client-id', 'x', '--port', '99999')).err).toMatch(/^s4s: --port is a number/)
    const taken = await with_('--client-id', 'x', '--port', new URL(sandbox.url).port)
    expect([taken.code, taken.err]).toEqual([1, expect.stringMatching(/^s4s: port \d+ of loopback/)])
    const { code, err } = await here([
      'connect',
      'https://fhir.hospital.invalid',
      '--client-id',
      'x',
      ...storeOf('none'),
    ])
    expect([code, err]).toEqual([1, expect.stringMatching(/^s4s: there is no host called/)])
  })
})

describe('s4s collect', () => {
  test('F10 writes a record by type with a report in words, for its owner only', async () => {
    const id = await connected('record', sandbox, 'camila')
    const { code, out, err } = await collecting('record', id, 'camila')
    expect([code, err]).toEqual([0, ''])
    expect(out).toMatch(/^received\t.*: \d+ entries from 127\.0\.0\.1:\d+\.$/m)
    expect(out).not.toContain('\u001b')
    const folder = join(top, 'camila')
    expect((await stat(folder)).mode & 0o77).toBe(0)
    const lines = (await readFile(join(folder, 'Observation.ndjson'), 'utf8')).trimEnd().split('\n')
    expect(lines.every((line) => JSON.parse(line).resourceType === 'Observation')).toBe(true)
    const report = JSON.parse(await readFile(join(folder, 'report.json'), 'utf8'))
    expect(report).toMatchObject({ complete: true, plan: { id: 'us-core' }, provider: { iss: sandbox.iss } })
    const words = await readFile(join(folder, 'report.txt'), 'utf8')
    for (const [, sentence = ''] of out
      .trimEnd()
      .split('\n')
      .slice(0, -1)
      .map((line) => line.split('\t')))
      expect(words).toContain(`${sentence}\n`)
    const files = (await readFile(join(folder, 'attachments.ndjson'), 'utf8')).trimEnd().split('\n')
    const received = files.map((line) => JSON.parse(line)).filter(({ status }) => status === 'received')
    expect(received.length).toBeGreaterThan(0)
    for (const { sha256, size } of received)
      expect((await stat(join(folder, 'attachments', sha256))).size).toBe(size)

    // What is there already is not written over.
    const again = await collecting('record', id, 'camila')
    expect([again.code, again.err]).toEqual([1, 's4s: there is something in the folder already\n'])
    const since = await collecting('record', id, 'since', '--since', '2099-01-01', '--json')
    const told = JSON.parse(since.out) as { files: Record<string, number> }
    expect([since.code, told.files['Observation.ndjson'], told.files['Patient.ndjson']]).toEqual([
      0,
      undefined,
      1,
    ])
  })

  test('shows a bar on a terminal, which no pipe gets to see', async () => {
    const id = await connected('bar')
    const words = ['collect', id, ...storeOf('bar'), '--out', join(top, 'seen'), '--plan', 's4s-pilot']
    const terminal = kept(await here(words, { tty: true }))
    expect(terminal.err).toMatch(/\[#*-*\] \d+\/\d+ \d+ resources/)
  })

  test.each(['epic', 'oracle-health', 'veradigm', 'meditech'] as BehaviorName[])(
    'at a server like %s the pilot’s classes come whole, or it is said what does not',
    async (behavesLike) => {
      await using ehr = await startSandbox({ people: ['leo'], behavesLike })
      const id = await connected(behavesLike, ehr, 'leo', '--plan', 's4s-pilot')
      const { code, out } = await collecting(
        behavesLike,
        id,
        `of-${behavesLike}`,
        '--plan',
        's4s-pilot',
        '--json',
      )
      const told = JSON.parse(out) as {
        files: Record<string, number>
        again: string[]
        classes: { dataClass: string }[]
      }
      expect([code, told.again]).toEqual([0, []])
      expect(told.classes.length).toBe(s4sPilot.classes.length)
      expect(told.files['Patient.ndjson']).toBe(1)
    },
  )

  test('PR-09 one that was stopped goes on from there, and asks for nothing twice', async () => {
    const id = await connected('stopped', sandbox, 'leo', '--plan', 's4s-pilot')
    const store = storeOf('stopped')
    const words = ['collect', id, ...store, '--out', join(top, 'resumed'), '--plan', 's4s-pilot']
    sandbox.faults.add({ match: ({ path }) => path.includes('/Immunization'), respond: () => 'hang' })
    sandbox.clearRequests()
    const child = spawn(process.execPath, [...commandLine, ...words])
    let err = ''
    child.stderr.on('data', (chunk) => {
      err += chunk
    })
    const asked = (): string[] =>
      sandbox.requests.map(({ path }) => path).filter((path) => path.includes('?'))
    await expect.poll(() => asked().length, { timeout: 15_000 }).toBeGreaterThan(8)
    // Until all else is answered and kept.
    await expect
      .poll(
        async () => {
          const before = asked().length
          await new Promise((resolve) => setTimeout(resolve, 400))
          return asked().length - before
        },
        { timeout: 10_000 },
      )
      .toBe(0)
    const first = new Set(asked())
    child.kill('SIGINT')
    const code = await new Promise((resolve) => child.once('close', resolve))
    expect([code, err]).toEqual([
      1,
      's4s: stopped; what came is kept, and the same command goes on from there\n',
    ])
    expect(await readdir(top)).not.toContain('resumed')
    sandbox.faults.clear()
    sandbox.clearRequests()
    const resumed = kept(await here([...words, '--json']))
    expect(resumed.code).toBe(0)
    expect(asked().filter((path) => first.has(path) && !path.includes('/Immunization'))).toEqual([])
    expect(JSON.parse(resumed.out).files['Condition.ndjson']).toBeGreaterThan(0)
  })

  test('what could not be had is told, and is a failure', async () => {
    const id = await connected('partly', sandbox, 'leo', '--plan', 's4s-pilot')
    sandbox.faults.add({
      match: ({ path }) => path.includes('/Immunization'),
      respond: () => new Response('<html>', { headers: { 'content-type': 'text/html' } }),
    })
    const { code, out } = await collecting('partly', id, 'partly-record', '--plan', 's4s-pilot')
    expect(code).toBe(1)
    expect(out).toMatch(/^failed\t.*it can be tried again later\.$/m)
    expect(await readFile(join(top, 'partly-record', 'report.txt'), 'utf8')).toContain('tried again later')
  })

  test('an id, a date or an option that means nothing is told in one sentence', async () => {
    const said_ = async (...words: string[]): Promise<(string | number)[]> => {
      const { code, err } = await here(['collect', ...words, ...storeOf('first')])
      return [code, err.split('\n')[0] ?? '']
    }
    expect(await said_('nobody')).toEqual([
      1,
      's4s: there is no connection nobody; s4s connections lists them',
    ])
    expect(await said_('x', '--since', 'yesterday')).toEqual([2, 's4s: --since is a date such as 2026-08-01'])
    expect(await said_('x', '--since', '2026-13-45')).toEqual([
      2,
      's4s: --since is a date such as 2026-08-01',
    ])
    expect((await said_('x', '--since', '2026-02-30'))[0]).toBe(2)
    expect(await said_('x', '--key', key)).toEqual([2, 's4s: there is no option --key'])
  })
})

test('T43 no token that was issued is in anything that any command said', async () => {
  const stores = (await readdir(top, { withFileTypes: true })).filter((entry) => entry.isDirectory())
  const names = await Promise.all(
    stores.map(async ({ name }) => ((await readdir(join(top, name))).includes('key-mark') ? [name] : [])),
  )
  const inStores = (await Promise.all(names.flat().map(tokensIn))).flat()
  const sent = sandbox.requests.flatMap(({ authorization }) => authorization?.split(' ')[1] ?? [])
  expect(inStores.length).toBeGreaterThan(10)
  const all = said.join('\n')
  expect(all.length).toBeGreaterThan(1000)
  for (const token of [...inStores, ...sent]) expect(all).not.toContain(token)
})
