import type { FhirResource } from '@s4s/browser'

/** One resource in a line: what it is, what it says, and when. */
export interface Item {
  readonly title: string
  readonly value?: string
  /** As FHIR writes it: a year, a month, a day or a moment. */
  readonly date?: string
}

/** Describes any resource by what resources have in common. Whatever a server put there, it ends up as text. */
export function describe(resource: FhirResource): Item {
  const fields = resource as unknown as Fields
  const value = valueText(fields)
  const date =
    dates.map((name) => fields[name]).find(isText) ??
    textAt(fields.period, 'start') ??
    textAt(fields.performedPeriod, 'start')
  return {
    title: titleOf(fields) ?? resource.resourceType,
    ...(value === undefined ? {} : { value }),
    ...(date === undefined ? {} : { date }),
  }
}

type Fields = Readonly<Record<string, unknown>>

const titles = ['code', 'medicationCodeableConcept', 'vaccineCode', 'type']
const dates = [
  'effectiveDateTime',
  'onsetDateTime',
  'performedDateTime',
  'occurrenceDateTime',
  'authoredOn',
  'recordedDate',
  'date',
  'issued',
  'birthDate',
]

function titleOf(fields: Fields): string | undefined {
  if (fields.resourceType === 'Patient') return nameOf(fields.name)
  return (
    titles.map((name) => conceptText(fields[name])).find(isText) ??
    textAt(fields.medicationReference, 'display')
  )
}

function valueText(fields: Fields): string | undefined {
  const parts = Array.isArray(fields.component) ? fields.component : []
  if (parts.length > 0) return parts.map(valueText).filter(isText).join(' / ') || undefined
  const { value, unit } = (fields.valueQuantity ?? {}) as Fields
  if (typeof value === 'number') return `${value} ${isText(unit) ? unit : ''}`.trim()
  return (
    conceptText(fields.valueCodeableConcept) ?? (isText(fields.valueString) ? fields.valueString : undefined)
  )
}

function conceptText(concept: unknown): string | undefined {
  const [coding] = listAt(concept, 'coding')
  return textAt(concept, 'text') ?? textAt(coding, 'display') ?? textAt(coding, 'code')
}

function nameOf(names: unknown): string | undefined {
  const [name] = Array.isArray(names) ? names : []
  const full = [...listAt(name, 'given'), textAt(name, 'family')].filter(isText).join(' ')
  return textAt(name, 'text') ?? (full || undefined)
}

/** The day of a FHIR date in words; a year or a month stays as it is. */
export function dayOf(text: string): string {
  const day = text.slice(0, 10)
  const date = new Date(`${day}T12:00:00Z`)
  return day.length === 10 && !Number.isNaN(date.getTime())
    ? date.toLocaleDateString('en-US', { dateStyle: 'medium', timeZone: 'UTC' })
    : day
}

const isText = (value: unknown): value is string => typeof value === 'string' && value !== ''

function textAt(value: unknown, name: string): string | undefined {
  const found = (value as Fields | null | undefined)?.[name]
  return isText(found) ? found : undefined
}

function listAt(value: unknown, name: string): unknown[] {
  const found = (value as Fields | null | undefined)?.[name]
  return Array.isArray(found) ? found : []
}
