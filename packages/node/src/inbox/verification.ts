import { createReadStream } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { ConsentDocument, Manifest, PrivateKey } from '@s4s/core'
import { isObject, parseJsonBytes } from '../json.js'
import { checkConsent, limitsOf } from './consent.js'
import { readIfThere, sha256 } from './disk.js'
import { type Envelope, readEnvelope, sizeOf } from './envelope.js'
import { kindOf } from './manifest.js'
import { inspectPart } from './parts.js'
import { Refusal } from './refusal.js'
import { checkSealed } from './sealed.js'
import { type Home, openStored, wholeOf } from './stored.js'

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

const piece = { highWaterMark: 256 * 1024 }

/**
 * Holds the parts of an upload, which lie in a folder by their digests, against its manifest.
 *
 * @returns the consent that covers the package, where it can be read
 * @throws Refusal `manifest`, `consent`; `incomplete` for parts that the disk has damaged, which are then gone
 */
export async function checkParts(
  { manifest, sealed, parts }: Envelope,
  folder: string,
  keys: readonly PrivateKey[],
): Promise<ConsentDocument | undefined> {
  const damaged: string[] = []
  const agreed = manifest && (await agreedIn(folder, manifest))
  const limits = agreed && limitsOf(agreed)
  for (const part of parts) {
    const kind = manifest ? kindOf(part) : ({ kind: 'attachment' } as const)
    const finding = await inspectPart(createReadStream(join(folder, part.sha256), piece), part, kind, limits)
    if (finding === 'content') throw new Refusal('manifest', { part: part.path, finding: 'content' })
    if (finding === 'outside') throw new Refusal('consent', { part: part.path, finding: 'consent-narrow' })
    if (finding === 'digest') damaged.push(part.sha256)
  }
  if (damaged.length === 0) {
    if (agreed) return agreed
    if (sealed && keys.length > 0)
      return checkSealed(sealed, keys, (digest) => readFile(join(folder, digest)), Date.now())
    return undefined
  }
  // It was whole when it arrived, so the disk has changed it: the sender still has it.
  for (const one of damaged) await rm(join(folder, one), { force: true })
  throw new Refusal('incomplete', { missing: [...new Set(damaged)] })
}

// Before anything else of a participant is looked at. One that the disk has damaged is found with the other parts.
async function agreedIn(folder: string, manifest: Manifest): Promise<ConsentDocument | undefined> {
  const bytes = await readIfThere(join(folder, manifest.consent.sha256))
  const whole = bytes && sha256(bytes) === manifest.consent.sha256
  return whole ? checkConsent(bytes, manifest, Date.now()) : undefined
}

/** Reads a stored package again, and says what is no longer as it was sent. */
export async function faultsOf(home: Home, digest: string, keys: readonly PrivateKey[]): Promise<Fault[]> {
  const { folder } = home
  const bytes = await readIfThere(join(folder, 'manifest.json'))
  if (!bytes) return [{ path: 'manifest.json', fault: 'missing' }]
  const envelope = envelopeOf(bytes)
  if (envelope?.digest !== digest) return [{ path: 'manifest.json', fault: 'digest' }]
  const { manifest, sealed } = envelope
  const faults: Fault[] = []
  const given = manifest && (await wholeOf(home.read('consent.json')).catch(() => undefined))
  const agreed = given && manifest && consentThen(given, manifest)
  const limits = agreed && limitsOf(agreed)
  for (const part of envelope.parts) {
    const kind = manifest ? kindOf(part) : ({ kind: 'attachment' } as const)
    const finding = await inspectPart(home.read(part.path), part, kind, limits).catch(
      () => 'missing' as const,
    )
    if (finding !== 'ok') faults.push({ path: part.path, fault: finding === 'outside' ? 'consent' : finding })
  }
  if (sealed && keys.length > 0 && faults.length === 0) {
    const inside = await openStored(home, keys).catch(() => undefined)
    if (!inside) faults.push({ path: 'manifest.json', fault: 'content' })
  }
  const whole = !faults.some(({ path }) => path === 'consent.json')
  if (given && manifest && whole && !agreed) {
    faults.push({ path: 'consent.json', fault: 'consent' })
  }
  const receipt = parseJsonBytes((await readIfThere(join(folder, 'receipt.json'))) ?? new Uint8Array())
  if (!isObject(receipt)) faults.push({ path: 'receipt.json', fault: 'missing' })
  else if (receipt.digest !== digest || receipt.bytes !== sizeOf(envelope)) {
    faults.push({ path: 'receipt.json', fault: 'content' })
  }
  return faults
}

function envelopeOf(bytes: Uint8Array): Envelope | undefined {
  try {
    return readEnvelope(bytes)
  } catch {
    return undefined
  }
}

// Whether it still runs is not asked: what was given while it ran stays given.
function consentThen(bytes: Uint8Array, manifest: Manifest): ConsentDocument | undefined {
  try {
    const { givenAt = '' } = parseJsonBytes(bytes) as { givenAt?: string }
    return checkConsent(bytes, manifest, Date.parse(givenAt))
  } catch {
    return undefined
  }
}
