import type { Resource } from '../../fhir/resource.js'
import { createChart } from '../chart.js'
import type { Random } from '../random.js'
import { at } from '../time.js'

/** Sam, who registered and has not been seen yet: a record with almost nothing in it. */
export function sam(random: Random): Iterable<Resource> {
  return createChart(
    {
      id: 'sam',
      given: ['Sam'],
      family: 'Nguyen',
      gender: 'male',
      birthDate: '1999-11-23',
      race: ['2028-9', 'Asian'],
      ethnicity: ['2186-5', 'Not Hispanic or Latino'],
      language: ['en', 'English'],
      clinician: 'grace-adeyemi',
      since: at('2026-05-20', '11:00'),
    },
    random,
  ).finish()
}
