import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import type { Page } from '../fhir/types.js'
import { usCore } from '../plans/index.js'
import { collect } from './collect.js'
import { memoryReader, pageOf } from './memory-reader.js'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

// Each page is made when it is asked for, so that nothing but the record can hold on to it.
function* pages(count: number): Generator<Page> {
  for (let at = 0; at < count; at += 500) {
    yield pageOf(
      Array.from({ length: 500 }, (_, index) => ({
        resourceType: 'Observation',
        id: `o-${at + index}`,
        subject: { reference: 'Patient/p' },
        component: Array.from({ length: 8 }, (_, part) => ({
          code: { text: `part ${part} of ${at + index}` },
          valueQuantity: { value: at * part, unit: 'mmHg' },
        })),
      })),
    )
  }
}

const used = (): number => {
  collectGarbage()
  return process.memoryUsage().heapUsed
}

test('20,000 observations are held once: their text, and no objects beside it', async () => {
  const reader = memoryReader({ patient: 'p', search: () => pages(20_000) })
  const plan = usCore.only('Laboratory')
  ;(await collect(reader, { plan })).wipe()
  const before = used()
  const record = await collect(reader, { plan })
  const held = used() - before
  let text = 0
  for (const line of record.lines('Observation')) text += line.length
  expect(text).toBeGreaterThan(10_000_000)
  expect(held).toBeGreaterThan(0.9 * text)
  expect(held).toBeLessThan(1.5 * text)
  record.wipe()
  expect(used() - before).toBeLessThan(0.2 * text)
})
