import { completenessChart, numberOf, weeksChart } from './charts.js'
import { type Column, escaped, page, type TableRow, table } from './html.js'
import type { QuarantineRow } from './quarantine.js'
import type { Finding } from './refusal.js'
import type { PackageRow, WithdrawalRow } from './rows.js'
import { summaryOf } from './summary.js'

/** The page on which a study team asks for its packages. */
export function signInPage(wrong: boolean): Response {
  return page(
    'Study inbox',
    `<form method="post">
<p><label for="key">Team key</label> <input id="key" name="key" type="password" autocomplete="off" required autofocus></p>
${wrong ? '<p role="alert">That key opens nothing here.</p>' : ''}
<p><button>Show packages</button></p>
</form>`,
    wrong ? 401 : 200,
  )
}

/** What the page of a study is made from; every list newest first. */
export interface Status {
  readonly packages: readonly PackageRow[]
  readonly withdrawals: readonly WithdrawalRow[]
  readonly quarantined: readonly QuarantineRow[]
  readonly at: Date
}

/** What a study's inbox holds: numbers and pictures first, then the lists. */
export function statusPage(study: string, { packages, withdrawals, quarantined, at }: Status): Response {
  const summary = summaryOf(packages)
  const { stored, stopped, deleted } = summary
  const parts = [
    `<p class="soft">${stored} stored, ${stopped + deleted} withdrawn, as of ${timeOf(at.toISOString())}. No health data is shown here.</p>`,
    tilesOf([
      ['Participants', summary.participants.toLocaleString('en')],
      ['Packages kept', (stored + stopped).toLocaleString('en')],
      ['Resources', summary.resources.toLocaleString('en')],
      ['Size', sizeOf(summary.bytes)],
      ['Withdrawals', withdrawals.length.toLocaleString('en')],
      ['Quarantined', quarantined.length.toLocaleString('en')],
    ]),
    '<h2>Packages received, by week</h2>',
    weeksChart(summary.weeks),
    '<h2>Completeness by data class</h2>',
    '<p class="soft">How each participant’s newest package from each provider ended. Sealed packages that this inbox cannot open are not in it.</p>',
    completenessChart('Data class', summary.byClass, 'No package says how complete it is.'),
    '<h2>Completeness by provider</h2>',
    completenessChart('Provider', summary.byProvider, 'No package says how complete it is.'),
    '<h2>Completeness by EHR product</h2>',
    completenessChart('EHR product', summary.byVendor, 'No package says how complete it is.'),
    '<h2>Withdrawals</h2>',
    withdrawalTable(withdrawals),
    '<h2>Quarantine</h2>',
    '<p class="soft">What arrived whole but is no package. The portal was told; nothing here is read as data.</p>',
    quarantineTable(quarantined),
    '<h2>Packages</h2>',
    packageTable(packages),
  ]
  return page(`Inbox of ${study}`, parts.join('\n'))
}

const most = 200

function packageTable(rows: readonly PackageRow[]): string {
  const columns = [
    ...[{ name: 'Participant' }, { name: 'Received', kind: 'time' as const }],
    ...[
      { name: 'Resources', kind: 'number' as const },
      { name: 'Size', kind: 'number' as const },
    ],
    ...[{ name: 'Status' }, { name: 'Completeness' }, { name: 'Package' }],
  ]
  const shown = rows.slice(0, most).map((row) => ({
    className: row.status,
    cells: [
      escaped(row.participant),
      timeOf(row.receivedAt),
      numberOf(row.resources),
      sizeOf(row.bytes),
      row.status === 'stored'
        ? 'stored'
        : `withdrawn ${timeOf(row.withdrawnAt ?? '')}, ${row.deleted ? 'deleted' : 'kept, takes no more'}`,
      escaped(completenessOf(row)),
      digestOf(row.digest),
    ],
  }))
  return table(columns, shown, 'Nothing has arrived yet.') + restOf(rows.length)
}

