import { expect, test } from 'vitest'
import { collect, usCore } from '../index.js'
import { memoryReader, pageOf } from './memory-reader.js'

test('an observation whose category is no code at all stops no collection and is in none of its classes', async () => {
  // Neither of these has a text: asking for one throws.
  const nothing = { toString: 1, valueOf: 1 }
  const odd = {
    resourceType: 'Observation',
    id: 'odd',
    subject: { reference: 'Patient/p1' },
    category: [{ coding: [{ system: nothing, code: nothing }] }],
    code: { coding: [{ code: nothing }] },
  }
  const named = {
    ...odd,
    id: 'named',
    category: [
      {
        coding: [{ system: 'http://terminology.hl7.org/CodeSystem/observation-category', code: nothing }],
      },
    ],
  }
  const plan = usCore.only('Patient', 'Laboratory', 'Vital Signs')
  const record = await collect(
    memoryReader({
      patient: 'p1',
      search: (_, { category }) =>
        String(category).endsWith('laboratory') ? [pageOf([odd, named] as never)] : [],
    }),
    { plan },
  )
  expect([...record.lines('Observation')].map((line) => JSON.parse(line).id)).toEqual(['odd'])
  expect(record.completeness.map(({ dataClass, status, count }) => [dataClass, status, count])).toEqual([
    ['Patient', 'received', 1],
    ['Laboratory', 'received', 1],
    ['Vital Signs', 'none', 0],
  ])
})
