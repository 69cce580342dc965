import type { ResourceType } from '../fhir/types.js'

/** A search by date that holds a part of another. */
export type Part = Readonly<Record<string, string | readonly string[]>>

// The parameter by which US Core has a server search each type beside the patient, or recommends it.
const dates: Partial<Record<ResourceType, string>> = {
  Observation: 'date',
  DiagnosticReport: 'date',
  DocumentReference: 'date',
  Encounter: 'date',
  Procedure: 'date',
  Immunization: 'date',
  Condition: 'recorded-date',
  MedicationRequest: 'authoredon',
  ServiceRequest: 'authored',
}

/** The parameter that a long search of a type can be divided by. */
export function dividedBy(type: ResourceType): string | undefined {
  return dates[type]
}

interface Range {
  /** Milliseconds; infinite at the ends. */
  readonly from: number
  readonly to: number
  readonly count: number
}

const year = 365.25 * 86_400_000
const firstYears = [40, 20, 10, 5, 3, 2, 1, 0.5]
const levels = 5
const slices = 6
/** Counting more often than this costs more than it gains. */
const mostCounts = 150

/**
 * Divides a search of `total` results into parts by date, of about `total / wanted` each, by asking the server how many
 * there are. Undefined when the parts would not hold them all.
 */
export async function divided(
  name: string,
  total: number,
  wanted: number,
  now: number,
  count: (part: Part) => Promise<number | undefined>,
): Promise<Part[] | undefined> {
  let asked = 0
  const counted = async (edges: readonly number[]): Promise<Range[]> =>
    Promise.all(
      edges.slice(1).map(async (to, index) => {
        const from = edges[index] as number
        if (++asked > mostCounts) return { from, to, count: Number.NaN }
        return { from, to, count: (await count(partOf(name, from, to))) ?? Number.NaN }
      }),
    )
  const none = { [`${name}:missing`]: 'true' }
  const [undated, first] = await Promise.all([
    count(none),
    counted([
      Number.NEGATIVE_INFINITY,
      ...firstYears.map((years) => now - years * year),
      now,
      Number.POSITIVE_INFINITY,
    ]),
  ])
  if (undated === undefined) return undefined
  const target = Math.max(1, Math.ceil(total / wanted))
  let ranges = first
  for (let level = 0; level < levels; level++) {
    if (!addsUp(ranges, total)) return undefined
    if (!ranges.some((range) => canBeCut(range, target))) break
    ranges = (
      await Promise.all(ranges.map((range) => (canBeCut(range, target) ? counted(cut(range)) : [range])))
    ).flat()
  }
  if (!addsUp(ranges, total) || sumOf(ranges) + undated < total) return undefined
  const parts = merged(ranges, target).map(({ from, to }) => partOf(name, from, to))
  return undated > 0 ? [...parts, none] : parts
}

const sumOf = (ranges: readonly Range[]): number => ranges.reduce((sum, { count }) => sum + count, 0)

// What lasts over an edge is counted on both sides of it, but hardly everything is.
const addsUp = (ranges: readonly Range[], total: number): boolean => sumOf(ranges) <= total * 1.5

const canBeCut = ({ from, to, count }: Range, target: number): boolean =>
  count > target * 1.5 && Number.isFinite(from) && Number.isFinite(to) && to - from > 2 * 86_400_000

function cut({ from, to }: Range): number[] {
  return Array.from({ length: slices + 1 }, (_, at) => Math.round(from + ((to - from) * at) / slices))
}

// Neighbours that are small together are one part; what is empty is no part at all.
function merged(ranges: readonly Range[], target: number): Range[] {
  const parts: Range[] = []
  for (const range of ranges) {
    const last = parts.at(-1)
    if (last && (range.count === 0 || last.count === 0 || last.count + range.count <= target * 1.25))
      parts[parts.length - 1] = { from: last.from, to: range.to, count: last.count + range.count }
    else parts.push(range)
  }
  return parts.filter(({ count }) => count > 0)
}

function partOf(name: string, from: number, to: number): Part {
  const written = (time: number): string => `${new Date(time).toISOString().slice(0, 19)}Z`
  return {
    [name]: [
      ...(Number.isFinite(from) ? [`ge${written(from)}`] : []),
      ...(Number.isFinite(to) ? [`lt${written(to)}`] : []),
    ],
  }
}
