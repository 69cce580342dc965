import { collect, usCore } from '@s4s/core'
import { collectGarbage, startPatient } from './patient.js'

// What it costs to collect a large record: time, and memory at the peak and afterwards.
//   npm run collect --prefix bench -- [observations]

const observations = Number(process.argv[2] ?? 20_000)
const plan = usCore.only('Patient', 'Laboratory')
const MB = (bytes: number): string => `${Math.round(bytes / 1_000_000)} MB`

const table: Record<string, Record<string, string>> = {}
for (const perPage of [100, 1000]) {
  const patient = await startPatient(observations, perPage)
  collectGarbage()
  const before = process.memoryUsage()
  let peak = before.rss
  const started = performance.now()
  const record = await collect(patient.connection, {
    plan,
    onProgress: () => {
      peak = Math.max(peak, process.memoryUsage.rss())
    },
  })
  const milliseconds = performance.now() - started
  peak = Math.max(peak, process.memoryUsage.rss())
  collectGarbage()
  const held = process.memoryUsage().heapUsed - before.heapUsed
  let text = 0
  for (const line of record.lines('Observation')) text += line.length
  if (record.count('Laboratory') !== observations)
    throw new Error(`${record.count('Laboratory')} were collected`)
  record.wipe()
  await patient.stop()
  table[`${observations} observations, ${perPage} a page`] = {
    seconds: (milliseconds / 1000).toFixed(2),
    'resources/s': Math.round((observations / milliseconds) * 1000).toLocaleString('en'),
    'the record as text': MB(text),
    'held by the record': MB(held),
    'peak above the start (RSS)': MB(peak - before.rss),
  }
}
console.table(table)
