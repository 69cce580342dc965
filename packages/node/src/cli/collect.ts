import { resolve } from 'node:path'
import { type Checkpoint, checkpointOf, collect, explainRecord, type Progress } from '@s4s/core'
import type { ArgsDef, CommandDef } from 'citty'
import { checkFree } from '../export/new-folder.js'
import { openProgress, printJson, printRows, progressBar } from './output.js'
import { planOf, planOption } from './plans.js'
import { openStop } from './stop.js'
import { clientOf, openStore, storeOptions } from './store.js'
import { checkTyped, optionOf, outputOf, type Typed } from './typed.js'
import { UsageError } from './usage.js'
import { writeRecord } from './written-record.js'

const options: ArgsDef = {
  id: { type: 'positional', description: 'The id of a connection, as s4s connections shows it' },
  ...storeOptions,
  ...planOption,
  out: {
    type: 'string',
    valueHint: 'DIR',
    description: 'A new folder for the record; named like the connection unless given',
  },
  since: { type: 'string', valueHint: 'DATE', description: 'Only what changed since, such as 2026-08-01' },
  json: { type: 'boolean', description: 'Print JSON' },
}

/** `s4s collect`: a record as files, with a report of how complete it is. */
export const collectRecord: CommandDef = {
  meta: { name: 's4s collect', description: 'Collect the record of a connection into a folder' },
  args: options,
  async run(typed) {
    checkTyped(typed, options)
    const [plan, since, id] = [planOf(typed), sinceOf(typed), String(typed.args.id)]
    const client = await clientOf(await openStore(typed), plan)
    const connection = (await client.connections()).find((one) => one.id === id)
    if (!connection) throw new Error(`there is no connection ${id}; s4s connections lists them`)
    const folder = optionOf(typed, 'out') ?? id
    await checkFree(resolve(folder))
    const output = outputOf(typed)
    const progress = openProgress(output)
    const stop = openStop('stopped; what came is kept, and the same command goes on from there')
    const checkpoint = untilWritten(checkpointOf(connection))
    try {
      const record = await collect(connection, {
        ...{ plan, checkpoint, signal: stop.signal, ...(since ? { since } : {}) },
        onProgress: (far) => progress.say(lineOf(far)),
      })
      const written = await writeRecord(record, plan, folder)
      await checkpoint.settle()
      progress.end()
      const classes = explainRecord(record, plan)
      record.wipe()
      if (typed.args.json) printJson(output, { folder, connection: id, ...written, classes })
      else
        printRows(output, [...classes.map(({ status, sentence }) => [status, sentence]), ['folder', folder]])
      // What may be had another time is a failure, so that a script notices.
      return written.again.length === 0
    } finally {
      progress.end()
      stop.forget()
    }
  },
}

const lineOf = ({ done, total, resources, attachments }: Progress): string =>
  `${progressBar(done, total)} ${resources} resources${attachments > 0 ? `, ${attachments} files` : ''}`

function sinceOf(typed: Typed): Date | undefined {
  const text = optionOf(typed, 'since')
  if (text === undefined) return undefined
  const date = new Date(text)
  const isDay = text.length > 10 || (!Number.isNaN(date.getTime()) && date.toISOString().startsWith(text))
  // What Date takes beyond this differs from one runtime to another.
  if (
    !/^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/.test(text) ||
    Number.isNaN(date.getTime()) ||
    !isDay
  )
    throw new UsageError('--since is a date such as 2026-08-01')
  return date
}

// A collection clears its checkpoint when it is over; here it is over when the record is on disk. What is cleared and
// then written to was of another collection.
function untilWritten(checkpoint: Checkpoint): Checkpoint & { settle(): Promise<void> } {
  let isDue = false
  const settle = async (): Promise<void> => {
    if (!isDue) return
    isDue = false
    await checkpoint.clear()
  }
  return Object.freeze({
    read: checkpoint.read,
    append: async (line: string) => {
      await settle()
      await checkpoint.append(line)
    },
    clear: async () => {
      isDue = true
    },
    settle,
  })
}
