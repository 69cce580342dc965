import { relative, resolve } from 'node:path'
import type { ArgsDef, CommandDef } from 'citty'
import { type ExportFormat, exportPackages, heldPackages } from '../export/index.js'
import { inboxOptions, openInbox } from './options.js'
import { openProgress, printJson, printRows } from './output.js'
import { openStop } from './stop.js'
import { UsageError } from './usage.js'

const options: ArgsDef = {
  ...inboxOptions,
  format: {
    type: 'string',
    valueHint: 'ndjson|csv|parquet',
    required: true,
    description: 'How tables are written',
  },
  out: { type: 'string', valueHint: 'DIR', required: true, description: 'A new folder for the export' },
}

/** `s4s inbox export`: the packages of a study as tables. */
export const inboxExport: CommandDef = {
  meta: { name: 's4s inbox export', description: 'Write the packages of a study as tables' },
  args: options,
  async run(typed) {
    const { inbox, study, keys, output } = await openInbox(typed, options)
    const [folder, format, out] = ['folder', 'format', 'out'].map((name) => String(typed.args[name]))
    if (!isFormat(format)) throw new UsageError('--format is ndjson, csv or parquet')
    if (isWithin(String(folder), String(out))) throw new UsageError('--out is inside the inbox')
    const known = [...(await inbox.packages(study)), ...(await inbox.withdrawals(study))]
    if (known.length === 0) throw new Error(`the inbox has never had a package of the study ${study}`)
    const progress = openProgress(output)
    const stop = openStop('stopped; nothing was written')
    try {
      const report = await exportPackages(heldPackages(inbox, study, keys), {
        format,
        folder: String(out),
        signal: stop.signal,
        onProgress: ({ packages, resources }) => progress.say(`${packages} packages, ${resources} resources`),
      })
      progress.end()
      if (typed.args.json) return printJson(output, report)
      printRows(
        output,
        report.tables.filter(({ rows }) => rows > 0).map(({ file, rows }) => [file, rows]),
      )
    } finally {
      progress.end()
      stop.forget()
    }
  },
}

const isFormat = (text: string | undefined): text is ExportFormat =>
  text === 'ndjson' || text === 'csv' || text === 'parquet'

function isWithin(folder: string, path: string): boolean {
  const way = relative(resolve(folder), resolve(path))
  return (
    way === '' || !(way === '..' || way.startsWith('../') || way.startsWith('..\\') || /^[A-Za-z]:/.test(way))
  )
}
