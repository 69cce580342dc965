import { createHash } from 'node:crypto'
import { type Connection, explainGrant, type Provider } from '@s4s/core'
import type { ArgsDef, CommandDef } from 'citty'
import { connectFromTerminal } from '../terminal.js'
import { reached, urlOption } from './discover.js'
import { plain, printJson, printRows } from './output.js'
import { planOf, planOption } from './plans.js'
import { openStop } from './stop.js'
import { keepServer, openStore, storeOptions } from './store.js'
import type { Survey } from './survey.js'
import { checkTyped, optionOf, outputOf, type Typed } from './typed.js'
import { UsageError } from './usage.js'

const options: ArgsDef = {
  ...urlOption,
  'client-id': {
    type: 'string',
    valueHint: 'ID',
    required: true,
    description: 'What the provider calls the app, which is registered there as a public client',
  },
  ...storeOptions,
  ...planOption,
  scope: {
    type: 'string',
    valueHint: 'SCOPES',
    description: 'Scopes to ask for in place of those of the plan, separated by spaces',
  },
  name: {
    type: 'string',
    valueHint: 'NAME',
    description: 'What to call the provider; its host unless given',
  },
  participant: { type: 'string', valueHint: 'ID', description: 'Whose connection it will be' },
  port: {
    type: 'string',
    valueHint: 'PORT',
    description: 'Where the answer comes, http://127.0.0.1:PORT/callback; any free port unless given',
  },
  json: { type: 'boolean', description: 'Print JSON' },
}

/** `s4s connect`: a person signs in with their browser, and the connection is kept. */
export const connect: CommandDef = {
  meta: { name: 's4s connect', description: 'Sign in at a provider, and keep the connection' },
  args: options,
  async run(typed) {
    checkTyped(typed, options)
    const plan = planOf(typed)
    const port = portOf(typed)
    const participant = optionOf(typed, 'participant')
    const store = await openStore(typed, true)
    const provider = providerOf(await reached(String(typed.args.url)), typed)
    const output = outputOf(typed)
    const stop = openStop('stopped; nothing was connected')
    try {
      const connection = await connectFromTerminal({
        ...{ providers: [provider], provider: provider.id, plan, store, signal: stop.signal },
        ...(port === undefined ? {} : { port }),
        ...(participant === undefined ? {} : { participant }),
        // Beside the results, so that these can go into a pipe.
        open: (url) => void output.err.write(`Open this address in a browser and sign in:\n${plain(url)}\n`),
      })
      await keepServer(store, provider)
      const shown = shownOf(connection)
      const { classes, duration } = explainGrant(connection, plan)
      if (typed.args.json) return printJson(output, { ...shown, duration, classes })
      printRows(output, [
        ['connection', shown.id],
        ['access', duration],
        ...classes.map(({ access, sentence }) => [access, sentence]),
      ])
    } finally {
      stop.forget()
    }
  },
}

/** What is shown of a connection: no token, and nothing of the record. */
export interface ShownConnection extends Pick<Connection, 'id' | 'status' | 'access' | 'accessReason'> {
  readonly provider: { readonly id: string; readonly name: string; readonly iss: string }
  readonly participant?: string
  readonly connectedAt: string
  readonly expiresAt?: string
}

export function shownOf(connection: Connection): ShownConnection {
  const { id, provider, participant, status, access, accessReason, connectedAt, expiresAt } = connection
  return {
    id,
    provider: { id: provider.id, name: provider.name, iss: provider.iss },
    ...(participant === undefined ? {} : { participant }),
    ...{ status, access, accessReason, connectedAt: connectedAt.toISOString() },
    ...(expiresAt === undefined ? {} : { expiresAt: expiresAt.toISOString() }),
  }
}

function providerOf({ base, vendor, statement }: Survey, typed: Typed): Provider {
  const { host } = new URL(base)
  const scope = optionOf(typed, 'scope')
  const version = String(statement?.fhirVersion ?? '').charAt(0)
  // The same server has the same id, and so has a connection that is made anew.
  const mark = createHash('sha256').update(base.replace(/\/$/, '')).digest('hex').slice(0, 8)
  return {
    id: `${host
      .replace(/[^A-Za-z0-9.-]+/g, '-')
      .replace(/^[^A-Za-z0-9]+/, '')
      .slice(0, 50)}-${mark}`,
    name: optionOf(typed, 'name') ?? host,
    iss: base,
    clientId: String(typed.args['client-id']),
    ...(vendor ? { vendor } : {}),
    ...(scope === undefined ? {} : { scope }),
    ...(version === '1' ? { fhirVersion: 'DSTU2' as const } : {}),
    ...(version === '3' ? { fhirVersion: 'STU3' as const } : {}),
  }
}

function portOf(typed: Typed): number | undefined {
  const text = optionOf(typed, 'port')
  if (text === undefined) return undefined
  if (!/^\d{1,5}$/.test(text) || Number(text) < 1 || Number(text) > 65_535)
    throw new UsageError('--port is a number from 1 to 65535')
  return Number(text)
}
