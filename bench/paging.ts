import { median, startPatient } from './patient.js'

// How fast `connection.search` goes through many pages, beside a loop of fetch and JSON.parse in the same run.
//   npm run paging --prefix bench -- [observations] [rounds]

const observations = Number(process.argv[2] ?? 20_000)
const rounds = Number(process.argv[3] ?? 7)

interface Round {
  readonly milliseconds: number
  readonly cpu: number
  readonly first: number
}

const table: Record<string, Record<string, string>> = {}
for (const perPage of [50, 100, 1000]) {
  const patient = await startPatient(observations, perPage)
  const contestants = { 'raw fetch': () => raw(patient.url), 'connection.search': () => search() }
  const search = async function* (): AsyncGenerator<unknown> {
    yield* patient.connection.search('Observation', { patient: 'p1' })
  }
  const results: Record<string, Round[]> = { 'raw fetch': [], 'connection.search': [] }
  // Turn about, so that a noisy minute is shared; the first round only warms up.
  for (let round = 0; round <= rounds; round++)
    for (const [name, run] of Object.entries(contestants)) {
      const result = await measure(run())
      if (round > 0) results[name]?.push(result)
    }
  await patient.stop()

  const of = (name: string, value: keyof Round): number =>
    median((results[name] ?? []).map((one) => one[value]))
  for (const name of Object.keys(contestants))
    table[`${perPage} a page, ${name}`] = {
      'resources/s': Math.round((observations / of(name, 'milliseconds')) * 1000).toLocaleString('en'),
      '× raw': (of('raw fetch', 'milliseconds') / of(name, 'milliseconds')).toFixed(2),
      'CPU × raw': (of(name, 'cpu') / of('raw fetch', 'cpu')).toFixed(2),
      'first resource, ms': of(name, 'first').toFixed(1),
    }
}
console.table(table)

async function* raw(url: string): AsyncGenerator<unknown> {
  for (let next: string | undefined = url; next !== undefined; ) {
    const response = await fetch(next, { headers: { accept: 'application/fhir+json' } })
    const bundle = (await response.json()) as {
      entry: { resource: unknown }[]
      link: { relation: string; url: string }[]
    }
    for (const { resource } of bundle.entry) yield resource
    next = bundle.link.find(({ relation }) => relation === 'next')?.url
  }
}

async function measure(resources: AsyncIterable<unknown>): Promise<Round> {
  const cpu = process.cpuUsage()
  const started = performance.now()
  let first = Number.NaN
  let count = 0
  for await (const _ of resources) if (count++ === 0) first = performance.now() - started
  const milliseconds = performance.now() - started
  const used = process.cpuUsage(cpu)
  if (count !== observations) throw new Error(`${count} of ${observations} resources came`)
  return { milliseconds, cpu: (used.user + used.system) / 1000, first }
}
