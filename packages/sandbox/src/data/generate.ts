import type { Resource } from '../fhir/resource.js'
import { sharedResources } from './directory.js'
import { camila } from './people/camila.js'
import { daniel } from './people/daniel.js'
import { eleanor } from './people/eleanor.js'
import { leo } from './people/leo.js'
import { priya } from './people/priya.js'
import { sam } from './people/sam.js'
import { createRandom, type Random } from './random.js'

/** One of the built-in people. */
export interface Person {
  /** The id of their Patient resource. */
  readonly id: string
  readonly name: string
  readonly birthDate: string
  readonly gender: string
  readonly description: string
}

/** A person who may act for another. */
export interface Proxy {
  /** The id of the Patient who acts. */
  readonly person: string
  /** The id of the Patient for whom they act. */
  readonly patient: string
  /** The `RelatedPerson/…` that they are in the other's record. */
  readonly relatedPerson: string
}

/** The built-in people. None of them exists. */
export const people: readonly Person[] = Object.freeze([
  person(
    'camila',
    'Camila Rivera',
    '1993-07-08',
    'female',
    'Pregnant with her second child; acts for her son Leo',
  ),
  person('leo', 'Leo Rivera', '2020-03-14', 'male', 'A healthy child; his mother Camila acts for him'),
  person(
    'daniel',
    'Daniel Okafor',
    '1968-04-19',
    'male',
    'Type 2 diabetes and high blood pressure, notes and reports',
  ),
  person(
    'eleanor',
    'Eleanor Whitfield',
    '1941-12-02',
    'female',
    'Fourteen years of visits: about 2,500 resources',
  ),
  person(
    'priya',
    'Priya Raman',
    '1988-09-30',
    'female',
    'Type 1 diabetes, a watch and a glucose sensor: more than 20,000 observations',
  ),
  person('sam', 'Sam Nguyen', '1999-11-23', 'male', 'Newly registered: a record with almost nothing in it'),
])

/** Who may act for whom. */
export const proxies: readonly Proxy[] = Object.freeze([
  Object.freeze({ person: 'camila', patient: 'leo', relatedPerson: 'RelatedPerson/leo-mother' }),
])

/**
 * The records of the built-in people, and what these share. The same seed gives the same bytes; a person who is
 * not asked for is not made.
 *
 * @example
 * const repository = createRepository(generateRecords({ only: ['camila', 'leo'] }))
 */
export function generateRecords(
  options: { readonly seed?: number; readonly only?: readonly string[] } = {},
): Iterable<Resource> {
  const { seed = 1, only } = options
  const unknown = only?.find((id) => !Object.hasOwn(makers, id))
  if (unknown !== undefined) {
    throw new TypeError(
      `There is no built-in person ${JSON.stringify(unknown)}: ${Object.keys(makers).join(', ')}.`,
    )
  }
  const ids = people.map(({ id }) => id).filter((id) => only?.includes(id) ?? true)
  return {
    *[Symbol.iterator]() {
      yield* sharedResources()
      for (const id of ids) yield* makers[id]?.(createRandom(seed, id)) ?? []
    },
  }
}

const makers: Readonly<Record<string, (random: Random) => Iterable<Resource>>> = {
  camila,
  leo,
  daniel,
  eleanor,
  priya,
  sam,
}

function person(id: string, name: string, birthDate: string, gender: string, description: string): Person {
  return Object.freeze({ id, name, birthDate, gender, description })
}
