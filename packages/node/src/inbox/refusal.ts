/** The words of the protocol in which an inbox says no. */
export type RefusalWord =
  | 'busy'
  | 'consent'
  | 'digest'
  | 'full'
  | 'incomplete'
  | 'key'
  | 'manifest'
  | 'method'
  | 'notice'
  | 'too-large'
  | 'unknown'
  | 'withdrawal-key'
  | 'withdrawn'

/** Why a package that arrived whole is none, for the study team: never what is in it. */
export type Finding =
  /** A part does not hold what its name and its count say. */
  | 'content'
  /** The manifest that was sealed is none. */
  | 'manifest'
  /** The seal opens with none of the keys, or a sealed part is not what was sealed. */
  | 'seal'
  /** What is written outside a seal is not what is inside. */
  | 'seal-differs'
  /** The consent is none, or was changed after it was given. */
  | 'consent-altered'
  /** It is of another study, participant, version or withdrawal key than the package says. */
  | 'consent-other'
  | 'consent-not-yet'
  | 'consent-expired'
  /** It does not cover a data class of the package. */
  | 'consent-narrow'
  /** It is to share once, and another package was shared under it. */
  | 'consent-used'

const statuses = {
  busy: 429,
  consent: 422,
  digest: 422,
  full: 507,
  incomplete: 409,
  key: 401,
  manifest: 422,
  method: 405,
  notice: 422,
  'too-large': 413,
  unknown: 404,
  'withdrawal-key': 403,
  withdrawn: 409,
} as const satisfies Record<RefusalWord, number>

/** A refusal on its way to the answer. It names a part at most: never what is in it. */
export class Refusal extends Error {
  readonly word: RefusalWord
  readonly status: number
  /** When to come again, in seconds. */
  readonly retryAfter?: number
  readonly part?: string
  readonly missing?: readonly string[]
  /** For the study team; the sender is told the word and the part. */
  readonly finding?: Finding

  constructor(
    word: RefusalWord,
    details: {
      readonly part?: string
      readonly missing?: readonly string[]
      readonly finding?: Finding
    } = {},
  ) {
    super(word)
    this.name = 'Refusal'
    this.word = word
    this.status = statuses[word]
    if (word === 'busy') this.retryAfter = 30
    if (details.part !== undefined) this.part = details.part
    if (details.missing !== undefined) this.missing = details.missing
    if (details.finding !== undefined) this.finding = details.finding
  }

  /** The body of the answer. */
  toJSON(): Record<string, unknown> {
    return { error: this.word, part: this.part, missing: this.missing }
  }
}
