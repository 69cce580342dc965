import { createRequire } from 'node:module'
import { stripVTControlCharacters } from 'node:util'
import { isSmartError } from '@s4s/core'
import { type CommandDef, renderUsage, runCommand } from 'citty'
import { codeOf, isNoSpace } from '../durable.js'
import { root } from './commands.js'
import { type Output, plain } from './output.js'
import { UsageError } from './usage.js'

/** Runs a command line. @returns the exit code: 0 done, 1 failed, 2 not understood */
export async function run(
  typed: readonly string[],
  output: Output = { out: process.stdout, err: process.stderr },
): Promise<0 | 1 | 2> {
  const { out, err } = output
  const { command, rest } = find(root, typed)
  try {
    if (typed.length === 1 && (typed[0] === '--version' || typed[0] === '-v')) {
      out.write(`${versionOf()}\n`)
      return 0
    }
    if (rest.includes('--help') || rest.includes('-h')) {
      const usage = await renderUsage(command)
      out.write(`${out.isTTY ? usage : stripVTControlCharacters(usage)}\n`)
      return 0
    }
    if (command.subCommands)
      throw new UsageError(rest[0] ? `there is no command ${rest[0]}` : 'which command?')
    const { result } = await runCommand(command, { rawArgs: [...rest], data: output })
    return result === false ? 1 : 0
  } catch (error) {
    err.write(`s4s: ${plain(sentence(error))}\n`)
    if (!isUsage(error)) return 1
    err.write(`Try: ${(command.meta as { readonly name?: string }).name} --help\n`)
    return 2
  }
}

function find(
  command: CommandDef,
  typed: readonly string[],
): { readonly command: CommandDef; readonly rest: readonly string[] } {
  const inner = (command.subCommands as Record<string, CommandDef> | undefined)?.[typed[0] ?? '']
  return inner ? find(inner, typed.slice(1)) : { command, rest: typed }
}

// citty's own errors are about what was typed.
function isUsage(error: unknown): boolean {
  return error instanceof UsageError || (error instanceof Error && error.name === 'CLIError')
}

function sentence(error: unknown): string {
  if (isSmartError(error)) return sentences[error.code] ?? error.message
  if (isNoSpace(error)) return 'the disk is full'
  if (codeOf(error) === 'EACCES' || codeOf(error) === 'EPERM')
    return `not allowed: ${(error as { path?: string }).path ?? 'a file'}`
  return error instanceof Error ? error.message.split('\n')[0] || error.name : String(error)
}

const sentences: Readonly<Partial<Record<string, string>>> = {
  TOKEN_ENDED: 'access has ended at the provider; s4s connect gives it anew',
  FHIR_UNAUTHORIZED: 'the provider no longer takes this access; s4s connect gives it anew',
  SHARE_SEAL_INVALID: 'a package is sealed, and no key that was given with --open-key opens it',
  SHARE_REFUSED: 'a stored package is no longer what was sent; s4s inbox verify says which',
  SHARE_WITHDRAWN: 'a participant withdrew while the packages were read; nothing was written, run it again',
}

function versionOf(): string {
  const { version } = createRequire(import.meta.url)('@s4s/node/package.json') as { version: string }
  return version
}
