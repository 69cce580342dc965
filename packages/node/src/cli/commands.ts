import type { CommandDef } from 'citty'
import { collectRecord } from './collect.js'
import { completion } from './completion.js'
import { connect } from './connect.js'
import { connections } from './connections.js'
import { discover } from './discover.js'
import { doctor } from './doctor.js'
import { inboxExport } from './inbox-export.js'
import { inboxPackages, inboxVerify } from './inbox-list.js'

// Without a prototype: what a command is called is what somebody typed.
const commandsOf = (commands: Record<string, CommandDef>): Record<string, CommandDef> =>
  Object.assign(Object.create(null), commands)

/** Every command, as a tree. */
export const root: CommandDef = {
  meta: { name: 's4s', description: 'Health records that people share with studies, from the command line' },
  subCommands: commandsOf({
    discover,
    doctor,
    connect,
    connections,
    collect: collectRecord,
    inbox: {
      meta: { name: 's4s inbox', description: 'The packages that a study has received' },
      subCommands: commandsOf({
        export: inboxExport,
        packages: inboxPackages,
        verify: inboxVerify,
      }),
    },
    completion: completion(() => root),
  }),
}
