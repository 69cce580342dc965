import { PGlite } from '@electric-sql/pglite'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Sql } from '../store/index.js'
import { createWorker, statusPage, type Worker } from './index.js'
import { openSetting, type Setting, until } from './test-support/setting.js'

let lite: PGlite
let setting: Setting
let worker: Worker
const spans = new InMemorySpanExporter()
const metrics = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
const meterProvider = new MeterProvider({
  readers: [new PeriodicExportingMetricReader({ exporter: metrics, exportIntervalMillis: 600_000 })],
})
const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] })
const participant = 'canary-ann@example.org'
let id = ''
let broken = true

beforeAll(async () => {
  lite = new PGlite()
  setting = await openSetting(lite as Sql)
  worker = createWorker(lite as Sql, {
    ...setting.work,
    ...{ pollMilliseconds: 50, retrySeconds: 1, leaseSeconds: 2, meterProvider, tracerProvider },
    consentOf: async (connection) => {
      if (broken) throw new Error(`canary: nothing is known of ${connection.participant}`)
      return setting.work.consentOf(connection)
    },
  })
  id = await setting.connect(participant)
  await worker.schedule(id, { every: 'day' })
  await worker.start()
  await until('it is tried again', async () => (await worker.status()).retrying === 1)
  broken = false
  await until('it has arrived', async () => (await setting.inbox.packages('sleep')).length === 1)
  await until('it is over', async () => (await worker.status()).hours.some(({ jobs }) => jobs.shared === 1))
}, 60_000)
afterAll(async () => {
  await worker.stop({ seconds: 1 })
  await Promise.all([meterProvider.shutdown(), tracerProvider.shutdown(), setting.stop()])
  await lite.close()
})

/** What must be nowhere: who it is, what they have, and what opens their record. */
const canaries = async (): Promise<string[]> => {
  const { store } = setting.client.platform
  const [key = ''] = await store.keys('connection/')
  const { accessToken, refreshToken } = JSON.parse((await store.get(key)) ?? '{}')
  const { name = '', birthDate = '' } = setting.sandboxes[0]?.people[0] ?? {}
  const all = [accessToken, refreshToken, participant, 'canary', name, birthDate, 'Patient/leo', id]
  expect(all.every((one) => typeof one === 'string' && one.length > 5)).toBe(true)
  return all
}

test('T43 what OpenTelemetry hears says how many, how long and why, and nothing of anybody', async () => {
  await meterProvider.forceFlush()
  const finished = spans.getFinishedSpans()
  const traces = JSON.stringify(
    finished.map(({ name, attributes, status, events, resource }) => [
      ...[name, attributes, status, events],
      resource.attributes,
    ]),
  )
  const numbers = JSON.stringify(metrics.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics))
  for (const canary of await canaries()) {
    expect(traces).not.toContain(canary)
    expect(numbers).not.toContain(canary)
  }
  const [retried, shared] = finished.filter(({ name }) => name === 's4s.job')
  expect(retried?.attributes).toEqual({ 's4s.provider': 'hospital-1', 's4s.kind': 'share', 's4s.attempt': 1 })
  expect(shared?.attributes).toMatchObject({ 's4s.attempt': 2 })
  const inside = finished.filter((span) => span.parentSpanContext?.spanId === shared?.spanContext().spanId)
  expect(inside.map(({ name }) => name)).toEqual(['s4s.collect', 's4s.share'])
  for (const wanted of [
    '"s4s.outcome":"shared"',
    '"s4s.code":"ERROR"',
    '"s4s.answer":"2xx"',
    's4s.worker.level',
  ])
    expect(numbers).toContain(wanted)
})

test('the page shows how the workers stand, runs nothing, and says nothing of anybody', async () => {
  const answer = await statusPage(worker)(new Request('https://portal.example/workers'))
  const html = await answer.text()
  expect(answer.headers.get('content-security-policy')).toMatch(
    /^default-src 'none'; style-src 'sha256-[^']+';/,
  )
  expect(answer.headers.get('cache-control')).toBe('no-store')
  expect(html).not.toMatch(/<script|\sstyle=|\son\w+=|href=|src=/)
  expect(html).toContain('<td>hospital-1</td><td>working</td>')
  expect(html).toMatch(/<rect [^>]*fill="#1b6e3c"><title>\d\d h: 1 shared<\/title>/)
  expect(html).toMatch(/<title>\d\d h: 1 tried again<\/title>/)
  for (const canary of await canaries()) expect(html).not.toContain(canary)
  expect(
    (await statusPage(worker)(new Request('https://portal.example/workers', { method: 'POST' }))).status,
  ).toBe(405)
})

test('what a provider is called cannot become part of the page', async () => {
  const status = await worker.status()
  const [row] = status.providers
  const wild = { ...status, providers: [{ ...row, provider: '<img src=x>' }] } as typeof status
  const html = await (
    await statusPage({ status: async () => wild })(new Request('https://portal.example/'))
  ).text()
  expect(html).not.toContain('<img')
  expect(html).toContain('&#60;img')
})
