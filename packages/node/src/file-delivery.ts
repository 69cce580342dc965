import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import {
  type Delivery,
  type DeliveryOptions,
  type Package,
  type Receipt,
  readReceipt,
  SmartError,
  type WithdrawalNotice,
  type WithdrawalReceipt,
} from '@s4s/core'
import { codeOf, isMissing, isNoSpace, syncFolder, writeDurably } from './durable.js'
import { isObject, parseJsonBytes } from './json.js'

/**
 * Delivers into a folder, for a study that is reached by a disk: a share that is mounted, a folder that is synchronised,
 * a stick. Every package has a folder of its own, `<study>/<digest>`, and is whole when its `manifest.json` is there.
 *
 * The receipt has `issuer: 'storage'`: the disk took every file, and nobody of the study has looked yet. A withdrawal
 * removes what lies in the folder; the study that has taken it away has to be told by hand.
 *
 * @example await share([record], { study, consent, deliver: fileDelivery('/mnt/sleep-study') })
 * @throws TypeError when the folder is not a text
 */
export function fileDelivery(folder: string): Delivery {
  if (typeof folder !== 'string' || folder === '') throw new TypeError('folder is missing')
  return Object.freeze({
    issuer: 'storage' as const,
    deliver: (pack: Package, options: DeliveryOptions = {}) => onDisk(() => deliver(folder, pack, options)),
    withdraw: (notice: WithdrawalNotice) => onDisk(() => withdraw(folder, notice)),
  })
}

async function deliver(
  folder: string,
  pack: Package,
  { signal, onProgress }: DeliveryOptions,
): Promise<Receipt> {
  const { study, consent } = pack.manifest
  const shelf = join(folder, nameIn(study.id))
  const home = join(shelf, nameIn(pack.digest))
  if (await isThere(withdrawnMark(shelf, consent.id)))
    throw new SmartError('SHARE_WITHDRAWN', 'the participant has withdrawn this consent', {
      subject: study.id,
    })
  const whole = await readFile(join(home, 'manifest.json')).catch(noneIfMissing)
  if (!whole?.equals(pack.manifestBytes)) {
    const total = pack.parts.length
    for (const [done, part] of pack.parts.entries()) {
      signal?.throwIfAborted()
      onProgress?.({ done, total })
      const path = join(home, nameIn(part.path))
      const held = await readFile(path).catch(noneIfMissing)
      if (held && digestOf(held) === part.sha256) continue
      await mkdir(dirname(path), { recursive: true, mode: 0o700 })
      await writeDurably(path, await part.open())
    }
    onProgress?.({ done: total, total })
    signal?.throwIfAborted()
    // Last, so that whoever finds it finds all that it names.
    await writeDurably(join(home, 'manifest.json'), pack.manifestBytes)
    await syncFolder(shelf)
  }
  const { mtime } = await stat(join(home, 'manifest.json'))
  return readReceipt({
    id: `file-${pack.digest.slice(0, 32)}`,
    study: study.id,
    participant: pack.manifest.participant,
    digest: pack.digest,
    receivedAt: mtime.toISOString(),
    parts: pack.parts.length,
    resources: pack.manifest.parts.reduce((sum, part) => sum + (part.resources ?? 0), 0),
    bytes: pack.parts.reduce((sum, part) => sum + part.size, 0),
    issuer: 'storage',
  })
}

async function withdraw(folder: string, notice: WithdrawalNotice): Promise<WithdrawalReceipt> {
  const shelf = join(folder, nameIn(notice.study))
  const commitment = digestOf(notice.key)
  const mark = withdrawnMark(shelf, notice.consent)
  const isTheirs = async (digest: string): Promise<boolean> => {
    const bytes = await readFile(join(shelf, digest, 'manifest.json')).catch(noneIfMissing)
    const manifest = bytes && parseJsonBytes(bytes)
    if (!isObject(manifest) || !isObject(manifest.consent)) return false
    return manifest.consent.id === notice.consent && manifest.withdrawalCommitment === commitment
  }
  const packages = (await readdir(shelf).catch(noneIfMissing)) ?? []
  const theirs: string[] = []
  for (const digest of packages)
    if (/^[0-9a-f]{64}$/.test(digest) && (await isTheirs(digest))) theirs.push(digest)
  const known = theirs.includes(notice.digest) || (await isThere(mark))
  if (!known) throw new SmartError('SHARE_REFUSED', 'no package of this consent lies here', { status: 404 })
  await mkdir(dirname(mark), { recursive: true, mode: 0o700 })
  await writeDurably(mark, JSON.stringify({ consent: notice.consent, at: notice.at, ask: notice.ask }))
  const deleted = notice.ask === 'delete'
  for (const digest of deleted ? theirs : []) {
    // The manifest first: what is left of it, should this end halfway, is no package.
    await rm(join(shelf, digest, 'manifest.json'), { force: true })
    await rm(join(shelf, digest), { recursive: true, force: true })
  }
  await syncFolder(shelf)
  return Object.freeze({
    id: `file-${digestOf(`${notice.consent} ${notice.ask}`).slice(0, 32)}`,
    digest: notice.digest,
    at: new Date().toISOString(),
    deleted,
  })
}

// A consent's id is the sender's; as a name on the disk it is only ever its digest.
const withdrawnMark = (shelf: string, consent: string): string =>
  join(shelf, 'withdrawn', `${digestOf(consent)}.json`)

const digestOf = (bytes: string | Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

// Segments that begin with a letter or a digit: none leads out of the folder.
function nameIn(path: string): string {
  const good = path.split('/').every((segment) => /^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$/.test(segment))
  if (!good) throw new SmartError('SHARE_REFUSED', 'a name in the package is none that a folder should hold')
  return path
}

async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(noneIfMissing)) !== undefined
}

function noneIfMissing(error: unknown): undefined {
  if (!isMissing(error)) throw error
}

async function onDisk<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (isNoSpace(error))
      throw new SmartError('SHARE_INBOX_FULL', 'the disk of the study is full', { cause: error })
    if (codeOf(error) === undefined || error instanceof SmartError) throw error
    throw new SmartError('SHARE_UNREACHABLE', 'the folder of the study cannot be read or written', {
      cause: error,
    })
  }
}
