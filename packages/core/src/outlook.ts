import type { Client } from './client.js'
import type { AccessReason } from './connection.js'
import { SmartError } from './errors.js'
import { dialectOf } from './smart/authorize.js'
import { type CapabilitySet, capabilitySets } from './smart/capabilities.js'
import type { SmartConfiguration } from './smart/configuration.js'
import { scopesOf, splitScopes } from './smart/scopes.js'

/** What a launch at a provider will be like, told before it begins. */
export interface Outlook {
  readonly configuration: SmartConfiguration
  /** What will be asked for. */
  readonly scopes: readonly string[]
  /** What can be expected; the connection tells what was given. */
  readonly access: 'once' | 'ongoing'
  readonly accessReason: AccessReason
  /** What the server does not list of each of the standard's capability sets. */
  readonly lacking: Readonly<Record<CapabilitySet, readonly string[]>>
  readonly warnings: readonly OutlookWarning[]
}

/**
 * `incomplete-metadata`: required members are missing. `plain-pkce`: the server lists no S256, which is sent all the
 * same. `old-discovery`: its endpoints come from its CapabilityStatement. `no-standalone-launch`: it does not list it.
 */
export type OutlookWarning = 'incomplete-metadata' | 'plain-pkce' | 'old-discovery' | 'no-standalone-launch'

/**
 * Looks at a provider before the participant is sent there.
 *
 * @throws SmartError `CONFIG_UNKNOWN_PROVIDER`, `DISCOVERY_*`
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html
 */
export async function outlookOf(
  client: Client,
  id: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<Outlook> {
  const provider = client.providers.find((candidate) => candidate.id === id)
  if (!provider) throw new SmartError('CONFIG_UNKNOWN_PROVIDER', 'no provider of that id is configured')
  const configuration = await client.configuration(id, options)
  const wanted = client.access
  const offered =
    provider.vendor?.publicRefresh?.value === false && !provider.auth ? 'public-client' : undefined
  const accessReason: AccessReason =
    wanted === 'once' ? 'not-requested' : (offered ?? (wanted === 'online' ? 'signed-in' : 'refresh-token'))
  const lists = configuration.capabilities.length > 0
  const warnings: readonly (OutlookWarning | false)[] = [
    configuration.missing.length > 0 && 'incomplete-metadata',
    configuration.codeChallengeMethods.length > 0 &&
      !configuration.codeChallengeMethods.includes('S256') &&
      'plain-pkce',
    configuration.source === 'capability-statement' && 'old-discovery',
    lists && !configuration.capabilities.includes('launch-standalone') && 'no-standalone-launch',
  ]
  return Object.freeze({
    configuration,
    scopes: Object.freeze(
      provider.scope === undefined
        ? [
            ...scopesOf(client.plan, {
              dialect: dialectOf(provider, configuration),
              launch: 'launch/patient',
              access: wanted,
              supported: configuration.scopesSupported,
            }),
            ...(provider.moreScopes ?? []),
          ]
        : splitScopes(provider.scope),
    ),
    access: accessReason === 'refresh-token' || accessReason === 'signed-in' ? 'ongoing' : 'once',
    accessReason,
    lacking: capabilitySets(configuration),
    warnings: Object.freeze(warnings.filter((warning) => warning !== false)),
  })
}
