// Type-checks every `ts` block of every page against the sources, as strictly as the sources themselves, and
// holds blocks that are `from=` an example against that example. `--write` copies the examples into the pages.
//
//   ```ts                                          a module of its own
//   ```ts file=study.ts                            one that later blocks of the page import as './study.js'
//   ```ts from=examples/node-express/server.ts#readme     a region of an example, word for word
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import ts from 'typescript'
import { blocksOf, documents, regionOf, top } from './documents.mjs'

const folder = join(top, '.snippets')
const write = process.argv.includes('--write')
const faults = []
/** Path of the module to its text and to where it stands. */
const modules = new Map()
let blocks = 0

for (const path of documents()) readDocument(path)
checkTypes()

for (const fault of faults) process.stderr.write(`${fault}\n`)
process.stdout.write(`snippets: ${blocks} blocks, ${faults.length} faults\n`)
process.exitCode = faults.length === 0 ? 0 : 1

function readDocument(path) {
  let text = readFileSync(join(top, path), 'utf8')
  // From the last to the first, so that a block that grows moves none that is still to come.
  for (const block of blocksOf(text).reverse()) {
    const { language, attributes, line, code } = block
    const fault = (sentence) => faults.push(`${path}:${line} ${sentence}`)
    if (['js', 'jsx', 'mjs', 'javascript', 'typescript'].includes(language))
      fault('write ts (or text, if it is no code)')
    if (language !== 'ts' && language !== 'tsx') continue
    blocks += 1
    const { file, from, ...others } = attributes
    const unknown = Object.keys(others)
    if (unknown.length > 0)
      fault(`${unknown.join(', ')}: a block is checked, and only file= and from= are known`)
    if (/@ts-(ignore|nocheck|expect-error)/.test(code))
      fault('a block is checked as it stands, without @ts- comments')
    if (from !== undefined) text = compare({ ...block, from, text, fault })
    else addModule(path, file, block, fault)
  }
  if (write && text !== readFileSync(join(top, path), 'utf8')) writeFileSync(join(top, path), text)
}

function compare({ from, code, line, text, fault }) {
  let wanted
  try {
    wanted = regionOf(from)
  } catch (error) {
    fault(error.message)
    return text
  }
  if (wanted === code) return text
  if (!write) {
    fault(`differs from ${from}; npm run snippets -- --write copies it`)
    return text
  }
  const lines = text.split('\n')
  lines.splice(line - 1, code.split('\n').length - 1, ...wanted.split('\n').slice(0, -1))
  return lines.join('\n')
}

function addModule(path, file, { line, code, language }, fault) {
  const name = file ?? `line-${line}.${language}`
  const module = join(folder, path.replace(/[^\w-]+/g, '_'), name)
  if (modules.has(module)) fault(`a second ${name} on this page`)
  modules.set(module, { code, path, line })
}

function checkTypes() {
  const { config } = ts.readConfigFile(join(top, 'tsconfig.json'), ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, top)
  const host = ts.createCompilerHost({ ...options, moduleDetection: ts.ModuleDetectionKind.Force })
  const { fileExists, readFile, directoryExists, getSourceFile } = host
  const folders = new Set([folder, ...[...modules.keys()].map(dirname)])
  host.fileExists = (path) => modules.has(path) || fileExists(path)
  host.readFile = (path) => modules.get(path)?.code ?? readFile(path)
  host.directoryExists = (path) => folders.has(path) || directoryExists(path)
  host.getSourceFile = (path, language) => {
    const module = modules.get(path)
    return module ? ts.createSourceFile(path, module.code, language, true) : getSourceFile(path, language)
  }
  host.resolveModuleNameLiterals = (literals, containing, _redirected, compilerOptions) =>
    literals.map(({ text }) => resolve(text, containing, compilerOptions, host))

  const checked = { ...options, moduleDetection: ts.ModuleDetectionKind.Force, noUnusedLocals: false }
  const program = ts.createProgram([...modules.keys()], checked, host)
  for (const [path, { path: page, line }] of modules) {
    const source = program.getSourceFile(path)
    for (const { messageText, start = 0 } of [
      ...program.getSyntacticDiagnostics(source),
      ...program.getSemanticDiagnostics(source),
    ]) {
      const at = line + source.getLineAndCharacterOfPosition(start).line
      faults.push(`${page}:${at} ${ts.flattenDiagnosticMessageText(messageText, ' ')}`)
    }
  }
}

/** A snippet may import what any package or example depends on. */
function resolve(name, containing, options, host) {
  const tried = containing.startsWith(folder) && !name.startsWith('.') ? importers() : [containing]
  for (const from of tried) {
    const found = ts.resolveModuleName(name, from, options, host)
    if (found.resolvedModule) return found
  }
  return { resolvedModule: undefined }
}

function importers() {
  const inside = (parent) =>
    readdirSync(join(top, parent)).map((name) => join(top, parent, name, 'snippet.ts'))
  return [join(top, 'snippet.ts'), ...inside('examples'), ...inside('packages')].filter((path) =>
    existsSync(dirname(path)),
  )
}
