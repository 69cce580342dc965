import { createHmac } from 'node:crypto'
import type { ConsentDocument, Manifest } from '@s4s/core'
import { parseJsonBytes } from '../json.js'
import { sha256 } from './disk.js'
import type { InboxStudy } from './keys.js'
import { type StoredPackage, wholeOf } from './stored.js'

/** The name under which a study team sees a participant; without a key of the study the one that the portal uses. */
export type Naming = (study: string, participant: string) => string

// Without the letters that are read as digits.
const letters = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

/**
 * Names by a secret of each study: the same for one participant always, and in no two studies the same. Only who has
 * the key can tell which participant it is, by naming them again.
 *
 * @see https://www.rfc-editor.org/rfc/rfc2104
 */
export function namingBy(studies: readonly InboxStudy[]): Naming {
  const keys = new Map(studies.map(({ id, pseudonymKey }) => [id, pseudonymKey]))
  return (study, participant) => {
    const key = keys.get(study)
    if (key === undefined) return participant
    const bytes = createHmac('sha256', key)
      .update(JSON.stringify(['s4s-pseudonym/1', study, participant]))
      .digest()
    // 100 bits, five to a letter.
    const text = Array.from(bytes.subarray(0, 20), (byte) => letters[byte % 32]).join('')
    return `P-${text.match(/.{5}/g)?.join('-')}`
  }
}

/**
 * A stored package under another name: in its manifest and in its consent, from which the signature goes as well, and
 * every digest that was made with the old name. The manifest says the digest and the size of the consent as it is read.
 */
export async function renamed(pack: StoredPackage, name: string): Promise<StoredPackage> {
  if (name === pack.participant) return pack
  const { path: agreed } = pack.manifest.consent
  const rewritten = async (): Promise<Uint8Array> => withoutNames(await wholeOf(pack.read(agreed)), name)
  // One that the disk has damaged is told when it is read.
  const bytes = await rewritten().catch(() => new Uint8Array())
  const digest = sha256(bytes)
  const manifest: Manifest = {
    ...pack.manifest,
    participant: name,
    consent: { ...pack.manifest.consent, sha256: digest },
    parts: pack.manifest.parts.map((part) =>
      part.path === agreed ? { ...part, sha256: digest, size: bytes.length } : part,
    ),
  }
  return Object.freeze({
    ...pack,
    participant: name,
    manifest,
    async *read(path: string) {
      if (path === agreed) yield await rewritten()
      else yield* pack.read(path)
    },
  })
}

// What was agreed to stays; who wrote their name under it does not, nor a digest that a guess could be tried on.
function withoutNames(bytes: Uint8Array, participant: string): Uint8Array {
  const {
    signature: _,
    digest: __,
    replaces: ___,
    givenBy,
    ...rest
  } = parseJsonBytes(bytes) as ConsentDocument
  const proxy = givenBy === undefined ? {} : { givenBy: { name: '', relationship: givenBy.relationship } }
  return Buffer.from(JSON.stringify({ ...rest, ...proxy, participant }))
}
