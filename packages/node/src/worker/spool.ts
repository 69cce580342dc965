import type { Given, KnownResource, Manifest, Package, Store } from '@s4s/core'
import { isObject } from '../json.js'

/** A package on its way, with what has to be written down once it has arrived. */
export interface Waiting {
  readonly pack: Package
  /** Proves to the study that a withdrawal of this package is the participant's. */
  readonly withdrawalKey: string
  readonly known: readonly KnownResource[]
  readonly startedAt: Date
  /** True when the record was collected whole. */
  readonly whole: boolean
}

/** What a study has of a connection: under which consent, and the resources, by what they were like. */
export interface Known {
  readonly consent: string
  readonly resources: readonly KnownResource[]
}

/**
 * Packages between the moment when they are made and the moment when the study has them, so that a worker which is
 * killed brings the very same one again. They hold health data, and are kept where the tokens are: sealed, or wherever
 * the client's store keeps what it is given.
 */
export interface Spool {
  put(connection: string, waiting: Waiting): Promise<void>
  /** Undefined when none waits, also when one was not written to its end. */
  open(connection: string): Promise<Waiting | undefined>
  known(connection: string): Promise<Known | undefined>
  /** The study has it: remembers what it knows now, and forgets the package. */
  finish(connection: string, known: Known): Promise<void>
  /** Forgets the package, and with `all` also what the study knows. */
  forget(connection: string, all?: 'all'): Promise<void>
}

export function createSpool(store: Store): Spool {
  const at = (connection: string, name: string): string => `worker/${connection}/${name}`
  const partAt = (connection: string, sha256: string): string => at(connection, `part/${sha256}`)

  const read = async (key: string): Promise<Record<string, unknown> | undefined> => {
    const text = await store.get(key)
    try {
      const value: unknown = text === undefined ? undefined : JSON.parse(text)
      return isObject(value) ? value : undefined
    } catch {
      return undefined
    }
  }

  const forget: Spool['forget'] = async (connection, all) => {
    // The head first: without it the parts are nothing.
    await store.delete(at(connection, 'package'))
    if (all) await store.delete(at(connection, 'known'))
    for (const key of await store.keys(at(connection, 'part/'))) await store.delete(key)
  }

  return {
    forget,

    async put(connection, { pack, startedAt, ...rest }) {
      const parts = []
      for (const { path, contentType, size, sha256, open } of pack.parts) {
        await store.set(partAt(connection, sha256), Buffer.from(await open()).toString('base64'))
        parts.push({ path, contentType, size, sha256 })
      }
      const { digest, manifest, given } = pack
      const manifestBytes = Buffer.from(pack.manifestBytes).toString('base64')
      const head = { format: 1, ...rest, startedAt: startedAt.getTime(), digest, manifest, given, parts }
      await store.set(at(connection, 'package'), JSON.stringify({ ...head, manifestBytes }))
    },

    async open(connection) {
      const head = await read(at(connection, 'package'))
      if (head?.format !== 1 || !isObject(head.manifest) || !Array.isArray(head.parts)) return undefined
      const there = new Set(await store.keys(at(connection, 'part/')))
      // A bad disk: what cannot be brought whole is collected again.
      if (!(head.parts as Package['parts']).every(({ sha256 }) => there.has(partAt(connection, sha256)))) {
        await forget(connection)
        return undefined
      }
      const parts = (head.parts as Package['parts']).map((part) => ({
        ...part,
        open: async () => {
          const text = await store.get(partAt(connection, part.sha256))
          return new Uint8Array(Buffer.from(text ?? '', 'base64'))
        },
      }))
      return {
        pack: {
          digest: String(head.digest),
          manifest: head.manifest as unknown as Manifest,
          manifestBytes: new Uint8Array(Buffer.from(String(head.manifestBytes), 'base64')),
          parts,
          given: (Array.isArray(head.given) ? head.given : []) as Given[],
        },
        withdrawalKey: String(head.withdrawalKey),
        known: (Array.isArray(head.known) ? head.known : []) as KnownResource[],
        startedAt: new Date(Number(head.startedAt)),
        whole: head.whole === true,
      }
    },

    async known(connection) {
      const found = await read(at(connection, 'known'))
      if (typeof found?.consent !== 'string' || !Array.isArray(found.resources)) return undefined
      return { consent: found.consent, resources: found.resources as KnownResource[] }
    },

    async finish(connection, known) {
      await store.set(at(connection, 'known'), JSON.stringify(known))
      await forget(connection)
    },
  }
}
