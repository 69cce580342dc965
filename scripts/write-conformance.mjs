// Writes docs/conformance.md from the requirements and the titles of the tests. `--check` only compares, and fails for
// a requirement without a test and for a title that names none; `--missing` lists what has no test.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { requirements, sources, threats } from './conformance/rows.mjs'
import { testsIn } from './conformance/titles.mjs'
import { top } from './documents.mjs'

const proofs = new Map()
const files = ['packages', 'examples', 'scripts'].flatMap((folder) => testFiles(join(top, folder)))
for (const file of files.sort()) {
  const text = readFileSync(file, 'utf8')
  for (const { title, ids } of testsIn(text))
    for (const id of ids) {
      const all = proofs.get(id) ?? []
      all.push({ title, file: relative(top, file), against: against(file, text) })
      proofs.set(id, all)
    }
}

const rows = [...requirements(), ...threats()].flatMap((chapter) => chapter.rows)
const known = new Set(rows.map(({ id }) => id))
const missing = rows.filter(({ id }) => !proofs.has(id))
// Later issues of the lists that the ids come from have more rows than these two chapters.
const strangers = [...proofs.keys()].filter((id) => !known.has(id) && /^[A-Z]-|^KF-/.test(id))

if (process.argv.includes('--missing')) {
  for (const { id, text } of missing) process.stdout.write(`${id} ${text}\n`)
} else {
  const path = join(top, 'docs/conformance.md')
  const page = write()
  const check = process.argv.includes('--check')
  const stale = page !== read(path)
  if (!check && stale) writeFileSync(path, page)
  const faults = [
    ...missing.map(({ id }) => `${id} has no test`),
    ...strangers.map((id) => `${id}, which a title names, is no requirement: ${proofs.get(id)[0].file}`),
    ...(check && stale
      ? ['docs/conformance.md is not what the tests say; npm run conformance writes it']
      : []),
  ]
  for (const fault of faults) process.stderr.write(`${fault}\n`)
  process.stdout.write(`conformance: ${rows.length} rows, ${missing.length} without a test\n`)
  process.exitCode = faults.length > 0 ? 1 : 0
}

function testFiles(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return ['node_modules', 'dist'].includes(entry.name) ? [] : testFiles(path)
    return /\.(test|chromium)\.(tsx?|mjs)$/.test(entry.name) ? [path] : []
  })
}

/** What a file's tests run against, as it can be told from what it imports. */
function against(file, text) {
  if (file.endsWith('.chromium.ts')) return 'Chromium and the sandbox'
  const found = []
  if (/@s4s\/sandbox|startSandbox|\.\/town\.js/.test(text)) found.push('the sandbox (oidc-provider)')
  if (/test-support\/(ehr|server)|from 'node:(http|https|net)'|startEhr/.test(text))
    found.push('a server made for it')
  if (text.includes("'fast-check'")) found.push('random input')
  if (/node:child_process/.test(text)) found.push('processes')
  return found.length > 0 ? found.join(', ') : 'the functions themselves'
}

function write() {
  const wanted = requirements()
  const count = wanted.flatMap((chapter) => chapter.rows).length
  return `${[
    '# Conformance',
    '<!-- Written by scripts/write-conformance.mjs from the titles of the tests; change those. -->',
    `What SMART App Launch 2.2 and the RFCs it builds on ask of a client, row by row, and the test that shows it. The ids
stand in the titles of the tests, so \`npx vitest run -t A-08\` runs the proof of one. A row without a test fails the
build. "Against" says what a test ran against: most go over real sockets, to the sandbox (whose authorization server is
oidc-provider) or to a server that misbehaves in just the way that is asked about; some run in Chromium.`,
    `${count} requirements (the chapter on brands is not among them), ${rows.length - count} threats and faults, ${
      new Set([...proofs.values()].flat().map(({ file, title }) => file + title)).size
    } tests.`,
    '## Requirements',
    ...wanted.flatMap(({ title, rows: lines }) => [
      `### ${title}`,
      table(
        ['id', 'verb', 'what this client does', 'proved by', 'against', 'source'],
        lines.map(({ id, verb, text, source }) => [
          id,
          verb,
          text,
          ...proofOf(id),
          `[${sources[source][0]}](${sources[source][1]})`,
        ]),
      ),
    ]),
    '## Threats and faults',
    ...threats().flatMap(({ title, rows: lines }) => [
      `### ${title}`,
      table(
        ['id', 'what it withstands', 'proved by', 'against'],
        lines.map(({ id, text }) => [id, text, ...proofOf(id)]),
      ),
    ]),
  ].join('\n\n')}\n`
}

function proofOf(id) {
  const all = proofs.get(id) ?? []
  const shown = all.slice(0, 2).map(({ title, file }) => `[${plain(title)}](../${file})`)
  if (all.length > 2) shown.push(`and ${all.length - 2} more`)
  return [
    shown.join('; ') || 'nothing yet',
    [...new Set(all.map((one) => one.against))].slice(0, 2).join('; '),
  ]
}

// A title without its ids, as text in a cell of a table.
function plain(title) {
  const words = title.replace(/^((?:[A-Z]-\d\d|KF-\d\d|[TF]\d{1,2})( to | )?)+/, '').trim() || title
  return words.replace(/[|\\[\]<>*_`]/g, (one) => `&#${one.charCodeAt(0)};`)
}

function table(head, lines) {
  const line = (cells) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...lines.map(line)].join('\n')
}

function read(path) {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
