import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type Client, createClient, isSmartError, type Plan, type Provider } from '@s4s/core'
import { vendors } from '@s4s/core/vendors'
import type { ArgsDef } from 'citty'
import { isMissing } from '../durable.js'
import { type FileStore, fileStore } from '../file-store.js'
import { isObject, parseJson } from '../json.js'
import { nodePlatform } from '../platform.js'
import { optionOf, outputOf, type Typed } from './typed.js'
import { UsageError } from './usage.js'

/** The options of a command that needs the store. */
export const storeOptions: ArgsDef = {
  store: { type: 'string', valueHint: 'DIR', description: 'Where connections are kept; .s4s unless given' },
  'key-file': {
    type: 'string',
    valueHint: 'FILE',
    description: 'A file with the key of the store; else the environment has it as S4S_STORE_KEY',
  },
}

/**
 * Opens the store, and makes it if `isNew`. Its key never stands on a command line, where every process could read it.
 *
 * @throws UsageError without a key, for a key that is too short, for a folder without a store
 */
export async function openStore(typed: Typed, isNew = false): Promise<FileStore> {
  const folder = optionOf(typed, 'store') ?? '.s4s'
  const key = await keyOf(typed)
  if (!isNew) {
    const mark = await stat(join(folder, 'key-mark')).catch((error: unknown) => {
      if (!isMissing(error)) throw error
    })
    if (!mark) throw new UsageError(`there is no store in ${folder}; s4s connect makes one`)
  }
  const { err } = outputOf(typed)
  try {
    return fileStore(folder, {
      key,
      onCorrupt: () => void err.write('s4s: a file of the store is damaged\n'),
    })
  } catch (error) {
    throw isSmartError(error) ? new UsageError(error.message) : error
  }
}

async function keyOf(typed: Typed): Promise<string> {
  const file = optionOf(typed, 'key-file')
  const key =
    file === undefined
      ? process.env.S4S_STORE_KEY
      : await readFile(file, 'utf8').catch(() => {
          throw new UsageError(`the key file ${file} cannot be read`)
        })
  if (key === undefined || key.trim() === '')
    throw new UsageError('the store needs its key, by --key-file or as S4S_STORE_KEY in the environment')
  return key.trim()
}

const prefix = 'server/'

/** Keeps what a server is called and how it is signed in to, for the commands that come later. */
export async function keepServer(store: FileStore, provider: Provider): Promise<void> {
  const { vendor, ...rest } = provider
  await store.set(prefix + provider.id, JSON.stringify({ ...rest, ...(vendor ? { vendor: vendor.id } : {}) }))
}

/** A client for every server of a store. */
export async function clientOf(store: FileStore, plan: Plan): Promise<Client> {
  const names = (await store.keys(prefix)).sort()
  const texts = await Promise.all(names.map((name) => store.get(name)))
  const providers = texts.flatMap((text) => readServer(text) ?? [])
  return createClient({
    platform: nodePlatform({ store, providers }),
    redirectUri: 'http://127.0.0.1/callback',
    ...{ providers, plan, vendors },
  })
}

function readServer(text: string | undefined): Provider | undefined {
  const value = text === undefined ? undefined : parseJson(text)
  if (!isObject(value)) return undefined
  const { id, name, iss, clientId, scope, fhirVersion } = value
  if (![id, name, iss, clientId].every((one) => typeof one === 'string')) return undefined
  const vendor = vendors.find((row) => row.id === value.vendor)
  return {
    ...({ id, name, iss, clientId } as { id: string; name: string; iss: string; clientId: string }),
    ...(typeof scope === 'string' ? { scope } : {}),
    ...(fhirVersion === 'DSTU2' || fhirVersion === 'STU3' ? { fhirVersion } : {}),
    ...(vendor ? { vendor } : {}),
  }
}
