import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readEnvelope } from './envelope.js'
import { desks } from './test-support/desk.js'
import { makePackage, sha256 } from './test-support/make-package.js'

const open = desks()

/** A manifest with many parts of many sources, and how the bytes of its attachments begin. */
const manyOf = (sources: number, files: number): string => {
  const { manifest } = makePackage()
  const [first] = manifest.sources
  const folderOf = (at: number): string => `records/${String(at + 1).padStart(4, '0')}`
  const parts = Array.from({ length: files }, (_, at) => ({
    path: `${folderOf(at % sources)}/Condition-${String(at + 1).padStart(6, '0')}.ndjson`,
    ...{ contentType: 'application/fhir+ndjson', size: 1, sha256: sha256(String(at)), resources: 1 },
  }))
  return JSON.stringify({
    ...manifest,
    sources: Array.from({ length: sources }, (_, at) => ({
      ...first,
      folder: folderOf(at),
      counts: { Condition: files / sources },
    })),
    parts: [...manifest.parts.filter(({ path }) => path === 'consent.json'), ...parts],
  })
}

test('F21 a manifest of 500 sources takes no longer to read than its parts do', () => {
  const timeOf = (text: string): number => {
    const bytes = Buffer.from(text)
    const began = performance.now()
    expect(readEnvelope(bytes).resources).toBe(20_000)
    return performance.now() - began
  }
  const [few, many] = [manyOf(1, 20_000), manyOf(500, 20_000)]
  timeOf(few)
  expect(timeOf(many)).toBeLessThan(10 * timeOf(few) + 100)
})

test('F21 a package of very many parts is not read anew for each of them', async () => {
  const desk = await open()
  const name = (at: number): string => `records/01/attachments/a${at}`
  const files = Array.from({ length: 30_000 }, (_, at) => [name(at), `file ${at}`] as const)
  const made = makePackage({ parts: Object.fromEntries(files) })
  const put = async (text: string): Promise<number> =>
    (await desk.call('PUT', `/packages/${made.digest}/parts/${sha256(text)}`, text)).status
  expect((await desk.call('POST', '/packages', made.bytes)).status).toBe(201)
  expect(await put('file 0')).toBe(204)
  const timeOf = async (work: () => unknown): Promise<number> => {
    const began = performance.now()
    for (let round = 0; round < 20; round++) await work()
    return performance.now() - began
  }
  const reading = await timeOf(() => readEnvelope(Buffer.from(made.bytes)))
  expect(await timeOf(() => put('file 1'))).toBeLessThan(reading)
  // What lies on the disk counts, not what was there before.
  await writeFile(join(desk.folder, 'staging', made.digest, 'manifest.json'), makePackage().bytes)
  expect(await put('file 1')).toBe(404)
}, 60_000)
