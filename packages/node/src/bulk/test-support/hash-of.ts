import { createHash } from 'node:crypto'
import type { PatientRecord } from '@s4s/core'

/** The same for records that hold the same, and say the same of what is missing. */
export function hashOf(record: PatientRecord): string {
  const hash = createHash('sha256').update(record.patient)
  for (const type of Object.keys(record.types()))
    for (const line of record.lines(type)) hash.update(`${line}\n`)
  for (const { dataClass, status, count } of record.completeness)
    hash.update(`${dataClass} ${status} ${count}\n`)
  return hash.digest('hex')
}
