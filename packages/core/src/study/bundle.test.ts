import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { decimal, testConsent, testPackage, testRecord, testStudy } from '../../test-support/packed.js'
import { faultsOf, unknownCodesIn } from '../../test-support/validator.js'
import { bundleOf } from './bundle.js'
import { consentFromFhir } from './consent-fhir.js'
import type { Package } from './package.js'
import { seal } from './seal.js'

const bytesOf = async (pieces: AsyncIterable<Uint8Array>): Promise<Buffer> => {
  const all: Uint8Array[] = []
  for await (const piece of pieces) all.push(piece)
  return Buffer.concat(all)
}

interface Entry {
  readonly fullUrl?: string
  readonly resource: Record<string, unknown> & { readonly resourceType: string; readonly id?: string }
}
const entriesOf = async (pack: Package, options = {}): Promise<Entry[]> =>
  JSON.parse((await bytesOf(bundleOf(pack, options))).toString()).entry

test('F14 a package is one FHIR Bundle that validates against R4, with every resource, file and their provenance', async () => {
  const { pack, study } = await testPackage()
  const text = (await bytesOf(bundleOf(pack, { study }))).toString()
  const bundle = JSON.parse(text)
  expect(faultsOf(bundle)).toEqual([])
  expect(bundle).toMatchObject({
    type: 'collection',
    identifier: { value: pack.digest },
    timestamp: '2026-01-01T00:00:01.000Z',
  })
  const types = bundle.entry.map((one: Entry) => one.resource.resourceType)
  expect(types).toEqual([
    ...['Consent', 'Patient', 'Observation', 'Observation', 'Observation', 'DocumentReference'],
    ...['DocumentReference', 'Binary', 'Provenance'],
  ])
  for (const { resource } of bundle.entry) expect(faultsOf(resource)).toEqual([])
})

test('F12 the Provenance of a package validates against R4', async () => {
  const { pack } = await testPackage()
  const found = (await entriesOf(pack)).filter(({ resource }) => resource.resourceType === 'Provenance')
  expect(found.map(({ resource }) => faultsOf(resource))).toEqual([[]])
  expect(found.flatMap(({ resource }) => unknownCodesIn(resource))).toEqual([])
})

test('T62 every resource is in the Bundle letter by letter, so that a decimal keeps its digits', async () => {
  const { pack, record } = await testPackage()
  const text = (await bytesOf(bundleOf(pack))).toString()
  expect(text).toContain(`"value":${decimal},`)
  for (const line of [...record.lines('Observation'), ...record.lines('Patient')])
    expect(text).toContain(line)
})

test('a resource is found in the Bundle by the address that it had at its server', async () => {
  const { pack } = await testPackage()
  const urls = (await entriesOf(pack)).map((one) => one.fullUrl)
  expect(urls).toContain('https://mercy.example/r4/Observation/lab-0')
  expect(new Set(urls).size).toBe(urls.length)
})

test('a file is in the Bundle with what says whose it is', async () => {
  const { pack } = await testPackage()
  const entries = await entriesOf(pack)
  const binary = entries.find(({ resource }) => resource.resourceType === 'Binary')
  expect(Buffer.from(String(binary?.resource.data), 'base64').toString()).toBe('%PDF-1')
  const pointing = entries.filter(({ resource }) =>
    JSON.stringify(resource.content ?? null).includes(String(binary?.fullUrl)),
  )
  expect(pointing).toMatchObject([
    {
      resource: {
        subject: { reference: 'https://mercy.example/r4/Patient/p1' },
        content: [{ attachment: { size: 6, hash: createHash('sha1').update('%PDF-1').digest('base64') } }],
        context: { related: [{ reference: 'https://mercy.example/r4/DocumentReference/letter' }] },
      },
    },
  ])
  const without = await entriesOf(pack, { attachments: false })
  expect(without.map(({ resource }) => resource.resourceType)).not.toContain('Binary')
})

test('the consent in the Bundle can be read back, and its secrets are not in it', async () => {
  const { pack, study, consent } = await testPackage()
  const [first] = await entriesOf(pack, { study })
  expect(consentFromFhir(first?.resource, study).digest).toBe(consent.digest)
  const text = (await bytesOf(bundleOf(pack, { study }))).toString()
  expect(text).not.toContain(consent.withdrawalKey)
  expect(text).not.toContain(consent.sealingKey)
})

test('T71 what the consent does not cover is not in the Bundle', async () => {
  const { pack } = await testPackage()
  const types = (await entriesOf(pack)).map(({ resource }) => resource.resourceType)
  expect(types).not.toContain('Condition')
})

test('two records of the same server give a Bundle in which no address stands twice', async () => {
  const records = [
    await testRecord(),
    await testRecord({ provider: 'mercy-two', iss: 'https://mercy.example/r4' }),
  ]
  const { pack } = await testPackage({ records })
  const entries = await entriesOf(pack)
  const urls = entries.flatMap(({ fullUrl }) => fullUrl ?? [])
  expect(new Set(urls).size).toBe(urls.length)
  expect(entries.filter(({ resource }) => resource.resourceType === 'Observation')).toHaveLength(6)
})

test('the same package gives the same Bundle, and a long one comes in pieces', async () => {
  const { pack } = await testPackage({ labs: 1000 })
  const pieces: number[] = []
  for await (const piece of bundleOf(pack)) pieces.push(piece.length)
  expect(pieces.length).toBeGreaterThan(4)
  expect(Math.max(...pieces)).toBeLessThan(80_000)
  expect(await bytesOf(bundleOf(pack))).toEqual(await bytesOf(bundleOf(pack)))
})

test('a Bundle is made neither of a sealed package nor of one whose record was wiped', async () => {
  const { generateKeyPair, exportJWK } = await import('jose')
  const { publicKey } = await generateKeyPair('ECDH-ES+A256KW', { extractable: true })
  const { pack, record } = await testPackage()
  const to = { ...(await exportJWK(publicKey)), alg: 'ECDH-ES+A256KW' } as never
  const sealed = await seal(pack, { to, consent: testConsent(testStudy()) })
  expect(() => bundleOf(sealed)).toThrow(TypeError)
  record.wipe()
  await expect(bytesOf(bundleOf(pack))).rejects.toThrow(TypeError)
})
