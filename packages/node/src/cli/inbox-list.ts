import type { CommandDef } from 'citty'
import { inboxOptions, openInbox } from './options.js'
import { openProgress, printJson, printRows } from './output.js'

/** `s4s inbox packages`: which packages a study has. */
export const inboxPackages: CommandDef = {
  meta: { name: 's4s inbox packages', description: 'List the packages of a study, newest first' },
  args: inboxOptions,
  async run(typed) {
    const { inbox, study, output } = await openInbox(typed, inboxOptions)
    const rows = await inbox.packages(study)
    if (typed.args.json) return printJson(output, rows)
    printRows(output, [
      ['digest', 'participant', 'received', 'resources', 'bytes', 'status'],
      ...rows.map(({ digest, participant, receivedAt, resources, bytes, status, deleted }) => [
        ...[digest, participant, receivedAt, resources, bytes],
        deleted === true ? 'deleted' : status,
      ]),
    ])
  },
}

/** `s4s inbox verify`: whether the packages of a study are still what was sent. */
export const inboxVerify: CommandDef = {
  meta: {
    name: 's4s inbox verify',
    description: 'Read every package of a study again, and say which has changed',
  },
  args: inboxOptions,
  async run(typed) {
    const { inbox, study, output } = await openInbox(typed, inboxOptions)
    const held = (await inbox.packages(study)).filter(({ deleted }) => deleted !== true)
    const progress = openProgress(output)
    const found = []
    for (const { digest } of held) {
      progress.say(`${found.length} of ${held.length}`)
      found.push({ digest, ...(await inbox.verify(digest)) })
    }
    progress.end()
    if (typed.args.json) printJson(output, found)
    else {
      for (const { digest, ok, faults } of found)
        printRows(output, ok ? [[digest, 'ok']] : faults.map(({ path, fault }) => [digest, fault, path]))
    }
    // What is not whole is a failure, so that a script notices.
    return found.every(({ ok }) => ok)
  },
}
