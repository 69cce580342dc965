// Bundles a few lines of an app for the browser as its own bundler would, to look at what came along.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliCompressSync } from 'node:zlib'
import { build } from 'vite'
import { top } from './documents.mjs'

const entry = join(top, 'entry.ts')

/**
 * Bundles code for the browser.
 *
 * @param {string} code A module that may import the packages by name.
 * @param {'dist' | 'src'} from What is built, or the sources.
 * @returns {Promise<{ code: string, brotli: number, later: number, modules: string[] }>} `brotli` are the bytes that
 *   the page begins with, `later` those which it fetches when they are needed; `modules` are the paths, from the root of
 *   the repository, of what contributed at least one byte.
 */
export async function bundle(code, from = 'dist') {
  const { output } = await build({
    root: top,
    configFile: false,
    logLevel: 'error',
    resolve: { alias: aliases(from) },
    plugins: [
      {
        name: 'entry',
        enforce: 'pre',
        resolveId: (id) => (id === entry ? id : undefined),
        load: (id) => (id === entry ? code : undefined),
      },
    ],
    build: { write: false, target: 'es2022', modulePreload: false, rolldownOptions: { input: entry } },
  })
  const chunks = output.filter(({ type }) => type === 'chunk')
  const first = loadedFirst(chunks)
  const text = chunks.map((chunk) => chunk.code).join('')
  const modules = chunks
    .flatMap((chunk) => Object.entries(chunk.modules))
    .filter(([id, { renderedLength }]) => renderedLength > 0 && id.startsWith(top))
    .map(([id]) => id.slice(top.length))
  return {
    code: text,
    brotli: weight(chunks.filter(({ fileName }) => first.has(fileName))),
    later: weight(chunks.filter(({ fileName }) => !first.has(fileName))),
    modules,
  }
}

const weight = (chunks) => chunks.reduce((sum, chunk) => sum + brotliCompressSync(chunk.code).length, 0)

/** The entry, and what it cannot begin without. */
function loadedFirst(chunks) {
  const byName = new Map(chunks.map((chunk) => [chunk.fileName, chunk]))
  const found = new Set()
  const follow = (name) => {
    const chunk = byName.get(name)
    if (!chunk || found.has(name)) return
    found.add(name)
    for (const one of chunk.imports) follow(one)
  }
  for (const chunk of chunks) if (chunk.isEntry) follow(chunk.fileName)
  return found
}

/** The public entries of the packages, each to its file. */
function aliases(from) {
  return readdirSync(join(top, 'packages')).flatMap((folder) => {
    const { name, exports } = JSON.parse(readFileSync(join(top, 'packages', folder, 'package.json'), 'utf8'))
    return Object.entries(exports)
      .filter(([, target]) => typeof target === 'object')
      .map(([path, target]) => ({
        find: new RegExp(`^${name}${path.slice(1)}$`),
        replacement: join(top, 'packages', folder, from === 'dist' ? target.default : target['@s4s/source']),
      }))
  })
}
