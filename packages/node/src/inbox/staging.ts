import { mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isMissing, isNoSpace, writeDurably } from '../durable.js'
import { isObject, parseJsonBytes } from '../json.js'
import type { Clearing } from './clearing.js'
import { checkConsent } from './consent.js'
import { exists, names, type Places, readIfThere } from './disk.js'
import { type Envelope, readEnvelope, sizeOf } from './envelope.js'
import type { Owner } from './packages.js'
import { writePart } from './parts.js'
import { Refusal } from './refusal.js'
import type { ExpectedPart } from './resumable.js'

/** Uploads that are open: a folder by digest, which parts arrive in, in any order. */
export interface Staging {
  /** The upload of a study, as it was opened. */
  find(study: string, digest: string): Promise<Envelope | undefined>
  /** @throws Refusal `unknown`, or `full` when a full disk ended it */
  get(study: string, digest: string): Promise<Envelope>
  /** Whose an upload is. */
  owner(study: string, digest: string): Promise<Owner | undefined>
  /** Opens an upload, or goes on with it. */
  begin(envelope: Envelope, manifestBytes: Uint8Array): Promise<void>
  /** Digests of the parts that have not arrived. */
  missing(envelope: Envelope): Promise<string[]>
  put(study: string, digest: string, sha256: string, body: ReadableStream<Uint8Array> | null): Promise<void>
  /** What has arrived of a part. @throws Refusal `unknown`, `digest` */
  expected(study: string, digest: string, sha256: string): Promise<ExpectedPart>
  /** Runs a step of an upload; when the disk is full, or the package cannot be one, nothing of it stays here. */
  orDiscard<T>(envelope: Envelope, work: () => Promise<T>): Promise<T>
  discard(digest: string): Promise<void>
  /** Forgets the uploads under a consent. */
  discardUnder(study: string, owner: Omit<Owner, 'participant'>): Promise<void>
  /** Forgets uploads that nobody went on with, for a day or for so many milliseconds. */
  sweep(after?: number): Promise<void>
  /** How many uploads of a study are open. */
  count(study: string, except: string): Promise<number>
  /** Bytes of every upload in full with its manifest, arrived or not: what was promised room has it. */
  bytes(except: string): Promise<number>
}

// An upload that nobody went on with is forgotten after a day.
const staleAfter = 24 * 3_600_000

/** What no further part can mend. */
const hopeless: ReadonlySet<string> = new Set(['consent', 'manifest', 'withdrawn'])

/** The room that an upload has been promised. */
interface Promised {
  readonly study: string
  readonly bytes: number
}

export interface StagingOptions {
  readonly places: Places
  readonly clearing: Clearing
  /** Sets aside what turned out to be no package. */
  readonly setAside: (envelope: Envelope, refusal: Refusal) => Promise<void>
}

