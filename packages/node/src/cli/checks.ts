import type { Outlook, SmartConfiguration } from '@s4s/core'
import { dialectOf, supports } from '@s4s/core/smart'
import type { Survey } from './survey.js'

/** `problem`: connecting fails, or all collecting. `note`: it works, with less or in another way. */
export type Level = 'ok' | 'note' | 'problem'

/** What a check found, in words. */
export interface Finding {
  readonly check: string
  readonly level: Level
  readonly sentence: string
  /** What to do. */
  readonly remedy?: string
}

export type Verdict = readonly [level: Level, sentence: string, remedy?: string]

/** One row: what is looked at, and what is said of it. */
export interface Check<Seen> {
  readonly check: string
  look(seen: Seen): Verdict | undefined
}

/** Looks at all there is. */
export function findingsOf<Seen>(checks: readonly Check<Seen>[], seen: Seen): Finding[] {
  return checks.flatMap(({ check, look }): Finding[] => {
    const verdict = look(seen)
    if (!verdict) return []
    const [level, sentence, remedy] = verdict
    return [{ check, level, sentence, ...(remedy === undefined ? {} : { remedy }) }]
  })
}

/** What stands before everything else: the way to the server. */
export const addressChecks: readonly Check<Survey & { readonly asked: string }>[] = [
  {
    check: 'base',
    look: ({ base, asked, fault }) =>
      fault
        ? undefined
        : base === asked
          ? ['ok', `The FHIR base is ${base}.`]
          : ['note', `The FHIR base is ${base}.`, 'Configure that address: it is sent as it stands.'],
  },
  {
    check: 'redirect',
    look: ({ base, moved }) =>
      moved === undefined
        ? undefined
        : [
            'problem',
            `What is read below ${base} is redirected, its metadata to ${moved}, and redirects are not followed, since a token would go along.`,
            'Use the base that it leads to.',
          ],
  },
  {
    check: 'private',
    look: ({ isPrivate }) =>
      isPrivate
        ? [
            'note',
            'The address is not on the public internet: people at home cannot sign in there, and a server of yours gets there only as a listed provider.',
            'For a pilot that is fine; else ask the provider for its public address.',
          ]
        : undefined,
  },
  {
    check: 'clock',
    look: ({ skew }) => {
      if (skew === undefined) return undefined
      const minutes = Math.round(Math.abs(skew) / 60_000)
      return minutes < 1
        ? ['ok', 'Its clock agrees with the one here.']
        : [
            'note',
            `Its clock is ${minutes} min ${skew > 0 ? 'ahead of' : 'behind'} the one here; signed requests are dated by its clock.`,
            'If it is the clock here that is wrong, set it.',
          ]
    },
  },
]

/** What a sign-in is made of. */
export interface SignIn extends Survey {
  readonly outlook: Outlook
  readonly configuration: SmartConfiguration
}

const lists = ({ configuration }: SignIn): boolean => configuration.capabilities.length > 0

