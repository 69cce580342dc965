import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { unzipSync } from 'fflate'
import { expect, test } from 'vitest'
import { testPackage } from '../test-support/packed.js'
import { sha256Now } from './util/sha256.js'
import { zipOf } from './zip.js'

const exec = promisify(execFile)
const bytesOf = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<Uint8Array> =>
  new Uint8Array(await new Response(stream).arrayBuffer())

test('F14 a participant keeps as a ZIP what was shared, byte for byte', async () => {
  const { pack } = await testPackage()
  const files = unzipSync(await bytesOf(zipOf(pack)))
  expect(Object.keys(files)).toEqual(['manifest.json', ...pack.parts.map(({ path }) => path)])
  expect(sha256Now(new TextDecoder().decode(files['manifest.json']))).toBe(pack.digest)
  for (const part of pack.parts) expect(files[part.path]).toEqual(await part.open())
})

test('a tool of the operating system finds the ZIP whole', async () => {
  const { pack } = await testPackage({ labs: 300 })
  const folder = await mkdtemp(join(tmpdir(), 's4s-zip-'))
  try {
    await writeFile(join(folder, 'record.zip'), await bytesOf(zipOf(pack)))
    const script = `import sys, zipfile
z = zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; z.extractall(sys.argv[2])`
    await exec('python3', ['-c', script, join(folder, 'record.zip'), join(folder, 'out')])
    for (const part of pack.parts)
      expect(new Uint8Array(await readFile(join(folder, 'out', part.path)))).toEqual(
        new Uint8Array(await part.open()),
      )
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

test('the same record gives the same ZIP, also in another time zone', async () => {
  const { pack } = await testPackage()
  const zone = process.env.TZ
  try {
    process.env.TZ = 'Pacific/Auckland'
    const there = await bytesOf(zipOf(pack))
    process.env.TZ = 'America/Los_Angeles'
    expect(await bytesOf(zipOf(pack))).toEqual(there)
  } finally {
    if (zone === undefined) delete process.env.TZ
    else process.env.TZ = zone
  }
})

test('the ZIP comes in pieces, and no part is opened before it is asked for', async () => {
  const { pack } = await testPackage({ labs: 2000 })
  const opened: string[] = []
  const parts = pack.parts.map((part) => ({
    ...part,
    open: async () => {
      opened.push(part.path)
      return part.open()
    },
  }))
  const reader = zipOf({ ...pack, parts }).getReader()
  await reader.read()
  await reader.read()
  expect(opened.length).toBeLessThan(3)
  await reader.cancel()
  expect(opened.length).toBeLessThan(3)
})

test('T65 no name leads out of the folder that a ZIP is unpacked in', async () => {
  const { pack } = await testPackage()
  const [part] = pack.parts
  for (const path of ['../x', '/x', 'a/../b', 'a\\b', 'C:x', 'a//b', '', '.ssh', 'manifest.json', 'a\u202e'])
    expect(() => zipOf({ ...pack, parts: [{ ...part, path } as never] }), path).toThrow(TypeError)
  expect(() => zipOf({ ...pack, parts: [part, part] as never })).toThrow(TypeError)
})

test('a package that is larger than the format, or that was wiped, gives no ZIP that looks whole', async () => {
  const { pack, record } = await testPackage()
  const huge = pack.parts.map((part) => ({ ...part, size: 2 ** 31 }))
  expect(() => zipOf({ ...pack, parts: huge })).toThrow('larger')
  record.wipe()
  await expect(bytesOf(zipOf(pack))).rejects.toThrow(TypeError)
})
