import { startSandbox } from '@s4s/sandbox'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ambientClock, ambientCrypto } from '../ambient.js'
import {
  type Choices,
  collect,
  createClient,
  createPackage,
  defineStudy,
  type Package,
  type PatientRecord,
  type Removal,
  recordConsent,
  removals,
  review,
  type Study,
  sensitiveCategories,
  usCore,
} from '../index.js'
import { memoryReader, pageOf } from '../record/memory-reader.js'
import { testPlatform } from '../testing/index.js'
import { strip } from './strip.js'

const now = Date.UTC(2026, 5, 1)
const platform = { crypto: ambientCrypto, clock: { ...ambientClock, now: () => now } }
const studyWith = (more: Partial<Study> = {}): Study =>
  defineStudy({
    id: 'sleep',
    title: 'Sleep',
    purpose: 'Rest',
    plan: usCore,
    recipient: 'https://intake.sleep.example/inbox',
    consent: { version: '3', text: 'I agree.' },
    ...more,
  })

// More than twenty thousand resources of one person, and a pregnancy of another.
let heavy: PatientRecord
let camila: PatientRecord
const sandboxes: Awaited<ReturnType<typeof startSandbox>>[] = []
beforeAll(async () => {
  const sandbox = await startSandbox({ people: ['priya', 'camila'] })
  sandboxes.push(sandbox)
  const client = createClient({
    platform: { ...testPlatform({ fetch }), clock: ambientClock },
    redirectUri: 'http://127.0.0.1:9/callback',
    providers: [sandbox.provider],
    plan: usCore,
  })
  const recordOf = async (patient: string): Promise<PatientRecord> => {
    const { url } = await client.authorize(sandbox.provider.id)
    return collect(await client.callback(await sandbox.approve(url, { patient })), { plan: usCore })
  }
  heavy = await recordOf('priya')
  camila = await recordOf('camila')
}, 60_000)
afterAll(() => Promise.all(sandboxes.map((sandbox) => sandbox.stop())))

interface Line {
  readonly path: string
  readonly text: string
  readonly resource: Record<string, unknown>
}

async function linesOf(pack: Package): Promise<Line[]> {
  const found: Line[] = []
  for (const part of pack.parts) {
    if (!/\/[A-Z][A-Za-z]+-\d+\.ndjson$/.test(part.path)) continue
    for (const text of new TextDecoder()
      .decode(await part.open())
      .trimEnd()
      .split('\n'))
      found.push({ path: part.path, text, resource: JSON.parse(text) })
  }
  return found
}

const keysOf = (lines: readonly Line[]) =>
  new Set(lines.map(({ resource }) => `${resource.resourceType}/${resource.id}`))

// What the tests take for a date, without what the SDK knows of types: every day under a name that tells of time.
const telling =
  /"(?:effective|onset|recordedDate|performed|occurrence|authoredOn|started|issued|created|date)\w*":("(\d{4}[^"]*)"|\{[^}]*\})/g