/** Whether people can sign in, and what an app gets of it. */
export const signInChecks: readonly Check<SignIn>[] = [
  {
    check: 'configuration',
    look: ({ configuration: { source, missing } }) =>
      source === 'capability-statement'
        ? [
            'note',
            'It has no SMART configuration; its endpoints come from its CapabilityStatement, as before SMART 2, and what else it offers is unknown.',
            'Ask the provider for .well-known/smart-configuration below the FHIR base.',
          ]
        : missing.length > 0
          ? ['note', `Its SMART configuration lacks ${missing.join(', ')}.`, 'Tell the provider.']
          : ['ok', 'It has a SMART configuration with all that is required.'],
  },
  {
    check: 'authorization',
    look: ({ configuration: { authorizationEndpoint } }) =>
      authorizationEndpoint === undefined
        ? [
            'problem',
            'It names no authorization endpoint: people cannot sign in, only backend services can.',
            'Ask the provider where patients sign in; that is often another server.',
          ]
        : ['ok', `People sign in at ${new URL(authorizationEndpoint).host}.`],
  },
  {
    check: 'token-origin',
    look: ({ base, configuration: { tokenEndpoint } }) => {
      const { origin } = new URL(tokenEndpoint)
      return origin === new URL(base).origin
        ? undefined
        : [
            'note',
            `Tokens come from another origin, ${origin}; the first that is seen is kept, and a change of it is refused.`,
            'List it as `tokenOrigins` of the provider if you know it to be right.',
          ]
    },
  },
  {
    check: 'standalone',
    look: (seen) =>
      !lists(seen)
        ? ['note', 'It does not list its capabilities, so nobody knows whether an app may begin a sign-in.']
        : supports(seen.configuration, 'launch-standalone')
          ? ['ok', 'An app may begin a sign-in by itself.']
          : [
              'problem',
              'It does not list launch-standalone: a sign-in that begins outside the EHR is refused.',
              'Ask the provider to allow standalone launch for the app, or have the EHR start it.',
            ],
  },
  {
    check: 'pkce',
    look: ({ configuration: { codeChallengeMethods: methods } }) =>
      methods.includes('S256')
        ? ['ok', 'It takes PKCE with S256.']
        : methods.length === 0
          ? [
              'note',
              'It does not say whether it takes PKCE; S256 is sent all the same, and a server that does not know it ignores it.',
              'Ask the provider to list code_challenge_methods_supported.',
            ]
          : [
              'problem',
              `It takes PKCE by ${methods.join(', ')} only: the sign-in, which is always sent with S256, may be refused.`,
              'SMART requires S256: ask the provider to turn it on.',
            ],
  },
  {
    check: 'patient',
    look: (seen) =>
      !lists(seen) || supports(seen.configuration, 'context-standalone-patient')
        ? undefined
        : [
            'note',
            'It does not list context-standalone-patient: it may not say whose record was opened, and then connecting ends without a patient.',
            'Ask the provider whether the scope launch/patient is granted.',
          ],
  },
  {
    check: 'public-client',
    look: (seen) =>
      !lists(seen) || supports(seen.configuration, 'client-public')
        ? undefined
        : [
            'note',
            'It does not list client-public: an app without credentials, such as one in a browser, may not be registered.',
            'Register a server with `privateKeyJwt` or `clientSecret`.',
          ],
  },
  {
    check: 'refresh',
    look: ({ outlook, configuration }) => {
      const { capabilities, scopesSupported, grantTypes } = configuration
      if (outlook.accessReason === 'public-client')
        return [
          'note',
          'It gives apps without credentials no refresh token: access ends with the first token, mostly after an hour.',
          'Collect right after connecting, or register a server with `privateKeyJwt`.',
        ]
      const unknown = capabilities.length === 0 && scopesSupported.length === 0
      const listed = capabilities.includes('permission-offline') || scopesSupported.includes('offline_access')
      if (unknown)
        return ['note', 'It does not say whether access can last (offline_access); it is asked for.']
      if (!listed)
        return [
          'note',
          'It lists neither permission-offline nor offline_access: access may end with the first token.',
          'Collect right after connecting, and ask the provider for offline_access.',
        ]
      return grantTypes.length > 0 && !grantTypes.includes('refresh_token')
        ? ['note', 'It lists offline_access but not the grant type refresh_token; mostly it works.']
        : ['ok', 'Access can last until it is ended (offline_access).']
    },
  },
  {
    check: 'scopes',
    look: ({ outlook, configuration, vendor }) => {
      const dialect = dialectOf(
        { id: '', name: '', iss: '', clientId: '', ...(vendor ? { vendor } : {}) },
        configuration,
      )
      return dialect === 'v2'
        ? ['ok', `It is asked in the scopes of SMART 2, ${outlook.scopes.length} of them.`]
        : [
            'note',
            'It is asked in the scopes of SMART 1: a whole resource type is allowed or not, never a category of it.',
            'A study that needs laboratory results only is still granted all observations; what it gets is decided by the consent.',
          ]
    },
  },
  {
    check: 'revocation',
    look: ({ configuration: { revocationEndpoint } }) =>
      revocationEndpoint === undefined
        ? [
            'note',
            'It names no revocation endpoint: when a participant withdraws, tokens are wiped here and the provider is not told.',
            'Tell participants how they end access in their portal.',
          ]
        : ['ok', 'It can be told that access has ended.'],
  },
]