export function openStaging({ places, clearing, setAside }: StagingOptions): Staging {
  const partsOf = (digest: string): string => join(places.staging(digest), 'parts')
  const manifestOf = (digest: string): string => join(places.staging(digest), 'manifest.json')
  // Uploads that a full disk ended, so that their other parts, which come at the same time, hear the same.
  const full = new Set<string>()
  const gone = (digest: string): Refusal => new Refusal(full.has(digest) ? 'full' : 'unknown')

  const opened = openedEnvelopes()
  const promisedIn = (digest: string): string => join(places.staging(digest), 'promised.json')
  // Beside the manifest, which may be large; an upload that was opened by an earlier version has only that.
  const promiseOf = async (digest: string): Promise<Promised | undefined> => {
    const found = parseJsonBytes((await readIfThere(promisedIn(digest))) ?? new Uint8Array())
    if (isObject(found) && typeof found.bytes === 'number') return found as unknown as Promised
    const manifest = await readIfThere(manifestOf(digest))
    const envelope = manifest && (await opened.read(manifestOf(digest)).catch(() => undefined))
    return envelope && { study: envelope.study, bytes: sizeOf(envelope) + manifest.length }
  }

  const staging: Staging = {
    async find(study: string, digest: string): Promise<Envelope | undefined> {
      const envelope = await opened.read(manifestOf(digest))
      return envelope?.digest === digest && envelope.study === study ? envelope : undefined
    },

    async get(study: string, digest: string): Promise<Envelope> {
      const envelope = await staging.find(study, digest)
      if (!envelope) throw gone(digest)
      return envelope
    },

    async owner(study: string, digest: string): Promise<Owner | undefined> {
      const upload = await staging.find(study, digest).catch(() => undefined)
      if (!upload) return undefined
      const { consent, participant, withdrawalCommitment } = upload
      return { consent, participant, withdrawalCommitment }
    },

    async begin(envelope: Envelope, manifestBytes: Uint8Array): Promise<void> {
      const { digest, study, sealed } = envelope
      full.delete(digest)
      await mkdir(partsOf(digest), { recursive: true, mode: 0o700 })
      // A package that is sealed anew has another seal around the same parts.
      if (!sealed && (await staging.find(study, digest))) return
      const promised: Promised = { study, bytes: sizeOf(envelope) + manifestBytes.length }
      await writeDurably(promisedIn(digest), JSON.stringify(promised))
      await writeDurably(manifestOf(digest), manifestBytes)
    },

    async missing({ digest, parts }: Envelope): Promise<string[]> {
      const held = new Set(await names(partsOf(digest)))
      return [...new Set(parts.map((part) => part.sha256))].filter((one) => !held.has(one))
    },

    async put(
      study: string,
      digest: string,
      wanted: string,
      body: ReadableStream<Uint8Array> | null,
    ): Promise<void> {
      // A part that comes late belongs to a package that is stored already, or to none.
      const envelope = await staging.get(study, digest)
      const { manifest } = envelope
      const part = envelope.parts.find((one) => one.sha256 === wanted)
      if (!part) throw new Refusal('digest')
      await staging.orDiscard(envelope, async () => {
        try {
          await writePart(body, partsOf(digest), part)
        } catch (error) {
          throw isMissing(error) ? gone(digest) : error
        }
        // Looked at first, so that without consent as little as can be arrives.
        if (manifest && wanted === manifest.consent.sha256) {
          const bytes = await readIfThere(join(partsOf(digest), wanted))
          if (!bytes) throw gone(digest)
          checkConsent(bytes, manifest, Date.now())
        }
      })
    },

    async expected(study: string, digest: string, wanted: string): Promise<ExpectedPart> {
      const { parts } = await staging.get(study, digest)
      const part = parts.find((one) => one.sha256 === wanted)
      if (!part) throw new Refusal('digest')
      const held = await exists(join(partsOf(digest), wanted))
      return { size: part.size, held, folder: join(places.staging(digest), 'arriving') }
    },

    async orDiscard<T>(envelope: Envelope, work: () => Promise<T>): Promise<T> {
      const { digest } = envelope
      try {
        return await work()
      } catch (error) {
        const word = error instanceof Refusal ? error.word : undefined
        const noRoom = isNoSpace(error) || word === 'full'
        if (noRoom) full.add(digest)
        // Where it cannot be set aside it is refused all the same.
        if (error instanceof Refusal && error.finding) await setAside(envelope, error).catch(() => {})
        if (noRoom || (word !== undefined && hopeless.has(word))) await staging.discard(digest)
        throw noRoom ? new Refusal('full') : error
      }
    },

    discard: (digest: string): Promise<void> => clearing.remove(places.staging(digest)),

    async discardUnder(study: string, { consent, withdrawalCommitment }): Promise<void> {
      for (const open of await names(places.stagings)) {
        const upload = await staging.find(study, open).catch(() => undefined)
        if (upload?.consent === consent && upload.withdrawalCommitment === withdrawalCommitment)
          await staging.discard(open)
      }
    },

    async sweep(after = staleAfter): Promise<void> {
      const of = (path: string): Promise<{ mtimeMs: number } | undefined> => stat(path).catch(() => undefined)
      for (const digest of await names(places.stagings)) {
        const touched = ((await of(partsOf(digest))) ?? (await of(places.staging(digest))))?.mtimeMs
        if (touched !== undefined && Date.now() - touched > after) await staging.discard(digest)
      }
    },

    async count(study: string, except: string): Promise<number> {
      let count = 0
      for (const digest of await names(places.stagings))
        if (digest !== except && (await promiseOf(digest))?.study === study) count++
      return count
    },

    async bytes(except: string): Promise<number> {
      let bytes = 0
      for (const digest of await names(places.stagings)) {
        if (digest === except) continue
        bytes += (await promiseOf(digest))?.bytes ?? 0
      }
      return bytes
    },
  }
  return Object.freeze(staging)
}

const mostKept = 64
const mostBytesKept = 32 * 1024 * 1024

/** Manifests that were read already, those of late: every part of a package asks for the same one. */
function openedEnvelopes(): { read(path: string): Promise<Envelope | undefined> } {
  const kept = new Map<
    string,
    { readonly version: string; readonly bytes: number; readonly envelope: Envelope }
  >()
  // Another process may have written it anew, or removed it.
  const versionOf = async (path: string): Promise<string | undefined> => {
    const found = await stat(path, { bigint: true }).catch((error: unknown) => {
      if (isMissing(error)) return undefined
      throw error
    })
    return found && [found.ino, found.size, found.mtimeNs, found.ctimeNs].join(' ')
  }
  return {
    async read(path: string): Promise<Envelope | undefined> {
      const version = await versionOf(path)
      const before = kept.get(path)
      kept.delete(path)
      if (version === undefined) return undefined
      if (before?.version === version) {
        kept.set(path, before)
        return before.envelope
      }
      const bytes = await readIfThere(path)
      if (!bytes) return undefined
      const envelope = readEnvelope(bytes)
      kept.set(path, { version, bytes: bytes.length, envelope })
      let all = [...kept.values()].reduce((sum, one) => sum + one.bytes, 0)
      for (const [oldest, one] of kept) {
        if (kept.size <= mostKept && all <= mostBytesKept) break
        kept.delete(oldest)
        all -= one.bytes
      }
      return envelope
    },
  }
}
