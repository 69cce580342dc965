import type { ArgsDef } from 'citty'
import type { Output } from './output.js'
import { UsageError } from './usage.js'

/** What was typed, as far as it is an option of the command. */
export interface Typed {
  readonly rawArgs: readonly string[]
  readonly args: Readonly<Record<string, unknown>> & { readonly _: readonly string[] }
  /** Where the command writes. */
  readonly data?: Output
}

/**
 * Refuses what a command does not take: what is misspelt would be ignored, and an export that was not meant be made.
 *
 * @throws UsageError
 */
export function checkTyped({ args, rawArgs }: Typed, options: ArgsDef): void {
  // Before what is left over: that may be the value of such an option, and a secret.
  for (const word of rawArgs) {
    const name = /^--?([^=]*)/.exec(word)?.[1]
    if (name === undefined) continue
    if (!Object.hasOwn(options, name) || options[name]?.type === 'positional')
      throw new UsageError(`there is no option ${word.split('=')[0]}`)
  }
  const positional = Object.values(options).filter(({ type }) => type === 'positional').length
  const extra = args._[positional]
  if (extra !== undefined) throw new UsageError(`${extra} is not understood here`)
  for (const [name, { type }] of Object.entries(options))
    if (type !== 'boolean' && args[name] === '') throw new UsageError(`--${name} needs a value`)
}

/** The value of an option, if it was given. */
export function optionOf({ args }: Typed, name: string): string | undefined {
  return typeof args[name] === 'string' ? args[name] : undefined
}

/** Where a command writes; the process's own streams unless it was told others. */
export const outputOf = ({ data }: Typed): Output => data ?? { out: process.stdout, err: process.stderr }
