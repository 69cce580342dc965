import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { SmartError } from '@s4s/core'

/**
 * A key that wraps the keys which the values are sealed with. It may lie in a key management service: then it never
 * enters the process, and is asked once for each data key.
 */
export interface KeyWrapping {
  /** Names the key, so that what it wrapped is known to be its own. */
  readonly id: string
  wrap(key: Uint8Array): Promise<Uint8Array>
  unwrap(wrapped: Uint8Array): Promise<Uint8Array>
}

/**
 * A wrapping key that the process holds.
 *
 * @param secret 32 random bytes as base64, such as `openssl rand -base64 32` prints
 * @example localKey('2026-11', process.env.STORE_KEY)
 * @throws SmartError `CONFIG_INVALID`
 */
export function localKey(id: string, secret: string | undefined): KeyWrapping {
  if (typeof id !== 'string' || !/^[\w.:/-]{1,100}$/.test(id)) throw invalid('the id of a key is missing')
  const key = /^[A-Za-z0-9+/_-]{43}=?$/.test(secret ?? '')
    ? Buffer.from(secret as string, 'base64')
    : undefined
  if (key?.length !== 32) throw invalid('the key of the store is not 32 bytes of base64')
  const about = `s4s-data-key ${id}`
  return Object.freeze({
    id,
    wrap: async (data: Uint8Array) => seal(key, data, about),
    unwrap: async (wrapped: Uint8Array) => unseal(key, wrapped, about),
  })
}

/** AES-256-GCM: 12 bytes of nonce, the text, 16 bytes of tag; bound to what it is about. */
export function seal(key: Uint8Array, plain: Uint8Array, about: string): Buffer {
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(about))
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}

/** @throws Error when it was changed, or is about something else */
export function unseal(key: Uint8Array, sealed: Uint8Array, about: string): Buffer {
  if (sealed.length < 28) throw new RangeError('too short')
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, 12), { authTagLength: 16 })
  decipher.setAAD(Buffer.from(about)).setAuthTag(sealed.subarray(-16))
  return Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()])
}

const invalid = (what: string): SmartError => new SmartError('CONFIG_INVALID', what)
