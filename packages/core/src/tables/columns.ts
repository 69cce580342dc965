import { digitsOf } from './parse.js'
import {
  allAt,
  booleanOf,
  codingsOf,
  codingsText,
  dateOf,
  doubleOf,
  firstAt,
  integerOf,
  joined,
  oneAt,
  preferred,
  referenceOf,
  textOf,
} from './read.js'
import type { Cell, ColumnOf, ColumnType, LineSource, ResourceSubject } from './table.js'

// The columns that tables are put together from. A path such as `period.start` is read from what the row is about; of
// paths separated by ` | ` the first that is there counts.

type ColumnOfResource = ColumnOf<ResourceSubject>
type Find = (subject: ResourceSubject) => unknown

function partAt(paths: string): Find {
  const find = oneAt(paths)
  return ({ part }) => find(part)
}

/** Finds once what several columns of a row show, and forgets it with the row. */
export function once<Subject extends object, Found>(
  find: (subject: Subject) => Found,
): (subject: Subject) => Found {
  const known = new WeakMap<Subject, { readonly found: Found }>()
  return (subject) => {
    let kept = known.get(subject)
    if (kept === undefined) {
      kept = { found: find(subject) }
      known.set(subject, kept)
    }
    return kept.found
  }
}

function column(type: ColumnType, read: (value: unknown) => Cell) {
  return (name: string, from: string, says: string, find: Find = partAt(from)): ColumnOfResource =>
    Object.freeze({ name, type, says, from, read: (subject: ResourceSubject) => read(find(subject)) })
}

/** A column of its own making: `from` says in words where its cell comes from. */
export function made(
  name: string,
  type: ColumnType,
  from: string,
  says: string,
  read: (subject: ResourceSubject) => Cell,
): ColumnOfResource {
  return Object.freeze({ name, type, says, from, read })
}

type Maker = (name: string, from: string, says: string, find?: Find) => ColumnOfResource

export const text: Maker = column('string', textOf)
export const truth: Maker = column('boolean', booleanOf)
export const whole: Maker = column('integer', integerOf)
/** What it points to, as it was written; or what it is said to be where it points to nothing. */
export const reference: Maker = column(
  'string',
  (value) => referenceOf(value) ?? textOf(firstAt(value, 'display')),
)
/** An instant, which is precise by itself. */
export const instant: Maker = column('timestamp', (value) => dateOf(value)?.time ?? null)
/** The code of the first coding; or the text, where nothing is coded. */
export const code: Maker = column(
  'string',
  (value) => preferred(codingsOf(value), [])?.code ?? textOf(firstAt(value, 'text')),
)

/** The codes of everything at a path, in one cell. */
export function codes(
  name: string,
  from: string,
  says: string,
  within: Find = ({ part }) => part,
): ColumnOfResource {
  return made(name, 'string', from, `${says}; several are separated by “; ”`, (subject) =>
    joined(codingsOf(allAt(within(subject), from)).map((coding) => coding.code)),
  )
}

/** Texts of everything at a path, in one cell. */
export function texts(name: string, from: string, says: string): ColumnOfResource {
  return made(name, 'string', from, `${says}; several are separated by “; ”`, ({ part }) =>
    joined(allAt(part, from).map(textOf)),
  )
}

/** How many there are at a path. */
export function countOf(name: string, from: string, says: string): ColumnOfResource {
  return made(name, 'integer', from, says, ({ part }) => allAt(part, from).length)
}

/** A code in five columns: the coding that is shown, the text, and every coding. */
export function concept(
  name: string,
  from: string,
  says: string,
  systems: readonly (readonly [url: string, title: string])[] = [],
  find: Find = partAt(from),
): ColumnOfResource[] {
  const urls = systems.map(([url]) => url)
  const which =
    systems.length === 0
      ? 'the first coding'
      : `the first coding of ${systems.map(([, title]) => title).join(', else of ')}, else the first coding`
  const read = once((subject: ResourceSubject) => {
    const value = find(subject)
    const codings = codingsOf(value)
    return { codings, shown: preferred(codings, urls), text: textOf(firstAt(value, 'text')) }
  })
  return [
    made(
      `${name}_system`,
      'string',
      from,
      `The code system of \`${name}\``,
      (s) => read(s).shown?.system ?? null,
    ),
    made(name, 'string', from, `${says}: ${which}`, (s) => read(s).shown?.code ?? null),
    made(
      `${name}_display`,
      'string',
      from,
      `What the record calls \`${name}\``,
      (s) => read(s).shown?.display ?? null,
    ),
    made(`${name}_text`, 'string', from, `${says}, in the words of whoever wrote it`, (s) => read(s).text),
    made(`${name}_codings`, 'string', from, `Every coding as \`system|code\`, separated by “; ”`, (s) =>
      codingsText(read(s).codings),
    ),
  ]
}

