import { escaped, table } from './html.js'
import type { Summary, Tally } from './summary.js'

/** How a data class ended, best first, in the words of the page. */
const endings = [
  ['received', 'received'],
  ['none', 'none there'],
  ['truncated', 'in part'],
  ['not-granted', 'not granted'],
  ['refused', 'refused'],
  ['not-supported', 'not offered'],
  ['failed', 'failed'],
  ['other', 'other'],
] as const

/** Stacked bars, one a row, in a table that says the same in numbers. */
export function completenessChart(first: string, tallies: readonly Tally[], empty: string): string {
  const shown = tallies.map((tally) => ({ ...tally, counts: countsOf(tally) }))
  const used = endings.filter(([status]) => shown.some(({ counts }) => (counts[status] ?? 0) > 0))
  const columns = [
    { name: first, kind: 'name' as const },
    { name: 'Share', kind: 'bar' as const },
    ...used.map(([status, words]) => ({
      name: `<svg class="key" viewBox="0 0 1 1" aria-hidden="true"><rect class="${status}" width="1" height="1"/></svg>${words}`,
      kind: 'number' as const,
    })),
  ]
  const rows = shown.map(({ name, counts, total }) => {
    const numbers = used.map(([status]) => numberOf(counts[status] ?? 0))
    return { cells: [escaped(name), barOf(name, counts, total), ...numbers] }
  })
  return table(columns, rows, empty)
}

// A manifest may hold words that nobody knows.
function countsOf({ counts }: Tally): Record<string, number> {
  const known = new Set<string>(endings.map(([status]) => status))
  const found: Record<string, number> = {}
  for (const [status, count] of Object.entries(counts)) {
    const name = known.has(status) ? status : 'other'
    found[name] = (found[name] ?? 0) + count
  }
  return found
}

function barOf(name: string, counts: Readonly<Record<string, number>>, total: number): string {
  const said = endings
    .filter(([status]) => (counts[status] ?? 0) > 0)
    .map(([status, words]) => `${counts[status]} ${words}`)
    .join(', ')
  let from = 0
  const pieces = endings.map(([status, words]) => {
    const width = (100 * (counts[status] ?? 0)) / total
    if (width === 0) return ''
    const piece = `<rect class="${status}" x="${from.toFixed(2)}" width="${width.toFixed(2)}" height="12"><title>${counts[status]} ${words}</title></rect>`
    from += width
    return piece
  })
  const label = escaped(`${name}: ${said}`)
  return `<svg role="img" aria-label="${label}" viewBox="0 0 100 12" preserveAspectRatio="none">${pieces.join('')}</svg>`
}

const [width, height, left, bottom] = [960, 180, 40, 30]

/** Columns, one a week, and behind a line to open the same as a table. */
export function weeksChart(weeks: Summary['weeks']): string {
  if (weeks.length === 0) return '<p class="soft">Nothing has arrived yet.</p>'
  const most = weeks.reduce((top, { packages }) => Math.max(top, packages), 1)
  const [each, floor] = [Math.min(48, (width - left) / weeks.length), height - bottom]
  // As many dates as have room.
  const step = Math.ceil(80 / each)
  const columns = weeks.map(({ monday, packages }, at) => {
    const tall = ((floor - 20) * packages) / most
    const x = left + at * each
    const column = `<rect class="column" x="${(x + each * 0.12).toFixed(1)}" y="${(floor - tall).toFixed(1)}" width="${(each * 0.76).toFixed(1)}" height="${tall.toFixed(1)}"><title>${packages} in the week of ${monday}</title></rect>`
    const date =
      at % step === 0 ? `<text x="${(x + each * 0.12).toFixed(1)}" y="${height - 10}">${monday}</text>` : ''
    return column + date
  })
  const scale = [0, most].map((value) => {
    const y = floor - ((floor - 20) * value) / most
    return `<line x1="${left}" x2="${width}" y1="${y}" y2="${y}"/><text x="${left - 8}" y="${y + 4}" text-anchor="end">${value}</text>`
  })
  const all = weeks.reduce((sum, { packages }) => sum + packages, 0)
  const label = `${all} packages in ${weeks.length === 1 ? 'one week' : `${weeks.length} weeks`}, at most ${most} in one`
  const rows = weeks.map(({ monday, packages }) => ({ cells: [monday, numberOf(packages)] }))
  const same = table([{ name: 'Week of' }, { name: 'Packages', kind: 'number' }], rows, '')
  return `<div class="wide"><svg class="chart" role="img" aria-label="${label}" viewBox="0 0 ${width} ${height}">${scale.join('')}${columns.join('')}</svg></div>
<details><summary>As a table</summary>${same}</details>`
}

/** A number in a cell; a nought is not what the eye should rest on. */
export const numberOf = (value: number): string =>
  value === 0 ? '<span class="zero">0</span>' : value.toLocaleString('en')
