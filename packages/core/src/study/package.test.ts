import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ambientClock, ambientCrypto } from '../ambient.js'
import type { AttachmentBytes, Resource } from '../fhir/types.js'
import { usCore } from '../plans/index.js'
import { collect } from '../record/collect.js'
import { memoryReader, pageOf } from '../record/memory-reader.js'
import type { PatientRecord } from '../record/record.js'
import { sha256 } from '../util/bytes.js'
import { recordConsent } from './consent.js'
import { createPackage, type Package, type PackagePart } from './package.js'
import { defineStudy } from './study.js'

const plan = usCore.only('Patient', 'Smoking Status', 'Social History', 'Problems', 'Documents')
const study = defineStudy({
  id: 'sleep',
  title: 'Sleep',
  purpose: 'Rest',
  plan,
  recipient: 'https://intake.sleep.example/inbox',
  consent: { version: '3', text: 'I agree.' },
})
const platform = { crypto: ambientCrypto, clock: { ...ambientClock, now: () => Date.UTC(2026, 0, 1) } }
type ClassName = (typeof plan.classes)[number]['name']
const consentTo = (...dataClasses: ClassName[]) =>
  recordConsent(study, {
    participant: 'p-1',
    signature: 'Ada',
    platform,
    ...(dataClasses.length ? { dataClasses } : {}),
  })

const subject = { reference: 'Patient/p1' }
const smoking = { resourceType: 'Observation', id: 'smoke', subject } as Resource
const work = { resourceType: 'Observation', id: 'work', subject } as Resource
const problem = (id: string, note = '') =>
  ({ resourceType: 'Condition', id, subject, note: [{ text: note }] }) as Resource
const letter = {
  resourceType: 'DocumentReference',
  id: 'letter',
  content: [
    { attachment: { url: 'Binary/1', contentType: 'application/pdf' } },
    { attachment: { url: 'Binary/2' } },
    { attachment: { data: 'bm90ZQ==', contentType: 'text/plain' } },
  ],
} as Resource
const pdf: AttachmentBytes = { contentType: 'application/pdf', bytes: new Uint8Array([37, 80, 68, 70]) }

const recordOf = (provider = 'mercy', problems: readonly Resource[] = [problem('c1'), problem('c2')]) =>
  collect(
    memoryReader({
      patient: 'p1',
      id: `${provider}:p1`,
      provider: { id: provider, name: provider, iss: `https://${provider}.example/r4` },
      files: new Map([['Binary/1', pdf]]),
      search: (type, search) => {
        if (type === 'Condition') return [pageOf(problems)]
        if (type === 'DocumentReference') return [pageOf([letter])]
        // Smoking is social history as well; the other way around it is not.
        return [pageOf(search.code === undefined ? [smoking, work] : [smoking])]
      },
    }),
    { plan, platform },
  )

const bytesOf = (part: PackagePart): Uint8Array<ArrayBuffer> => part.open() as Uint8Array<ArrayBuffer>
const textOf = (pack: Package, path: string): string => {
  const part = pack.parts.find((one) => one.path === path)
  if (!part) throw new Error(`no part ${path}`)
  return new TextDecoder().decode(bytesOf(part))
}
const lines = (pack: Package, path: string): Record<string, unknown>[] =>
  textOf(pack, path)
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))

test('a package holds the consent, the resources, the files and where they come from', async () => {
  const pack = await createPackage([await recordOf()], { study, consent: consentTo(), platform })
  expect(pack.parts.map((part) => part.path.replace(/[0-9a-f]{64}/, '*')).sort()).toEqual([
    'consent.json',
    'records/01/Condition-0001.ndjson',
    'records/01/DocumentReference-0001.ndjson',
    'records/01/Observation-0001.ndjson',
    'records/01/Patient-0001.ndjson',
    'records/01/attachments.ndjson',
    'records/01/attachments/*.pdf',
    'records/01/attachments/*.txt',
    'records/01/provenance.ndjson',
  ])
  expect(pack.manifest).toMatchObject({
    format: 's4s-package/1',
    study: { id: 'sleep', title: 'Sleep' },
    participant: 'p-1',
    sources: [
      {
        folder: 'records/01',
        provider: { id: 'mercy' },
        patient: 'p1',
        withheld: [],
        counts: { Condition: 2, DocumentReference: 1, Observation: 2, Patient: 1 },
        issues: { attachment: 1 },
      },
    ],
  })
})

