const values = new WeakMap<Secret, string>()

/** A token, code, verifier or key: prints as `[secret]` wherever it ends up. */
export class Secret {
  constructor(value: string) {
    values.set(this, value)
    Object.freeze(this)
  }

  /** The value itself, for the one line that needs it. */
  reveal(): string {
    return values.get(this) ?? ''
  }

  toString(): string {
    return '[secret]'
  }

  toJSON(): string {
    return '[secret]'
  }
}
