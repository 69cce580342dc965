// Writes docs/conformance.md from the requirements and the titles of the tests. `--check` only compares, and fails for
// a page that is stale, a row without a test and an id in a title that is no row; `--missing` lists what has no test.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { page } from './conformance/page.mjs'
import { proofsIn } from './conformance/proofs.mjs'
import { requirements, threats } from './conformance/rows.mjs'
import { top } from './documents.mjs'

const [wanted, withstood] = [requirements(), threats()]
const rows = [...wanted, ...withstood].flatMap((chapter) => chapter.rows)
const known = new Set(rows.map(({ id }) => id))
const carried = proofsIn(top)
const proofs = new Map()
for (const proof of carried)
  if (!proof.ofSandbox) proofs.set(proof.id, [...(proofs.get(proof.id) ?? []), proof])
const missing = rows.filter(({ id }) => !proofs.has(id))
// T and F go on beyond these lists, to what lies outside of connecting.
const strangers = carried.filter(({ id }) => !known.has(id) && !/^[TF]\d/.test(id))

if (process.argv.includes('--missing')) {
  for (const { id, text } of missing) process.stdout.write(`${id} ${text}\n`)
} else {
  const path = join(top, 'docs/conformance.md')
  const check = process.argv.includes('--check')
  const text = page(wanted, withstood, proofs)
  const stale = !existsSync(path) || readFileSync(path, 'utf8') !== text
  if (!check && stale) writeFileSync(path, text)
  const faults = [
    ...missing.map(({ id, text }) => `${id} has no test: ${text}`),
    ...strangers.map(({ id, file }) => `${id}, which a title names, is no requirement: ${file}`),
    ...(check && stale
      ? ['docs/conformance.md is not what the tests say; npm run conformance writes it']
      : []),
  ]
  for (const fault of faults) process.stderr.write(`${fault}\n`)
  process.stdout.write(`conformance: ${rows.length} rows, ${missing.length} without a test\n`)
  process.exitCode = faults.length > 0 ? 1 : 0
}