/** A date in three columns, or in four where it may have a time: as written, its day, how precise it is, and its time. */
export function dates(
  name: string,
  from: string,
  says: string,
  most: 'day' | 'time' = 'time',
  find: Find = partAt(from),
): ColumnOfResource[] {
  const read = once((subject: ResourceSubject) => dateOf(find(subject)))
  const columns = [
    made(name, 'string', from, `${says}, as it was written: a year, a month, a day or a time`, (s) =>
      textOf(find(s)),
    ),
    made(
      `${name}_date`,
      'date',
      from,
      `Its day, where it was written; null when no day is given`,
      (s) => read(s)?.date ?? null,
    ),
    made(
      `${name}_precision`,
      'string',
      from,
      '`year`, `month`, `day` or `time`',
      (s) => read(s)?.precision ?? null,
    ),
  ]
  if (most === 'day') return columns
  const time = made(
    `${name}_time`,
    'timestamp',
    from,
    'Its instant; null without a time and an offset',
    (s) => read(s)?.time ?? null,
  )
  return [...columns, time]
}

/** A number in two columns: to count with, and as it was written. */
export function decimal(
  name: string,
  from: string,
  says: string,
  find: Find = partAt(from),
): ColumnOfResource[] {
  return [
    made(name, 'double', from, says, (s) => doubleOf(find(s))),
    made(
      `${name}_digits`,
      'decimal',
      from,
      `\`${name}\` with all its digits, as it was written: \`1.00\``,
      (s) => digitsOf(find(s)),
    ),
  ]
}

/** A quantity: its number, its unit as written, and the unit's code. */
export function quantity(
  name: string,
  from: string,
  says: string,
  find: Find = partAt(from),
): ColumnOfResource[] {
  return [
    ...decimal(name, `${from}.value`, says, (s) => firstAt(find(s), 'value')),
    text(`${name}_unit`, `${from}.unit`, `The unit of \`${name}\`, as it was written`, (s) =>
      firstAt(find(s), 'unit'),
    ),
    text(`${name}_unit_code`, `${from}.code`, `The unit of \`${name}\`, as a code, mostly of UCUM`, (s) =>
      firstAt(find(s), 'code'),
    ),
  ]
}

/** Where a row comes from: in every table. */
export const origin: readonly ColumnOf<{ readonly source: LineSource }>[] = Object.freeze([
  {
    name: 'package',
    type: 'string',
    says: 'The digest of the package',
    from: 'package',
    read: ({ source }) => source.package,
  },
  {
    name: 'participant',
    type: 'string',
    says: 'The participant, as the study names them',
    from: 'package',
    read: ({ source }) => textOf(source.participant),
  },
  {
    name: 'provider',
    type: 'string',
    says: 'The id of the provider whose record it is',
    from: 'package',
    read: ({ source }) => textOf(source.provider),
  },
  {
    name: 'source',
    type: 'string',
    says: 'Which of the sources of the package, such as `records/01`',
    from: 'package',
    read: ({ source }) => source.folder,
  },
] satisfies ColumnOf<{ readonly source: LineSource }>[])

/** What the rows of resources begin with. */
export const identity: readonly ColumnOfResource[] = Object.freeze([
  ...origin,
  made('resource_id', 'string', 'id', 'The id that the provider’s server gave the resource', ({ resource }) =>
    textOf(resource.id),
  ),
  made(
    'last_updated',
    'timestamp',
    'meta.lastUpdated',
    'When the server last changed it',
    ({ resource }) => dateOf(firstAt(resource, 'meta.lastUpdated'))?.time ?? null,
  ),
  made(
    'has_modifier',
    'boolean',
    'modifierExtension',
    'True when an extension that no column shows may change what the row means',
    ({ resource }) => allAt(resource, 'modifierExtension').length > 0,
  ),
])

/** Code systems by their URLs, and what they are called. */
export const systems: Readonly<
  Record<'loinc' | 'snomed' | 'rxnorm' | 'cvx' | 'icd10' | 'cpt', readonly [url: string, title: string]>
> = {
  loinc: ['http://loinc.org', 'LOINC'],
  snomed: ['http://snomed.info/sct', 'SNOMED CT'],
  rxnorm: ['http://www.nlm.nih.gov/research/umls/rxnorm', 'RxNorm'],
  cvx: ['http://hl7.org/fhir/sid/cvx', 'CVX'],
  icd10: ['http://hl7.org/fhir/sid/icd-10-cm', 'ICD-10-CM'],
  cpt: ['http://www.ama-assn.org/go/cpt', 'CPT'],
}
