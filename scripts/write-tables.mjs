// Writes docs/errors.md, docs/plans.md, docs/vendors.md and the second half of docs/tables.md from the tables in the
// sources of core; `--check` only says whether they are as they should be. Run it through tsx: `npm run tables`.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { errorTable } from '../packages/core/src/error-table.ts'
import * as plans from '../packages/core/src/plans/index.ts'
import { tables as flatTables } from '../packages/core/src/tables/index.ts'
import * as vendors from '../packages/core/src/vendors/index.ts'
import { top } from './documents.mjs'

const check = process.argv.includes('--check')
const pages = {
  'errors.md': errorsPage(),
  'plans.md': plansPage(),
  'vendors.md': vendorsPage(),
  'tables.md': tablesPage(),
}
const stale = Object.entries(pages).filter(([name, text]) => text !== read(join(top, 'docs', name)))

for (const [name, text] of stale) {
  if (check) process.stderr.write(`docs/${name} is not what the tables say; npm run tables writes it\n`)
  else writeFileSync(join(top, 'docs', name), text)
}
process.stdout.write(
  `tables: ${Object.keys(pages).length} pages, ${stale.length} ${check ? 'stale' : 'written'}\n`,
)
process.exitCode = check && stale.length > 0 ? 1 : 0

function errorsPage() {
  const remedies = {
    retry: 'The same call may work later. Nothing was lost.',
    reconnect: 'The participant signs in at the provider again.',
    'ask-participant': 'The participant has to decide something.',
    configure: 'You, the app developer or operator, change a setting.',
    'contact-provider': 'The provider, the EHR or the study has to mend something.',
  }
  const steps = {
    CONFIG: 'Configuration',
    DISCOVERY: 'Connect: finding the provider’s endpoints',
    LAUNCH: 'Connect: a launch by the EHR',
    AUTHORIZATION: 'Connect: the participant’s answer',
    TOKEN: 'Connect: access, and its refresh',
    FHIR: 'Collect: reading the record',
    SHARE: 'Share and withdraw',
  }
  const codes = Object.entries(errorTable)
  const nowhere = codes.find(([code]) => !Object.hasOwn(steps, code.split('_')[0]))
  if (nowhere) throw new Error(`${nowhere[0]} belongs to no step of docs/errors.md`)
  return page(
    'Errors',
    'packages/core/src/error-table.ts',
    `Every error is a \`SmartError\` with a \`code\` from this table and the \`remedy\` that goes with it. Reading these two is
enough to act; \`isSmartError\` tells them from other errors. No field of one holds a token, a query string, a body or
health data.`,
    table(
      ['remedy', 'who acts, and how'],
      Object.entries(remedies).map(([remedy, means]) => [`\`${remedy}\``, means]),
    ),
    ...Object.entries(steps).flatMap(([prefix, title]) => [
      `## ${title}`,
      table(
        ['code', 'remedy', 'what it means'],
        codes
          .filter(([code]) => code.startsWith(`${prefix}_`))
          .map(([code, { remedy, means }]) => [`\`${code}\``, `\`${remedy}\``, means]),
      ),
    ]),
  )
}

function plansPage() {
  const all = Object.entries(plans).filter(
    ([, plan]) => typeof plan === 'object' && Array.isArray(plan.classes),
  )
  return page(
    'Plans',
    'packages/core/src/plans',
    `A plan says what a record is. Each row is a class of data: what is asked of the provider, in which scopes, how it is
named to the participant, and what a consent may cover.`,
    ...all.flatMap(([name, { id, title, classes }]) => [
      `## ${title}`,
      `\`${name}\`, id \`${id}\`: ${classes.length} data classes.`,
      table(
        ['data class', 'what the participant reads', 'searches', 'along with it'],
        classes.map((row) => [
          `[${row.name}](${row.spec})`,
          row.says,
          searchesOf(row),
          [...(row.includes ?? []), ...(row.attachments ? ['the files'] : [])].join(', '),
        ]),
      ),
    ]),
  )
}

function searchesOf({ type, searches, more = [], operations = [] }) {
  if (searches.length === 0) return `\`${type}\` by its id`
  const queries = [...searches, ...more].map((search) => {
    const query = Object.entries(search).map(
      ([key, value]) => `${key}=${[value].flat().map(shorten).join(',')}`,
    )
    return `\`${[type, ...query].join(' ')}\``
  })
  return [...queries, ...operations.map((name) => `\`${type}/${name}\``)].join('<br>')
}

/** `http://loinc.org|72166-2` is long in a table; the part after the bar says it. */
function shorten(token) {
  return String(token).replace(/https?:\/\/[^|,\s]*\|/g, '')
}

function vendorsPage() {
  const rows = vendors.vendors
  return page(
    'Vendors',
    'packages/core/src/vendors',
    `What an app has to know about single EHR products. A client that is given \`vendors\` of \`@s4s/core/vendors\` recognises each
provider’s product by its FHIR base, or by what its CapabilityStatement says when a launch begins; a provider may also name
its \`vendor\`. One that is not recognised is treated by the standard.`,
    table(
      ['EHR', 'trait', 'value', 'why', 'seen'],
      rows.flatMap((vendor) =>
        Object.entries(vendor)
          .filter(([, trait]) => typeof trait === 'object')
          .map(([name, { value, why, source, seen }]) => [
            vendor.name,
            `\`${name}\``,
            `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``,
            why,
            `[${seen}](${source})`,
          ]),
      ),
    ),
  )
}

/** What stands before the mark is written by hand. */
function tablesPage() {
  const mark = '<!-- Written by scripts/write-tables.mjs from packages/core/src/tables. -->'
  const [byHand, ...others] = (read(join(top, 'docs', 'tables.md')) ?? '').split(mark)
  if (others.length !== 1) throw new Error(`docs/tables.md has not one line ${mark}`)
  const parts = [
    mark,
    table(
      ['table', 'a row is', 'made of'],
      flatTables.map(({ name, says, types }) => [
        `[\`${name}\`](#${name})`,
        says,
        types.map((type) => `\`${type}\``).join(', '),
      ]),
    ),
    ...flatTables.flatMap(({ name, says, columns }) => [
      `## ${name}`,
      `${says}.`,
      table(
        ['column', 'type', 'what it means', 'read from'],
        columns.map((one) => [`\`${one.name}\``, one.type, one.says, pathsOf(one.from)]),
      ),
    ]),
  ]
  return `${byHand}${parts.join('\n\n')}\n`
}

/** Paths are code, and of several the first that is there counts; what is said in words is not. */
function pathsOf(from) {
  const paths = from.split(' | ')
  return paths.every((path) => /^[\w.()[\]-]+$/.test(path))
    ? paths.map((path) => `\`${path}\``).join(' or ')
    : from
}

function page(title, source, ...parts) {
  return `${[`# ${title}`, `<!-- Written by scripts/write-tables.mjs from ${source}. -->`, ...parts].join('\n\n')}\n`
}

function table(heads, rows) {
  const line = (cells) => `| ${cells.map((cell) => String(cell).replaceAll('|', '\\|')).join(' | ')} |`
  return [line(heads), `|${heads.map(() => '---|').join('')}`, ...rows.map(line)].join('\n')
}

function read(path) {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
