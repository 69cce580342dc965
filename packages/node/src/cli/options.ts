import { randomBytes } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { PrivateKey } from '@s4s/core'
import type { ArgsDef } from 'citty'
import { isMissing } from '../durable.js'
import { createInbox, type Inbox } from '../inbox/inbox.js'
import { isObject, parseJson } from '../json.js'
import type { Output } from './output.js'
import { checkTyped, outputOf, type Typed } from './typed.js'
import { UsageError } from './usage.js'

/** The options that every command on an inbox takes. */
export const inboxOptions: ArgsDef = {
  folder: { type: 'string', valueHint: 'DIR', required: true, description: 'The folder of the inbox' },
  study: { type: 'string', valueHint: 'ID', required: true, description: 'The id of the study' },
  'open-key': {
    type: 'string',
    valueHint: 'FILE',
    description:
      'A private key that opens sealed packages, as a JWK or a set of them; may be given several times',
  },
  json: { type: 'boolean', description: 'Print JSON' },
}

/** An inbox, opened to be read, and the keys for it. */
export interface OpenInbox {
  readonly inbox: Inbox
  readonly study: string
  readonly keys: readonly PrivateKey[]
  readonly output: Output
}

/**
 * Opens the inbox that was asked for.
 *
 * @throws UsageError for an option that there is none of or that has no value, for a folder without an inbox, a file
 *   without a key
 */
export async function openInbox(typed: Typed, options: ArgsDef): Promise<OpenInbox> {
  checkTyped(typed, options)
  const folder = String(typed.args.folder)
  const study = String(typed.args.study)
  // Whatever takes in packages writes this first. An inbox cleans up in its folder, so it had better be one.
  const audit = await stat(join(folder, 'audit.ndjson')).catch((error: unknown) => {
    if (isMissing(error)) return undefined
    throw error
  })
  if (!audit?.isFile()) throw new UsageError(`there is no inbox in ${folder}`)
  const keys = (await Promise.all(valuesOf('open-key', typed.rawArgs).map(readKeys))).flat()
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(study))
    throw new UsageError('--study is not the id of a study')
  // Nothing is served, so nobody ever has to know this key.
  const key = randomBytes(24).toString('base64url')
  const inbox = createInbox({ folder, studies: [{ id: study, key, openKeys: keys }] })
  return Object.freeze({ inbox, study, keys, output: outputOf(typed) })
}

// The parser keeps the last of an option only.
function valuesOf(name: string, rawArgs: readonly string[]): string[] {
  return rawArgs.flatMap((word, at) => {
    if (word === `--${name}`) return rawArgs[at + 1] === undefined ? [] : [rawArgs[at + 1] as string]
    return word.startsWith(`--${name}=`) ? [word.slice(name.length + 3)] : []
  })
}

async function readKeys(file: string): Promise<PrivateKey[]> {
  const text = await readFile(file, 'utf8').catch(() => {
    throw new UsageError(`the key ${file} cannot be read`)
  })
  const value = parseJson(text)
  const keys = isObject(value) && Array.isArray(value.keys) ? value.keys : [value]
  if (keys.length === 0 || !keys.every(isPrivate))
    throw new UsageError(`${file} holds no private key as a JWK`)
  return keys as PrivateKey[]
}

const isPrivate = (key: unknown): boolean =>
  isObject(key) && typeof key.kty === 'string' && typeof key.d === 'string'
