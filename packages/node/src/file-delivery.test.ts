import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  collect,
  createPackage,
  defineStudy,
  type Package,
  recordConsent,
  seal,
  share,
  usCore,
  withdraw,
} from '@s4s/core'
import { memoryReader, pageOf } from '@s4s/core/testing'
import { afterAll, beforeEach, expect, test } from 'vitest'
import { fileDelivery } from './file-delivery.js'
import { createStudyKeys } from './inbox/index.js'

const folders: string[] = []
let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 's4s-files-'))
  folders.push(folder)
})
afterAll(() => Promise.all(folders.map((one) => rm(one, { recursive: true, force: true }))))

const plan = usCore.only('Patient', 'Problems')
const study = defineStudy({
  id: 'sleep',
  title: 'Sleep',
  purpose: 'Rest',
  plan,
  recipient: 'https://intake.sleep.example/inbox',
  consent: { version: '1', text: 'I agree.' },
})
const consentTo = () => recordConsent(study, { participant: 'p-1', signature: 'Ada' })
const record = () =>
  collect(
    memoryReader({
      patient: 'p',
      search: (type) =>
        type === 'Condition'
          ? [pageOf([{ resourceType: 'Condition', id: 'c1', subject: { reference: 'Patient/p' } } as never])]
          : [],
    }),
    { plan },
  )
const files = async (): Promise<string[]> =>
  (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort()

test('F14 a study that is reached by a disk gets the package as files, and the same one once', async () => {
  const consent = consentTo()
  const deliver = fileDelivery(folder)
  const shared = await share([await record()], { study, consent, deliver })
  expect(shared.receipt).toMatchObject({ issuer: 'storage', digest: shared.digest, resources: 2 })
  const home = `sleep/${shared.digest}`
  expect(await files()).toEqual([
    `${home}/consent.json`,
    `${home}/manifest.json`,
    `${home}/records/01/Condition-0001.ndjson`,
    `${home}/records/01/Patient-0001.ndjson`,
    `${home}/records/01/provenance.ndjson`,
  ])
  expect(await readFile(join(folder, home, 'records/01/Condition-0001.ndjson'), 'utf8')).toContain(
    '"id":"c1"',
  )
  const before = (await files()).length
  const pack = await packOf(consent)
  const [one, two] = [await deliver.deliver(pack), await deliver.deliver(pack)]
  expect(two).toEqual(one)
  expect((await files()).length - before).toBe(pack.digest === shared.digest ? 0 : 5)
})

const packOf = async (consent = consentTo()): Promise<Package> =>
  createPackage([await record()], { study, consent })

test('F65 a delivery that was cut off goes on; a file that was damaged meanwhile is written again', async () => {
  const pack = await packOf()
  const stop = new AbortController()
  const deliver = fileDelivery(folder)
  const cut = deliver.deliver(pack, {
    signal: stop.signal,
    onProgress: ({ done }) => done === 2 && stop.abort(),
  })
  await expect(cut).rejects.toMatchObject({ name: 'AbortError' })
  expect((await files()).some((name) => name.endsWith('manifest.json'))).toBe(false)
  const [first = ''] = await files()
  await writeFile(join(folder, first), 'damaged')
  await deliver.deliver(pack)
  for (const part of pack.parts)
    expect(await readFile(join(folder, 'sleep', pack.digest, part.path))).toEqual(
      Buffer.from(await part.open()),
    )
})

test('F17 who withdraws leaves nothing in the folder, and nothing more is put there under that consent', async () => {
  const consent = consentTo()
  const deliver = fileDelivery(folder)
  const shared = await share([await record()], { study, consent, deliver })
  const other = await share([await record()], { study, consent: consentTo(), deliver })
  const { study: told } = await withdraw(shared, { deliver, connections: [], records: [] })
  expect(told).toMatchObject({ status: 'acknowledged', deleted: true })
  expect((await files()).filter((name) => name.includes(shared.digest))).toEqual([])
  expect((await files()).some((name) => name.includes(other.digest))).toBe(true)
  await expect(share([await record()], { study, consent, deliver })).rejects.toMatchObject({
    code: 'SHARE_WITHDRAWN',
  })
})

test('T72 nobody withdraws for another: the key must be that of the consent', async () => {
  const deliver = fileDelivery(folder)
  const shared = await share([await record()], { study, consent: consentTo(), deliver })
  const notice = {
    format: 's4s-withdrawal/1' as const,
    ...{ study: 'sleep', participant: 'p-1', digest: shared.digest, consent: shared.consent.id },
    ...{ ask: 'delete' as const, at: new Date().toISOString(), key: 'guessed' },
  }
  await expect(deliver.withdraw(notice)).rejects.toMatchObject({ code: 'SHARE_REFUSED' })
  await expect(deliver.withdraw({ ...notice, study: '../..' })).rejects.toMatchObject({
    code: 'SHARE_REFUSED',
  })
  expect((await files()).length).toBe(5)
})

test('F14 T76 what is sealed lies there sealed', async () => {
  const keys = await createStudyKeys()
  const consent = consentTo()
  const sealed = await seal(await packOf(consent), { to: keys.study.sealTo, consent })
  await fileDelivery(folder).deliver(sealed)
  for (const name of await files())
    expect(await readFile(join(folder, name), 'latin1')).not.toContain('resourceType')
})

test.each(['../out', '/etc/passwd', 'a//b', '.hidden', 'a/../../b'])(
  'a name such as %s is refused, and nothing is written',
  async (path) => {
    const pack = await packOf()
    const forged = { ...pack, parts: pack.parts.map((part) => ({ ...part, path })) }
    await expect(fileDelivery(join(folder, 'in')).deliver(forged)).rejects.toMatchObject({
      code: 'SHARE_REFUSED',
    })
    expect(await files()).toEqual([])
  },
)

test('F78 a folder that cannot be written is an error that says to try again', async () => {
  await writeFile(join(folder, 'sleep'), 'a file where a folder should be')
  await expect(fileDelivery(folder).deliver(await packOf())).rejects.toMatchObject({
    code: 'SHARE_UNREACHABLE',
    remedy: 'retry',
  })
})
