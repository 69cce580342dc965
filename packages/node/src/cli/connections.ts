import { usCore } from '@s4s/core'
import type { ArgsDef, CommandDef } from 'citty'
import { shownOf } from './connect.js'
import { printJson, printRows } from './output.js'
import { clientOf, openStore, storeOptions } from './store.js'
import { checkTyped, outputOf } from './typed.js'

const options: ArgsDef = { ...storeOptions, json: { type: 'boolean', description: 'Print JSON' } }

/** `s4s connections`: what is connected. */
export const connections: CommandDef = {
  meta: { name: 's4s connections', description: 'List the connections of a store' },
  args: options,
  async run(typed) {
    checkTyped(typed, options)
    const client = await clientOf(await openStore(typed), usCore)
    const shown = (await client.connections()).map(shownOf)
    const output = outputOf(typed)
    if (typed.args.json) return printJson(output, shown)
    printRows(output, [
      ['id', 'provider', 'participant', 'status', 'access', 'connected'],
      ...shown.map(({ id, provider, participant = '', status, access, connectedAt }) => [
        ...[id, provider.name, participant, status, access, connectedAt],
      ]),
    ])
  },
}
