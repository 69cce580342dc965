// The tests that carry each id.
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { groundOf } from './grounds.mjs'
import { testsIn } from './titles.mjs'

/**
 * The tests of the packages and examples by the ids in their titles. Those of the sandbox itself are `ofSandbox`: they
 * show what it asks of a client, and nothing about the client.
 *
 * @param {string} top the root of the repository
 * @returns {{ id: string, title: string, file: string, ground: string, ofSandbox: boolean }[]}
 */
export function proofsIn(top) {
  const files = ['packages', 'examples'].flatMap((folder) => testFiles(join(top, folder)))
  return files.sort().flatMap((path) => {
    const text = readFileSync(path, 'utf8')
    const file = relative(top, path)
    const ofSandbox = file.startsWith('packages/sandbox/')
    const found = testsIn(text).flatMap(({ title, ids }) => ids.map((id) => ({ id, title, file, ofSandbox })))
    const ground = found.length > 0 && !ofSandbox ? groundOf(file, text) : ''
    return found.map((proof) => ({ ...proof, ground }))
  })
}

function testFiles(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return ['node_modules', 'dist'].includes(entry.name) ? [] : testFiles(path)
    return /\.(test|chromium)\.tsx?$/.test(entry.name) ? [path] : []
  })
}
