import {
  context,
  type MeterProvider,
  metrics,
  type Span,
  SpanStatusCode,
  type TracerProvider,
  trace,
} from '@opentelemetry/api'
import type { Job } from './queue.js'

export interface TelemetryOptions {
  /** Default: the one that the app has registered with OpenTelemetry, if any. */
  readonly meterProvider?: MeterProvider
  readonly tracerProvider?: TracerProvider
}

/** Numbers that are looked at from time to time. */
export interface Levels {
  readonly queued: number
  readonly active: number
  readonly dead: number
  readonly notices: number
  /** Providers that are not asked at the moment. */
  readonly closed: number
}

/**
 * What OpenTelemetry hears: numbers and times, with the provider's id, the kind of job and error codes. No connection, no
 * participant, no URL and nothing of a record.
 */
export interface Telemetry {
  /** A span around a job; `end` is told how it ended. */
  job<T>(job: Job & { readonly attempt: number }, work: (step: Step) => Promise<T>): Promise<T>
  ended(job: Job, outcome: string, milliseconds: number, code?: string): void
  answered(provider: string, status: number | undefined): void
  levels(levels: Levels): void
}

/** A span within the span of a job. */
export type Step = <T>(name: 'collect' | 'share' | 'refresh', work: () => Promise<T>) => Promise<T>

const scope = '@s4s/node/worker'

export function createTelemetry(options: TelemetryOptions = {}): Telemetry {
  const meter = (options.meterProvider ?? metrics).getMeter(scope)
  const tracer = (options.tracerProvider ?? trace).getTracer(scope)
  const jobs = meter.createCounter('s4s.worker.jobs', { description: 'Jobs that ended', unit: '{job}' })
  const duration = meter.createHistogram('s4s.worker.job.duration', {
    description: 'How long jobs took',
    unit: 's',
  })
  const requests = meter.createCounter('s4s.worker.requests', {
    description: 'Requests to providers',
    unit: '{request}',
  })
  const level = meter.createGauge('s4s.worker.level', {
    description: 'Jobs queued, active and dead, notices, and providers that are not asked',
  })

  const within = async <T>(span: Span, work: () => Promise<T>): Promise<T> => {
    try {
      return await context.with(trace.setSpan(context.active(), span), work)
    } catch (error) {
      // Only the code: an error of the app's own may say anything.
      span.setStatus({ code: SpanStatusCode.ERROR, message: codeOf(error) })
      throw error
    } finally {
      span.end()
    }
  }

  return {
    job: ({ kind, provider, attempt }, work) => {
      const attributes = { 's4s.provider': provider, 's4s.kind': kind, 's4s.attempt': attempt }
      const span = tracer.startSpan('s4s.job', { attributes })
      const inside = trace.setSpan(context.active(), span)
      const step: Step = (name, one) =>
        within(tracer.startSpan(`s4s.${name}`, { attributes: { 's4s.provider': provider } }, inside), one)
      return within(span, () => work(step))
    },
    ended: ({ kind, provider }, outcome, milliseconds, code) => {
      const attributes = { 's4s.provider': provider, 's4s.kind': kind, 's4s.outcome': outcome }
      jobs.add(1, code === undefined ? attributes : { ...attributes, 's4s.code': code })
      duration.record(milliseconds / 1000, attributes)
    },
    answered: (provider, status) =>
      requests.add(1, {
        's4s.provider': provider,
        's4s.answer': status === undefined ? 'none' : `${Math.floor(status / 100)}xx`,
      }),
    levels: (levels) => {
      for (const [name, value] of Object.entries(levels)) level.record(value, { 's4s.of': name })
    },
  }
}

function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | undefined)?.code
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]{2,40}$/.test(code) ? code : 'ERROR'
}
