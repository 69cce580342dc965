import type { JWK } from 'jose'

/** An app that is registered with the sandbox. */
export interface SandboxClient {
  readonly clientId: string
  /** What the approval page calls the app; its client id unless given. */
  readonly name?: string
  readonly redirectUris?: readonly string[]
  readonly method?: 'none' | 'client_secret_basic' | 'client_secret_post' | 'private_key_jwt'
  readonly secret?: string
  readonly jwks?: { readonly keys: readonly JWK[] }
  /** True for a backend service: client credentials and `system/` scopes, no participant. */
  readonly backend?: boolean
}

/** The public client that always exists; any URL on loopback may be its redirect URI. */
export const publicClientId = 's4s-public'
/** The client with a shared secret that always exists. */
export const confidentialClientId = 's4s-confidential'
/** The secret of `s4s-confidential`. It protects nothing but synthetic people. */
export const confidentialClientSecret = 'a-secret-that-everybody-knows-0123456789'
/** The client with a key pair that always exists; its private keys are at `sandbox.keys`. */
export const asymmetricClientId = 's4s-asymmetric'
/** The backend service that always exists, with the same keys as `s4s-asymmetric`. */
export const backendClientId = 's4s-backend'

const openClients: ReadonlySet<string> = new Set([publicClientId, confidentialClientId, asymmetricClientId])

/** True when a client of the sandbox itself may come back to this address: anything on this machine. */
export function isOpenRedirect(clientId: string, redirectUri: string): boolean {
  if (!openClients.has(clientId)) return false
  try {
    const { protocol, hostname, hash } = new URL(redirectUri)
    const loopback = hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname)
    return (protocol === 'http:' || protocol === 'https:') && loopback && hash === ''
  } catch {
    return false
  }
}

/** The clients that always exist, with the public halves of the sandbox's client keys. */
export function defaultClients(redirectUris: readonly string[], publicKeys: readonly JWK[]): SandboxClient[] {
  const jwks = { keys: publicKeys }
  return [
    { clientId: publicClientId, redirectUris },
    {
      clientId: confidentialClientId,
      redirectUris,
      method: 'client_secret_basic',
      secret: confidentialClientSecret,
    },
    { clientId: asymmetricClientId, redirectUris, method: 'private_key_jwt', jwks },
    { clientId: backendClientId, method: 'private_key_jwt', jwks, backend: true },
  ]
}
