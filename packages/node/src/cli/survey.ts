import {
  type Client,
  createClient,
  isSmartError,
  type Outlook,
  outlookOf,
  type Plan,
  type Vendor,
} from '@s4s/core'
import { createTransport, type Transport } from '@s4s/core/smart'
import { recogniseVendor, vendors } from '@s4s/core/vendors'
import { isObject, parseJson } from '../json.js'
import { nodePlatform } from '../platform.js'
import { basesNear } from './address.js'
import { type Fault, faultOf } from './faults.js'
import { openWatch, type Watch } from './watch.js'

/** What a server says about itself to whoever asks, without signing in. */
export interface Survey {
  /** Its FHIR base; what was asked for, when none was found. */
  readonly base: string
  /** Why it cannot be connected; then the rest may be missing. */
  readonly fault?: Fault
  readonly outlook?: Outlook
  /** Its CapabilityStatement. */
  readonly statement?: Readonly<Record<string, unknown>>
  readonly vendor?: Vendor
  /** Where requests for data would be redirected to. */
  readonly moved?: string
  readonly isPrivate: boolean
  /** The server's clock beside ours, in milliseconds. */
  readonly skew?: number
}

/**
 * Looks at the server that an address means. Never fails: what stands in the way is its `fault`.
 *
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html
 */
export async function survey(address: URL, plan: Plan): Promise<Survey> {
  const watch = openWatch(address)
  const platform = { ...nodePlatform(), fetch: watch.fetch }
  const { above, below } = basesNear(address)
  const found = await findStatement(createTransport(platform), [...above, ...below])
  const base = found?.base ?? (above[0] as string)
  const software = isObject(found?.statement.software) ? found.statement.software.name : undefined
  const vendor = recogniseVendor(vendors, {
    base: new URL(base),
    software: [software, found?.statement.publisher].map((name) =>
      typeof name === 'string' ? name : undefined,
    ),
  })
  const clientAt = (iss: string): Client =>
    createClient({
      platform,
      redirectUri: 'http://127.0.0.1/callback',
      providers: [{ id: 'server', name: address.host, iss, clientId: 's4s', ...(vendor ? { vendor } : {}) }],
      plan,
    })
  const more = (): Omit<Survey, 'base'> => ({
    ...(found ? { statement: found.statement } : {}),
    ...(vendor ? { vendor } : {}),
    isPrivate: watch.isPrivate(),
    ...skewOf(watch),
  })
  let failure: unknown
  // Of a server that shows no CapabilityStatement, the SMART configuration tells where its base is.
  for (const iss of found ? [base] : above) {
    try {
      const outlook = await outlookOf(clientAt(iss), 'server')
      const moved = movedTo(iss, watch)
      return Object.freeze({ base: iss, outlook, ...(moved === undefined ? {} : { moved }), ...more() })
    } catch (error) {
      failure ??= error
      if (isUnreached(error)) break
    }
  }
  return Object.freeze({ base, fault: faultAt(base, found !== undefined, watch, failure), ...more() })
}

async function findStatement(
  transport: Transport,
  bases: readonly string[],
): Promise<{ readonly base: string; readonly statement: Record<string, unknown> } | undefined> {
  for (const base of bases) {
    try {
      const answer = await transport({
        url: `${base.replace(/\/$/, '')}/metadata`,
        headers: { accept: 'application/fhir+json, application/json;q=0.9' },
        maxBytes: 16 * 1024 * 1024,
        idleTimeout: 15_000,
        totalTimeout: 30_000,
      })
      const statement = answer.status === 200 ? parseJson(answer.text()) : undefined
      if (
        isObject(statement) &&
        ['CapabilityStatement', 'Conformance'].includes(String(statement.resourceType))
      )
        return { base, statement }
    } catch (error) {
      // What redirects may still have its base elsewhere; who does not answer here does so nowhere.
      if ((error as { fault?: unknown }).fault !== 'redirected') return undefined
    }
  }
  return undefined
}

function skewOf({ seen }: Watch): { readonly skew?: number } {
  const skew = seen.findLast((one) => one.skew !== undefined)?.skew
  return skew === undefined ? {} : { skew }
}

// No answer at all: whatever else is asked of the host has none either.
function isUnreached(error: unknown): boolean {
  if (!isSmartError(error) || error.status !== undefined) return false
  return error.code === 'DISCOVERY_UNREACHABLE' || error.code === 'CONFIG_PRIVATE_ADDRESS'
}

// Without its query, which could hold anything.
function movedTo(base: string, { seen }: Watch): string | undefined {
  const asked = `${base.replace(/\/$/, '')}/metadata`
  return seen
    .find(({ location, url }) => location !== undefined && url === asked)
    ?.location?.replace(/[?#].*$/, '')
}

function faultAt(base: string, isFhir: boolean, watch: Watch, failure: unknown): Fault {
  const { host } = new URL(base)
  const moved = movedTo(base, watch)
  if (isUnreached(failure)) return faultOf(host, watch.seen.findLast(({ code }) => code !== undefined)?.code)
  if (isSmartError(failure) && failure.status !== undefined)
    return {
      check: 'answer',
      sentence: `${host} answers ${failure.status} where its SMART configuration should be`,
      remedy: 'Try again later; if it stays so, ask the provider.',
    }
  if (moved !== undefined)
    return {
      check: 'redirect',
      sentence: `${base} redirects to ${moved}`,
      remedy: 'Redirects are not followed, since a token would go along: use the address that it leads to.',
    }
  if (isFhir)
    return {
      check: 'configuration',
      sentence: `${base} is a FHIR server that names no usable token endpoint to sign in at`,
      remedy:
        'Ask the provider whether it offers SMART on FHIR; endpoints that you know can be given as the provider’s `configuration`.',
    }
  return {
    check: 'configuration',
    sentence: `there is no FHIR server at ${base} or near it`,
    remedy: 'Give the FHIR base that the provider publishes, such as https://fhir.hospital.example/r4.',
  }
}
