import { collect, usCore } from '@s4s/core'
import { median, startPatient } from './patient.js'

// How long a search of many pages takes as one chain, and divided by date into parts that are walked side by side.
//   npm run split --prefix bench -- [pages] [latency in ms] [rounds]

const pages = Number(process.argv[2] ?? 500)
const latency = Number(process.argv[3] ?? 100)
const rounds = Number(process.argv[4] ?? 1)
const perPage = 20

const patient = await startPatient(pages * perPage, perPage, { script: 'dated.ts', more: [String(latency)] })
const plan = usCore.only('Laboratory')
const times: Record<string, number[]> = {}
for (let round = 0; round < rounds; round++)
  for (const concurrency of [1, 4, 6, 10]) {
    const name = concurrency === 1 ? 'one chain' : `parts, ${concurrency} at a time`
    const started = performance.now()
    const record = await collect(patient.connection, { plan, concurrency })
    if (record.count() !== pages * perPage) throw new Error(`${record.count()} resources`)
    times[name] = [...(times[name] ?? []), performance.now() - started]
  }
await patient.stop()
const serial = median(times['one chain'] ?? [])
console.table(
  Object.fromEntries(
    Object.entries(times).map(([name, all]) => [
      name,
      { seconds: (median(all) / 1000).toFixed(1), 'times faster': (serial / median(all)).toFixed(1) },
    ]),
  ),
)
