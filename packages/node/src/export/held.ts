import { type PrivateKey, SmartError } from '@s4s/core'
import { isMissing } from '../durable.js'
import type { Inbox } from '../inbox/inbox.js'
import type { StoredPackage } from '../inbox/stored.js'

/**
 * The packages that a study holds, oldest first, for an export that nobody may have withdrawn from when it is done: what
 * is deleted while it is read ends the reading, and the next one is without it.
 *
 * @param keys open those that are sealed; default: the study's `openKeys`
 * @throws SmartError `SHARE_WITHDRAWN`, `SHARE_SEAL_INVALID`
 */
export async function* heldPackages(
  inbox: Pick<Inbox, 'stored' | 'withdrawals'>,
  study: string,
  keys?: readonly PrivateKey[],
): AsyncGenerator<StoredPackage> {
  const read = new Set<string>()
  try {
    for await (const stored of inbox.stored(study, keys)) {
      read.add(stored.digest)
      yield Object.freeze({ ...stored, read: (path: string) => readOrGone(stored, path) })
    }
  } catch (error) {
    throw isMissing(error) ? gone(error) : error
  }
  const withdrawn = await inbox.withdrawals(study)
  if (withdrawn.some(({ digest, deleted }) => deleted && read.has(digest))) throw gone()
}

async function* readOrGone(stored: StoredPackage, path: string): AsyncGenerator<Uint8Array> {
  try {
    yield* stored.read(path)
  } catch (error) {
    throw isMissing(error) ? gone(error) : error
  }
}

const gone = (cause?: unknown): SmartError =>
  new SmartError('SHARE_WITHDRAWN', 'a package was deleted while it was read', { cause })
