import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { EncryptJWT, type JWTPayload, jwtDecrypt } from 'jose'

/** Who a browser is to us: a random id and nothing else. */
export interface Session {
  readonly id: string
  /** What is kept beside a pending launch; the id does not follow from it. */
  readonly mark: string
}

/** Reads and writes the one cookie of the handler. */
export interface Sessions {
  /** The session of a request, if it carries one that we sealed and that has not expired. */
  read(request: Request): Promise<Session | undefined>
  /** The session of a request, or a new one. */
  open(request: Request): Promise<Session>
  /** The `Set-Cookie` line for a session. */
  write(session: Session): Promise<string>
}

const lifetime = 30 * 24 * 3600
const idForm = /^[A-Za-z0-9_-]{43}$/

/**
 * Sessions sealed in a cookie. Over https its name begins with `__Host-`, so that no other host, port or plain
 * connection can plant one.
 *
 * @see https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis#section-4.1.3
 */
export async function createSessions(
  secrets: readonly string[],
  secure: boolean,
  framed = false,
): Promise<Sessions> {
  const name = secure ? '__Host-s4s' : 's4s'
  const keys = await Promise.all(secrets.map(deriveKey))
  const attributes = framed ? 'SameSite=None; Secure; Partitioned' : `SameSite=Lax${secure ? '; Secure' : ''}`

  const read = async (request: Request): Promise<Session | undefined> => {
    const sealed = cookieOf(request, name)
    if (sealed === undefined || sealed.length > 1024) return undefined
    for (const key of keys) {
      const payload = await unseal(sealed, key)
      if (typeof payload?.sid === 'string' && idForm.test(payload.sid)) return sessionOf(payload.sid)
    }
    return undefined
  }

  return Object.freeze({
    read,
    open: async (request: Request) =>
      (await read(request)) ?? sessionOf(randomBytes(32).toString('base64url')),
    write: async ({ id }: Session) => {
      const sealed = await new EncryptJWT({ sid: id })
        .setProtectedHeader({ alg: 'dir', enc: 'A256GCM' })
        .setExpirationTime(`${lifetime}s`)
        .encrypt(keys[0] as Uint8Array)
      return `${name}=${sealed}; Path=/; Max-Age=${lifetime}; HttpOnly; ${attributes}`
    },
  } satisfies Sessions)
}

async function unseal(sealed: string, key: Uint8Array): Promise<JWTPayload | undefined> {
  try {
    const { payload } = await jwtDecrypt(sealed, key, {
      keyManagementAlgorithms: ['dir'],
      contentEncryptionAlgorithms: ['A256GCM'],
      requiredClaims: ['exp', 'sid'],
    })
    return payload
  } catch {
    return undefined
  }
}

/** Compares two marks without telling, by the time it takes, how much of one is right. */
export function sameMark(one: string, other: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(one), digest(other))
}

function sessionOf(id: string): Session {
  return Object.freeze({ id, mark: createHash('sha256').update(`s4s session ${id}`).digest('base64url') })
}

// HKDF, so that the same secret may serve elsewhere too (RFC 5869).
async function deriveKey(secret: string): Promise<Uint8Array> {
  const bytes = new TextEncoder().encode(secret)
  const base = await crypto.subtle.importKey('raw', bytes, 'HKDF', false, ['deriveBits'])
  const info = new TextEncoder().encode('s4s session cookie')
  const derived = await crypto.subtle.deriveBits(
    { name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(), info },
    base,
    256,
  )
  return new Uint8Array(derived)
}

// Of several cookies with our name none is believed: the browser keeps one, so the others were added by someone.
function cookieOf(request: Request, name: string): string | undefined {
  const found = (request.headers.get('cookie') ?? '')
    .split(/;\s*/)
    .filter((pair) => pair.startsWith(`${name}=`))
    .map((pair) => pair.slice(name.length + 1))
  return found.length === 1 ? found[0] : undefined
}