function daysIn(text: string): string[] {
  return [...text.matchAll(telling)].flatMap(([, value = '']) =>
    [...value.matchAll(/"(\d{4}(?:-\d{2}){0,2})[^"]*"/g)].map(([, day]) => day as string),
  )
}

const day = fc
  .date({ min: new Date('2005-01-01'), max: new Date('2026-01-01'), noInvalidDate: true })
  .map((date) => date.toISOString().slice(0, 10))
const period = fc
  .tuple(fc.option(day, { nil: undefined }), fc.option(day, { nil: undefined }))
  .filter(([start, end]) => start !== undefined || end !== undefined)
  .map(([a, b]) => {
    const [start, end] = a !== undefined && b !== undefined && a > b ? [b, a] : [a, b]
    return { ...(start === undefined ? {} : { start }), ...(end === undefined ? {} : { end }) }
  })
const names = usCore.classes.map(({ name }) => name)
const ids = sensitiveCategories.map(({ id }) => id)
const choices: fc.Arbitrary<Choices> = fc.record(
  {
    dataClasses: fc.subarray(names as string[], { minLength: 1 }),
    period,
    withhold: fc.subarray([...ids], { minLength: 1 }),
  },
  { requiredKeys: ['dataClasses'] },
)

test.each([
  ['a heavy patient', () => heavy, 12],
  ['a patient with something to withhold', () => camila, 80],
] as const)(
  'F4 F13 T72 nothing outside the consent is ever in a package of %s, and everything else is',
  async (_, of, numRuns) => {
    const record = of()
    await fc.assert(
      fc.asyncProperty(choices, fc.nat(), async (chosen, seed) => {
        const study = studyWith()
        const [seen] = review([record], { study, choices: chosen, platform })
        if (!seen) throw new Error('nothing to review')
        const offered = [...seen.items()]
        const open = offered.filter((item) => item.withheld === undefined && item.type !== 'Patient')
        const leaveOut = open.filter((_, index) => (index + seed) % 97 === 0).map(({ key }) => key)
        const consent = recordConsent(study, { participant: 'p-1', signature: 'Ada', platform, ...chosen })
        const pack = await createPackage([record], { study, consent, leaveOut, platform }).catch((error) => {
          expect(error).toMatchObject({ code: 'SHARE_NOTHING' })
        })
        if (!pack) return
        const lines = await linesOf(pack)
        const shared = keysOf(lines)

        const agreed = new Set<string>()
        for (const type of Object.keys(record.types()))
          for (const line of record.lines(type, new Set(chosen.dataClasses)))
            agreed.add(`${type}/${JSON.parse(line).id}`)
        for (const key of shared) expect(agreed.has(key), key).toBe(true)
        for (const key of leaveOut) expect(shared.has(key.slice(key.indexOf(' ') + 1)), key).toBe(false)
        for (const { text, resource } of lines) {
          const { start = '0000', end = '9999' } = chosen.period ?? {}
          // A device is dated by its making, an insurance by its running, neither by care.
          if (
            !/^(Patient|Device|Coverage|Medication|Practitioner|Location|Organization)/.test(
              `${resource.resourceType}`,
            )
          )
            for (const one of daysIn(text)) {
              expect(
                one >= start.slice(0, one.length) && one <= end,
                `${text.slice(0, 300)} in ${start}..${end}`,
              ).toBe(true)
            }
          for (const row of sensitiveCategories.filter(({ id }) => chosen.withhold?.includes(id)))
            expect(row.words.test(text), `${row.id}: ${text.slice(0, 300)}`).toBe(false)
        }

        // What is not in it has a reason that the participant was told before.
        const withheld = new Set(
          offered
            .filter((item) => item.withheld)
            .map(({ type, key }) => key.slice(key.indexOf(' ') + 1) || type),
        )
        for (const key of leaveOut) withheld.add(key.slice(key.indexOf(' ') + 1))
        for (const key of agreed) expect(shared.has(key) || withheld.has(key), key).toBe(true)
        // The study is not told of what is sensitive or left out, and its numbers are those of what it could have had.
        const [source] = pack.manifest.sources
        expect(source?.withheld.every(({ reason }) => /^(not-agreed|period|undated)$/.test(reason))).toBe(
          true,
        )
      }),
      { numRuns, seed: 20261125 },
    )
  },
  120_000,
)

test('F13 what is withheld as sensitive is in no number that the study reads', async () => {
  const study = studyWith()
  const given = { participant: 'p-1', signature: 'Ada', platform }
  const [all] = review([camila], { study, platform })
  const [narrow] = review([camila], { study, choices: { withhold: ids }, platform })
  const hidden = narrow?.withheld.filter(({ reason }) => reason === 'sensitive') ?? []
  expect(hidden.length).toBeGreaterThan(0)
  expect(all?.withheld).toEqual([])
  const consent = recordConsent(study, { ...given, withhold: ids })
  const { manifest, given: told } = await createPackage([camila], { study, consent, platform })
  expect(JSON.stringify(manifest)).not.toContain('sensitive')
  for (const { dataClass, count, queries } of manifest.sources[0]?.completeness ?? []) {
    expect(JSON.stringify(queries)).not.toMatch(/"(?:count|pages|total|none)"/)
    expect(count, dataClass).toBe(told?.[0]?.shared[dataClass] ?? 0)
  }
})

test('F1 a study that looks back five years gets nothing older, whatever was ticked', () => {
  const study = studyWith({ lookBackYears: 5 })
  const given = { participant: 'p-1', signature: 'Ada', platform }
  expect(recordConsent(study, given).period).toEqual({ start: '2021-06-01' })
  expect(
    recordConsent(study, { ...given, period: { start: '2001-01-01', end: '2024-01-01' } }).period,
  ).toEqual({
    start: '2021-06-01',
    end: '2024-01-01',
  })
  expect(() => recordConsent(study, { ...given, period: { end: '2020-01-01' } })).toThrow(TypeError)
})

test('F13 what a protocol keeps out is in no resource, and is counted', async () => {
  const removes = removals.map(({ id }) => id) as Removal[]
  const study = studyWith({ removes })
  const consent = recordConsent(study, { participant: 'p-1', signature: 'Ada', platform })
  const pack = await createPackage([camila], { study, consent, platform })
  const lines = await linesOf(pack)
  expect(keysOf(lines).size).toBe(camila.count())
  const patient = lines.find(({ resource }) => resource.resourceType === 'Patient')?.resource
  for (const key of ['name', 'telecom', 'address', 'identifier', 'text'])
    expect(patient).not.toHaveProperty(key)
  expect(patient?.birthDate).toMatch(/^\d{4}$/)
  for (const { text } of lines) expect(text).not.toMatch(/"div":|"note":|"identifier":|"data":/)
  expect(pack.manifest.sources[0]?.removed).toMatchObject({ names: expect.any(Number), 'birth-day': 1 })
  expect(pack.parts.some(({ path }) => path.includes('/attachments'))).toBe(false)
  const again = await createPackage([camila], { study, consent, platform })
  expect(again.digest).toBe(pack.digest)
})

test.each<[string, Choices]>([
  ['period', { period: { start: '2024-02-30' } }],
  ['period', { period: { start: '2024-02-02', end: '2024-02-01' } }],
  ['period', { period: {} }],
  ['sensitive category', { withhold: ['horoscope'] }],
])('F4 a choice that cannot be is refused: %s (%j)', (what, chosen) => {
  expect(() => recordConsent(studyWith(), { participant: 'p', signature: 'A', platform, ...chosen })).toThrow(
    new RegExp(what),
  )
})

test.each<[string, Partial<Study>]>([
  ['study.lookBackYears', { lookBackYears: 0 }],
  ['study.lookBackYears', { lookBackYears: 1.5 }],
  ['study.removes[0]', { removes: ['everything' as never] }],
])('F1 a study that cannot be is refused with the path %s', (path, more) => {
  expect(() => studyWith(more)).toThrow(
    expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(path) }),
  )
})

