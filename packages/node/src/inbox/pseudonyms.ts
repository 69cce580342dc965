import { createHmac } from 'node:crypto'
import type { ConsentDocument, Manifest } from '@s4s/core'
import { parseJsonBytes } from '../json.js'
import type { InboxStudy } from './keys.js'
import type { StoredPackage } from './stored.js'

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

/** A stored package under another name: in its manifest and in its consent, from which the signature goes as well. */
export function renamed(pack: StoredPackage, name: string): StoredPackage {
  if (name === pack.participant) return pack
  const manifest: Manifest = { ...pack.manifest, participant: name }
  return Object.freeze({
    ...pack,
    participant: name,
    manifest,
    async *read(path: string) {
      if (path !== manifest.consent.path) return yield* pack.read(path)
      const chunks: Uint8Array[] = []
      for await (const chunk of pack.read(path)) chunks.push(chunk)
      yield Buffer.from(JSON.stringify(withoutNames(Buffer.concat(chunks), name)))
    },
  })
}

// What was agreed to stays; who wrote their name under it does not.
function withoutNames(bytes: Uint8Array, participant: string): Partial<ConsentDocument> {
  const { signature: _, givenBy, ...rest } = parseJsonBytes(bytes) as ConsentDocument
  const proxy = givenBy === undefined ? {} : { givenBy: { name: '', relationship: givenBy.relationship } }
  return { ...rest, ...proxy, participant }
}
