/** The day on which the synthetic records end; nothing in them depends on the wall clock. */
export const epoch: number = Date.UTC(2026, 5, 1)

/** Milliseconds of a day. */
export const dayLength = 86_400_000

// The synthetic clinic keeps one offset all year, so that no record depends on a table of time zones.
const offset = -5 * 3_600_000

/** The time of a clinic's clock, such as `at('2024-03-05', '09:30')`. */
export function at(date: string, time = '09:00'): number {
  return Date.parse(`${date}T${time}:00-05:00`)
}

/** `2024-03-05` */
export function dateOf(time: number): string {
  return new Date(time + offset).toISOString().slice(0, 10)
}

/** `2024-03-05T09:30:00-05:00` */
export function dateTimeOf(time: number): string {
  return `${new Date(time + offset).toISOString().slice(0, 19)}-05:00`
}

/** `2024-03-05T14:30:00.000Z` */
export function instantOf(time: number): string {
  return new Date(time).toISOString()
}

/** Age in years at a time. */
export function ageAt(birthDate: string, time: number): number {
  return (time - at(birthDate, '00:00')) / (365.25 * dayLength)
}