const about = (more: object) => ({
  resourceType: 'Condition',
  id: 'c',
  subject: { reference: 'Patient/p' },
  ...more,
})
const condition = (system: string, code: string) => about({ code: { coding: [{ system, code }] } })

test.each<[string, string, object]>([
  ['substance-use', 'a code of ICD-10-CM', condition('http://hl7.org/fhir/sid/icd-10-cm', 'F11.20')],
  ['substance-use', 'a system as an OID', condition('urn:oid:2.16.840.1.113883.6.90', 'F10.10')],
  ['hiv', 'a code of SNOMED CT', condition('http://snomed.info/sct', '86406008')],
  [
    'hiv',
    'a security label',
    about({
      meta: { security: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'HIV' }] },
    }),
  ],
  ['mental-health', 'a word in a name', about({ code: { text: 'Major depressive disorder' } })],
  ['violence', 'a word in a note', about({ note: [{ text: 'after sexual assault' }] })],
  [
    'genetic',
    'a contained resource',
    about({ contained: [{ resourceType: 'Observation', code: { text: 'BRCA1 gene mutation' } }] }),
  ],
])('F13 %s is found by %s', async (category, _, resource) => {
  const read = async (): Promise<PatientRecord> =>
    collect(
      memoryReader({
        patient: 'p',
        search: (type) =>
          type === 'Condition'
            ? [
                pageOf(
                  [resource as never, condition('http://snomed.info/sct', '38341003') as never].map(
                    (one, index) => ({ ...(one as object), id: `c${index}` }) as never,
                  ),
                ),
              ]
            : [],
      }),
      { plan: usCore.only('Patient', 'Problems'), platform: { crypto: ambientCrypto, clock: ambientClock } },
    )
  const study = studyWith({ plan: usCore.only('Patient', 'Problems') })
  const [seen] = review([await read()], { study, choices: { withhold: [category] } })
  expect(
    [...(seen?.items() ?? [])].filter(({ withheld }) => withheld === 'sensitive').map(({ key }) => key),
  ).toEqual(['memory:p Condition/c0'])
})

