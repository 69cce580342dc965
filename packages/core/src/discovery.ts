import { SmartError } from './errors.js'
import type { Platform } from './ports.js'
import { discover, type SmartConfiguration } from './smart/configuration.js'
import type { Provider } from './smart/provider.js'
import { storage } from './stored-connection.js'
import { orAborted } from './util/abort.js'
import { singleFlight } from './util/async.js'
import type { Transport } from './util/transport.js'

/** Finds out about providers, and remembers for ten minutes what it found. */
export interface Discovery {
  /** @throws SmartError `DISCOVERY_*` */
  of(provider: Provider, signal?: AbortSignal): Promise<SmartConfiguration>
  /**
   * As `of`, for a launch: refuses a token endpoint at another origin than the one that was seen first.
   *
   * @throws SmartError `DISCOVERY_TOKEN_ORIGIN`
   */
  trusted(provider: Provider, signal?: AbortSignal): Promise<SmartConfiguration>
}

const lifetime = 10 * 60_000

export function createDiscovery(
  platform: Platform,
  transport: Transport,
  providers: readonly Provider[],
): Discovery {
  const found = new Map<string, { readonly value: SmartConfiguration; readonly until: number }>()
  const flight = singleFlight<SmartConfiguration>()

  const of: Discovery['of'] = async (provider, signal) => {
    const key = `${provider.id} ${provider.iss}`
    const kept = found.get(key)
    if (kept && kept.until > platform.clock.now()) return kept.value
    // Only a success is kept: a provider that was down a moment ago is asked again.
    const value = await orAborted(signal, () => flight(key, () => discover(transport, provider)))
    found.set(key, { value, until: platform.clock.now() + lifetime })
    return value
  }

  return Object.freeze({
    of,
    async trusted(provider: Provider, signal?: AbortSignal) {
      const configuration = await of(provider, signal)
      await checkTokenOrigin(platform, configuration, provider, providers)
      return configuration
    },
  } satisfies Discovery)
}

// Codes and credentials go to the token endpoint. A server that was taken over, or that names another provider's
// endpoint so that a signed assertion is valid there, must not get at them by changing one line of its metadata.
async function checkTokenOrigin(
  platform: Platform,
  configuration: SmartConfiguration,
  provider: Provider,
  providers: readonly Provider[],
): Promise<void> {
  const origin = new URL(configuration.tokenEndpoint).origin
  const refuse = (why: string): SmartError =>
    new SmartError('DISCOVERY_TOKEN_ORIGIN', `the token endpoint of ${provider.name} is ${why}`, {
      subject: provider.id,
    })
  if (provider.tokenOrigins) {
    if (!provider.tokenOrigins.includes(origin)) throw refuse('at an origin that is not listed for it')
    return
  }
  if (provider.configuration?.tokenEndpoint !== undefined) return
  const own = new URL(provider.iss).origin
  const others = providers.filter(({ id }) => id !== provider.id).map(({ iss }) => new URL(iss).origin)
  if (origin !== own && others.includes(origin)) throw refuse('the one of another provider')
  const key = `origin/${provider.id}`
  const seen = JSON.stringify([provider.iss.replace(/\/$/, ''), origin])
  const before = await storage(() => platform.store.get(key))
  if (before === seen) return
  if (before !== undefined && sameBase(before, seen)) throw refuse('at another origin than before')
  await storage(() => platform.store.set(key, seen))
}

// A provider that moved its FHIR base is configured anew, and starts anew.
function sameBase(before: string, seen: string): boolean {
  return before.slice(0, before.lastIndexOf(',')) === seen.slice(0, seen.lastIndexOf(','))
}