function withdrawalTable(rows: readonly WithdrawalRow[]): string {
  const columns = [
    ...[{ name: 'Participant' }, { name: 'When', kind: 'time' as const }, { name: 'What' }],
    ...[
      { name: 'Files removed', kind: 'number' as const },
      { name: 'Size', kind: 'number' as const },
    ],
    { name: 'Package' },
  ]
  const shown = rows.slice(0, most).map(({ participant, at, deleted, removed, digest }) => ({
    cells: [
      escaped(participant),
      timeOf(at),
      deleted ? 'deleted' : 'kept, takes no more',
      numberOf(removed.parts),
      deleted ? sizeOf(removed.bytes) : '',
      digestOf(digest),
    ],
  }))
  return foldedTable(columns, shown, 'Nobody has withdrawn.') + restOf(rows.length)
}

const findings: Readonly<Record<Finding, string>> = {
  content: 'a part does not hold what its name and count say',
  manifest: 'the sealed manifest is none',
  seal: 'the seal does not open with the study’s keys',
  'seal-differs': 'the outside of the seal says something else than the inside',
  'consent-altered': 'the consent was changed after it was given',
  'consent-other': 'the consent is of another study, participant or version',
  'consent-not-yet': 'the consent was given in the future',
  'consent-expired': 'the consent has expired',
  'consent-narrow': 'the consent does not cover a data class',
  'consent-used': 'the consent was to share once',
}

function quarantineTable(rows: readonly QuarantineRow[]): string {
  const columns = [
    ...[{ name: 'Participant' }, { name: 'When', kind: 'time' as const }, { name: 'Why' }, { name: 'Where' }],
    ...[
      { name: 'Size', kind: 'number' as const },
      { name: 'Cleared', kind: 'time' as const },
    ],
    { name: 'Package' },
  ]
  const shown = rows.slice(0, most).map((row) => ({
    cells: [
      escaped(row.participant),
      timeOf(row.at),
      findings[row.reason] ?? '',
      escaped(row.part ?? ''),
      sizeOf(row.bytes),
      timeOf(row.expiresAt),
      digestOf(row.digest),
    ],
  }))
  return foldedTable(columns, shown, 'Nothing was set aside.') + restOf(rows.length)
}

// The newest few, and the others behind a line to open.
function foldedTable(columns: readonly Column[], rows: readonly TableRow[], empty: string): string {
  const few = 10
  const older = rows.slice(few)
  if (older.length === 0) return table(columns, rows, empty)
  return `${table(columns, rows.slice(0, few), empty)}
<details><summary>${older.length} older</summary>${table(columns, older, empty)}</details>`
}

const tilesOf = (tiles: readonly (readonly [string, string])[]): string =>
  `<dl class="tiles">${tiles.map(([name, value]) => `<div><dt>${name}</dt><dd>${value}</dd></div>`).join('')}</dl>`

const restOf = (rows: number): string =>
  rows > most
    ? `<p class="soft">The newest ${most} of ${rows.toLocaleString('en')}; the rest is in the lists.</p>`
    : ''

// How often each status stands, not of what: that would say something about a person.
function completenessOf({ completeness }: PackageRow): string {
  const counts = new Map<string, number>()
  for (const { status } of completeness) counts.set(status, (counts.get(status) ?? 0) + 1)
  return [...counts].map(([status, count]) => `${count} ${status}`).join(', ')
}

const digestOf = (digest: string): string => `<code>${escaped(digest.slice(0, 12))}</code>`
const timeOf = (iso: string): string =>
  /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}/.test(iso) ? `${iso.slice(0, 10)} ${iso.slice(11, 16)} UTC` : '–'

function sizeOf(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let [value, unit] = [bytes, 0]
  for (; value >= 1000 && unit < units.length - 1; unit++) value /= 1000
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toPrecision(2)} ${units[unit]}`
}