test('F13 what is written with escapes is found as well, and what points to it goes with it', async () => {
  const text = String.raw`{"resourceType":"Condition","id":"c1","subject":{"reference":"Patient/p"},"code":{"text":"\u0048IV infection"}}`
  const entry = (json: string) => ({ resource: JSON.parse(json), text: json, mode: 'match' as const })
  const report = {
    resourceType: 'MedicationRequest',
    id: 'm1',
    subject: { reference: 'Patient/p' },
    reasonReference: [{ reference: 'Condition/c1' }],
  }
  const plan = usCore.only('Patient', 'Problems', 'Medications')
  const record = await collect(
    memoryReader({
      patient: 'p',
      search: (type) =>
        type === 'Condition'
          ? [{ entries: [entry(text)], outcomes: [], invalid: 0 }]
          : type === 'MedicationRequest'
            ? [{ entries: [entry(JSON.stringify(report))], outcomes: [], invalid: 0 }]
            : [],
    }),
    { plan, platform },
  )
  const [seen] = review([record], { study: studyWith({ plan }), choices: { withhold: ['hiv'] }, platform })
  expect(seen?.shared).toEqual([{ dataClass: 'Patient', count: 1 }])
  expect(seen?.withheld.map(({ dataClass, reason, count }) => `${count} ${dataClass} ${reason}`)).toEqual([
    '1 Problems sensitive',
    '1 Medications sensitive',
  ])
})

test('PR-11 F13 what is left of a resource keeps its bytes, its digits among them', () => {
  const whole = String.raw`{ "resourceType":"Observation","valueQuantity": {"value":1.00, "unit":"mg\/dL"},"note":[{"text":"x"}],"code":{"text":"a","coding":[]},"text":{"div":"<p/>"},"performer":[{"reference":"Practitioner/1","display":"Dr. Who"}],"component":[{"valueString":"free"}]}`
  const { text, removed } = strip(whole, ['free-text', 'names'])
  expect(text).toBe(
    String.raw`{"resourceType":"Observation","valueQuantity": {"value":1.00,"unit":"mg\/dL"},"code":{"text":"a","coding":[]},"performer":[{"reference":"Practitioner/1"}]}`,
  )
  expect(removed).toEqual({ 'free-text': 3, names: 1 })
})

test('PR-11 taking nothing out of any JSON changes nothing that it says', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 6 }), fc.nat(3), (value, indent) => {
      const text = JSON.stringify({ value }, null, indent)
      const { text: after } = strip(text, ['birth-day'])
      const gone = /"_?(birthDate|deceasedDateTime|valueDate|valueDateTime)"/.test(text)
      if (!gone) expect(JSON.parse(after)).toEqual(JSON.parse(text))
    }),
  )
})
