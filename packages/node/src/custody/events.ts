import { randomBytes } from 'node:crypto'

/** What happened, for the page of one participant: kept for a while, so that a page that was away hears of it. */
export interface EventLog {
  /** Tells every reader. A later event of the same `about` takes the place of an earlier one. */
  add(type: string, data: Readonly<Record<string, unknown>>, about?: string): void
  /**
   * What happened after an event, and then what happens, as server-sent events. Undefined when nothing did and nothing
   * will. An id that is not of this log is none: everything is told again.
   *
   * @see https://html.spec.whatwg.org/multipage/server-sent-events.html
   */
  open(after: string | null, signal?: AbortSignal): ReadableStream<Uint8Array> | undefined
  /** Ends every reader once it has what was told. */
  finish(): void
  /** How many are reading. */
  readonly readers: number
}

export interface EventLogOptions {
  /** True while more is to come. */
  readonly isOpen: () => boolean
  /** Milliseconds between comments that keep the way open. Default 15 seconds. */
  readonly keepAlive?: number
  /** Milliseconds after which a reader has to ask again, and to show who it is. Default 5 minutes. */
  readonly longest?: number
}

const mostEvents = 256
const mostReaders = 6
/** Bytes that may wait for a reader; one that leaves more behind is sent away, and may come again. */
const mostWaiting = 256 * 1024

interface Kept {
  readonly number: number
  readonly about: string | undefined
  readonly bytes: Uint8Array
}

interface Reader {
  send(bytes: Uint8Array): void
  end(): void
}

/** Makes the log of one participant. */
export function createEventLog(options: EventLogOptions): EventLog {
  const { isOpen, keepAlive = 15_000, longest = 300_000 } = options
  // Unlike any other log's, so that an id of another participant's, or of before a restart, means nothing here.
  const name = randomBytes(12).toString('base64url')
  const readers = new Set<Reader>()
  let kept: Kept[] = []
  let last = 0

  const missedSince = (after: string | null): readonly Kept[] => {
    const [, number] = after?.startsWith(`${name}.`) ? (/\.(\d{1,15})$/.exec(after) ?? []) : []
    return kept.filter((one) => one.number > Number(number ?? 0))
  }

  const reading = (missed: readonly Kept[], signal: AbortSignal | undefined): ReadableStream<Uint8Array> => {
    let stop = (): void => {}
    return new ReadableStream<Uint8Array>(
      {
        start(controller) {
          const leave = (close: () => void): void => {
            if (!readers.delete(reader)) return
            clearInterval(beat)
            clearTimeout(limit)
            signal?.removeEventListener('abort', reader.end)
            close()
          }
          const reader: Reader = {
            send: (bytes) => {
              if ((controller.desiredSize ?? 0) > 0) controller.enqueue(bytes)
              else leave(() => controller.error(new Error('the reader is too slow')))
            },
            end: () => leave(() => controller.close()),
          }
          stop = () => leave(() => {})
          const beat = setInterval(() => reader.send(encode(':\n\n')), keepAlive)
          const limit = setTimeout(reader.end, longest)
          beat.unref()
          limit.unref()
          readers.add(reader)
          signal?.addEventListener('abort', reader.end)
          reader.send(encode('retry: 2000\n\n'))
          for (const { bytes } of missed) reader.send(bytes)
          if (!isOpen() || signal?.aborted) reader.end()
        },
        cancel: () => stop(),
      },
      { highWaterMark: mostWaiting, size: (chunk) => chunk?.byteLength ?? 0 },
    )
  }

  return Object.freeze({
    add: (type, data, about) => {
      last += 1
      const bytes = encode(`id: ${name}.${last}\nevent: ${type}\ndata: ${JSON.stringify(data)}\n\n`)
      if (about !== undefined) kept = kept.filter((one) => one.about !== about)
      kept.push({ number: last, about, bytes })
      if (kept.length > mostEvents) kept.shift()
      for (const reader of [...readers]) reader.send(bytes)
    },
    open: (after, signal) => {
      const missed = missedSince(after)
      if (missed.length === 0 && !isOpen()) return undefined
      const [oldest] = readers
      if (readers.size >= mostReaders) oldest?.end()
      return reading(missed, signal)
    },
    finish: () => {
      for (const reader of [...readers]) reader.end()
    },
    get readers() {
      return readers.size
    },
  } satisfies EventLog)
}

const encode = (text: string): Uint8Array => new TextEncoder().encode(text)
