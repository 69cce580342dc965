import { createReader } from './fhir/reader.js'
import type { ResourceType } from './fhir/types.js'
import type { Platform } from './ports.js'
import { logicalId } from './smart/context.js'
import { peekJwt } from './smart/jws.js'
import type { Provider } from './smart/provider.js'
import type { Tokens } from './smart/token.js'
import { isObject, stringAt } from './util/json.js'
import type { Transport } from './util/transport.js'
import type { PatientSource } from './vendors/vendor.js'

interface PatientWorld {
  readonly platform: Platform
  readonly transport: Transport
  readonly provider: Provider
}

/** The patient of a token response that names none, where the provider's vendor is known to say it elsewhere. */
export async function findPatient(world: PatientWorld, tokens: Tokens): Promise<string | undefined> {
  for (const source of world.provider.vendor?.patientFrom?.value ?? []) {
    const found = await from(source, world, tokens)
    if (found !== undefined) return found
  }
  return undefined
}

async function from(source: PatientSource, world: PatientWorld, tokens: Tokens): Promise<string | undefined> {
  if (source === 'search') return alone(world, tokens)
  if (source !== 'id-token')
    return logicalId(stringAt(peekJwt(tokens.access.reveal()), source.slice('claim:'.length)))
  // Straight from the token endpoint, which is as good as its signature (OpenID Connect Core §3.1.3.7); a parent who
  // signs in for a child is a RelatedPerson or a Person, and no patient.
  const user = stringAt(peekJwt(tokens.idToken?.reveal() ?? ''), 'fhirUser') ?? ''
  return /(^|\/)Patient\/[^/]+$/.test(user) ? logicalId(user) : undefined
}

// A token that opens one record only: whoever that is about.
async function alone({ platform, transport, provider }: PatientWorld, tokens: Tokens) {
  const reader = createReader(provider.iss, {
    clock: platform.clock,
    crypto: platform.crypto,
    provider,
    send: ({ url, accept = 'application/fhir+json', signal }) =>
      transport({
        ...{ url, headers: { accept }, within: [provider.iss], bearer: tokens.access },
        ...(signal ? { signal } : {}),
      }),
  })
  const ways: readonly [ResourceType, string][] = [
    ['Patient', ''],
    ['Coverage', 'beneficiary'],
    ['ExplanationOfBenefit', 'patient'],
  ]
  for (const [type, member] of ways) {
    try {
      const found = new Set<string | undefined>()
      for await (const { entries } of reader.search(type).pages()) {
        for (const { resource } of entries) {
          if (resource.resourceType !== type) continue
          const about = (resource as unknown as Record<string, unknown>)[member]
          found.add(
            member === ''
              ? resource.id
              : isObject(about)
                ? logicalId(stringAt(about, 'reference'))
                : undefined,
          )
        }
        break
      }
      const [only] = found
      if (found.size === 1 && only !== undefined) return only
    } catch {
      // What may not be read says nothing; the next may.
    }
  }
  return undefined
}
