import { createHash, timingSafeEqual } from 'node:crypto'
import { type PrivateKey, SmartError } from '@s4s/core'

/** A study that an inbox receives for. */
export interface InboxStudy {
  /** As in `defineStudy`. */
  readonly id: string
  /** Lets an app deliver and nothing more, so that it may be in a browser. */
  readonly key: string
  /** Lets the study team see which packages there are. Without it nobody can over HTTP. */
  readonly teamKey?: string
  /** Signs receipts: a private key as a JWK, such as `createStudyKeys` makes. Without it they are not signed. */
  readonly signingKey?: PrivateKey
  /**
   * Open sealed packages, so that they are verified when they arrive. Without them the inbox takes sealed packages
   * unread, and only who has the keys can export them.
   */
  readonly openKeys?: readonly PrivateKey[]
  /**
   * A secret of 24 or more characters. With it lists, the status page and `stored` show a pseudonym in place of the
   * name that the portal uses, and consents are read without their signature. Another key makes other pseudonyms.
   *
   * It hides names that nobody can guess: the names that the portal gives must hold 128 random bits. The digest by which
   * lists and deletions name a package was made with the name of the participant and their consent in it, so whoever can
   * guess both, such as `p-0042` and a signature, can try them until the digest is the same.
   */
  readonly pseudonymKey?: string
}

/** Tells keys apart without telling, by the time it takes, how much of a guess is right. */
export interface Keys {
  /** The study that a study key opens. */
  delivers(key: string): string | undefined
  /** The study that a team key opens. */
  sees(key: string): string | undefined
}

/** @throws SmartError `CONFIG_INVALID` */
export function readKeys(studies: readonly InboxStudy[]): Keys {
  const ids = new Set<string>()
  const seen = new Set<string>()
  const study: [Buffer, string][] = []
  const team: [Buffer, string][] = []
  studies.forEach(({ id, key, teamKey, pseudonymKey }, index) => {
    const at = `studies[${index}]`
    if (typeof id !== 'string' || !/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(id) || ids.has(id)) {
      throw invalid(`${at}.id is not a study's id, or is used twice`)
    }
    ids.add(id)
    for (const [name, value] of Object.entries({ key, teamKey })) {
      if (name === 'teamKey' && value === undefined) continue
      if (typeof value !== 'string' || !/^[A-Za-z0-9._~+/=-]{8,500}$/.test(value)) {
        throw invalid(`${at}.${name} is not 8 or more letters, digits and . _ ~ + / = -`)
      }
      if (seen.has(value)) throw invalid(`${at}.${name} is used twice`)
      seen.add(value)
    }
    if (pseudonymKey !== undefined) {
      if (typeof pseudonymKey !== 'string' || pseudonymKey.length < 24)
        throw invalid(`${at}.pseudonymKey is not 24 or more characters`)
      if (seen.has(pseudonymKey)) throw invalid(`${at}.pseudonymKey is used twice`)
      seen.add(pseudonymKey)
    }
    study.push([digest(key), id])
    if (teamKey !== undefined) team.push([digest(teamKey), id])
  })
  return Object.freeze({
    delivers: (key: string) => find(study, key),
    sees: (key: string) => find(team, key),
  })
}

// Every key is compared, and the comparison is of digests, which all have one length.
function find(known: readonly [Buffer, string][], key: string): string | undefined {
  const given = digest(key)
  let found: string | undefined
  for (const [expected, id] of known) if (timingSafeEqual(expected, given)) found = id
  return found
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
const invalid = (what: string): SmartError => new SmartError('CONFIG_INVALID', what)
