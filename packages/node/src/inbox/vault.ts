import { createHash, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto'
import { copyFile, link, mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import {
  type ConsentDocument,
  type Lock,
  type Manifest,
  type PrivateKey,
  type Receipt,
  readReceipt,
  type SealedManifest,
  type WithdrawalNotice,
  type WithdrawalReceipt,
} from '@s4s/core'
import { codeOf, isMissing, isNoSpace, syncFolder, writeDurably } from '../durable.js'
import { fileLock } from '../file-lock.js'
import { isObject, parseJsonBytes } from '../json.js'
import { openClearing } from './clearing.js'
import { checkConsent, maxConsentBytes } from './consent.js'
import { type Envelope, readEnvelope } from './envelope.js'
import { kindOf } from './manifest.js'
import { inspectPart, writePart } from './parts.js'
import { Refusal } from './refusal.js'
import type { ExpectedPart } from './resumable.js'
import { checkSealed, unseal } from './sealed.js'
import { readPart, type StoredPackage } from './stored.js'

/** One package, as the study team sees it. Nothing of the record is in it. */
export interface PackageRow {
  readonly digest: string
  readonly participant: string
  readonly receivedAt: string
  readonly resources: number
  readonly bytes: number
  readonly status: 'stored' | 'withdrawn'
  readonly withdrawnAt?: string
  /** True when the package was removed at the participant's wish. */
  readonly deleted?: boolean
  /** What the participant's providers gave, by data class; empty when the package was removed. */
  readonly completeness: readonly {
    readonly provider: string
    readonly dataClass: string
    readonly status: string
    readonly count: number
  }[]
}

/** One withdrawal, as the study team sees it. */
export interface WithdrawalRow {
  readonly digest: string
  readonly participant: string
  /** The consent's id; nothing more is taken under it. */
  readonly consent: string
  readonly at: string
  /** True when the package was removed, false when the participant asked for no more to be taken. */
  readonly deleted: boolean
}

/** What is wrong with a stored package. */
export interface Fault {
  /** The part, or the manifest or receipt. */
  readonly path: string
  readonly fault: 'unknown' | 'missing' | 'digest' | 'content' | 'consent'
}

/** Whether a stored package is still what was sent. */
export interface Verification {
  readonly ok: boolean
  readonly faults: readonly Fault[]
}

/** What an open upload still lacks, or the receipt when nothing is left to do. */
export type Opened =
  | {
      readonly kind: 'open'
      readonly digest: string
      readonly missing: readonly string[]
      readonly sealed?: string
    }
  | { readonly kind: 'stored'; readonly receipt: Receipt }

/** The packages on the disk: staged by digest while they arrive, then moved in whole, in one step. */
export interface Vault {
  open(study: string, manifestBytes: Uint8Array): Promise<Opened>
  put(study: string, digest: string, sha256: string, body: ReadableStream<Uint8Array> | null): Promise<void>
  complete(study: string, digest: string): Promise<{ readonly created: boolean; readonly receipt: Receipt }>
  withdraw(study: string, notice: WithdrawalNotice): Promise<WithdrawalReceipt>
  rows(study: string): Promise<PackageRow[]>
  withdrawals(study: string): Promise<WithdrawalRow[]>
  verify(studies: readonly string[], digest: string): Promise<Verification>
  /** What an open upload has of a part. @throws Refusal `unknown`, `digest` */
  expected(study: string, digest: string, sha256: string): Promise<ExpectedPart>
  /** The packages that are held and may be used, oldest first. */
  stored(study: string, keys?: readonly PrivateKey[]): AsyncIterable<StoredPackage>
}

export interface VaultOptions {
  readonly folder: string
  readonly maxBytes: number
  readonly quotaBytes: number
  /** Signs what a study acknowledges; without a key of the study it stays as it is. */
  readonly sign: <Claims extends object>(study: string, claims: Claims) => Promise<Claims>
  /** Keys that open the sealed packages of a study. */
  readonly openKeys: (study: string) => readonly PrivateKey[]
}

interface Tombstone {
  readonly format: 's4s-tombstone/1'
  readonly digest: string
  readonly study: string
  readonly participant: string
  readonly consent: string
  readonly withdrawalCommitment: string
  readonly receivedAt: string
  readonly resources: number
  readonly bytes: number
  readonly receipt: WithdrawalReceipt
}

// An upload that nobody went on with is forgotten after a day.
const staleAfter = 24 * 3_600_000

export function openVault({ folder, maxBytes, quotaBytes, sign, openKeys }: VaultOptions): Vault {
  const staging = (digest: string): string => join(folder, 'staging', digest)
  const home = (study: string, digest: string): string => join(folder, 'packages', study, digest)
  const graves = (study: string): string => join(folder, 'withdrawn', study)
  const lock: Lock = fileLock(join(folder, 'locks'))
  const clearing = openClearing(folder)
  // Whoever completes and whoever withdraws under one consent take turns, also over processes.
  const turn = <T>(study: string, consent: string, work: () => Promise<T>): Promise<T> =>
    lock(`${study}/${consent}`, work)

  const storedReceipt = async (study: string, digest: string): Promise<Receipt | undefined> => {
    const bytes = await readIfThere(join(home(study, digest), 'receipt.json'))
    return bytes && readReceipt(parseJsonBytes(bytes))
  }

  const staged = async (study: string, digest: string): Promise<Envelope | undefined> => {
    const bytes = await readIfThere(join(staging(digest), 'manifest.json'))
    const envelope = bytes && readEnvelope(bytes)
    return envelope?.digest === digest && envelope.study === study ? envelope : undefined
  }

  const tombstone = async (study: string, digest: string): Promise<Tombstone | undefined> => {
    const bytes = await readIfThere(join(graves(study), `${digest}.json`))
    return bytes && (parseJsonBytes(bytes) as Tombstone)
  }

  const consentFile = (study: string, consent: string): string =>
    join(graves(study), `consent-${sha256(consent)}`)

  const isWithdrawn = async (study: string, digest: string, consent: string): Promise<boolean> =>
    (await exists(join(graves(study), `${digest}.json`))) || (await exists(consentFile(study, consent)))

  const discard = (digest: string): Promise<void> => clearing.remove(staging(digest))
  // Uploads that a full disk ended, so that their other parts, which come at the same time, hear the same.
  const full = new Set<string>()
  const gone = (digest: string): Refusal => new Refusal(full.has(digest) ? 'full' : 'unknown')

  // A stored package never changes, so its receipt need be read only once.
  const sizes = new Map<string, number>()

  /** Bytes of everything stored and of every upload that is open, in full: what was promised room has it. */
  const used = async (except: string): Promise<number> => {
    let bytes = 0
    for (const study of await names(join(folder, 'packages'))) {
      for (const digest of await names(join(folder, 'packages', study))) {
        const size =
          sizes.get(digest) ?? (await storedReceipt(study, digest).catch(() => undefined))?.bytes ?? 0
        sizes.set(digest, size)
        bytes += size
      }
    }
    for (const digest of await names(join(folder, 'staging'))) {
      if (digest === except) continue
      const manifest = parseJsonBytes(
        (await readIfThere(join(staging(digest), 'manifest.json'))) ?? new Uint8Array(),
      )
      if (isObject(manifest) && Array.isArray(manifest.parts))
        bytes += sizeOf(manifest as unknown as Envelope)
    }
    return bytes
  }

  const sweep = async (): Promise<void> => {
    for (const digest of await names(join(folder, 'staging'))) {
      const of = (path: string): Promise<{ mtimeMs: number } | undefined> => stat(path).catch(() => undefined)
      const touched = ((await of(join(staging(digest), 'parts'))) ?? (await of(staging(digest))))?.mtimeMs
      if (touched !== undefined && Date.now() - touched > staleAfter) await discard(digest)
    }
  }

  let beginning: Promise<void> | undefined
  /** What a process that was killed left undone is done before anything else. */
  const ready = (): Promise<void> => {
    beginning ??= begin().catch((error: unknown) => {
      beginning = undefined
      throw error
    })
    return beginning
  }

  const begin = async (): Promise<void> => {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    await clearing.finish()
    await sweep()
    for (const study of await names(join(folder, 'withdrawn'))) {
      for (const { digest, receipt } of await stones(study)) {
        if (receipt.deleted) await clearing.remove(home(study, digest))
      }
    }
  }

  const stones = async (study: string): Promise<Tombstone[]> => {
    const found: Tombstone[] = []
    for (const file of await names(graves(study))) {
      const digest = /^([0-9a-f]{64})\.json$/.exec(file)?.[1]
      const stone = digest === undefined ? undefined : await tombstone(study, digest)
      if (stone) found.push(stone)
    }
    return found
  }

  // Of a package whose seal nobody here can open, how much there is and nothing more.
  const manifestAt = async (study: string, digest: string): Promise<Manifest | undefined> =>
    openStored(home(study, digest), openKeys(study)).then(
      ({ manifest }) => manifest,
      () => undefined,
    )

  /** A consent to share once covers one package: another under it is refused, and the same again is not another. */
  const checkOnlyOne = async (study: string, digest: string, consent: string): Promise<void> => {
    for (const one of await names(join(folder, 'packages', study))) {
      if (one !== digest && (await ownerAt(home(study, one)))?.consent === consent)
        throw new Refusal('consent', { part: 'consent.json' })
    }
  }

  const missingOf = async (manifest: Envelope, digest: string): Promise<string[]> => {
    const held = new Set(await names(join(staging(digest), 'parts')))
    return [...new Set(manifest.parts.map((part) => part.sha256))].filter((one) => !held.has(one))
  }

  /** Runs a step of an upload; when the disk is full, or the package cannot be one, nothing of it stays behind. */
  const orDiscard = async <T>(digest: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (error) {
      const noRoom = isNoSpace(error) || (error instanceof Refusal && error.word === 'full')
      if (noRoom) full.add(digest)
      if (noRoom || (error instanceof Refusal && hopeless.has(error.word))) await discard(digest)
      throw noRoom ? new Refusal('full') : error
    }
  }

  const build = async (envelope: Envelope): Promise<Receipt> => {
    const { digest, study, participant, resources } = envelope
    const parts = join(staging(digest), 'parts')
    const made = join(staging(digest), `build-${randomBytes(6).toString('hex')}`)
    const receipt: Receipt = await sign(study, {
      id: `receipt-${randomUUID()}`,
      study,
      participant,
      digest,
      receivedAt: new Date().toISOString(),
      parts: envelope.parts.length,
      resources,
      bytes: sizeOf(envelope),
    })
    try {
      const folders = new Set([made])
      for (const part of envelope.parts) {
        const target = join(made, ...part.path.split('/'))
        for (let at = dirname(target); at.length > made.length; at = dirname(at)) folders.add(at)
        await mkdir(dirname(target), { recursive: true, mode: 0o700 })
        await linkOrCopy(join(parts, part.sha256), target)
      }
      await linkOrCopy(join(staging(digest), 'manifest.json'), join(made, 'manifest.json'))
      await writeDurably(join(made, 'receipt.json'), `${JSON.stringify(receipt)}\n`)
      for (const one of folders) await syncFolder(one)
      const target = home(study, digest)
      await mkdir(dirname(target), { recursive: true, mode: 0o700 })
      // The one step that makes it stored.
      await rename(made, target)
      await syncFolder(dirname(target))
      return receipt
    } catch (error) {
      await rm(made, { recursive: true, force: true }).catch(() => {})
      // Another process was first: its receipt is the receipt.
      const first = ['ENOTEMPTY', 'EEXIST'].includes(codeOf(error) ?? '')
      const existing = first ? await storedReceipt(study, digest) : undefined
      if (existing) return existing
      throw error
    }
  }

  const vault: Vault = {
    async open(study: string, manifestBytes: Uint8Array): Promise<Opened> {
      const envelope = readEnvelope(manifestBytes)
      const { digest } = envelope
      if (envelope.study !== study) throw new Refusal('key')
      if (await isWithdrawn(study, digest, envelope.consent)) {
        await discard(digest)
        throw new Refusal('withdrawn')
      }
      const receipt = await storedReceipt(study, digest)
      if (receipt) {
        await discard(digest)
        return { kind: 'stored', receipt }
      }
      const size = sizeOf(envelope)
      if (!(size <= maxBytes)) throw new Refusal('too-large')
      if (envelope.parts.some(({ path, size: one }) => path === 'consent.json' && one > maxConsentBytes)) {
        throw new Refusal('consent', { part: 'consent.json' })
      }
      await sweep()
      full.delete(digest)
      const stage = (): Promise<Opened> =>
        orDiscard(digest, async () => {
          if (quotaBytes < Number.POSITIVE_INFINITY && (await used(digest)) + size > quotaBytes)
            throw new Refusal('full')
          await mkdir(join(staging(digest), 'parts'), { recursive: true, mode: 0o700 })
          // A package that is sealed anew has another seal around the same parts.
          if (envelope.sealed || !(await staged(study, digest)))
            await writeDurably(join(staging(digest), 'manifest.json'), manifestBytes)
          const missing = await missingOf(envelope, digest)
          const sealed = envelope.sealed ? { sealed: sha256(manifestBytes) } : {}
          return { kind: 'open', digest, missing, ...sealed }
        })
      // One at a time where room is promised, so that it is not promised twice.
      return quotaBytes < Number.POSITIVE_INFINITY ? lock('quota', stage) : stage()
    },

    async put(
      study: string,
      digest: string,
      wanted: string,
      body: ReadableStream<Uint8Array> | null,
    ): Promise<void> {
      const envelope = await staged(study, digest)
      // A part that comes late belongs to a package that is stored already, or to none.
      if (!envelope) throw gone(digest)
      const { manifest } = envelope
      const part = envelope.parts.find((one) => one.sha256 === wanted)
      if (!part) throw new Refusal('digest')
      await orDiscard(digest, async () => {
        try {
          await writePart(body, join(staging(digest), 'parts'), part)
        } catch (error) {
          throw isMissing(error) ? gone(digest) : error
        }
        // Looked at first, so that without consent as little as can be arrives.
        if (manifest && wanted === manifest.consent.sha256) {
          const bytes = await readIfThere(join(staging(digest), 'parts', wanted))
          if (!bytes) throw gone(digest)
          checkConsent(bytes, manifest, Date.now())
        }
      })
    },

    async expected(study: string, digest: string, wanted: string): Promise<ExpectedPart> {
      const envelope = await staged(study, digest)
      if (!envelope) throw gone(digest)
      const part = envelope.parts.find((one) => one.sha256 === wanted)
      if (!part) throw new Refusal('digest')
      const held = await exists(join(staging(digest), 'parts', wanted))
      return { size: part.size, held, folder: join(staging(digest), 'arriving') }
    },

    async complete(
      study: string,
      digest: string,
    ): Promise<{ readonly created: boolean; readonly receipt: Receipt }> {
      if (await exists(join(graves(study), `${digest}.json`))) throw new Refusal('withdrawn')
      const before = await storedReceipt(study, digest)
      if (before) return { created: false, receipt: before }
      const envelope = await staged(study, digest)
      if (!envelope) throw gone(digest)
      return orDiscard(digest, () =>
        turn(study, envelope.consent, async () => {
          const meanwhile = await storedReceipt(study, digest)
          if (meanwhile) return { created: false, receipt: meanwhile }
          if (await isWithdrawn(study, digest, envelope.consent)) throw new Refusal('withdrawn')
          const parts = join(staging(digest), 'parts')
          const missing = await missingOf(envelope, digest)
          if (missing.length > 0) throw new Refusal('incomplete', { missing })
          const agreed = await checkParts(envelope, parts, openKeys(study))
          if (agreed?.sharing === 'once') await checkOnlyOne(study, digest, envelope.consent)
          const receipt = await build(envelope)
          await discard(digest).catch(() => {})
          return { created: true, receipt }
        }),
      )
    },

    async withdraw(study: string, notice: WithdrawalNotice): Promise<WithdrawalReceipt> {
      const { digest } = notice
      const known = await ownerAt(home(study, digest))
      const grave = await tombstone(study, digest)
      const consent = known?.consent ?? grave?.consent
      const commitment = known?.withdrawalCommitment ?? grave?.withdrawalCommitment
      const participant = known?.participant ?? grave?.participant
      if (consent === undefined || commitment === undefined) throw new Refusal('unknown')
      const proven = timingSafeEqual(Buffer.from(sha256(notice.key)), Buffer.from(commitment))
      if (!proven || consent !== notice.consent || participant !== notice.participant) {
        throw new Refusal('withdrawal-key')
      }
      return turn(study, consent, async () => {
        const earlier = await tombstone(study, digest)
        const stored = await storedReceipt(study, digest).catch(() => undefined)
        const remove = notice.ask === 'delete'
        // Said again, or said less than before.
        if (earlier && (earlier.receipt.deleted || !remove)) {
          if (earlier.receipt.deleted) await clearing.remove(home(study, digest))
          return earlier.receipt
        }
        const receipt: WithdrawalReceipt = await sign(study, {
          id: `withdrawal-${randomUUID()}`,
          digest,
          at: new Date().toISOString(),
          deleted: remove,
        })
        const { receivedAt, resources, bytes } = stored ??
          earlier ?? { receivedAt: '', resources: 0, bytes: 0 }
        const stone: Tombstone = {
          format: 's4s-tombstone/1',
          digest,
          study,
          participant: notice.participant,
          consent,
          withdrawalCommitment: commitment,
          receivedAt,
          resources,
          bytes,
          receipt,
        }
        // First what keeps it from coming back; what a crash between the two leaves is removed at the next start.
        await mkdir(graves(study), { recursive: true, mode: 0o700 })
        await writeDurably(consentFile(study, consent), '')
        await writeDurably(join(graves(study), `${digest}.json`), `${JSON.stringify(stone)}\n`)
        if (remove) {
          await clearing.remove(home(study, digest))
          await syncFolder(join(folder, 'packages', study))
        }
        for (const open of await names(join(folder, 'staging'))) {
          const upload = await staged(study, open).catch(() => undefined)
          if (upload?.consent === consent) await discard(open)
        }
        return receipt
      })
    },

    async rows(study: string): Promise<PackageRow[]> {
      const rows: PackageRow[] = []
      for (const stone of await stones(study)) {
        const { participant, receivedAt, resources, bytes, receipt } = stone
        const manifest = receipt.deleted ? undefined : await manifestAt(study, stone.digest)
        rows.push({
          digest: stone.digest,
          participant,
          receivedAt,
          resources,
          bytes,
          status: 'withdrawn',
          withdrawnAt: receipt.at,
          deleted: receipt.deleted,
          completeness: completenessOf(manifest),
        })
      }
      const gone = new Set(rows.map(({ digest }) => digest))
      for (const digest of await names(join(folder, 'packages', study))) {
        if (gone.has(digest)) continue
        const receipt = await storedReceipt(study, digest).catch(() => undefined)
        const manifest = await manifestAt(study, digest)
        if (!receipt) continue
        const { participant, receivedAt, resources, bytes } = receipt
        const completeness = completenessOf(manifest)
        rows.push({ digest, participant, receivedAt, resources, bytes, status: 'stored', completeness })
      }
      return rows.sort((a, b) => compare(b.receivedAt, a.receivedAt) || compare(a.digest, b.digest))
    },

    async withdrawals(study: string): Promise<WithdrawalRow[]> {
      return (await stones(study))
        .map(({ digest, participant, consent, receipt: { at, deleted } }) =>
          Object.freeze({ digest, participant, consent, at, deleted }),
        )
        .sort((a, b) => compare(b.at, a.at) || compare(a.digest, b.digest))
    },

    async *stored(study: string, keys?: readonly PrivateKey[]): AsyncGenerator<StoredPackage> {
      await ready()
      const kept = (await vault.rows(study)).filter(({ deleted }) => deleted !== true)
      for (const { digest, participant, receivedAt } of kept.reverse()) {
        const opened = await openStored(home(study, digest), keys ?? openKeys(study))
        yield Object.freeze({ study, digest, participant, receivedAt, ...opened })
      }
    },

    async verify(studies: readonly string[], digest: string): Promise<Verification> {
      const of = (faults: readonly Fault[]): Verification =>
        Object.freeze({ ok: faults.length === 0, faults: Object.freeze(faults) })
      if (!/^[0-9a-f]{64}$/.test(digest)) return of([{ path: '', fault: 'unknown' }])
      for (const study of studies) {
        if (await exists(home(study, digest)))
          return of(await faultsOf(home(study, digest), digest, openKeys(study)))
      }
      return of([{ path: '', fault: 'unknown' }])
    },
  }

  const begun = <A extends unknown[], T>(work: (...given: A) => Promise<T>) => {
    return async (...given: A): Promise<T> => {
      await ready()
      return work(...given)
    }
  }
  return Object.freeze({
    open: begun(vault.open),
    put: begun(vault.put),
    expected: begun(vault.expected),
    complete: begun(vault.complete),
    // Whoever withdraws is heard, also when nothing more fits on the disk.
    withdraw: begun((study, notice) => clearing.withReserve(() => vault.withdraw(study, notice))),
    rows: begun(vault.rows),
    withdrawals: begun(vault.withdrawals),
    verify: begun(vault.verify),
    stored: vault.stored,
  } satisfies Vault)
}

/** What no further part can mend. */
const hopeless: ReadonlySet<string> = new Set(['consent', 'manifest', 'withdrawn'])

/** The consent that covers the package, where it can be read. */
async function checkParts(
  { manifest, sealed, parts }: Envelope,
  folder: string,
  keys: readonly PrivateKey[],
): Promise<ConsentDocument | undefined> {
  const damaged: string[] = []
  for (const part of parts) {
    const kind = manifest ? kindOf(part) : ({ kind: 'attachment' } as const)
    const finding = await inspectPart(join(folder, part.sha256), part, kind)
    if (finding === 'content') throw new Refusal('manifest', { part: part.path })
    if (finding === 'digest') damaged.push(part.sha256)
  }
  if (damaged.length === 0) {
    if (manifest)
      return checkConsent(await readFile(join(folder, manifest.consent.sha256)), manifest, Date.now())
    if (sealed && keys.length > 0)
      return checkSealed(sealed, keys, (digest) => join(folder, digest), Date.now())
    return undefined
  }
  // It was whole when it arrived, so the disk has changed it: the sender still has it.
  for (const one of damaged) await rm(join(folder, one), { force: true })
  throw new Refusal('incomplete', { missing: [...new Set(damaged)] })
}

async function faultsOf(folder: string, digest: string, keys: readonly PrivateKey[]): Promise<Fault[]> {
  const bytes = await readIfThere(join(folder, 'manifest.json'))
  if (!bytes) return [{ path: 'manifest.json', fault: 'missing' }]
  const envelope = envelopeOf(bytes)
  if (envelope?.digest !== digest) return [{ path: 'manifest.json', fault: 'digest' }]
  const { manifest, sealed } = envelope
  const faults: Fault[] = []
  for (const part of envelope.parts) {
    const kind = manifest ? kindOf(part) : ({ kind: 'attachment' } as const)
    const finding = await inspectPart(join(folder, ...part.path.split('/')), part, kind).catch(
      () => 'missing' as const,
    )
    if (finding !== 'ok') faults.push({ path: part.path, fault: finding })
  }
  if (sealed && keys.length > 0 && faults.length === 0) {
    const inside = await openStored(folder, keys).catch(() => undefined)
    if (!inside) faults.push({ path: 'manifest.json', fault: 'content' })
  }
  const agreed = await readIfThere(join(folder, 'consent.json'))
  if (
    agreed &&
    manifest &&
    !faults.some(({ path }) => path === 'consent.json') &&
    !covers(agreed, manifest)
  ) {
    faults.push({ path: 'consent.json', fault: 'consent' })
  }
  const receipt = parseJsonBytes((await readIfThere(join(folder, 'receipt.json'))) ?? new Uint8Array())
  if (!isObject(receipt)) faults.push({ path: 'receipt.json', fault: 'missing' })
  else if (receipt.digest !== digest || receipt.bytes !== sizeOf(envelope)) {
    faults.push({ path: 'receipt.json', fault: 'content' })
  }
  return faults
}

// Whether it still runs is not asked: what was given while it ran stays given.
function covers(agreed: Uint8Array, manifest: Manifest): boolean {
  try {
    const given = (parseJsonBytes(agreed) as { givenAt?: string }).givenAt ?? ''
    checkConsent(agreed, manifest, Date.parse(given))
    return true
  } catch {
    return false
  }
}

function completenessOf(manifest: Manifest | undefined): PackageRow['completeness'] {
  return (manifest?.sources ?? []).flatMap(({ provider, completeness }) =>
    completeness.map(({ dataClass, status, count }) => ({
      provider: provider.name,
      dataClass,
      status,
      count,
    })),
  )
}

// What a withdrawal needs is read without the rest: a package that the disk has damaged must be removable too.
async function ownerAt(
  folder: string,
): Promise<{ consent: string; participant: string; withdrawalCommitment: string } | undefined> {
  const manifest = parseJsonBytes((await readIfThere(join(folder, 'manifest.json'))) ?? new Uint8Array())
  if (!isObject(manifest) || !isObject(manifest.consent)) return undefined
  const { participant, withdrawalCommitment, consent } = manifest
  if (typeof participant !== 'string' || typeof consent.id !== 'string') return undefined
  if (typeof withdrawalCommitment !== 'string' || !/^[0-9a-f]{64}$/.test(withdrawalCommitment))
    return undefined
  return { consent: consent.id, participant, withdrawalCommitment }
}

function envelopeOf(bytes: Uint8Array): Envelope | undefined {
  try {
    return readEnvelope(bytes)
  } catch {
    return undefined
  }
}

/**
 * A stored package, opened where it is sealed.
 *
 * @throws SmartError `SHARE_SEAL_INVALID` when none of the keys opens it
 */
async function openStored(
  folder: string,
  keys: readonly PrivateKey[],
): Promise<Pick<StoredPackage, 'manifest' | 'read'>> {
  const { manifest, sealed } = readEnvelope(await readFile(join(folder, 'manifest.json')))
  if (manifest) return { manifest, read: (path: string) => readPart(folder, manifest, path) }
  const places = new Map(sealed?.parts.map((part) => [part.sha256, join(folder, ...part.path.split('/'))]))
  const inside = await unseal(sealed as SealedManifest, keys, (digest) => places.get(digest) ?? folder)
  return {
    manifest: inside.manifest,
    async *read(path: string) {
      yield await inside.read(path)
    },
  }
}

async function linkOrCopy(from: string, to: string): Promise<void> {
  try {
    await link(from, to)
  } catch (error) {
    if (isMissing(error) || isNoSpace(error)) throw error
    await copyFile(from, to)
  }
}

async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(path)
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

async function names(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort()
  } catch (error) {
    if (isMissing(error)) return []
    throw error
  }
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    (error) => {
      if (isMissing(error)) return false
      throw error
    },
  )

const sizeOf = ({ parts }: Pick<Envelope, 'parts'>): number => parts.reduce((sum, part) => sum + part.size, 0)
const sha256 = (data: string | Uint8Array): string => createHash('sha256').update(data).digest('hex')
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
