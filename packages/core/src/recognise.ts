import type { Platform } from './ports.js'
import type { Provider } from './smart/provider.js'
import { singleFlight } from './util/async.js'
import { isObject, parseJson, stringAt } from './util/json.js'
import type { Transport } from './util/transport.js'
import { join, parseUrl } from './util/url.js'
import { recogniseVendor } from './vendors/recognise.js'
import type { Vendor } from './vendors/vendor.js'

/** Finds out which EHR product a provider runs. */
export interface Recognition {
  /** By what is configured, by an earlier answer, or by its FHIR base; asks nothing. */
  known(provider: Provider, earlier?: string): Provider
  /** As `known`; a provider that is not known by its base is asked what it is. Never fails. */
  asked(provider: Provider): Promise<Provider>
}

/** Recognises providers as one of the vendors, if any were given. */
export function createRecognition(
  world: { readonly platform: Platform; readonly transport: Transport },
  vendors: readonly Vendor[],
): Recognition {
  const answers = new Map<string, Vendor>()
  const flight = singleFlight<Vendor | undefined>()

  const byBase = ({ iss }: Provider): Vendor | undefined => recogniseVendor(vendors, { base: parseUrl(iss) })
  const as = (provider: Provider, vendor: Vendor | undefined): Provider =>
    vendor ? Object.freeze({ ...provider, vendor }) : provider

  const ask = async (provider: Provider): Promise<Vendor | undefined> => {
    const answer = await world.transport({
      url: join(provider.iss, 'metadata'),
      headers: { accept: 'application/fhir+json, application/json;q=0.9' },
      maxBytes: 16 * 1024 * 1024,
      idleTimeout: 5000,
      totalTimeout: 10_000,
    })
    const statement = answer.status === 200 ? parseJson(answer.text()) : undefined
    const software = isObject(statement) ? statement.software : undefined
    return recogniseVendor(vendors, {
      software: [stringAt(software, 'name'), stringAt(statement, 'publisher')],
    })
  }

  const known: Recognition['known'] = (provider, earlier) =>
    provider.vendor || vendors.length === 0
      ? provider
      : as(provider, vendors.find(({ id }) => id === earlier) ?? answers.get(provider.id) ?? byBase(provider))

  return {
    known,
    asked: async (provider) => {
      const found = known(provider)
      if (found.vendor || vendors.length === 0) return found
      const vendor = await flight(provider.id, () => ask(provider)).catch(() => undefined)
      if (vendor) answers.set(provider.id, vendor)
      return as(provider, vendor)
    },
  }
}
