/** The words of the protocol in which an inbox says no. */
export type RefusalWord =
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

const statuses = {
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
  readonly part?: string
  readonly missing?: readonly string[]

  constructor(
    word: RefusalWord,
    details: { readonly part?: string; readonly missing?: readonly string[] } = {},
  ) {
    super(word)
    this.name = 'Refusal'
    this.word = word
    this.status = statuses[word]
    if (details.part !== undefined) this.part = details.part
    if (details.missing !== undefined) this.missing = details.missing
  }

  /** The body of the answer. */
  toJSON(): Record<string, unknown> {
    return { error: this.word, part: this.part, missing: this.missing }
  }
}
