import type { DataClass, Plan, Vendor } from '@s4s/core'
import { isObject } from '../json.js'
import type { Check, Finding } from './checks.js'

/** A CapabilityStatement beside what shall be collected. */
export interface Offer {
  readonly statement: Readonly<Record<string, unknown>> | undefined
  readonly plan: Plan
}

/** Whether the server is a FHIR server of the kind that the plans are for. */
export const serverChecks: readonly Check<Offer>[] = [
  {
    check: 'fhir-version',
    look: ({ statement }) => {
      if (typeof statement?.fhirVersion !== 'string') return undefined
      const version = statement.fhirVersion.slice(0, 20)
      if (version.startsWith('4.')) return ['ok', `It speaks FHIR ${version}.`]
      const older = ({ '1': ['DSTU2', 'argonaut'], '3': ['STU3', 'stu3'] } as const)[version.charAt(0)]
      return [
        'note',
        `It speaks FHIR ${version}, and the plan is for R4: much of it is not found.`,
        older
          ? `Ask for its R4 base; else give the provider \`fhirVersion: '${older[0]}'\` and the plan \`${older[1]}\` of @s4s/core/plans.`
          : 'Ask for its R4 base.',
      ]
    },
  },
  {
    check: 'capability-statement',
    look: ({ statement }) =>
      statement === undefined
        ? [
            'note',
            'It shows no CapabilityStatement, so nobody knows beforehand which data it has.',
            'Collect once with a test patient; the record says of each class what came.',
          ]
        : offeredBy(statement).size === 0
          ? [
              'note',
              'Its CapabilityStatement lists no resource types; what it has shows only when it is asked.',
            ]
          : undefined,
  },
]

/** Which classes of the plan the server does not offer, or not by the searches of the plan. */
export function planFindings({ statement, plan }: Offer): Finding[] {
  const offered = offeredBy(statement)
  if (offered.size === 0) return []
  const findings = plan.classes.flatMap((row): Finding[] => {
    const finding = findingOf(row, offered.get(row.type))
    return finding ? [{ check: 'plan', level: 'note', ...finding }] : []
  })
  const whole = plan.classes.length - findings.length
  return [
    {
      check: 'plan',
      level: whole === 0 ? 'note' : 'ok',
      sentence: `It offers ${whole} of the ${plan.classes.length} classes of the plan ${plan.title} as they are asked for.`,
    },
    ...findings,
  ]
}

function findingOf(
  row: DataClass,
  parameters: ReadonlySet<string> | undefined,
): Pick<Finding, 'sentence' | 'remedy'> | undefined {
  if (!parameters)
    return {
      sentence: `${row.name}: it does not list ${row.type}, so none will come.`,
      remedy: 'Leave the class out of the study, or ask the provider.',
    }
  // What lists no parameters at all says nothing about them.
  if (parameters.size === 0 || row.searches.length === 0) return undefined
  const lacking = [...new Set(['patient', ...row.searches.flatMap((search) => Object.keys(search))])]
    .map((name) => name.split(':')[0] ?? '')
    .filter((name) => !name.startsWith('_') && !parameters.has(name))
  return lacking.length === 0
    ? undefined
    : {
        sentence: `${row.name}: it does not list the search of ${row.type} by ${lacking.join(', ')}; if it is refused, a wider one is tried.`,
        remedy: 'Collect once with a test patient and look at the class in the report.',
      }
}

/** The resource types of a CapabilityStatement, each with its search parameters. */
function offeredBy(
  statement: Readonly<Record<string, unknown>> | undefined,
): ReadonlyMap<string, ReadonlySet<string>> {
  const offered = new Map<string, ReadonlySet<string>>()
  for (const rest of objects(statement?.rest))
    for (const { type, searchParam } of objects(rest.resource))
      if (typeof type === 'string')
        offered.set(
          type,
          new Set([...(offered.get(type) ?? []), ...objects(searchParam).map(({ name }) => String(name))]),
        )
  return offered
}

const objects = (value: unknown): Record<string, unknown>[] =>
  Array.isArray(value) ? value.filter(isObject) : []

// How a product is recognised is nothing that needs care.
const marks = new Set(['bases', 'software'])

/** What is known about the product, with the reasons of its row. */
export function vendorFindings(vendor: Vendor | undefined): Finding[] {
  if (!vendor) return []
  const { name: product } = vendor
  const traits = Object.entries(vendor).flatMap(([name, trait]): Finding[] =>
    marks.has(name) || !isObject(trait)
      ? []
      : [
          {
            check: 'vendor',
            level: 'note',
            sentence: `${product}, ${name}: ${String(trait.why)} (seen ${String(trait.seen)}).`,
          },
        ],
  )
  const remedy = 'It is taken care of where the client is given `vendors`, or the provider its `vendor`.'
  const known = traits.length > 0 ? ', and this is known of it' : ''
  return [
    { check: 'vendor', level: 'ok', sentence: `It is recognised as ${product}${known}.`, remedy },
    ...traits,
  ]
}
