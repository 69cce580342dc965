import type { PackageRow } from './rows.js'

/** How many rows of completeness ended in each way, under one name. */
export interface Tally {
  readonly name: string
  readonly counts: Readonly<Record<string, number>>
  readonly total: number
}

/** What a study holds, in numbers. */
export interface Summary {
  readonly participants: number
  readonly stored: number
  /** Kept, while the participant wants no more to be taken. */
  readonly stopped: number
  readonly deleted: number
  /** Of what is kept. */
  readonly resources: number
  readonly bytes: number
  /** Of each participant's newest package of each provider. */
  readonly byClass: readonly Tally[]
  readonly byProvider: readonly Tally[]
  /** By the EHR product that the providers run; `not known` where nobody said. */
  readonly byVendor: readonly Tally[]
  /** Packages received in each week from the first to the last, by its Monday, with those that were withdrawn later. */
  readonly weeks: readonly { readonly monday: string; readonly packages: number }[]
}

/** @param rows newest first */
export function summaryOf(rows: readonly PackageRow[]): Summary {
  const held = rows.filter(({ deleted }) => deleted !== true)
  const stopped = held.filter(({ status }) => status === 'withdrawn').length
  const latest = latestOf(held)
  return {
    participants: new Set(held.map(({ participant }) => participant)).size,
    stored: held.length - stopped,
    stopped,
    deleted: rows.length - held.length,
    resources: held.reduce((sum, row) => sum + row.resources, 0),
    bytes: held.reduce((sum, row) => sum + row.bytes, 0),
    byClass: talliesOf(latest, ({ dataClass }) => dataClass),
    byProvider: talliesOf(latest, ({ provider }) => provider),
    byVendor: talliesOf(latest, ({ vendor }) => vendor ?? 'not known'),
    weeks: weeksOf(rows),
  }
}

type Row = PackageRow['completeness'][number]

// A participant who shares every month is not twelve participants.
function latestOf(rows: readonly PackageRow[]): Row[] {
  const seen = new Set<string>()
  const found: Row[] = []
  for (const { participant, completeness } of rows) {
    const name = ({ provider }: Row): string => JSON.stringify([participant, provider])
    found.push(...completeness.filter((row) => !seen.has(name(row))))
    for (const row of completeness) seen.add(name(row))
  }
  return found
}

function talliesOf(rows: readonly Row[], nameOf: (row: Row) => string): Tally[] {
  const tallies = new Map<string, Map<string, number>>()
  for (const row of rows) {
    const counts = tallies.get(nameOf(row)) ?? new Map<string, number>()
    counts.set(row.status, (counts.get(row.status) ?? 0) + 1)
    tallies.set(nameOf(row), counts)
  }
  return [...tallies]
    .map(([name, counts]) => ({
      name,
      counts: Object.fromEntries(counts),
      total: [...counts.values()].reduce((sum, count) => sum + count, 0),
    }))
    .sort((a, b) => b.total - a.total || (a.name < b.name ? -1 : 1))
}

const week = 7 * 24 * 3_600_000
const mostWeeks = 52

function weeksOf(rows: readonly PackageRow[]): Summary['weeks'] {
  const mondays = rows.map(({ receivedAt }) => mondayOf(receivedAt)).filter((at) => !Number.isNaN(at))
  if (mondays.length === 0) return []
  const last = mondays.reduce((a, b) => Math.max(a, b))
  const first = mondays.reduce((a, b) => Math.min(a, b))
  const weeks: { monday: string; packages: number }[] = []
  for (let at = Math.max(first, last - (mostWeeks - 1) * week); at <= last; at += week)
    weeks.push({
      monday: new Date(at).toISOString().slice(0, 10),
      packages: mondays.filter((one) => one === at).length,
    })
  return weeks
}

// The epoch began on a Thursday.
const firstMonday = 4 * 24 * 3_600_000
const mondayOf = (iso: string): number =>
  Math.floor((Date.parse(iso) - firstMonday) / week) * week + firstMonday