test('every part is the bytes that the manifest promises, each time it is opened', async () => {
  const pack = await createPackage([await recordOf()], { study, consent: consentTo(), platform })
  expect(pack.digest).toBe(await sha256(ambientCrypto, pack.manifestBytes))
  expect(JSON.parse(new TextDecoder().decode(pack.manifestBytes))).toEqual(
    JSON.parse(JSON.stringify(pack.manifest)),
  )
  expect(pack.parts.map(({ path }) => path)).toEqual(pack.manifest.parts.map(({ path }) => path))
  for (const [index, part] of pack.parts.entries()) {
    for (const bytes of [bytesOf(part), bytesOf(part)]) {
      expect(bytes.length).toBe(part.size)
      expect(await sha256(ambientCrypto, bytes)).toBe(part.sha256)
    }
    expect(pack.manifest.parts[index]?.sha256).toBe(part.sha256)
  }
  expect(pack.manifest.consent.sha256).toBe(await sha256(ambientCrypto, textOf(pack, 'consent.json')))
})

test('the study finds the file of a document by the index, and why one is missing', async () => {
  const pack = await createPackage([await recordOf()], { study, consent: consentTo(), platform })
  const index = lines(pack, 'records/01/attachments.ndjson')
  expect(index).toMatchObject([
    { source: 'DocumentReference/letter', status: 'missing', reason: 'FHIR_NOT_FOUND' },
    { source: 'DocumentReference/letter', status: 'received', contentType: 'application/pdf', size: 4 },
    { source: 'DocumentReference/letter', status: 'received', contentType: 'text/plain', size: 4 },
  ])
  expect(textOf(pack, String(index[2]?.path))).toBe('note')
})

test('F12 the provenance of a source is a FHIR resource that names the provider', async () => {
  const pack = await createPackage([await recordOf()], { study, consent: consentTo('Problems'), platform })
  expect(lines(pack, 'records/01/provenance.ndjson')).toMatchObject([
    {
      resourceType: 'Provenance',
      target: [{ type: 'Condition', display: '2 resources' }],
      recorded: '2026-01-01T00:00:00.000Z',
      entity: [{ role: 'source', what: { identifier: { value: 'https://mercy.example/r4' } } }],
    },
  ])
})

test('the withdrawal key is nowhere in a package', async () => {
  const consent = consentTo()
  const pack = await createPackage([await recordOf()], { study, consent, platform })
  const everything = [pack.manifestBytes, ...pack.parts.map((part) => bytesOf(part))]
  for (const bytes of everything) expect(new TextDecoder().decode(bytes)).not.toContain(consent.withdrawalKey)
})

test('the same records and consent give the same package, in whichever order they are given', async () => {
  const consent = consentTo()
  const records = [await recordOf('mercy'), await recordOf('saint'), await recordOf('ada')]
  const { digest } = await createPackage(records, { study, consent, platform })
  await fc.assert(
    fc.asyncProperty(fc.shuffledSubarray(records, { minLength: 3 }), async (order) => {
      const pack = await createPackage(order, { study, consent, platform })
      expect(pack.digest).toBe(digest)
      expect(pack.manifest.sources.map((source) => source.provider.id)).toEqual(['ada', 'mercy', 'saint'])
    }),
    { numRuns: 6 },
  )
})

test('T71 nothing outside the consent is in any part, and everything inside it is in exactly one', async () => {
  const record = await recordOf()
  const names = plan.classes.map((one) => one.name)
  // Held under the data classes that collect put it in.
  const homes: Record<string, ClassName[]> = {
    'Patient/p1': ['Patient'],
    'Observation/smoke': ['Smoking Status', 'Social History'],
    'Observation/work': ['Social History'],
    'Condition/c1': ['Problems'],
    'Condition/c2': ['Problems'],
    'DocumentReference/letter': ['Documents'],
  }
  await fc.assert(
    fc.asyncProperty(fc.subarray(names, { minLength: 1 }), async (agreed) => {
      const pack = await createPackage([record], { study, consent: consentTo(...agreed), platform })
      const found = pack.manifest.parts
        .filter((part) => part.resources !== undefined)
        .flatMap((part) => lines(pack, part.path))
        .map((resource) => `${resource.resourceType}/${resource.id}`)
      const expected = Object.keys(homes).filter((key) => homes[key]?.some((name) => agreed.includes(name)))
      expect(found.sort()).toEqual(expected.sort())
      const hasFiles = pack.parts.some((part) => part.path.includes('attachments'))
      expect(hasFiles).toBe(agreed.includes('Documents'))
      const [source] = pack.manifest.sources
      expect(source?.completeness.map((row) => row.dataClass)).toEqual(agreed)
      expect(source?.plan.classes).toEqual(agreed)
      for (const { dataClass, count } of source?.withheld ?? []) {
        const kept = Object.keys(homes).filter(
          (key) => homes[key]?.includes(dataClass as ClassName) && !expected.includes(key),
        )
        expect([dataClass, count]).toEqual([dataClass, kept.length])
        expect(agreed).not.toContain(dataClass)
      }
    }),
    { numRuns: 31 },
  )
})

test('a record of another plan gives only what the study asks for', async () => {
  const record = await collect(
    memoryReader({ patient: 'p1', search: (type) => [pageOf([{ resourceType: type, id: 'x' }])] }),
    { plan: usCore.only('Problems', 'Goals'), platform },
  )
  const pack = await createPackage([record], { study, consent: consentTo(), platform })
  expect(pack.manifest.sources[0]).toMatchObject({
    counts: { Condition: 1 },
    withheld: [{ dataClass: 'Goals', count: 1, reason: 'not-agreed' }],
  })
})

test('twenty thousand resources are parts of at most 4 MiB, and lie in them in order', async () => {
  const many = Array.from({ length: 20_000 }, (_, index) =>
    problem(`c${String(index).padStart(5, '0')}`, 'é'.repeat(250)),
  )
  const pack = await createPackage([await recordOf('mercy', many)], {
    study,
    consent: consentTo('Problems'),
    platform,
  })
  const parts = pack.parts.filter((part) => part.path.includes('Condition'))
  expect(parts.length).toBeGreaterThan(2)
  for (const part of parts) expect(part.size).toBeLessThanOrEqual(4 * 1024 * 1024)
  const ids = parts.flatMap((part) => lines(pack, part.path).map((one) => one.id))
  expect(ids).toEqual(many.map((one) => one.id))
  const last = parts.at(-1)
  expect(last && (await sha256(ambientCrypto, bytesOf(last)))).toBe(last?.sha256)
})

test('a resource larger than a part is a part of its own', async () => {
  const big = problem('b', 'x'.repeat(5 * 1024 * 1024))
  const pack = await createPackage([await recordOf('mercy', [problem('a'), big, problem('c')])], {
    study,
    consent: consentTo('Problems'),
    platform,
  })
  const parts = pack.manifest.parts.filter((part) => part.resources !== undefined)
  expect(parts.map((part) => part.resources)).toEqual([1, 1, 1])
})

test('T71 findings about what is not shared stay here too', async () => {
  const stranger = { ...problem('c9'), subject: { reference: 'Patient/p9' } } as Resource
  const record = await recordOf('mercy', [problem('c1'), stranger])
  const issuesFor = async (...names: ClassName[]) =>
    (await createPackage([record], { study, consent: consentTo(...names), platform })).manifest.sources[0]
      ?.issues
  expect(await issuesFor('Problems')).toEqual({ 'other-patient': 1 })
  expect(await issuesFor('Documents')).toEqual({ attachment: 1 })
  expect(await issuesFor('Patient')).toEqual({})
})

test('when nothing collected is covered by the consent, there is nothing to pack', async () => {
  const record = await collect(memoryReader({ patient: 'p1' }), { plan: usCore.only('Patient'), platform })
  const options = { study, consent: consentTo('Problems'), platform }
  const nothing = expect.objectContaining({ code: 'SHARE_NOTHING' })
  await expect(createPackage([record], options)).rejects.toEqual(nothing)
  await expect(createPackage([], options)).rejects.toEqual(nothing)
  const wiped = await recordOf()
  wiped.wipe()
  await expect(createPackage([wiped], options)).rejects.toEqual(nothing)
})

test('T65 a record that names types like paths is refused', async () => {
  const record: PatientRecord = { ...(await recordOf()), types: () => ({ '../../x': 1 }) }
  await expect(createPackage([record], { study, consent: consentTo(), platform })).rejects.toThrow(TypeError)
})
